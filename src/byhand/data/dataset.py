"""A data set is two arrays with the same number of rows: what the network sees, and what it should say.

Row `i` of `inputs` is one sample, an image for instance, and row `i` of `targets` is its answer. Everything else here
follows from that: the length is the number of rows, a part of a data set is the same rows of both arrays, and a
validation set is a fair draw of rows that training will never see.
"""

import math
import operator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """Samples and their targets.

    `inputs`: `(N, ...)`, images as `(N, C, H, W)`, usually uint8 from 0 (background) to 255 (ink).
    `targets`: N rows; 1-D integers are classes and index `classes`, anything else is taken as it is (one-hot rows,
    real numbers). `weights`: `(N,)`, how much each sample counts, or None for all the same.

    Raises ValueError where the lengths differ, a weight is negative or not finite, or a class has no name of its own.
    """

    inputs: Array
    targets: Array
    classes: tuple[str, ...] = ()
    name: str = ""
    weights: Array | None = None

    def __post_init__(self) -> None:
        for field in ("inputs", "targets", "weights"):
            value = getattr(self, field)
            if field == "weights" and value is None:
                continue
            array = _numbers(value, field)
            object.__setattr__(self, field, array)
            if len(array) != len(self):
                raise ValueError(f"a Dataset has one row of {field} for each input, and got {len(self)} inputs "
                                 f"with {len(array)} {field}")
        object.__setattr__(self, "classes", tuple(self.classes))
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("the classes of a Dataset have a name each, and two of these have the same")
        weights = self.weights
        if weights is not None and (weights.ndim != 1 or not np.all(np.isfinite(weights) & (weights >= 0))):
            raise ValueError("the weights of a Dataset are one finite number of at least 0 for each sample")
        if self.classes and has_classes(self) and len(self):
            low, high = self.targets.min(), self.targets.max()
            if low < 0 or high >= len(self.classes):
                raise ValueError(f"the targets reach from {low} to {high}, but the {len(self.classes)} classes are "
                                 f"numbered 0 to {len(self.classes) - 1}")

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: slice | ArrayLike) -> "Dataset":
        """The chosen rows, as a Dataset: by a slice (a view, nothing is copied), an index array or a boolean mask.

        Arrays on disk stay there (see `OnDisk`), whichever rows are chosen.
        """
        if not isinstance(rows, slice):
            rows = _rows(rows, len(self))
        weights = None if self.weights is None else self.weights[rows]
        return Dataset(_chosen(self.inputs, rows), _chosen(self.targets, rows), self.classes, self.name, weights)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.inputs.shape[1:])) or "scalar"
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return f"<Dataset {self.name or 'without a name'}: {len(self):,} samples, {shape} {self.inputs.dtype}{classes}>"

    def counts(self) -> Array:
        """How many samples each class has, `(number of classes,)`. Raises ValueError if the targets are not classes."""
        if not has_classes(self) or (len(self) and self.targets.min() < 0):
            raise ValueError("only targets that are classes, one whole number from 0 up a sample, can be counted")
        return np.bincount(self.targets.astype(np.intp), minlength=len(self.classes))


class OnDisk:
    """Chosen rows of an array on disk: the array and the row numbers. Nothing is read before an array is made of it,
    so choose few rows at a time: `np.asarray(inputs[rows])`."""

    def __init__(self, array: Array, rows: Array) -> None:
        self.array, self.rows = array, rows
        self.shape, self.dtype, self.ndim = (len(rows), *array.shape[1:]), array.dtype, array.ndim
        self.size = math.prod(self.shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | ArrayLike) -> "OnDisk":
        return OnDisk(self.array, self.rows[rows if isinstance(rows, slice) else _rows(rows, len(self))])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("rows that lie on disk cannot become an array without being read, which is a copy")
        return np.asarray(self.array[self.rows], dtype)


@dataclass(frozen=True)
class Splits:
    """A training set and the test set that goes with it. `source` says where both were read from.

    Raises ValueError where the two differ in the shape of a sample or in their classes.
    """

    train: Dataset
    test: Dataset
    source: str = ""

    def __post_init__(self) -> None:
        if self.train.inputs.shape[1:] != self.test.inputs.shape[1:]:
            raise ValueError(f"a training sample has shape {self.train.inputs.shape[1:]}, "
                             f"but a test sample has {self.test.inputs.shape[1:]}")
        if self.train.classes != self.test.classes:
            raise ValueError("the training set and the test set name different classes")

    @property
    def name(self) -> str:
        return self.train.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.classes


def has_classes(dataset: Dataset) -> bool:
    """True if the targets are classes: whole numbers, one a sample."""
    return dataset.targets.ndim == 1 and dataset.targets.dtype.kind in "iub"


def as_dataset(value: Any, what: str = "the data set") -> Dataset:
    """A Dataset, given as one or as a pair of arrays (inputs, targets). Raises ValueError, naming `what`, otherwise."""
    if isinstance(value, Dataset):
        return value
    if isinstance(value, tuple) and len(value) == 2:
        return Dataset(*value)
    hint = "; of these Splits give splits.train or splits.test" if isinstance(value, Splits) else ""
    raise ValueError(f"{what} is a Dataset or a pair of arrays (inputs, targets), not a {type(value).__name__}{hint}.")


def split(dataset: Dataset, fraction: float, rng: np.random.Generator) -> tuple[Dataset, Dataset]:
    """Two parts `(rest, held_out)` of a data set, for example to train on and to validate with.

    `fraction`: the share held out, between 0 and 1, or the number of samples as an int. Where the targets are classes
    the draw is stratified: each class keeps its share in both parts, and a class with two samples or more has at least
    one in each (a `fraction` too small or too large for that gives way as much as it must). Both parts
    keep the original order; the same `rng` state gives the same parts. Arrays on disk are not read.

    Raises ValueError for a fraction or a count that leaves one part empty.
    """
    total = _held_out_count(fraction, len(dataset))
    # Samples are drawn within strata. A class is a stratum; classes with one sample are pooled; without classes
    # everything is one pool.
    strata = np.zeros(len(dataset), np.intp)
    if has_classes(dataset):
        _, inverse, sizes = np.unique(dataset.targets, return_inverse=True, return_counts=True)
        strata = np.where(sizes > 1, np.arange(1, len(sizes) + 1), 0)[inverse]
    _, strata, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    quotas = _quotas(sizes, total)

    order = rng.permutation(len(dataset))
    order = order[np.argsort(strata[order], kind="stable")]  # stratum by stratum, shuffled inside each
    rank = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[strata[order]]  # 0, 1, 2 ... within a stratum
    chosen = np.zeros(len(dataset), bool)
    chosen[order[rank < quotas[strata[order]]]] = True
    return dataset[~chosen], dataset[chosen]


def _quotas(sizes: Array, total: int) -> Array:
    """How many to draw from each stratum: in proportion, whole numbers that add up to `total`, by largest remainder."""
    low, high = np.minimum(sizes - 1, 1), sizes - 1
    total = int(np.clip(total, low.sum(), high.sum()))
    ideal = total * sizes / sizes.sum()
    quotas: Array = np.clip(np.floor(ideal).astype(np.intp), low, high)
    while (short := total - int(quotas.sum())) != 0:
        step = 1 if short > 0 else -1
        movable = quotas < high if step > 0 else quotas > low
        quotas[np.argmax(np.where(movable, step * (ideal - quotas), -np.inf))] += step
    return quotas


def _held_out_count(fraction: float, samples: int) -> int:
    if samples < 2:
        raise ValueError(f"a data set of {samples} sample{'s' * (samples != 1)} cannot be split in two")
    try:
        count = operator.index(cast(int, fraction))  # any kind of whole number, NumPy's included, is a count
    except TypeError:
        if not 0 < fraction < 1:
            raise ValueError(f"the fraction to hold out lies between 0 and 1, and {fraction} does not") from None
        return round(fraction * samples)
    if isinstance(fraction, bool) or not 0 < count < samples:
        raise ValueError(f"the number to hold out of {samples} samples lies between 1 and {samples - 1}, "
                         f"and {fraction} does not")
    return count


def _chosen(array: Array, rows: slice | Array) -> Array:
    """Rows of an array. Those of a large one on disk are only noted; a number a sample is no large one."""
    if isinstance(array, OnDisk):
        return cast(Array, array[rows])
    if isinstance(array, np.memmap) and array.ndim > 1 and not isinstance(rows, slice):
        return cast(Array, OnDisk(array, np.arange(len(array))[rows]))
    return array[rows]


def _numbers(value: ArrayLike, field: str) -> Array:
    if isinstance(value, OnDisk):
        return cast(Array, value)
    try:
        array = np.asanyarray(value)  # a list becomes an array; a numpy.memmap stays one, and stays on disk
    except ValueError:  # rows of different lengths
        raise ValueError(f"the {field} of a Dataset have rows of different shapes; they must form one array") from None
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        raise ValueError(f"the {field} of a Dataset are an array of numbers with one row a sample, "
                         f"not {array.dtype} of shape {array.shape}")
    return array


def _rows(rows: ArrayLike, length: int) -> Array:
    index = np.asarray(rows)
    if index.size == 0 and index.ndim == 1 and index.dtype.kind != "b":
        index = index.astype(np.intp)
    if index.ndim != 1 or index.dtype.kind not in "biu":
        raise ValueError("choose rows of a Dataset by a slice, a 1-D array of whole numbers or a boolean mask; "
                         "dataset[3:4] is sample 3 alone")
    if index.dtype.kind == "b" and len(index) != length:
        raise ValueError(f"the boolean mask has {len(index)} entries, but the Dataset has {length} samples")
    if index.dtype.kind != "b" and len(index) and not -length <= index.min() <= index.max() < length:
        raise ValueError(f"the rows asked for reach from {index.min()} to {index.max()}, "
                         f"but the Dataset has {length} samples")
    return index
