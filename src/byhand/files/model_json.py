"""A small network as a text that anybody can read: JSON, in byhand's own layout.

    {"format": "byhand", "version": 1, "recipe": "mlp", "input_shape": [1, 28, 28], "classes": ["0", "1", ...],
     "preprocessing": {"mean": 0.13, "std": 0.31, "scale": 0.0039}, "metrics": {"test_accuracy": 0.98},
     "architecture": {"type": "Sequential", "layers": [{"type": "Linear", "in_features": 784, ...}, ...]},
     "dtype": "float32",
     "weights": {"0.weight": [[0.1, -0.2, ...], ...], "0.bias": [...]}}

It says what a model file in safetensors says, in the same words, with the numbers in lists: those of a (3, 4) weight
are three lists of four. Each has as few digits as bring back the same bits. That is for looking at, for other
languages, and for networks written by hand; it takes three times the room, so large networks are refused.
"""

import json
import os
import textwrap
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from byhand.atomic import write_atomically
from byhand.files.architecture import describe
from byhand.files.model import MOST_DIMENSIONS, VERSION, SavedModel, check_readable, check_version, must_be_saved, read
from byhand.files.plain_json import as_json, from_json, is_number, read_json
from byhand.files.tensors import ModelFileError
from byhand.terminal import short

Array = np.ndarray[Any, Any]
MOST_NUMBERS = 2_000_000
WIDTH = 100  # of a line of numbers


def save(saved: SavedModel, path: str | os.PathLike[str]) -> None:
    """Write a network as JSON, whole or not at all.

    What is to be written is read first, by the rules of `load`, so no file is written that could not be read again.
    Raises ValueError if it could not, such as for a layer of your own, for numbers that are not finite, or for more
    than 2,000,000 of them, and for a network that is no SavedModel; OSError if the file cannot be written.
    """
    must_be_saved(saved)
    state = saved.model.state_dict()
    count = sum(array.size for array in state.values())
    if count > MOST_NUMBERS:
        raise ValueError(f"the network has {count:,} numbers, and JSON is for networks of at most {MOST_NUMBERS:,}; "
                         "save it as safetensors, with bh.save.")
    for name, array in state.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has a number that is infinite or none at all, which JSON cannot hold: the "
                             "network was saved after training had failed.")
    double = any(array.dtype == np.float64 for array in state.values())
    facts = {"format": "byhand", "version": VERSION, "recipe": saved.recipe, "input_shape": saved.input_shape,
             "classes": saved.classes, "metrics": saved.metrics, "dtype": "float64" if double else "float32",
             "preprocessing": None if saved.normalize is None else saved.normalize.to_dict()}
    lines = [f"{json.dumps(name)}: {as_json(name, value)}" for name, value in facts.items()]
    lines.append(f'"architecture": {plan_text(describe(saved.model))}')
    weights = [f"  {json.dumps(name)}: {numbers_text(array)}" for name, array in state.items()]
    lines.append('"weights": {\n' + ",\n".join(weights) + "}")
    text = "{" + ",\n ".join(lines) + "}\n"
    check_readable(path, lambda: contents(from_json(text), len(text)))
    write_atomically(path, text.encode())


def load(path: str | os.PathLike[str]) -> SavedModel:
    """Read a network in this layout. Nothing is allocated on the word of the file.

    Raises ModelFileError, a ValueError, with one sentence about what is wrong with the file; OSError if there is none.
    """
    path = Path(path)
    try:
        return contents(read_json(path), path.stat().st_size)
    except (KeyError, RecursionError, ValueError) as error:
        raise ModelFileError(f"{path} does not describe a network: {short(error)}.") from None


def contents(document: Any, size: int) -> SavedModel:
    """What a text of this size says."""
    if not isinstance(document, dict) or document.get("format") != "byhand":
        raise ValueError("it is not an object with the format 'byhand'")
    check_version(json.dumps(document["version"]))
    if document["dtype"] not in ("float32", "float64"):
        raise ValueError("its dtype is neither 'float32' nor 'float64'")
    if not isinstance(document["weights"], dict):
        raise ValueError("its weights are not lists of numbers under names")
    state = {name: array_of(name[:40], value, document["dtype"]) for name, value in document["weights"].items()}
    return read(document, state, 4 * size)  # a number takes at least two letters, and at most eight bytes


def array_of(name: str, value: Any, dtype: str) -> Array:
    """Lists of lists of numbers as an array of this dtype; a whole number by itself, which counts something, as int64.

    Raises ValueError for lists that differ in length, or what is no finite number.
    """
    if type(value) is int and abs(value) < 2**63:
        return np.array(value, np.int64)
    shape, flat = [], [value]
    while isinstance(flat[0], list):
        shape.append(len(flat[0]))
        if any(not isinstance(part, list) or len(part) != shape[-1] for part in flat):
            raise ValueError(f"the lists of '{name}' differ in length")
        if shape[-1] == 0 or len(shape) > MOST_DIMENSIONS:
            raise ValueError(f"'{name}' has an empty list, or more than {MOST_DIMENSIONS} lists in each other")
        flat = list(chain.from_iterable(flat))
    numbers = np.array(flat if all(map(is_number, flat)) else [np.nan], np.float64)
    with np.errstate(over="ignore"):
        array = numbers.astype(dtype)
    if not np.isfinite(array).all():
        raise ValueError(f"'{name}' has something that is no finite number of the dtype {dtype}")
    return array.reshape(shape)


def plan_text(plan: dict[str, Any]) -> str:
    """The architecture, a layer on each line."""
    if plan["type"] != "Sequential" or not plan["layers"]:
        return json.dumps(plan)
    return '{"type": "Sequential", "layers": [\n  ' + ",\n  ".join(map(json.dumps, plan["layers"])) + "]}"


def numbers_text(array: Array) -> str:
    """An array in nested lists, each of the innermost on a line of its own, or on several if it is long. NumPy writes
    a number with as few digits as bring it back."""
    if array.ndim == 0:
        return str(array)
    if array.ndim > 1:
        return "[" + ",\n   ".join(map(numbers_text, array)) + "]"
    return textwrap.fill(f"[{', '.join(array.astype(str))}]", WIDTH, subsequent_indent=" " * 4)
