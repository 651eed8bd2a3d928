"""Hands a data set to training one batch at a time.

Images rest in memory as bytes, a quarter of the size of the float32 the network wants, so a batch is chosen, moved
about a little (augmentation), and turned into numbers around zero (normalization) only when its turn comes. Samples
that are in order already are handed out as views: nothing is copied that need not be. The same works on a
`numpy.memmap` far larger than memory, because no step ever touches more than the batch.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from byhand import kernels
from byhand.data.dataset import Dataset

Array = NDArray[Any]
Batch = tuple[Array, Array, Array | None]
CHUNK = 1 << 18  # values measured at a time by `moments`: 2 MB as float64, whatever the size of the data


@dataclass(frozen=True)
class Normalize:
    """`(x * scale - mean) / std`: pixels from 0 to 255 become numbers around 0 with a spread of about 1.

    `mean` and `std` are numbers, or tuples with a number for each channel (axis 1 of the images).
    Raises ValueError for a number that is not finite, a `std` or `scale` that is not above 0, or tuples that differ in
    length.
    """

    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0
    scale: float = 1 / 255

    def __post_init__(self) -> None:
        for field, value in asdict(self).items():
            by_channel = isinstance(value, tuple) and value and field != "scale"
            for number in value if by_channel else (value,):
                finite = isinstance(number, int | float) and abs(number) <= sys.float_info.max  # a whole number may not
                if isinstance(number, bool) or not finite:
                    raise ValueError(f"the {field} of a Normalize is a finite number, or one a channel, not {value!r}")
                if field != "mean" and number <= 0:
                    raise ValueError(f"the {field} of a Normalize is above 0, not {value!r}")
        if isinstance(self.mean, tuple) and isinstance(self.std, tuple) and len(self.mean) != len(self.std):
            raise ValueError(f"Normalize has {len(self.mean)} means but {len(self.std)} standard deviations")

    def __call__(self, images: Array, dtype: DTypeLike = np.float32) -> Array:
        """The normalized images, same shape, as `dtype`. Raises ValueError where the number of channels differs."""
        return self.chosen(images, slice(None), dtype)

    def chosen(self, images: Array, rows: slice | Array, dtype: DTypeLike = np.float32) -> Array:
        """As many of the images as `rows` says, normalized, in one pass over what may be bytes on a disk."""
        return kernels.gathered(images, rows, *self.factors(images, dtype))

    def factors(self, images: Array, dtype: DTypeLike = np.float32) -> tuple[Array, Array]:
        """(scale, shift), each a number or one a channel: normalized images are images · scale - shift. What no number
        of this kind can hold becomes infinite. Raises ValueError where the number of channels differs."""
        for value in (self.mean, self.std):
            if isinstance(value, tuple) and (images.ndim < 2 or images.shape[1] != len(value)):
                raise ValueError(f"this Normalize knows {len(value)} channels, and got an array of shape "
                                 f"{images.shape}")
        std = np.asarray(self.std, np.float64)
        with np.errstate(over="ignore"):
            shift = self.mean / std
            return np.asarray(np.full(shift.shape, self.scale) / std, dtype), np.asarray(shift, dtype)

    @classmethod
    def fit(cls, dataset: Dataset) -> "Normalize":
        """The Normalize that gives this data set mean 0 and standard deviation 1; by channel of pictures `(N, C, H, W)`
        and by feature of tables `(N, F)`, where those that never vary become 0.

        Raises ValueError for an empty data set, one where nothing varies, or values that are not finite.
        """
        mean, std = moments(dataset.inputs)
        if not np.all(np.isfinite(std)):
            raise ValueError("a data set with values that are NaN or infinite cannot be normalized; remove or replace "
                             "them")
        if not np.any(std > 0):
            raise ValueError("a data set in which every value is the same cannot be normalized")
        std[std == 0] = 1
        scale = cls.scale
        if len(mean) == 1:
            return cls(float(mean[0]) * scale, float(std[0]) * scale)
        return cls(tuple((mean * scale).tolist()), tuple((std * scale).tolist()))

    def to_dict(self) -> dict[str, float | list[float]]:
        """Plain numbers and lists, ready for JSON."""
        return {field: list(value) if isinstance(value, tuple) else value for field, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Normalize":
        """The inverse of `to_dict`. Raises ValueError for anything else than what `to_dict` gives."""
        if not isinstance(values, Mapping) or set(values) != {"mean", "std", "scale"}:
            raise ValueError(f"a Normalize is written as mean, std and scale, not as {values!r}")
        mean, std = (tuple(value) if isinstance(value, list) else value for value in (values["mean"], values["std"]))
        return cls(mean, std, values["scale"])


def moments(inputs: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of all values, or of each channel of `(N, C, H, W)` or feature of `(N, C)`: two
    float64 arrays `(C,)`.

    Measured a part at a time and in two passes, so that neither size nor a large mean costs accuracy.
    Raises ValueError if there are no values.
    """
    if inputs.size == 0:
        raise ValueError("an empty data set has no mean")
    channels = inputs.shape[1] if inputs.ndim in (2, 4) else 1
    rows = max(1, CHUNK * len(inputs) // inputs.size)

    def average(of: Callable[[Array], Array]) -> Array:
        total = np.zeros(channels)
        for start in range(0, len(inputs), rows):
            part = np.asarray(inputs[start:start + rows], np.float64)
            total += of(part.reshape(len(part), channels, -1)).sum(axis=(0, 2))
        return total * channels / inputs.size

    with np.errstate(invalid="ignore", over="ignore"):  # where a value is not finite, neither is the answer
        mean = average(lambda part: part)
        return mean, np.sqrt(average(lambda part: np.square(part - mean[:, None])))


class Loader:
    """Iterates over a data set in batches `(inputs, targets, weights or None)`, once each time it is asked.

    `batch_size`: samples a batch; None is the whole data set in one. The last batch may be smaller, unless
    `drop_last`. `rng`: shuffles anew for every pass, and is what `augment` draws from; without it the order is kept.
    `augment`: `(images, rng) -> images` of the same shape, before normalization. `normalize`: without it inputs are
    only converted. `dtype`: of inputs, of weights, and of targets that are not whole numbers.

    Raises ValueError for an empty data set, a batch size under 1, an `augment` without `rng` or with images of another
    shape, or no batch at all.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int | None = None,
        *,
        rng: np.random.Generator | None = None,
        normalize: Normalize | None = None,
        augment: Callable[[Array, np.random.Generator], Array] | None = None,
        drop_last: bool = False,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if len(dataset) == 0:
            raise ValueError("the data set is empty: there is nothing to load")
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise ValueError(f"rng is a NumPy generator, for example np.random.default_rng(0), not {rng!r}")
        if augment is not None and rng is None:
            raise ValueError("augmentation is random: give the Loader an rng to draw from")
        self.dataset = dataset
        self.batch_size = len(dataset) if batch_size is None else _positive(batch_size)
        self.rng = rng
        self.normalize = normalize
        self.augment = augment
        self.drop_last = drop_last
        self.dtype = np.dtype(dtype)
        if self.dtype.kind != "f":
            raise ValueError(f"a network computes with floating-point numbers; dtype cannot be {self.dtype}")
        self.whole: Batch | None = None  # the batch, once prepared, where every pass would prepare the same one
        self.position = 0
        """Batches handed out in the pass at hand; 0 between passes."""
        self._drawn: Mapping[str, Any] | None = None  # the generator, just before it drew the order of this pass
        self._left_off: tuple[Array | None, int] | None = None  # the order and the place where the next pass goes on
        if len(self) == 0:
            raise ValueError(f"{len(dataset)} samples do not fill one batch of {self.batch_size}; "
                             "take smaller batches, or do not set drop_last")

    def __len__(self) -> int:
        """The number of batches in one pass."""
        full, left = divmod(len(self.dataset), self.batch_size)
        return full + (left > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        order, first = self._left_off or (self._order(), 0)
        self._left_off = None
        for batch in range(first, len(self)):
            self.position = batch + 1
            yield self._batch(batch, order)
        self.position = 0

    def stretches(self, most: Callable[[], int]) -> Iterator[Array]:
        """A pass like any other, but what is handed out are the numbers of the samples, for as many batches at a time
        as `most()` says then, or as there are left."""
        order, first = self._left_off or (self._order(), 0)
        self._left_off = None
        order = np.arange(len(self.dataset)) if order is None else order
        while first < len(self):
            start, first = first, min(first + max(1, most()), len(self))
            self.position = first
            yield order[start * self.batch_size:first * self.batch_size]
        self.position = 0

    def batch(self, rows: Array) -> Batch:
        """The batch of the samples with these numbers."""
        return self._batch(0, None) if len(rows) == len(self.dataset) and self.rng is None else self._prepare(rows)

    def state_dict(self) -> dict[str, Any]:
        """How far the pass at hand is, and the generator as it was when the order of this pass was drawn: that takes
        less room than the order."""
        return {"batch_size": self.batch_size, "position": self.position,
                "drawn": self._drawn if self.position else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next pass go on where that one was. (Restoring the generator itself is left to its owner.)

        Raises ValueError for a place that no pass of this loader comes to; what the generator raises for a state that
        is none.
        """
        position, drawn = state["position"], state["drawn"]
        if state["batch_size"] != self.batch_size:
            raise ValueError(f"its batches are of {state['batch_size']}, and these of {self.batch_size}")
        if type(position) is not int or not 0 <= position <= len(self):
            raise ValueError(f"its position {position!r} is none in a pass of {len(self)} batches")
        if (drawn is not None) != (position > 0 and self.rng is not None):
            raise ValueError("its samples are in another order: either it or this one does not shuffle")
        order = None
        if self.rng is not None and drawn is not None:
            now = self.rng.bit_generator.state
            self.rng.bit_generator.state = drawn
            order = self._order()
            self.rng.bit_generator.state = now
        self.position, self._left_off = position, (order, position) if position else None

    def _order(self) -> Array | None:
        if self.rng is None:
            return None
        self._drawn = self.rng.bit_generator.state
        return self.rng.permutation(len(self.dataset))

    def _batch(self, number: int, order: Array | None) -> Batch:
        if order is None and self.batch_size >= len(self.dataset):
            self.whole = self.whole or self._prepare(slice(None))
            return self.whole
        rows = slice(number * self.batch_size, (number + 1) * self.batch_size)
        return self._prepare(rows if order is None else order[rows])

    def _prepare(self, rows: slice | Array) -> Batch:
        inputs = self.dataset.inputs
        if self.normalize is not None and self.augment is None and isinstance(inputs, np.ndarray):
            inputs = self.normalize.chosen(np.asarray(inputs), rows, self.dtype)  # from wherever they lie, in one pass
        else:
            inputs = np.asarray(inputs[rows])
            if self.augment is not None and self.rng is not None:
                inputs = augmented(self.augment, inputs, self.rng)
            if self.normalize is not None:
                inputs = self.normalize(inputs, self.dtype)
        targets = np.asarray(self.dataset.targets[rows])
        weights = None if self.dataset.weights is None else self.dataset.weights[rows].astype(self.dtype, copy=False)
        if targets.dtype.kind == "f":
            targets = targets.astype(self.dtype, copy=False)
        return inputs.astype(self.dtype, copy=False), targets, weights


def augmented(augment: Callable[[Array, np.random.Generator], Array], images: Array, rng: np.random.Generator) -> Array:
    """What `augment` makes of a batch. Raises ValueError unless it is as many pictures of the same size: whoever comes
    after relies on it."""
    changed = np.asarray(augment(images, rng))
    if changed.shape != images.shape or changed.dtype.kind not in "fiub":
        raise ValueError(f"augment was given images of shape {images.shape}, and returned {changed.dtype} of shape "
                         f"{changed.shape}; it must return as many, of the same shape, in numbers")
    return changed


def _positive(batch_size: int) -> int:
    if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(f"batch_size is a whole number of at least 1, or None for all at once, not {batch_size!r}")
    return int(batch_size)
