"""Sigmoids all the way, fed with raw pixels: 784-72-36-10.

Pixels go in as they are, 0 to 255. With weights between -0.5 and 0.5 most sigmoids of the first layer are driven to
their ends at once, where they have next to no slope: that it learns at all is the lesson, and that it learns the 10,000
training images much better than the test images is the other one.

The published program has a mistake in its bias gradient; here the gradients are right, and the rest is as published.
The 1,000 images after the 10,000 serve as validation set, which changes nothing.
"""

import math
from dataclasses import dataclass

import numpy as np

from byhand import nn
from byhand.data import Normalize, Splits
from byhand.nn import init
from byhand.optim import SGD, Optimizer
from byhand.recipes.recipe import DIGIT, Parts, Recipe


@dataclass(frozen=True)
class Sigmoid7236(Recipe):
    """784-72-36-10 with sigmoids on raw pixels, full-batch gradient descent"""

    name = "sigmoid-72-36"
    published = "92.9 % train, 91.1 % test"
    as_written = "95.4 ± 0.1 % train, 88.7 ± 0.3 % test"
    normalize = Normalize(scale=1.0)  # pixels from 0 to 255

    epochs: int = 500
    batch_size: int | None = None
    lr: float = 1.0

    def parts(self, data: Splits, rng: np.random.Generator) -> Parts:
        """The first 10,000 training images; the next 1,000 to watch (four fifths and one fifth of a smaller data
        set)."""
        end = min(10_000, len(data.train) * 4 // 5)
        return Parts(data.train[:end], data.train[end:end + 1_000], data.test)

    def network(self, rng: np.random.Generator, shape: tuple[int, ...] = DIGIT, classes: int = 10) -> nn.Module:
        """Weights and biases between -0.5 and 0.5."""
        start = init.uniform(-0.5, 0.5)
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(shape), 72, rng, weight_init=start, bias_init=start), nn.Sigmoid(),
            nn.Linear(72, 36, rng, weight_init=start, bias_init=start), nn.Sigmoid(),
            nn.Linear(36, classes, rng, weight_init=start, bias_init=start),
        )

    def optimizer(self, model: nn.Module) -> Optimizer:
        """Plain gradient descent, with a rate of 1."""
        return SGD(model.parameters(), lr=self.lr)
