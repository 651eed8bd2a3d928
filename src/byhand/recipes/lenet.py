"""LeNet-5, the network that read cheques in the 1990s (LeCun et al. 1998), with today's relu and max pooling.

Small filters find strokes, pooling forgives where exactly they are, and three linear layers put them together: 6 and 16
filters of 5 × 5, then 120-84-10.
"""

from dataclasses import dataclass

import numpy as np

from byhand import nn
from byhand.callbacks import Callback, Schedule
from byhand.recipes.recipe import DIGIT, Recipe, frame
from byhand.schedules import OneCycle


@dataclass(frozen=True)
class LeNet(Recipe):
    """LeNet-5 with relu: 6c5-pool-16c5-pool-120-84-10"""

    name = "lenet"

    epochs: int = 6
    batch_size: int | None = 128
    lr: float = 0.005

    def network(self, rng: np.random.Generator, shape: tuple[int, ...] = DIGIT, classes: int = 10) -> nn.Module:
        """He-normal weights. The first padding makes the picture 32 × 32, as in the paper."""
        features = nn.Sequential(
            nn.Conv2d(shape[0], 6, 5, rng, padding=frame(shape, 16, usual=2)), nn.MaxPool2d(2), nn.ReLU(),
            nn.Conv2d(6, 16, 5, rng), nn.MaxPool2d(2), nn.ReLU(),
            nn.Flatten(),
        )
        return nn.Sequential(
            *features.layers,
            nn.Linear(features.output_shape(shape)[0], 120, rng), nn.ReLU(),
            nn.Linear(120, 84, rng), nn.ReLU(),
            nn.Linear(84, classes, rng),
        )

    def callbacks(self) -> list[Callback]:
        """One cycle of the learning rate."""
        return [Schedule(OneCycle())]
