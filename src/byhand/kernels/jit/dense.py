"""The linear layer and its gradients, each a register tile (see `tile.py`).

The weights lie in memory with the outputs of one input next to each other, (in, out), although their shape is (out, in)
as in PyTorch: then a vector holds the weights of neighbouring outputs, and nothing has to be laid out anew for the
forward pass or for the gradient of the weights.
"""

from byhand.kernels.jit.cache import unit
from byhand.kernels.jit.tile import ADD, BIAS, FRESH
from byhand.kernels.jit.windows import places, tiles

PANEL = 512  # inputs summed over at a time: as many weights as stay in the nearest cache
BAND = 128  # samples at a time: as many as stay in the next one


@unit
def linear_forward(first, last, x, w, bias, y, inputs, outputs, relu):
    """y = relu(x Wᵀ + b), without the bend if `relu` is 0. x: (N, in), w: (in, out), bias: (out,) or empty.
    y: (N, out)."""
    samples, steps = places(1, min(BAND, last - first), 0, inputs), places(1, inputs, 0, 1)
    for n in range(first, last, BAND):
        for k in range(0, inputs, PANEL):
            count = min(PANEL, inputs - k)
            tiles(min(BAND, last - n), samples, 0, steps, k, count, x, n * inputs, w, k * outputs, outputs,
                  y, n * outputs, outputs, outputs, ADD if k else BIAS if len(bias) else FRESH, bias, 0,
                  relu if k + count == inputs else 0)


@unit
def linear_weight_gradient(first, last, x, g, dw, inputs, outputs, fresh):
    """dw = Σ over samples of x ⊗ g, (in, out): set if `fresh`, else added to."""
    columns, samples = places(1, inputs, 0, 1), places(1, min(BAND, last - first), 0, inputs)
    for n in range(first, last, BAND):
        tiles(inputs, columns, 0, samples, 0, min(BAND, last - n), x, n * inputs, g, n * outputs, outputs,
              dw, 0, outputs, outputs, FRESH if fresh and n == first else ADD, dw, 0, 0)


@unit
def linear_input_gradient(first, last, g, turned, dx, inputs, outputs):
    """dx = g W. g: (N, out), turned: the weights as (out, in), dx: (N, in)."""
    samples, steps = places(1, min(BAND, last - first), 0, outputs), places(1, outputs, 0, 1)
    for n in range(first, last, BAND):
        for k in range(0, outputs, PANEL):
            tiles(min(BAND, last - n), samples, 0, steps, k, min(PANEL, outputs - k), g, n * outputs, turned,
                  k * inputs, inputs, dx, n * inputs, inputs, inputs, ADD if k else FRESH, dx, 0, 0)


@unit
def transpose(first, last, w, turned, inputs, outputs):
    """Rows `first` up to `last` of w, (in, out), into the columns of (out, in), a square at a time."""
    for i in range(first, last, 16):
        for o in range(0, outputs, 16):
            for k in range(o, min(o + 16, outputs)):
                for j in range(i, min(i + 16, last)):
                    turned[k * inputs + j] = w[j * outputs + k]
