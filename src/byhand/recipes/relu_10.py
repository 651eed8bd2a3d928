"""The smallest network that reads all ten digits: 784-10-10.

Ten hidden units, relu, softmax, and 500 steps of full-batch gradient descent on 42,000 images. It is hardly more than
ten templates laid over the picture, and still gets five digits out of six.

The published program adds the bias gradient up over all classes instead of keeping one a class; here it is right. The
rest is as published. (What it calls its development set, 1,000 of the 42,000 images, is the validation set here.)
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
class Relu10(Recipe):
    """784-10-10 with relu, full-batch gradient descent"""

    name = "relu-10"
    published = "86 %"
    as_written = "83.3 ± 1.3 % train, 82.8 ± 0.8 % development"
    normalize = Normalize()  # pixels from 0 to 1

    epochs: int = 500
    batch_size: int | None = None
    lr: float = 0.1

    def parts(self, data: Splits, rng: np.random.Generator) -> Parts:
        """42,000 training images, shuffled; 1,000 of them are the development set (a fifth of a smaller data set)."""
        order = rng.permutation(len(data.train))[:42_000]
        held_out = min(1_000, len(order) // 5)
        return Parts(data.train[order[held_out:]], data.train[order[:held_out]], data.test)

    def network(self, rng: np.random.Generator, shape: tuple[int, ...] = DIGIT, classes: int = 10) -> nn.Module:
        """Weights and biases between -0.5 and 0.5."""
        start = init.uniform(-0.5, 0.5)
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(shape), 10, rng, weight_init=start, bias_init=start), nn.ReLU(),
            nn.Linear(10, classes, rng, weight_init=start, bias_init=start),
        )

    def optimizer(self, model: nn.Module) -> Optimizer:
        """Plain gradient descent."""
        return SGD(model.parameters(), lr=self.lr)
