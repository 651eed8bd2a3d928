"""Layer norm, compiled: each sample is normalized by itself.

A sample is a row of D numbers, short enough to stay in the processor's nearest cache while it is gone through a few
times: for its mean, for its spread, and for the result. So the memory is read once and written once.

The sum of a row is taken as LANES sums side by side, which are added up at the end. One after the other, each addition
would wait for the one before, and the processor would be idle most of the time.
"""

import numpy as np

from byhand.kernels import reference
from byhand.kernels.jit.cache import kernel
from byhand.kernels.jit.sharing import Array, fast, share

LANES = 64  # sums side by side: a few vectors on every processor

# --- the loops --------------------------------------------------------------------------------------------------------


@kernel
def layer_norm_values(first, last, x, normalized, y, inverse, weight, bias, D, eps):
    """normalized = (x - mean) · inverse, with inverse = 1 / √(variance + eps), each sample's own, and
    y = normalized · weight + bias. inverse: (N,), weight and bias: (D,)."""
    sums = np.empty(LANES, x.dtype)
    for n in range(first, last):
        numbers, between, result = x[n * D:(n + 1) * D], normalized[n * D:(n + 1) * D], y[n * D:(n + 1) * D]
        sums[:] = 0
        for start in range(0, D, LANES):
            some = numbers[start:start + LANES]
            for i in range(len(some)):
                sums[i] += some[i]
        mean = x.dtype.type(total(sums) / D)
        sums[:] = 0
        for start in range(0, D, LANES):
            some, centred = numbers[start:start + LANES], between[start:start + LANES]
            for i in range(len(some)):
                d = some[i] - mean
                centred[i] = d
                sums[i] += d * d
        narrow = x.dtype.type(1 / np.sqrt(total(sums) / D + eps))
        inverse[n] = narrow
        for i in range(D):
            value = between[i] * narrow
            between[i] = value
            result[i] = value * weight[i] + bias[i]


@kernel
def layer_norm_slopes(first, last, g, normalized, inverse, dx, D):
    """dx = (g - mean of g - normalized · mean of g · normalized) · inverse, with each sample's own means."""
    sums, along = np.empty(LANES, g.dtype), np.empty(LANES, g.dtype)
    for n in range(first, last):
        slopes, numbers, result = g[n * D:(n + 1) * D], normalized[n * D:(n + 1) * D], dx[n * D:(n + 1) * D]
        sums[:] = 0
        along[:] = 0
        for start in range(0, D, LANES):
            some, values = slopes[start:start + LANES], numbers[start:start + LANES]
            for i in range(len(some)):
                sums[i] += some[i]
                along[i] += some[i] * values[i]
        minus, tilt = g.dtype.type(total(sums) / D), g.dtype.type(total(along) / D)
        narrow = inverse[n]
        for i in range(D):
            result[i] = (slopes[i] - minus - numbers[i] * tilt) * narrow


@kernel
def total(sums):
    """The sum of a few numbers, in double precision."""
    result = 0.0
    for i in range(len(sums)):
        result += sums[i]
    return result


# --- the twins --------------------------------------------------------------------------------------------------------


def layer_norm(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array]:
    """Normalize each sample over the last axes, as many as `weight` has. Returns output, normalized values and
    1/√(var+eps)."""
    ndim = weight.ndim
    if not (fast(x, weight, bias) and ndim and weight.shape == bias.shape == x.shape[-ndim:]):
        return reference.layer_norm(x, weight, bias, eps)
    n = x.size // weight.size
    y, normalized = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    inverse_spread = np.empty(x.shape[:-ndim] + (1,) * ndim, x.dtype)
    numbers, times, plus = (np.ascontiguousarray(a).reshape(-1) for a in (x, weight, bias))
    share(layer_norm_values, n, x.size, numbers, normalized.reshape(-1), y.reshape(-1), inverse_spread.reshape(-1),
          times, plus, weight.size, float(eps))
    return y, normalized, inverse_spread


def layer_norm_gradient(g: Array, normalized: Array, inverse_spread: Array, ndim: int) -> Array:
    """The gradient of x, given that of the normalized values: as in batch norm, with a sample's own mean and spread."""
    if not (fast(g, normalized, inverse_spread) and ndim and g.shape == normalized.shape
            and inverse_spread.shape == g.shape[:-ndim] + (1,) * ndim):
        return reference.layer_norm_gradient(g, normalized, inverse_spread, ndim)
    n = inverse_spread.size
    dx = np.empty(g.shape, g.dtype)
    slopes, values, narrow = (np.ascontiguousarray(a).reshape(-1) for a in (g, normalized, inverse_spread))
    share(layer_norm_slopes, n, g.size, slopes, values, narrow, dx.reshape(-1), g.size // n)
    return dx
