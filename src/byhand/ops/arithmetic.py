"""Arithmetic on arrays, element by element. Each function is one fact of school calculus.

The first thing returned is the value. What follows is, for each argument in turn, how a slope `g` that arrives at the
value goes on to that argument: for a product, "times the other factor". Shapes need not be equal: NumPy repeats what is
smaller, and the engine adds up the slopes of the copies.
"""

from typing import Any

import numpy as np

from byhand.autodiff import op

Array = Any  # a NumPy array here; the operation takes and returns Tensors once the engine has wrapped it


def floats(x: Any) -> Array:
    """x itself if it holds floats, else as floats wide enough for its integers (float32 for bytes): in an operation
    whose results are fractions, the bytes of a picture would wrap around or be rounded to three digits."""
    x = np.asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.result_type(x, np.float32))


@op
def add(a: Array, b: Array) -> Any:
    """a + b."""
    return a + b, lambda g: g, lambda g: g


@op
def subtract(a: Array, b: Array) -> Any:
    """a - b."""
    return a - b, lambda g: g, lambda g: -g


@op
def multiply(a: Array, b: Array) -> Any:
    """a · b, element by element."""
    return a * b, lambda g: g * b, lambda g: g * a


@op
def divide(a: Array, b: Array) -> Any:
    """a / b."""
    value = a / b
    return value, lambda g: g / b, lambda g: -g * value / b


@op
def negative(a: Array) -> Any:
    """-a."""
    return -a, lambda g: -g


@op
def power(a: Array, b: Array) -> Any:
    """aᵇ. The gradient of the exponent, aᵇ ln a, is taken as 0 where a is 0; it is not a number where a is negative."""
    value = a**b

    def gradient_of_exponent(g: Array) -> Array:
        base = np.asarray(a, value.dtype)
        return g * value * np.log(np.where(base == 0, 1, base))

    def gradient_of_base(g: Array) -> Array:  # where b is 0 the slope is 0, and 0 ** -1 must not be asked for
        reduced = np.where(b == 0, 1, b - 1) if isinstance(b, np.ndarray) else b - 1 if b else 1
        return g * b * a**reduced

    return value, gradient_of_base, gradient_of_exponent


@op
def exp(a: Array) -> Any:
    """eᵃ, its own slope."""
    value = np.exp(floats(a))
    return value, lambda g: g * value


@op
def log(a: Array) -> Any:
    """The natural logarithm of a."""
    a = floats(a)
    return np.log(a), lambda g: g / a


@op
def sqrt(a: Array) -> Any:
    """The square root of a."""
    value = np.sqrt(floats(a))
    return value, lambda g: g / (2 * value)


@op
def abs(a: Array) -> Any:
    """|a|, with slope 0 at 0."""
    return np.abs(a), lambda g: g * np.sign(a)


@op
def clip(a: Array, low: float | None = None, high: float | None = None) -> Any:
    """a, but no less than `low` and no more than `high`. The slope is 1 inside, the limits included, and 0 outside."""
    value = np.clip(a, low, high)
    return value, lambda g: g * (value == a)


@op
def maximum(a: Array, b: Array) -> Any:
    """The larger of a and b. Where they are equal, each gets half of the slope."""
    return np.maximum(a, b), lambda g: where_ahead(g, a, b), lambda g: where_ahead(g, b, a)


@op
def minimum(a: Array, b: Array) -> Any:
    """The smaller of a and b. Where they are equal, each gets half of the slope."""
    return np.minimum(a, b), lambda g: where_ahead(g, b, a), lambda g: where_ahead(g, a, b)


def where_ahead(g: Array, a: Array, b: Array) -> Array:
    """g where a is ahead of b, half of it where they are level, 0 where a is behind."""
    return np.where(np.greater(a, b), g, np.where(np.equal(a, b), g / 2, 0))


@op
def where(condition: Array, a: Array, b: Array) -> Any:
    """a where `condition` holds, b elsewhere. The condition itself has no slope."""
    return np.where(condition, a, b), None, lambda g: np.where(condition, g, 0), lambda g: np.where(condition, 0, g)


# Comparisons have answers, not slopes: they return their value alone.


@op
def equal(a: Array, b: Array) -> Any:
    """a == b, element by element."""
    return np.equal(a, b)


@op
def not_equal(a: Array, b: Array) -> Any:
    """a != b, element by element."""
    return np.not_equal(a, b)


@op
def less(a: Array, b: Array) -> Any:
    """a < b, element by element."""
    return np.less(a, b)


@op
def less_equal(a: Array, b: Array) -> Any:
    """a <= b, element by element."""
    return np.less_equal(a, b)


@op
def greater(a: Array, b: Array) -> Any:
    """a > b, element by element."""
    return np.greater(a, b)


@op
def greater_equal(a: Array, b: Array) -> Any:
    """a >= b, element by element."""
    return np.greater_equal(a, b)
