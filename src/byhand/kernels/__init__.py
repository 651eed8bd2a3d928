"""Plain arrays in, plain arrays out: the only room that knows how fast things are done.

`reference` is the readable truth, in NumPy. `jit` has a compiled body of the same kernels, with the same names and
signatures and the same results, so whoever calls one here need not know which runs.
"""

from byhand.kernels import reference
from byhand.kernels.choice import CHOICES, compiled, either, in_use, using
from byhand.kernels.reference import Window
from byhand.kernels.threads import blas, follow_environment, get_num_threads, set_num_threads

avg_pool2d = either(reference.avg_pool2d)
avg_pool2d_gradient = either(reference.avg_pool2d_gradient)
batch_norm = either(reference.batch_norm)
batch_norm_gradients = either(reference.batch_norm_gradients)
channel_sum = either(reference.channel_sum)
conv2d = either(reference.conv2d)
conv2d_input_gradient = either(reference.conv2d_input_gradient)
conv2d_weight_gradient = either(reference.conv2d_weight_gradient)
dropout_mask = either(reference.dropout_mask)
erf = either(reference.erf)
gathered = either(reference.gathered)
layer_norm = either(reference.layer_norm)
layer_norm_gradient = either(reference.layer_norm_gradient)
max_pool2d = either(reference.max_pool2d)
max_pool2d_gradient = either(reference.max_pool2d_gradient)
softmax_cross_entropy = either(reference.softmax_cross_entropy)

__all__ = [
    "CHOICES", "Window", "avg_pool2d", "avg_pool2d_gradient", "batch_norm", "batch_norm_gradients", "blas",
    "channel_sum", "compiled", "conv2d", "conv2d_input_gradient", "conv2d_weight_gradient", "dropout_mask", "erf",
    "gathered", "get_num_threads", "in_use", "layer_norm", "layer_norm_gradient", "max_pool2d", "max_pool2d_gradient",
    "set_num_threads", "softmax_cross_entropy", "using",
]

follow_environment()
