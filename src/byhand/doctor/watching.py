"""The callback that watches a training, and says what it sees as soon as it is sure."""

import math
import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from byhand.callbacks import Callback, Run, State
from byhand.doctor.diagnosis import diagnose
from byhand.doctor.finding import Finding
from byhand.doctor.looking import SAMPLES, Array, activations, count, labels, ratio, scale, some_of, weights
from byhand.doctor.measured import Layer, Look, Measured
from byhand.doctor.record import built, write
from byhand.tensor import Tensor

FIRST = 128
"""So many samples, or the first batch, say what the loss of the untrained network is; fewer, where a first step was so
large that it trebled."""
EARLY = (0, 1, 10)
APART = 50
MOST = 30
"""Looks are taken before the first steps, and then at least so many steps apart and about so many times at most: cheap
enough to be always there."""


class Doctor(Callback):
    """Watches a training. `findings` are what it sees as things stand, and after training its last word; each is also
    added to `run.notes`, once, as soon as it is sure.

    path: a file to keep the measurements in, for `byhand doctor`. classes: the classes' names, to call them by. With a
    doctor and without, the training is the same to the bit.
    """

    def __init__(self, path: Path | None = None, classes: Sequence[str] = ()) -> None:
        self.path, self.classes = path, list(classes)
        self.measured = Measured()
        self.findings: list[Finding] = []

    def on_train_begin(self, run: Run) -> None:
        self.measured = Measured(run.epochs, run.batches, run.samples, classes=self.classes)
        needed = -(-SAMPLES * run.batches // run.samples)  # batches, for a look
        self.every = max(APART, 8 * needed, run.epochs * run.batches // MOST)
        self.inputs: deque[Array] = deque(maxlen=needed)
        self.labels: list[tuple[Array, Array | None]] = []  # of the first epoch, with their weights
        self.silent: deque[dict[str, Array]] = deque(maxlen=3)
        self.moving: list[tuple[Layer, Tensor, Array]] = []  # weights at a look, and a copy from before the update
        self.losses: list[float] = []  # since the last look
        self.outputs, self.written = 1, -math.inf
        self.told: set[str] = set()

    def can_wait(self, run: Run) -> int:
        due = min((step for step in EARLY if step >= run.step), default=-(-run.step // self.every) * self.every)
        return max(0, due + 1 - (self.inputs.maxlen or 1) - run.step)  # a look needs the batches before it too

    def on_step_taken(self, run: Run) -> None:
        self.losses.append(run.loss)
        if run.epoch == 0:
            mean = run.total_loss / run.seen
            if run.seen - run.size < FIRST and mean < 3 * (self.measured.first or mean):
                self.measured.first = mean
            if not math.isnan(run.correct):
                self.labels.append((labels(run.targets), run.weights))

    def on_step(self, run: Run) -> None:
        if run.stopped or not math.isfinite(run.loss):
            return
        self.inputs.append(run.inputs)
        self.on_step_taken(run)
        if run.step in EARLY or run.step % self.every == 0:
            self.look(run)
            self.judge(run)

    def look(self, run: Run) -> None:
        """Measure how things stand before the update."""
        inputs = some_of(self.inputs)
        self.outputs, silent, saturated = activations(run.model, inputs)
        layers = []
        for name, weight, gradient in weights(run.model):
            layers.append(Layer(name, gradient=ratio(gradient, weight.data)))
            self.moving.append((layers[-1], weight, weight.data.copy()))
        if len(inputs) >= min(SAMPLES, run.samples):  # fewer do not say that a unit is dead
            self.silent.append(silent)
            for name in silent:
                dead = np.logical_and.reduce([units[name] for units in self.silent])
                layers.append(Layer(name, dead=float(dead.mean())))
        layers += [Layer(name, saturated=share) for name, share in saturated.items()]
        self.add(Look(run.step, statistics.fmean(self.losses), run.optimizer.lr, scale(inputs), layers))

    def add(self, look: Look) -> None:
        """Keep a look, and begin anew with the losses."""
        self.measured.looks.append(look)
        self.losses = []

    def on_step_end(self, run: Run) -> None:
        for layer, weight, before in self.moving:
            layer.update = ratio(weight.data - before, before)
        self.moving = []

    def on_epoch_end(self, run: Run) -> None:
        if self.labels and sum(len(batch) for batch, _ in self.labels) == run.seen:  # not of a half that was resumed
            self.measured.counts = count(self.labels, max(self.outputs, 2))
        self.labels = []
        if run.epoch == run.epochs or run.epoch % -(-run.epochs // MOST) == 0:
            self.judge(run)

    def on_train_end(self, run: Run) -> None:
        if len(self.losses) > EARLY[-1]:
            self.add(Look(run.step, statistics.fmean(self.losses), run.optimizer.lr, None))
        self.measured.stopped, self.measured.failed = run.stopped, run.failed
        self.measured.ended = run.epoch == run.epochs or bool(run.stopped)  # else it was interrupted
        self.written = -math.inf
        self.judge(run)

    def judge(self, run: Run) -> None:
        """Note what is new, and write down what was measured: at the first and the last moment, and every second."""
        self.measured.step = run.step
        self.measured.history = [{name: value for name, value in record.items() if math.isfinite(value)}
                                 for record in run.history]
        self.findings = diagnose(self.measured)
        for finding in self.findings:
            if finding.name not in self.told:
                self.told.add(finding.name)
                run.notes.append(f"Doctor: {finding.sentence}")
        if self.path and self.measured.looks and time.monotonic() - self.written >= 1:
            try:
                write(self.path, self.measured)
            except OSError as error:  # no reason to give up a training
                self.path = None
                run.notes.append(f"Doctor: {error}")
            self.written = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return asdict(replace(self.measured, history=[]))  # the run remembers that

    def load_state_dict(self, state: State) -> None:
        self.measured = built(Measured, dict(state), "it")
