"""Neurons, layers and a network, made of nothing but Scalars.

A neuron holds one weight for each of its inputs and a bias. It answers with an activation of the weighted sum. All
neurons of a layer hear the same inputs; the answers of one layer are the inputs of the next. What comes out of the last
one is compared with what should have come out, by a loss: one number, and training makes it small.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from operator import mul
from random import Random
from typing import Any

from byhand.scalar.number import Scalar, exp, log, relu, weighted_sum

Activation = Callable[[Any], Any]
"""A function of one number, Scalar or plain, such as `relu`, `sigmoid`, `tanh` or `linear`."""


def linear(x: Any) -> Any:
    """x as it is: the activation that does nothing, for the last layer of a network that hits numbers."""
    return x


class Neuron:
    """activation(bias + Σ weight · input), the activation being its layer's.

    inputs: how many. rng: draws the weights, uniform between ±1/√inputs (the more inputs, the smaller, so that the
    sum keeps its size: LeCun et al. 1998, section 4.6). weights: a list of Scalars. bias: a Scalar, 0 at first.
    """

    def __init__(self, inputs: int, rng: Random) -> None:
        bound = 1 / math.sqrt(inputs)
        self.weights = [Scalar(rng.uniform(-bound, bound)) for _ in range(inputs)]
        self.bias = Scalar(0.0)

    def __call__(self, inputs: Sequence[Any]) -> Any:
        return weighted_sum(self.bias, *checked(inputs, len(self.weights)), *self.weights)


class Layer:
    """Neurons that hear the same inputs, and the activation of each."""

    def __init__(self, inputs: int, outputs: int, rng: Random, activation: Activation = relu) -> None:
        self.neurons = [Neuron(inputs, rng) for _ in range(outputs)]
        self.activation = activation

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        return [self.activation(neuron(inputs)) for neuron in self.neurons]


class Net:
    """Layers in a row: Net([784, 10, 10], rng) takes 784 numbers and gives 10, by way of 10 hidden neurons.

    sizes: the number of inputs, then of neurons in each layer. rng: draws the first weights. activations: one for each
    layer; relu for all, the last included, if not given.

    Calling it with a list of numbers (plain or Scalars) gives a list of Scalars. Raises ValueError for sizes that make
    no network, and when called with another number of inputs than it has.
    """

    def __init__(self, sizes: Sequence[int], rng: Random, activations: Sequence[Activation] | None = None) -> None:
        if len(sizes) < 2 or not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ValueError("a Net needs the number of its inputs and of the neurons in each layer, whole numbers of "
                             f"1 or more, such as [784, 10, 10]; got {sizes!r}.")
        if activations is None:
            activations = [relu] * (len(sizes) - 1)
        if len(activations) != len(sizes) - 1:
            raise ValueError(f"a Net needs one activation for each layer: {len(sizes) - 1}, got {len(activations)}.")
        self.layers = [Layer(inputs, outputs, rng, activation)
                       for inputs, outputs, activation in zip(sizes, sizes[1:], activations, strict=False)]

    @property
    def sizes(self) -> list[int]:
        """The number of inputs, then of neurons in each layer."""
        return [len(self.layers[0].neurons[0].weights), *[len(layer.neurons) for layer in self.layers]]

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        for layer in self.layers:
            inputs = layer(inputs)
        return list(inputs)

    def parameters(self) -> list[Scalar]:
        """Every weight and every bias, neuron by neuron."""
        return [p for layer in self.layers for neuron in layer.neurons for p in (*neuron.weights, neuron.bias)]


def predict(net: Net, images: Iterable[Sequence[float]]) -> list[int]:
    """The class of each image: the place of the largest output (of the first, if several are).

    images: for each, as many numbers as the network has inputs. The same sums as `net(image)` makes, but on plain
    floats, since nobody is going to ask for their slopes: some twenty times as fast. Raises ValueError for an image of
    another length.
    """
    layers = [([([w.data for w in neuron.weights], neuron.bias.data) for neuron in layer.neurons], layer.activation)
              for layer in net.layers]
    classes = []
    for image in images:
        values = list(checked(image, net.sizes[0]))
        for neurons, activation in layers:
            values = [activation(sum(map(mul, values, weights), bias)) for weights, bias in neurons]
        classes.append(values.index(max(values)))
    return classes


def checked(inputs: Sequence[Any], expected: int) -> Sequence[Any]:
    """`inputs`, if there are as many as expected; pairing them with weights would quietly drop what is left over."""
    if len(inputs) != expected:
        raise ValueError(f"the network was given {len(inputs)} inputs where it has weights for {expected}.")
    return inputs


# --- losses -----------------------------------------------------------------------------------------------------------


def softmax(outputs: Sequence[Any]) -> list[Any]:
    """eᵒ / Σ eᵒ: outputs of any size as positive numbers that sum to 1 (Bridle 1990).

    The largest output is subtracted first. That changes nothing in the quotient, and eᵒ cannot overflow.
    """
    largest = float(max(outputs))
    exponentials = [exp(output - largest) for output in outputs]
    total = sum(exponentials)
    return [e / total for e in exponentials]


def mean_squared_error(outputs: Sequence[Any], targets: Sequence[float]) -> Any:
    """Σ (output - target)² / n, over n outputs. Raises ValueError if there are not as many targets, or no outputs."""
    if not 0 < len(outputs) == len(targets):
        raise ValueError(f"mean_squared_error needs one target for each output, got {len(outputs)} outputs and "
                         f"{len(targets)} targets.")
    return sum((output - target) ** 2 for output, target in zip(outputs, targets, strict=True)) / len(outputs)


def cross_entropy(outputs: Sequence[Any], label: int) -> Any:
    """-ln softmax(outputs)[label], the surprise at the right class, in nats (Bridle 1990).

    outputs: not yet through softmax; of any size. Raises ValueError for a label that is not one of the outputs.
    """
    target = outputs[known(label, len(outputs))]
    largest = float(max(outputs))
    return log(sum(exp(output - largest) for output in outputs)) - (target - largest)


def one_hot(label: int, classes: int) -> list[float]:
    """`classes` numbers: 1 in the place of the label, 0 elsewhere. Raises ValueError for a label out of range."""
    known(label, classes)
    return [float(k == label) for k in range(classes)]


def known(label: int, classes: int) -> int:
    """`label`, if it is a class; Python would take a negative one for a place counted from the end."""
    if not 0 <= label < classes:
        raise ValueError(f"label {label} is not one of {classes} classes, which are counted from 0.")
    return label
