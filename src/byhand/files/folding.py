"""A batch norm that comes after a linear layer or a convolution can be done beforehand.

Once a network has learned, the mean and the spread of a batch norm are fixed numbers, so it multiplies each channel by
one number and adds another. The layer before it does just that with its own weights and bias. Done there, it costs
nothing:

    scale · (W x + b - mean) + shift = (scale · W) x + scale · (b - mean) + shift
"""

from typing import Any

import numpy as np

from byhand import nn
from byhand.files.architecture import UNALLOCATED
from byhand.nn.layers import BatchNorm

Array = np.ndarray[Any, Any]
TAKES: dict[type[nn.Module], type[BatchNorm]] = {nn.Linear: nn.BatchNorm1d, nn.Conv2d: nn.BatchNorm2d}
"""Which batch norm a layer can do with its own weights."""


def without_batch_norm(network: nn.Module) -> nn.Module:
    """A network with the same outputs, in which every BatchNorm1d right after a Linear and every BatchNorm2d right
    after a Conv2d is part of its weights. Others are left as they are. Sequentials within Sequentials become one."""
    if isinstance(network, nn.Residual):
        shortcut = None if network.shortcut is None else without_batch_norm(network.shortcut)
        return nn.Residual(*folded(network.body), shortcut=shortcut)
    return nn.Sequential(*folded(network)) if isinstance(network, nn.Sequential) else network


def folded(network: nn.Sequential) -> list[nn.Module]:
    """The layers of `without_batch_norm`."""
    layers: list[nn.Module] = []
    for layer in in_a_row(network):
        last = layers[-1] if layers else None
        if isinstance(last, nn.Linear | nn.Conv2d) and isinstance(layer, TAKES[type(last)]):
            layers[-1] = joined(last, layer)
        else:
            layers.append(without_batch_norm(layer))
    return layers


def in_a_row(network: nn.Module) -> list[nn.Module]:
    """The layers of a Sequential, and of the Sequentials in it."""
    if not isinstance(network, nn.Sequential):
        return [network]
    return [part for layer in network.layers for part in in_a_row(layer)]


def scale_and_shift(norm: BatchNorm) -> tuple[Array, Array]:
    """What a batch norm that has learned does to each channel, y = scale · x + shift; each (C,), float64."""
    mean, var = norm.running_mean.astype(np.float64), norm.running_var.astype(np.float64)
    with np.errstate(all="ignore"):  # numbers from a file, which need not make sense
        scale = norm.weight.data / np.sqrt(var + norm.eps)
        return scale, norm.bias.data - scale * mean


def joined(layer: nn.Linear | nn.Conv2d, norm: BatchNorm) -> nn.Module:
    """A layer like this one, with the batch norm in its weights."""
    scale, shift = scale_and_shift(norm)
    old = layer.weight.data
    bias = np.zeros(len(old)) if layer.bias is None else layer.bias.data
    new = type(layer)(**layer.config() | UNALLOCATED | {"bias": True}, dtype=old.dtype)
    with np.errstate(all="ignore"):
        new.load_state_dict({"weight": old * scale.reshape(-1, *[1] * (old.ndim - 1)), "bias": bias * scale + shift})
    return new
