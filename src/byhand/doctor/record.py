"""The measurements of a run in its folder, so that the doctor can judge later, and also a run that was killed.

What is read is checked to the last number: a file that says something else than it should is refused in a sentence.
"""

import json
import sys
import types
import typing
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, cast

from byhand.atomic import write_atomically
from byhand.doctor.measured import Measured
from byhand.files.plain_json import from_json

MEASUREMENTS = "measurements.json"
VERSION = 1
LARGEST = 100_000_000
"""Bytes: the measurements of a network with a hundred layers are one of these, and so are a few thousand epochs."""


def write(path: Path, measured: Measured) -> None:
    """Write the measurements, whole or not at all."""
    write_atomically(path, json.dumps({"version": VERSION} | asdict(measured), allow_nan=False).encode())


def examined(folder: Path) -> dict[Path, Measured]:
    """What was measured in a run folder, or in each of the runs with several seeds that lie in it.

    Raises FileNotFoundError if it is neither, ValueError for a file that is not what a run leaves, OSError for one that
    cannot be read.
    """
    files = [path for path in (folder / MEASUREMENTS, *sorted(folder.glob(f"*/{MEASUREMENTS}"))) if path.is_file()]
    if not files:
        raise FileNotFoundError(f"the folder {folder} is no run folder: there is no {MEASUREMENTS} in it."
                                if folder.is_dir() else f"there is no run folder {folder}.")
    return {path.parent: read(path) for path in files}


def read(path: Path) -> Measured:
    """The measurements in a file."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has {path.stat().st_size:,} bytes")
        content = from_json(path.read_bytes())
        if not isinstance(content, dict) or content.pop("version", None) != VERSION:
            raise ValueError(f"it is not of version {VERSION}")
        measured = cast(Measured, built(Measured, content, "it"))
        if min(measured.epochs, measured.batches, measured.samples, measured.step, *measured.counts) < 0:
            raise ValueError("it counts less than nothing")
        return measured
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not what a run leaves: {error}.") from None


def built(kind: Any, value: Any, what: str) -> Any:
    """A value from JSON as `kind`: a number, a text, a list or dict of such, a dataclass with all its fields, or None
    where that may be. Raises ValueError, with `what` it is, for any other."""
    within = typing.get_args(kind)
    if is_dataclass(kind) and type(value) is dict and value.keys() == {part.name for part in fields(kind)}:
        return cast(Any, kind)(**{part.name: built(part.type, value[part.name], part.name) for part in fields(kind)})
    if typing.get_origin(kind) is list and type(value) is list:
        return [built(within[0], item, what) for item in value]
    if typing.get_origin(kind) is dict and type(value) is dict:
        return {name: built(within[1], item, name) for name, item in value.items()}
    if typing.get_origin(kind) is types.UnionType:  # or None
        return None if value is None else built(within[0], value, what)
    if kind in (int, float) and type(value) in (int, kind) and abs(value) <= sys.float_info.max:
        return kind(value)
    if kind in (str, bool) and type(value) is kind:
        return value
    raise ValueError(f"{what[:40]} is {json.dumps(value)[:40]}")
