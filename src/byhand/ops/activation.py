"""Activations: the bend between two layers, without which a deep network would be one matrix.

Each is written so that nothing overflows, however large the input: where eˣ is needed it is the exponential of
something negative. Sources are named where an activation has one.

What stands here is the whole truth about them. A formula under `@bend` also has a compiled body, which goes through a
large array once instead of once for each sign in the formula (`kernels/jit/activation.py`), and gives the same numbers.
"""

import inspect
import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from byhand import kernels
from byhand.autodiff import op
from byhand.ops.arithmetic import floats
from byhand.ops.linear import alone

Array = Any
FEW = 1 << 12  # numbers that NumPy is done with before it is clear who could do them faster


def bend(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The operation of a formula of one array, and perhaps a number. NumPy computes it, or where compiled kernels are
    in use, and the array is large, its compiled body."""
    signature = inspect.signature(formula)

    @wraps(formula)
    def chosen(x: Array, *setting: Any, **named: Any) -> Any:
        few = 1 if alone.get() else FEW
        large = type(x) is np.ndarray and x.size >= few and x.dtype in (np.float32, np.float64)
        if large and kernels.in_use() == "jit":
            bound = signature.bind(x, *setting, **named)
            bound.apply_defaults()
            if all(isinstance(number, int | float) for number in bound.args[1:]):
                jit: Any = kernels.compiled()
                return jit.bent(formula.__name__, *bound.args)
        return formula(x, *setting, **named)

    return op(chosen)


@bend
def relu(x: Array) -> Any:
    """max(x, 0) (Nair and Hinton 2010). The slope at 0 is taken as 0."""
    return np.maximum(x, 0), lambda g: g * (x > 0)


@bend
def leaky_relu(x: Array, slope: float = 0.01) -> Any:
    """x where positive, slope · x elsewhere (Maas et al. 2013)."""
    x = floats(x)
    return np.where(x > 0, x, slope * x), lambda g: np.where(x > 0, g, slope * g)


@bend
def elu(x: Array, alpha: float = 1.0) -> Any:
    """x where positive, alpha · (eˣ - 1) elsewhere (Clevert et al. 2016)."""
    x = floats(x)
    below = alpha * np.expm1(np.minimum(x, 0))
    return np.where(x > 0, x, below), lambda g: np.where(x > 0, g, g * (below + alpha))


@bend
def gelu(x: Array) -> Any:
    """x · Φ(x), with Φ the normal distribution's cumulative function (Hendrycks and Gimpel 2016; the exact form)."""
    x = floats(x)
    cumulative = (1 + kernels.erf(x * math.sqrt(0.5))) / 2

    def gradient(g: Array) -> Array:
        near = np.minimum(np.abs(x), 40)  # further out the density is 0 anyway, and x² might overflow
        return g * (cumulative + x * np.exp(-near * near / 2) / math.sqrt(2 * math.pi))

    return x * cumulative, gradient


@bend
def sigmoid(x: Array) -> Any:
    """1 / (1 + e⁻ˣ), between 0 and 1."""
    value = logistic(floats(x))
    return value, lambda g: g * value * (1 - value)


@bend
def silu(x: Array) -> Any:
    """x · sigmoid(x), also called swish (Elfwing et al. 2018)."""
    x = floats(x)
    s = logistic(x)
    return x * s, lambda g: g * s * (1 + x * (1 - s))


def logistic(x: Array) -> Array:
    """The sigmoid by e^-|x|, which cannot overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


@bend
def softplus(x: Array) -> Any:
    """ln(1 + eˣ), a smooth relu (Dugas et al. 2001). Its slope is the sigmoid."""
    x = floats(x)
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), lambda g: g * logistic(x)


@bend
def tanh(x: Array) -> Any:
    """The hyperbolic tangent, between -1 and 1."""
    value = np.tanh(floats(x))
    return value, lambda g: g * (1 - value * value)


@op
def softmax(x: Array, axis: int = -1) -> Any:
    """eˣ / Σ eˣ over `axis`: positive numbers that sum to 1 (Bridle 1990)."""
    x = floats(x)
    value = np.exp(x - np.max(x, axis=axis, keepdims=True))
    value /= np.sum(value, axis=axis, keepdims=True)

    def gradient(g: Array) -> Array:
        weighted = g * value
        return weighted - value * np.sum(weighted, axis=axis, keepdims=True)

    return value, gradient


@op
def log_softmax(x: Array, axis: int = -1) -> Any:
    """ln softmax(x) = x - logsumexp(x), without the detour through numbers too small to hold."""
    x = floats(x)
    shifted = x - np.max(x, axis=axis, keepdims=True)
    value = shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return value, lambda g: g - np.exp(value) * np.sum(g, axis=axis, keepdims=True)
