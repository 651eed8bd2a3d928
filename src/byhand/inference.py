"""Using a network: run it over many samples, and count what it gets right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand.autodiff import no_grad
from byhand.data import Dataset, Loader, Normalize
from byhand.metrics import wilson_interval
from byhand.nn import Module, evaluating
from byhand.tensor import Tensor

Array = np.ndarray[Any, Any]
Loss = Callable[..., Tensor]


@dataclass(frozen=True)
class Evaluation:
    """What a network reached on a set of samples."""

    samples: int
    accuracy: float | None
    """None if the targets are not classes."""
    interval: tuple[float, float] | None
    """95 %, Wilson."""
    loss: float
    """NaN if no loss was asked for."""
    outputs: Array
    """(N, ...), the logits."""


def predict(model: Module, inputs: Array, *, normalize: Normalize | None = None, batch_size: int = 250) -> Array:
    """The outputs of `model` for `inputs` (N, ...), a batch at a time, without recording anything.

    Raises ValueError if there are no inputs, or they do not fit the network.
    """
    if len(inputs) == 0:
        raise ValueError("there are no samples to run the network on.")
    samples = Dataset(inputs, np.zeros(len(inputs), np.int64))
    loader = Loader(samples, batch_size, normalize=normalize, dtype=precision(model))
    with no_grad(), evaluating():
        return np.concatenate([model(batch).data for batch, _, _ in loader])


def evaluate(model: Module, dataset: Dataset, *, normalize: Normalize | None = None, loss: Loss | None = None,
             batch_size: int = 250) -> Evaluation:
    """Run `model` over a data set, as it is used (not as in training), and measure it.

    loss(outputs, targets) counts samples by their weights, where the data set has some; the accuracy does not.
    Raises ValueError if there are no samples, or they do not fit the network.
    """
    outputs = predict(model, dataset.inputs, normalize=normalize, batch_size=batch_size)
    right = count_correct(outputs, dataset.targets)
    known = not np.isnan(right)
    value = float("nan")
    if loss is not None:
        with no_grad():
            value = weighted(loss, Tensor(outputs), dataset.targets, dataset.weights).item()
    return Evaluation(len(dataset), right / len(dataset) if known else None,
                      wilson_interval(int(right), len(dataset)) if known else None, value, outputs)


def weighted(loss: Loss, outputs: Tensor, targets: Array, weights: Array | None) -> Tensor:
    """The loss, told the weights of the samples if they have some."""
    return loss(outputs, targets) if weights is None else loss(outputs, targets, sample_weights=weights)


def precision(model: Module) -> Any:
    """The dtype that a network computes in."""
    return next((p.dtype for p in model.parameters()), np.dtype(np.float32))


def count_correct(outputs: Array, targets: Array) -> float:
    """How many samples are answered rightly: by the largest of several outputs, or, between 0 and 1, by the sign of a
    single one. NaN if the targets are not classes."""
    single = outputs.size == len(outputs)
    if targets.ndim != 1 or targets.dtype.kind not in "iub" or (single and targets.max() > 1) or outputs.ndim > 2:
        return float("nan")
    answers = outputs.reshape(-1) > 0 if single else outputs.argmax(axis=1)
    return float(np.count_nonzero(answers == targets))
