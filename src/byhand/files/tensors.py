"""Arrays under names, in a safetensors file: a header that says what lies where, and then the numbers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from byhand.files.plain_json import from_json
from byhand.terminal import short

Array = np.ndarray[Any, Any]


def file_of(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a file that holds these, always the same ones: the library itself puts metadata in an order that
    changes from file to file. Raises SafetensorError for arrays that it cannot hold."""
    content = save(dict(tensors), dict(metadata))
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:8 + size]) | {"__metadata__": metadata}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the numbers begin where a processor likes them to
    return b"".join((len(header).to_bytes(8, "little"), header, memoryview(content)[8 + size:]))


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    """The metadata and the arrays of a file. Nothing is allocated on its word alone.

    Raises ValueError, in a sentence, for what is no such file, or a damaged one.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is not a dict)
        for name, array in tensors.items():
            if array.dtype.kind not in "biufc":  # some packages teach NumPy more of them
                raise TypeError(f"{name} holds {array.dtype}, which is no type of NumPy's own")
        with path.open("rb") as raw:
            from_json(raw.read(int.from_bytes(raw.read(8), "little")))  # the header: does it say everything once?
    except (SafetensorError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a safetensors file, or is damaged ({short(error)}).") from None
    return metadata, tensors
