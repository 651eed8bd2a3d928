"""Which pixels hang together, and which of the parts were written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byhand.pictures.parts import MOST, connected, written


def flooded(mask):
    """The parts found the slow way: pour ink into a pixel, and see where it runs."""
    labels, count = np.zeros(mask.shape, int), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        wet = [start]
        while wet:
            y, x = wet.pop()
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] and not labels[y, x]:
                labels[y, x] = count
                wet += [(y + down, x + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return labels


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0.1, 0.9), st.integers(0, 2**32 - 1))
def test_parts_are_those_that_ink_would_run_through(height, width, share, seed):
    mask = np.random.default_rng(seed).random((height, width)) < share
    if not mask.any():
        mask[0, 0] = True
    expected, parts = flooded(mask), connected(mask)
    np.testing.assert_array_equal(parts.labels, expected)
    for number in range(1, expected.max() + 1):
        y, x = np.nonzero(expected == number)
        assert parts.areas[number - 1] == len(y)
        assert parts.boxes[number - 1].tolist() == [y.min(), x.min(), y.max() + 1, x.max() + 1]
    assert len(parts.areas) == len(parts.boxes) == expected.max()


def test_a_long_spiral_is_one_part():
    mask = np.zeros((201, 201), bool)
    for k in range(0, 98, 4):
        mask[k, k:201 - k] = mask[k:201 - k, 200 - k] = mask[200 - k, k + 4:201 - k] = mask[k + 4:201 - k, k + 4] = True
        mask[k + 4, k + 4:k + 5] = True
    assert len(connected(mask).areas) == 1


def drawing(*boxes, shape=(100, 100)):
    """A mask with solid boxes (top, left, bottom, right), and frames where a fifth number says how thick."""
    mask = np.zeros(shape, bool)
    for top, left, bottom, right, *thick in boxes:
        mask[top:bottom, left:right] = True
        if thick:
            mask[top + thick[0]:bottom - thick[0], left + thick[0]:right - thick[0]] = False
    return mask


@pytest.mark.parametrize(("boxes", "expected"), [
    ([(10, 10, 60, 20), (80, 80, 82, 82)], [0]),                      # a speck
    ([(10, 10, 60, 20), (80, 40, 90, 50)], [0, 1]),                   # no speck
    ([(5, 5, 95, 95, 2), (30, 40, 70, 50)], [1]),                     # a frame
    ([(5, 5, 95, 95, 2), (20, 20, 80, 80, 2), (35, 40, 70, 50)], [2]),  # two frames
    ([(10, 10, 90, 60, 10), (42, 28, 56, 42)], [0, 1]),               # a dot in a 0 makes no frame of it
    ([(10, 10, 90, 60, 10), (24, 18, 80, 24)], [0]),                  # nor does what touches it
], ids=["speck", "small part", "frame", "frames", "dot", "touching"])
def test_what_is_written(boxes, expected):
    assert written(connected(drawing(*boxes))).tolist() == expected


def test_of_countless_parts_only_the_largest_are_looked_at():
    mask = np.zeros((200, 200), bool)
    mask[::2, ::2] = True
    parts = connected(mask)
    assert len(parts.areas) == 10_000 and len(written(parts)) == MOST
