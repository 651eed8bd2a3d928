"""A training run as it stands, and what it is to listen to one.

The loop tells every callback when training begins, at each step, at the end of each epoch and when training ends, and
shows it the `Run`: the model, the optimizer, how far it is and how well it does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from byhand import charts
from byhand.history import Epoch, History
from byhand.inference import Evaluation
from byhand.nn.module import Module
from byhand.optim import Optimizer
from byhand.tensor import Tensor
from byhand.terminal import short

Array = np.ndarray[Any, Any]
State = Mapping[str, Any]
"""What `state_dict` returns: under names, arrays and what JSON can hold."""
ENDLESS = 1 << 30
SIZES = ("epochs", "batches", "samples")
COUNTERS = ("epoch", "step", "loss", "seen", "total_loss", "correct", "seconds", "stopped", "failed")


class Pass(Protocol):
    """Goes through the samples, such as a Loader, and knows how far it is."""

    position: int
    """Steps done in this epoch; 0 between epochs."""

    def state_dict(self) -> dict[str, Any]:
        """What it takes to go on from here."""

    def load_state_dict(self, state: State) -> None:
        """Go on from there."""


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
    targets: Array = field(default_factory=lambda: np.empty(0))
    """Of the batch at hand."""
    weights: Array | None = None
    """Of the samples of the batch at hand, if they have some."""
    size: int = 0
    """Samples in the batch at hand."""
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
    validation: Evaluation | None = None
    """Of the validation set, after the epoch that just ended, if there is one."""
    test: Evaluation | None = None
    """Of the test set, after training, if there was one."""
    stopped: str = ""
    """Why training is to end before its time; empty while it is not."""
    failed: bool = False
    """Whether that reason is a failure."""
    notes: list[str] = field(default_factory=list)
    """What callbacks want to tell a person; whoever shows the run shows them."""
    rng: np.random.Generator | None = None
    """Where all that is random comes from."""
    first_draw: int = 0
    """What it would have drawn before the run began to draw: tells whether it has the seed that another run had."""
    loader: Pass | None = None
    callbacks: Sequence[Callback] = ()
    parameters: list[Tensor] = field(init=False)
    """Of the model, looked up once: a look-up at each step would cost a small network a quarter of its time."""

    def __post_init__(self) -> None:
        self.parameters = self.model.parameters()

    def __repr__(self) -> str:
        figures = f": {self.history.last()}" if self.history else ""
        stopped = f"; stopped: {self.stopped.rstrip('.')}" if self.stopped else ""
        return f"<Run at epoch {self.epoch:,} of {self.epochs:,}, step {self.step:,}{figures}{stopped}>"

    def _repr_html_(self) -> str:
        """In a notebook: the same, how it learned, and what it reached on the test set."""
        said = charts.html(charts.tag("p", repr(self).strip("<>")))
        return said + self.history._repr_html_() + ("" if self.test is None else self.test._repr_html_())

    @property
    def progress(self) -> float:
        """The part of all steps that is done, 0 to 1."""
        return self.step / max(1, self.epochs * self.batches)

    def lap(self, begun: float) -> float:
        """Count the time since `begun` as spent learning, and return the time that it is now."""
        now = time.perf_counter()
        self.seconds += now - begun
        return now

    def state_dict(self) -> dict[str, Any]:
        """All that it takes to go on as if nothing had happened, to the bit. Between two steps it is whole."""
        return {
            "sizes": {name: getattr(self, name) for name in SIZES},
            "first_draw": self.first_draw,
            "counters": {name: getattr(self, name) for name in COUNTERS},
            "history": [dict(record) for record in self.history],
            "model": self.model.state_dict(),
            "parameters": self.optimizer.values(),  # also those that are not the model's
            "optimizer": self.optimizer.state_dict(),
            "generator": self.rng and self.rng.bit_generator.state,
            "loader": self.loader and self.loader.state_dict(),
            "callbacks": [[type(callback).__name__, callback.state_dict()] for callback in remembering(self.callbacks)],
        }

    def load_state_dict(self, state: State) -> None:
        """Go on from what `state_dict` returned. Raises ValueError, and changes nothing, if it is of another run."""
        before = self.state_dict()
        try:
            self.take_over(state)
        except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            self.take_over(before)
            kind = "" if isinstance(error, KeyError | ValueError) else "a part of it is of another kind, "
            raise ValueError(f"this checkpoint does not fit this run: {kind}{short(error)}.") from None

    def take_over(self, state: State) -> None:
        """`load_state_dict`, which may break off in the middle."""
        for name in SIZES:
            if state["sizes"][name] != getattr(self, name):
                raise ValueError(f"it is of a run with {state['sizes'][name]} {name}, and this one has "
                                 f"{getattr(self, name)}")
        if state["first_draw"] != self.first_draw:
            raise ValueError("it began with another random generator; give one with the same seed, which has drawn as "
                             "much")
        flat = np.asarray(state["parameters"])
        if flat.shape != self.optimizer.flat.shape:
            raise ValueError(f"its optimizer has {flat.size} parameters, and this one {self.optimizer.flat.size}")
        self.optimizer.load_values(flat)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.rng is not None:
            self.rng.bit_generator.state = state["generator"]
        if self.loader is not None:
            self.loader.load_state_dict(state["loader"])
        mine = remembering(self.callbacks)
        names = [[name for name, _ in state["callbacks"]], [type(callback).__name__ for callback in mine]]
        if names[0] != names[1]:
            raise ValueError(f"its callbacks are {names[0]}, and those of this run {names[1]}")
        for callback, (_, remembered) in zip(mine, state["callbacks"], strict=True):
            callback.load_state_dict(remembered)
        self.count_from(state["counters"], state["history"])

    def count_from(self, counters: State, history: list[Epoch]) -> None:
        """Set the counters and the records. Raises ValueError for such as no run of this size has."""
        for name in COUNTERS:
            if type(counters[name]) is not type(getattr(self, name)):
                raise ValueError(f"its {name} is {counters[name]!r:.40}")
        epoch, step = counters["epoch"], counters["step"]
        position = 0 if self.loader is None else self.loader.position
        possible = 0 <= epoch <= self.epochs and 0 <= step <= self.epochs * self.batches
        if not possible or (step != epoch * self.batches + position and not counters["stopped"]):
            raise ValueError(f"it says step {step} and epoch {epoch}, where an epoch has {self.batches} steps")
        if len(history) != epoch:
            raise ValueError(f"it has {len(history)} records of {epoch} epochs")
        self.history = History(dict(record) for record in history)
        for name in COUNTERS:
            setattr(self, name, counters[name])


class Callback:
    """Does nothing, six times. Override what you need.

    One that remembers something from step to step, or from epoch to epoch, that the run is not to forget when it is
    interrupted, also has a `state_dict` and a `load_state_dict`.

    Where all callbacks can wait, compiled kernels take several steps in one call. Whoever overrides `on_step` or
    `on_step_end` and does not say that it can wait is asked at each step.
    """

    looks_ahead: ClassVar[bool] = False
    """Whether `on_step` does nothing but to set the learning rate, by the number of steps done. Then it can be asked
    before its time."""

    def can_wait(self, run: Run) -> int:
        """How many steps may be taken from here without asking; 0 to look at the next one. After them `on_step_taken`
        is called for each, and `on_step_end` once."""
        asks = type(self).on_step is not Callback.on_step or type(self).on_step_end is not Callback.on_step_end
        return 0 if asks and not self.looks_ahead else ENDLESS

    def on_step_taken(self, run: Run) -> None:
        """Instead of `on_step`, for a step that nobody wanted to look at: loss, size, targets and the sums of the epoch
        are known, as they were after it. Inputs and gradients are not, and model and optimizer are further already."""

    def on_train_begin(self, run: Run) -> None:
        """Before the first step."""

    def on_step(self, run: Run) -> None:
        """The gradients of a batch are known; the update comes next."""

    def on_step_end(self, run: Run) -> None:
        """The update is made: the run stands between two steps."""

    def on_epoch_end(self, run: Run) -> None:
        """After the validation of an epoch; its record is `run.history[-1]`."""

    def on_train_end(self, run: Run) -> None:
        """After the last step, however training ended, by Ctrl-C or an error too."""

    def state_dict(self) -> dict[str, Any]:
        """What is to be remembered: under names, arrays and what JSON can hold."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Go on from what `state_dict` returned; called after `on_train_begin`."""


def remembering(callbacks: Sequence[Callback]) -> list[Callback]:
    """Those that have a state."""
    return [callback for callback in callbacks if type(callback).state_dict is not Callback.state_dict]


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
