"""Normalizing, there and back, and the loss that most networks end in."""

from typing import Any

import numpy as np

from byhand.kernels.reference.convolution import channel_sum

Array = np.ndarray[Any, Any]


def batch_norm(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array, Array, Array]:
    """Normalize each channel by the batch's own mean and variance.

    x: (N, C) or (N, C, H, W); weight, bias: (C,). Returns the output, the normalized values (both in x's shape), the
    mean, the variance, and the factor weight / √(var + eps) (each (C,)); the gradients need the second and the last.
    """
    channel = (slice(None),) + (None,) * (x.ndim - 2)
    n = x.size // x.shape[1]
    mean = channel_sum(x) / n
    normalized = x - mean[channel]
    var = channel_sum(np.square(normalized)) / n
    inverse_spread = 1 / np.sqrt(var + eps)
    normalized *= inverse_spread[channel]
    y = normalized * weight[channel]
    y += bias[channel]
    return y, normalized, mean, var, weight * inverse_spread


def batch_norm_gradients(g: Array, normalized: Array, scale: Array) -> tuple[Array, Array, Array]:
    """The gradients of x, weight and bias (Ioffe and Szegedy 2015, section 3): what is left of g once its mean and its
    part along the normalized values are taken away, times weight / √(var + eps)."""
    channel = (slice(None),) + (None,) * (g.ndim - 2)
    n = g.size // g.shape[1]
    of_weight, of_bias = channel_sum(g * normalized), channel_sum(g)
    of_x = normalized * (-of_weight / n)[channel]
    of_x += g
    of_x -= (of_bias / n)[channel]
    of_x *= scale[channel]
    return of_x, of_weight, of_bias


def layer_norm(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array]:
    """Normalize each sample over the last axes, as many as `weight` has. Returns output, normalized values and
    1/√(var+eps)."""
    axes = tuple(range(-weight.ndim, 0))
    normalized = x - x.mean(axis=axes, keepdims=True)
    inverse_spread = 1 / np.sqrt(np.square(normalized).mean(axis=axes, keepdims=True) + eps)
    normalized *= inverse_spread
    return normalized * weight + bias, normalized, inverse_spread


def layer_norm_gradient(g: Array, normalized: Array, inverse_spread: Array, ndim: int) -> Array:
    """The gradient of x, given that of the normalized values: as in batch norm, with a sample's own mean and spread."""
    axes = tuple(range(-ndim, 0))
    along = (g * normalized).mean(axis=axes, keepdims=True)
    return (g - g.mean(axis=axes, keepdims=True) - normalized * along) * inverse_spread


def softmax_cross_entropy(logits: Array, targets: Array) -> tuple[Array, Array]:
    """-Σ target · ln softmax(logits) of each row, and its gradient, softmax · Σ target - target (Bridle 1990).

    logits, targets: (N, K), targets a distribution over the classes (one-hot or smoothed). Returns (N,) and (N, K).
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted)
    total = probabilities.sum(axis=1, keepdims=True)
    mass = targets.sum(axis=1, keepdims=True)
    asked = np.where(targets == 0, 0, shifted)  # a class that is ruled out (-inf) costs nothing where nobody expects it
    losses = (np.log(total) * mass)[:, 0] - (targets * asked).sum(axis=1)
    probabilities *= mass / total
    return losses, probabilities - targets
