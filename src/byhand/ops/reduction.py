"""From many numbers to few: sums, means, extremes.

A sum passes its slope on to everything that was summed, unchanged. Every other reduction here says how much each
element had to do with the result. `axis` is None (all axes), an axis, or a tuple of axes, counted from the end if
negative; `keepdims` leaves the reduced axes in place with length 1.
"""

from typing import Any

import numpy as np

from byhand.autodiff import op
from byhand.ops.arithmetic import floats

Array = Any
Axis = int | tuple[int, ...] | None


def spread(g: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    """Give the slope of a reduced value back the shape of what was reduced (a view that repeats it)."""
    if axis is not None and not keepdims:
        g = np.expand_dims(g, axis)
    return np.broadcast_to(g, x.shape)


@op
def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over `axis`."""
    return np.sum(x, axis=axis, keepdims=keepdims), lambda g: spread(g, x, axis, keepdims)


@op
def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean over `axis`."""
    value = np.mean(x, axis=axis, keepdims=keepdims)
    return value, lambda g: spread(g * (value.size / x.size), x, axis, keepdims)


@op
def var(x: Array, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Any:
    """The variance over `axis`: Σ(x - mean)² / (n - ddof). With ddof=0 of the sample as it is (as in NumPy; PyTorch's
    default is ddof=1)."""
    center = np.mean(x, axis=axis, keepdims=True)
    n = x.size // (center.size or 1) - ddof
    if n <= 0:
        raise ValueError(f"var needs more than ddof={ddof} elements to reduce, got {n + ddof}.")
    centered = x - center
    value = np.sum(centered * centered, axis=axis, keepdims=keepdims) / n
    return value, lambda g: spread(g * (2 / n), x, axis, keepdims) * centered


@op
def max(x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest element over `axis`. Elements that share the first place share the slope evenly."""
    return extreme(x, np.max(x, axis=axis, keepdims=True), axis, keepdims)


@op
def min(x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest element over `axis`. Elements that share the last place share the slope evenly."""
    return extreme(x, np.min(x, axis=axis, keepdims=True), axis, keepdims)


def extreme(x: Array, kept: Array, axis: Axis, keepdims: bool) -> Any:
    """Value and gradient of a largest or smallest element; `kept` has the reduced axes in place."""

    def gradient(g: Array) -> Array:
        first = x == kept
        return spread(g, x, axis, keepdims) * first / np.sum(first, axis=axis, keepdims=True, dtype=x.dtype)

    return kept if keepdims else np.squeeze(kept, axis=axis), gradient


@op
def argmax(x: Array, axis: int | None = None) -> Any:
    """The index of the largest element over `axis` (the first, if several). An index has no slope."""
    return np.argmax(x, axis=axis)


@op
def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """ln Σ eˣ, computed as m + ln Σ eˣ⁻ᵐ with m = max x, which cannot overflow. Its slope is the softmax of x.
    Where every x is -inf the value is -inf, with slope 0."""
    x = floats(x)
    largest = np.max(x, axis=axis, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0)  # an infinite x needs no help, and inf - inf is no number
    powers = np.exp(x - largest)
    total = np.sum(powers, axis=axis, keepdims=True)
    with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf, as it should be
        kept = largest + np.log(total)
    value = kept if keepdims else np.squeeze(kept, axis=axis)
    return value, lambda g: spread(g, x, axis, keepdims) * powers / np.where(total == 0, 1, total)
