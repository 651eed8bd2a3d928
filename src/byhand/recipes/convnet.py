"""The careful one: convolutions with batch norm and dropout, on digits that never look the same twice.

Each time an image is used it is shifted, turned and scaled a little, as handwriting varies. The network cannot learn
the images by heart and has to learn the digits. Batch norm keeps every layer's numbers in range, the learning rate
falls along a cosine, and the labels are softened a little so that the network does not become too sure of itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from byhand import losses, nn
from byhand.callbacks import Callback, Schedule
from byhand.data import Affine
from byhand.inference import Loss
from byhand.ops.convolution import Pair
from byhand.optim import AdamW, Optimizer
from byhand.recipes.recipe import DIGIT, Array, Recipe, frame
from byhand.schedules import Cosine, WarmUp


@dataclass(frozen=True)
class ConvNet(Recipe):
    """Convolutions with batch norm, dropout, small shifts and rotations, cosine schedule"""

    name = "convnet"

    epochs: int = 8
    batch_size: int | None = 128
    lr: float = 0.004
    weight_decay: float = 0.01
    dropout: float = 0.3
    label_smoothing: float = 0.05
    shift: float = 1.0
    degrees: float = 8.0
    scale: float = 0.1

    def network(self, rng: np.random.Generator, shape: tuple[int, ...] = DIGIT, classes: int = 10) -> nn.Module:
        """He-normal weights; no biases where batch norm follows, which would take them away again. Pooling comes before
        batch norm and relu, which then have a quarter of the work."""
        def conv(channels: int, filters: int, size: int, padding: Pair) -> nn.Conv2d:
            return nn.Conv2d(channels, filters, size, rng, padding=padding, bias=False)

        features = nn.Sequential(
            conv(shape[0], 24, 5, frame(shape, 8)), nn.MaxPool2d(2), nn.BatchNorm2d(24), nn.ReLU(),
            conv(24, 48, 3, 1), nn.BatchNorm2d(48), nn.ReLU(),
            conv(48, 48, 3, 1), nn.MaxPool2d(2), nn.BatchNorm2d(48), nn.ReLU(),
            nn.Flatten(), nn.Dropout(self.dropout),
        )
        return nn.Sequential(*features.layers, nn.Linear(features.output_shape(shape)[0], classes, rng))

    @property
    def loss(self) -> Loss:
        """Cross-entropy with softened labels."""
        return partial(losses.cross_entropy, label_smoothing=self.label_smoothing)

    def optimizer(self, model: nn.Module) -> Optimizer:
        """AdamW."""
        return AdamW(model.parameters(), lr=self.lr, weight_decay=self.weight_decay)

    def augment(self) -> Callable[[Array, np.random.Generator], Array] | None:
        """Small shifts (pixels), rotations (degrees) and scalings."""
        return Affine(self.shift, self.degrees, self.scale)

    def callbacks(self) -> list[Callback]:
        """A short warm-up, then along a cosine to 0."""
        return [Schedule(WarmUp(0.05, Cosine()))]
