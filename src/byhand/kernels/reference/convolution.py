"""Convolution as a matrix product.

Cut the picture into the windows that the filter will see, write each window as a row, and every filter as a column: one
matrix product gives all the answers ("im2col", Chellapilla et al. 2006). The two gradients are the same idea turned
round: windows times slopes give the weights' gradient; slopes times filters give slopes of windows, which are laid back
over the picture and added where windows overlap.

Pictures are (N, C, H, W) in shape but lie channels-last in memory, so that a row of a window is one unbroken run of
numbers. A few pictures are done at a time, to keep the windows in the processor's cache.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray[Any, Any]
BLOCK = 1 << 18  # numbers in the window matrix at a time: 1 MB of float32


class Window(NamedTuple):
    """How a filter or a pool looks at a picture; each a pair (along rows, along columns)."""

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of places where the window fits."""
        rows, columns = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in
                         zip((height, width), self.size, self.stride, self.padding, self.dilation, strict=True))
        return rows, columns

    def smallest_picture(self) -> tuple[int, int]:
        """The fewest rows and columns (1 or more) that leave a place for the window."""
        rows, columns = (max(d * (k - 1) + 1 - 2 * p, 1) for k, p, d in
                         zip(self.size, self.padding, self.dilation, strict=True))
        return rows, columns

    def taps(self, height: int, width: int) -> Iterator[tuple[int, slice, slice]]:
        """Each element of the window in turn: its number, and the rows and columns of the padded picture that it
        sees."""
        out_h, out_w = self.output_size(height, width)
        for u in range(self.size[0]):
            for v in range(self.size[1]):
                top, left = u * self.dilation[0], v * self.dilation[1]
                yield (u * self.size[1] + v, slice(top, top + self.stride[0] * (out_h - 1) + 1, self.stride[0]),
                       slice(left, left + self.stride[1] * (out_w - 1) + 1, self.stride[1]))


def channels_last(x: Array) -> Array:
    """(N, C, H, W) as (N, H, W, C), unbroken in memory; free if it lies that way already."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def channels_first(x: Array) -> Array:
    """(N, H, W, C) seen as (N, C, H, W); free."""
    return x.transpose(0, 3, 1, 2)


def padded(x: Array, window: Window, value: float = 0.0) -> Array:
    """Channels-last pictures with the window's padding around them."""
    (p, q) = window.padding
    if p == q == 0:
        return x
    n, h, w, c = x.shape
    out = np.empty((n, h + 2 * p, w + 2 * q, c), x.dtype)
    out[:, :p], out[:, p + h:], out[:, :, :q], out[:, :, q + w:] = value, value, value, value
    out[:, p:p + h, q:q + w] = x
    return out


def cropped(x: Array, window: Window) -> Array:
    """The inverse of `padded`."""
    (p, q) = window.padding
    return x[:, p:x.shape[1] - p, q:x.shape[2] - q]


def window_rows(x: Array, window: Window, group: slice) -> Iterator[tuple[slice, Array]]:
    """The window matrix, a block of pictures at a time: (pictures, matrix of (places, kH·kW·C)).

    x: padded channels-last pictures; group: the channels to take. The matrix is the same memory each time.
    """
    (kh, kw), (sh, sw), _, (dh, dw) = window
    views = sliding_window_view(x[..., group], (dh * (kh - 1) + 1, dw * (kw - 1) + 1), axis=(1, 2))
    views = views[:, ::sh, ::sw, :, ::dh, ::dw].transpose(0, 1, 2, 4, 5, 3)  # picture, place, tap, channel
    n, width = len(x), int(np.prod(views.shape[3:]))
    places = views.shape[1] * views.shape[2]
    step = max(1, BLOCK // (places * width))
    matrix = np.empty((min(step, n), *views.shape[1:]), x.dtype)
    for start in range(0, n, step):
        block = views[start:start + step]
        np.copyto(matrix[:len(block)], block)
        yield slice(start, start + step), matrix[:len(block)].reshape(-1, width)


def group_slices(n: int, groups: int) -> list[slice]:
    """n channels or filters in equal parts."""
    return [slice(i * n // groups, (i + 1) * n // groups) for i in range(groups)]


def conv2d(x: Array, weight: Array, bias: Array | None, window: Window, groups: int) -> Array:
    """x: (N, C, H, W), weight: (O, C / groups, kH, kW), bias: (O,) or None -> (N, O, H', W')."""
    n, c, h, w = x.shape
    filters = len(weight)
    pictures = padded(channels_last(x), window)
    y = np.empty((n, *window.output_size(h, w), filters), np.result_type(x, weight))
    for channels, some in zip(group_slices(c, groups), group_slices(filters, groups), strict=True):
        columns = weight[some].transpose(2, 3, 1, 0).reshape(-1, some.stop - some.start)
        for block, rows in window_rows(pictures, window, channels):
            y[block, ..., some] = (rows @ columns).reshape(*y[block].shape[:3], -1)
    if bias is not None:
        y += bias
    return channels_first(y)


def conv2d_weight_gradient(g: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    """The slopes g: (N, O, H', W') meet the windows of x that made them. -> `shape`, (O, C / groups, kH, kW)."""
    filters, c, kh, kw = shape
    pictures, slopes = padded(channels_last(x), window), channels_last(g)
    gradient = np.zeros((filters, kh, kw, c), g.dtype)
    for channels, some in zip(group_slices(x.shape[1], groups), group_slices(filters, groups), strict=True):
        total = gradient[some].reshape(some.stop - some.start, -1)
        for block, rows in window_rows(pictures, window, channels):
            total += slopes[block, ..., some].reshape(-1, len(total)).T @ rows
    return gradient.transpose(0, 3, 1, 2)


def conv2d_input_gradient(g: Array, weight: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    """The slopes of windows, laid back over the picture and added where they overlap. -> `shape`, (N, C, H, W)."""
    n, c, h, w = shape
    filters, kh, kw = len(weight), *window.size
    slopes = channels_last(g)
    places = slopes.shape[1] * slopes.shape[2]
    gradient = np.zeros((n, h + 2 * window.padding[0], w + 2 * window.padding[1], c), g.dtype)
    step = max(1, BLOCK // (places * kh * kw * (c // groups)))
    for channels, some in zip(group_slices(c, groups), group_slices(filters, groups), strict=True):
        rows = weight[some].transpose(0, 2, 3, 1).reshape(some.stop - some.start, -1)
        for start in range(0, n, step):
            block = slopes[start:start + step, ..., some]
            windows = (block.reshape(-1, len(rows)) @ rows).reshape(*block.shape[:3], kh * kw, -1)
            for tap, down, across in window.taps(h, w):
                gradient[start:start + step, down, across, channels] += windows[..., tap, :]
    return channels_first(cropped(gradient, window))


def channel_sum(x: Array) -> Array:
    """The sum over everything but the channel: (N, C) or (N, C, H, W) -> (C,)."""
    rows = x if x.ndim == 2 else channels_last(x).reshape(-1, x.shape[1])
    return np.ones(len(rows), x.dtype) @ rows
