"""Learning, one image at a time.

Show the network an image, measure how wrong it is, ask every weight for its slope, and move each a little downhill.
Then the next image. This is gradient descent in its oldest and noisiest form (Robbins and Monro 1951): each image pulls
the weights its own way, and only over many images do the pulls add up to something that reads digits.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from byhand.scalar.network import Net, mean_squared_error, one_hot, predict, softmax
from byhand.scalar.number import Scalar

Sample = tuple[Sequence[float], int]
"""The inputs of one image, and its class."""

LOWEST_RATE, HIGHEST_RATE = 0.50, 1.10
LEARN_FROM_ALL = 2000
LOOK_EVERY = 100


@dataclass
class Best:
    """The weights that have read most of the validation images right so far."""

    accuracy: float = -1.0
    weights: Sequence[float] = ()


def step(parameters: Iterable[Scalar], rate: float) -> None:
    """Gradient descent: move each parameter against its slope by `rate` times that slope, and forget the slope.

    A parameter without a slope stays. Raises ValueError unless the rate is a positive number.
    """
    if not 0 < rate < math.inf:
        raise ValueError(f"the rate of gradient descent must be a positive number, got {rate}.")
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.data -= rate * parameter.grad
            parameter.grad = None
            parameter.version += 1


def digits_net(rng: Random, pixels: int = 784, classes: int = 10) -> Net:
    """The published network for digits, 784-10-10 with relu after both layers, ready to learn; for other pictures, with
    as many inputs as pixels, and a hidden neuron and an output for each class.

    A relu that is below zero for every image learns nothing more, and at the output that is a digit lost. So the first
    weights leave all of them open: every bias is 1, and each output listens to one hidden neuron of its own, with
    weight 1 (the identity matrix: Le, Jaitly and Hinton 2015). The hidden weights are drawn by `rng`, uniform between
    ±1/28. Chosen on training images held out for it: there it reached 82 %, and weights drawn for both layers 70 to 75.
    """
    net = Net([pixels, classes, classes], rng)
    for layer in net.layers:
        for neuron in layer.neurons:
            neuron.bias = Scalar(1.0)
    for k, neuron in enumerate(net.layers[1].neurons):
        neuron.weights = [Scalar(weight) for weight in one_hot(k, classes)]
    return net


def train(net: Net, samples: Sequence[Sample], validation: Sequence[Sample], rng: Random,
          on_image: Callable[[int, float, bool], None] | None = None, *, seen: int = 0,
          best: Best | None = None) -> float:
    """Learn from each sample in turn, as the published scalar network does; return the best accuracy on `validation`.

    The loss is the mean-squared error of softmax against the one-hot target. The rate is drawn anew for each image,
    uniform from 0.50 to 1.10. After the first 2,000 images, those already read right are skipped.

    Such large steps make the network jump about to the end, so that two looks at it, 100 images apart, can differ by
    eight points of accuracy. Every 100 images it is therefore shown `validation`, images that it does not learn from,
    and at the end it keeps the weights that read most of them right.

    on_image(count, loss, right) is called after each image: how many it has seen, the loss before the step, and whether
    it read the image right. A training that was interrupted there goes on from the weights, the generator and the
    `best` that it had, if it is told how many of the samples were `seen`. Raises ValueError without samples or
    validation, and for those that do not fit the network.
    """
    if not samples or not validation:
        raise ValueError(f"training needs samples to learn from and others to validate with, got {len(samples)} and "
                         f"{len(validation)}.")
    parameters = net.parameters()
    best = best or Best()
    for count, (inputs, label) in enumerate(samples[seen:], start=seen + 1):
        outputs = net(inputs)
        loss = mean_squared_error(softmax(outputs), one_hot(label, len(outputs)))
        right = outputs.index(max(outputs)) == label
        if count <= LEARN_FROM_ALL or not right:
            loss.backward()
            step(parameters, rng.uniform(LOWEST_RATE, HIGHEST_RATE))
        if count % LOOK_EVERY == 0 or count == len(samples):
            found = accuracy(net, validation)
            if found > best.accuracy:
                best.accuracy, best.weights = found, [p.data for p in parameters]
        if on_image:
            on_image(count, float(loss), right)
    for parameter, value in zip(parameters, best.weights, strict=True):
        parameter.data = value
        parameter.version += 1
    return best.accuracy


def accuracy(net: Net, samples: Sequence[Sample]) -> float:
    """The share of samples that the network reads right, from 0 to 1. Raises ValueError if there are none."""
    if not samples:
        raise ValueError("the accuracy over no samples does not exist.")
    answers = predict(net, [inputs for inputs, _ in samples])
    return sum(answer == label for answer, (_, label) in zip(answers, samples, strict=True)) / len(samples)


def pixels(image: Sequence[int], count: int) -> list[float]:
    """The first `count` pixels of an image, flattened, as inputs: each pixel from 0 to 255 divided by 255.

    For a network of 784 inputs, count is 784, the whole image. The published weights read the first 728 pixels of each
    image only; for them it is 728, and that it leaves the rest out stands where it is called. Raises ValueError for an
    image of fewer pixels.
    """
    if not 0 < count <= len(image):
        raise ValueError(f"cannot take the first {count} pixels of an image of {len(image)}.")
    return [pixel / 255 for pixel in image[:count]]
