"""Convolution and pooling: layers that look at a picture through a small window.

The same few weights are laid over every place of the picture, so a feature is found wherever it is, and a network needs
far fewer numbers (LeCun et al. 1989, 1998). Images are (N, C, H, W): pictures, channels, rows, columns. What a window does
there and back is work for the kernels; this page says which gradient belongs to which argument.
"""

from typing import Any

import numpy as np

from byhand import kernels
from byhand.autodiff import op

Array = Any
Pair = int | tuple[int, int]


def pair(n: Pair) -> tuple[int, int]:
    """A size along rows and columns; one number stands for both."""
    return (n, n) if isinstance(n, int | np.integer) else (int(n[0]), int(n[1]))


@op
def conv2d(x: Array, weight: Array, bias: Array | None = None, *, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1,
           groups: int = 1) -> Any:
    """Cross-correlation of pictures with filters, as every framework calls convolution:

        y[n, o, i, j] = b[o] + Σ over c, u, v of  w[o, c, u, v] · x[n, c, i·stride + u·dilation, j·stride + v·dilation]

    x: (N, C, H, W), with `padding` zeros around it; weight: (O, C / groups, kH, kW); bias: (O,) or None.
    y: (N, O, H', W') with H' = (H + 2·padding - dilation·(kH - 1) - 1) // stride + 1, and W' alike. With groups, channels
    and filters are split evenly and each group of filters sees only its own channels.
    """
    window = kernels.Window(weight.shape[2:], pair(stride), pair(padding), pair(dilation))
    return (
        kernels.conv2d(x, weight, bias, window, groups),
        lambda g: kernels.conv2d_input_gradient(g, weight, x.shape, window, groups),
        lambda g: kernels.conv2d_weight_gradient(g, x, weight.shape, window, groups),
        lambda g: kernels.channel_sum(g),
    )


@op
def max_pool2d(x: Array, size: Pair, *, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1) -> Any:
    """The largest element in each window (stride: the window's size unless given). Its slope goes to that element alone,
    the first of equals. x: (N, C, H, W); what padding adds never wins."""
    window = kernels.Window(pair(size), pair(size if stride is None else stride), pair(padding), pair(dilation))
    value, winner = kernels.max_pool2d(x, window)
    return value, lambda g: kernels.max_pool2d_gradient(g, winner, x.shape, window)


@op
def avg_pool2d(x: Array, size: Pair, *, stride: Pair | None = None, padding: Pair = 0) -> Any:
    """The mean of each window (stride: the window's size unless given); zeros of the padding count. x: (N, C, H, W)."""
    window = kernels.Window(pair(size), pair(size if stride is None else stride), pair(padding), (1, 1))
    return kernels.avg_pool2d(x, window), lambda g: kernels.avg_pool2d_gradient(g, x.shape, window)


@op
def global_avg_pool2d(x: Array) -> Any:
    """The mean of each channel: (N, C, H, W) -> (N, C) (Lin et al. 2014)."""
    area = x.shape[2] * x.shape[3]
    return x.mean(axis=(2, 3)), lambda g: np.broadcast_to((g / area)[:, :, None, None], x.shape)
