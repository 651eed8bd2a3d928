"""All there is to tell of a run, in plain things, and what follows from it."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from byhand import metrics
from byhand.charts import Points
from byhand.data import KNOWN, Dataset
from byhand.data.dataset import has_classes
from byhand.history import History
from byhand.inference import Evaluation
from byhand.nn import Module
from byhand.pictures import is_pictures

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Outcome:
    """A finished run."""

    method: str
    """What was done, in a line: '784-256-128-10, mini-batches, Adam'."""
    result: Mapping[str, Any]
    """What `byhand train --json` prints."""
    configuration: Mapping[str, Any]
    """What `config.json` says."""
    command: str
    """The command that repeats the run."""
    history: History
    model: Module
    train: Dataset
    test: Dataset
    tested: Evaluation
    """Of the model, on the test samples."""
    validation_samples: int = 0
    findings: Sequence[Any] = ()
    """What was noticed while it learned; each has a `sentence`, and a `severity`: alarm or remark."""
    batches: Points = ()
    """The losses of the batches: (epochs done, loss)."""

    @cached_property
    def probabilities(self) -> Array | None:
        """(N, classes), or None where the targets are not classes or the outputs not finite."""
        outputs = self.tested.outputs
        sound = has_classes(self.test) and outputs.ndim == 2 and np.isfinite(outputs).all()
        return metrics.probabilities(outputs) if sound else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a sample."""
        return self.test.inputs.shape[1:]

    @property
    def pictures(self) -> bool:
        """Whether the samples are some."""
        return is_pictures(self.test.inputs)

    @property
    def things(self) -> str:
        """What a sample is called."""
        return "pictures" if self.pictures else "samples"


def command(configuration: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """The command that repeats a run. configuration: what `config.json` says; usual: the recipe's settings as they are
    if nobody changes them."""
    named = configuration["dataset"] in {known.name for known in KNOWN} or not configuration["source"]
    words = ["byhand", "train", configuration["recipe"],
             "--data", configuration["dataset"] if named else configuration["source"]]
    for name, value in configuration["settings"].items():
        if value != usual[name]:
            words += ["--set", f"{name}={str(value).lower()}"]
    words += ["--seed", str(configuration["seed"]), "--threads", str(configuration["threads"])]
    return shlex.join(words)


def percent(part: float | None, digits: int = 2) -> str:
    """98.95 %, and a dash for NaN, a figure that nothing tells."""
    if part is None:
        return "not measured"
    return "–" if math.isnan(part) else f"{100 * part:.{digits}f} %"


def interval(ends: Sequence[float]) -> str:
    """98.73 to 99.13 %."""
    return f"{100 * ends[0]:.2f} to {100 * ends[1]:.2f} %"


def duration(seconds: float) -> str:
    """0.25 s, 12.3 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.{1 if seconds >= 1 else 2}f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def sized(shape: Sequence[int]) -> str:
    """28 × 28, 3 × 32 × 32, 30 numbers."""
    if len(shape) == 1:
        return f"{shape[0]:,} number{'s' * (shape[0] != 1)}"
    return " × ".join(map(str, shape[1:] if shape[0] == 1 else shape)) or f"{math.prod(shape)} number"
