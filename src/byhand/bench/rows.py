"""What is measured, against whom, and how much faster byhand means to be.

A row is one kind of work. For each peer it has the ratio that byhand should reach at least: how many times as long as
byhand the peer takes. (Below 1, byhand may be slower by that much. Of the machine's matrix product, it is the share of
its speed.) None is a comparison without an aim.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from byhand.bench import (
    processes, published, published_scalar, with_byhand, with_jax, with_onnxruntime, with_pytorch, with_sgemm,
    with_sklearn
)
from byhand.bench.networks import PLANS, network, training_operations
from byhand.bench.turns import Timing, Turn, seconds
from byhand.bench.work import EPOCH, TEST, Array, Digits, Effort
from byhand.nn import Module
from byhand.recipes import did_you_mean, find

BYHAND = "byhand"


@dataclass(frozen=True)
class Row(ABC):
    """One kind of work. `against`: each peer with the ratio to reach."""

    name: str
    against: Mapping[str, float | None]
    unit: ClassVar[str] = "s"
    once: ClassVar[bool] = False
    """Whether one turn of each side tells all there is to know."""

    @property
    @abstractmethod
    def work(self) -> str:
        """What is done."""

    @abstractmethod
    def side(self, name: str, digits: Digits, effort: Effort, threads: int) -> Turn:
        """What byhand or a peer does in a turn. Raises ImportError if the peer is not installed, NotMeasured if it
        cannot be measured here."""

    def remark(self, peer: str, effort: Effort, ours: Timing, theirs: Timing) -> str:
        """What else there is to say of a comparison."""
        return ""


@dataclass(frozen=True)
class Training(Row):
    """An epoch of MNIST with Adam, or the first `steps` batches of it, counted as an epoch of 60,000 images."""

    network: str
    batch: int
    steps: int

    @property
    def work(self) -> str:
        return f"{PLANS[self.network]}, batches of {self.batch}: an epoch"

    def side(self, name: str, digits: Digits, effort: Effort, threads: int) -> Turn:
        sides: dict[str, Callable[..., Turn]] = {
            BYHAND: with_byhand.training,
            "PyTorch": with_pytorch.training,
            "PyTorch channels-last": with_pytorch.training_channels_last,
            "JAX step": with_jax.stepping,
            "JAX step, reshaping": with_jax.stepping_by_reshape,
            "JAX scan": with_jax.scanning,
            "scikit-learn": with_sklearn.training,
            "the sgemm peak": with_sgemm.training,
        }
        steps = min(self.steps, effort.batches)
        turn = sides[name](self.network, digits, self.batch, steps, threads)
        return lambda: turn() * EPOCH / (self.batch * steps)

    def remark(self, peer: str, effort: Effort, ours: Timing, theirs: Timing) -> str:
        steps, whole = min(self.steps, effort.batches), EPOCH // self.batch
        part = f"timed over {steps} of its {whole:,} batches" if steps < whole else ""
        if peer != "the sgemm peak":
            return part
        giga = EPOCH * training_operations(network(self.network, np.random.default_rng(0))) / 1e9
        return f"{giga / ours.median:.0f} of {giga / theirs.median:.0f} GFLOP/s; {part}".rstrip("; ")


@dataclass(frozen=True)
class Published(Row):
    """A recipe, against the program that it is taken from: the time for an epoch, from `epochs` of them."""

    epochs: int
    program: Callable[[Array, Array], published.Program]

    @property
    def work(self) -> str:
        return f"the recipe {self.name}: {find(self.name).method}: an epoch"

    def side(self, name: str, digits: Digits, effort: Effort, threads: int) -> Turn:
        recipe = find(self.name)
        if name == BYHAND:
            return with_byhand.recipe(recipe, digits, self.epochs)
        part = recipe.parts(digits.splits, np.random.default_rng(0)).train
        run = self.program(part.inputs, part.targets)
        return lambda: seconds(lambda: run(self.epochs)) / self.epochs


@dataclass(frozen=True)
class PublishedScalar(Row):
    """The recipe without arrays, against another engine without arrays: the time for an image."""

    images: int

    @property
    def work(self) -> str:
        return f"the recipe {self.name}: {find(self.name).method}: an image"

    def side(self, name: str, digits: Digits, effort: Effort, threads: int) -> Turn:
        count = min(self.images, effort.batches)
        if name == BYHAND:
            return with_byhand.single_numbers(find(self.name), digits, count)
        run = published_scalar.scalar(digits.train.inputs[:count], digits.train.targets[:count])
        return lambda: seconds(lambda: run(1)) / count


@dataclass(frozen=True)
class Predicting(Row):
    """The answers of a network for float32 images: one at a time (the median of `images` of them), or all at once."""

    network: str
    images: int
    sides: Mapping[str, Callable[[Module, Array, int], Turn]] = field(repr=False)

    @property
    def work(self) -> str:
        return f"{PLANS[self.network]}: answers for {self.asked}"

    @property
    def asked(self) -> str:
        """How many images are asked about."""
        return "one image"

    def side(self, name: str, digits: Digits, effort: Effort, threads: int) -> Turn:
        model = network(self.network, np.random.default_rng(0))
        images = digits.test_images[:min(self.images, 50 * effort.batches)]
        return self.scaled(self.sides[name](model, images, threads), len(images))

    def scaled(self, turn: Turn, images: int) -> Turn:
        """The turn, whose time is that of one image."""
        return turn


@dataclass(frozen=True)
class PredictingMany(Predicting):
    """All at once, counted as the 10,000 of MNIST's test set."""

    @property
    def asked(self) -> str:
        return f"{TEST:,} images"

    def scaled(self, turn: Turn, images: int) -> Turn:
        return lambda: turn() * TEST / images


@dataclass(frozen=True)
class Compiling(Row):
    """What the first use costs, and each later one, against a limit in seconds."""

    limit: float
    started: Callable[[], Turn]
    once: ClassVar[bool] = True

    @property
    def work(self) -> str:
        return f"compiling all that the recipe fast needs, {self.name.partition('-')[2].replace('-', ' ')}"

    def side(self, name: str, digits: Digits, effort: Effort, threads: int) -> Turn:
        return self.started() if name == BYHAND else lambda: self.limit


@dataclass(frozen=True)
class Memory(Row):
    """The most memory that a process needs to learn with the network `fast` from MNIST."""

    network: str
    steps: int
    unit: ClassVar[str] = "MB"
    once: ClassVar[bool] = True

    @property
    def work(self) -> str:
        return f"{PLANS[self.network]}, batches of {processes.BATCH}: memory at most, in an epoch"

    def side(self, name: str, digits: Digits, effort: Effort, threads: int) -> Turn:
        return processes.memory(name, digits.splits.name, min(self.steps, effort.batches), threads)


ONE = {BYHAND: with_byhand.one_image, "ONNX Runtime": with_onnxruntime.one_image}
MANY = {BYHAND: with_byhand.many_images, "ONNX Runtime": with_onnxruntime.many_images,
        "PyTorch": with_pytorch.many_images, "PyTorch channels-last": with_pytorch.many_images_channels_last}
PROGRAM, ENGINE = "the published program", "an engine like micrograd"

ROWS: tuple[Row, ...] = (
    Training("fast", {"PyTorch": 3.0, "PyTorch channels-last": None, "JAX step": 7.0,
                      "JAX step, reshaping": None}, "fast", 256, 94),
    Training("lenet", {"PyTorch": 3.0, "PyTorch channels-last": None}, "lenet", 128, 468),
    Training("batchnorm", {"PyTorch": 1.6, "PyTorch channels-last": None, "the sgemm peak": 0.6}, "batchnorm", 128, 40),
    Training("example", {"PyTorch": 1.5, "PyTorch channels-last": None, "the sgemm peak": 0.6}, "example", 128, 40),
    Training("mlp", {"PyTorch": 1.9, "JAX scan": 1.15, "scikit-learn": 3.5}, "mlp", 128, 468),
    Training("mlp-16", {"PyTorch": 4.0}, "mlp", 16, 3750),
    Published("binary-zero-one", {PROGRAM: 4.0}, 3, published.binary_zero_one),
    Published("relu-10", {PROGRAM: 4.0}, 3, published.relu_10),
    PublishedScalar("scalar", {ENGINE: None}, 20),
    Published("sigmoid-72-36", {PROGRAM: 4.0}, 3, published.sigmoid_72_36),
    Published("numpy-tutorial", {PROGRAM: 4.0}, 3, published.numpy_tutorial),
    Predicting("one-mlp", {"ONNX Runtime": 1 / 1.5}, "mlp", 500, ONE),
    Predicting("one-fast", {"ONNX Runtime": 1 / 1.5}, "fast", 500, ONE),
    PredictingMany("many-fast", {"ONNX Runtime": 1.0, "PyTorch": 1.5, "PyTorch channels-last": None}, "fast", TEST,
                   MANY),
    Compiling("compile-first-time", {"the limit": 1.0}, 15.0, processes.first_use),
    Compiling("compile-from-cache", {"the limit": 1.0}, 1.0, processes.later_use),
    Memory("memory", {"PyTorch": 2.0}, "fast", EPOCH // processes.BATCH),
)


def rows_named(names: Sequence[str]) -> list[Row]:
    """These rows, in the order of the table; all of them, if none is named. Raises ValueError for a name that no row
    has."""
    known = [row.name for row in ROWS]
    for name in names:
        if name not in known:
            raise ValueError(f"there is no row '{name}' to measure; there are {', '.join(known)}."
                             f"{did_you_mean(name, known)}")
    return [row for row in ROWS if row.name in names or not names]
