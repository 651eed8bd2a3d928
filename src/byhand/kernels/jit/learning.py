"""Learning and answering by a program: batches of samples, the loss, the step of the optimizer, for all threads.

`run` is what the threads are called with. Each takes its share of a batch there and back (`program.py`). Then they
meet, add up what they found, and each moves a part of the parameters.
"""

from typing import NamedTuple

import numpy as np

from byhand.kernels.jit.cache import kernel, unit
from byhand.kernels.jit.dense import used_inputs
from byhand.kernels.jit.gather import gather
from byhand.kernels.jit.loss import binary_cross_entropy_rows, cross_entropy_rows, squared_error_rows
from byhand.kernels.jit.meeting import meet
from byhand.kernels.jit.program import (
    KIND, LINEAR, X, Y, Y_SIZE, Y_SLOPES, backward, copy, forward, lay_out_filters, part_of, unpack_gradients, vector
)
from byhand.kernels.jit.sharing import Array
from byhand.kernels.jit.update import update

CROSS_ENTROPY, SQUARED_ERROR, BINARY, ELSEWHERE = range(4)
BLOCK = 4096  # parameters updated at a time: their gradients are added up and used while they are near


class Samples(NamedTuple):
    """Where a step finds its samples, and what a network should say of them."""

    inputs: Array
    """(N, numbers), flat; bytes or floats."""
    labels: Array
    """(N,), int64."""
    scale: Array
    shift: Array
    """(channels,): input · scale - shift goes into the network."""
    size: int
    """Numbers a sample."""
    places: int
    """Numbers a channel."""


class Loss(NamedTuple):
    """CROSS_ENTROPY with label smoothing, SQUARED_ERROR from the one-hot target, or BINARY cross-entropy; times
    `factor`."""

    kind: int
    smoothing: float
    factor: float


class Rule(NamedTuple):
    """How parameters move, in groups that lie one after the other; see `update`."""

    kind: int
    ends: Array
    """(groups,), int64: where each group ends among all parameters."""
    settings: Array
    """(groups, 3), float64: l1, l2 and clip."""
    memory1: Array
    memory2: Array


class Steps(NamedTuple):
    """The steps to take, and what came of them."""

    order: Array
    """(N,), int64: numbers of samples."""
    batch_size: int
    """Of which each step takes the next so many, until there are none."""
    chunk: int
    """How many samples a thread takes through the network at a time; its memory has room for them."""
    seeds: Array
    """(steps,), int64: for dropout."""
    rates: Array
    """(steps, groups, 5), float64: what `update` needs in each step; none to leave the parameters as they are."""
    losses: Array
    """(N,), float64: of each sample."""
    correct: Array
    """(N,), uint8: whether it is answered rightly."""
    outputs: Array
    """(N, outputs), flat: what the network says of each sample, where that is asked for; and its slopes, where those
    come from elsewhere."""


LEARN, SHOW, TURN_BACK = range(3)


@unit
def run(thread, threads, task, program, samples, loss, rule, steps):
    """What all threads are called with. LEARN: take the steps. SHOW: take one step as far as the outputs, for a loss
    that is computed elsewhere, and TURN_BACK: go on from there, with the slopes of the outputs, to the gradients."""
    for step in range(len(steps.seeds)):
        start = step * steps.batch_size
        batch = min(steps.batch_size, len(steps.order) - start)
        mine, until = part_of(batch, thread, threads)
        if task != TURN_BACK:
            lay_out_filters(program, thread, threads, True)
            meet(program.counter, threads)
        for first in range(start + mine, start + until, steps.chunk):
            last = min(first + steps.chunk, start + until)
            learn_from(program, task, samples, loss, steps, first, last, first == start + mine, step, batch, thread,
                       threads)
        if task != SHOW:
            unpack_gradients(program, thread)
        meet(program.counter, threads)
        if task != SHOW:
            move(program, rule, steps.rates[step:step + 1], thread, threads)
            meet(program.counter, threads)


@unit
def learn_from(program, task, samples, loss, steps, first, last, fresh, step, batch, thread, threads):
    """There and back with the samples at places `first` up to `last` of the order."""
    count, width = last - first, program.table[-1, Y_SIZE]
    y = vector(program.memory[thread], program.table[-1, Y], count * width)
    g = vector(program.memory[thread], program.table[-1, Y_SLOPES], count * width)
    outputs = steps.outputs[first * width:last * width]
    seed = steps.seeds[step] + (first - step * steps.batch_size) * (1 << 32)
    if task != TURN_BACK:
        gather_batch(program, samples, steps.order[first:last], thread)
        if program.table[0, KIND] == LINEAR:
            look_for_zeros(program, samples, steps.order[first:last], thread)
        forward(program, count, True, seed, batch, thread, threads)
    if task == SHOW:
        copy(y, outputs)
        return
    if task == TURN_BACK:
        copy(outputs, g)
    else:
        judge(loss, y, samples, steps.order[first:last], batch, steps.losses[first:last], g,
              steps.correct[first:last], width)
    backward(program, count, fresh, seed, batch, thread, threads)


@kernel
def gather_batch(program, samples, rows, thread):
    """The samples of these numbers, normalized, into this thread's memory."""
    x = vector(program.memory[thread], program.table[0, X], len(rows) * samples.size)
    gather(0, len(rows), rows, samples.inputs, samples.scale, samples.shift, x, samples.size // samples.places,
           samples.places)


@kernel
def look_for_zeros(program, samples, rows, thread):
    """Which inputs a linear layer that comes first has to look at."""
    used = program.used[thread]
    if samples.shift.max() == 0 and samples.shift.min() == 0:
        used[0] = used_inputs(samples.size, rows, samples.inputs, used[1:])
    else:  # zeros do not stay zeros
        used[0] = samples.size
        for i in range(samples.size):
            used[1 + i] = i


@unit
def judge(loss, y, samples, rows, batch, losses, g, correct, width):
    """The loss of each sample, and the slopes of the mean over the batch."""
    labels = np.empty(len(rows), np.int64)
    for n in range(len(rows)):
        labels[n] = samples.labels[rows[n]]
    scale = loss.factor / batch
    if loss.kind == CROSS_ENTROPY:
        cross_entropy_rows(0, len(rows), y, labels, loss.smoothing, scale, losses, g, correct, width)
    elif loss.kind == SQUARED_ERROR:
        squared_error_rows(0, len(rows), y, labels, scale, losses, g, correct, width)
    else:
        binary_cross_entropy_rows(0, len(rows), y, labels, scale, losses, g, correct)
    if loss.factor != 1:
        for n in range(len(rows)):
            losses[n] *= loss.factor


@kernel
def add_up(program, first, last, threads):
    """The gradients of the whole batch for parameters `first` up to `last`, added up in the order of the threads."""
    total = program.gradients[0]
    for thread in range(1, threads):
        part = program.gradients[thread]
        for i in range(first, last):
            total[i] += part[i]


@unit
def move(program, rule, rates, thread, threads):
    """Add up the gradients, and move the parameters by them: each thread its part of both. rates: (1, groups, 5), or
    (0, groups, 5) to add up only."""
    mine, until = part_of(len(program.parameters), thread, threads)
    for first in range(mine, until, BLOCK):
        last = min(first + BLOCK, until)
        add_up(program, first, last, threads)
        for rate in rates:
            start = first
            for group in range(len(rule.ends)):
                end, by, own = min(last, rule.ends[group]), rate[group], rule.settings[group]
                if start < end:
                    update(start, end, rule.kind, program.parameters, program.gradients[0], rule.memory1, rule.memory2,
                           by[0], by[1], by[2], by[3], by[4], own[0], own[1], own[2], 1.0)
                    start = end


# --- use --------------------------------------------------------------------------------------------------------------


@unit
def answer(thread, threads, program, samples, order, chunk, outputs):
    """The outputs of a network that is only used, for the samples of these numbers, a chunk at a time. Its filters must
    have been laid out."""
    mine, until = part_of(len(order), thread, threads)
    width = program.table[-1, Y_SIZE]
    for start in range(mine, until, chunk):
        end = min(start + chunk, until)
        gather_batch(program, samples, order[start:end], thread)
        forward(program, end - start, False, 0, 0, thread, threads)
        copy(vector(program.memory[thread], program.table[-1, Y], (end - start) * width),
             outputs[start * width:end * width])
