"""What a recipe is: a network, the data it sees and the way it learns, under a name, so that anybody can do it again.

A recipe is a frozen dataclass. Its fields are its settings, each of which `--set name=value` can change; its methods
are the steps of the experiment. A recipe's file overrides what is special about it and reads like a page.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from byhand import losses, nn
from byhand.callbacks import Callback, Run, State
from byhand.data import KNOWN, Dataset, Normalize, Splits, split
from byhand.inference import Loss
from byhand.optim import Adam, Optimizer
from byhand.train import fit

Array = np.ndarray[Any, Any]
MNIST = Normalize(mean=0.1307, std=0.3081)
"""Brings MNIST's pixels to mean 0 and standard deviation 1."""
LARGEST = 1_000_000_000
"""No setting is above it."""
DIGIT = (1, 28, 28)
"""The shape of the pictures that the recipes were written for: one channel, 28 rows, 28 columns."""


@dataclass(frozen=True)
class Parts:
    """The samples of an experiment: to learn from, to choose by, and to look at once."""

    train: Dataset
    validation: Dataset | None
    test: Dataset


@dataclass(frozen=True)
class Recipe:
    """A named, reproducible experiment. The first line of its docstring says what it is."""

    name: ClassVar[str]
    published: ClassVar[str] = ""
    """What its source claims."""
    as_written: ClassVar[str] = ""
    """What the source's own program measured."""
    normalize: ClassVar[Normalize] = MNIST
    """What the recipe does to the pixels of the published sets."""

    epochs: int = 1
    batch_size: int | None = 128
    lr: float = 0.001

    @property
    def method(self) -> str:
        """What it is, in a line."""
        return (type(self).__doc__ or "").strip()

    def parts(self, data: Splits, rng: np.random.Generator) -> Parts:
        """One training image in twelve is held out to choose by (5,000 of MNIST's 60,000), as many of each class."""
        train, validation = split(data.train, 1 / 12, rng)
        return Parts(train, validation, data.test)

    def normalization(self, train: Dataset) -> Normalize:
        """The recipe's own for the published sets, and for all pixels where it only brings them into a range. Else mean
        and spread are measured on `train`."""
        only_a_range = self.normalize != MNIST and train.inputs.dtype == np.uint8
        return self.normalize if is_published(train) or only_a_range else Normalize.fit(train)

    def network(self, rng: np.random.Generator, shape: tuple[int, ...] = DIGIT, classes: int = 10) -> nn.Module:
        """The network with its first weights, for samples of this shape in so many classes. Only the layers that touch
        the data depend on them. Raises ValueError if it cannot read such samples."""
        raise TypeError(f"{type(self).__name__} needs a method network(self, rng, shape, classes).")

    @property
    def loss(self) -> Loss:
        """How wrong the outputs are: cross-entropy."""
        return losses.cross_entropy

    def optimizer(self, model: nn.Module) -> Optimizer:
        """The rule that moves the weights."""
        return Adam(model.parameters(), lr=self.lr)

    def augment(self) -> Callable[[Array, np.random.Generator], Array] | None:
        """How training images are varied; None if they are not."""
        return None

    def callbacks(self) -> list[Callback]:
        """The learning-rate schedule, early stopping."""
        return []

    def train(self, model: nn.Module, parts: Parts, rng: np.random.Generator, callbacks: Sequence[Callback],
              resume: State | None = None) -> Run:
        """Let the network learn, from the start or from where an interrupted run was."""
        return fit(model, parts.train, loss=self.loss, optimizer=self.optimizer(model), rng=rng, epochs=self.epochs,
                   batch_size=self.batch_size, validation=parts.validation, normalize=self.normalization(parts.train),
                   augment=self.augment(), callbacks=[*self.callbacks(), *callbacks], resume=resume)

    def settings(self) -> dict[str, Any]:
        """The recipe's settings by name."""
        return dataclasses.asdict(self)

    def having(self, **changes: Any) -> Recipe:
        """The same recipe with other settings, as numbers or as text.

        Raises ValueError for a setting that it does not have or a value that does not fit.
        """
        names = [f.name for f in dataclasses.fields(self)]
        for name, value in changes.items():
            if name not in names:
                raise ValueError(f"the recipe {self.name} has no setting '{name}'; it has {', '.join(names)}."
                                 f"{did_you_mean(name, names)}")
            changes[name] = parsed(name, value, getattr(self, name))
        return dataclasses.replace(self, **changes)


def is_published(data: Dataset | Splits) -> bool:
    """Whether this is one of the data sets that have a name."""
    return data.name in {known.name for known in KNOWN}


def is_usual(train: Dataset) -> bool:
    """Whether these are samples as those that the recipes were written for: for others they adapt their layers."""
    return train.inputs.shape[1:] == DIGIT and len(train.classes) in (2, 10)


def frame(shape: tuple[int, ...], least: int, usual: int = 0) -> tuple[int, int]:
    """The padding (rows, columns) that makes pictures of this shape at least `least` × `least`: the `usual` one if they
    are large enough, or are no pictures."""
    rows, columns = ((least - size + 1) // 2 for size in (shape[-2:] if len(shape) == 3 else (least, least)))
    return max(rows, usual), max(columns, usual)


def parsed(name: str, value: Any, like: Any) -> Any:
    """A setting's value from text, of the type that it has now. Batch size may be 'none', the full batch."""
    text = str(value).strip()
    if name == "batch_size" and text.lower() == "none":
        return None
    if isinstance(like, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{name} is true or false, got '{text}'.")
        return text.lower() == "true"
    kind, least, what = (float, 0, "number") if isinstance(like, float) else (int, 1, "whole number")
    try:
        number = kind(text)
    except ValueError:
        raise ValueError(f"{name} needs a {what}, got '{text}'.") from None
    if not least <= number <= LARGEST:  # nor is it a NaN
        raise ValueError(f"{name} needs a {what} from {least} to {LARGEST:,}, got '{text}'.")
    return number


def did_you_mean(word: str, words: Sequence[str]) -> str:
    """A hint, where somebody may have mistyped one of these words."""
    near = difflib.get_close_matches(word, words, 1)
    return f" Did you mean {near[0]}?" if near else ""
