"""The losses of classifiers: how wrong each row of outputs is, the slope there, and whether the answer was right.

All three come out of one visit. A network for ten classes has few outputs, and what costs time is not the arithmetic
but the number of visits, so the rows of a shard are done together: first every row is shifted down until its largest
number is 0, then one long stretch of exponentials is computed for all the rows, and then each row is brought to the sum
1. The formulas are those of `reference/normalization.py` and `losses.py`.
"""

import math

import numpy as np

from byhand.kernels.jit.cache import kernel, unit
from byhand.kernels.jit.exponential import exp
from byhand.kernels.jit.sharing import Array, fast, share
from byhand.kernels.reference import normalization


@unit
def cross_entropy_rows(first, last, logits, labels, smoothing, scale, losses, slopes, correct, K):
    """For each row n: losses[n] = -Σ target · ln softmax(logits), slopes = (softmax(logits) - target) · scale, and
    correct[n], whether the largest logit, of equals the first, is at the label.

    The target is 1 - smoothing at the label, plus smoothing / K everywhere. logits, slopes: (N·K,), labels: (N,)
    integers from 0 to K - 1 (nobody looks whether they are), losses: (N,) of float64, correct: (N,) of bytes.
    """
    number = logits.dtype.type
    certain, everywhere = number(1 - smoothing), number(smoothing / K)
    for n in range(first, last):
        row, shifted, label = logits[n * K:(n + 1) * K], slopes[n * K:(n + 1) * K], labels[n]
        best = largest(row)
        correct[n] = best == label
        for k in range(K):
            shifted[k] = row[k] - row[best]
        losses[n] = -certain * shifted[label]
        if everywhere != 0:
            for k in range(K):
                losses[n] -= everywhere * shifted[k]
    exponentials(slopes[first * K:last * K])
    for n in range(first, last):
        row = slopes[n * K:(n + 1) * K]
        total = sum_of(row)
        losses[n] += math.log(total)
        for k in range(K):
            row[k] = (row[k] / total - everywhere) * number(scale)
        row[labels[n]] -= certain * number(scale)


@unit
def squared_error_rows(first, last, outputs, labels, scale, losses, slopes, correct, K):
    """For each row n: losses[n] = Σ (output - target)², slopes = 2 · (output - target) · scale, and correct[n].

    The target is 1 at the label and 0 elsewhere. All else as above.
    """
    number = outputs.dtype.type
    for n in range(first, last):
        row, slope, label = outputs[n * K:(n + 1) * K], slopes[n * K:(n + 1) * K], labels[n]
        correct[n] = largest(row) == label
        for k in range(K):
            slope[k] = row[k]
        slope[label] -= number(1)
        losses[n] = 0
        for k in range(K):
            losses[n] += slope[k] * slope[k]
            slope[k] *= number(2 * scale)


@unit
def binary_cross_entropy_rows(first, last, logits, labels, scale, losses, slopes, correct):
    """For each logit n: losses[n] = max(x, 0) - x · target + ln(1 + e^-|x|), slopes[n] = (sigmoid(x) - target) · scale,
    and correct[n], whether the sign of x says what the target, 0 or 1, does. Shapes: (N,)."""
    number = logits.dtype.type
    for n in range(first, last):
        x = logits[n]
        e = exp(-abs(x))
        losses[n] = max(x, number(0)) - x * labels[n] + math.log1p(e)
        sigmoid = (number(1) if x >= 0 else e) / (number(1) + e)
        slopes[n] = (sigmoid - number(labels[n])) * number(scale)
        correct[n] = (x > 0) == (labels[n] == 1)


@kernel
def softmax_rows(first, last, logits, targets, losses, slopes, K):
    """For each row n: losses[n] = -Σ target · ln softmax(logits) and slopes = softmax(logits) · Σ target - target.

    logits, targets, slopes: (N·K,), losses: (N,).
    """
    for n in range(first, last):
        row, shifted, target = logits[n * K:(n + 1) * K], slopes[n * K:(n + 1) * K], targets[n * K:(n + 1) * K]
        top = row[largest(row)]
        losses[n] = 0
        for k in range(K):
            shifted[k] = row[k] - top
            if target[k] != 0:  # a class that is ruled out (-inf) costs nothing where nobody expects it
                losses[n] -= target[k] * shifted[k]
    exponentials(slopes[first * K:last * K])
    for n in range(first, last):
        row, target = slopes[n * K:(n + 1) * K], targets[n * K:(n + 1) * K]
        mass, total = sum_of(target), sum_of(row)
        losses[n] += math.log(total) * mass
        for k in range(K):
            row[k] = row[k] * (mass / total) - target[k]


@kernel
def largest(row):
    """Where the largest number of a row is, of equals the first; what is not a number counts as the largest."""
    best = 0
    for k in range(1, len(row)):
        if row[k] > row[best] or (row[k] != row[k] and row[best] == row[best]):
            best = k
    return best


@kernel
def exponentials(x):
    """x ← eˣ, where no x is above 0."""
    for i in range(len(x)):
        x[i] = exp(x[i])


@kernel
def sum_of(row):
    """The sum of a row, from left to right."""
    total = row[0]
    for k in range(1, len(row)):
        total += row[k]
    return total


def softmax_cross_entropy(logits: Array, targets: Array) -> tuple[Array, Array]:
    """The twin of the NumPy kernel."""
    if not fast(logits, targets) or logits.ndim != 2 or logits.shape != targets.shape:
        return normalization.softmax_cross_entropy(logits, targets)
    losses, slopes = np.empty(len(logits), logits.dtype), np.empty(logits.shape, logits.dtype)
    share(softmax_rows, len(logits), logits.size, logits.reshape(-1), targets.reshape(-1), losses, slopes.reshape(-1),
          logits.shape[1])
    return losses, slopes
