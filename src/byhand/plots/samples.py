"""What a data set looks like: samples of each class, how many there are, and the average of each class."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from byhand.data import Splits
from byhand.data.dataset import has_classes
from byhand.data.overview import class_means, feature_table, first_of_each, values_in_words
from byhand.nn.layers import positive
from byhand.pictures import is_pictures
from byhand.plots.figure import (
    BLUE, GREY, ORANGE, Paper, Picture, as_rgb, bare, corner, mosaic, named, paper, quiet, table, whole
)

Array = np.ndarray[Any, Any]
MOST = 20
"""Classes in a figure, the first ones."""


def samples(images: Any, targets: Any, classes: Sequence[str] = (), per_class: int = 10,
            on: Paper | None = None) -> Picture:
    """The first samples of each class, a row a class (of more than 20 classes the first 20).

    images: (N, C, H, W). targets: (N,) classes. Raises ValueError for anything else.
    """
    positive("samples", per_class=per_class)
    names = checked(images, targets, classes)[:MOST]
    rows = first_of_each(np.asarray(targets), len(names), per_class)
    tiles = as_rgb(np.asarray(images[np.concatenate(rows)]))
    page = np.full((len(names) * per_class, *tiles.shape[1:]), 255, np.uint8)
    page[np.concatenate([k * per_class + np.arange(len(row)) for k, row in enumerate(rows)])] = tiles
    figure = on or paper(1 + 0.55 * per_class, 0.4 + 0.58 * len(names))
    said = textwrap.fill(values_in_words(np.asarray(images)), max(24, 7 * per_class))  # as wide as the row of samples
    axes = bare(figure.add_subplot(), said)
    axes.imshow(mosaic(page, per_class))
    axes.set_anchor("N")
    for k, name in enumerate(names):
        top = corner(k * per_class, page, per_class)[0]
        axes.text(-0.5 - 0.3 * tiles.shape[2], top + tiles.shape[1] / 2, name, ha="right", va="center", fontsize=8.5)
    return whole(figure)


def class_counts(counts: Any, classes: Sequence[str] = (), test_counts: Any = None, on: Paper | None = None) -> Picture:
    """How many samples each class has (of more than 20 classes the first 20), of the training set and, if given, of
    the test set. counts: (classes,), as `Dataset.counts` gives."""
    sets = [("training", np.asarray(counts), BLUE)]
    if test_counts is not None:
        sets.append(("test", np.asarray(test_counts), ORANGE))
    if any(n.ndim != 1 or not n.size or n.shape != sets[0][1].shape for _, n, _ in sets):
        raise ValueError(f"class_counts needs a number for each class, got shapes {[n.shape for _, n, _ in sets]}.")
    names = named(classes, len(counts))[:MOST]
    figure = on or paper(5.5, 0.8 + 0.25 * len(names))
    left_out = f", the first {MOST} of {len(counts)}" if len(counts) > MOST else ""
    axes = quiet(figure.add_subplot(), f"samples of each class{left_out}")
    height = 0.78 / len(sets)
    for i, (label, numbers, color) in enumerate(sets):
        places = np.arange(len(names)) + (i - (len(sets) - 1) / 2) * height
        bars = axes.barh(places, numbers[:MOST], height=0.86 * height, color=color, label=label)
        axes.bar_label(bars, [f"{n:,}" for n in numbers[:MOST]], padding=3, fontsize=7, color=GREY)
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5), xticks=[])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.margins(x=0.12)
    if len(sets) > 1:
        axes.legend(frameon=False, fontsize=7.5, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)
    return whole(figure)


def mean_images(images: Any, targets: Any, classes: Sequence[str] = (), on: Paper | None = None) -> Picture:
    """The average picture of each class (of more than 20 classes the first 20). Arguments as of `samples`."""
    names = checked(images, targets, classes)
    means = class_means(images, np.asarray(targets), len(names))[:MOST]
    there = np.flatnonzero(~np.isnan(means).reshape(len(means), -1).all(axis=1)).tolist()
    tiles = as_rgb(means[there].round().astype(np.uint8) if images.dtype == np.uint8 else means[there])
    columns, height, below = min(5, len(there)), tiles.shape[1], round(0.28 * tiles.shape[1])
    figure = on or paper(1.15 * columns, 1.4 * -(-len(there) // columns))
    axes = bare(figure.add_subplot(), "the average of each class")
    axes.imshow(mosaic(tiles, columns, below=below))
    for i, k in enumerate(there):
        top, left = corner(i, tiles, columns, below=below)
        axes.text(left + tiles.shape[2] / 2, top + 1.05 * height, names[k], ha="center", va="top", fontsize=8)
    return whole(figure)


def data_sheet(splits: Splits) -> Picture:
    """A data set on one page: samples, averages and counts of its classes, and its values. Where the samples are no
    pictures with a class each, the statistics of each feature stand in their place."""
    train, test = splits.train, splits.test
    classes = len(train.counts()) if has_classes(train) else 0
    drawn = classes > 0 and is_pictures(train.inputs)
    lines = [] if drawn else feature_table(train.inputs)
    figure = paper(11, 0.6 + max(0.6 * min(classes, MOST) * drawn, 4.4, 0.16 * len(lines)),
                   f"{splits.name}: {len(train):,} training and {len(test):,} test samples")
    grid = figure.add_gridspec(2, 2, width_ratios=[1.25, 1], height_ratios=[1, 1.25])
    left = figure.add_subfigure(grid[:, 0])
    if drawn:
        samples(train.inputs, train.targets, train.classes, on=left)
        mean_images(train.inputs, train.targets, train.classes, figure.add_subfigure(grid[0, 1]))
    else:
        table(left.add_subplot(), lines)
    if classes:
        counts = [part.counts() if has_classes(part) else None for part in (train, test)]
        class_counts(counts[0], train.classes, counts[1], figure.add_subfigure(grid[int(drawn):, 1]))
    return figure


def checked(images: Any, targets: Any, classes: Sequence[str]) -> list[str]:
    """A name for each class. Raises ValueError if these are not pictures with a class each."""
    shape, numbers = np.shape(images), np.asarray(targets)
    if len(shape) != 4 or numbers.shape != shape[:1] or numbers.dtype.kind not in "iu" or not (
            numbers.size and numbers.min() >= 0):
        raise ValueError("this needs pictures (N, C, H, W) and a class for each, (N,) whole numbers from 0; got shapes "
                         f"{shape} and {numbers.shape}.")
    return named(classes, int(numbers.max()) + 1)
