"""The linear layer and its gradients, each a register tile (see `tile.py`).

The weights lie in memory with the outputs of one input next to each other, (in, out), although their shape is (out, in)
as in PyTorch: then a vector holds the weights of neighbouring outputs, and nothing has to be laid out anew for the
forward pass or for the gradient of the weights.
"""

import numpy as np

from byhand.kernels.jit.cache import unit
from byhand.kernels.jit.convolution import places, tiles, width_for
from byhand.kernels.jit.tile import ADD, BIAS, FRESH, lanes

PANEL = 512  # inputs summed over at a time: as many weights as stay in the nearest cache


@unit
def linear_forward(first, last, x, w, bias, y, inputs, outputs, relu):
    """y = relu(x Wᵀ + b), samples `first` up to `last`. x: (N, in), w: (in, out), bias: (out,) or empty, y: (N, out)."""
    samples, here = places(last - first, 1, inputs, 0), np.zeros(1, np.int64)
    lane = lanes(x)
    o = 0
    while o < outputs:
        width = width_for(last - first, outputs - o, lane)
        for k in range(0, inputs, PANEL):
            run = min(PANEL, inputs - k)
            begin = ADD if k else BIAS if len(bias) else FRESH
            tiles(last - first, samples, 0, min(lane, outputs - o - (width - 1) * lane), width,
                  x, first * inputs + k, here, run, 1, w, k * outputs + o, 0, outputs,
                  y, first * outputs + o, outputs, begin, bias, o, relu if k + run == inputs else 0)
        o += width * lane


@unit
def linear_weight_gradient(first, last, x, g, dw, inputs, outputs, fresh):
    """dw = Σ over samples of x ⊗ g, (in, out): set if `fresh`, else added to."""
    columns, here = places(inputs, 1, 1, 0), np.zeros(1, np.int64)
    lane = lanes(x)
    o = 0
    while o < outputs:
        width = 2 if outputs - o > lane else 1
        tiles(inputs, columns, 0, min(lane, outputs - o - (width - 1) * lane), width,
              x, first * inputs, here, last - first, inputs, g, first * outputs + o, 0, outputs,
              dw, o, outputs, FRESH if fresh else ADD, dw, 0, 0)
        o += width * lane


@unit
def linear_input_gradient(first, last, g, turned, dx, inputs, outputs):
    """dx = g W. g: (N, out), turned: the weights as (out, in), dx: (N, in)."""
    samples, here = places(last - first, 1, outputs, 0), np.zeros(1, np.int64)
    lane = lanes(g)
    i = 0
    while i < inputs:
        width = width_for(last - first, inputs - i, lane)
        for k in range(0, outputs, PANEL):
            run = min(PANEL, outputs - k)
            tiles(last - first, samples, 0, min(lane, inputs - i - (width - 1) * lane), width,
                  g, first * outputs + k, here, run, 1, turned, k * inputs + i, 0, inputs,
                  dx, first * inputs + i, inputs, ADD if k else FRESH, dx, 0, 0)
        i += width * lane


@unit
def transpose(first, last, w, turned, inputs, outputs):
    """Rows `first` up to `last` of w, (in, out), into the columns of (out, in), a square at a time."""
    for i in range(first, last, 16):
        for o in range(0, outputs, 16):
            for k in range(o, min(o + 16, outputs)):
                for j in range(i, min(i + 16, last)):
                    turned[k * inputs + j] = w[j * outputs + k]
