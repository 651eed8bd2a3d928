"""Arrays under names, in a safetensors file: a header that says what lies where, and then the numbers."""

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from byhand.files.plain_json import from_json
from byhand.terminal import short

Array = np.ndarray[Any, Any]


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    """The metadata and the arrays of a file. Nothing is allocated on its word alone.

    Raises ValueError, in a sentence, for what is no such file, or a damaged one.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is not a dict)
        with path.open("rb") as raw:
            from_json(raw.read(int.from_bytes(raw.read(8), "little")))  # the header: does it say everything once?
    except (SafetensorError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a safetensors file, or is damaged ({short(error)}).") from None
    return metadata, tensors
