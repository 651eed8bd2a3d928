"""A whole network as one compiled call: forward, backward and the optimizer's step, for one batch or for many.

Python takes some microseconds for each operation, which is nothing beside a large convolution and too much for a small
network, which would spend most of its time waiting for Python. So a network that consists of common layers is written
down as a table, a row for each layer, and a compiled loop goes through the rows: down for the forward pass, up for the
backward pass. The learning itself is the same as everywhere in this project.

Each thread takes its share of a batch through the whole network, in memory of its own. The threads meet three times in
a step: when the filters are laid out, when all gradients are known, and when all weights have moved; and in a batch
norm, where every sample has a hand in the mean.

`Program` is what all the threads share. `byhand.compiled` writes it for a network.
"""

from typing import NamedTuple

import numpy as np

from byhand.kernels.jit.activation import activation_forward, activation_gradient
from byhand.kernels.jit.cache import kernel, unit
from byhand.kernels.jit.convolution import add_rows, conv_backward, conv_forward
from byhand.kernels.jit.dense import linear_forward, linear_input_gradient, linear_weight_gradient, transpose
from byhand.kernels.jit.dropout import dropout_forward
from byhand.kernels.jit.meeting import meet
from byhand.kernels.jit.normalization import (
    batch_moments, batch_norm_apply, batch_norm_backward, batch_norm_slope_sums, merge_moments
)
from byhand.kernels.jit.pooling import avg_pool_backward, avg_pool_forward, max_pool_backward, max_pool_forward
from byhand.kernels.jit.windows import Shape, clear, pack, pack_back, places, unpack
from byhand.kernels.jit.sharing import Array

CONV, LINEAR, BATCH_NORM, MAX_POOL, AVG_POOL, ACTIVATION, DROPOUT, CHANNELS_FIRST = range(8)


class Layer(NamedTuple):
    """A row of the table. Places are counted in numbers, from the start of the memory that holds them."""

    kind: int
    x: int = 0
    """Place of the input in a thread's memory."""
    y: int = 0
    x_slopes: int = -1
    """Place of the gradient of the input; -1 if nobody needs it."""
    y_slopes: int = 0
    x_size: int = 0
    """Numbers a sample in the input."""
    y_size: int = 0
    weight: int = -1
    """Place of the weights among all parameters; -1 if there are none."""
    bias: int = -1
    packed: int = 0
    """Place of the packed filters."""
    turned: int = 0
    """Place of the turned filters, or transposed weights."""
    own: int = 0
    """Place in a thread's memory of what the layer keeps for itself."""
    bytes: int = 0
    """Place in a thread's bytes of which elements won."""
    statistics: int = 0
    """Place of a batch norm's running mean and variance."""
    relu: int = 0
    activation: int = 0
    channels: int = 0
    places: int = 0
    """Rows times columns of a picture, 1 for features."""


FIELDS = len(Layer._fields)
KIND, X, Y, X_SLOPES, Y_SLOPES, X_SIZE, Y_SIZE, WEIGHT, BIAS, PACKED, TURNED, OWN, BYTES, STATISTICS, RELU, BEND, \
    CHANNELS, PLACES = range(FIELDS)
SETTINGS = 3  # floating-point numbers that a layer has: eps and momentum, or what an activation or dropout is set to


class Program(NamedTuple):
    """A network, and all the memory that it works in."""

    table: Array
    """(layers, FIELDS + a Shape's numbers), int64."""
    settings: Array
    """(layers, SETTINGS), float64."""
    parameters: Array
    """Flat: the optimizer's own."""
    statistics: Array
    """Flat: running means and variances."""
    packed: Array
    """Flat: filters as the tiles like them."""
    memory: Array
    """(threads, numbers): each thread's activations and slopes."""
    bytes: Array
    """(threads, numbers), uint8."""
    gradients: Array
    """(threads, parameters); after a step, row 0 has the whole batch's."""
    parts: Array
    """(layers, 2, threads, numbers), float64: what threads tell each other at batch norms, there and back."""
    scratch: Array
    """(threads, numbers): room for a picture."""
    used: Array
    """(threads, 1 + inputs), int64: how many inputs of the first layer, if it is linear, are not 0 in all samples at
    hand, and which."""
    counter: Array
    """(1,), int64: at the meetings."""


@kernel
def shape_in(row):
    """The Shape behind the fields of a row."""
    s = row[FIELDS:]
    return Shape(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11], s[12], s[13], s[14], s[15],
                 s[16])


@kernel
def part_of(count, thread, threads):
    """A thread's share, as `threads.shard`."""
    return count * thread // threads, count * (thread + 1) // threads


@kernel
def vector(array, start, size):
    """A stretch of a flat array; empty where there is none."""
    return array[start:start + size] if start >= 0 else array[:0]


@unit
def copy(x, y):
    """x into y. (A loop compiles in a tenth of the time that Numba takes for y[:] = x.)"""
    for i in range(len(x)):
        y[i] = x[i]


@kernel
def inputs_of(program, layer, inputs, learning, thread):
    """The numbers of the inputs of a linear layer that count; see `dense.py`. A network that is only used sums over all
    of them: what it says of a sample must not depend on the others."""
    if layer == 0 and learning:
        used = program.used[thread]
        return used[1:1 + used[0]]
    return places(1, inputs, 0, 1)


# --- forward ----------------------------------------------------------------------------------------------------------


@unit
def lay_out_filters(program, thread, threads, for_learning):
    """Each thread lays out a part of all filters as the tiles like them, for the way back too if that is due."""
    for layer in range(len(program.table)):
        row = program.table[layer]
        if row[KIND] == CONV:
            shape = shape_in(row)
            first, last = part_of(shape.filters, thread, threads)
            count = shape.filters * (shape.channels // shape.groups) * shape.size_down * shape.size_across
            weight = vector(program.parameters, row[WEIGHT], count)
            pack(first, last, weight, vector(program.packed, row[PACKED], count), shape)
            if for_learning and row[X_SLOPES] >= 0:
                pack_back(first, last, weight, vector(program.packed, row[TURNED], count), shape)
        elif row[KIND] == LINEAR and for_learning and row[X_SLOPES] >= 0:
            count = row[X_SIZE] * row[Y_SIZE]
            first, last = part_of(row[X_SIZE], thread, threads)
            transpose(first, last, vector(program.parameters, row[WEIGHT], count),
                      vector(program.packed, row[TURNED], count), row[X_SIZE], row[Y_SIZE])


@unit
def forward(program, samples, learning, seed, batch, thread, threads):
    """Take `samples` samples in this thread's memory through all layers. learning: dropout drops, drawing from `seed`,
    and batch norm looks at the batch, which has `batch` samples in all threads."""
    memory, scratch = program.memory[thread], program.scratch[thread]
    for layer in range(len(program.table)):
        row = program.table[layer]
        kind = row[KIND]
        x = vector(memory, row[X], samples * row[X_SIZE])
        y = vector(memory, row[Y], samples * row[Y_SIZE])
        if kind == CONV:
            shape = shape_in(row)
            count = shape.filters * (shape.channels // shape.groups) * shape.size_down * shape.size_across
            bias = vector(program.parameters, row[BIAS], shape.filters)
            winner = vector(program.bytes[thread], row[BYTES], samples * row[Y_SIZE])
            conv_forward(0, samples, x, vector(program.packed, row[PACKED], count), bias, y, winner, scratch, shape)
        elif kind == LINEAR:
            weight = vector(program.parameters, row[WEIGHT], row[X_SIZE] * row[Y_SIZE])
            linear_forward(0, samples, x, weight, vector(program.parameters, row[BIAS], row[Y_SIZE]), y,
                           row[X_SIZE], row[Y_SIZE], row[RELU],
                           inputs_of(program, layer, row[X_SIZE], learning, thread))
        elif kind == BATCH_NORM:
            normalize(program, layer, samples, learning, batch, thread, threads)
        elif kind in (MAX_POOL, AVG_POOL):
            s = shape_in(row)
            if kind == MAX_POOL:
                max_pool_forward(0, samples, x, y, vector(program.bytes[thread], row[BYTES], samples * row[Y_SIZE]),
                                 s.channels, s.height, s.width, s.rows, s.columns, s.size_down, s.size_across,
                                 s.stride_down, s.stride_across, s.padding_down, s.padding_across, s.dilation_down,
                                 s.dilation_across)
            else:
                avg_pool_forward(0, samples, x, y, s.channels, s.height, s.width, s.rows, s.columns, s.size_down,
                                 s.size_across, s.stride_down, s.stride_across, s.padding_down, s.padding_across,
                                 s.dilation_down, s.dilation_across)
        elif kind == ACTIVATION:
            activation_forward(0, len(x), row[BEND], program.settings[layer, 0], x, y)
        elif kind == DROPOUT:
            if learning:
                dropout_forward(0, len(x), seed + layer, program.settings[layer, 0], x, y)
            else:
                copy(x, y)
        else:
            channels_first(samples, row[CHANNELS], row[PLACES], x, y)


@unit
def normalize(program, layer, samples, learning, batch, thread, threads):
    """Batch norm, there: the threads add up what they know of the batch, and each normalizes its own samples."""
    row = program.table[layer]
    memory, channels, places = program.memory[thread], row[CHANNELS], row[PLACES]
    eps, momentum = program.settings[layer, 0], program.settings[layer, 1]
    x = vector(memory, row[X], samples * row[X_SIZE])
    own = vector(memory, row[OWN], 4 * channels)
    running = vector(program.statistics, row[STATISTICS], 2 * channels)
    mean, var = np.empty(channels), np.empty(channels)
    if learning:
        parts = program.parts[layer, 0]
        batch_moments(0, samples, parts[thread], x, channels, places)
        meet(program.counter, threads)
        merge_moments(parts, threads, mean, var, channels)
        if thread == 0:
            count = batch * places
            for c in range(channels):
                running[c] += momentum * (mean[c] - running[c])
                running[channels + c] += momentum * (var[c] * (count / (count - 1)) - running[channels + c])
    else:
        copy(running[:channels], mean)
        copy(running[channels:], var)
    for c in range(channels):
        inverse = 1 / np.sqrt(var[c] + eps)
        scale = program.parameters[row[WEIGHT] + c] * inverse
        own[c], own[channels + c] = mean[c], inverse
        own[2 * channels + c], own[3 * channels + c] = scale, program.parameters[row[BIAS] + c] - mean[c] * scale
    batch_norm_apply(0, samples, x, vector(memory, row[Y], samples * row[Y_SIZE]), own[2 * channels:3 * channels],
                     own[3 * channels:], channels, places, row[RELU])


@unit
def channels_first(samples, channels, places, x, y):
    """Pictures from channels-last to channels-first, as PyTorch's Flatten has them."""
    for n in range(samples):
        at = n * channels * places
        for c in range(channels):
            for place in range(places):
                y[at + c * places + place] = x[at + place * channels + c]


@unit
def channels_last(samples, channels, places, y, x):
    """The inverse of `channels_first`."""
    for n in range(samples):
        at = n * channels * places
        for place in range(places):
            for c in range(channels):
                x[at + place * channels + c] = y[at + c * places + place]


# --- backward ---------------------------------------------------------------------------------------------------------


@unit
def backward(program, samples, fresh, seed, batch, thread, threads):
    """Take the slopes of the outputs, which are in this thread's memory, back through all layers; what they say of the
    parameters goes to this thread's gradients, in place of what is there if `fresh`."""
    memory, scratch, gradients = program.memory[thread], program.scratch[thread], program.gradients[thread]
    for layer in range(len(program.table) - 1, -1, -1):
        row = program.table[layer]
        kind = row[KIND]
        x = vector(memory, row[X], samples * row[X_SIZE])
        y = vector(memory, row[Y], samples * row[Y_SIZE])
        g = vector(memory, row[Y_SLOPES], samples * row[Y_SIZE])
        dx = vector(memory, row[X_SLOPES], samples * row[X_SIZE])
        if kind == CONV:
            shape = shape_in(row)
            count = shape.filters * (shape.channels // shape.groups) * shape.size_down * shape.size_across
            db = vector(gradients, row[BIAS], shape.filters)
            if fresh:
                clear(db)
            conv_backward(0, samples, x, y, g, vector(program.bytes[thread], row[BYTES], samples * row[Y_SIZE]),
                          vector(program.packed, row[TURNED], count), vector(memory, row[OWN], count), db, dx, scratch,
                          fresh, shape)
        elif kind == LINEAR:
            if row[RELU]:
                stop_where_relu_was(y, g)
            db = vector(gradients, row[BIAS], row[Y_SIZE])
            if fresh:
                clear(db)
            if len(db):
                add_rows(g, db)
            count = row[X_SIZE] * row[Y_SIZE]
            linear_weight_gradient(0, samples, x, g, vector(gradients, row[WEIGHT], count), row[X_SIZE], row[Y_SIZE],
                                   fresh, inputs_of(program, layer, row[X_SIZE], True, thread))
            if len(dx):
                linear_input_gradient(0, samples, g, vector(program.packed, row[TURNED], count), dx, row[X_SIZE],
                                      row[Y_SIZE])
        elif kind == BATCH_NORM:
            normalize_backward(program, layer, samples, batch, thread, threads)
        elif kind in (MAX_POOL, AVG_POOL):
            s = shape_in(row)
            if len(dx) == 0:
                continue
            if kind == MAX_POOL:
                max_pool_backward(0, samples, g, vector(program.bytes[thread], row[BYTES], samples * row[Y_SIZE]), dx,
                                  s.channels, s.height, s.width, s.rows, s.columns, s.size_down, s.size_across,
                                  s.stride_down, s.stride_across, s.padding_down, s.padding_across, s.dilation_down,
                                  s.dilation_across)
            else:
                avg_pool_backward(0, samples, g, dx, s.channels, s.height, s.width, s.rows, s.columns, s.size_down,
                                  s.size_across, s.stride_down, s.stride_across, s.padding_down, s.padding_across,
                                  s.dilation_down, s.dilation_across)
        elif len(dx):
            if kind == ACTIVATION:
                activation_gradient(0, len(x), row[BEND], program.settings[layer, 0], x, g, dx)
            elif kind == DROPOUT:
                dropout_forward(0, len(x), seed + layer, program.settings[layer, 0], g, dx)
            else:
                channels_last(samples, row[CHANNELS], row[PLACES], g, dx)


@kernel
def stop_where_relu_was(y, g):
    """Slopes of what relu cut off become 0."""
    for i in range(len(g)):
        g[i] = g[i] if y[i] > 0 else g[i] * 0


@unit
def normalize_backward(program, layer, samples, batch, thread, threads):
    """Batch norm, back: again the threads add up what they know first."""
    row = program.table[layer]
    memory, channels, places = program.memory[thread], row[CHANNELS], row[PLACES]
    x, y = vector(memory, row[X], samples * row[X_SIZE]), vector(memory, row[Y], samples * row[Y_SIZE])
    g = vector(memory, row[Y_SLOPES], samples * row[Y_SIZE])
    own = vector(memory, row[OWN], 4 * channels)
    mean, inverse, scale = own[:channels], own[channels:2 * channels], own[2 * channels:3 * channels]
    parts = program.parts[layer, 1]
    clear(parts[thread, :2 * channels])
    batch_norm_slope_sums(0, samples, parts[thread], g, x, mean, inverse, y, row[RELU], channels, places)
    meet(program.counter, threads)
    means = np.zeros(2 * channels, memory.dtype)
    gradients = program.gradients[thread]
    for i in range(2 * channels):
        total = 0.0
        for part in range(threads):
            total += parts[part, i]
        means[i] = total / (batch * places)
        place = row[BIAS] + i if i < channels else row[WEIGHT] + i - channels
        gradients[place] = total if thread == 0 else 0.0
    dx = vector(memory, row[X_SLOPES], samples * row[X_SIZE])
    if len(dx):
        batch_norm_backward(0, samples, g, x, y, row[RELU], dx, mean, inverse, scale, means[:channels],
                            means[channels:], channels, places)


@kernel
def unpack_gradients(program, thread):
    """The gradients of filters, from where they were summed up to where the optimizer looks for them."""
    for layer in range(len(program.table)):
        row = program.table[layer]
        if row[KIND] == CONV:
            shape = shape_in(row)
            count = shape.filters * (shape.channels // shape.groups) * shape.size_down * shape.size_across
            unpack(0, shape.filters, vector(program.memory[thread], row[OWN], count),
                   vector(program.gradients[thread], row[WEIGHT], count), shape)
