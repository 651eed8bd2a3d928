"""The layers that have nothing to learn: pooling, flattening, dropout, and the activations."""

import math
from typing import Any

from byhand import ops
from byhand.nn.init import is_finite
from byhand.nn.layers import check_picture, one_if_equal
from byhand.nn.module import Module, ShapeError, training_rng
from byhand.ops.convolution import Pair, pool_window
from byhand.tensor import Tensor


class Pool2d(Module):
    """What both kinds of pooling have in common: a window, whose stride is its size unless given."""

    def __init__(self, kernel_size: Pair, *, stride: Pair | None = None, padding: Pair = 0) -> None:
        self.window = pool_window(type(self).__name__, kernel_size, stride, padding)

    def config(self) -> dict[str, Any]:
        size, stride, padding, _ = (one_if_equal(p) for p in self.window)
        return {"kernel_size": size, "stride": stride, "padding": padding}


class MaxPool2d(Pool2d):
    """The largest element in each window, (N, C, H, W) -> (N, C, H', W')."""

    def forward(self, x: Tensor) -> Tensor:
        check_picture(self, x, self.window)
        return ops.max_pool2d(x, self.window.size, stride=self.window.stride, padding=self.window.padding)


class AvgPool2d(Pool2d):
    """The mean of each window, zeros of the padding included, (N, C, H, W) -> (N, C, H', W')."""

    def forward(self, x: Tensor) -> Tensor:
        check_picture(self, x, self.window)
        return ops.avg_pool2d(x, self.window.size, stride=self.window.stride, padding=self.window.padding)


class GlobalAvgPool2d(Module):
    """The mean of each channel, (N, C, H, W) -> (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4:
            raise ShapeError(self, x.shape, "(N, C, H, W)")
        return ops.global_avg_pool2d(x)


class Flatten(Module):
    """Everything but the batch in one row, (N, ...) -> (N, features), channels first as in PyTorch."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 1:
            raise ShapeError(self, x.shape, "(N, ...)")
        return ops.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


class Dropout(Module):
    """In training, zero each element with probability p and divide the others by 1 - p; else do nothing."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout needs a probability of at least 0 and less than 1, got {p!r}.")
        self.p = p

    def config(self) -> dict[str, Any]:
        return {"p": self.p}

    def forward(self, x: Tensor) -> Tensor:
        rng = training_rng()
        return x if rng is None else ops.dropout(x, self.p, rng)


def finite(layer: str, **settings: Any) -> None:
    """Every setting must be a number that is neither infinite nor a NaN."""
    for name, value in settings.items():
        if not is_finite(value):
            raise ValueError(f"{layer} needs {name} to be a finite number, got {value!r}.")


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x)


class LeakyReLU(Module):
    """x where positive, negative_slope · x elsewhere."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        finite("LeakyReLU", negative_slope=negative_slope)
        self.negative_slope = negative_slope

    def config(self) -> dict[str, Any]:
        return {"negative_slope": self.negative_slope}

    def forward(self, x: Tensor) -> Tensor:
        return ops.leaky_relu(x, self.negative_slope)


class ELU(Module):
    """x where positive, alpha · (eˣ - 1) elsewhere."""

    def __init__(self, alpha: float = 1.0) -> None:
        finite("ELU", alpha=alpha)
        self.alpha = alpha

    def config(self) -> dict[str, Any]:
        return {"alpha": self.alpha}

    def forward(self, x: Tensor) -> Tensor:
        return ops.elu(x, self.alpha)


class GELU(Module):
    """x · Φ(x)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.gelu(x)


class SiLU(Module):
    """x · sigmoid(x)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.silu(x)


class Softplus(Module):
    """ln(1 + eˣ)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.softplus(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.tanh(x)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.sigmoid(x)


class Softmax(Module):
    """Probabilities over the last axis. A network trained with cross-entropy ends in logits and does not need it."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.softmax(x)


class LogSoftmax(Module):
    """The logarithm of probabilities over the last axis."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.log_softmax(x)
