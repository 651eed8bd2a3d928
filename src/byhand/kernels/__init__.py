"""Plain arrays in, plain arrays out: the only room that knows how fast things are done.

`reference` is the readable truth, in NumPy. A faster body of a kernel has the same name and signature and gives the
same numbers, so whoever calls it here need not know which one runs.
"""

from byhand.kernels.reference import (
    Window, avg_pool2d, avg_pool2d_gradient, batch_norm, batch_norm_gradients, channel_sum, conv2d,
    conv2d_input_gradient, conv2d_weight_gradient, dropout_mask, erf, layer_norm, layer_norm_gradient, max_pool2d,
    max_pool2d_gradient, softmax_cross_entropy
)
from byhand.kernels.threads import blas, follow_environment, get_num_threads, set_num_threads

__all__ = [
    "Window", "avg_pool2d", "avg_pool2d_gradient", "batch_norm", "batch_norm_gradients", "blas", "channel_sum",
    "conv2d", "conv2d_input_gradient", "conv2d_weight_gradient", "dropout_mask", "erf", "get_num_threads", "layer_norm",
    "layer_norm_gradient", "max_pool2d", "max_pool2d_gradient", "set_num_threads", "softmax_cross_entropy",
]

follow_environment()
