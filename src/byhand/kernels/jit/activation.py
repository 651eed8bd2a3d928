"""Activations, a number at a time.

Each is a pair of small functions, its value and its slope, with the formula that `ops/activation.py` has for whole
arrays. The compiler puts them into the loops at the end of this file and makes vectors of them. To let it, they have no
ways that part: both sides of an `if` are computed, and one of them is taken.

NumPy goes through memory once for each sign in a formula, these once for the whole of it, which is where they are
faster. The gradients are computed from the input alone, so nothing but the input needs to be kept for the way back.
"""

import math
from collections.abc import Callable

import numpy as np

from byhand.kernels.jit.cache import unit
from byhand.kernels.jit.exponential import exp, expm1, inlined, polynomial, select
from byhand.kernels.jit.sharing import Array, share
from byhand.kernels.reference.erf import FAR_BOTTOM, FAR_TOP, NEAR_BOTTOM, NEAR_TOP

KINDS = ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh", "sigmoid")
RELU, LEAKY_RELU, ELU, GELU, SILU, SOFTPLUS, TANH, SIGMOID = range(8)
WORTH = 8  # so little is done with each number that many of them are needed before a thread is worth waking

near_top, near_bottom, far_top, far_bottom = (polynomial(c[::-1]) for c in (NEAR_TOP, NEAR_BOTTOM, FAR_TOP, FAR_BOTTOM))
log_series = polynomial([2 / (2 * k + 1) for k in range(17)], for_single=8)


# --- each value and its slope -----------------------------------------------------------------------------------------


@inlined
def relu(x):
    """max(x, 0)."""
    return type(x)(0) if x < 0 else x


@inlined
def relu_slope(x):
    """1 where x is above 0."""
    return type(x)(1) if x > 0 else type(x)(0)


@inlined
def leaky_relu(x, slope):
    """x where positive, slope · x elsewhere."""
    return x if x > 0 else slope * x


@inlined
def leaky_relu_slope(x, slope):
    """1 where x is positive, `slope` elsewhere."""
    return type(x)(1) if x > 0 else slope


@inlined
def elu(x, alpha):
    """x where positive, alpha · (eˣ - 1) elsewhere."""
    return x if x > 0 else alpha * expm1(relu_below(x))


@inlined
def elu_slope(x, alpha):
    """1 where x is positive, alpha · eˣ elsewhere."""
    return type(x)(1) if x > 0 else alpha * expm1(relu_below(x)) + alpha


@inlined
def relu_below(x):
    """min(x, 0)."""
    return type(x)(0) if x > 0 else x


@inlined
def sigmoid(x):
    """1 / (1 + e⁻ˣ), by e^-|x|, which cannot overflow."""
    e = exp(-abs(x))
    return (type(x)(1) if x >= 0 else e) / (type(x)(1) + e)


@inlined
def sigmoid_slope(x):
    """s · (1 - s)."""
    s = sigmoid(x)
    return s * (type(x)(1) - s)


@inlined
def silu(x):
    """x · sigmoid(x)."""
    return x * sigmoid(x)


@inlined
def silu_slope(x):
    """s · (1 + x · (1 - s))."""
    one, s = type(x)(1), sigmoid(x)
    return s * (one + x * (one - s))


@inlined
def softplus(x):
    """ln(1 + eˣ) = max(x, 0) + ln(1 + e^-|x|). Its slope is the sigmoid.

    ln(1 + e) = 2 · (z + z³/3 + z⁵/5 + ...) with z = e / (2 + e), which is at most 1/3 here.
    """
    number = type(x)
    e = exp(-abs(x))
    z = e / (number(2) + e)
    return relu(x) + z * log_series(z * z)


@inlined
def tanh(x):
    """The hyperbolic tangent: -t / (2 + t) with t = e^(-2|x|) - 1, and the sign of x."""
    t = expm1(type(x)(-2) * abs(x))
    size = t / (type(x)(2) + t)
    return -size if x > 0 else size


@inlined
def tanh_slope(x):
    """1 - tanh²."""
    value = tanh(x)
    return type(x)(1) - value * value


@inlined
def gelu(x):
    """x · Φ(x)."""
    return x * bell_area(x)


@inlined
def gelu_slope(x):
    """Φ(x) + x · φ(x), with φ the density of the normal distribution."""
    number = type(x)
    near = number(40) if abs(x) > 40 else abs(x)  # further out the density is 0 anyway, and x² might overflow
    return bell_area(x) + x * exp(near * near * number(-0.5)) * number(1 / math.sqrt(2 * math.pi))


@inlined
def bell_area(x):
    """Φ(x) = (1 + erf(x / √2)) / 2, the area under the normal distribution's bell up to x. See `reference/erf.py`."""
    number = type(x)
    z = abs(x) * number(math.sqrt(0.5))
    z = number(6) if z > 6 else z
    inner = z * near_top(z * z) / near_bottom(z * z)
    outer = number(1) - exp(-z * z) * far_top(z) / far_bottom(z)
    erf = select(z < 1, inner, outer)
    return (number(1) - erf if x < 0 else number(1) + erf) * number(0.5)


# --- many of them -----------------------------------------------------------------------------------------------------


@unit
def activation_forward(first, last, kind, setting, x, y):
    """y[i] = activation(x[i]) for elements `first` up to `last`. kind: which; setting: leaky relu's slope, elu's alpha;
    any number for the others."""
    x, y, setting = x[first:last], y[first:last], x.dtype.type(setting)
    if kind == RELU:
        for i in range(len(x)):
            y[i] = relu(x[i])
    elif kind == LEAKY_RELU:
        for i in range(len(x)):
            y[i] = leaky_relu(x[i], setting)
    elif kind == ELU:
        for i in range(len(x)):
            y[i] = elu(x[i], setting)
    elif kind == GELU:
        for i in range(len(x)):
            y[i] = gelu(x[i])
    elif kind == SILU:
        for i in range(len(x)):
            y[i] = silu(x[i])
    elif kind == SOFTPLUS:
        for i in range(len(x)):
            y[i] = softplus(x[i])
    elif kind == TANH:
        for i in range(len(x)):
            y[i] = tanh(x[i])
    elif kind == SIGMOID:
        for i in range(len(x)):
            y[i] = sigmoid(x[i])


@unit
def activation_gradient(first, last, kind, setting, x, g, out):
    """out[i] = g[i] · the slope of the activation at x[i], for elements `first` up to `last`."""
    x, g, out, setting = x[first:last], g[first:last], out[first:last], x.dtype.type(setting)
    if kind == RELU:
        for i in range(len(x)):
            out[i] = g[i] * relu_slope(x[i])
    elif kind == LEAKY_RELU:
        for i in range(len(x)):
            out[i] = g[i] * leaky_relu_slope(x[i], setting)
    elif kind == ELU:
        for i in range(len(x)):
            out[i] = g[i] * elu_slope(x[i], setting)
    elif kind == GELU:
        for i in range(len(x)):
            out[i] = g[i] * gelu_slope(x[i])
    elif kind == SILU:
        for i in range(len(x)):
            out[i] = g[i] * silu_slope(x[i])
    elif kind == SOFTPLUS:
        for i in range(len(x)):
            out[i] = g[i] * sigmoid(x[i])
    elif kind == TANH:
        for i in range(len(x)):
            out[i] = g[i] * tanh_slope(x[i])
    elif kind == SIGMOID:
        for i in range(len(x)):
            out[i] = g[i] * sigmoid_slope(x[i])


def bent(kind: str, x: Array, setting: float = 0.0) -> tuple[Array, Callable[[Array], Array]]:
    """What an operation of `ops/activation.py` returns: the activation of this name, and how a slope goes back.

    x: of float32 or float64, not empty. The results lie in memory as x does, pictures with channels last for example.
    """
    number, work, y = KINDS.index(kind), x.size // WORTH, np.empty_like(x)
    inward = sorted(range(x.ndim), key=lambda axis: -y.strides[axis])  # the axes, those with the longest steps first
    flat = x.transpose(inward).reshape(-1)
    share(activation_forward, x.size, work, number, setting, flat, y.transpose(inward).reshape(-1))

    def gradient(g: Array) -> Array:
        slopes, of_x = np.asarray(g, x.dtype), np.empty_like(x)
        if slopes.shape != x.shape:  # one number for all of them, for example
            slopes = np.full(x.shape, slopes)
        share(activation_gradient, x.size, work, number, setting, flat, slopes.transpose(inward).reshape(-1),
              of_x.transpose(inward).reshape(-1))
        return of_x

    return y, gradient
