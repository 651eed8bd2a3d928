"""No arrays at all: 784-10-10, one number at a time.

Every weight is a Scalar that remembers what it was used for, and every image means some 8,000 multiplications, each of
them a Python operation. Relu after both layers, softmax, mean-squared error, a rate drawn anew for each image, and
after 2,000 images only those that were read wrongly are learned from: all that as published.

What differs: each value is visited once on the way back, where the published program walks through a shared value once
for every path that leads to it (its author reports minutes an image, and days of training). First weights are such that
no output starts dead, and of the weights seen on the way those are kept that read most of 500 held-out images; see
`byhand.scalar.training`. The trained numbers end in an ordinary network of arrays, which gives the same answers.
"""

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand import nn, scalar
from byhand.callbacks import Callback, Run, State, listening
from byhand.data import Dataset, Normalize, Splits, split
from byhand.files.reading import scalar_of
from byhand.optim import SGD
from byhand.recipes.recipe import DIGIT, Parts, Recipe

Samples = list[tuple[list[float], int]]
MIDDLE_RATE = (scalar.training.LOWEST_RATE + scalar.training.HIGHEST_RATE) / 2


class Stopped(Exception):
    """A callback has ended the run before its last image."""


@dataclass(frozen=True)
class ScalarNet(Recipe):
    """784-10-10 on the scalar engine, one image at a time"""

    name = "scalar"
    published = '"simple cases", after 2 days'
    as_written = "74.9 % test (the published weights)"
    normalize = Normalize()  # pixels from 0 to 1

    epochs: int = 1
    batch_size: int | None = 1
    lr: float = MIDDLE_RATE
    images: int = 3_000

    def __post_init__(self) -> None:
        """The settings that every recipe has are fixed in this one."""
        if (self.epochs, self.batch_size, self.lr) != (1, 1, MIDDLE_RATE):
            raise ValueError("the recipe scalar goes once through its images, one at a time, at rates drawn from 0.5 "
                             "to 1.1; only its setting 'images' can be changed.")

    def parts(self, data: Splits, rng: np.random.Generator) -> Parts:
        """`images` training images in random order, and 500 others (or a tenth of a smaller data set) to choose by."""
        rest, validation = split(data.train, min(500, len(data.train) // 10), rng)
        return Parts(rest[rng.permutation(len(rest))[:self.images]], validation, data.test)

    def network(self, rng: np.random.Generator, shape: tuple[int, ...] = DIGIT, classes: int = 10) -> nn.Module:
        """The same network on arrays: it holds the numbers before and after."""
        pixels = math.prod(shape)
        model = nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes, rng), nn.ReLU(),
                              nn.Linear(classes, classes, rng), nn.ReLU())
        model.to(np.float64)
        fill(model, scalar.digits_net(random.Random(int(rng.integers(2**63))), pixels, classes))
        return model

    def train(self, model: nn.Module, parts: Parts, rng: np.random.Generator, callbacks: Sequence[Callback],
              resume: State | None = None) -> Run:
        """One image at a time, on single numbers. A run that a callback ends keeps the weights that it has."""
        images = Images(random.Random(int(rng.integers(2**63))), sum(p.size for p in model.parameters()))
        normalize = self.normalization(parts.train)
        samples = scalar_samples(parts.train, normalize)
        watched = scalar_samples(parts.validation, normalize) if parts.validation is not None else []
        run = Run(model, SGD(model.parameters(), lr=self.lr), 1, len(samples), len(samples), loader=images,
                  callbacks=callbacks)
        with listening(callbacks, run):
            if resume is not None:
                run.load_state_dict(resume)
            if not run.epoch:
                learn(run, images, samples, watched)
        return run


class Images:
    """How far a run has come through its images, and what it has drawn and found on the way."""

    def __init__(self, dice: random.Random, weights: int) -> None:
        self.dice, self.weights, self.best, self.position = dice, weights, scalar.training.Best(), 0

    def state_dict(self) -> dict[str, Any]:
        """The place, the generator, and the best weights with their accuracy."""
        return {"position": self.position, "dice": self.dice.getstate(), "best": self.best.accuracy,
                "weights": np.array(self.best.weights)}

    def load_state_dict(self, state: State) -> None:
        """Go on from there."""
        version, numbers, gauss = state["dice"]
        if np.shape(state["weights"]) not in ((0,), (self.weights,)):
            raise ValueError("the best weights that it holds are of another network")
        self.dice.setstate((version, tuple(numbers), gauss))
        self.best = scalar.training.Best(float(state["best"]), state["weights"].tolist())
        self.position = state["position"]


def learn(run: Run, images: Images, samples: Samples, watched: Samples) -> None:
    """The one epoch of the run, or what is left of it."""
    net = scalar_of(linear_layers(run.model))
    begun = time.perf_counter()

    def on_image(count: int, loss: float, right: bool) -> None:
        nonlocal begun
        inputs, label = samples[count - 1]
        run.inputs, run.targets = np.array([inputs]), np.array([label])
        run.loss, run.seen = loss, count
        run.total_loss += loss
        run.correct += right
        for callback in run.callbacks:
            callback.on_step(run)
        run.step = images.position = count
        if run.stopped:
            raise Stopped
        fill(run.model, net)
        begun = run.lap(begun)
        for callback in run.callbacks:
            callback.on_step_end(run)

    try:
        found = scalar.train(net, samples, watched, images.dice, on_image, seen=images.position, best=images.best)
    except Stopped:
        found = scalar.training.accuracy(net, watched)
    run.lap(begun)
    fill(run.model, net)
    if run.failed:
        return
    run.epoch, images.position = 1, 0
    run.history.append({"epoch": 1, "loss": run.total_loss / run.seen, "accuracy": run.correct / run.seen,
                        "validation_accuracy": found, "learning_rate": run.optimizer.lr, "seconds": run.seconds})
    for callback in run.callbacks:
        callback.on_epoch_end(run)


def scalar_samples(dataset: Dataset, normalize: Normalize) -> Samples:
    """Each image as a list of normalized pixels (of MNIST: from 0 to 1), with its class."""
    pixels = normalize(np.asarray(dataset.inputs), np.float64).reshape(len(dataset), -1)
    return list(zip(pixels.tolist(), dataset.targets.tolist(), strict=True))


def linear_layers(model: nn.Module) -> list[nn.Linear]:
    """The layers that hold numbers."""
    return [layer for _, layer in model.named_modules() if isinstance(layer, nn.Linear)]


def fill(model: nn.Module, net: scalar.Net) -> None:
    """Copy a scalar network's numbers into the network of arrays."""
    for linear, layer in zip(linear_layers(model), net.layers, strict=True):
        for row, neuron in enumerate(layer.neurons):
            linear.weight.data[row] = [w.data for w in neuron.weights]
            if linear.bias is not None:
                linear.bias.data[row] = neuron.bias.data
