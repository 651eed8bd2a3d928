"""A network that is only used needs no batch norm after a convolution or a linear layer. It multiplies and adds,
channel by channel, and the weights before it can do that as well:

    scale · (w x + b) + shift = (scale · w) x + (scale · b + shift)
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from byhand import nn

PAIRS = {(nn.Conv2d, nn.BatchNorm2d), (nn.Linear, nn.BatchNorm1d)}


def folded(model: nn.Module) -> nn.Module:
    """A network that gives the same answers, without the batch norms that follow a convolution or a linear layer. The
    one that is given stays as it is."""
    if isinstance(model, nn.Residual):
        return nn.Residual(*folded_layers(model.body), shortcut=model.shortcut and folded(model.shortcut))
    return nn.Sequential(*folded_layers(model)) if isinstance(model, nn.Sequential) else model


def folded_layers(model: nn.Sequential) -> list[nn.Module]:
    """The layers of such a network, in the order in which they run."""
    layers: list[nn.Module] = []
    for layer in flat_layers(model):
        last: Any = layers[-1] if layers else None
        if (type(last), type(layer)) in PAIRS and last.weight.shape[0] == layer.num_features:
            layers[-1] = with_norm(last, layer)
        else:
            layers.append(folded(layer))
    return layers


def flat_layers(model: nn.Sequential) -> Iterator[Any]:
    """What runs one after the other, whether or not it stands in a Sequential of its own."""
    for layer in model.layers:
        if isinstance(layer, nn.Sequential):
            yield from flat_layers(layer)
        else:
            yield layer


def with_norm(layer: Any, norm: Any) -> Any:
    """A layer that does what these two do one after the other."""
    weight, bias = layer.weight.data, 0 if layer.bias is None else layer.bias.data
    with np.errstate(all="ignore"):  # numbers that are none come out as such
        scale = norm.weight.data / np.sqrt(norm.running_var + norm.eps)
        shift = norm.bias.data - norm.running_mean * scale
        return like(layer, weight * scale.reshape(-1, *[1] * (weight.ndim - 1)), bias * scale + shift)


def like(layer: Any, weight: Any, bias: Any) -> Any:
    """A layer with other numbers."""
    nothing = nn.init.unallocated
    other = type(layer)(**layer.config() | {"bias": True}, rng=np.random.default_rng(0), dtype=layer.weight.dtype,
                        weight_init=nothing, bias_init=nothing)
    other.load_state_dict({"weight": weight, "bias": bias})
    return other
