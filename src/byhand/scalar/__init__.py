"""The engine on single numbers: a whole neural network with nothing hidden in an array.

Everything that a neural network does is school arithmetic. A `Scalar` is one number that remembers how it was computed,
and can tell afterwards how the result would have changed with it. A neuron multiplies what it hears by its weights and
adds up; a layer is a list of neurons; a network is a list of layers. To train it: compute, ask every weight which way
to move, move it a little. That is all there is, and here it is, on Python's standard library alone.

    >>> from byhand.scalar import Scalar
    >>> a, b = Scalar(2.0), Scalar(3.0)
    >>> c = a * b + a
    >>> c.backward()
    >>> a.grad, b.grad                          # if a grew by a little, c would grow by four times as much
    (4.0, 2.0)

Read `number` first, then `network`, then `training`.
"""

from byhand.scalar.network import (
    Layer, Net, Neuron, cross_entropy, linear, mean_squared_error, one_hot, predict, softmax
)
from byhand.scalar.number import (
    Scalar, add, divide, exp, log, multiply, negative, power, relu, sigmoid, subtract, tanh, weighted_sum
)
from byhand.scalar.training import accuracy, digits_net, pixels, step, train

__all__ = [
    "Layer", "Net", "Neuron", "Scalar", "accuracy", "add", "cross_entropy", "digits_net", "divide", "exp", "linear",
    "log", "mean_squared_error", "multiply", "negative", "one_hot", "pixels", "power", "predict", "relu", "sigmoid",
    "softmax", "step", "subtract", "tanh", "train", "weighted_sum",
]
