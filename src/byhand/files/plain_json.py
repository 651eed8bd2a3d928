"""JSON from a stranger. The standard leaves open what a key that stands twice means, so two programs can read two
different things in one file; here it is refused."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def from_json(text: str | bytes) -> Any:
    """What the JSON says. Raises ValueError if it is none, and for a key that stands twice in one object."""
    return json.loads(text, object_pairs_hook=once_each)


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's keys and values as a dict."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key '{twice[:40]}' stands twice in one object")
    return found


def as_json(name: str, value: Any) -> str:
    """`value` in JSON, with NumPy's numbers and arrays as Python's."""
    def plain(part: Any) -> Any:
        if isinstance(part, np.generic | np.ndarray):
            return part.tolist()
        if isinstance(part, Mapping):
            return dict(part)
        raise TypeError(f"it cannot hold a {type(part).__name__}")

    try:
        return json.dumps(value, default=plain)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be something that JSON can hold ({error}).") from None
