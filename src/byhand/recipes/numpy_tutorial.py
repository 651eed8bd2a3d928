"""One image at a time: 784-100-10 without biases, trained on the first 1,000 images.

Each image is looked at, and every weight moved, before the next one comes: stochastic gradient descent in its first
sense (Robbins and Monro 1951). Dropout silences half of the hidden units at a time, a different half for each image.

The published program leaves the doubling of the kept units out of its backward pass; here the gradient is right. Its
loss is the sum of squared errors, and its step leaves out the 2 that comes with the square, which is the gradient of
half the sum; so half the sum is the loss here. The order of the images is as they come.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from byhand import losses, nn
from byhand.callbacks import Callback, Run, State
from byhand.data import Normalize, Splits
from byhand.inference import Loss
from byhand.nn import init
from byhand.optim import SGD, Optimizer
from byhand.recipes.recipe import DIGIT, Parts, Recipe
from byhand.train import fit


@dataclass(frozen=True)
class NumpyTutorial(Recipe):
    """784-100-10 without biases, dropout, one image at a time"""

    name = "numpy-tutorial"
    published = "curves only"
    as_written = "78.5 % train, 78.4 % test"
    normalize = Normalize()  # pixels from 0 to 1

    epochs: int = 20
    batch_size: int | None = 1
    lr: float = 0.005

    def parts(self, data: Splits, rng: np.random.Generator) -> Parts:
        """The first 1,000 training images, the next 1,000 to watch, the first 1,000 test images (four fifths and one
        fifth of a smaller data set)."""
        end = min(1_000, len(data.train) * 4 // 5)
        return Parts(data.train[:end], data.train[end:end + 1_000], data.test[:1_000])

    def network(self, rng: np.random.Generator, shape: tuple[int, ...] = DIGIT, classes: int = 10) -> nn.Module:
        """Weights between -0.1 and 0.1."""
        start = init.uniform(-0.1, 0.1)
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(shape), 100, rng, bias=False, weight_init=start), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(100, classes, rng, bias=False, weight_init=start),
        )

    @property
    def loss(self) -> Loss:
        """Half the summed squared error from the one-hot target."""
        return partial(losses.brier, factor=0.5)

    def optimizer(self, model: nn.Module) -> Optimizer:
        """Plain stochastic gradient descent."""
        return SGD(model.parameters(), lr=self.lr)

    def train(self, model: nn.Module, parts: Parts, rng: np.random.Generator, callbacks: Sequence[Callback],
              resume: State | None = None) -> Run:
        """In the order of the file."""
        return fit(model, parts.train, loss=self.loss, optimizer=self.optimizer(model), rng=rng, epochs=self.epochs,
                   batch_size=self.batch_size, shuffle=False, validation=parts.validation,
                   normalize=self.normalization(parts.train), callbacks=callbacks, resume=resume)
