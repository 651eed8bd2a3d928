"""IDX, the file format that MNIST comes in: a header of a few bytes, then the numbers, nothing else.

    two zero bytes, a type code, the number of dimensions    00 00 08 03
    each dimension as a big-endian 32-bit integer            00 00 EA 60  00 00 00 1C  00 00 00 1C
    the values, row by row, big-endian                       60,000 x 28 x 28 bytes

The format has no checksum and no room for surprises, so the reader insists: every byte must be accounted for, and a
header that promises more than the file can hold is refused before any memory is set aside. An array has exactly one
encoding, which is why `digest` can recognize a published file from the array alone.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File formats".
"""

import gzip
import hashlib
import io
import math
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from byhand.atomic import write_atomically

Array = NDArray[Any]

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_DIMENSIONS = 32  # what every NumPy can hold
PIECE = 1 << 20  # bytes read at a time
DEFLATE_LIMIT = 1032  # no gzip stream expands further than this many times (zlib's technical notes)


def read_idx(source: str | os.PathLike[str] | bytes) -> Array:
    """The array in an IDX file, in native byte order. `source` is a path, or the file's bytes.

    Gzip is recognized by its first two bytes, whatever the file is called.
    Raises ValueError, naming the file, for anything but one whole IDX array; FileNotFoundError if there is no file.
    """
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), len(source), "the IDX data")
    path = Path(source)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not an IDX file")
    try:
        with path.open("rb") as file:
            return _read(file, os.fstat(file.fileno()).st_size, str(path))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist") from None


def _read(file: BinaryIO, size: int, name: str) -> Array:
    zipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    try:
        if zipped:
            with gzip.GzipFile(fileobj=file) as stream:
                return _parse(stream, size * DEFLATE_LIMIT, name)
        return _parse(file, size, name)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{name} is damaged or cut short: its gzip stream cannot be read ({error})") from None


def _parse(stream: BinaryIO | gzip.GzipFile, limit: int, name: str) -> Array:
    """`limit`: how many bytes the stream can hold at the very most."""
    start = stream.read(4)
    if not start:
        raise ValueError(f"{name} is empty")
    if len(start) < 4 or start[:2] != b"\0\0":
        raise ValueError(f"{name} is not an IDX file: it starts with {start.hex(' ')}, and an IDX file with 00 00")
    code, dimensions = start[2:]
    if code not in TYPES:
        known = ", ".join(f"0x{known:02x}" for known in TYPES)
        raise ValueError(f"{name} has the unknown type code 0x{code:02x}; IDX knows {known}")
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise ValueError(f"{name} claims {dimensions} dimensions; an IDX array has 1 to {MOST_DIMENSIONS}")
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise ValueError(f"{name} is cut short inside its header")
    shape = struct.unpack(f">{dimensions}I", sizes)
    dtype = np.dtype(TYPES[code])
    needed = math.prod(shape) * dtype.itemsize
    if needed > limit:
        raise ValueError(f"{name} is cut short: its header says {_by(shape)}, more values than the file can hold")
    if math.prod(filter(None, shape)) * dtype.itemsize > sys.maxsize:  # none at all, but of an impossible size
        raise ValueError(f"{name} claims {_by(shape)}, and no array has such a shape")
    data = _at_most(needed + 1, stream)  # one more than promised: enough to notice a file that is too long
    if len(data) < needed:
        raise ValueError(f"{name} is cut short: {len(data):,} of the {needed:,} bytes of values are there")
    if len(data) > needed:
        raise ValueError(f"{name} is too long: values go on after the {needed:,} bytes that its header says")
    return np.frombuffer(data, dtype, math.prod(shape)).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _at_most(count: int, stream: BinaryIO | gzip.GzipFile) -> bytearray:
    """Up to `count` bytes, piece by piece: memory grows with what is there, not with what a header promises."""
    data = bytearray()
    while piece := stream.read(min(PIECE, count - len(data))):
        data += piece
    return data


def write_idx(path: str | os.PathLike[str], array: Array) -> None:
    """Write an array as an IDX file, compressed if the name ends in `.gz`; the same array gives the same bytes.

    The file appears under its name only when it is complete, so a reader, or a second writer, never meets half of one.
    Raises ValueError for a type or shape that IDX cannot hold.
    """
    header, values = _encode(array)
    if Path(path).suffix == ".gz":
        write_atomically(path, gzip.compress(b"".join((header, values)), mtime=0))
    else:
        write_atomically(path, header, values)


def digest(array: Array) -> str:
    """The SHA-256, in hexadecimal, of the array's uncompressed IDX file."""
    header, values = _encode(array)
    sha = hashlib.sha256(header)
    sha.update(values)
    return sha.hexdigest()


def _encode(array: Array) -> tuple[bytes, memoryview]:
    big_endian = array.dtype.newbyteorder(">")
    codes = [code for code, name in TYPES.items() if np.dtype(name) == big_endian]
    if not codes:
        raise ValueError(f"IDX holds uint8, int8, int16, int32, float32 and float64, not {array.dtype}")
    if not 1 <= array.ndim <= MOST_DIMENSIONS or max(array.shape) >= 2**32:
        raise ValueError(f"IDX holds arrays of 1 to {MOST_DIMENSIONS} dimensions, each under 2**32, "
                         f"not {_by(array.shape)}")
    header = struct.pack(f">4B{array.ndim}I", 0, 0, codes[0], array.ndim, *array.shape)
    return header, np.ascontiguousarray(array, big_endian).reshape(-1).view(np.uint8).data


def _by(shape: tuple[int, ...]) -> str:
    shown = " x ".join(f"{n:,}" for n in shape[:4]) or "a single number"
    return shown if len(shape) <= 4 else f"{shown} x ... ({len(shape)} dimensions)"
