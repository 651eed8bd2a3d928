"""Keeping numbers in a healthy range: batch norm, layer norm, and dropout, which keeps a network from leaning on a few.

To normalize is to subtract the mean and divide by the spread, so each element has a hand in the mean and the spread of
the others. The gradient has to take that back: what is left of g once its mean and its part along the normalized values
are removed.
"""

from typing import Any

import numpy as np

from byhand import kernels
from byhand.autodiff import once, op
from byhand.ops.arithmetic import floats

Array = Any


@op
def batch_norm(x: Array, weight: Array, bias: Array, *, running_mean: Array, running_var: Array, training: bool,
               momentum: float = 0.1, eps: float = 1e-5) -> Any:
    """Normalize each channel, then scale and shift it (Ioffe and Szegedy 2015, algorithms 1 and 2):

        y = weight · (x - mean) / √(var + eps) + bias

    x: (N, C) or (N, C, H, W); weight, bias, running_mean, running_var: (C,). In training, mean and var are those of the
    batch over all axes but the channel's, and the running ones move toward them in place by `momentum` (var by its
    unbiased estimate, as PyTorch does). Else they are the running ones. Raises ValueError for one value a channel in
    training, which has no variance.
    """
    x = floats(x)
    if training:
        n = x.size // x.shape[1]
        if n < 2:
            raise ValueError(f"batch_norm needs more than one value for each channel in training, got shape {x.shape}; "
                             "one value has no variance.")
        y, normalized, mean, var, scale = kernels.batch_norm(x, weight, bias, eps)
        running_mean += momentum * (mean - running_mean)
        running_var += momentum * (var * (n / (n - 1)) - running_var)
        backward = once(lambda g: kernels.batch_norm_gradients(g, normalized, scale))
        return y, lambda g: backward(g)[0], lambda g: backward(g)[1], lambda g: backward(g)[2]
    channel = (slice(None),) + (None,) * (x.ndim - 2)
    spread = np.sqrt(running_var + eps)
    scale = weight / spread
    y = x * scale[channel] + (bias - running_mean * scale)[channel]

    def gradient_of_weight(g: Array) -> Array:
        return kernels.channel_sum(g * (x - running_mean[channel]) / spread[channel])

    return y, lambda g: g * scale[channel], gradient_of_weight, kernels.channel_sum


@op
def layer_norm(x: Array, weight: Array, bias: Array, *, eps: float = 1e-5) -> Any:
    """Normalize each sample over its last axes, those that `weight` has, then scale and shift:

        y = weight · (x - mean) / √(var + eps) + bias

    x: (..., *shape); weight, bias: shape (Ba et al. 2016, section 3).
    """
    x = floats(x)
    y, normalized, inverse_spread = kernels.layer_norm(x, weight, bias, eps)
    leading = tuple(range(x.ndim - weight.ndim))
    return (
        y,
        lambda g: kernels.layer_norm_gradient(g * weight, normalized, inverse_spread, weight.ndim),
        lambda g: (g * normalized).sum(axis=leading),
        lambda g: g.sum(axis=leading),
    )


@op
def dropout(x: Array, p: float, rng: np.random.Generator) -> Any:
    """Zero each element with probability p and divide the others by 1 - p, so that the mean stays.

    The slope goes back through the elements that were kept, divided in the same way (Srivastava et al. 2014). Raises
    ValueError unless p is at least 0 and less than 1.
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout needs a probability of at least 0 and less than 1, got {p}.")
    x = floats(x)
    mask = kernels.dropout_mask(x, p, rng)
    return x * mask, lambda g: g * mask
