"""The learning rate along a schedule, or lowered when nothing improves; and an end when nothing improves at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from byhand.callbacks.run import Callback, Run, State
from byhand.nn.layers import positive
from byhand.optim.groups import checked
from byhand.schedules import OnPlateau

Array = np.ndarray[Any, Any]


class Schedule(Callback):
    """Let the learning rate follow a schedule: the optimizer's own rate times `schedule(progress)`, before each
    update. Raises ValueError for what is no schedule, and for OnPlateau, which is told how things went each epoch."""

    looks_ahead = True

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

    def state_dict(self) -> dict[str, Any]:
        return {"base": self.base}

    def load_state_dict(self, state: State) -> None:
        self.base = checked("lr", state["base"])


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

    def state_dict(self) -> dict[str, Any]:
        return {"base": self.base, "plateau": self.plateau.state_dict()}

    def load_state_dict(self, state: State) -> None:
        self.plateau.load_state_dict(state["plateau"])
        self.base = checked("lr", state["base"])


class EarlyStopping(Callback):
    """Stop when `monitor` has not improved by more than `min_delta` for `patience` epochs, and give the model the
    weights it had when it was best, however training ends. Accuracies are to grow, anything else is to shrink."""

    def __init__(self, patience: int = 5, monitor: str = "validation_loss", min_delta: float = 0.0) -> None:
        positive("EarlyStopping", patience=patience)
        self.patience, self.monitor, self.min_delta = patience, monitor, min_delta

    def on_train_begin(self, run: Run) -> None:
        self.model = run.model
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

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "weights": self.weights}

    def load_state_dict(self, state: State) -> None:
        weights = state["weights"]
        shapes = {name: array.shape for name, array in self.model.state_dict().items()}
        if weights is not None and {name: np.shape(array) for name, array in weights.items()} != shapes:
            raise ValueError("the best weights that it holds are of another network")
        self.best, self.best_epoch, self.weights = float(state["best"]), int(state["best_epoch"]), weights


def shortfall(run: Run, name: str) -> float:
    """A figure of the epoch that just ended, so that less is better: an accuracy as its error rate, 1 - accuracy.

    Raises ValueError, with the figures there are, if it is not among them.
    """
    record = run.history[-1]
    if name not in record:
        raise ValueError(f"there is no '{name}' to monitor: an epoch's record has {', '.join(record)}. (Figures of the "
                         "validation need a validation set.)")
    return 1 - record[name] if name.endswith("accuracy") else record[name]
