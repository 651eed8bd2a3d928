"""JSON from a stranger. The standard leaves open what a key that stands twice means, so two programs can read two
different things in one file; here it is refused."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from byhand.terminal import short

LARGEST = 64 * 2**20  # bytes of a file that is read: millions of numbers, and far more than a person would


def read_json(path: Path) -> Any:
    """What the JSON in a file says, whatever that is. Raises ValueError, which does not name the file."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist.")
    if not path.is_file():
        raise ValueError("it is a folder or a device, not a file.")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"it has more than the {LARGEST:,} bytes that such a file may have.")
    try:
        return from_json(path.read_bytes())
    except (RecursionError, ValueError) as error:
        raise ValueError(f"it is no JSON ({short(error)}).") from None


def from_json(text: str | bytes) -> Any:
    """What the JSON says. Raises ValueError if it is none, and for a key that stands twice in one object."""
    return json.loads(text, object_pairs_hook=once_each)


def once_each(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object's keys and values as a dict."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key '{key[:40]}' stands twice in one object")
        found[key] = value
    return found


def as_json(name: str, value: Any, allow_nan: bool = False) -> str:
    """`value` in JSON, with NumPy's numbers and arrays as Python's. NaN and infinity have no place in it, though Python
    can write them for itself."""
    def plain(part: Any) -> Any:
        if isinstance(part, np.generic | np.ndarray):
            return part.tolist()
        if isinstance(part, Mapping):
            return dict(part)
        raise TypeError(f"it cannot hold a {type(part).__name__}")

    try:
        return json.dumps(value, default=plain, allow_nan=allow_nan)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be something that JSON can hold ({error}).") from None


def is_number(value: Any) -> bool:
    """A number that a float can hold. JSON also has true, which Python counts as 1, and whole numbers of any length."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
