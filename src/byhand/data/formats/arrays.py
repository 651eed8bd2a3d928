"""NumPy's own files: `.npy` holds one array, `.npz` several in a zip archive, which is how Keras serves MNIST.

An .npy file is made like an IDX file, only that its header is written out in words:

    93 4E 55 4D 50 59 01 00                  "NUMPY" behind a byte that is no text; the version, 1.0
    76 00                                    the length of the header, 118, least byte first (4 bytes in version 2.0)
    {'descr': '|u1', 'fortran_order': False, 'shape': (60000, 28, 28), }
    the values, row by row

An array of Python objects is stored as a pickle, a format that can run code; such files are refused. Nothing else is
evaluated either: the three words are looked up in the header, and the size that they promise must be, to the byte, the
size that is there, before any memory is set aside.

Source: the NumPy documentation, "numpy.lib.format".
"""

import io
import math
import os
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from byhand.atomic import write_atomically
from byhand.data.dataset import Splits
from byhand.data.formats.samples import Samples, as_inputs

Array = NDArray[Any]
Where = TypeVar("Where")

SPELLINGS = (  # of training inputs and labels, test inputs and labels; capitals do not matter
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("images", "labels", "test_images", "test_labels"),
    ("x", "y", "x_test", "y_test"),
)
NAMES = "classes"  # one text for each class, where labels only count
TYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])|[<>]U\d{1,6}")
START = b"\x93NUMPY"
LONGEST_HEADER = 10_000  # bytes, NumPy's own limit
WORD = re.compile(r"""["'](descr|fortran_order|shape)["']\s*:\s*(["'][^"']*["']|True|False|\([\d,\s]*\))""")
UNPACKED = 64 << 20  # bytes that an array may unpack to from any archive
EXPANSION = 100  # times the archive, if it is larger. Pictures compress five times or ten; a bomb, a thousand
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, OverflowError, RuntimeError, UnicodeError)


def read_npy(path: Path) -> Array:
    """The array in an .npy file, in native byte order. Raises ValueError for anything but one whole array of numbers or
    text."""
    with path.open("rb") as file:
        return _parse(file, os.fstat(file.fileno()).st_size, str(path))


def read_npy_folder(folder: Path) -> Samples:
    """The samples in a folder of .npy files, named as in SPELLINGS, and perhaps `classes.npy`."""
    paths = [path for path in sorted(folder.glob("*.npy")) if path.is_file()]
    return _samples({path.stem.lower(): path for path in paths}, read_npy, folder)


def read_npz(path: Path) -> Samples:
    """The samples in an .npz file with arrays named as in SPELLINGS, and perhaps `classes`."""
    with path.open("rb") as file:
        limit = max(UNPACKED, EXPANSION * os.fstat(file.fileno()).st_size)

        def member(info: zipfile.ZipInfo) -> Array:
            name = f"{info.filename!a} in {path}"
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise zipfile.BadZipFile
            if info.file_size > limit:
                raise ValueError(f"{name} would unpack to {info.file_size:,} bytes, more than {EXPANSION} times its "
                                 "archive; if that is right, save it with numpy.savez, which does not compress")
            with archive.open(info) as stream:
                return _parse(stream, info.file_size, name)

        try:
            with zipfile.ZipFile(file) as archive:
                return _samples({info.filename.removesuffix(".npy").lower(): info for info in archive.infolist()},
                                member, path)
        except BROKEN:
            raise ValueError(f"{path} cannot be read: its archive is damaged, cut short, or not packed as NumPy "
                             "packs") from None


def write_npz(splits: Splits, path: Path) -> None:
    """The arrays as Keras names them, compressed; colours last."""
    content = io.BytesIO()
    np.savez_compressed(content, **_arrays(splits))
    write_atomically(path, content.getbuffer())


def write_npy_folder(splits: Splits, folder: Path) -> None:
    """The arrays as Keras names them, a file each; colours last."""
    for name, array in _arrays(splits).items():
        content = io.BytesIO()
        np.save(content, array)
        write_atomically(folder / f"{name}.npy", content.getbuffer())


def _parse(stream: IO[bytes], size: int, name: str) -> Array:
    """`size`: of everything in the stream."""
    start = stream.read(len(START) + 2)
    if not start.startswith(START) or len(start) < len(START) + 2:
        raise ValueError(f"{name} is not an .npy file: it does not start as one")
    width = 2 if start[-2] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    words = dict(WORD.findall(stream.read(min(length, LONGEST_HEADER)).decode("latin-1")))
    if len(words) < 3 or length > LONGEST_HEADER:
        raise ValueError(f"{name} is damaged: its header does not say what it holds")
    dtype, shape = _type(words["descr"][1:-1], name), tuple(map(int, re.findall(r"\d+", words["shape"])))
    needed, there = math.prod(shape) * dtype.itemsize, size - len(start) - width - length
    if needed != there:
        raise ValueError(f"{name} is damaged: its header says {dtype} of shape {shape}, which is {needed:,} bytes, "
                         f"and there are {max(there, 0):,}")
    if needed == 0 or not 1 <= len(shape) <= 4:
        raise ValueError(f"{name} holds {dtype} of shape {shape}, which can be neither samples nor labels")
    data = stream.read(needed)
    if len(data) < needed:
        raise ValueError(f"{name} is cut short: {len(data):,} of {needed:,} bytes are there")
    if dtype.kind == "U" and np.frombuffer(data, dtype.str[0] + "u4").max() > sys.maxunicode:
        raise ValueError(f"{name} is damaged: it holds what are no characters")
    values = np.frombuffer(data, dtype)
    by_column = words["fortran_order"] == "True"  # all axes the other way round
    array = values.reshape(shape[::-1]).T if by_column else values.reshape(shape)
    return array.astype(dtype.newbyteorder("="), order="C")  # the copy also makes it writable


def _type(code: str, name: str) -> np.dtype[Any]:
    if "O" in code:
        raise ValueError(f"{name} holds Python objects, which could run code when they are read; save numbers or text")
    if not TYPE.fullmatch(code):
        raise ValueError(f"{name} holds values of the type {code!a}; data are numbers or text")
    return np.dtype(code)


def _samples(found: Mapping[str, Where], read: Callable[[Where], Array], place: Path) -> Samples:
    spelling = next((names for names in SPELLINGS if set(names[:2]) <= set(found)), None)
    if spelling is None:
        raise ValueError(f"{place} has no arrays x_train and y_train, nor images and labels; it has "
                         f"{', '.join(map(ascii, list(found)[:10])) or 'none'}")

    def pair(inputs: str, labels: str) -> tuple[Array, Array]:
        return (_channels_second(as_inputs(read(found[inputs]), f"{inputs} of {place}")),
                _labels(read(found[labels]), f"{labels} of {place}"))

    names = tuple(map(str, read(found[NAMES]).ravel().tolist())) if NAMES in found else ()
    return Samples(pair(*spelling[:2]), pair(*spelling[2:]) if set(spelling[2:]) <= set(found) else None, names)


def _channels_second(images: Array) -> Array:
    """Pictures whose last axis is short, as colours are, with that axis behind the first."""
    last = images.ndim == 4 and images.shape[1] > 1 and images.shape[-1] <= 4
    return np.ascontiguousarray(np.moveaxis(images, -1, 1)) if last else images


def _labels(labels: Array, name: str) -> Array:
    """One whole number or text for each sample, `(N,)`; columns, `(N, 1)`, and whole numbers as floats are accepted."""
    if labels.size != len(labels):
        raise ValueError(f"{name} has the shape {labels.shape}; labels are one number or text for each sample")
    labels = labels.ravel()
    if labels.dtype.kind == "U":
        return labels
    with np.errstate(invalid="ignore"):  # what no whole number can hold differs from what comes out
        whole = labels.astype(np.int64)
    if np.any(whole != labels):
        raise ValueError(f"{name} has labels that are not whole numbers; a label is a class, by its number or its name")
    return whole


def _arrays(splits: Splits) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for part, (inputs, labels) in ((splits.train, SPELLINGS[0][:2]), (splits.test, SPELLINGS[0][2:])):
        arrays[inputs], arrays[labels] = part.inputs, part.targets
        if part.inputs.ndim == 4 and part.inputs.shape[1] <= 4:
            arrays[inputs] = part.inputs[:, 0] if part.inputs.shape[1] == 1 else np.moveaxis(part.inputs, 1, -1)
    if splits.classes != tuple(map(str, range(len(splits.classes)))):
        arrays[NAMES] = np.array(splits.classes)
    return arrays
