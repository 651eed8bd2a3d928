"""The readable truth: every kernel in plain NumPy."""

from byhand.kernels.reference.convolution import (
    Window, channel_sum, conv2d, conv2d_input_gradient, conv2d_weight_gradient
)
from byhand.kernels.reference.dropout import dropout_mask
from byhand.kernels.reference.erf import erf
from byhand.kernels.reference.gather import gathered
from byhand.kernels.reference.normalization import (
    batch_norm, batch_norm_gradients, layer_norm, layer_norm_gradient, softmax_cross_entropy
)
from byhand.kernels.reference.pooling import avg_pool2d, avg_pool2d_gradient, max_pool2d, max_pool2d_gradient

__all__ = [
    "Window", "avg_pool2d", "avg_pool2d_gradient", "batch_norm", "batch_norm_gradients", "channel_sum", "conv2d",
    "conv2d_input_gradient", "conv2d_weight_gradient", "dropout_mask", "erf", "gathered", "layer_norm",
    "layer_norm_gradient", "max_pool2d", "max_pool2d_gradient", "softmax_cross_entropy",
]
