"""What a data set looks like: the first samples of each class, the average of each class, and what its values are. A
part at a time, so that arrays on disk stay there."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from byhand.data.loader import CHUNK, moments

Array = NDArray[Any]
MOST_FEATURES = 40
"""Rows of a table of features."""


def first_of_each(targets: Array, classes: int, count: int) -> list[Array]:
    """For each class the rows of its first `count` samples."""
    return [np.flatnonzero(targets == k)[:count] for k in range(classes)]


def class_means(inputs: Array, targets: Array, classes: int) -> Array:
    """The average sample of each class, (classes, ...) float64; NaN for a class without samples."""
    totals = np.zeros((classes, *inputs.shape[1:]))
    rows = max(1, CHUNK * len(inputs) // inputs.size)
    for part in (slice(start, start + rows) for start in range(0, len(inputs), rows)):
        np.add.at(totals, targets[part], np.asarray(inputs[part], np.float64))
    counts = np.bincount(targets, minlength=classes).reshape(-1, *[1] * (inputs.ndim - 1))
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


def feature_statistics(inputs: Array) -> dict[str, Array]:
    """Mean, standard deviation, minimum and maximum of each feature of samples (N, ...), each (features,)."""
    flat = inputs.reshape(len(inputs), -1)
    mean, std = moments(flat)
    return {"mean": mean, "std": std, "min": flat.min(axis=0), "max": flat.max(axis=0)}


def values_in_words(inputs: Array) -> str:
    """Size and statistics of pictures (N, C, H, W), with a mean and a standard deviation for each channel."""
    mean, std = (", ".join(f"{value:.3g}" for value in values) for values in moments(inputs))
    _, channels, rows, columns = inputs.shape
    return (f"{rows} x {columns} pixels, {channels} channel{'s' * (channels > 1)}; from {inputs.min():g} to "
            f"{inputs.max():g}, mean {mean}, standard deviation {std}")


def feature_table(inputs: Array) -> list[str]:
    """The statistics of each feature of samples (N, ...), as lines of text; of many features the first 40."""
    stats = feature_statistics(inputs)
    lines = ["feature" + "".join(f"{name:>12}" for name in stats)]
    lines += [f"{k + 1:>7}" + "".join(f"{column[k]:>12.4g}" for column in stats.values())
              for k in range(min(len(stats["mean"]), MOST_FEATURES))]
    left = len(stats["mean"]) - MOST_FEATURES
    return [*lines, f"and {left:,} more"] if left > 0 else lines
