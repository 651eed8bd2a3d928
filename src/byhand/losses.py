"""Losses: one number that says how wrong the network is.

Training is walking downhill, and a loss is the hill. It compares what the network put out with what it should have put
out, one sample at a time, and averages. Which hill to choose depends on the question: `cross_entropy` to pick one of
several classes, `binary_cross_entropy` for yes or no, the squared and absolute errors to hit a number.

Every loss is `loss(outputs, targets, *, ..., sample_weights=None, reduction="mean")`. Outputs are a Tensor of floats
whose first axis counts the samples; targets are a plain array, and no slope flows into them (`detach()` what was
computed). The loss comes back in the dtype of the outputs.

- `sample_weights`, (N,): how much each sample counts. A weight of zero is the same as leaving the sample out.
- `reduction`: "mean" divides the weighted sum by the sum of the weights; "sum" does not divide; "none" gives the losses
  themselves, weighted but not added up.

Each raises ValueError, in a sentence, for an empty batch and for targets or weights that do not fit the outputs.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from byhand import kernels
from byhand.autodiff import op
from byhand.tensor import Tensor

Array = np.ndarray[Any, Any]

# --- choosing a class -------------------------------------------------------------------------------------------------


@op
def cross_entropy(logits: Any, targets: Any, *, label_smoothing: float = 0.0, class_weights: Any = None,
                  sample_weights: Any = None, reduction: str = "mean") -> Any:
    """-Σ target · ln softmax(logits): the surprise at the right class, in nats (Bridle 1990). Stable for any logits.

    logits: (N, K), one score a class, not yet through a softmax. targets: (N,) integers from 0 to K - 1, or (N, K)
    probabilities, of which one-hot rows are a case.
    label_smoothing: the part of each target, from 0 to below 1, that is spread evenly over all classes (Szegedy et al.
    2016, section 7). class_weights: (K,), how much each class counts.

    As in PyTorch, the mean over integer targets divides by the sum of the class weights of the targets, and the mean
    over probabilities by the number of samples. Raises ValueError for a class out of range, and for what does not fit.
    """
    logits, targets = outputs_of(logits), np.asarray(targets)
    if logits.ndim != 2:
        raise ValueError(f"cross_entropy needs logits of shape (N, classes), got {logits.shape}.")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing is a part of the target, from 0 to below 1, got {label_smoothing!r}.")
    n, classes = logits.shape
    counts = None  # what each sample adds to the divisor of the mean, where that is not 1
    weights = None if class_weights is None else weights_of("class_weights", class_weights, classes, logits)
    if targets.ndim == 2:
        expected = distribution(targets, logits) * logits.dtype.type(1 - label_smoothing)
        expected += label_smoothing / classes
    else:
        labels = class_indices(targets, classes, n)
        expected = np.full(logits.shape, label_smoothing / classes, logits.dtype)
        expected[np.arange(n), labels] = 1 - label_smoothing + label_smoothing / classes
        counts = None if weights is None else weights[labels]
    if weights is not None:
        expected *= weights
    losses, slopes = kernels.softmax_cross_entropy(logits, expected)
    return reduced(losses, slopes, sample_weights, reduction, counts)


@op
def binary_cross_entropy(logits: Any, targets: Any, *, sample_weights: Any = None, reduction: str = "mean") -> Any:
    """-t · ln p - (1 - t) · ln(1 - p) with p = sigmoid(logit), for yes-or-no questions. Stable for any logits.

    logits: (N,) or (N, 1), or (N, L) for L questions at once, not yet through a sigmoid. targets: 0 or 1, or a
    probability between, in the same shape, or (N,) for logits (N, 1).
    """
    logits = outputs_of(logits)
    targets = targets_like(logits, targets)
    if not (targets.min() >= 0 and targets.max() <= 1):
        raise ValueError("binary_cross_entropy needs targets from 0 to 1; these go from "
                         f"{targets.min():g} to {targets.max():g}.")
    e = np.exp(-np.abs(logits))  # ln(1 + eˣ) = max(x, 0) + ln(1 + e^-|x|) cannot overflow
    losses = np.maximum(logits, 0) + np.log1p(e) - logits * targets
    probabilities = np.where(logits >= 0, 1, e) / (1 + e)
    return reduced(losses, probabilities - targets, sample_weights, reduction)


@op
def hinge(scores: Any, targets: Any, *, margin: float = 1.0, sample_weights: Any = None,
          reduction: str = "mean") -> Any:
    """max(0, margin + best wrong score - right score): content once the right class leads by the margin.

    The multi-class form of Crammer and Singer (2001), in which only the best wrong class counts. scores: (N, K) with at
    least two classes; targets: (N,) integers from 0 to K - 1.
    """
    scores = outputs_of(scores)
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ValueError(f"hinge needs scores of shape (N, classes) with two classes or more, got {scores.shape}.")
    rows = np.arange(len(scores))
    labels = class_indices(np.asarray(targets), scores.shape[1], len(scores))
    wrong = scores.copy()
    wrong[rows, labels] = -np.inf
    rivals = wrong.argmax(axis=1)
    losses = np.maximum(scores[rows, rivals] - scores[rows, labels] + margin, 0)
    slopes = np.zeros_like(scores)
    slopes[rows, rivals] = losses > 0
    slopes[rows, labels] = -slopes[rows, rivals]
    return reduced(losses, slopes, sample_weights, reduction)


@op
def brier(outputs: Any, targets: Any, *, factor: float = 1.0, sample_weights: Any = None,
          reduction: str = "mean") -> Any:
    """factor · Σ (output - 1 at the right class, output elsewhere)²: the squared error from the one-hot target, which
    for probabilities is Brier's score (1950). With a factor of ½ its slope is the plain difference.

    outputs: (N, K); targets: (N,) integers from 0 to K - 1.
    """
    outputs = outputs_of(outputs)
    if outputs.ndim != 2:
        raise ValueError(f"brier needs outputs of shape (N, classes), got {outputs.shape}.")
    error = outputs - one_hot(class_indices(np.asarray(targets), outputs.shape[1], len(outputs)), outputs.shape[1],
                              outputs.dtype)
    return reduced(factor * (error * error).sum(axis=1), 2 * factor * error, sample_weights, reduction)


# --- hitting a number -------------------------------------------------------------------------------------------------


@op
def mean_squared_error(outputs: Any, targets: Any, *, sample_weights: Any = None, reduction: str = "mean") -> Any:
    """(output - target)², averaged over all outputs of all samples. Outputs and targets: (N, ...) of the same shape."""
    error = error_of(outputs, targets)
    return reduced(error * error, 2 * error, sample_weights, reduction)


@op
def squared_error(outputs: Any, targets: Any, *, factor: float = 1.0, sample_weights: Any = None,
                  reduction: str = "mean") -> Any:
    """factor · Σ (output - target)² over the outputs of a sample, averaged over the samples. Shapes: as above. With a
    factor of ½ its slope is the plain difference."""
    error = error_of(outputs, targets)
    rows = error.reshape(len(error), -1)
    return reduced(factor * (rows * rows).sum(axis=1), 2 * factor * error, sample_weights, reduction)


@op
def absolute_error(outputs: Any, targets: Any, *, sample_weights: Any = None, reduction: str = "mean") -> Any:
    """|output - target|, averaged over all outputs; an outlier pulls no harder than any other. The slope at 0 is 0."""
    error = error_of(outputs, targets)
    return reduced(np.abs(error), np.sign(error), sample_weights, reduction)


@op
def huber(outputs: Any, targets: Any, *, delta: float = 1.0, sample_weights: Any = None,
          reduction: str = "mean") -> Any:
    """Half the squared error up to `delta`, a straight line of the same slope beyond (Huber 1964), averaged as above.

    With r = |output - target|: r² / 2 if r <= delta, else delta · (r - delta / 2).
    """
    if not 0 < delta < math.inf:
        raise ValueError(f"huber needs a delta above 0, got {delta!r}.")
    error = error_of(outputs, targets)
    bounded = np.clip(error, -delta, delta)
    return reduced(bounded * (error - bounded / 2), bounded, sample_weights, reduction)


@op
def poisson(log_rates: Any, targets: Any, *, sample_weights: Any = None, reduction: str = "mean") -> Any:
    """Σ exp(o) - t · o + t · ln t - t over the outputs o of a sample, averaged over the samples: how surprising counts
    t are where exp(o) of them are expected (half the Poisson deviance; McCullagh and Nelder 1989, section 2.3). 0 where
    both agree.

    log_rates and targets: (N, ...) of the same shape, the targets 0 or more.
    """
    log_rates = outputs_of(log_rates)
    targets = targets_like(log_rates, targets)
    if not targets.min() >= 0:
        raise ValueError(f"poisson needs targets of 0 or more, which counts are; the least of these is "
                         f"{targets.min():g}.")
    rates = np.exp(log_rates)
    best = targets - targets * np.log(np.where(targets > 0, targets, 1))
    losses = (rates - targets * log_rates - best).reshape(len(rates), -1).sum(axis=1)
    return reduced(losses, rates - targets, sample_weights, reduction)


# --- keeping the weights small ----------------------------------------------------------------------------------------


def l1(parameters: Iterable[Tensor]) -> Any:
    """Σ |w| over all parameters, to add to a loss: `loss + 1e-4 * l1(model.parameters())`. The slope at 0 is 0."""
    return sum_of_magnitudes(*some(parameters))


def l2(parameters: Iterable[Tensor]) -> Any:
    """Σ w² over all parameters, to add to a loss. Its slope is 2w; an optimizer's own `l2` setting adds l2 · w."""
    return sum_of_squares(*some(parameters))


@op
def sum_of_magnitudes(*weights: Any) -> Any:
    """Σ |w|; one step of the graph for any number of arrays."""
    return sum(np.abs(w).sum() for w in weights), *[lambda g, w=w: g * np.sign(w) for w in weights]


@op
def sum_of_squares(*weights: Any) -> Any:
    """Σ w²; one step of the graph for any number of arrays."""
    return sum(np.square(w).sum() for w in weights), *[lambda g, w=w: 2 * g * w for w in weights]


def some(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters in a list, which may not be empty."""
    if isinstance(parameters, Tensor):
        raise ValueError("a penalty needs a list of parameters, got a single Tensor; put it in a list.")
    weights = list(parameters)
    if not weights:
        raise ValueError("a penalty needs at least one parameter, got none.")
    return weights


# --- targets and weights ----------------------------------------------------------------------------------------------


def one_hot(targets: Any, classes: int, dtype: Any = np.float32) -> Array:
    """Rows of zeros with a one at the class: (N,) integers from 0 to classes - 1 become (N, classes)."""
    labels = class_indices(np.asarray(targets), classes)
    rows = np.zeros((len(labels), classes), dtype)
    rows[np.arange(len(labels)), labels] = 1
    return rows


def class_indices(targets: Array, classes: int, n: int | None = None) -> Array:
    """`targets` if they are class indices, (N,) integers from 0 to classes - 1, N being `n` where given.

    Raises ValueError, naming the sample, where they are not.
    """
    if targets.dtype.kind not in "iu":
        raise ValueError(f"classes must be integers, got {targets.dtype}; convert them, or give one row of class "
                         "probabilities for each sample.")
    if targets.ndim != 1 or (n is not None and len(targets) != n):
        raise ValueError(f"classes must have shape ({'N' if n is None else n},), one integer for each sample, "
                         f"got {targets.shape}.")
    if targets.size and not (targets.min() >= 0 and targets.max() < classes):
        where = int(np.argmax((targets < 0) | (targets >= classes)))
        raise ValueError(f"sample {where} has class {targets[where]}, but {classes} classes are counted from 0 to "
                         f"{classes - 1}.")
    return targets


def distribution(targets: Array, logits: Array) -> Array:
    """`targets` in the dtype of the logits if every row is a distribution over the classes."""
    if targets.shape != logits.shape:
        raise ValueError(f"targets of shape {targets.shape} do not fit logits of shape {logits.shape}; give (N,) class "
                         "indices, or one row of class probabilities for each sample.")
    if targets.dtype.kind not in "fiub" or not (targets.min() >= 0 and np.abs(targets.sum(axis=1) - 1).max() < 1e-3):
        raise ValueError("targets given as probabilities must be numbers, none negative, and each row must sum to 1.")
    return targets.astype(logits.dtype)


def outputs_of(outputs: Any) -> Array:
    """The outputs as an array of floats with at least one sample."""
    array = np.asarray(outputs)
    if array.dtype.kind != "f":
        raise ValueError(f"a loss needs outputs that are floats, got {array.dtype}.")
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"a loss needs at least one sample, got outputs of shape {array.shape}.")
    return array


def targets_like(outputs: Array, targets: Any) -> Array:
    """The targets in the shape and dtype of the outputs; (N,) also fits (N, 1), and nothing else is stretched."""
    array = np.asarray(targets)
    if array.shape != outputs.shape:
        if array.ndim == 1 and array.dtype.kind in "iu" and outputs.ndim == 2 and outputs.shape[1] > 1:
            raise ValueError(f"outputs of shape {outputs.shape} need targets of the same shape, got class indices; "
                             f"turn them into rows with one_hot(targets, {outputs.shape[1]}).")
        if array.ndim != 1 or outputs.shape != (len(array), 1):
            raise ValueError(f"targets of shape {array.shape} do not fit outputs of shape {outputs.shape}; the shapes "
                             "must be equal.")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"targets must be numbers, got {array.dtype}.")
    return array.reshape(outputs.shape).astype(outputs.dtype, copy=False)


def error_of(outputs: Any, targets: Any) -> Array:
    """output - target, checked to be of one shape."""
    array = outputs_of(outputs)
    return np.asarray(array - targets_like(array, targets))


def weights_of(name: str, weights: Any, n: int, like: Array) -> Array:
    """The weights as an (n,) array in the dtype of `like`, none of them negative."""
    array = np.asarray(weights)
    if array.dtype.kind not in "fiub" or array.shape != (n,):
        raise ValueError(f"{name} must be {n} numbers, got an array of shape {array.shape} and dtype {array.dtype}.")
    if not (array.min() >= 0 and array.max() < math.inf):
        raise ValueError(f"{name} must be finite and not negative; these go from {array.min():g} to {array.max():g}.")
    return array.astype(like.dtype, copy=False)


def reduced(losses: Array, slopes: Array, weights: Any, reduction: str, counts: Array | None = None) -> Any:
    """What every loss ends in: the losses weighted and brought to one number, and how a slope goes back through that.

    losses: (N, ...). slopes: those of the losses by the outputs, in the shape of the outputs. counts: (N,), what each
    sample adds to the divisor of the mean if that is not 1.
    """
    n = len(losses)
    scale = np.ones(n, losses.dtype) if weights is None else weights_of("sample_weights", weights, n, losses)
    if reduction == "mean":
        total = (scale if counts is None else scale * counts).sum() * (losses.size // n)
        if total == 0:
            raise ValueError("the weights of this batch sum to zero, so it has no mean; leave the batch out.")
        scale = scale / total
    elif reduction not in ("sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}.")
    weighted = losses * column(scale, losses.ndim)
    value = weighted if reduction == "none" else weighted.sum()
    return value, lambda g: slopes * column(g * column(scale, g.ndim), slopes.ndim)


def column(a: Array, ndim: int) -> Array:
    """`a` with axes of length 1 added behind, up to `ndim`: what holds for a sample holds for everything in it."""
    return a.reshape(a.shape + (1,) * (ndim - a.ndim))
