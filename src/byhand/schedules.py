"""Schedules: how large a step to take, and when.

Far from the valley large steps save time; near its floor they jump over it. So the learning rate usually falls while
training goes on, and often rises first, while everything is still random. A schedule is a function from the progress of
the whole training, 0 at its start and 1 at its end, to a factor on the optimizer's own learning rate. Nothing in it
depends on how many batches there are:

    base = optimizer.lr
    for step in range(steps):
        optimizer.lr = base * schedule(step / steps)

`OnPlateau` is different in one way: it cannot know beforehand, so it is told after each epoch how things went.

Every schedule raises ValueError, in a sentence, for arguments outside their range and for progress outside 0 to 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

Schedule = Callable[[float], float]
"""From progress, 0 to 1, to a factor on the learning rate."""


TINY = 1e-12  # stands for "above 0", and gives back what rounding takes from 0.3 / 0.1
BIG = 1e12  # stands for "no upper limit", and leaves out infinity


def within(name: str, value: Any, low: float, high: float) -> float:
    """`value` as a float if it lies from `low` to `high`, both included."""
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
        limits = f"from {low:g} to {high:g}" if high < BIG else "above 0" if low else "of 0 or more"
        raise ValueError(f"{name} must be a number {limits}, got {value!r}.")
    return float(value)


@dataclass(frozen=True)
class Constant:
    """1, always: the learning rate stays as it is."""

    def __call__(self, progress: float) -> float:
        within("progress", progress, 0, 1)
        return 1.0


@dataclass(frozen=True)
class Step:
    """gamma ** k after k stretches of the length `every`, a part of the training: 1, then gamma, then gamma², ..."""

    every: float
    gamma: float = 0.1

    def __post_init__(self) -> None:
        within("every", self.every, TINY, 1)
        within("gamma", self.gamma, 0, BIG)

    def __call__(self, progress: float) -> float:
        return float(self.gamma ** math.floor(within("progress", progress, 0, 1) / self.every + TINY))


@dataclass(frozen=True)
class Exponential:
    """final ** progress: from 1 to `final`, falling by the same percentage in each step."""

    final: float

    def __post_init__(self) -> None:
        within("final", self.final, TINY, BIG)

    def __call__(self, progress: float) -> float:
        return float(self.final ** within("progress", progress, 0, 1))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine wave from 1 down to `final`: slow, then fast, then slow (Loshchilov and Hutter 2017, eq. 5)."""

    final: float = 0.0

    def __post_init__(self) -> None:
        within("final", self.final, 0, BIG)

    def __call__(self, progress: float) -> float:
        return half_wave(1.0, self.final, within("progress", progress, 0, 1))


@dataclass(frozen=True)
class WarmUp:
    """A straight line from `start` up to another schedule's beginning, then that schedule (Goyal et al. 2017, 2.2).

    fraction: the part of the training that the line takes; `then` is stretched over the rest of it.
    """

    fraction: float
    then: Schedule = field(default_factory=Constant)
    start: float = 0.0

    def __post_init__(self) -> None:
        within("fraction", self.fraction, 0, 1 - TINY)
        within("start", self.start, 0, BIG)
        if not callable(self.then):
            raise ValueError(f"then must be a schedule, such as Cosine(), got {self.then!r}.")

    def __call__(self, progress: float) -> float:
        if within("progress", progress, 0, 1) < self.fraction:
            return self.start + (self.then(0.0) - self.start) * progress / self.fraction
        return self.then((progress - self.fraction) / (1 - self.fraction))


@dataclass(frozen=True)
class OneCycle:
    """Half a cosine wave up from `start` to 1 at `peak_at`, then half a wave down to `final` (Smith and Topin 2018).

    The optimizer's own learning rate is the peak. The cosine form is PyTorch's.
    """

    peak_at: float = 0.3
    start: float = 1 / 25
    final: float = 1e-4

    def __post_init__(self) -> None:
        within("peak_at", self.peak_at, TINY, 1 - TINY)
        within("start", self.start, 0, 1)
        within("final", self.final, 0, 1)

    def __call__(self, progress: float) -> float:
        if within("progress", progress, 0, 1) < self.peak_at:
            return half_wave(self.start, 1.0, progress / self.peak_at)
        return half_wave(1.0, self.final, (progress - self.peak_at) / (1 - self.peak_at))


def half_wave(start: float, end: float, part: float) -> float:
    """From `start` to `end` along half a cosine wave."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


@dataclass
class OnPlateau:
    """Falls by `factor` whenever a value, say the validation loss, has not improved for more than `patience` epochs.

    Call `update(value)` after each epoch; less is better, so give an error rate rather than an accuracy. A value counts
    as an improvement below best · (1 - threshold). The factor on the learning rate never goes below `min_factor`. As
    PyTorch's ReduceLROnPlateau in mode "min".
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    min_factor: float = 0.0
    current: float = field(default=1.0, init=False)
    best: float = field(default=math.inf, init=False)
    bad_epochs: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        within("factor", self.factor, 0, 1 - TINY)
        within("threshold", self.threshold, 0, 1)
        within("min_factor", self.min_factor, 0, 1)
        if isinstance(self.patience, bool) or not isinstance(self.patience, int) or self.patience < 0:
            raise ValueError(f"patience must be a whole number of epochs, 0 or more, got {self.patience!r}.")

    def __call__(self, progress: float) -> float:
        """The factor as it stands; progress has no say in it."""
        within("progress", progress, 0, 1)
        return self.current

    def update(self, value: float) -> float:
        """Take an epoch's value and return the factor from now on. A value that is not a number is no improvement."""
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ValueError(f"OnPlateau.update needs a number, such as an epoch's validation loss, got {value!r}.")
        if float(value) < self.best * (1 - self.threshold):
            self.best, self.bad_epochs = float(value), 0
        else:
            self.bad_epochs += 1
        if self.bad_epochs > self.patience:
            self.current, self.bad_epochs = max(self.current * self.factor, self.min_factor), 0
        return self.current

    def state_dict(self) -> dict[str, float]:
        """What has to be remembered to go on later as if nothing had happened: plain numbers."""
        return {"current": self.current, "best": self.best, "bad_epochs": self.bad_epochs}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from what `state_dict` returned. Raises ValueError for anything else."""
        if set(state) != {"current", "best", "bad_epochs"}:
            raise ValueError(f"this is not the state of an OnPlateau schedule: it has the keys {sorted(state)}.")
        self.current, self.best, self.bad_epochs = state["current"], state["best"], int(state["bad_epochs"])
