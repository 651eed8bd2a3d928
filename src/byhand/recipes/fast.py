"""The default: one look at every image, and done.

A network of two convolutions and a linear layer that does a sixth of the arithmetic of `fast-2021`: its first filters
take steps of two pixels, and pooling comes at once. In a single epoch the learning rate climbs to twenty times the
usual and falls to nearly nothing ("super-convergence", Smith and Topin 2018): large steps to get there, small ones to
settle. Batch norm makes such a rate possible, and labels that are softened a little are worth a second epoch.

All of it was chosen on validation images; docs/speed-log.md has what else was tried.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from byhand import losses, nn
from byhand.callbacks import Callback, Schedule
from byhand.inference import Loss
from byhand.nn import init
from byhand.optim import Adam, Optimizer
from byhand.recipes.recipe import DIGIT, Recipe, frame
from byhand.schedules import OneCycle


@dataclass(frozen=True)
class Fast(Recipe):
    """24c6s2-pool-48c3-10 with batch norm, one epoch of one-cycle Adam (the default)"""

    name = "fast"

    epochs: int = 1
    batch_size: int | None = 128
    lr: float = 0.02
    beta1: float = 0.7
    beta2: float = 0.9
    label_smoothing: float = 0.05

    def network(self, rng: np.random.Generator, shape: tuple[int, ...] = DIGIT, classes: int = 10) -> nn.Module:
        """Glorot-uniform weights: smaller than He's, they start more calmly. Pooling comes before batch norm and relu,
        which then have a quarter of the work."""
        start = init.glorot_uniform
        features = nn.Sequential(
            nn.Conv2d(shape[0], 24, 6, rng, stride=2, padding=frame(shape, 16), bias=False, weight_init=start),
            nn.MaxPool2d(2), nn.BatchNorm2d(24), nn.ReLU(),
            nn.Conv2d(24, 48, 3, rng, bias=False, weight_init=start), nn.BatchNorm2d(48), nn.ReLU(),
            nn.Flatten(),
        )
        return nn.Sequential(
            *features.layers,
            nn.Linear(features.output_shape(shape)[0], classes, rng, weight_init=start),
        )

    @property
    def loss(self) -> Loss:
        """Cross-entropy with softened labels."""
        return partial(losses.cross_entropy, label_smoothing=self.label_smoothing)

    def optimizer(self, model: nn.Module) -> Optimizer:
        """Adam with a short memory, fit for few steps."""
        return Adam(model.parameters(), lr=self.lr, betas=(self.beta1, self.beta2))

    def callbacks(self) -> list[Callback]:
        """One cycle of the learning rate."""
        return [Schedule(OneCycle())]
