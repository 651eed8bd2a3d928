"""First weights: random, and of the right size.

Too large, and the numbers explode on their way through the layers; too small, and they fade away. A unit that adds up n
inputs has an output √n times as spread as one of them, so weights are drawn with a spread of about 1/√n. n is the
fan_in, the number of inputs of a unit; the fan_out is the number of units that an input reaches.

An initializer is a function (shape, rng) -> array. Shapes are (out, in) or (out, in, kH, kW), as layers keep them.
"""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Initializer = Callable[[tuple[int, ...], np.random.Generator], Array]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight. Raises ValueError for fewer than two axes, which have no such numbers."""
    if len(shape) < 2:
        raise ValueError(f"this initializer needs a weight of shape (out, in, ...), got {shape}; use zeros, normal or "
                         "uniform for a bias.")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def he_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Normal with variance 2 / fan_in: for relu, which silences half of the units (He et al. 2015, section 2.2)."""
    return rng.standard_normal(shape) * math.sqrt(2 / fans(shape)[0])


def he_uniform(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Uniform with the same variance, 2 / fan_in (He et al. 2015)."""
    limit = math.sqrt(6 / fans(shape)[0])
    return rng.uniform(-limit, limit, shape)


def glorot_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Normal with variance 2 / (fan_in + fan_out): fit for both directions, there and back (Glorot and Bengio 2010)."""
    return rng.standard_normal(shape) * math.sqrt(2 / sum(fans(shape)))


def glorot_uniform(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Uniform with the same variance, 2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 16)."""
    limit = math.sqrt(6 / sum(fans(shape)))
    return rng.uniform(-limit, limit, shape)


def lecun_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Normal with variance 1 / fan_in (LeCun et al. 1998, "Efficient BackProp", section 4.6)."""
    return rng.standard_normal(shape) * math.sqrt(1 / fans(shape)[0])


def lecun_uniform(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Uniform with the same variance, 1 / fan_in."""
    limit = math.sqrt(3 / fans(shape)[0])
    return rng.uniform(-limit, limit, shape)


def orthogonal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Rows (or columns, if there are more rows) at right angles and of length 1, so that nothing is stretched
    (Saxe et al. 2014). The axes after the first count as one."""
    columns, rows = fans(shape)[0], shape[0]
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # makes every orthogonal matrix equally likely
    return (q if rows >= columns else q.T).reshape(shape)


def uniform(a: float, b: float) -> Initializer:
    """Evenly between a and b. Raises ValueError unless they are finite numbers and a is the smaller."""
    if not (is_finite(a) and is_finite(b) and a < b):
        raise ValueError("uniform needs two numbers, the smaller first, as in weight_init=uniform(-0.1, 0.1); got "
                         f"{a!r} and {b!r}.")
    return lambda shape, rng: rng.uniform(a, b, shape)


def normal(std: float = 1.0, mean: float = 0.0) -> Initializer:
    """A bell curve of this spread around `mean`. Raises ValueError unless both are finite and std is at least 0."""
    if not (is_finite(std) and is_finite(mean) and std >= 0):
        raise ValueError("normal needs a spread of at least 0 and a mean, as in weight_init=normal(0.01); got "
                         f"{std!r} and {mean!r}.")
    return lambda shape, rng: mean + std * rng.standard_normal(shape)


def is_finite(value: Any) -> bool:
    """Whether this is a number, and no infinity or NaN."""
    return isinstance(value, Real) and math.isfinite(value)


def zeros(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """All 0, as biases start."""
    return np.zeros(shape)


def ones(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """All 1, as the scale of a normalization starts."""
    return np.ones(shape)


def unallocated(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """A shape without memory behind it, for a layer whose numbers will be loaded: however large it says it is, it costs
    nothing until somebody has checked it."""
    return np.broadcast_to(np.float32(0), shape)
