"""What the doctor has measured of a training: plain figures, which a file can hold.

At some moments of a run a look is taken. It says of each layer with weights how long its gradient and its update were
beside the weights themselves, and of each activation how many of its units are stuck. All judgement (`rules`) is by
these figures, whether the run is still going on or long over.
"""

import statistics
from dataclasses import dataclass, field

from byhand.history import Epoch


@dataclass
class Layer:
    """A layer at one look. A figure that does not apply to it, or that is no number, is None."""

    name: str
    """As a person finds it: layer '1' (Linear)."""
    gradient: float | None = None
    """‖gradient‖ / ‖weights‖."""
    update: float | None = None
    """‖change of the weights in this step‖ / ‖weights‖."""
    dead: float | None = None
    """Of a relu: the share of its units (in pictures: channels) that were 0 for every sample of this look and of the
    two before."""
    saturated: float | None = None
    """Of a hidden sigmoid or tanh: the share of its outputs at which the slope is under 4 % of its largest."""


@dataclass
class Look:
    """A run at one moment."""

    step: int
    """Steps done before it."""
    loss: float
    """The mean over the batches since the look before."""
    learning_rate: float
    inputs: float | None
    """The root mean square of the inputs: 1 after normalization, 0.3 for digits with pixels from 0 to 1."""
    layers: list[Layer] = field(default_factory=list)


@dataclass
class Measured:
    """A training, measured."""

    epochs: int = 0
    """That it is to have."""
    batches: int = 0
    """Steps in an epoch."""
    samples: int = 0
    """Training samples in an epoch."""
    step: int = 0
    """Steps done."""
    first: float | None = None
    """The loss over the first few samples, before much is learned."""
    counts: list[float] = field(default_factory=list)
    """Training samples of each class, by their weights; empty where the targets are no classes, or not counted yet."""
    classes: list[str] = field(default_factory=list)
    """Their names, as far as they have some."""
    looks: list[Look] = field(default_factory=list)
    stopped: str = ""
    failed: bool = False
    ended: bool = False
    """Whether it came to its end, or was stopped for a reason; not where it was killed, or interrupted by Ctrl-C."""
    history: list[Epoch] = field(default_factory=list)
    """The run's records, a dict an epoch, with what is finite in them."""

    @property
    def progress(self) -> float:
        """The part of its way that it has gone: all of it, once it has ended."""
        return 1.0 if self.ended else self.step / max(1, self.epochs * self.batches)

    @property
    def now(self) -> float | None:
        """The loss in the last look."""
        return self.looks[-1].loss if self.looks else None

    def figures(self, name: str) -> list[dict[str, float]]:
        """A figure of the layers that have it, by their names, look by look; looks without any are left out."""
        each = [{layer.name: getattr(layer, name) for layer in look.layers if getattr(layer, name) is not None}
                for look in self.looks]
        return [found for found in each if found]

    @property
    def updates(self) -> list[float]:
        """How far a step moves the weights, as a part of their size: of the middle one of the layers, look by look."""
        return [statistics.median(found.values()) for found in self.figures("update")]
