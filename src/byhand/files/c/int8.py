"""Weights in eight bits: a quarter of the memory, and sums in whole numbers.

The weights of each output are divided by a number of their own, such that the largest becomes 127, and rounded. That
is the scheme of TensorFlow Lite's specification for weights: from -127 to 127, symmetric, with a scale for each output
channel (Jacob et al. 2018, section 3). What comes into the layer is brought into eight bits as well, for each sample
anew, by its own largest number; products are added up in 32 bits, and two multiplications bring the sum back to scale.
TensorFlow calls that dynamic-range quantization. It needs no pictures to calibrate on, and suits small boards: many of
them have no unit for floating point, where a product of floats takes some hundred cycles, and one of bytes takes two.

The layers here compute in Python just what the C does, so the loss can be measured before anything is compiled.
"""

from typing import Any

import numpy as np

from byhand import kernels, nn
from byhand.files.folding import without_batch_norm
from byhand.nn.layers import check_picture
from byhand.nn.module import ShapeError
from byhand.tensor import Tensor

Array = np.ndarray[Any, Any]
LARGEST = 127
MOST_PRODUCTS = (2**31 - 1) // LARGEST**2
"""How many products one sum in 32 bits can hold, whatever they are: 133,144."""


def in_eight_bits(network: nn.Module) -> nn.Module:
    """The same network with weights in eight bits, batch norms folded into them before. It can be used, not trained.

    Raises ValueError for weights that are not finite, or an output with more weights than a sum in 32 bits can hold.
    """
    with np.errstate(all="ignore"):  # numbers from a file, which need not make sense
        return converted(without_batch_norm(network))


def converted(module: nn.Module) -> nn.Module:
    """`in_eight_bits`, for a part."""
    if isinstance(module, nn.Sequential):
        return nn.Sequential(*map(converted, module.layers))
    if isinstance(module, nn.Residual):
        shortcut = None if module.shortcut is None else converted(module.shortcut)
        return nn.Residual(*map(converted, module.body.layers), shortcut=shortcut)
    if isinstance(module, nn.Linear):
        return Int8Linear(module)
    return Int8Conv2d(module) if isinstance(module, nn.Conv2d) else module


def by_output(weight: Array) -> tuple[Array, Array]:
    """Weights (outputs, ...) as whole numbers from -127 to 127, int8, and the scale of each output, float32:
    weight ≈ scale · number."""
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    if not np.isfinite(rows.astype(np.float32)).all():
        raise ValueError("a weight of the network is infinite or not a number, or too large for float32: training had "
                         "failed before it was saved.")
    if rows.shape[1] > MOST_PRODUCTS:
        raise ValueError(f"a layer adds up {rows.shape[1]:,} products for each output, and a sum in 32 bits holds "
                         f"{MOST_PRODUCTS:,} of eight-bit numbers; export it without int8.")
    scale = np.abs(rows).max(axis=1) / LARGEST
    numbers = np.rint(rows / np.where(scale > 0, scale, 1)[:, None])
    return numbers.astype(np.int8).reshape(weight.shape), scale.astype(np.float32)


def bias_of(layer: nn.Linear | nn.Conv2d) -> Array:
    """Its bias, (outputs,), float32: zeros if it has none, which costs nothing that anybody would notice."""
    return np.asarray(np.zeros(len(layer.weight.data)) if layer.bias is None else layer.bias.data, np.float32)


def by_sample(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Numbers, float32, as whole ones from -127 to 127 (in float64, which adds them up exactly), and their step:
    x ≈ step · number. The largest over these axes becomes 127. The same operations as in C, in the same precision."""
    largest = np.maximum(np.abs(x).max(axis=axes, keepdims=True), np.float32(1e-30))
    inverse = np.float32(LARGEST) / largest
    return np.floor(x * inverse + np.float32(128.5)).astype(np.float64) - 128, largest / np.float32(LARGEST)


class Int8Linear(nn.Module):
    """A Linear with weights in eight bits, (N, ..., in_features) -> (N, ..., out_features)."""

    def __init__(self, layer: nn.Linear) -> None:
        self.written = repr(layer)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.scale = by_output(layer.weight.data)
        self.bias = bias_of(layer)

    def __repr__(self) -> str:
        return f"{self.written} in eight bits"

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.in_features:
            raise ShapeError(self, x.shape, f"(N, {self.in_features})")
        numbers, step = by_sample(x.data.astype(np.float32), (-1,))
        sums = (numbers @ self.weight.T.astype(np.float64)).astype(np.float32)
        return Tensor(sums * (step * self.scale) + self.bias)


class Int8Conv2d(nn.Module):
    """A Conv2d with weights in eight bits, (N, C, H, W) -> (N, filters, H', W')."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self.written = repr(layer)
        self.in_channels, self.window, self.groups = layer.in_channels, layer.window, layer.groups
        self.weight, self.scale = by_output(layer.weight.data)
        self.bias = bias_of(layer)

    def __repr__(self) -> str:
        return f"{self.written} in eight bits"

    def forward(self, x: Tensor) -> Tensor:
        check_picture(self, x, self.window, self.in_channels)
        numbers, step = by_sample(x.data.astype(np.float32), (1, 2, 3))
        sums = kernels.conv2d(numbers, self.weight.astype(np.float64), None, self.window, self.groups)
        channel = (slice(None), None, None)
        return Tensor(sums.astype(np.float32) * (step * self.scale[channel]) + self.bias[channel])
