"""Every operation that can be differentiated, one function each: its value, then its gradients, on the same screen.

They take Tensors, arrays and numbers alike. With a Tensor among the arguments they return a Tensor that remembers how
it came about; with arrays alone they are plain functions of arrays.
"""

from byhand.ops.activation import (
    elu, gelu, leaky_relu, log_softmax, relu, sigmoid, silu, softmax, softplus, tanh
)
from byhand.ops.arithmetic import (
    abs, add, clip, divide, equal, exp, greater, greater_equal, less, less_equal, log, maximum, minimum, multiply,
    negative, not_equal, power, sqrt, subtract, where
)
from byhand.ops.convolution import avg_pool2d, conv2d, global_avg_pool2d, max_pool2d
from byhand.ops.linear import linear, matmul
from byhand.ops.normalization import batch_norm, dropout, layer_norm
from byhand.ops.reduction import argmax, logsumexp, max, mean, min, sum, var
from byhand.ops.shape import (
    broadcast_to, concatenate, expand_dims, index, pad, reshape, squeeze, stack, swapaxes, transpose
)

__all__ = [
    "abs", "add", "argmax", "avg_pool2d", "batch_norm", "broadcast_to", "clip", "concatenate", "conv2d", "divide",
    "dropout", "elu", "equal", "exp", "expand_dims", "gelu", "global_avg_pool2d", "greater", "greater_equal", "index",
    "layer_norm", "leaky_relu", "less", "less_equal", "linear", "log", "log_softmax", "logsumexp", "matmul", "max",
    "max_pool2d", "maximum", "mean", "min", "minimum", "multiply", "negative", "not_equal", "pad", "power", "relu",
    "reshape", "sigmoid", "silu", "softmax", "softplus", "sqrt", "squeeze", "stack", "subtract", "sum", "swapaxes",
    "tanh", "transpose", "var", "where",
]
