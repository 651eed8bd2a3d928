"""What every reader hands over, and what is made of it: inputs that fit together, classes with names, a test set.

Formats differ in how they spell the same three things. A label may be a number, a word in a table or the name of a
folder; a picture may have its colours first or last; a test set may be there or not. Readers only read. Here labels
become class numbers, and where there is no test set, one sample in six is set aside as one: of each class its share,
and always the same ones, so that a figure of today can be compared with one of next year.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byhand.data.dataset import Dataset, Splits, split
from byhand.data.search import MOST_CLASSES, Notify

Array = NDArray[Any]

LONGEST_NAME = 100  # characters of a class


@dataclass(frozen=True)
class Samples:
    """What a format holds: `(inputs, labels)` to train with and, where it has them, to test with.

    Labels are whole numbers or text, one a sample. `names`: of the classes, if the format says them; then labels count
    them from 0.
    """

    train: tuple[Array, Array]
    test: tuple[Array, Array] | None = None
    names: tuple[str, ...] = ()


def as_splits(samples: Samples, place: Path, notify: Notify) -> Splits:
    """Data sets of what a reader found in `place`; `notify` is told of a test set that had to be set aside.

    Raises ValueError if the samples are not of several classes, or training and test set do not fit together.
    """
    parts = [samples.train, *([samples.test] if samples.test else [])]
    for inputs, labels in parts:
        if len(inputs) != len(labels) or not len(inputs):
            raise ValueError(f"{place} has {len(inputs):,} samples with {len(labels):,} labels; it takes one label for "
                             "each sample, and at least one sample")
    labels = np.concatenate([labels for _, labels in parts])
    targets, classes = counted(labels, samples.names, place) if samples.names else sorted_out(labels, place)
    if len(classes) < 2:
        raise ValueError(f"all samples of {place} are of one class, {classes[0]}; it takes two to tell them apart")
    name = place.name if place.is_file() else place.resolve().name
    train = Dataset(samples.train[0], targets[:len(samples.train[0])], classes, name)
    if samples.test:
        return Splits(train, Dataset(samples.test[0], targets[len(train):], classes, name), str(place))
    train, test = split(train, 1 / 6, np.random.default_rng(0))
    notify(f"{name} has no labelled test set: one sample in six of each class is set aside as one, {len(test):,} in "
           "all, always the same")
    return Splits(train, test, str(place))


def sorted_out(labels: Array, place: Path) -> tuple[Array, tuple[str, ...]]:
    """The class of each sample, `(N,)` int64, and the classes: the distinct labels, in the order of numbers if all are
    whole numbers, else of text."""
    found, targets = np.unique(labels, return_inverse=True)
    if len(found) > MOST_CLASSES:
        raise ValueError(f"{place} has {len(found):,} different labels; labels name classes, at most {MOST_CLASSES:,}")
    names = valid_names([str(value) for value in found.tolist()], place)
    order = list(range(len(names)))
    if all(map(is_whole, names)):
        order.sort(key=lambda i: int(names[i]))
    return np.argsort(order)[targets].astype(np.int64), tuple(names[i] for i in order)


def counted(labels: Array, names: Sequence[str], place: Path) -> tuple[Array, tuple[str, ...]]:
    """The labels as they are, where they count the given names from 0."""
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(names):
        raise ValueError(f"{place} names {len(names)} classes, and its labels are not all whole numbers from 0 to "
                         f"{len(names) - 1}")
    return labels.astype(np.int64), valid_names(names, place)


def valid_names(names: Sequence[str], place: Path) -> tuple[str, ...]:
    """The names, if they are different, short, and can be shown; ValueError otherwise."""
    for name in names:
        if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
            raise ValueError(f"{place} has a class with the name {name[:LONGEST_NAME]!a}; a name is 1 to "
                             f"{LONGEST_NAME} characters that can be shown in one line")
    if len(set(names)) < len(names):
        raise ValueError(f"{place} gives two classes the same name")
    return tuple(names)


def is_whole(text: str) -> bool:
    """Whether a label is spelled as a whole number."""
    return text.removeprefix("-").isdecimal() and text.isascii()


def as_inputs(array: Array, name: str) -> Array:
    """Inputs in the types that everything else is written for: tables, `(N, F)`, as float32; pictures, `(N, H, W)` or
    `(N, C, H, W)`, as `(N, C, H, W)`, bytes if all values are, and else float32.

    Raises ValueError, calling the array `name`, for other shapes and types, no values, and values that are not finite.
    """
    if array.dtype.kind not in "biuf" or array.ndim not in (2, 3, 4) or array.size == 0:
        raise ValueError(f"{name} does not hold samples: it is {array.dtype} of shape {array.shape}, and samples are "
                         "numbers, (N, features) or pictures (N, height, width), colours before or after")
    if array.ndim > 2 and array.dtype.kind in "biu" and array.min() >= 0 and array.max() <= 255:
        array = array.astype(np.uint8, copy=False)
    else:
        with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is found below
            array = array.astype(np.float32, copy=False)
        if not (finite := np.isfinite(array)).all():
            first = np.unravel_index(np.argmin(finite), array.shape)
            raise ValueError(f"{name}[{', '.join(map(str, first))}] is {array[first]}; remove or replace the values "
                             "that are missing or infinite")
    return array[:, np.newaxis] if array.ndim == 3 else array
