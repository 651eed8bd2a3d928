"""The plain network, done well: 784-256-128-10.

What the small tutorials recommend as the next step: two wider hidden layers, mini-batches, Adam, and stopping when the
validation set says that what is being learned now is only the training set.
"""

import math
from dataclasses import dataclass

import numpy as np

from byhand import nn
from byhand.callbacks import Callback, EarlyStopping, Schedule
from byhand.recipes.recipe import DIGIT, Recipe
from byhand.schedules import OneCycle


@dataclass(frozen=True)
class Mlp(Recipe):
    """784-256-128-10, mini-batches, Adam, early stopping"""

    name = "mlp"

    epochs: int = 20
    batch_size: int | None = 128
    lr: float = 0.002
    dropout: float = 0.2
    patience: int = 5

    def network(self, rng: np.random.Generator, shape: tuple[int, ...] = DIGIT, classes: int = 10) -> nn.Module:
        """He-normal weights."""
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(shape), 256, rng), nn.ReLU(), nn.Dropout(self.dropout),
            nn.Linear(256, 128, rng), nn.ReLU(), nn.Dropout(self.dropout),
            nn.Linear(128, classes, rng),
        )

    def callbacks(self) -> list[Callback]:
        """One cycle of the learning rate; the weights of the best epoch."""
        return [Schedule(OneCycle()), EarlyStopping(self.patience, "validation_accuracy")]
