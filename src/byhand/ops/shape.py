"""The same numbers in another arrangement. Nothing is computed, so slopes only have to find their way back.

Where NumPy can, the result is a view on the same memory and costs nothing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from byhand.autodiff import op

Array = Any


@op
def reshape(x: Array, *shape: Any) -> Any:
    """x with another shape and the same elements in the same order. One length may be -1. Takes numbers or a tuple."""
    new = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    return x.reshape(new), lambda g: g.reshape(x.shape)


@op
def transpose(x: Array, *axes: Any) -> Any:
    """x with its axes in another order; reversed if none is given. Takes numbers or a tuple."""
    order = axes[0] if len(axes) == 1 and isinstance(axes[0], tuple | list) else axes or range(x.ndim)[::-1]
    return x.transpose(order), lambda g: g.transpose(np.argsort([i % x.ndim for i in order]))


@op
def swapaxes(x: Array, a: int, b: int) -> Any:
    """x with two axes exchanged."""
    return x.swapaxes(a, b), lambda g: g.swapaxes(a, b)


@op
def squeeze(x: Array, axis: int | tuple[int, ...] | None = None) -> Any:
    """x without its axes of length 1, or without those named, which must have length 1."""
    return np.squeeze(x, axis=axis), lambda g: g.reshape(x.shape)


@op
def expand_dims(x: Array, axis: int | tuple[int, ...]) -> Any:
    """x with a new axis of length 1 (PyTorch's unsqueeze)."""
    return np.expand_dims(x, axis), lambda g: g.reshape(x.shape)


@op
def broadcast_to(x: Array, shape: tuple[int, ...]) -> Any:
    """x repeated to `shape` without a copy; the engine adds up the slopes of the copies."""
    return np.broadcast_to(x, shape), lambda g: g


@op
def index(x: Array, key: Any) -> Any:
    """x[key]: slices, integers, masks, arrays of integers. Slopes go back to where the elements came from, and add up
    where an array of integers takes one twice."""

    def gradient(g: Array) -> Array:
        back = np.zeros_like(x)
        if repeats(key):
            np.add.at(back, key, g)
        else:
            back[key] = g
        return back

    return x[key], gradient


def repeats(key: Any) -> bool:
    """Whether an index can take the same element twice: only arrays (or lists) of integers can."""
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(part, np.ndarray | list | tuple) and np.asarray(part).dtype != bool for part in parts)


@op
def pad(x: Array, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Any:
    """x with `value` around it; `widths` is a pair (before, after) for each axis."""
    if len(widths) != x.ndim or any(n < 0 for pair in widths for n in pair):
        raise ValueError(f"pad needs a pair of widths, 0 or more, for each of the {x.ndim} axes; got {widths}.")
    inside = tuple(slice(before, before + n) for (before, _), n in zip(widths, x.shape, strict=True))
    return np.pad(x, widths, constant_values=value), lambda g: g[inside]


def concatenate(arrays: Sequence[Array], axis: int = 0) -> Any:
    """The arrays one after the other along an axis that they have."""
    return _concatenate(*arrays, axis=axis)


def stack(arrays: Sequence[Array], axis: int = 0) -> Any:
    """Arrays of one shape side by side along a new axis."""
    return _stack(*arrays, axis=axis)


@op
def _concatenate(*arrays: Array, axis: int) -> Any:
    value = np.concatenate(arrays, axis=axis)
    before = (slice(None),) * (axis % value.ndim)
    ends = np.cumsum([a.shape[axis] for a in arrays])
    pieces = [(*before, slice(end - a.shape[axis], end)) for a, end in zip(arrays, ends, strict=True)]
    return value, *[lambda g, piece=piece: g[piece] for piece in pieces]


@op
def _stack(*arrays: Array, axis: int) -> Any:
    return np.stack(arrays, axis=axis), *[lambda g, i=i: np.take(g, i, axis=axis) for i in range(len(arrays))]

