"""How large a step? The learning-rate range test (Smith 2017, "Cyclical learning rates", section 3.3).

Train for a hundred steps or so, and let the learning rate grow with each, from far too small to far too large. At first
nothing happens; then the loss falls, faster and faster; then it explodes. A good rate lies where it falls.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand import nn
from byhand.callbacks import Callback, Run
from byhand.data import Normalize
from byhand.data.dataset import as_dataset
from byhand.inference import Loss
from byhand.nn.layers import positive
from byhand.optim import Optimizer
from byhand.train import Samples, check, fit

Array = np.ndarray[Any, Any]
SPAN = 10
"""The smoothed loss is an average over about a tenth of the steps."""
EXPLODED = 4.0
"""The test ends when the smoothed loss is this many times its lowest."""


@dataclass(frozen=True)
class RangeTest:
    """What a range test saw. All arrays are (steps,)."""

    rates: Array
    losses: Array
    """Of a batch, after the step with this rate."""
    smoothed: Array
    """The losses without most of their noise."""
    suggested: float
    """The rate to try."""


class Growing(Callback):
    """Takes each step with the next of the rates, and notes the loss that follows."""

    def __init__(self, rates: Array) -> None:
        self.rates = rates
        self.kept = 1 - SPAN / len(rates)
        self.losses: list[float] = []
        self.smoothed: list[float] = []

    def on_step(self, run: Run) -> None:
        done = run.step  # the loss at hand is what the step before has left
        if done:
            self.note(run.loss)
        if done == len(self.rates) or (done and self.exploded()):
            run.stopped = run.stopped or "the range test is over"
        else:
            run.optimizer.lr = float(self.rates[done])

    def exploded(self) -> bool:
        """Whether the smoothed loss is no number any more, or far above its lowest."""
        lowest = min(self.smoothed)
        return not self.smoothed[-1] - lowest <= (EXPLODED - 1) * abs(lowest)

    def note(self, loss: float) -> None:
        """A loss, and beside it the average of all so far, the latest of which count most."""
        n = len(self.losses)
        before = self.smoothed[-1] * (1 - self.kept ** n) if n else 0.0
        self.losses.append(loss)
        self.smoothed.append((self.kept * before + (1 - self.kept) * loss) / (1 - self.kept ** (n + 1)))


def find_lr(model: nn.Module, train: Samples, *, loss: Loss, optimizer: Optimizer, rng: np.random.Generator,
            batch_size: int | None = 32, normalize: Normalize | None = None,
            augment: Callable[[Array, np.random.Generator], Array] | None = None, lowest: float = 1e-6,
            highest: float = 100.0, steps: int = 100) -> RangeTest:
    """Try `steps` learning rates from `lowest` to `highest`, each larger than the one before by the same factor.

    The arguments are those of `fit`. Model, optimizer and `rng` are afterwards as they were (but for gradients, which
    are forgotten). The test ends early when the loss explodes. The suggested rate is the one at which three quarters of
    the whole fall of the smoothed loss lie behind: it still falls fast there, and the floor is far enough away.

    Raises ValueError for rates or steps that make no range, and where the loss falls at none of the rates.
    """
    positive("find_lr", steps=steps)
    if not 0 < lowest < highest < math.inf or steps < 10:
        raise ValueError("find_lr needs rates 0 < lowest < highest and at least 10 steps, got "
                         f"{lowest!r}, {highest!r} and {steps}.")
    check(model, optimizer, rng, 1, order_is_free=True)
    train = as_dataset(train, "train")
    batches = -(-len(train) // (batch_size or max(1, len(train))))
    growing = Growing(np.geomspace(lowest, highest, steps))
    weights, memory, dice = model.state_dict(), optimizer.state_dict(), rng.bit_generator.state
    try:
        run = fit(model, train, loss=loss, optimizer=optimizer, rng=rng, epochs=-(-(steps + 1) // max(1, batches)),
                  batch_size=batch_size, validation=None, normalize=normalize, augment=augment, callbacks=[growing])
    finally:
        model.load_state_dict(weights)
        optimizer.load_state_dict(memory)
        rng.bit_generator.state = dice
    finite = int(np.isfinite(growing.smoothed).sum())  # only the last can be anything else
    if finite < steps // 10:
        raise ValueError(f"the range test could not begin: {run.stopped}")
    rates, losses, smoothed = (np.array(values[:finite]) for values in (growing.rates, growing.losses,
                                                                        growing.smoothed))
    return RangeTest(rates, losses, smoothed, suggestion(rates, losses, smoothed, growing.kept, steps // 10))


def suggestion(rates: Array, losses: Array, smoothed: Array, kept: float, first: int) -> float:
    """The last rate before three quarters of the fall from the mean of the `first` losses, at whose rates nothing
    happens yet, to the lowest smoothed loss.

    Raises ValueError where the fall may be chance: less than three standard deviations of the smoothed loss, which are
    those of a loss around it times √((1 - kept) / (1 + kept)).
    """
    start, end = losses[:first].mean(), int(smoothed.argmin()) + 1
    fall = start - smoothed[end - 1]
    noise = float(np.std(losses[:end] - smoothed[:end])) * math.sqrt((1 - kept) / (1 + kept))
    above = np.flatnonzero(smoothed[:end] > start - 0.75 * fall)
    if not len(above) or fall <= max(3 * noise, 1e-6 * abs(start)):
        raise ValueError(f"the loss does not fall at any learning rate from {rates[0]:.2g} to {rates[-1]:.2g}, "
                         "so there is none to suggest; look at the data and the network, or take more steps.")
    return float(rates[above[-1]])
