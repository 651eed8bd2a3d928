"""The whole state of a run in one file, so that it can go on after the power went.

A state is a dict of dicts and lists, in the end of arrays, numbers and words. The arrays become the tensors of a
safetensors file and everything else becomes JSON in its header, so a checkpoint cannot hold code any more than a model
can. A SHA-256 over all of it tells whether what is read is what was written, and the checkpoint before it is kept
beside it, for the day when it is not.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from byhand.atomic import write_atomically
from byhand.files.plain_json import as_json, from_json
from byhand.files.tensors import file_of, read_tensors
from byhand.terminal import short

Array = np.ndarray[Any, Any]
FORMAT = "byhand checkpoint"
VERSION = 1
TENSOR = "@tensor"  # {"@tensor": name} stands in the JSON where an array belongs


class DamagedCheckpoint(ValueError):
    """A file is not what was once saved as a checkpoint. The message says which file and why."""


def save_checkpoint(state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a state (`run.state_dict()`), whole or not at all. What was there is kept as the previous checkpoint.

    Raises ValueError for a state with something that is neither an array of numbers nor what JSON can hold; OSError,
    leaving the old one as it was, if it cannot be written.
    """
    tensors: dict[str, Array] = {}
    plain = as_json("a run's state", apart(state, "state", tensors), allow_nan=True)  # of a loss that grew beyond all
    metadata = {"format": FORMAT, "version": str(VERSION), "state": plain, "sha256": digest(plain, tensors)}
    try:
        content = file_of(tensors, metadata)
    except SafetensorError as error:
        raise ValueError(f"a run's state must be something that safetensors can hold ({error}).") from None
    write_atomically(path, content, previous=previous_of(Path(path)))


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The state in a file, for `fit(..., resume=state)`.

    Raises DamagedCheckpoint, a ValueError, for what is none or not as it was written; ValueError for one of a newer
    byhand; OSError if it cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}.")
    try:
        metadata, tensors = read_tensors(path)
    except ValueError as error:
        raise DamagedCheckpoint(str(error)) from None
    if metadata.get("format") != FORMAT:
        raise DamagedCheckpoint(f"{path} is not a checkpoint.")
    if metadata.get("version") != str(VERSION):
        version = short(metadata.get("version", "?")[:20])
        raise ValueError(f"{path} is a checkpoint of version {version}, and this byhand reads version {VERSION}; go on "
                         "with the byhand that wrote it.")
    try:
        if digest(metadata["state"], tensors) != metadata["sha256"]:
            raise ValueError("its SHA-256 is another")
        state = together(from_json(metadata["state"]), tensors)
        if not isinstance(state, dict):
            raise ValueError("it holds no state")
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise DamagedCheckpoint(f"{path} is a damaged checkpoint ({short(error)}).") from None
    return state


def latest_checkpoint(path: str | os.PathLike[str], notify: Callable[[str], None]) -> dict[str, Any] | None:
    """The state in `path` or, where that is damaged or was not yet there, in the one before it. None if there is
    neither.

    notify(sentence) is told of damage; the whole one then takes the place of the damaged one. Raises DamagedCheckpoint
    if none is whole, and what `load_checkpoint` raises.
    """
    path = Path(path)
    damaged = None
    for candidate in (path, previous_of(path)):
        if candidate.is_file():
            try:
                state = load_checkpoint(candidate)
            except DamagedCheckpoint as error:
                damaged = damaged or error
                continue
            if damaged:
                notify(f"{damaged} The one before it is whole, and takes its place.")
                os.replace(candidate, path)
            return state
    if damaged:
        raise damaged
    return None


def remove_checkpoints(path: str | os.PathLike[str]) -> None:
    """Remove a checkpoint and the one before it, as far as there are any."""
    for name in (previous_of(Path(path)), Path(path)):
        name.unlink(missing_ok=True)


def previous_of(path: Path) -> Path:
    """checkpoint.safetensors -> checkpoint-previous.safetensors."""
    return path.with_name(f"{path.stem}-previous{path.suffix}")


def apart(part: Any, name: str, tensors: dict[str, Array]) -> Any:
    """A part of a state without its arrays, which go to `tensors`."""
    if isinstance(part, np.ndarray):
        while name in tensors:  # "a/b" may be b in a, or called so
            name += "'"
        tensors[name] = np.asarray(part, order="C")
        return {TENSOR: name}
    if isinstance(part, Mapping):
        return {key: apart(value, f"{name}/{key}", tensors) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [apart(value, f"{name}/{i}", tensors) for i, value in enumerate(part)]
    return part


def together(part: Any, tensors: Mapping[str, Array]) -> Any:
    """What `apart` took apart. Raises KeyError for an array that is not there."""
    if isinstance(part, dict):
        return tensors[part[TENSOR]] if TENSOR in part else {k: together(v, tensors) for k, v in part.items()}
    return [together(value, tensors) for value in part] if isinstance(part, list) else part


def digest(plain: str, tensors: Mapping[str, Array]) -> str:
    """The SHA-256 of all that a checkpoint says."""
    sha = hashlib.sha256(plain.encode())
    for name, array in sorted(tensors.items()):
        sha.update(f"{name} {array.dtype} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
