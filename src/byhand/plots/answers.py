"""What a network answers: right and wrong, class by class, and how sure it is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb

from byhand import metrics
from byhand.plots.figure import (
    BLUE, GREY, INK, LIGHT, ORANGE, Picture, as_rgb, bare, corner, mosaic, named, paper, quiet
)

Array = np.ndarray[Any, Any]
MOST_NUMBERS, MOST_ROWS = 20, 40


def confusion_matrix(matrix: Any, classes: Sequence[str] = ()) -> Picture:
    """A confusion matrix, true classes as rows: what is right in blue, each mistake in orange, as a share of its row.

    matrix: (classes, classes) counts, as `metrics.confusion_matrix` gives. Blue is full where all of a row are right,
    orange where a tenth of it are mistaken for one other class; both grow with the square root, so that rare mistakes
    can be seen. Up to 20 classes the counts stand in the cells.
    """
    counts = np.asarray(matrix)
    metrics.per_class(counts)  # refuses what is none
    n = len(counts)
    names = named(classes, n)
    share, right = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), np.eye(n, dtype=bool)
    depth = np.sqrt(np.minimum(np.where(right, share, 10 * share), 1))
    colors = 1 - depth[..., None] * (1 - np.where(right[..., None], to_rgb(BLUE), to_rgb(ORANGE)))
    size, step = min(max(3.6, 0.48 * n + 1.6), 12), -(-n // MOST_ROWS)
    figure = paper(size, size)
    axes = quiet(figure.add_subplot(aspect="equal"), x="taken for", y="is")
    axes.pcolormesh(colors, edgecolors="white", linewidth=1.2 if n <= MOST_NUMBERS else 0)
    axes.set_xticks(np.arange(0, n, step) + 0.5, names[::step], rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(np.arange(0, n, step) + 0.5, names[::step])
    axes.invert_yaxis()
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    for i, j in np.argwhere(counts) if n <= MOST_NUMBERS else ():
        axes.text(j + 0.5, i + 0.5, f"{counts[i, j]}", ha="center", va="center", fontsize=7.5,
                  color="white" if depth[i, j] > 0.7 else INK)
    return figure


def per_class(matrix: Any, classes: Sequence[str] = ()) -> Picture:
    """Precision and recall of each class, from a confusion matrix, with F1 and the number of samples beside them; of
    more than 40 classes the 40 with the lowest F1. What nothing tells, as of a class without samples, is not drawn."""
    found = metrics.per_class(matrix)
    shown = np.sort(np.argsort(found.f1, kind="stable")[:MOST_ROWS])
    names = [f"{name}   (F1 {100 * f1:.1f}, {n:,} samples)" if n else f"{name}   (no samples)"
             for name, f1, n in zip(named(classes, len(found.f1)), found.f1, found.support, strict=True)]
    precision, recall, rows = 100 * found.precision[shown], 100 * found.recall[shown], np.arange(len(shown))
    figure = paper(6.8, 1.2 + 0.26 * len(shown))
    axes = quiet(figure.add_subplot(), x="%")
    axes.hlines(rows, precision, recall, color=LIGHT, linewidth=3)
    axes.plot(precision, rows, "o", color=BLUE, markersize=6, label="precision: what part of those taken for it are it")
    axes.plot(recall, rows, "D", color=ORANGE, markersize=5, label="recall: what part of those that are it was found")
    axes.set(yticks=rows, yticklabels=[names[k] for k in shown], ylim=(len(shown) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside upper left", frameon=False, fontsize=8, labelcolor=INK)
    return figure


def calibration(probabilities: Any, targets: Any, bins: int = 15) -> Picture:
    """Can its probabilities be believed? How often it is right (with 95 % intervals), over how sure it says it is, and
    how many samples each bin has.

    probabilities: (N, K), or (N,) those of class 1. targets: (N,) classes.
    """
    found = metrics.calibration_bins(probabilities, targets, bins)
    some = np.flatnonzero(found.counts)
    sure, right, counts = 100 * found.confidence[some], 100 * found.accuracy[some], found.counts[some]
    ends = np.array([metrics.wilson_interval(round(r * c / 100), int(c)) for r, c in zip(right, counts, strict=True)])
    figure = paper(4.4, 5)
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    quiet(above, f"expected calibration error {100 * found.error:.2f} %", "", "is right, in %")
    above.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="as sure as right")
    above.vlines(sure, 100 * ends[:, 0], 100 * ends[:, 1], color=BLUE, alpha=0.35, linewidth=4, label="95 % interval")
    above.plot(sure, right, "o-", color=BLUE, markersize=4.5, linewidth=1.2, label="this network")
    above.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left")
    above.set(xlim=(0, 101), ylim=(0, 102))
    quiet(below, "", "says it is sure, in %", "samples, in %")
    below.bar(100 * (found.edges[:-1] + found.edges[1:]) / 2, 100 * found.counts / found.counts.sum(),
              width=88 / bins, color=BLUE)
    return figure


def mistakes(images: Any, predicted: Any, targets: Any, probabilities: Any = None, classes: Sequence[str] = (),
             count: int = 25) -> Picture:
    """The worst mistakes as pictures, each with what it is and what it was taken for.

    images: (N, C, H, W), of which up to `count` are shown where `predicted` and `targets` (N,) differ. probabilities:
    of the predicted class (N,), or of all (N, K); then the most confident mistakes come first. Raises ValueError if
    there are none, or the arrays do not fit.
    """
    guess, truth, pictures = np.asarray(predicted), np.asarray(targets), np.asarray(images)
    sure = None if probabilities is None else np.asarray(probabilities, float)
    if not guess.shape == truth.shape == pictures.shape[:1] or (sure is not None and len(sure) != len(guess)):
        raise ValueError("mistakes needs an image, a prediction, a target and a probability for each sample, got "
                         f"{len(pictures)}, {guess.shape} and {truth.shape}.")
    if sure is not None and sure.ndim == 2:
        sure = sure[np.arange(len(sure)), guess]
    rows = np.flatnonzero(guess != truth)
    if sure is not None:
        rows = rows[np.argsort(-sure[rows], kind="stable")]
    rows = rows[:count]
    if not len(rows):
        raise ValueError("there is no mistake to show.")
    names = named(classes, int(max(guess.max(), truth.max())) + 1, 12)
    tiles = as_rgb(pictures[rows])
    columns, height = min(5, len(rows)), tiles.shape[1]
    below = round(0.36 * height)
    sheet = mosaic(tiles, columns, max(2, height // 7), below=below)
    figure = paper(1.45 * columns, 1.45 * columns * sheet.shape[0] / sheet.shape[1])
    axes = bare(figure.add_subplot())
    axes.imshow(sheet)
    for i, row in enumerate(rows):
        top, left = corner(i, tiles, columns, max(2, height // 7), below)
        said = f"said {names[guess[row]]}" + ("" if sure is None else f", {100 * sure[row]:.0f} %")
        for y, text, color in ((0.06, f"is {names[truth[row]]}", BLUE), (0.21, said, ORANGE)):
            axes.text(left - 0.5, top + (1 + y) * height, text, fontsize=8, color=color, va="top")
    return figure
