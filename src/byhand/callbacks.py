"""What happens around the training loop: records, progress, stopping, saving, the learning rate.

The loop itself (`byhand.train`) only learns. Everything else listens: a callback is told when training begins, at each step
(when the gradients of a batch are known, just before the update), at the end of each epoch, and when training ends. It sees
the whole state of the run, and may change the optimizer's learning rate or end the run by setting `run.stopped` to the
reason.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from byhand.autodiff import no_grad
from byhand.inference import Evaluation
from byhand.nn.module import Module, training, watch
from byhand.optim import Optimizer
from byhand.schedules import OnPlateau
from byhand.tensor import Tensor

Array = np.ndarray[Any, Any]
Epoch = dict[str, float]


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
    history: list[Epoch] = field(default_factory=list)
    """A record an epoch: epoch, loss, accuracy, validation_loss, validation_accuracy, learning_rate, seconds."""
    test: Evaluation | None = None
    """Of the test set, after training, if there was one."""
    stopped: str = ""
    """Why training is to end before its time; empty while it is not."""
    failed: bool = False
    """Whether that reason is a failure."""

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
        """After the last step, however training ended (but not after an exception)."""


class Schedule(Callback):
    """Let the learning rate follow a schedule: the optimizer's own rate times `schedule(progress)`, before each update."""

    def __init__(self, schedule: Callable[[float], float]) -> None:
        self.schedule = schedule
        self.base = 0.0

    def on_train_begin(self, run: Run) -> None:
        self.base = run.optimizer.lr

    def on_step(self, run: Run) -> None:
        run.optimizer.lr = self.base * self.schedule(run.progress)


class ReduceOnPlateau(Callback):
    """Lower the learning rate when `monitor` (smaller is better) has not improved for some epochs."""

    def __init__(self, plateau: OnPlateau, monitor: str = "validation_loss") -> None:
        self.plateau, self.monitor = plateau, monitor
        self.base = 0.0

    def on_train_begin(self, run: Run) -> None:
        self.base = run.optimizer.lr

    def on_epoch_end(self, run: Run) -> None:
        run.optimizer.lr = self.base * self.plateau.update(monitored(run, self.monitor))


def monitored(run: Run, name: str) -> float:
    """A figure of the epoch that just ended. Raises ValueError, with those there are, if it is not among them."""
    record = run.history[-1]
    if name not in record:
        raise ValueError(f"there is no '{name}' to monitor: an epoch's record has {', '.join(record)}. (Figures of the "
                         "validation need a validation set.)")
    return record[name]


class EarlyStopping(Callback):
    """Stop when `monitor` has not improved by more than `min_delta` for `patience` epochs, and give the model the weights
    it had when it was best, however training ends. Accuracies are to grow, anything else is to shrink."""

    def __init__(self, patience: int = 5, monitor: str = "validation_loss", min_delta: float = 0.0) -> None:
        if patience < 1:
            raise ValueError(f"early stopping needs a patience of at least 1 epoch, got {patience}.")
        self.patience, self.monitor, self.min_delta = patience, monitor, min_delta
        self.sign = -1.0 if monitor.endswith("accuracy") else 1.0

    def on_train_begin(self, run: Run) -> None:
        self.best = math.inf
        self.best_epoch = 0
        self.weights: dict[str, Array] | None = None

    def on_epoch_end(self, run: Run) -> None:
        value = self.sign * monitored(run, self.monitor)
        if value < self.best - self.min_delta:
            self.best, self.best_epoch, self.weights = value, run.epoch, run.model.state_dict()
        elif run.epoch - self.best_epoch >= self.patience:
            run.stopped = (f"{self.monitor} has not improved for {self.patience} epochs; the weights of epoch "
                           f"{self.best_epoch} are restored")

    def on_train_end(self, run: Run) -> None:
        if self.weights is not None:
            run.model.load_state_dict(self.weights)


class Checkpoint(Callback):
    """Save the model after each epoch, and within an epoch whenever `seconds` have passed, so that an interrupted run keeps
    what it has learned. `save(model)` does the writing: `lambda model: bh.save(model, "model.safetensors")`."""

    def __init__(self, save: Callable[[Module], None], seconds: float = 10.0) -> None:
        self.save, self.seconds = save, seconds
        self.saved_at_step = 0
        self.last = 0.0

    def on_train_begin(self, run: Run) -> None:
        self.last = time.monotonic()

    def on_step(self, run: Run) -> None:
        if time.monotonic() - self.last >= self.seconds and math.isfinite(run.loss):
            self.write(run)

    def on_epoch_end(self, run: Run) -> None:
        if run.epoch == run.epochs or time.monotonic() - self.last >= self.seconds / 10:
            self.write(run)  # but not a thousand times where an epoch takes a moment

    def write(self, run: Run) -> None:
        """Save now."""
        self.save(run.model)
        self.last, self.saved_at_step = time.monotonic(), run.step


class StopOnNaN(Callback):
    """Stop as soon as the loss is not a finite number, before the update that would spread it to every weight, and say where
    it began: in the data, in a layer's weights, in a layer's output, or in the loss."""

    def on_step(self, run: Run) -> None:
        if not math.isfinite(run.loss):
            run.failed = True
            run.stopped = (f"the loss is not a finite number in step {run.step + 1} (epoch {run.epoch + 1}). "
                           f"{first_fault(run)} {what_to_try(run)}")


def first_fault(run: Run) -> str:
    """Run the batch once more, layer by layer, up to the first number that is not finite."""
    if not np.isfinite(run.inputs).all():
        return "It began in the data: this batch of inputs has values that are not finite."
    paths = {id(module): path for path, module in run.model.named_modules()}
    for name, p in run.model.named_parameters():
        if not np.isfinite(p.data).all():
            path, _, parameter = name.rpartition(".")
            layer = dict(run.model.named_modules())[path]
            return f"It began in layer '{path}', {layer!r}: its {parameter} overflowed in the update of step {run.step}."
    with no_grad(), watch() as calls, training(np.random.default_rng(0)):
        run.model(Tensor(run.inputs))
    for layer, _, output in calls:
        if not np.isfinite(output.data).all():
            return f"It began in layer '{paths[id(layer)]}', {layer!r}: its output is not finite."
    return "Every layer's output is finite: it began in the loss itself (look at the targets)."


def what_to_try(run: Run) -> str:
    """What usually helps."""
    largest = float(np.abs(run.inputs).max()) if run.inputs.size and np.isfinite(run.inputs).all() else 0.0
    scale = f" scale the inputs, which reach {largest:.4g}, to about 1," if largest > 20 else ""
    return (f"Try{scale} a lower learning rate (it is {run.optimizer.lr:.4g}), or an optimizer that clips gradients "
            "(clip_norm=1.0).")
