"""The kinds of files that are fuzzed: for each, what reads it, what is inside it, and good files to begin with."""

import gzip
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mutations import Open

import byhand as bh
from byhand import scalar
from byhand.data import Normalize, read_idx, write_idx
from byhand.files import ModelFileError
from byhand.files.reading import open_model
from byhand.files.scalar_json import write_scalar_json

MOST_INPUTS = 4096  # numbers in a sample that a model is tried on


@dataclass(frozen=True)
class Kind:
    """`read` gets the path of a file and raises ValueError or OSError for a bad one; `seeds` gives good files by name;
    `envelope` opens one."""

    name: str
    read: Callable[[Path], Any]
    seeds: Callable[[], Iterator[tuple[str, bytes]]]
    envelope: Open | None = None


# --- IDX --------------------------------------------------------------------------------------------------------------


def idx_files() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    arrays = {"labels": rng.integers(0, 10, 20).astype(np.uint8), "one": np.zeros((1, 1), np.int8),
              "images": rng.integers(0, 255, (3, 4, 5)).astype(np.uint8), "none": np.zeros((0, 28, 28), np.uint8),
              "real": rng.standard_normal((2, 3)).astype(np.float32), "five": np.zeros((1, 2, 1, 2, 1), np.int16)}
    with TemporaryDirectory() as folder:
        for name, array in arrays.items():
            for ending in ("", ".gz"):
                path = Path(folder, name + ending)
                write_idx(path, array)
                yield path.name, path.read_bytes()


def inside_gzip(content: bytes, rng: Random) -> tuple[bytes, Callable[[bytes], bytes]] | None:
    try:
        return gzip.decompress(content), lambda inner: gzip.compress(inner, rng.choice((1, 9)), mtime=0)
    except (OSError, EOFError, zlib.error):
        return None


# --- models -----------------------------------------------------------------------------------------------------------


def model_files() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    nn = bh.nn
    networks = {
        "linear": (nn.Sequential(nn.Flatten(), nn.Linear(4, 2, rng)), (1, 2, 2)),
        "conv": (nn.Sequential(nn.Conv2d(1, 2, 3, rng, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2),
                               nn.Residual(nn.Conv2d(2, 2, 1, rng), nn.GELU()), nn.GlobalAvgPool2d(), nn.Flatten(),
                               nn.Dropout(0.1), nn.LayerNorm(2), nn.Linear(2, 2, rng)), (1, 6, 6)),
        "float64": (nn.Sequential(nn.Linear(3, 2, rng), nn.Tanh(), nn.Softmax()).to(np.float64), (3,)),
    }
    with TemporaryDirectory() as folder:
        path = Path(folder, "model")
        for name, (network, shape) in networks.items():
            bh.save(network, path, input_shape=shape, normalize=Normalize(mean=0.1, std=0.3), classes=("a", "b"),
                    recipe="mlp", metrics={"test_accuracy": 0.5})
            yield name, path.read_bytes()


def inside_safetensors(content: bytes, rng: Random) -> tuple[bytes, Callable[[bytes], bytes]] | None:
    """The header, as JSON; or, now and then, the numbers."""
    size = int.from_bytes(content[:8], "little")
    header, numbers = content[8:8 + size], content[8 + size:]
    if len(header) < size:
        return None
    if rng.random() < 0.1:
        return numbers, lambda inner: content[:8] + header + inner
    return header, lambda inner: len(inner).to_bytes(8, "little") + inner + numbers


def read_model(path: Path) -> None:
    """Load it, and let it answer, as a user would do next."""
    saved = open_model(path)
    shape = saved.input_shape or (MOST_INPUTS,)
    if np.prod(shape, dtype=float) <= MOST_INPUTS:
        try:
            saved.predict(np.zeros((2, *shape), np.uint8))
        except ValueError as error:  # it need not fit together; but the file has been read, and is not named any more
            raise ModelFileError(f"{path}: {error}") from None


def scalar_files() -> Iterator[tuple[str, bytes]]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "net")
        for sizes in ([3, 2, 1], [2, 2]):
            write_scalar_json(scalar.Net(sizes, random.Random(0)), path)
            yield "-".join(map(str, sizes)), path.read_bytes()


KINDS = {kind.name: kind for kind in (
    Kind("idx", read_idx, idx_files, inside_gzip),
    Kind("model", read_model, model_files, inside_safetensors),
    Kind("scalar", read_model, scalar_files),
)}
