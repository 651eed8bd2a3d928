"""Metrics: how good is it, and how sure are we?

An accuracy alone says little. Measured on few samples it may be luck, so it comes with an interval. It hides which
classes are mistaken for which, so there is the confusion matrix, with the precision and recall that follow from it. And
a network that says "I am 99 % sure" should be right 99 times in 100, so there is the calibration error.

All of these are functions of plain arrays. Each raises ValueError, in a sentence, for arrays that are empty or do not
fit together.
"""

import math
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from byhand import ops
from byhand.losses import class_indices

Array = np.ndarray[Any, Any]


def predictions(logits: Any) -> Array:
    """The class that each row of outputs speaks for: (N,) integers.

    logits: (N, K) with K >= 2, one score a class, of which the largest wins (the first of several); or (N,) or (N, 1),
    the logit of class 1, which wins if above 0.
    """
    scores = np.asarray(logits)
    if scores.ndim not in (1, 2) or scores.size == 0:
        raise ValueError(f"predictions need outputs of shape (N, classes), (N, 1) or (N,), got {scores.shape}.")
    if scores.ndim == 2 and scores.shape[1] > 1:
        return np.asarray(scores.argmax(axis=1))
    return (scores.reshape(-1) > 0).astype(np.intp)


def accuracy(logits: Any, targets: Any) -> float:
    """The part of the samples whose class is predicted right, 0 to 1.

    logits: as in `predictions`. targets: (N,) class numbers, or (N, K) one-hot rows; (N, 1) does as well for one logit.
    """
    found = predictions(logits)
    expected = np.asarray(targets)
    if expected.ndim == 2:
        expected = expected.argmax(axis=1) if expected.shape[1] > 1 else expected[:, 0]
    if expected.shape != found.shape:
        raise ValueError(f"targets of shape {np.shape(targets)} do not fit outputs of shape {np.shape(logits)}.")
    return float(np.mean(found == expected))


def wilson_interval(correct: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Where the true accuracy lies, with this confidence, if `correct` of `n` samples were right (Wilson 1927).

    With p = correct / n and z the normal quantile: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). Unlike p ± 2
    standard errors it is sound close to 0 and 1, where good classifiers live.
    """
    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"an interval needs at least one sample, from none to all right, got {correct} of {n}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, spread = correct / n, z * z / n
    middle, reach = p + spread / 2, math.sqrt(spread * (p * (1 - p) + spread / 4))
    low, high = (middle - reach) / (1 + spread), (middle + reach) / (1 + spread)
    return (low if correct else 0.0), (high if correct < n else 1.0)  # the two that rounding would miss by a hair


def confusion_matrix(predicted: Any, targets: Any, classes: int) -> Array:
    """How often class i (row) was taken for class j (column): (classes, classes) counts. Both inputs: (N,) classes."""
    found = class_indices(np.asarray(predicted), classes)
    expected = class_indices(np.asarray(targets), classes, len(found))
    pairs = expected.astype(np.intp) * classes + found.astype(np.intp)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def commonest_mistakes(confusion: Any, count: int = 10) -> list[tuple[int, int, int]]:
    """Up to `count` pairs of classes that are confused most: (which it is, which it was taken for, how often), the
    commonest first. From a confusion matrix with the true classes as rows."""
    counts = np.asarray(confusion)
    wrong = (counts - np.diag(counts.diagonal())).ravel()
    order = np.argsort(-wrong, kind="stable")[:count].tolist()
    return [(*divmod(place, len(counts)), int(wrong[place])) for place in order if wrong[place]]


class PerClass(NamedTuple):
    """Four (classes,) arrays. A figure that nothing tells is NaN: precision of a class that no sample was taken for,
    recall and F1 of one that has no samples."""

    precision: Array  # of those taken for this class, the part that was right
    recall: Array  # of those in this class, the part that was found
    f1: Array  # the harmonic mean of the two
    support: Array  # how many samples are in this class


def per_class(confusion: Any) -> PerClass:
    """Precision, recall, F1 and support of each class, from a confusion matrix with the true classes as rows."""
    counts = np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError(f"per_class needs a square matrix of counts, got shape {counts.shape} and {counts.dtype}.")
    right, support, claimed = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        precision, recall, f1 = right / claimed, right / support, 2 * right / (support + claimed)
    return PerClass(precision, recall, np.where(support > 0, f1, np.nan), support)


def probabilities(outputs: Any) -> Array:
    """What a network's outputs say, as probabilities: (N, K) float64, rows that sum to 1.

    outputs: as in `predictions`. Of K >= 2 scores the softmax; of one logit its sigmoid, as the two columns (1 - p, p).
    Raises ValueError for outputs that are not finite.
    """
    scores = np.asarray(outputs, dtype=np.float64)
    predictions(scores)  # refuses other shapes
    if not np.isfinite(scores).all():
        raise ValueError("outputs that are not finite numbers say nothing about probabilities.")
    if scores.ndim == 1 or scores.shape[1] == 1:
        logit = scores.reshape(-1)
        scores = np.stack([np.zeros_like(logit), logit], axis=1)  # the softmax of these is the sigmoid
    return ops.softmax(scores)


def worst_mistakes(probabilities: Any, targets: Any, count: int = 25) -> Array:
    """The rows that are wrong, the most confident first: up to `count` integers. Of equal ones, the earlier first.

    probabilities: (N, K) rows that sum to 1, or (N,) or (N, 1), the probability of class 1. targets: (N,) classes.
    """
    p, expected = checked(probabilities, targets)
    wrong = np.flatnonzero(p.argmax(axis=1) != expected)
    return wrong[np.argsort(-p[wrong].max(axis=1), kind="stable")][:count]


class CalibrationBins(NamedTuple):
    """Samples sorted by the probability of the predicted class into bins of equal width, each with its upper edge.

    `confidence` and `accuracy` are 0 in a bin without samples.
    """

    edges: Array  # (bins + 1,), from 0 to 1
    counts: Array  # (bins,), how many samples
    confidence: Array  # (bins,), their mean probability of the predicted class
    accuracy: Array  # (bins,), the part of them that is right

    @property
    def error(self) -> float:
        """The expected calibration error: Σ count / N · |accuracy - confidence|."""
        return float((self.counts * np.abs(self.accuracy - self.confidence)).sum() / self.counts.sum())


def calibration_bins(probabilities: Any, targets: Any, bins: int = 15) -> CalibrationBins:
    """What a reliability diagram shows: in each bin of confidence, how often the network is right (Guo et al. 2017).

    probabilities: (N, K) rows that sum to 1, or (N,) or (N, 1), the probability of class 1. targets: (N,) classes.
    """
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise ValueError(f"bins must be a whole number of at least 1, got {bins!r}.")
    p, expected = checked(probabilities, targets)
    confidence = p.max(axis=1)
    right = p.argmax(axis=1) == expected
    which = np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)  # a bin holds its upper edge
    counts = np.bincount(which, minlength=bins)
    sure, hits = (np.bincount(which, weights=w, minlength=bins) / np.maximum(counts, 1) for w in (confidence, right))
    return CalibrationBins(np.linspace(0, 1, bins + 1), counts, sure, hits)


def calibration_error(probabilities: Any, targets: Any, bins: int = 15) -> float:
    """The expected calibration error, 0 to 1: how far confidence and accuracy lie apart (Guo et al. 2017, equation 5).
    Arguments as in `calibration_bins`."""
    return calibration_bins(probabilities, targets, bins).error


def checked(probabilities: Any, targets: Any) -> tuple[Array, Array]:
    """Probabilities (N, K), also where only that of class 1 was given, and the classes that belong to them."""
    p = np.asarray(probabilities, dtype=np.float64)
    if p.size and (p.ndim == 1 or p.shape[1:] == (1,)):
        p = np.stack([1 - p.reshape(-1), p.reshape(-1)], axis=1)
    if p.ndim != 2 or p.size == 0:
        raise ValueError(f"this needs probabilities of shape (N, classes) or (N,), got {np.shape(probabilities)}.")
    if not (p.min() >= 0 and np.allclose(p.sum(axis=1), 1, atol=1e-3)):
        raise ValueError("this needs probabilities: from 0 to 1, and each row with the sum 1; metrics.probabilities "
                         "makes them of logits.")
    return p, class_indices(np.asarray(targets), p.shape[1], len(p))
