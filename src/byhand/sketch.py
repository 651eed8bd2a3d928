"""Small pictures for a terminal, made of characters: a Braille character is a raster of 2 × 4 dots.

So a digit of 28 × 28 pixels takes 14 columns and 7 lines, a curve looks like a curve, and both can be piped, mailed and
read without colors. Grey is told by how many of the dots are set.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""What each dot of a Braille character adds to its number, in Unicode."""
GREYS = (np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) + 0.5) / 16
"""From which brightness on each dot of a 4 × 4 raster is set (Bayer 1973)."""
LARGEST = 32
LONGEST_NAME = 12


def dots(raster: Array) -> list[str]:
    """A raster of dots, (H, W) booleans, as lines of text."""
    height, width = raster.shape
    whole = np.pad(raster, ((0, -height % 4), (0, -width % 2)))
    cells = whole.reshape(whole.shape[0] // 4, 4, whole.shape[1] // 2, 2).transpose(0, 2, 1, 3)
    return ["".join(chr(0x2800 + int(bits)) for bits in row) for row in (cells * BITS).sum(axis=(2, 3))]


def picture(image: Any, low: float | None = None, high: float | None = None) -> list[str]:
    """An image (H, W) or (C, H, W) as lines of text, at most 16 columns and 8 lines: dots where it is bright.

    low, high: the values of black and white; the image's own lowest and highest, if not given.
    """
    grey = np.asarray(image, float)
    grey = grey.mean(axis=0) if grey.ndim == 3 else grey
    step = -(-max(grey.shape) // LARGEST)
    rows, columns = (size // step * step for size in grey.shape)
    grey = grey[:rows, :columns].reshape(rows // step, step, columns // step, step).mean(axis=(1, 3))
    low, high = float(grey.min()) if low is None else low, float(grey.max()) if high is None else high
    thresholds = np.tile(GREYS, (-(-grey.shape[0] // 4), -(-grey.shape[1] // 4)))[:grey.shape[0], :grey.shape[1]]
    return dots((grey - low) > thresholds * (high - low))


def gallery(pictures: Sequence[list[str]], names: Sequence[str], width: int) -> str:
    """Pictures of one size side by side, as many as fit into the width, each above its name."""
    column = max(len(pictures[0][0]), min(LONGEST_NAME, max(map(len, names))))
    at_once = max(1, (width + 2) // (column + 2))
    blocks = []
    for start in range(0, len(pictures), at_once):
        part, below = pictures[start:start + at_once], names[start:start + at_once]
        lines = ["  ".join(line.ljust(column) for line in row).rstrip() for row in zip(*part, strict=True)]
        blocks.append("\n".join([*lines, "  ".join(name[:column].ljust(column) for name in below)]).rstrip())
    return "\n\n".join(blocks)


def curve(values: Any, width: int = 72, height: int = 8) -> list[str]:
    """Values (N,) as a line from left to right, over their whole range, in so many columns and lines."""
    y = np.asarray(values, float)
    raster = np.zeros((4 * height, 2 * width), bool)
    x = np.linspace(0, len(y) - 1, 2 * width)
    level = np.interp(x, np.arange(len(y)), y)
    share = (level - y.min()) / max(float(np.ptp(y)), 1e-300)
    rows = ((1 - share) * (4 * height - 1)).round().astype(int)
    for column, (row, before) in enumerate(zip(rows, [rows[0], *rows], strict=False)):
        raster[min(row, before):max(row, before) + 1, column] = True  # a steep line has no gaps
    return dots(raster)
