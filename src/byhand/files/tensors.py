"""Arrays under names, in a safetensors file: a header that says what lies where, and then the numbers."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from byhand.files.plain_json import from_json
from byhand.terminal import short

Array = np.ndarray[Any, Any]
TYPES = {"BOOL": "?", "F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8",
         **{f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)}}


class ModelFileError(ValueError):
    """A file is not a model that byhand can read. The message says which file and why."""


def file_of(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a file that holds these, always the same ones: the library itself puts metadata in an order that
    changes from file to file. Raises SafetensorError for arrays that it cannot hold."""
    content = save(dict(tensors), dict(metadata))
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:8 + size]) | {"__metadata__": metadata}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the numbers begin where a processor likes them to
    return b"".join((len(header).to_bytes(8, "little"), header, memoryview(content)[8 + size:]))


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    """The metadata and the arrays of a file, bfloat16 as float32. Nothing is allocated on its word alone.

    Raises ModelFileError, in a sentence, for what is no such file, or a damaged one.
    """
    try:
        with safe_open(path, framework="numpy"), path.open("rb") as file:  # the library checks all sizes and offsets
            size = int.from_bytes(file.read(8), "little")
            header = from_json(file.read(size))  # does it say everything once?
        metadata = header.pop("__metadata__", None) or {}
        return metadata, {name: array_of(name, facts, path, 8 + size) for name, facts in sorted(header.items())}
    except (SafetensorError, ValueError) as error:
        raise ModelFileError(f"{path} is not a safetensors file, or is damaged ({short(error)}).") from None


def array_of(name: str, facts: Mapping[str, Any], path: Path, start: int) -> Array:
    """An array of which the header says these facts. The numbers of the file begin at byte `start`."""
    if facts["dtype"] not in TYPES:
        raise ValueError(f"{name} holds {facts['dtype']}, which NumPy has no type for; save it in another")
    array = np.fromfile(path, TYPES[facts["dtype"]], math.prod(facts["shape"]), offset=start + facts["data_offsets"][0])
    if facts["dtype"] == "BF16":  # the upper half of float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.reshape(facts["shape"])
