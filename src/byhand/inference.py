"""Using a network: run it over many samples, and count what it gets right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand.autodiff import no_grad
from byhand.data import Dataset, Loader, Normalize
from byhand.evaluate import wilson_interval
from byhand.nn import Module
from byhand.tensor import Tensor

Array = np.ndarray[Any, Any]


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
    """The outputs of `model` for `inputs` (N, ...), a batch at a time, without recording anything."""
    loader = Loader(Dataset(inputs, np.zeros(len(inputs), np.int64)), batch_size, normalize=normalize, dtype=precision(model))
    with no_grad():
        return np.concatenate([model(batch).data for batch, _, _ in loader])


def evaluate(model: Module, dataset: Dataset, *, normalize: Normalize | None = None,
             loss: Callable[..., Tensor] | None = None, batch_size: int = 250) -> Evaluation:
    """Run `model` over a data set, as it is used (not as in training), and measure it."""
    outputs = predict(model, dataset.inputs, normalize=normalize, batch_size=batch_size)
    right = count_correct(outputs, dataset.targets)
    known = not np.isnan(right)
    with no_grad():
        value = float("nan") if loss is None else loss(Tensor(outputs), dataset.targets).item()
    return Evaluation(len(dataset), right / len(dataset) if known else None,
                      wilson_interval(int(right), len(dataset)) if known else None, value, outputs)


def precision(model: Module) -> Any:
    """The dtype that a network computes in."""
    return next((p.dtype for p in model.parameters()), np.dtype(np.float32))


def count_correct(outputs: Array, targets: Array) -> float:
    """How many samples are answered rightly: by the largest of several outputs, or by the sign of a single one. NaN if the
    targets are not classes."""
    if targets.ndim != 1 or targets.dtype.kind not in "iu":
        return float("nan")
    answers = outputs.argmax(axis=1) if outputs.ndim == 2 and outputs.shape[1] > 1 else outputs.reshape(-1) > 0
    return float(np.count_nonzero(answers == targets))
