"""What happens around the training loop: records, progress, stopping, saving, the learning rate.

The loop itself (`byhand.train`) only learns. Everything else listens: a callback is told when training begins, at each
step (when the gradients of a batch are known, just before the update), at the end of each epoch, and when training
ends. It sees the whole state of the run, and may change the optimizer's learning rate or end the run by setting
`run.stopped` to the reason.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from byhand.autodiff import no_grad
from byhand.inference import Evaluation
from byhand.nn.layers import positive
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


class Schedule(Callback):
    """Let the learning rate follow a schedule: the optimizer's own rate times `schedule(progress)`, before each
    update. Raises ValueError for what is no schedule, and for OnPlateau, which is told how things went each epoch."""

    def __init__(self, schedule: Callable[[float], float]) -> None:
        if isinstance(schedule, OnPlateau):
            raise ValueError("OnPlateau has to be told how each epoch went; use ReduceOnPlateau(OnPlateau()) instead.")
        if not callable(schedule) or isinstance(schedule, type):
            raise ValueError(f"Schedule needs a schedule, such as Cosine(), got {schedule!r}.")
        self.schedule = schedule
        self.base = 0.0

    def on_train_begin(self, run: Run) -> None:
        self.base = run.optimizer.lr

    def on_step(self, run: Run) -> None:
        run.optimizer.lr = self.base * self.schedule(run.progress)

    def on_train_end(self, run: Run) -> None:
        run.optimizer.lr = self.base  # for whoever trains on with it


class ReduceOnPlateau(Callback):
    """Lower the learning rate when `monitor` has not improved for some epochs. Used in a second run it goes on where
    the first one ended; the optimizer has its own rate back in between."""

    def __init__(self, plateau: OnPlateau, monitor: str = "validation_loss") -> None:
        self.plateau, self.monitor = plateau, monitor
        self.base = 0.0

    def on_train_begin(self, run: Run) -> None:
        self.base = run.optimizer.lr
        run.optimizer.lr = self.base * self.plateau.current

    def on_epoch_end(self, run: Run) -> None:
        run.optimizer.lr = self.base * self.plateau.update(shortfall(run, self.monitor))

    def on_train_end(self, run: Run) -> None:
        run.optimizer.lr = self.base


def shortfall(run: Run, name: str) -> float:
    """A figure of the epoch that just ended, so that less is better: an accuracy as its error rate, 1 - accuracy.

    Raises ValueError, with the figures there are, if it is not among them.
    """
    record = run.history[-1]
    if name not in record:
        raise ValueError(f"there is no '{name}' to monitor: an epoch's record has {', '.join(record)}. (Figures of the "
                         "validation need a validation set.)")
    return 1 - record[name] if name.endswith("accuracy") else record[name]


class EarlyStopping(Callback):
    """Stop when `monitor` has not improved by more than `min_delta` for `patience` epochs, and give the model the
    weights it had when it was best, however training ends. Accuracies are to grow, anything else is to shrink."""

    def __init__(self, patience: int = 5, monitor: str = "validation_loss", min_delta: float = 0.0) -> None:
        positive("EarlyStopping", patience=patience)
        self.patience, self.monitor, self.min_delta = patience, monitor, min_delta

    def on_train_begin(self, run: Run) -> None:
        self.best = math.inf
        self.best_epoch = 0
        self.weights: dict[str, Array] | None = None

    def on_epoch_end(self, run: Run) -> None:
        value = shortfall(run, self.monitor)
        if value < self.best - self.min_delta:
            self.best, self.best_epoch, self.weights = value, run.epoch, run.model.state_dict()
        elif run.epoch - self.best_epoch >= self.patience:
            run.stopped = f"{self.monitor} has not improved since epoch {self.best_epoch}, whose weights are restored"

    def on_train_end(self, run: Run) -> None:
        if self.weights is not None:
            run.model.load_state_dict(self.weights)


class Checkpoint(Callback):
    """Save the model after each epoch, and within an epoch whenever `seconds` have passed, so that an interrupted run
    keeps what it has learned. `save(model)` does the writing: `lambda model: bh.save(model, "model.safetensors")`. A
    model that is broken, with numbers that are not finite, never takes the place of the last good one."""

    def __init__(self, save: Callable[[Module], None], seconds: float = 10.0) -> None:
        self.save, self.seconds = save, seconds
        self.last = 0.0

    def on_train_begin(self, run: Run) -> None:
        self.last = time.monotonic()

    def on_step(self, run: Run) -> None:
        if time.monotonic() - self.last >= self.seconds:
            self.write(run)

    def on_epoch_end(self, run: Run) -> None:
        # The first, the last, and not a thousand between them where an epoch takes a moment.
        if run.epoch in (1, run.epochs) or time.monotonic() - self.last >= self.seconds / 10:
            self.write(run)

    def write(self, run: Run) -> None:
        """Save now, if there is something worth keeping."""
        sound = math.isfinite(run.loss) and all(np.isfinite(value).all() for value in run.model.state_dict().values())
        if sound and not run.failed:
            self.save(run.model)
        self.last = time.monotonic()


class StopOnNaN(Callback):
    """Stop as soon as the loss or a gradient is not a finite number, before the update that would spread it to every
    weight, and say where it began: in the data, in a layer's weights, in a layer's output, in the loss, or on the way
    back."""

    def on_step(self, run: Run) -> None:
        if not math.isfinite(run.loss):
            self.stop(run, f"the loss is not a finite number in step {run.step + 1} (epoch {run.epoch + 1})")
        elif not all(np.isfinite(p.grad).all() for p in run.parameters if p.grad is not None):
            self.stop(run, "the loss is finite, but its gradients are not, "
                           f"in step {run.step + 1} (epoch {run.epoch + 1})")

    def on_epoch_end(self, run: Run) -> None:
        if not all(np.isfinite(p.data).all() for p in run.parameters):
            self.stop(run, f"after step {run.step} (epoch {run.epoch}) there are weights that are not finite")

    def stop(self, run: Run, what: str) -> None:
        """End the run, with the reason."""
        run.failed, run.stopped = True, f"{what}. {first_fault(run)}"


def first_fault(run: Run) -> str:
    """Where the first number that is not finite comes from, and what to try. Runs the batch once more, layer by
    layer."""
    if not np.isfinite(run.inputs).all():
        return "It began in the data: this batch of inputs has values that are not finite. Remove or replace them."
    layers = dict(run.model.named_modules())
    parameters = list(run.model.named_parameters())
    for name, p in parameters:
        if not np.isfinite(p.data).all():
            path, _, which = name.rpartition(".")
            return (f"It began in {titled(path, layers[path])}: its {which} is not finite since the update of step "
                    f"{run.step}. {what_to_try(run)}")
    with no_grad(), watch() as calls, training(np.random.default_rng(0)):
        run.model(Tensor(run.inputs))
    paths = {id(layer): path for path, layer in layers.items()}
    for layer, _, output in calls:
        if not np.isfinite(output.data).all():
            where = titled(paths.get(id(layer), ""), layer)
            return f"It began in {where}: its output is not finite. {what_to_try(run)}"
    if not math.isfinite(run.loss):
        largest = float(np.abs(calls[-1][2].data).max())
        advice = what_to_try(run) if largest > 1e6 else "Look at the targets and their weights."
        return f"Every layer's output is finite, the last one's up to {largest:.4g}: it began in the loss. {advice}"
    name = next(name for name, p in reversed(parameters) if p.grad is not None and not np.isfinite(p.grad).all())
    path = name.rpartition(".")[0]
    return f"On the way back they began in {titled(path, layers[path])}, or right after it. {what_to_try(run)}"


def titled(path: str, layer: Module) -> str:
    """A layer as a person finds it."""
    return f"layer '{path}', {layer!r}" if path else repr(layer)


def what_to_try(run: Run) -> str:
    """What usually helps."""
    largest = float(np.abs(run.inputs).max(initial=0))
    scale = f" scaling the inputs, which reach {largest:.4g}, to about 1," if largest > 20 else ""
    return (f"Try{scale} a lower learning rate (it is {run.optimizer.lr:.4g}), or an optimizer that clips gradients "
            "(clip_norm=1.0).")
