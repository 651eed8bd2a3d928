"""Pooling: one number for each window of a picture, the largest or the mean.

Instead of going from window to window, go through the few elements of a window: for each, all the places of the picture
that play this part are one strided slice, and NumPy does a slice at a time.
"""

from typing import Any

import numpy as np

from byhand.kernels.reference.convolution import Window, channels_first, channels_last, cropped, padded

Array = np.ndarray[Any, Any]


def max_pool2d(x: Array, window: Window) -> tuple[Array, Array]:
    """x: (N, C, H, W) -> the largest element of each window (N, C, H', W'), and which of its elements that was,
    channels last. The first of equals wins; an element that is not a number beats all."""
    pictures = padded(channels_last(x), window, -np.inf)
    taps = window.taps(*x.shape[2:])
    _, down, across = next(taps)
    largest = pictures[:, down, across].copy()
    winner = np.zeros(largest.shape, np.min_scalar_type(window.size[0] * window.size[1]))
    for tap, down, across in taps:
        candidate = pictures[:, down, across]
        np.copyto(winner, tap, where=candidate > largest)
        np.maximum(largest, candidate, out=largest)
    return channels_first(largest), winner


def max_pool2d_gradient(g: Array, winner: Array, shape: tuple[int, ...], window: Window) -> Array:
    """Each window's slope g: (N, C, H', W') goes to the element that won. -> `shape`, (N, C, H, W)."""
    n, c, h, w = shape
    slopes = channels_last(g)
    gradient = np.zeros((n, h + 2 * window.padding[0], w + 2 * window.padding[1], c), g.dtype)
    for tap, down, across in window.taps(h, w):
        gradient[:, down, across] += slopes * (winner == tap)
    return channels_first(cropped(gradient, window))


def avg_pool2d(x: Array, window: Window) -> Array:
    """x: (N, C, H, W) -> the mean of each window, zeros of the padding included: (N, C, H', W')."""
    pictures = padded(channels_last(x), window)
    total: Any = 0
    for _, down, across in window.taps(*x.shape[2:]):
        total = total + pictures[:, down, across]
    return channels_first(total / (window.size[0] * window.size[1]))


def avg_pool2d_gradient(g: Array, shape: tuple[int, ...], window: Window) -> Array:
    """Each window's slope g: (N, C, H', W'), shared evenly by its elements. -> `shape`, (N, C, H, W)."""
    n, c, h, w = shape
    share = channels_last(g) / (window.size[0] * window.size[1])
    gradient = np.zeros((n, h + 2 * window.padding[0], w + 2 * window.padding[1], c), g.dtype)
    for _, down, across in window.taps(h, w):
        gradient[:, down, across] += share
    return channels_first(cropped(gradient, window))
