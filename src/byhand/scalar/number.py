"""A number that remembers where it came from, and the arithmetic on it.

Each function below is one fact of school calculus. The first thing it returns is the value. What follows is, for each
argument in turn, how a slope `g` that arrives at the value goes on to that argument: for a product, "times the other
factor". The engine does the rest. Given plain numbers only, each is the plain function.
"""

from __future__ import annotations

import math
import sys
from numbers import Real
from operator import mul
from typing import Any

from byhand.autodiff import Node, op

# --- arithmetic -------------------------------------------------------------------------------------------------------


@op
def add(a: float, b: float) -> Any:
    """a + b."""
    return a + b, lambda g: g, lambda g: g


@op
def subtract(a: float, b: float) -> Any:
    """a - b."""
    return a - b, lambda g: g, lambda g: -g


@op
def multiply(a: float, b: float) -> Any:
    """a · b."""
    return a * b, lambda g: g * b, lambda g: g * a


@op
def divide(a: float, b: float) -> Any:
    """a / b. Raises ZeroDivisionError if b is 0."""
    value = a / b
    return value, lambda g: g / b, lambda g: -g * value / b


@op
def negative(a: float) -> Any:
    """-a."""
    return -a, lambda g: -g


@op
def power(a: float, b: float) -> Any:
    """aᵇ. The slope of the exponent, aᵇ ln a, is taken as 0 where a is 0; it is not a number where a is negative.

    Raises ValueError for a fractional power of a negative number, ZeroDivisionError for a negative power of 0, and
    OverflowError for what is more than a float can hold.
    """
    if a < 0 and not float(b).is_integer():
        raise ValueError(f"({a:g}) ** {b:g} is not a real number: a negative number has whole powers only.")
    value = a**b

    def gradient_of_base(g: float) -> float:  # where b is 0 the slope is 0, and 0 ** -1 must not be asked for
        return g * b * a ** (b - 1) if b != 0 else 0.0

    def gradient_of_exponent(g: float) -> float:
        return g * value * math.log(a) if a > 0 else 0.0 if a == 0 else math.nan

    return value, gradient_of_base, gradient_of_exponent


@op
def exp(x: float) -> Any:
    """eˣ, its own slope. Raises ValueError above 709.78, where it is more than a float can hold."""
    if x > math.log(sys.float_info.max):
        raise ValueError(f"e to the power of {x:g} is more than a float can hold; the power may be 709.78 at most.")
    value = math.exp(x)
    return value, lambda g: g * value


@op
def log(x: float) -> Any:
    """The natural logarithm. Raises ValueError unless x is positive."""
    if x <= 0:
        raise ValueError(f"{x:g} has no logarithm; log needs a positive number.")
    return math.log(x), lambda g: g / x


# --- what neurons do --------------------------------------------------------------------------------------------------


@op
def tanh(x: float) -> Any:
    """The hyperbolic tangent, between -1 and 1."""
    value = math.tanh(x)
    return value, lambda g: g * (1 - value * value)


@op
def sigmoid(x: float) -> Any:
    """1 / (1 + e⁻ˣ), between 0 and 1, by e to the power of -|x|, which cannot overflow."""
    e = math.exp(-abs(x))
    value = (1.0 if x >= 0 else e) / (1.0 + e)
    return value, lambda g: g * value * (1 - value)


@op
def relu(x: float) -> Any:
    """max(x, 0) (Nair and Hinton 2010). The slope at 0 is taken as 0."""
    return max(x, 0.0), lambda g: g if x > 0 else 0.0


@op
def weighted_sum(bias: float, *factors: float) -> Any:
    """bias + x₁w₁ + x₂w₂ + …, called as weighted_sum(bias, x₁, x₂, …, w₁, w₂, …). A factor's slope is its partner.

    It is a chain of products and sums made one operation, because to remember an operation costs far more than to do
    it: with two for each product, a neuron would take five times as long. Raises ValueError for a factor left over.
    """
    n, left_over = divmod(len(factors), 2)
    if left_over:
        raise ValueError(f"weighted_sum needs as many weights as inputs, got {len(factors)} factors, an odd number.")
    x, w = factors[:n], factors[n:]
    return sum(map(mul, x, w), bias), lambda g: g, *[lambda g, partner=partner: g * partner for partner in (*w, *x)]


# --- the number -------------------------------------------------------------------------------------------------------


class Scalar(Node):
    """One number that can be differentiated through.

    data: any real number; kept as a float. requires_grad: collect in `grad` the slope of whatever `backward()` is
    called on; a Scalar made by hand does, unless told not to.

    Raises TypeError for anything but one real number.
    """

    __slots__ = ()
    __array_ufunc__ = None  # makes `numpy_number * scalar` come to us

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        if not isinstance(data, Real):
            raise TypeError(f"a Scalar holds one real number, got {type(data).__name__}.")
        super().__init__(float(data), requires_grad)

    def __float__(self) -> float:
        return float(self.data)

    def __repr__(self) -> str:
        return f"Scalar({self.data:g}{f', from {self.op}' if self.op else ''})"

    __add__ = __radd__ = add
    __sub__ = subtract
    __mul__ = __rmul__ = multiply
    __truediv__ = divide
    __pow__ = power
    __neg__ = negative

    def __rsub__(self, other: Any) -> Any:
        return subtract(other, self)

    def __rtruediv__(self, other: Any) -> Any:
        return divide(other, self)

    def __rpow__(self, other: Any) -> Any:
        return power(other, self)

    # Ordered by value; equal only to itself, so that two weights of the same size stay two weights.

    def __lt__(self, other: Any) -> bool:
        return float(self) < float(other)

    def __le__(self, other: Any) -> bool:
        return float(self) <= float(other)

    def __gt__(self, other: Any) -> bool:
        return float(self) > float(other)

    def __ge__(self, other: Any) -> bool:
        return float(self) >= float(other)


class Result(Scalar):
    """The Scalar that an operation returns: it requires a gradient only if something that it was computed from does."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        super().__init__(data, requires_grad)


Scalar.kind = Result
