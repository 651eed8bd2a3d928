"""Pooling, compiled: from window to window, all channels of a picture element at once.

The NumPy bodies go through the whole batch once for each element of the window. Here a window is finished before the
next one begins, so that every number comes from memory once, and that is all the time it takes: pooling compares and
adds so little that the processor waits for its memory.

Channels lie next to each other, so the innermost loop runs over them, and the compiler does as many at once as fit in a
vector. That works as long as nothing in the loop is a fork in the road. `a if a > b else b` is none, it chooses between
two values that are both there; `and` and `or` are, and so `|` stands where one would say "or".
"""

import numpy as np

from byhand.kernels import reference
from byhand.kernels.jit.cache import kernel
from byhand.kernels.jit.sharing import Array, fast, share
from byhand.kernels.reference import Window
from byhand.kernels.reference.convolution import channels_first, channels_last

# --- the loops --------------------------------------------------------------------------------------------------------
#
# Each does the samples from `first` up to `last`. Pictures are flat: (N, H, W, C), channels last, one after the other.
# The geometry is always the same row of numbers: channels, the picture's size, the result's (OH, OW), and the window's
# size, stride, padding and dilation, each along rows and along columns.


@kernel
def max_pool_forward(first, last, x, y, winner, C, H, W, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW):
    """y: (N, OH, OW, C), the largest element of each window; winner: bytes in the same shape, which one that was."""
    if KH == 2 and KW == 2 and SH == 2 and SW == 2 and PH == 0 and PW == 0 and DH == 1 and DW == 1:
        for n in range(first, last):
            max_pool_quarters(n, x, y, winner, C, H, W, OH, OW)
        return
    for n in range(first, last):
        for oh in range(OH):
            for ow in range(OW):
                o = ((n * OH + oh) * OW + ow) * C
                largest, which = y[o:o + C], winner[o:o + C]
                for c in range(C):
                    largest[c] = -np.inf
                    which[c] = 0
                for u in range(KH):
                    h = oh * SH + u * DH - PH
                    if h < 0 or h >= H:
                        continue
                    for v in range(KW):
                        w = ow * SW + v * DW - PW
                        if w < 0 or w >= W:
                            continue
                        i = ((n * H + h) * W + w) * C
                        tap = np.uint8(u * KW + v)
                        candidates = x[i:i + C]
                        for c in range(C):
                            old, new = largest[c], candidates[c]
                            which[c] = max(which[c], tap * np.uint8(new > old))
                            largest[c] = new if (new > old) | (new != new) else old


@kernel
def max_pool_quarters(n, x, y, winner, C, H, W, OH, OW):
    """One sample of `max_pool_forward` with the usual window: 2 × 2, which meets its neighbours and nothing else."""
    for oh in range(OH):
        for ow in range(OW):
            o = ((n * OH + oh) * OW + ow) * C
            i = ((n * H + 2 * oh) * W + 2 * ow) * C
            largest, which = y[o:o + C], winner[o:o + C]
            x0, x1 = x[i:i + C], x[i + C:i + 2 * C]
            i += W * C
            x2, x3 = x[i:i + C], x[i + C:i + 2 * C]
            for c in range(C):
                best, new = x0[c], x1[c]
                tap = np.uint8(new > best)
                best = new if (new > best) | (new != new) else best
                new = x2[c]
                tap = max(tap, np.uint8(2) * np.uint8(new > best))
                best = new if (new > best) | (new != new) else best
                new = x3[c]
                which[c] = max(tap, np.uint8(3) * np.uint8(new > best))
                largest[c] = new if (new > best) | (new != new) else best


@kernel
def max_pool_backward(first, last, g, winner, dx, C, H, W, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW):
    """dx: (N, H, W, C), the slope of each element: those g of the windows, (N, OH, OW, C), in which it won."""
    picture = H * W * C
    quarters = KH == 2 and KW == 2 and SH == 2 and SW == 2 and PH == 0 and PW == 0 and DH == 1 and DW == 1
    zero = g.dtype.type(0)
    for n in range(first, last):
        if not quarters or H % 2 or W % 2:
            dx[n * picture:(n + 1) * picture] = zero
        if quarters:
            max_pool_quarters_backward(n, g, winner, dx, C, H, W, OH, OW)
            continue
        for oh in range(OH):
            for ow in range(OW):
                o = ((n * OH + oh) * OW + ow) * C
                slope, which = g[o:o + C], winner[o:o + C]
                for u in range(KH):
                    h = oh * SH + u * DH - PH
                    if h < 0 or h >= H:
                        continue
                    for v in range(KW):
                        w = ow * SW + v * DW - PW
                        if w < 0 or w >= W:
                            continue
                        i = ((n * H + h) * W + w) * C
                        tap = np.uint8(u * KW + v)
                        target = dx[i:i + C]
                        for c in range(C):
                            share_of_it = slope[c]
                            target[c] += share_of_it if which[c] == tap else zero


@kernel
def max_pool_quarters_backward(n, g, winner, dx, C, H, W, OH, OW):
    """One sample of `max_pool_backward` with the 2 × 2 window: each element is in one window, and written once."""
    zero = g.dtype.type(0)
    for oh in range(OH):
        for ow in range(OW):
            o = ((n * OH + oh) * OW + ow) * C
            i = ((n * H + 2 * oh) * W + 2 * ow) * C
            slope, which = g[o:o + C], winner[o:o + C]
            for tap in (0, 2):
                left, right = dx[i:i + C], dx[i + C:i + 2 * C]
                for c in range(C):
                    value = slope[c]
                    left[c] = value if which[c] == tap else zero
                    right[c] = value if which[c] == tap + 1 else zero
                i += W * C


@kernel
def avg_pool_forward(first, last, x, y, C, H, W, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW):
    """y: (N, OH, OW, C), the mean of each window, in which the padding counts as zeros."""
    size = x.dtype.type(KH * KW)  # of the pictures' own kind: one number of double precision would make all double
    for n in range(first, last):
        for oh in range(OH):
            for ow in range(OW):
                o = ((n * OH + oh) * OW + ow) * C
                mean = y[o:o + C]
                for c in range(C):
                    mean[c] = 0
                for u in range(KH):
                    h = oh * SH + u * DH - PH
                    if h < 0 or h >= H:
                        continue
                    for v in range(KW):
                        w = ow * SW + v * DW - PW
                        if w < 0 or w >= W:
                            continue
                        i = ((n * H + h) * W + w) * C
                        element = x[i:i + C]
                        for c in range(C):
                            mean[c] += element[c]
                for c in range(C):
                    mean[c] /= size


@kernel
def avg_pool_backward(first, last, g, dx, C, H, W, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW):
    """dx: (N, H, W, C), the slope of each element: an even share of those g of the windows, (N, OH, OW, C), it is
    in."""
    size = g.dtype.type(KH * KW)
    picture = H * W * C
    for n in range(first, last):
        dx[n * picture:(n + 1) * picture] = 0
        for oh in range(OH):
            for ow in range(OW):
                o = ((n * OH + oh) * OW + ow) * C
                slope = g[o:o + C]
                for u in range(KH):
                    h = oh * SH + u * DH - PH
                    if h < 0 or h >= H:
                        continue
                    for v in range(KW):
                        w = ow * SW + v * DW - PW
                        if w < 0 or w >= W:
                            continue
                        i = ((n * H + h) * W + w) * C
                        target = dx[i:i + C]
                        for c in range(C):
                            target[c] += slope[c] / size


# --- the twins --------------------------------------------------------------------------------------------------------


def geometry(shape: tuple[int, ...], window: Window) -> tuple[int, ...]:
    """The row of numbers that describes pictures of this shape, (N, C, H, W), under this window."""
    _, channels, height, width = shape
    return (channels, height, width, *window.output_size(height, width), *window.size, *window.stride, *window.padding,
            *window.dilation)


def results(shape: tuple[int, ...], window: Window) -> tuple[int, int, int, int]:
    """The shape of what pooling makes of pictures of this shape, both (N, C, H, W)."""
    return (*shape[:2], *window.output_size(*shape[2:]))  # type: ignore[return-value]


def few(window: Window) -> bool:
    """Whether the numbers of the window's elements fit in bytes, as the NumPy body counts them too."""
    return window.size[0] * window.size[1] < 256


def max_pool2d(x: Array, window: Window) -> tuple[Array, Array]:
    """x: (N, C, H, W) -> the largest element of each window (N, C, H', W'), and which of its elements that was,
    channels last. The first of equals wins; an element that is not a number beats all."""
    n, c, rows, columns = results(x.shape, window)
    if not (fast(x) and few(window) and min(rows, columns) > 0):
        return reference.max_pool2d(x, window)
    y, winner = np.empty((n, rows, columns, c), x.dtype), np.empty((n, rows, columns, c), np.uint8)
    share(max_pool_forward, n, x.size, channels_last(x).reshape(-1), y.reshape(-1), winner.reshape(-1),
          *geometry(x.shape, window))
    return channels_first(y), winner


def max_pool2d_gradient(g: Array, winner: Array, shape: tuple[int, ...], window: Window) -> Array:
    """Each window's slope g: (N, C, H', W') goes to the element that won. -> `shape`, (N, C, H, W)."""
    fits = g.shape == channels_first(winner).shape == results(shape, window)
    if not (fits and fast(g) and winner.dtype == np.uint8):
        return reference.max_pool2d_gradient(g, winner, shape, window)
    n, c, h, w = shape
    dx = np.empty((n, h, w, c), g.dtype)
    share(max_pool_backward, n, dx.size, channels_last(g).reshape(-1), np.ascontiguousarray(winner).reshape(-1),
          dx.reshape(-1), *geometry(shape, window))
    return channels_first(dx)


def avg_pool2d(x: Array, window: Window) -> Array:
    """x: (N, C, H, W) -> the mean of each window, zeros of the padding included: (N, C, H', W')."""
    n, c, rows, columns = results(x.shape, window)
    if not (fast(x) and min(rows, columns) > 0):
        return reference.avg_pool2d(x, window)
    y = np.empty((n, rows, columns, c), x.dtype)
    share(avg_pool_forward, n, x.size, channels_last(x).reshape(-1), y.reshape(-1), *geometry(x.shape, window))
    return channels_first(y)


def avg_pool2d_gradient(g: Array, shape: tuple[int, ...], window: Window) -> Array:
    """Each window's slope g: (N, C, H', W'), shared evenly by its elements. -> `shape`, (N, C, H, W)."""
    if not (fast(g) and g.shape == results(shape, window)):
        return reference.avg_pool2d_gradient(g, shape, window)
    n, c, h, w = shape
    dx = np.empty((n, h, w, c), g.dtype)
    share(avg_pool_backward, n, dx.size, channels_last(g).reshape(-1), dx.reshape(-1), *geometry(shape, window))
    return channels_first(dx)
