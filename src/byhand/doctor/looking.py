"""Taking a look at a network while it learns, and leaving no trace.

A look runs the network over a few of the samples that it has just learned from, as it is used and not as in training:
nothing is recorded, nothing is drawn from a generator, no running average moves. A training with a doctor ends in the
same bits as one without.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from byhand import nn
from byhand.autodiff import no_grad
from byhand.tensor import Tensor

Array = np.ndarray[Any, Any]
SAMPLES = 64
"""To run the network over at a look; a relu's unit is called dead by three looks."""
FLAT = 0.04
"""A sigmoid is saturated where its slope is below this share of its largest: at outputs below 0.01 or above 0.99."""


def some_of(batches: Sequence[Array]) -> Array:
    """At most SAMPLES of the inputs of these batches, from all over them."""
    inputs = batches[0] if len(batches) == 1 else np.concatenate(batches)
    return inputs[::max(1, len(inputs) // SAMPLES)][:SAMPLES]


def length(array: Array) -> float:
    """‖array‖, also where the squares of its numbers are too large for its precision."""
    with np.errstate(over="ignore"):
        found = float(np.linalg.norm(array))
    return found if math.isfinite(found) else float(np.linalg.norm(array.astype(np.float64)))


def ratio(array: Array, weights: Array) -> float | None:
    """‖array‖ / ‖weights‖; None if that is not a number."""
    size = length(weights)
    found = length(array) / size if size else math.nan
    return found if math.isfinite(found) else None


def scale(inputs: Array) -> float | None:
    """The root mean square; None if that is not a number."""
    found = length(inputs) / math.sqrt(inputs.size)
    return found if math.isfinite(found) else None


def weights(model: nn.Module) -> Iterator[tuple[str, Tensor, Array]]:
    """Each weight that has a gradient, by its layer, with it. (What has one axis, such as a bias, is no weight.)"""
    modules = dict(model.named_modules())
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and parameter.grad is not None:
            path = name.rpartition(".")[0]
            yield called(path, modules[path]), parameter, parameter.grad


def called(path: str, layer: nn.Module) -> str:
    """A layer as a person finds it: layer '1' (Linear)."""
    kind = type(layer).__name__
    return f"layer '{path}' ({kind})" if path else f"the layer ({kind})"


def activations(model: nn.Module, inputs: Array) -> tuple[int, dict[str, Array], dict[str, float]]:
    """The network run over some inputs: how many numbers its answer has, which units of each relu are 0 throughout
    (units,), and which share of each hidden sigmoid or tanh is saturated."""
    with no_grad(), nn.evaluating(), nn.watch() as calls:
        answer = model(inputs).data
    paths = {id(module): path for path, module in reversed(list(model.named_modules()))}
    silent, saturated = {}, {}
    for layer, _, output in calls:
        y, name = output.data, called(paths.get(id(layer), ""), layer)
        if isinstance(layer, nn.ReLU):
            silent[name] = ~y.any(axis=(0, *range(2, y.ndim)))
        elif isinstance(layer, nn.Sigmoid | nn.Tanh) and y is not answer:  # an answer is meant to come to an end
            slope = 4 * y * (1 - y) if isinstance(layer, nn.Sigmoid) else 1 - y * y
            saturated[name] = float(np.mean(slope < FLAT))
    return answer.size // len(answer), silent, saturated


def labels(targets: Array) -> Array:
    """Class numbers, also of one-hot rows."""
    return targets.argmax(axis=1) if targets.ndim == 2 else targets


def count(batches: Sequence[tuple[Array, Array | None]], classes: int) -> list[float]:
    """How many samples there are of each class, by their weights, if they have some. Nothing, where these are not so
    many classes."""
    found = np.concatenate([batch for batch, _ in batches])
    if found.min() < 0 or found.max() >= classes:
        return []
    each = np.concatenate([np.ones(len(batch)) if weights is None else weights for batch, weights in batches])
    return np.bincount(found, each, minlength=classes).tolist()
