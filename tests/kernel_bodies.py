"""Convolution and linear layer through their compiled bodies: the place in the tests that knows how they are called.

Everything that a body reads or writes is handed out by `place`, so that a test decides what lies around it. What a body
is to write is NaN before.
"""

import numpy as np

from byhand.kernels import Window, reference
from byhand.kernels.jit import convolution, dense
from byhand.kernels.reference.convolution import channels_first, channels_last

UNWRITTEN = 77  # in bytes


def pool_window(size):
    """The window of a pool that shares the picture out in squares."""
    return Window((size, size), (size, size), (0, 0), (1, 1))


class Convolution:
    """Convolution, relu and max pool in one. x: (N, C, H, W), weight: (O, C / groups, kH, kW), bias: (O,) or None."""

    def __init__(self, x, weight, bias, window, groups=1, pool=1, relu=False, place=np.array):
        self.shape = convolution.shape_of(x.shape[1:], len(weight), window, groups, pool, int(relu))
        self.place, self.samples, self.kind = place, len(x), x.dtype
        self.x = place(channels_last(x).reshape(-1))
        self.weight = place(weight.reshape(-1))
        self.bias = place(np.zeros(0, x.dtype) if bias is None else bias)
        self.packed = self.unwritten(weight.size)
        self.y = self.unwritten(len(x) * self.shape.result)
        self.winner = place(np.full(self.y.size, UNWRITTEN, np.uint8))
        self.scratch = self.unwritten(self.shape.scratch)

    def unwritten(self, size):
        return self.place(np.full(size, np.nan, self.kind))

    def pictures(self, flat):
        """Numbers as they lie in the input, as (N, C, H, W)."""
        return channels_first(flat.reshape(-1, self.shape.height, self.shape.width, self.shape.channels))

    def result(self, flat):
        """Numbers as the body writes them, as (N, O, H', W')."""
        shape = self.shape
        return channels_first(flat.reshape(-1, shape.rows // shape.pool, shape.columns // shape.pool, shape.filters))

    def forward(self, first=0, last=None):
        """-> the result, and which element of each pool won."""
        shape, half = self.shape, self.shape.filters // 2
        convolution.pack(0, half, self.weight, self.packed, shape)
        convolution.pack(half, shape.filters, self.weight, self.packed, shape)
        convolution.conv_forward(first, self.samples if last is None else last, self.x, self.packed, self.bias, self.y,
                                 self.winner, self.scratch, shape)
        return self.result(self.y), self.result(self.winner)

    def backward(self, g, first=0, last=None, parts=1, of_weight=True, of_bias=True, of_input=True):
        """After `forward`, with the slopes g of its result: the gradients of weight, bias and x. The samples are done
        in so many parts, one call each."""
        shape, half, none = self.shape, self.shape.filters // 2, self.place(np.zeros(0, self.kind))
        last = self.samples if last is None else last
        turned = self.unwritten(self.weight.size)
        convolution.pack_back(0, half, self.weight, turned, shape)
        convolution.pack_back(half, shape.filters, self.weight, turned, shape)
        g = self.place(channels_last(g).reshape(-1))
        dw = self.unwritten(shape.weights) if of_weight else none
        db = self.place(np.zeros(shape.filters, self.kind)) if of_bias else none
        dx = self.unwritten(self.x.size) if of_input else none
        for part in range(parts):
            begin, end = (first + (last - first) * n // parts for n in (part, part + 1))
            convolution.conv_backward(begin, end, self.x, self.y, g, self.winner, turned, dw, db, dx, self.scratch,
                                      part == 0, shape)
        gradient = self.unwritten(dw.size)
        if of_weight:
            convolution.unpack(0, half, dw, gradient, shape)
            convolution.unpack(half, shape.filters, dw, gradient, shape)
        return gradient, db, dx


def numpys_convolution(x, weight, bias, window, groups=1, pool=1, relu=False):
    """What `Convolution.forward` should return, and a function for what `Convolution.backward` should."""
    sums = reference.conv2d(x, weight, bias, window, groups)
    bent = np.maximum(sums, 0) if relu else sums
    y, winner = reference.max_pool2d(bent, pool_window(pool))

    def backward(g):
        slopes = reference.max_pool2d_gradient(g, winner, bent.shape, pool_window(pool))
        slopes = slopes * (sums > 0) if relu else slopes
        return (reference.conv2d_weight_gradient(slopes, x, weight.shape, window, groups),
                reference.channel_sum(slopes), reference.conv2d_input_gradient(slopes, weight, x.shape, window, groups))

    won = channels_first(winner)
    return y, np.where(y > 0, won, convolution.NOBODY) if relu else won, backward


class Linear:
    """A linear layer and relu in one. x: (N, in), weight: (out, in), bias: (out,) or None."""

    def __init__(self, x, weight, bias, relu=False, place=np.array):
        self.place, self.samples, self.kind, self.relu = place, len(x), x.dtype, int(relu)
        self.outputs, self.inputs = weight.shape
        self.x, self.weight = place(x.reshape(-1)), place(weight.T.reshape(-1))
        self.bias = place(np.zeros(0, x.dtype) if bias is None else bias)
        self.y = self.unwritten(len(x) * self.outputs)

    def unwritten(self, size):
        return self.place(np.full(size, np.nan, self.kind))

    def forward(self, first=0, last=None):
        """-> (N, out)."""
        dense.linear_forward(first, self.samples if last is None else last, self.x, self.weight, self.bias, self.y,
                             self.inputs, self.outputs, self.relu, np.arange(self.inputs))
        return self.y.reshape(-1, self.outputs)

    def weight_gradient(self, g, first=0, last=None, parts=1):
        """-> (out, in). The samples are done in so many parts, one call each."""
        last = self.samples if last is None else last
        g, dw = self.place(g.reshape(-1)), self.unwritten(self.weight.size)
        for part in range(parts):
            begin, end = (first + (last - first) * n // parts for n in (part, part + 1))
            dense.linear_weight_gradient(begin, end, self.x, g, dw, self.inputs, self.outputs, part == 0,
                                         np.arange(self.inputs))
        return dw.reshape(self.inputs, self.outputs).T

    def input_gradient(self, g, first=0, last=None):
        """-> (N, in)."""
        turned, half = self.unwritten(self.weight.size), self.inputs // 2
        dense.transpose(0, half, self.weight, turned, self.inputs, self.outputs)
        dense.transpose(half, self.inputs, self.weight, turned, self.inputs, self.outputs)
        g, dx = self.place(g.reshape(-1)), self.unwritten(self.x.size)
        dense.linear_input_gradient(first, self.samples if last is None else last, g, turned, dx, self.inputs,
                                    self.outputs)
        return dx.reshape(-1, self.inputs)
