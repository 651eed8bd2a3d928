"""Training by a compiled program: one step at a time, or many in one call.

One step at a time is for whoever wants to look: the gradients are where they always are before the optimizer uses them.
When nobody needs to look for a while, a stretch of steps is taken in one call, with no Python between the batches. Both
give the same bits, since they run the same code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from byhand import losses
from byhand.compiled.writing import Array, Row, placed, program_of, written
from byhand.data import Dataset, Loader
from byhand.kernels import get_num_threads
from byhand.kernels.jit import learning, program
from byhand.kernels.jit.sharing import flat
from byhand.kernels.jit.update import RULES
from byhand.kernels.threads import team
from byhand.nn.module import Module
from byhand.optim import Optimizer
from byhand.optim.optimizer import Rule
from byhand.tensor import Tensor

CHUNK = 128  # samples that a thread takes through the network at a time, where the batch has more
FEWEST = 4  # samples for which a thread is worth waking
NO_RATES, NO_NUMBERS, NO_BYTES = np.zeros((0, 0, 5)), np.zeros(0), np.zeros(0, np.uint8)
ELSEWHERE = learning.Loss(learning.ELSEWHERE, 0.0, 1.0)


class Learner:
    """Trains a network whose layers a program can run.

    It works on the optimizer's flat array of parameters, and leaves the gradients where the optimizer and callbacks
    look for them. `loss` is the loss where the program knows it, else None.
    """

    def __init__(self, rows: Sequence[Row], model: Module, optimizer: Optimizer, batch_size: int,
                 loss: learning.Loss | None) -> None:
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.norms = [row.norm for row in rows if row.norm is not None]
        self.norm_places = [math.prod(row.inputs[1:]) for row in rows if row.norm is not None]
        self.drops = any(row.kind == program.DROPOUT for row in rows)
        self.width = math.prod(rows[-1].outputs)
        self.most = get_num_threads()
        self.threads = self.threads_for(batch_size)
        shard = max(-(-batch_size // self.threads), min(batch_size, FEWEST))  # fewer samples may have fewer threads
        whole = loss is None or self.norms  # all samples must be there at once
        self.chunk = shard if whole else min(shard, CHUNK)
        starts = {id(slot.parameter): slot.start for slot in optimizer.slots}
        layout = placed(rows, self.chunk, True, lambda parameter: starts[id(parameter)])
        gradients = np.zeros((self.threads, optimizer.flat.size), optimizer.flat.dtype)
        self.program = program_of(rows, layout, self.threads, optimizer.flat, gradients)
        optimizer.gradient = gradients[0]
        optimizer._bind()

    def compile(self, samples: learning.Samples | None) -> None:
        """See to it that nothing has to be compiled when training has begun: a call that takes no step. samples: what
        it will learn from, if that is known."""
        nothing, none = self.program.parameters[:0], np.zeros(0, np.int64)
        steps = learning.Steps(none, 1, 1, none, NO_RATES, NO_NUMBERS, NO_BYTES, nothing)
        learning.run(0, 1, learning.LEARN, self.program, samples or self.samples_of(nothing.reshape(0, 1), none),
                     ELSEWHERE, no_rule(nothing), steps)

    def samples_of(self, inputs: Array, targets: Array) -> learning.Samples:
        """A batch that is prepared already."""
        return flat_samples(inputs, targets if self.loss else None, kind=self.program.parameters.dtype)

    def threads_for(self, batch: int) -> int:
        """How many threads share a batch: fewer than there are, if it is small."""
        return min(self.most, -(-batch // FEWEST))

    def seeds(self, steps: int, rng: np.random.Generator) -> Array:
        """What dropout draws from in each step."""
        return np.array([rng.integers(2**62) if self.drops else 0 for _ in range(steps)], np.int64)

    def too_few(self, samples: int) -> bool:
        """Whether a batch norm would see a single value a channel, which has no variance."""
        return any(samples * places < 2 for places in self.norm_places)

    def whole(self, loader: Loader) -> learning.Samples | None:
        """The data set as a program reads it by itself; None where Python has to prepare each batch, or to take part in
        each step."""
        optimizer, inputs = self.optimizer, loader.dataset.inputs
        plain = (type(inputs) is np.ndarray and inputs.flags.c_contiguous and inputs.dtype in (np.uint8, loader.dtype)
                 and loader.augment is None and not self.too_few(loader.batch_size))
        free = (self.loss is not None and optimizer.clip_norm is None and optimizer.rule is not None
                and all(group.settings["max_norm"] is None for group in optimizer.groups))
        if not (plain and free):
            return None
        factors = () if loader.normalize is None else loader.normalize.factors(inputs, loader.dtype)
        return flat_samples(inputs, loader.dataset.targets, *factors, kind=loader.dtype)

    def snapshot(self, rng: np.random.Generator) -> Callable[[], None]:
        """How to go back to where everything is now."""
        optimizer, dice = self.optimizer, rng.bit_generator.state
        kept = [(array, array.copy()) for array in (optimizer.flat, *optimizer.memory.values(), *(
            buffer for norm in self.norms
            for buffer in (norm.running_mean, norm.running_var, norm.num_batches_tracked)))]
        steps = [slot.steps for slot in optimizer.slots]

        def back() -> None:
            rng.bit_generator.state = dice
            for array, before in kept:
                array[...] = before
            for slot, before in zip(optimizer.slots, steps, strict=True):
                slot.steps = before

        return back

    # --- one step -----------------------------------------------------------------------------------------------------

    def gradients(self, samples: learning.Samples, order: Array, loss: Callable[[Tensor], Tensor],
                  rng: np.random.Generator) -> tuple[float, Array]:
        """Take the samples of these numbers, as one batch, there and back. Returns its loss, and which of them were
        answered rightly; or the outputs, where the loss is computed by `loss(outputs)`."""
        count, kind = len(order), self.program.parameters.dtype
        steps = learning.Steps(order, count, self.chunk, self.seeds(1, rng), NO_RATES, np.empty(count),
                               np.empty(count, np.uint8), np.empty(0 if self.loss else count * self.width, kind))
        if self.loss:
            self.run(learning.LEARN, samples, steps)
            self.offer_gradients()
            return float(steps.losses.mean()), steps.correct
        self.run(learning.SHOW, samples, steps)
        outputs = Tensor(steps.outputs.reshape(count, self.width).copy(), requires_grad=True)
        value = loss(outputs)
        value.backward()
        steps.outputs[:] = outputs.grad.reshape(-1)
        self.run(learning.TURN_BACK, samples, steps, norms_move=False)
        self.offer_gradients()
        return value.item(), outputs.data

    def offer_gradients(self) -> None:
        """Let each parameter's `grad` be its stretch of the gradients."""
        for slot in self.optimizer.slots:
            slot.parameter.grad = slot.gradient

    # --- many steps ---------------------------------------------------------------------------------------------------

    def stretch(self, samples: learning.Samples, order: Array, batch_size: int, rates: Sequence[float],
                rng: np.random.Generator) -> tuple[Array, Array]:
        """Take the samples of these numbers in batches, and move the parameters after each, with these learning rates.
        Returns the loss of each batch, and how many of its samples were answered rightly."""
        optimizer, slots, count = self.optimizer, self.optimizer.slots, len(rates)
        rule, settings = cast(Rule, optimizer.rule), [group.settings for group in optimizer.groups]  # see `whole`
        numbers = np.array([[rule.rates(lr * own["lr_ratio"], slots[0].steps + 1 + i, own) for own in settings]
                            for i, lr in enumerate(rates)], np.float64)
        sizes = [sum(parameter.size for parameter in group.parameters) for group in optimizer.groups]
        penalties = [(own["l1"], own["l2"], math.inf if own["clip_value"] is None else own["clip_value"])
                     for own in settings]
        nothing, memory = optimizer.flat[:0], optimizer.memory
        moves = learning.Rule(RULES.index(rule.name), np.cumsum(sizes, dtype=np.int64), np.array(penalties, np.float64),
                              memory.get("velocity", memory.get("mean", nothing)), memory.get("squares", nothing))
        steps = learning.Steps(order, batch_size, self.chunk, self.seeds(count, rng), numbers, np.empty(len(order)),
                              np.empty(len(order), np.uint8), nothing)
        self.run(learning.LEARN, samples, steps, moves, count)
        for slot in slots:
            slot.steps += count
            slot.parameter.version += count
        whole = len(order) // batch_size * batch_size
        batch_losses = steps.losses[:whole].reshape(-1, batch_size).mean(axis=1)
        if whole < len(order):
            batch_losses = np.append(batch_losses, steps.losses[whole:].mean())
        return batch_losses, np.add.reduceat(steps.correct, range(0, len(order), batch_size), dtype=np.int64)

    def run(self, task: int, samples: learning.Samples, steps: learning.Steps, rule: learning.Rule | None = None,
            count: int = 1, norms_move: bool = True) -> None:
        """One call of the program by all its threads."""
        for slot in self.optimizer.slots:
            if slot.parameter.data is not slot.values:  # somebody has put another array in its place
                slot.values[...] = slot.parameter.data
                slot.parameter.data = slot.values
        place = 0
        for norm in self.norms:
            size = norm.num_features
            self.program.statistics[place:place + size] = norm.running_mean
            self.program.statistics[place + size:place + 2 * size] = norm.running_var
            place += -(-2 * size // 16) * 16
        threads = self.threads_for(min(steps.batch_size, len(steps.order)))
        self.program.counter[0] = 0
        nothing = self.program.parameters[:0]
        team.share(threads, learning.run, task, self.program, samples, self.loss or ELSEWHERE,
                   rule or no_rule(nothing), steps)
        place = 0
        for norm in self.norms:
            size = norm.num_features
            norm.running_mean[...] = self.program.statistics[place:place + size]
            norm.running_var[...] = self.program.statistics[place + size:place + 2 * size]
            place += -(-2 * size // 16) * 16
            if norms_move:
                norm.num_batches_tracked += count


def no_rule(nothing: Array) -> learning.Rule:
    """For a call that moves no parameters."""
    return learning.Rule(0, np.zeros(0, np.int64), np.zeros((0, 3)), nothing, nothing)


def flat_samples(inputs: Array, targets: Array | None = None, scale: Array | None = None,
                 shift: Array | None = None, *, kind: Any) -> learning.Samples:
    """Inputs (N, ...) and classes as a program reads them that computes in this kind of number."""
    scale, shift = np.ones(1, kind) if scale is None else scale, np.zeros(1, kind) if shift is None else shift
    channels = inputs.shape[1] if inputs.ndim == 4 else scale.size
    size = inputs.size // max(1, len(inputs)) or 1
    labels = np.zeros(0, np.int64) if targets is None else targets.astype(np.int64, copy=False)
    by, less = (flat(np.broadcast_to(a.reshape(-1), channels)) for a in (scale, shift))
    return learning.Samples(flat(inputs), flat(labels), by, less, size, size // channels)


def known_loss(loss: Any) -> learning.Loss | None:
    """The loss as a program knows it, if it does."""
    options = {}
    if isinstance(loss, partial) and not loss.args:
        loss, options = loss.func, loss.keywords
    if loss is losses.cross_entropy and options.keys() <= {"label_smoothing"}:
        smoothing = options.get("label_smoothing", 0.0)
        return learning.Loss(learning.CROSS_ENTROPY, float(smoothing), 1.0) if 0 <= smoothing < 1 else None
    if loss is losses.binary_cross_entropy and not options:
        return learning.Loss(learning.BINARY, 0.0, 1.0)
    if loss is losses.brier and options.keys() <= {"factor"}:
        return learning.Loss(learning.SQUARED_ERROR, 0.0, float(options.get("factor", 1.0)))
    return None


def learner(model: Module, optimizer: Optimizer, loss: Any, loader: Loader) -> Learner | None:
    """A Learner for this training, or None where its network cannot be written down, its parameters are not just those
    of the optimizer, or its samples are not of the network's precision."""
    rows = written(model, loader.dataset.inputs.shape[1:], learning=True)
    parameters = {id(p) for p in model.parameters() if p.requires_grad}
    places = {id(slot.parameter): slot for slot in optimizer.slots}
    if rows is None or len(parameters) < len(model.parameters()) or places.keys() != parameters:
        return None
    if not all(places[id(row.weight)].columns or 1 in row.weight.shape for row in rows if row.kind == program.LINEAR):
        return None  # somebody's own weights, which lie in another order
    if optimizer.flat.dtype != loader.dtype:
        return None
    known, width = known_loss(loss), math.prod(rows[-1].outputs)
    if known is not None and not is_classes(loader.dataset, width, 2 if known.kind == learning.BINARY else width):
        known = None
    return Learner(rows, model, optimizer, min(loader.batch_size, len(loader.dataset)), known)


def is_classes(dataset: Dataset, width: int, classes: int) -> bool:
    """Whether the targets are so many classes, for as many outputs or a single one that tells two apart, and all
    samples count the same."""
    targets = dataset.targets
    return (targets.ndim == 1 and targets.dtype.kind in "iu" and dataset.weights is None
            and (width == classes > 1 or (width, classes) == (1, 2))
            and bool(targets.min() >= 0 and targets.max() < classes))
