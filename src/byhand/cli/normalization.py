"""The option --normalize: how samples were normalized in training, where the file of a model does not say so.

A file that another program wrote mostly holds the network alone. What was done to samples before they reached it was
done by code that is not in the file, and a network that gets other numbers answers worse, without a word. A graph that
normalizes floats itself does not say either whether its pixels were divided by 255 before. So what is assumed is said,
and the option changes it.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from byhand.cli.options import Command

if TYPE_CHECKING:
    from byhand.files import SavedModel

EXAMPLES = "such as 0.1307,0.3081 (for each of three colours: three means, then three deviations), or none"


def numbers(context: click.Context, option: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """The means, then as many deviations; () for none."""
    if value is None:
        return None
    if value == "none":
        return ()
    try:
        found = tuple(map(float, value.split(",")))
    except ValueError:
        found = ()
    if not found or len(found) % 2 or not all(map(math.isfinite, found)):
        raise click.BadParameter(f"'{value}' is not MEAN,STD, {EXAMPLES}.")
    if min(found[len(found) // 2:]) <= 0:
        raise click.BadParameter(f"'{value}' has a deviation that is not above 0; give MEAN,STD, {EXAMPLES}.")
    return found


def normalize(command: Command) -> Command:
    """The option --normalize of commands that read models from elsewhere."""
    return click.option("--normalize", "given", metavar="MEAN,STD", callback=numbers, help=(
        "How inputs were normalized in training, where another program's file does not say: mean and standard "
        "deviation of pixels from 0 to 1, as in 0.1307,0.3081; for colours three means, then three deviations; or "
        "none, for pixels from 0 to 255 (default: pixels from 0 to 1 as they are)."))(command)


def as_trained(saved: "SavedModel", given: tuple[float, ...] | None, file: Path, dtype: Any = None) -> "SavedModel":
    """The model with its normalization: the file's own, the one that is given, or what is assumed.

    dtype: of the samples; bytes are divided by 255 first, as PyTorch's ToTensor does it, and other numbers, such as
    those of a table, are not. None if they are not known yet: pictures are bytes. Raises UsageError for a normalization
    beside the file's own, or one for another number of channels.
    """
    from byhand.data import Normalize

    in_bytes = dtype == "uint8" if dtype is not None else len(saved.input_shape) in (0, 3)
    if given is None:
        assumed = replace(saved.normalize or Normalize(), scale=1 / 255)
        return replace(saved, normalize=assumed) if in_bytes and not saved.normalize_known else saved
    if saved.normalize is not None and (given or saved.normalize_known):
        unless = "" if saved.normalize_known else ", or give --normalize none if it takes pixels from 0 to 255"
        raise click.UsageError(f"{file} says itself how its inputs are normalized; leave out --normalize{unless}.")
    if not given:
        return replace(saved, normalize_known=True)
    channels = len(given) // 2
    if channels > 1 and saved.input_shape and saved.input_shape[0] != channels:
        raise click.UsageError(f"--normalize has {channels} means and {channels} deviations, and a sample of {file} "
                               f"has the shape {saved.input_shape}; give {saved.input_shape[0]} of each.")
    mean, std = (part if channels > 1 else part[0] for part in (given[:channels], given[channels:]))
    return replace(saved, normalize=Normalize(mean, std, 1 / 255 if in_bytes else 1.0), normalize_known=True)


def say_what_is_assumed(saved: "SavedModel", file: Path, tell: Callable[[str], None]) -> None:
    """Tell what the file does not say and is taken for granted, if anything is."""
    from byhand.data import Normalize

    silent = f"{file} does not say how its inputs were normalized in training"
    if saved.normalize_known:
        return
    if saved.normalize is None:
        tell(f"{silent}; they are taken as they are. If that is wrong, give --normalize MEAN,STD.")
    elif saved.normalize == Normalize():
        tell(f"{silent}; pixels from 0 to 1 are assumed. If that is wrong, give --normalize MEAN,STD of such pixels, "
             "or --normalize none for pixels from 0 to 255.")
    elif saved.normalize.scale != 1:  # as it is where a graph of floats gets floats, and nothing was assumed
        tell(f"{file} normalizes its inputs itself; pixels from 0 to 1 are assumed to come into it. If that is wrong, "
             "give --normalize none for pixels from 0 to 255.")
