"""Which pixels hang together? A line of ink is one part, whatever its way; two digits that do not touch are two.

Every pixel of ink begins as a part of its own, named by its number. Then neighbours agree on the smaller name, and
everybody asks the bearer of his name for the name that he has now, until nobody changes. Asking doubles the reach each
time, so even a long spiral takes few rounds.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SPECK = 0.05  # of the largest part's area; what is smaller is dirt
MOST = 500  # parts; a picture with more of them is no writing

class Parts(NamedTuple):
    """The connected parts of a mask, numbered 1 to N in the order of their first pixels, row by row."""

    labels: Array
    """(H, W), 0 where there is nothing."""
    areas: Array
    """(N,), in pixels."""
    boxes: Array
    """(N, 4): top, left, bottom, right; the last two just outside."""


def connected(mask: Array) -> Parts:
    """The parts of a mask (H, W), bool, of one pixel at least: those that touch at a side or a corner are one part."""
    y, x = np.nonzero(mask)
    number = np.full(np.add(mask.shape, 2), -1)  # with a frame of nothing
    number[y + 1, x + 1] = np.arange(len(y))
    here, there = [], []
    for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
        other = number[y + 1 + down, x + 1 + right]
        here.append(np.flatnonzero(other >= 0))
        there.append(other[other >= 0])
    a, b = np.concatenate(here), np.concatenate(there)
    name = np.arange(len(y))
    while True:
        new = name.copy()
        low = np.minimum(name[a], name[b])
        for ends in (a, b):
            np.minimum.at(new, ends, low)
            np.minimum.at(new, name[ends], low)
        new = new[new]
        if np.array_equal(new, name):
            break
        name = new
    _, part = np.unique(name, return_inverse=True)
    labels = np.zeros(mask.shape, np.intp)
    labels[y, x] = part + 1
    order = np.argsort(part, kind="stable")
    first = np.searchsorted(part[order], np.arange(part.max() + 1))
    boxes = [extreme.reduceat(at[order], first) for extreme, at in
             ((np.minimum, y), (np.minimum, x), (np.maximum, y + 1), (np.maximum, x + 1))]
    return Parts(labels, np.bincount(part), np.stack(boxes, axis=1))


def written(parts: Parts) -> Array:
    """The numbers, from 0, of those parts that a pen has written: not specks, and not a frame that is drawn around
    others, or the edge of a scan."""
    largest = np.argsort(-parts.areas, kind="stable")[:MOST]
    chosen = largest[parts.areas[largest] >= SPECK * parts.areas.max()]
    top, left, bottom, right = (side[:, None] for side in parts.boxes[chosen].T)
    height, width = bottom - top, right - left
    within = ((top + 0.05 * height < top.T) & (bottom - 0.05 * height > bottom.T)  # row: around, column: within
              & (left + 0.05 * width < left.T) & (right - 0.05 * width > right.T) & (0.3 * height < height.T))
    return np.sort(chosen[~within.any(axis=1)])
