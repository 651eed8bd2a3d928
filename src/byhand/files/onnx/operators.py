"""What each operator of a graph is here: which layer, with which numbers.

One function an operator. It gets the node and what the node takes, values (as Steps) and constants (as arrays), and
returns the value that comes of it. What an operator can do that no layer does is refused by a sentence, never read as
something near it.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from byhand import nn
from byhand.files.architecture import UNALLOCATED
from byhand.files.onnx.constants import BATCH, axes_of, whole_numbers
from byhand.files.onnx.library import onnx
from byhand.files.onnx.elements import divided, minus, part, plus, times, where
from byhand.files.onnx.node import Node, need
from byhand.files.onnx.steps import Scaling, Step, scaled

Array = np.ndarray[Any, Any]
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)


def floats(node: Node, *arrays: Any, dimensions: int) -> None:
    """Weights must be constants, of numbers with a point and of so many dimensions."""
    for array in arrays:
        need(isinstance(array, np.ndarray), node, "computes its weights or lacks them")
        need(array.dtype.kind == "f" and array.ndim == dimensions, node,
             f"takes weights of {array.ndim} dimensions and type {array.dtype}")


# --- products ---------------------------------------------------------------------------------------------------------


def gemm(node: Node, x: Any, weight: Any, bias: Any = None) -> Step:
    """alpha · x · weight + beta · bias."""
    need(isinstance(x, Step) and len(x.shape) == 1 and not node.whole("transA", 0), node, "multiplies something else "
         "than rows")
    floats(node, weight, dimensions=2)
    if not node.whole("transB", 0):
        weight = weight.T
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    if bias is None or (isinstance(bias, np.ndarray) and bias.shape == weight.shape[:1] and alpha == beta == 1):
        return scaled(linear(node, x, weight, bias), alpha, 0, node)
    need(isinstance(bias, np.ndarray), node, "adds a value")
    return plus(node, scaled(linear(node, x, weight), alpha, 0, node), bias * beta)


def matmul(node: Node, x: Any, weight: Any) -> Step:
    """x · weight."""
    need(isinstance(x, Step) and len(x.shape) > 0, node, "multiplies a constant by a value")
    floats(node, weight, dimensions=2)
    return linear(node, x, weight.T)


def linear(node: Node, x: Step, weight: Array, bias: Array | None = None) -> Step:
    """A linear layer with weights (out, in)."""
    need(weight.size > 0, node, "has no weights")
    arrays = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    return x.then(nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, **UNALLOCATED), **arrays)


def conv(node: Node, x: Step, weight: Any, bias: Any = None) -> Step:
    """A convolution of pictures."""
    floats(node, weight, dimensions=4)
    size, stride, padding, dilation = window_of(node, x, weight.shape[2:])
    need(size == weight.shape[2:] and weight.size > 0, node, "does not fit its own weights")
    arrays = {"weight": weight}
    if bias is not None:
        floats(node, bias, dimensions=1)
        arrays["bias"] = bias
    groups = node.whole("group", 1)
    layer = nn.Conv2d(weight.shape[1] * groups, weight.shape[0], size, stride=stride, padding=padding,
                      dilation=dilation, groups=groups, bias=bias is not None, **UNALLOCATED)
    need(bias is None or len(bias) == len(weight), node, "has another number of biases than of filters")
    return x.then(layer, **arrays)


# --- windows ----------------------------------------------------------------------------------------------------------

Two = tuple[int, int]


def window_of(node: Node, x: Step, size: tuple[int, ...] = ()) -> tuple[Two, Two, Two, Two]:
    """Size, stride, padding and dilation of a window."""
    need(len(x.shape) == 3, node, "looks at something else than pictures")
    size = node.wholes("kernel_shape", size)
    stride, dilation = node.wholes("strides", (1, 1)), node.wholes("dilations", (1, 1))
    pads = node.wholes("pads", (0, 0, 0, 0))
    need(len(size) == len(stride) == len(dilation) == 2 and len(pads) == 4, node, "looks at something else than "
         "pictures")
    padding = node.word("auto_pad", "NOTSET")
    need(padding in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"), node, f"pads by the rule {padding[:20]}")
    if padding.startswith("SAME_"):
        over = [max((math.ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0) if s > 0 else 0
                for n, k, s, d in zip(x.shape[1:], size, stride, dilation, strict=True)]
        pads = (*[n // 2 for n in over], *[n - n // 2 for n in over])  # as leaves ceil(n / stride) rows of n
    need(pads[:2] == pads[2:], node, f"pads one side more than the other, {list(pads)}")
    return size, stride, pads[:2], dilation  # type: ignore[return-value]


def pool(kind: type[nn.MaxPool2d | nn.AvgPool2d]) -> Callable[..., Step]:
    """A pool of this kind."""
    def function(node: Node, x: Step) -> Step:
        size, stride, padding, dilation = window_of(node, x)
        need(dilation == (1, 1), node, "has a window with gaps")
        layer = kind(size, stride=stride, padding=padding)
        left = [(n + 2 * p - k) % s for n, k, p, s in zip(x.shape[1:], size, padding, stride, strict=True)]
        need(not node.whole("ceil_mode", 0) or not any(left), node, "has windows that reach beyond the picture")
        zeros_count = kind is nn.MaxPool2d or padding == (0, 0) or node.whole("count_include_pad", 0) == 1
        need(zeros_count, node, "leaves its padding out of the mean")
        return x.then(layer)

    return function


def whole_pool(kind: type[nn.MaxPool2d | nn.AvgPool2d]) -> Callable[..., Step]:
    """A pool of this kind over the whole picture."""
    def function(node: Node, x: Step) -> Step:
        need(len(x.shape) == 3, node, "looks at something else than pictures")
        return x.then(kind((x.shape[1], x.shape[2])))

    return function


def reduced(kind: type[nn.MaxPool2d | nn.AvgPool2d]) -> Callable[..., Step]:
    """The mean of each channel, or the largest number in it."""
    def function(node: Node, x: Step, *axes: Any) -> Step:
        said = {axis % (len(x.shape) + 1) for axis in axes_of(node, axes)}
        need(len(x.shape) == 3 and said == {2, 3}, node, f"goes over axes {sorted(said)}")
        y = whole_pool(kind)(node, x)
        return y if node.whole("keepdims", 1) else flat(y)

    return function


# --- shapes -----------------------------------------------------------------------------------------------------------


def flat(x: Step) -> Step:
    """Each sample in one row."""
    if len(x.shape) == 1:
        return x
    whole = isinstance(x.layer, nn.AvgPool2d) and x.before is not None and x.layer.window.size == x.before.shape[1:]
    if whole and x.before is not None and x.shape[1:] == (1, 1):
        return x.before.then(nn.GlobalAvgPool2d())
    return x.then(nn.Flatten())


def flatten(node: Node, x: Step) -> Step:
    """The axes from one on in a row."""
    rank = len(x.shape) + 1
    need(node.whole("axis", 1) % rank == 1 % rank, node, "mixes samples")
    return flat(x)


def reshape(node: Node, x: Step, shape: Array, *, batch: int) -> Step:
    """Into rows, if anything: the only new shape that a layer gives. A file with a fixed batch may name its size."""
    said = whole_numbers(node, shape)
    need(bool(said) and said[0] in (-1, 0, BATCH, batch), node, "mixes samples")
    after = [x.shape[i] if n == 0 and i < len(x.shape) else n for i, n in enumerate(said[1:])]
    told = math.prod(n for n in after if n != -1)
    if after.count(-1) == 1 and told:
        after[after.index(-1)] = math.prod(x.shape) // told
    need(math.prod(after) == math.prod(x.shape) and min(after, default=1) > 0, node, "mixes samples")
    if tuple(after) == x.shape or (not after and x.shape == (1,)):  # answers (N, 1) and (N,) are the same here
        return x
    need(len(after) == 1, node, f"makes samples of shape {tuple(after)}")
    return flat(x)


def squeeze(node: Node, x: Step, *axes: Any) -> Step:
    """Without axes of length 1."""
    said = {axis % (len(x.shape) + 1) for axis in axes_of(node, axes)}
    ones = {i + 1 for i, n in enumerate(x.shape) if n == 1}
    need(said <= ones if said else bool(ones), node, "takes away an axis that is longer than 1")
    left = tuple(n for i, n in enumerate(x.shape, 1) if i not in (said or ones))
    need(len(left) == 1 or x.shape == (1,), node, f"makes samples of shape {left}")
    return flat(x)


# --- layers without weights, and norms --------------------------------------------------------------------------------


def bend(make: Callable[[Node], nn.Module]) -> Callable[..., Step]:
    """An activation."""
    return lambda node, x: x.then(make(node))


def gelu(node: Node, x: Step) -> Step:
    """The exact one."""
    need(node.word("approximate", "none") == "none", node, "is the approximation by tanh")
    return x.then(nn.GELU())


def over_classes(layer: type[nn.Module]) -> Callable[..., Step]:
    """Softmax and its logarithm, over the last axis."""
    def function(node: Node, x: Step) -> Step:
        axis = node.whole("axis", -1 if node.opset >= 13 else 1)
        need(axis in (-1, len(x.shape)), node, "is over another axis than the last")
        return x.then(layer())

    return function


def dropout(node: Node, x: Step, ratio: Any = None, training: Any = None) -> Step:
    """Nothing, outside training."""
    need(training is None or not np.any(training), node, "drops outside training")
    need(ratio is None or ratio.size == 1, node, "has several ratios")
    share = node.number("ratio", 0.5) if ratio is None else float(ratio.reshape(()))
    return x.then(nn.Dropout(float(str(np.float32(share)))))


def batch_norm(node: Node, x: Step, *arrays: Any) -> Step:
    """With the running statistics."""
    need(len(arrays) == 4 and not node.whole("training_mode", 0), node, "looks at the batch")
    need(len(x.shape) in (1, 3), node, f"normalizes samples of shape {x.shape}")
    floats(node, *arrays, dimensions=1)
    need(all(len(array) == x.shape[0] for array in arrays), node, "does not fit its channels")
    norm = nn.BatchNorm1d if len(x.shape) == 1 else nn.BatchNorm2d
    names = ("weight", "bias", "running_mean", "running_var")
    layer = norm(x.shape[0], eps=node.number("epsilon", 1e-5))
    return x.then(layer, **dict(zip(names, arrays, strict=True)))


def layer_norm(node: Node, x: Step, weight: Any, bias: Any = None) -> Step:
    """Over the last axes."""
    axis = node.whole("axis", -1)
    start = axis + len(x.shape) if axis < 0 else axis - 1
    need(0 <= start < len(x.shape), node, "normalizes over all samples")
    over = x.shape[start:]
    need(weight is not None, node, "lacks its weights")
    for array in (weight, bias):
        need(array is None or array.shape == over, node, "does not fit its samples")
    arrays = {"weight": weight, "bias": np.broadcast_to(np.float32(0), over) if bias is None else bias}
    layer = nn.LayerNorm(over, eps=node.number("epsilon", 1e-5))
    return x.then(layer, **arrays)


# --- what scikit-learn writes -----------------------------------------------------------------------------------------


def scaler(node: Node, x: Step) -> Step:
    """(x - offset) · scale: scikit-learn's StandardScaler."""
    offset, scale = (np.array(node.numbers(name)) for name in ("offset", "scale"))
    return scaled(scaled(x, 1, -offset if offset.size else 0, node), scale if scale.size else 1, 0, node)


def concat(node: Node, *values: Any) -> Step:
    """1 - p beside p, as scikit-learn answers where there are two classes. p = sigmoid(z) is the second part of a
    softmax over (0, z)."""
    need(len(values) == 2 and all(isinstance(value, Step) for value in values) and node.whole("axis", 0) in (-1, 1),
         node, "puts values side by side")
    rest, p = values
    two = rest.before is p and isinstance(rest.layer, Scaling) and isinstance(p.layer, nn.Sigmoid) and p.shape == (1,)
    need(two and rest.layer.scale == -1 and rest.layer.shift == 1 and p.before is not None, node,
         "puts values side by side")
    return linear(node, p.before, np.array([[0.0], [1.0]], np.float32)).then(nn.Softmax())


# --- what changes nothing ---------------------------------------------------------------------------------------------


def cast(node: Node, x: Step) -> Step:
    """To another precision, which is the network's own here."""
    need(node.whole("to", 0) in FLOATS, node, "makes whole numbers of it")
    return x


def same(node: Node, x: Step) -> Step:
    """The value as it is."""
    return x


OF_SEVERAL = ("Add", "Concat", "Div", "Gemm", "MatMul", "Mul", "Sub", "Where")
"""Operators that may take several values; all others take one, and then constants, or nothing, in places."""
OPERATORS: dict[str, Callable[..., Step]] = {
    "Add": plus,
    "AveragePool": pool(nn.AvgPool2d),
    "BatchNormalization": batch_norm,
    "Cast": cast,
    "Concat": concat,
    "Conv": conv,
    "Div": divided,
    "Dropout": dropout,
    "Elu": bend(lambda node: nn.ELU(node.number("alpha", 1.0))),
    "Erf": part,
    "Flatten": flatten,
    "Gelu": gelu,
    "Gemm": gemm,
    "GlobalAveragePool": whole_pool(nn.AvgPool2d),
    "GlobalMaxPool": whole_pool(nn.MaxPool2d),
    "Greater": part,
    "Identity": same,
    "LayerNormalization": layer_norm,
    "LeakyRelu": bend(lambda node: nn.LeakyReLU(node.number("alpha", 0.01))),
    "LogSoftmax": over_classes(nn.LogSoftmax),
    "MatMul": matmul,
    "MaxPool": pool(nn.MaxPool2d),
    "Mul": times,
    "ReduceMax": reduced(nn.MaxPool2d),
    "ReduceMean": reduced(nn.AvgPool2d),
    "Relu": bend(lambda node: nn.ReLU()),
    "Reshape": reshape,
    "Sigmoid": bend(lambda node: nn.Sigmoid()),
    "Softmax": over_classes(nn.Softmax),
    "Softplus": bend(lambda node: nn.Softplus()),
    "Squeeze": squeeze,
    "Sub": minus,
    "Tanh": bend(lambda node: nn.Tanh()),
    "Where": where,
    "ai.onnx.ml.Scaler": scaler,
    "ai.onnx.ml.ZipMap": same,
}
