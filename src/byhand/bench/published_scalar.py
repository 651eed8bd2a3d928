"""A scalar network as the best known small engines write it: a class of numbers that remember where they came from.

Every product and every sum is an object with a function that passes its slope on; the network calls them in the reverse
of the order in which they were made. The published program behind the recipe `scalar` walks through a shared number
once for every path that leads to it, and takes minutes an image; this one, in the manner of micrograd, visits each
once, and is what `byhand.scalar` is measured against. (One thing is other than in micrograd: the search for the order
uses a stack of its own, because Python's gives up after a thousand numbers.)
"""

import math
import random
from collections.abc import Callable
from typing import Any

from byhand.bench.published import Program
from byhand.bench.work import Array


class Value:
    """One number, and how it came to be."""

    def __init__(self, data: float, children: tuple["Value", ...] = ()) -> None:
        self.data = data
        self.grad = 0.0
        self._backward: Callable[[], None] = lambda: None
        self._previous = set(children)

    def __add__(self, other: Any) -> "Value":
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other))

        def _backward() -> None:
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other: Any) -> "Value":
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other))

        def _backward() -> None:
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = _backward
        return out

    def __pow__(self, power: float) -> "Value":
        out = Value(self.data**power, (self,))

        def _backward() -> None:
            self.grad += power * self.data ** (power - 1) * out.grad

        out._backward = _backward
        return out

    def relu(self) -> "Value":
        """max(x, 0)."""
        out = Value(max(self.data, 0.0), (self,))

        def _backward() -> None:
            self.grad += (out.data > 0) * out.grad

        out._backward = _backward
        return out

    def exp(self) -> "Value":
        """e to the power of x."""
        out = Value(math.exp(self.data), (self,))

        def _backward() -> None:
            self.grad += out.data * out.grad

        out._backward = _backward
        return out

    def backward(self) -> None:
        """Give every number that led here its slope."""
        order, visited = [], set()
        stack: list[tuple[Value, bool]] = [(self, False)]
        while stack:
            value, done = stack.pop()
            if done:
                order.append(value)
            elif value not in visited:
                visited.add(value)
                stack.append((value, True))
                stack.extend((child, False) for child in value._previous)
        self.grad = 1.0
        for value in reversed(order):
            value._backward()


class Neuron:
    """relu(weights · inputs + bias)."""

    def __init__(self, inputs: int, rng: random.Random) -> None:
        bound = 1 / math.sqrt(inputs)
        self.weights = [Value(rng.uniform(-bound, bound)) for _ in range(inputs)]
        self.bias = Value(1.0)

    def __call__(self, inputs: Any) -> Value:
        return sum((w * x for w, x in zip(self.weights, inputs, strict=True)), self.bias).relu()


def scalar(images: Array, labels: Array) -> Program:
    """784-10-10 (or as many inputs as pixels), one image at a time, mean-squared error of softmax."""
    samples = list(zip((images.reshape(len(images), -1) / 255).tolist(), labels.tolist(), strict=True))

    def run(epochs: int) -> float:
        rng = random.Random(0)
        layers = [[Neuron(len(samples[0][0]), rng) for _ in range(10)], [Neuron(10, rng) for _ in range(10)]]
        parameters = [p for layer in layers for neuron in layer for p in (*neuron.weights, neuron.bias)]
        for _ in range(epochs):
            right = 0
            for image, label in samples:
                values: list[Any] = image
                for layer in layers:
                    values = [neuron(values) for neuron in layer]
                exponentials = [value.exp() for value in values]
                total = sum(exponentials, Value(0.0)) ** -1
                loss = Value(0.0)
                for k, e in enumerate(exponentials):
                    loss += (e * total + -float(k == label)) ** 2 * 0.1
                for parameter in parameters:
                    parameter.grad = 0.0
                loss.backward()
                for parameter in parameters:
                    parameter.data -= 0.8 * parameter.grad
                right += max(range(10), key=lambda k: values[k].data) == label
        return right / len(samples)

    return run
