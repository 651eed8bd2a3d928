"""A digit as MNIST has it, made from any picture of one.

The makers of MNIST had black and white scans. They scaled each digit, keeping its shape, to fit into 20 x 20 pixels,
which made its edges grey, and laid it on 28 x 28 so that its centre of mass is in the middle. A network that learned
from such digits reads only such digits, so every picture is brought to this form.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from byhand.pictures.ink import Box, Ink, find_ink, running, scaled

Array = NDArray[Any]

BOX, SIDE = 20, 28  # pixels
MIDDLE = 14  # pixels, counted from 0: to it the centre of mass is nearest, in all of MNIST's 70,000 images but 2
FINE = 8  # strokes are thickened while the digit has so many times its final size
THINNEST = 1.8  # pixels; nine strokes in ten of MNIST are thicker, and thinner ones would shrink to a haze
LOWEST = 0.4  # of the highest digit's height is that of every digit


class Digit(NamedTuple):
    """A digit, and the steps that led to it."""

    picture: Array
    """As read, uint8 (H, W) or (H, W, 3)."""
    ink: Ink
    box: Box
    """Where it lies on the picture."""
    cropped: Array
    """The ink of this digit alone, 0 to 1."""
    image: Array
    """uint8 (28, 28), light on dark: as in MNIST."""


def prepare(picture: Array, name: str = "the picture") -> Digit:
    """The digit on a picture, uint8 (H, W) or (H, W, 3): all that is written there.

    Raises ValueError, with this `name`, if there is no ink.
    """
    ink = find_ink(picture, name)
    return digit_of(picture, ink, ink.written)


def find_many(picture: Array, name: str = "the picture") -> list[list[Digit]]:
    """The digits on a picture that do not touch each other: its lines, each with its digits from left to right.

    Parts that stand closely above each other are one digit, such as a 5 and its bar. What is much lower than the
    highest digit is none: a comma, a dash. Raises ValueError, with this `name`, if there is no ink.
    """
    ink = find_ink(picture, name)
    return in_lines([digit_of(picture, ink, group) for group in groups(ink)])


def groups(ink: Ink) -> list[Array]:
    """The parts that are written, by number from 0, digit by digit."""
    boxes = ink.parts.boxes[ink.written]
    found = together(boxes)
    heights = [boxes[rows, 2].max() - boxes[rows, 0].min() for rows in found]
    return [ink.written[rows] for rows, height in zip(found, heights, strict=True) if height >= LOWEST * max(heights)]


def together(boxes: Array) -> list[Array]:
    """Which boxes (N, 4) belong to one digit: groups of row numbers."""
    top, left, bottom, right = (side[:, None] for side in boxes.T)
    beside = np.minimum(right, right.T) - np.maximum(left, left.T)  # how far they overlap
    above = np.maximum(top, top.T) - np.minimum(bottom, bottom.T)  # the gap between them
    height = np.maximum(bottom, bottom.T) - np.minimum(top, top.T)
    tallest = (bottom - top).max()
    one = (2 * beside > np.minimum(right - left, (right - left).T)) & (above < tallest / 4) & (height < 1.5 * tallest)
    for _ in range(len(boxes).bit_length()):  # who belongs to somebody belongs to all of his
        one = one @ one
    return [np.flatnonzero(row) for row in np.unique(one, axis=0)]


def in_lines(digits: list[Digit]) -> list[list[Digit]]:
    """Digits in reading order. A line ends where the next digit's middle lies below the feet of those before it."""
    lines: list[list[Digit]] = []
    for digit in sorted(digits, key=lambda digit: digit.box[1] + digit.box[3]):
        middle = (digit.box[1] + digit.box[3]) / 2
        if not lines or middle > np.mean([other.box[3] for other in lines[-1]]):
            lines.append([])
        lines[-1].append(digit)
    return [sorted(line, key=lambda digit: digit.box[0]) for line in lines]


def digit_of(picture: Array, ink: Ink, chosen: Array) -> Digit:
    """The digit that has these parts, by number from 0."""
    boxes = ink.parts.boxes[chosen]
    (top, left), (bottom, right) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    rows, columns = slice(max(0, top - 2), bottom + 2), slice(max(0, left - 2), right + 2)  # edges are soft
    near = grown(np.isin(ink.parts.labels[rows, columns], chosen + 1), 2)
    cropped = ink.strength[rows, columns] * near
    return Digit(picture, ink, ink.on_picture(top, left, bottom, right), cropped, as_mnist(cropped))


def as_mnist(ink: Array) -> Array:
    """Ink (H, W), 0 to 1, as in MNIST: uint8 (28, 28).

    It is brought to 160 pixels, where strokes that are too thin are thickened, and then to 20, each of which is the
    mean of 64: that is how MNIST's edges became grey.
    """
    ink = np.pad(ink / ink.max(), 1)
    fine = fitted(tight(thickened(ink, max(ink.shape) / (BOX * FINE))), BOX * FINE)
    small = fitted(tight(thickened(fine, THINNEST * FINE)), BOX)
    image = np.zeros((SIDE, SIDE), np.uint8)
    top, left = (int(np.clip(round(MIDDLE - place), 0, SIDE - length))
                 for place, length in zip(centre_of_mass(small), small.shape, strict=True))
    image[top:top + small.shape[0], left:left + small.shape[1]] = np.rint(255 * small)
    return image


def is_mnist(picture: Array) -> bool:
    """Whether a picture is prepared already, such as a saved test image: 28 x 28, light on black, its ink 20 pixels
    long and its centre of mass in the middle."""
    if picture.shape != (SIDE, SIDE) or not picture.any():
        return False
    return max(tight(picture, 0).shape) == BOX and max(abs(n - MIDDLE) for n in centre_of_mass(picture)) <= 0.75


def tight(ink: Array, faintest: float = 0.3) -> Array:
    """Ink without its empty margins, where nothing is stronger than this part of the strongest."""
    there = ink > faintest * ink.max()
    rows, columns = (np.flatnonzero(there.any(axis=axis)) for axis in (1, 0))
    return ink[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]


def fitted(ink: Array, longest: int) -> Array:
    """Ink, scaled so that its longer side is `longest`."""
    sizes = (max(1, round(n * longest / max(ink.shape))) for n in ink.shape)
    return np.clip(scaled(ink.astype(np.float32), *sizes), 0, 1)


def thickness(ink: Array) -> float:
    """How wide the strokes are, in pixels: twice their area by the length of their outline. Pixels count the outline of
    a slanted line too long, 4/π times on the average of all directions."""
    solid = np.pad(ink > 0.5, 1)
    outline = sum(np.count_nonzero(np.diff(solid, axis=axis)) for axis in (0, 1)) * math.pi / 4
    return 2 * np.count_nonzero(solid) / max(outline, 1)


def thickened(ink: Array, least: float) -> Array:
    """Ink whose strokes are at least so many pixels wide, on a larger array if need be."""
    radius = max(0, round((least - thickness(ink)) / 2))
    return grown(np.pad(ink, radius), radius)


def grown(ink: Array, radius: int) -> Array:
    """Ink, widened by `radius` pixels to every side: each pixel is the strongest of a disk around it."""
    (height, width), wide = ink.shape, np.pad(ink, radius)
    for down in range(-radius, radius + 1):
        reach = math.isqrt(radius * radius - down * down)
        rows = wide[radius + down:radius + down + height, radius - reach:radius + reach + width]
        ink = np.maximum(ink, running(np.maximum, rows.T, 2 * reach + 1).T)
    return ink


def centre_of_mass(ink: Array) -> tuple[float, float]:
    """Down and right, in pixels counted from 0."""
    rows, columns = ink.sum(axis=1, dtype=float), ink.sum(axis=0, dtype=float)
    return float(rows @ np.arange(len(rows)) / rows.sum()), float(columns @ np.arange(len(columns)) / columns.sum())
