"""The layers that learn something: linear, convolution, and the two normalizations.

Each draws its first weights from the generator that it is given, checks the shape of what comes in, and leaves the
arithmetic to its operation. Parameters have PyTorch's names and shapes.
"""

from typing import Any

import numpy as np

from byhand import kernels, ops
from byhand.nn import init
from byhand.nn.init import Initializer
from byhand.nn.module import Module, ShapeError, training_rng
from byhand.ops.convolution import Pair, window_of
from byhand.tensor import Tensor


def parameter(initializer: Initializer, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Tensor:
    """A Tensor to be trained."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError("a layer draws its first weights from a generator such as np.random.default_rng(0), got "
                        f"{rng!r}.")
    array = initializer(shape, rng) if callable(initializer) else None
    if not isinstance(array, np.ndarray):
        raise ValueError("an initializer is a function (shape, rng) -> array, such as init.he_normal or "
                         f"init.uniform(-0.1, 0.1); got {initializer!r}.")
    if array.shape != shape:
        raise ValueError(f"the initializer returned shape {array.shape} instead of {shape}.")
    if array.ndim == 2 and array.flags.writeable:  # else it has no memory yet
        array = np.asfortranarray(array)  # column by column, where compiled kernels find neighbouring outputs together
    return Tensor(array.astype(dtype) if array.dtype != dtype else array, requires_grad=True)


def positive(layer: str, **sizes: Any) -> None:
    """Every size must be a whole number of at least 1."""
    for name, n in sizes.items():
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
            raise ValueError(f"{layer} needs {name} to be a whole number of at least 1, got {n!r}.")


class Linear(Module):
    """y = x Wᵀ + b: every output is a weighted sum of all inputs.

    x: (..., in_features) -> (..., out_features). weight: (out_features, in_features), He-normal unless `weight_init`
    says otherwise; bias: (out_features,), zeros, or None with bias=False.
    """

    def __init__(self, in_features: int, out_features: int, rng: np.random.Generator, *, bias: bool = True,
                 weight_init: Initializer = init.he_normal, bias_init: Initializer = init.zeros,
                 dtype: Any = np.float32) -> None:
        positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = parameter(weight_init, (out_features, in_features), rng, dtype)
        self.bias = parameter(bias_init, (out_features,), rng, dtype) if bias else None

    def config(self) -> dict[str, Any]:
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias is not None}

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 1 or x.shape[-1] != self.in_features:
            raise ShapeError(self, x.shape, f"(N, {self.in_features})")
        return ops.linear(x, self.weight, self.bias)


class Conv2d(Module):
    """Filters laid over every place of a picture; see `ops.conv2d`.

    x: (N, in_channels, H, W) -> (N, out_channels, H', W'). weight: (out_channels, in_channels / groups, kH, kW),
    He-normal unless `weight_init` says otherwise; bias: (out_channels,), zeros, or None with bias=False.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Pair, rng: np.random.Generator, *,
                 stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, groups: int = 1, bias: bool = True,
                 weight_init: Initializer = init.he_normal, bias_init: Initializer = init.zeros,
                 dtype: Any = np.float32) -> None:
        positive("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        self.window = window_of("Conv2d", kernel_size, stride, padding, dilation)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"Conv2d cannot split {in_channels} channels and {out_channels} filters into {groups} "
                             "equal groups.")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.weight = parameter(weight_init, (out_channels, in_channels // groups, *self.window.size), rng, dtype)
        self.bias = parameter(bias_init, (out_channels,), rng, dtype) if bias else None

    def config(self) -> dict[str, Any]:
        size, stride, padding, dilation = (one_if_equal(p) for p in self.window)
        return {"in_channels": self.in_channels, "out_channels": self.out_channels, "kernel_size": size,
                "stride": stride, "padding": padding, "dilation": dilation, "groups": self.groups,
                "bias": self.bias is not None}

    def forward(self, x: Tensor) -> Tensor:
        check_picture(self, x, self.window, self.in_channels)
        _, stride, padding, dilation = self.window
        return ops.conv2d(x, self.weight, self.bias, stride=stride, padding=padding, dilation=dilation,
                          groups=self.groups)


def one_if_equal(p: tuple[int, int]) -> Pair:
    """A pair as a person writes it: 3 for (3, 3)."""
    return p[0] if p[0] == p[1] else p


def check_picture(layer: Module, x: Tensor, window: kernels.Window, channels: int | None = None) -> None:
    """Refuse what is not a batch of pictures with these channels, large enough for the window."""
    rows, columns = window.smallest_picture()
    fits = x.ndim == 4 and channels in (None, x.shape[1])
    if not fits or x.shape[2] < rows or x.shape[3] < columns:
        size = f" with H of at least {rows} and W of at least {columns}" if fits else ""
        raise ShapeError(layer, x.shape, f"(N, {channels or 'C'}, H, W){size}")


class BatchNorm(Module):
    """Normalize each channel, then scale and shift it (Ioffe and Szegedy 2015, algorithms 1 and 2):

        y = weight · (x - mean) / √(var + eps) + bias

    In training, mean and var are those of the batch; else they are running averages, `running_mean` and `running_var`,
    which each batch of training moves: running ← (1 - momentum) · running + momentum · batch. So `momentum` is the
    share of the new, as in PyTorch, and not of the old, as in other places. All of them and weight and bias: (C,).
    eps keeps the division from 0 where a channel does not vary. Use BatchNorm1d after a Linear and BatchNorm2d
    after a Conv2d.
    """

    needs: tuple[int, str]

    def __init__(self, num_features: int, *, eps: float = 1e-5, momentum: float = 0.1, dtype: Any = np.float32) -> None:
        positive(type(self).__name__, num_features=num_features)
        if not (eps > 0 and 0 <= momentum <= 1):
            raise ValueError(f"{type(self).__name__} needs eps above 0 and a momentum from 0 to 1, got {eps!r} and "
                             f"{momentum!r}.")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = Tensor(np.ones(num_features, dtype), requires_grad=True)
        self.bias = Tensor(np.zeros(num_features, dtype), requires_grad=True)
        self.running_mean = np.zeros(num_features, dtype)
        self.running_var = np.ones(num_features, dtype)
        self.num_batches_tracked = np.zeros((), np.int64)

    def config(self) -> dict[str, Any]:
        return {"num_features": self.num_features, "eps": self.eps, "momentum": self.momentum}

    def forward(self, x: Tensor) -> Tensor:
        ndim, shape = self.needs
        if x.ndim != ndim or x.shape[1] != self.num_features:
            raise ShapeError(self, x.shape, shape.format(self.num_features))
        in_training = training_rng() is not None
        if in_training:
            if x.size == self.num_features:
                raise ShapeError(self, x.shape, "more than one value for each channel in training, since one value has "
                                                "no variance: use a larger batch, or drop_last=True if it is the last")
            self.num_batches_tracked += 1
        return ops.batch_norm(x, self.weight, self.bias, running_mean=self.running_mean, running_var=self.running_var,
                              training=in_training, momentum=self.momentum, eps=self.eps)


class BatchNorm1d(BatchNorm):
    """Batch norm of features: x is (N, C) -> (N, C), C being num_features; see `BatchNorm` for the formula."""

    needs = (2, "(N, {})")


class BatchNorm2d(BatchNorm):
    """Batch norm of pictures: x is (N, C, H, W) -> (N, C, H, W), C being num_features. A channel's mean and var are
    over all pictures and places; see `BatchNorm` for the formula."""

    needs = (4, "(N, {}, H, W)")


class LayerNorm(Module):
    """Normalize each sample by itself, over its last axes, then scale and shift (Ba et al. 2016, section 3):

        y = weight · (x - mean) / √(var + eps) + bias

    x: (..., *normalized_shape) -> the same shape; mean and var are over these axes; weight, bias: normalized_shape. It
    does the same in training and outside. eps keeps the division from 0 where a sample does not vary.
    """

    def __init__(self, normalized_shape: int | tuple[int, ...], *, eps: float = 1e-5, dtype: Any = np.float32) -> None:
        shape = tuple(normalized_shape) if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
        for n in shape or (0,):
            positive("LayerNorm", normalized_shape=n)
        if not eps > 0:
            raise ValueError(f"LayerNorm needs eps above 0, got {eps!r}.")
        self.normalized_shape, self.eps = shape, eps
        self.weight = Tensor(np.ones(shape, dtype), requires_grad=True)
        self.bias = Tensor(np.zeros(shape, dtype), requires_grad=True)

    def config(self) -> dict[str, Any]:
        return {"normalized_shape": list(self.normalized_shape), "eps": self.eps}

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-len(self.normalized_shape):] != self.normalized_shape:
            raise ShapeError(self, x.shape, f"(N, ..., {', '.join(map(str, self.normalized_shape))})")
        return ops.layer_norm(x, self.weight, self.bias, eps=self.eps)
