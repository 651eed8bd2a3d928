"""The linear layer and its gradients, each a register tile (see `tile.py`).

The weights lie in memory with the outputs of one input next to each other, (in, out), although their shape is (out, in)
as in PyTorch: then a vector holds the weights of neighbouring outputs, and nothing has to be laid out anew for the
forward pass or for the gradient of the weights.

Each does the samples from `first` up to `last`. `used` are the numbers of the inputs that count, in ascending order:
digits have wide black borders, and what is 0 in all samples adds nothing to any sum, and its weights have no slope.
"""

import numpy as np

from byhand.kernels.jit.cache import kernel, unit
from byhand.kernels.jit.runs import copy_run
from byhand.kernels.jit.tile import ADD, BIAS, FRESH
from byhand.kernels.jit.vectors import VECTOR, lanes
from byhand.kernels.jit.windows import places, tiles

PANEL = 256  # things summed over at a time: as many as stay in the nearest cache
BROADEST = 3 if VECTOR < 64 else 2  # and vectors of them side by side
BAND = 128  # samples at a time: as many as stay in the next one
MANY = 32  # rows of sums for which a panel is worth laying together


@unit
def used_inputs(inputs, rows, samples, used):
    """Write the numbers of the inputs that are not 0 in all of these samples into `used`, (in,), in ascending order,
    and return how many there are: at least one. samples: (M, in), bytes or floats; rows: which of them."""
    seen = np.zeros(inputs, np.uint8)
    for row in rows:
        sample = samples[row * inputs:(row + 1) * inputs]
        for i in range(len(sample)):
            seen[i] |= sample[i] != 0
    count = 0
    for i in range(inputs):
        used[count] = i
        count += seen[i]
    return max(1, count)


@unit
def linear_forward(first, last, x, w, bias, y, inputs, outputs, relu, used):
    """y = relu(x Wᵀ + b), without the bend if `relu` is 0. x: (N, in), w: (in, out), bias: (out,) or empty.
    y: (N, out)."""
    samples = places(1, min(BAND, last - first), 0, inputs)
    for n in range(first, last, BAND):
        for k in range(0, len(used), PANEL):
            count = min(PANEL, len(used) - k)
            sums_over(min(BAND, last - n), samples, used[k:k + count], x, n * inputs, w, y, n * outputs, outputs,
                      ADD if k else BIAS if len(bias) else FRESH, bias, relu if k + count == len(used) else 0)


@unit
def linear_input_gradient(first, last, g, turned, dx, inputs, outputs):
    """dx = g W. g: (N, out), turned: the weights as (out, in), dx: (N, in)."""
    samples, numbers = places(1, min(BAND, last - first), 0, outputs), places(1, outputs, 0, 1)
    for n in range(first, last, BAND):
        for k in range(0, outputs, PANEL):
            count = min(PANEL, outputs - k)
            sums_over(min(BAND, last - n), samples, numbers[k:k + count], g, n * outputs, turned, dx, n * inputs,
                      inputs, ADD if k else FRESH, dx, 0)


@kernel
def panel_width(columns, lane):
    """How many of the columns that are left a panel has: never so many that a single vector of them is left."""
    vectors = (columns + lane - 1) // lane
    return columns if vectors <= 3 else (2 if vectors == 4 else BROADEST) * lane


@unit
def sums_over(count, rows, steps, a, a0, b, c, c0, columns, begin, bias, relu):
    """`tiles` whose step k takes row steps[k] of b.

    If there are many rows of sums, the columns of b that a tile needs are laid together first: numbers that are a whole
    row apart, which is often a power of two, would push each other out of the nearest cache. So they are, too, where
    the steps leave out some of the rows.
    """
    lane = lanes(c)
    together = steps[len(steps) - 1] - steps[0] == len(steps) - 1
    if together and (count < MANY or columns <= 3 * lane):
        tiles(count, rows, 0, steps, 0, len(steps), a, a0, b, steps[0] * columns, columns, c, c0, columns, columns,
              begin, bias, 0, relu)
        return
    panel = np.empty(len(steps) * (3 * lane if count >= MANY else columns), c.dtype)
    j = 0
    while j < columns:
        wide = panel_width(columns - j, lane) if count >= MANY else columns
        for k in range(len(steps)):
            copy_run(panel, k * wide, b, steps[k] * columns + j, wide)
        tiles(count, rows, 0, steps, 0, len(steps), a, a0, panel, 0, wide, c, c0 + j, columns, wide, begin, bias, j,
              relu)
        j += wide


@unit
def linear_weight_gradient(first, last, x, g, dw, inputs, outputs, fresh, used):
    """dw = Σ over samples of x ⊗ g, (in, out): set if `fresh`, else added to."""
    if fresh and len(used) < inputs:
        nothing, next_used = np.zeros(outputs, dw.dtype), 0
        for i in range(inputs):
            if next_used < len(used) and used[next_used] == i:
                next_used += 1
            else:
                copy_run(dw, i * outputs, nothing, 0, outputs)
    samples = places(1, min(BAND, last - first), 0, inputs)
    for n in range(first, last, BAND):
        count, begin = min(BAND, last - n), FRESH if fresh and n == first else ADD
        if count < MANY:
            add_products(used, samples[:count], x, n * inputs, g, n * outputs, outputs, dw, 0, outputs, outputs, begin)
            continue
        lane = lanes(dw)
        panel = np.empty(count * 3 * lane, g.dtype)
        j = 0
        while j < outputs:
            wide = panel_width(outputs - j, lane)
            for k in range(count):
                copy_run(panel, k * wide, g, (n + k) * outputs + j, wide)
            add_products(used, samples[:count], x, n * inputs, panel, 0, wide, dw, j, outputs, wide, begin)
            j += wide


@unit
def add_products(used, samples, x, x0, g, g0, g_step, dw, dw0, length, columns, begin):
    """`tiles` for the rows of dw that are used. Those that follow each other are done together."""
    start = 0
    while start < len(used):
        end = start + 1
        while end < len(used) and used[end] == used[end - 1] + 1:
            end += 1
        tiles(end - start, used, start, samples, 0, len(samples), x, x0, g, g0, g_step, dw,
              dw0 + used[start] * length, length, columns, begin, dw, 0, 0)
        start = end


@unit
def transpose(first, last, w, turned, inputs, outputs):
    """Rows `first` up to `last` of w, (in, out), into the columns of (out, in), a square at a time."""
    for i in range(first, last, 16):
        for o in range(0, outputs, 16):
            for k in range(o, min(o + 16, outputs)):
                for j in range(i, min(i + 16, last)):
                    turned[k * inputs + j] = w[j * outputs + k]
