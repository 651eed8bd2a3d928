"""What all sides are given: the same digits, in the form that each of them likes, and the same amount of them.

byhand takes pictures as they come, as bytes, and brings them around zero a batch at a time; that is part of its work.
The peers get them brought around zero before the clock starts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from byhand.data import Dataset, Normalize, Splits, load, load_or_mini

Array = np.ndarray[Any, Any]
EPOCH, TEST = 60_000, 10_000
"""The images of MNIST, to which every figure is scaled."""
MEAN, SPREAD = 0.1307, 0.3081
"""Of MNIST's pixels, counted from 0 to 1."""
AROUND_ZERO = Normalize(mean=MEAN, std=SPREAD)
RATE = 0.001
"""Adam's usual learning rate, for all sides."""


@dataclass(frozen=True)
class Effort:
    """How much is measured: `rounds` turns of each side that count, and at most so many `batches` in a turn."""

    rounds: int = 5
    batches: int = 10_000

    @property
    def quick(self) -> bool:
        """Whether this is only a try, for which the digits that come with byhand will do."""
        return self.batches < 100


QUICK = Effort(rounds=1, batches=4)
"""Shows in seconds that everything runs. Its figures mean little."""


@dataclass(frozen=True)
class Digits:
    """MNIST, in every form that somebody likes."""

    splits: Splits
    told: str
    """What they are."""

    @property
    def train(self) -> Dataset:
        """As byhand takes it: uint8, `(N, 1, 28, 28)`."""
        return self.splits.train

    @cached_property
    def images(self) -> Array:
        """The training images as float32 around 0, `(N, 1, 28, 28)`."""
        return around_zero(self.train.inputs)

    @cached_property
    def labels(self) -> Array:
        """Their classes, int64."""
        return self.train.targets.astype(np.int64)

    @cached_property
    def test_images(self) -> Array:
        """The test images as float32 around 0."""
        return around_zero(self.splits.test.inputs)


def around_zero(images: Array) -> Array:
    """Images as bytes as float32 numbers around 0, in plain NumPy."""
    return (images / np.float32(255) - np.float32(MEAN)) / np.float32(SPREAD)


def digits(quick: bool, notify: Callable[[str], None]) -> Digits:
    """MNIST. Where it cannot be had, the digits that come with byhand, again and again up to the same number: the
    arithmetic is the same. A quick try takes them as they are."""
    if quick:
        return Digits(load("mini"), "mini")
    splits = load_or_mini("mnist", notify)
    told = splits.name if len(splits.train) == EPOCH else f"{splits.name}, again and again"
    return Digits(Splits(again(splits.train, EPOCH), again(splits.test, TEST), splits.source), told)


def again(samples: Dataset, count: int) -> Dataset:
    """So many samples: these, and these again as often as it takes."""
    return samples if len(samples) == count else samples[np.arange(count) % len(samples)]
