"""The kernels of `reference`, compiled: the same names, signatures and results, from Python source through Numba.

What has no twin here is done by the NumPy one; see `choice`. `tile` is the chapter to begin with.
"""

from byhand.kernels.jit.activation import bent
from byhand.kernels.jit.convolution import conv2d, conv2d_input_gradient, conv2d_weight_gradient
from byhand.kernels.jit.dropout import dropout_mask
from byhand.kernels.jit.gather import gathered
from byhand.kernels.jit.layer_normalization import layer_norm, layer_norm_gradient
from byhand.kernels.jit.loss import softmax_cross_entropy
from byhand.kernels.jit.normalization import batch_norm, batch_norm_gradients, channel_sum
from byhand.kernels.jit.pooling import avg_pool2d, avg_pool2d_gradient, max_pool2d, max_pool2d_gradient
from byhand.kernels.jit.update import step

__all__ = [
    "avg_pool2d", "avg_pool2d_gradient", "batch_norm", "batch_norm_gradients", "bent", "channel_sum", "conv2d",
    "conv2d_input_gradient", "conv2d_weight_gradient", "dropout_mask", "gathered", "layer_norm", "layer_norm_gradient",
    "max_pool2d", "max_pool2d_gradient", "softmax_cross_entropy", "step",
]
