"""How one batch teaches a network, or a whole stretch of them.

Layer by layer is the way that the rest of this project explains: the network runs, the loss is computed, and
`backward()` walks back. Where the compiled kernels know the whole network, they do the same in one call, and where
nobody wants to look at the steps in between, many steps in one call.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from byhand import kernels, nn
from byhand.callbacks import Callback, Run
from byhand.data import Loader
from byhand.data.loader import Batch
from byhand.inference import Loss, count_correct, weighted
from byhand.nn.module import watched
from byhand.optim import Optimizer

Array = np.ndarray[Any, Any]
STRETCH = 0.1
"""About so many seconds a stretch of steps may take: then Ctrl-C, a progress bar and a checkpoint have their turn."""


class LayerByLayer:
    """Runs the network as it is written, and walks back through what was recorded."""

    def __init__(self, model: nn.Module, loss: Loss, loader: Loader, rng: np.random.Generator) -> None:
        self.model, self.loss, self.loader, self.rng = model, loss, loader, rng

    def batches(self, run: Run) -> Iterator[Batch]:
        """The batches of a pass, each to be learned from by `gradients` and a step of the optimizer."""
        return iter(self.loader)

    def gradients(self, batch: Batch) -> tuple[float, float]:
        """The loss of a batch, and how many of its samples are answered rightly (NaN if there is no telling). The
        parameters have their gradients afterwards."""
        inputs, targets, weights = batch
        with nn.training(self.rng):
            outputs = self.model(inputs)
        value = weighted(self.loss, outputs, targets, weights)
        value.backward()
        return value.item(), count_correct(outputs.data, targets)


class Compiled(LayerByLayer):
    """Runs a program that does what the network does. Steps that no callback wants to look at are taken in stretches,
    within `batches`, and callbacks are told of them afterwards."""

    def __init__(self, model: nn.Module, loss: Loss, loader: Loader, rng: np.random.Generator, learner: Any) -> None:
        super().__init__(model, loss, loader, rng)
        self.learner, self.samples = learner, learner.whole(loader)
        self.numbers = np.zeros(0, np.int64)  # of the samples in the batch at hand
        learner.compile(self.samples)
        self.seconds_a_step = STRETCH / 8

    def gradients(self, batch: Batch) -> tuple[float, float]:
        inputs, targets, weights = batch
        if self.learner.too_few(len(inputs)):  # for a batch norm, which says so
            return super().gradients(batch)
        samples, order = self.samples, self.numbers
        if samples is None:
            samples, order = self.learner.samples_of(inputs, targets), np.arange(len(inputs))
        value, told = self.learner.gradients(
            samples, order, lambda outputs: weighted(self.loss, outputs, targets, weights), self.rng)
        return value, float(told.sum()) if self.learner.loss else count_correct(told, targets)

    def batches(self, run: Run) -> Iterator[Batch]:
        loader = self.loader
        free = 0  # steps that nobody wants to look at

        def most() -> int:
            nonlocal free
            free = self.steps(run)
            return max(1, free)

        for numbers in loader.stretches(most):
            if free and self.stretch(run, numbers):
                continue
            ahead = -(-len(numbers) // loader.batch_size)
            for start in range(0, len(numbers), loader.batch_size):
                ahead -= 1
                loader.position -= ahead
                self.numbers = numbers[start:start + loader.batch_size]
                yield loader.batch(self.numbers)
                loader.position += ahead

    def steps(self, run: Run) -> int:
        """How many steps can be taken from here without asking anybody; 0 if somebody wants to look at the next."""
        steps_left = run.batches - run.step % run.batches
        uneven = len(self.loader.dataset) % self.loader.batch_size and not self.loader.drop_last
        if self.samples is None or len({slot.steps for slot in run.optimizer.slots}) > 1:
            return 0
        waiting = min((callback.can_wait(run) for callback in run.callbacks), default=steps_left)
        return min(waiting, max(1, int(STRETCH / self.seconds_a_step)), steps_left - 1 if uneven else steps_left)

    def stretch(self, run: Run, numbers: Array) -> bool:
        """Take the steps with these samples, and tell the callbacks. If something in them is not finite, it is as if
        nothing had happened, and the answer is no: then they are to be taken one by one, so that it is found."""
        begun, size = time.perf_counter(), self.loader.batch_size
        steps = len(numbers) // size
        rates = self.rates_ahead(run, steps)
        back = self.learner.snapshot(self.rng)
        losses, correct = self.learner.stretch(self.samples, numbers, size, rates, self.rng)
        if not (np.isfinite(losses).all() and np.isfinite(run.optimizer.flat).all()):
            back()
            return False
        told = [callback for callback in run.callbacks if type(callback).on_step_taken is not Callback.on_step_taken]
        run.optimizer.lr, run.weights, run.size = rates[-1], None, size
        for i in range(steps):
            run.loss = float(losses[i])
            run.seen += size
            run.total_loss += run.loss * size
            run.correct += int(correct[i])
            if told:
                run.targets = self.loader.dataset.targets[numbers[i * size:(i + 1) * size]]
            for callback in told:
                callback.on_step_taken(run)
            run.step += 1
        for callback in run.callbacks:
            callback.on_step_end(run)
        self.seconds_a_step = max(1e-7, (time.perf_counter() - begun) / steps)
        return True

    def rates_ahead(self, run: Run, steps: int) -> list[float]:
        """The learning rate of each of the next steps."""
        schedules = [callback for callback in run.callbacks if callback.looks_ahead]
        if not schedules:
            return [run.optimizer.lr] * steps
        now, rates = run.step, []
        for run.step in range(now, now + steps):
            for schedule in schedules:
                schedule.on_step(run)
            rates.append(run.optimizer.lr)
        run.step = now
        return rates


def teacher(model: nn.Module, loss: Loss, optimizer: Optimizer, loader: Loader,
            rng: np.random.Generator) -> LayerByLayer:
    """Who teaches this network: the compiled kernels if they can, and nobody watches its layers."""
    if kernels.in_use() == "jit" and not watched():
        from byhand.compiled.learner import learner

        compiled = learner(model, optimizer, loss, loader)
        if compiled is not None:
            return Compiled(model, loss, loader, rng, compiled)
    return LayerByLayer(model, loss, loader, rng)
