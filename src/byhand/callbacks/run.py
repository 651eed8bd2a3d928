"""A training run as it stands, and what it is to listen to one.

The loop tells every callback when training begins, at each step, at the end of each epoch and when training ends, and
shows it the `Run`: the model, the optimizer, how far it is and how well it does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from byhand.history import History
from byhand.inference import Evaluation
from byhand.nn.module import Module
from byhand.optim import Optimizer
from byhand.tensor import Tensor

Array = np.ndarray[Any, Any]


@dataclass
class Run:
    """A training run as it stands. The loop writes it; callbacks read it."""

    model: Module
    optimizer: Optimizer
    epochs: int
    batches: int
    """Steps in an epoch."""
    samples: int
    """Training samples in an epoch."""
    epoch: int = 0
    """Epochs done."""
    step: int = 0
    """Steps done, over all epochs."""
    inputs: Array = field(default_factory=lambda: np.empty(0))
    """Of the batch at hand, normalized."""
    loss: float = math.nan
    """Of the batch at hand."""
    seen: int = 0
    """Samples seen in this epoch."""
    total_loss: float = 0.0
    correct: float = 0.0
    """Sums over this epoch's samples: of the loss, and of right answers (NaN if there is no telling)."""
    seconds: float = 0.0
    """Time spent learning, without validation."""
    history: History = field(default_factory=History)
    """A record an epoch: epoch, loss, accuracy, validation_loss, validation_accuracy, learning_rate, seconds."""
    test: Evaluation | None = None
    """Of the test set, after training, if there was one."""
    stopped: str = ""
    """Why training is to end before its time; empty while it is not."""
    failed: bool = False
    """Whether that reason is a failure."""
    parameters: list[Tensor] = field(init=False, repr=False)
    """Of the model, looked up once: a look-up at each step would cost a small network a quarter of its time."""

    def __post_init__(self) -> None:
        self.parameters = self.model.parameters()

    @property
    def progress(self) -> float:
        """The part of all steps that is done, 0 to 1."""
        return self.step / max(1, self.epochs * self.batches)


class Callback:
    """Does nothing, four times. Override what you need."""

    def on_train_begin(self, run: Run) -> None:
        """Before the first step."""

    def on_step(self, run: Run) -> None:
        """The gradients of a batch are known; the update comes next."""

    def on_epoch_end(self, run: Run) -> None:
        """After the validation of an epoch; its record is `run.history[-1]`."""

    def on_train_end(self, run: Run) -> None:
        """After the last step, however training ended, by Ctrl-C or an error too."""


def check_callbacks(callbacks: Any) -> None:
    """Raise ValueError unless this is a list (or tuple) of callbacks, with what was probably meant."""
    if not isinstance(callbacks, list | tuple):
        raise ValueError(f"callbacks is a list, such as [StopOnNaN()], got {callbacks!r}.")
    for callback in callbacks:
        if isinstance(callback, type):
            raise ValueError(f"callbacks has the class {callback.__name__}; make one of it: {callback.__name__}().")
        if not isinstance(callback, Callback):
            hint = f"; a learning-rate schedule is wrapped: Schedule({callback!r})" if callable(callback) else ""
            raise ValueError(f"callbacks has {callback!r}, which is no Callback{hint}.")


@contextmanager
def listening(callbacks: Sequence[Callback], run: Run) -> Iterator[None]:
    """Tell the callbacks that training begins, and, however it ends, that it has ended: the last one first."""
    with ExitStack() as ending:
        for callback in callbacks:
            callback.on_train_begin(run)
            ending.callback(callback.on_train_end, run)
        yield
