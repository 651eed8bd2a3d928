"""Plain numbers for the tests of the engine, which does not know what a value is, and two operations on them."""

import numpy as np

from byhand import Tensor
from byhand.autodiff import Node, op


class Number(Node):
    """The engine does not know what a value is: here, a Python float."""

    __slots__ = ()


Number.kind = Number


@op
def plus(a, b):
    return a + b, lambda g: g, lambda g: g


@op
def times(a, b):
    return a * b, lambda g: g * b, lambda g: g * a


def leaf(value):
    return Tensor(value, requires_grad=True, dtype=np.float64)
