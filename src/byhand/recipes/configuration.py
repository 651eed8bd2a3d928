"""`config.json`: all it takes to repeat a run, and to tell whether the run that goes on is still the one that began.

The data is known by its content, so it may have moved meanwhile. Another recipe, other settings or other data would
make another run of it, and are refused. Other versions or kernels, or another number of threads, make the same run with
other last bits, and are named.
"""

import hashlib
import json
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import byhand
from byhand import kernels
from byhand.atomic import write_atomically
from byhand.data import Splits, fingerprint, load, load_or_mini
from byhand.files.plain_json import from_json
from byhand.recipes.catalogue import find
from byhand.recipes.recipe import Recipe
from byhand.terminal import short

CONFIG, RESULT = "config.json", "result.json"
Notify = Callable[[str], None]


def configuration(recipe: Recipe, data: Splits, seed: int) -> dict[str, Any]:
    """What `config.json` says of a run."""
    return {"recipe": recipe.name, "settings": recipe.settings(), "dataset": data.name,
            "source": str(Path(data.source).absolute() if data.source and Path(data.source).exists() else data.source),
            "data_sha256": fingerprint(data), "seed": seed, "seeds": 1, **surroundings()}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """A JSON file that a person can read."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def surroundings() -> dict[str, Any]:
    """What the last bits of a result depend on, besides the recipe, the data and the seed."""
    code = hashlib.sha256()
    for path in sorted(Path(byhand.__file__).parent.rglob("*.py")):
        code.update(path.read_bytes())
    return {"threads": kernels.get_num_threads(), "kernels": kernels.in_use(), "byhand": byhand.__version__,
            "code_sha256": code.hexdigest(), "numpy": np.__version__, "blas": kernels.blas(),
            "numba": version("numba") if kernels.in_use() == "jit" else "not in use",
            "python": platform.python_version(), "machine": platform.machine()}


@dataclass(frozen=True)
class BegunRun:
    """What `config.json` says of the run in a folder."""

    folder: Path
    recipe: Recipe
    seed: int
    seeds: int
    threads: int
    config: Mapping[str, Any]

    @property
    def finished(self) -> bool:
        """Whether it has a result, which comes last."""
        return (self.folder / RESULT).is_file()

    def data(self, source: str | None, notify: Notify) -> Splits:
        """The data that the run began with, read from `source`, or from where it was. Raises ValueError if it has
        changed, or is not there any more."""
        was = self.config["source"]
        try:
            data = load(source or (was if was and Path(was).exists() else self.config["dataset"]), notify)
        except (OSError, ValueError) as error:
            raise ValueError(f"the data of the run {self.folder}, {self.config['dataset']}, was read from {was} and is "
                             f"needed again ({str(error).rstrip('.')}); say where it is with --data.") from None
        if fingerprint(data) != self.config["data_sha256"]:
            raise ValueError(f"the run {self.folder} began with other data than there is now in {data.source}: its "
                             "SHA-256 differs; say with --data where that is which it began with.")
        train, test = (replace(part, name=self.config["dataset"]) for part in (data.train, data.test))
        return replace(data, train=train, test=test)

    def changes(self) -> Iterator[str]:
        """A sentence for each thing that is not as it was, and may show in the last bits."""
        for name, now in surroundings().items():
            was = self.config.get(name)
            if was != now:
                what = "byhand's code has changed" if name == "code_sha256" else f"{name} was {was} and is {now}"
                yield (f"{what} since the run {self.folder} began: it goes on, but may end with other last bits than "
                       "without an interruption")


def open_run(folder: Path) -> BegunRun:
    """The run that a folder holds. Raises ValueError or OSError, in a sentence, if it holds none that could go on."""
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a run folder: it has no {CONFIG}.")
    try:
        config = from_json(path.read_bytes())
        recipe = find(config["recipe"]).having(**config["settings"])
        seed, seeds, threads = (config[name] for name in ("seed", "seeds", "threads"))
        if not all(isinstance(config[name], str) for name in ("dataset", "source", "data_sha256")):
            raise TypeError("it does not say what data it began with")
        if any(type(n) is not int for n in (seed, seeds, threads)) or seed < 0 or min(seeds, threads) < 1:
            raise TypeError("its seed, seeds and threads are not whole numbers of at least 0, 1 and 1")
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not describe a run that could go on ({short(error)}); begin another "
                         "one.") from None
    return BegunRun(folder, recipe, seed, seeds, threads, config)


def data_for(model: Path, source: str | None, otherwise: str, notify: Notify) -> Splits:
    """The data to try a model on: `source`, if that is given; else what a run folder was trained on; `otherwise` for
    a file. Raises ValueError where that is not to be had; a run's, too, where it has changed, since what was learned
    from might now be among what is tested with."""
    if source is None and (model / CONFIG).is_file():
        return open_run(model).data(None, notify)
    return load_or_mini(source or otherwise, notify)
