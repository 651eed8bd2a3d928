"""The shape of a sample on its way through a network, by arithmetic alone. A file can claim any size, so nothing is run
to find out what comes of it."""

import math

from byhand import nn
from byhand.nn.layers import BatchNorm

Shape = tuple[int, ...]
PARTICULAR = (nn.Conv2d, nn.AvgPool2d, nn.MaxPool2d, nn.GlobalAvgPool2d, nn.Linear, BatchNorm, nn.LayerNorm)
"""Layers that cannot read samples of every shape."""


def shape_after(layer: nn.Module, shape: Shape) -> Shape:
    """What becomes of a sample of this shape, both without the batch. Raises ValueError if the layer cannot read it."""
    after = None if isinstance(layer, PARTICULAR) else shape  # dropout and activations take anything
    match layer:
        case nn.Sequential():
            after = shape
            for part in layer.layers:
                after = shape_after(part, after)
        case nn.Residual():
            after = shape_after(layer.body, shape)
            around = shape if layer.shortcut is None else shape_after(layer.shortcut, shape)
            if around != after:
                raise ValueError(f"a shortcut ends in the shape {around}, and what it goes around in {after}")
        case nn.Conv2d() if len(shape) == 3 and shape[0] == layer.in_channels:
            after = (layer.out_channels, *layer.window.output_size(*shape[1:]))
        case nn.AvgPool2d() | nn.MaxPool2d() if len(shape) == 3:
            after = (shape[0], *layer.window.output_size(*shape[1:]))
        case nn.GlobalAvgPool2d() if len(shape) == 3:
            after = shape[:1]
        case nn.Linear() if shape[-1:] == (layer.in_features,):
            after = (*shape[:-1], layer.out_features)
        case BatchNorm() if len(shape) == layer.needs[0] - 1 and shape[0] == layer.num_features:
            after = shape
        case nn.LayerNorm() if shape[-len(layer.normalized_shape):] == layer.normalized_shape:
            after = shape
        case nn.Flatten():
            after = (math.prod(shape),)
    if after is None or min(after, default=1) < 1:
        raise ValueError(f"{layer!r} cannot read samples of shape {shape}")
    return after
