"""Convolution and pooling: layers that look at a picture through a small window.

The same few weights are laid over every place of the picture, so a feature is found wherever it is, and a network needs
far fewer numbers (LeCun et al. 1989, 1998). Images are (N, C, H, W): pictures, channels, rows, columns. What a window
does there and back is work for the kernels; this page says which gradient belongs to which argument.
"""

from typing import Any

import numpy as np

from byhand import kernels
from byhand.autodiff import op
from byhand.ops.arithmetic import floats

Array = Any
Pair = int | tuple[int, int]


def window_of(name: str, size: Pair, stride: Pair, padding: Pair, dilation: Pair = 1) -> kernels.Window:
    """The window that these numbers describe, each a whole number or a pair (along rows, along columns); a single one
    stands for both. Raises ValueError, beginning with the operation's name, for anything else."""
    pairs = []
    for what, value, least in (("size", size, 1), ("stride", stride, 1), ("padding", padding, 0),
                               ("dilation", dilation, 1)):
        numbers = value if isinstance(value, tuple | list) else (value, value)
        if len(numbers) != 2 or any(not isinstance(n, int | np.integer) or isinstance(n, bool) or n < least
                                    for n in numbers):
            raise ValueError(f"{name} needs its {what} to be a whole number of at least {least}, or a pair of them, "
                             f"got {value!r}.")
        pairs.append((int(numbers[0]), int(numbers[1])))
    return kernels.Window(*pairs)


def pool_window(name: str, size: Pair, stride: Pair | None, padding: Pair, dilation: Pair = 1) -> kernels.Window:
    """The same for pooling: the stride is the size unless given, and no window may lie in the padding alone."""
    window = window_of(name, size, size if stride is None else stride, padding, dilation)
    if any(2 * p > k for p, k in zip(window.padding, window.size, strict=True)):
        raise ValueError(f"{name} needs a padding of at most half the window {size}, got {padding}.")
    return window


def check_pictures(name: str, x: Array, window: kernels.Window) -> None:
    """Refuse what is not a batch of pictures, or leaves no place for the window."""
    rows, columns = window.smallest_picture()
    if x.ndim != 4 or x.shape[2] < rows or x.shape[3] < columns:
        raise ValueError(f"{name} needs pictures (N, C, H, W) with H of at least {rows} and W of at least {columns}, "
                         f"got shape {x.shape}.")


@op
def conv2d(x: Array, weight: Array, bias: Array | None = None, *, stride: Pair = 1, padding: Pair = 0,
           dilation: Pair = 1, groups: int = 1) -> Any:
    """Cross-correlation of pictures with filters, as every framework calls convolution:

        y[n, o, i, j] = b[o] + Σ over c, u, v of  w[o, c, u, v] · x[n, c, i·stride + u·dilation, j·stride + v·dilation]

    x: (N, C, H, W), with `padding` zeros around it; weight: (O, C / groups, kH, kW); bias: (O,) or None.
    y: (N, O, H', W') with H' = (H + 2·padding - dilation·(kH - 1) - 1) // stride + 1, and W' alike. With groups,
    channels and filters are split evenly, and each group of filters sees only its own channels. Raises ValueError for
    shapes and numbers that do not go together.
    """
    x = floats(x)
    window = window_of("conv2d", weight.shape[2:], stride, padding, dilation)
    check_pictures("conv2d", x, window)
    if groups < 1 or len(weight) % groups or x.shape[1] != weight.shape[1] * groups or not weight.size:
        raise ValueError(f"conv2d in {groups} group(s) needs a weight (O, C / groups, kH, kW) with O a multiple of the "
                         f"groups; {weight.shape} does not fit pictures of shape {x.shape}.")
    if bias is not None and np.shape(bias) != weight.shape[:1]:
        raise ValueError(f"conv2d with a weight of shape {weight.shape} needs a bias of shape {weight.shape[:1]}, got "
                         f"{np.shape(bias)}.")
    return (
        kernels.conv2d(x, weight, bias, window, groups),
        lambda g: kernels.conv2d_input_gradient(g, weight, x.shape, window, groups),
        lambda g: kernels.conv2d_weight_gradient(g, x, weight.shape, window, groups),
        kernels.channel_sum,
    )


@op
def max_pool2d(x: Array, size: Pair, *, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1) -> Any:
    """The largest element in each window (stride: the window's size unless given). Its slope goes to that element
    alone, the first of equals. x: (N, C, H, W); what padding adds never wins. Raises ValueError as conv2d does."""
    x = floats(x)
    window = pool_window("max_pool2d", size, stride, padding, dilation)
    check_pictures("max_pool2d", x, window)
    value, winner = kernels.max_pool2d(x, window)
    return value, lambda g: kernels.max_pool2d_gradient(g, winner, x.shape, window)


@op
def avg_pool2d(x: Array, size: Pair, *, stride: Pair | None = None, padding: Pair = 0) -> Any:
    """The mean of each window (stride: the window's size unless given); zeros of the padding count. x: (N, C, H, W).
    Raises ValueError as conv2d does."""
    x = floats(x)
    window = pool_window("avg_pool2d", size, stride, padding)
    check_pictures("avg_pool2d", x, window)
    return kernels.avg_pool2d(x, window), lambda g: kernels.avg_pool2d_gradient(g, x.shape, window)


@op
def global_avg_pool2d(x: Array) -> Any:
    """The mean of each channel: (N, C, H, W) -> (N, C) (Lin et al. 2014)."""
    x = floats(x)
    area = x.shape[2] * x.shape[3]
    return x.mean(axis=(2, 3)), lambda g: np.broadcast_to((g / area)[:, :, None, None], x.shape)
