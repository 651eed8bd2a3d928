"""Where on a picture is ink, and how much? What a person's eye does without being asked, step by step.

A sheet is never evenly bright: light falls from one side, a hand throws a shadow. So ink is not what is dark, but what
is darker than the paper around it. First the picture becomes one number a pixel, turned so that ink is dark. Then it is
held against the paper that must lie underneath. At last it is cut in two, ink and paper, and pixels of ink that touch
are put together to parts.
"""

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from byhand.pictures.parts import Parts, connected, written

Array = NDArray[Any]
Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; the last two just outside."""

MOST_PIXELS = 800_000  # larger pictures are shrunk to it, which takes away noise and no digit
COARSE = 64  # pixels; paper changes slowly, so its brightness is looked for on a small copy
WINDOWS = (0.05, 0.1, 0.2, 0.35, 0.5)  # of the picture's size: candidates between a stroke's and a shadow's
FAINTEST = 0.1  # of the light that the paper throws back is swallowed by the faintest ink
SMALLEST = 6  # pixels of ink
SHEET = 0.15  # of the picture's height and width, at least, are a sheet's


class Ink(NamedTuple):
    """What was found on a picture. All arrays are (H, W), of at most `MOST_PIXELS`."""

    place: Box
    """The part of the picture that was looked at: all of it, or a sheet that lies on something else."""
    grey: Array
    """One number a pixel, 0 to 255, dark on light."""
    strength: Array
    """How much darker than its paper a pixel is: 0 for paper, 1 for ink."""
    parts: Parts
    """Which pixels of ink hang together."""
    written: Array
    """The numbers, from 0, of the parts that a pen has written."""

    def on_picture(self, top: int, left: int, bottom: int, right: int) -> Box:
        """Where a box on these arrays lies on the picture."""
        across, down = ((self.place[k + 2] - self.place[k]) / self.grey.shape[1 - k] for k in (0, 1))
        return (self.place[0] + int(across * left), self.place[1] + int(down * top),
                self.place[0] + math.ceil(across * right), self.place[1] + math.ceil(down * bottom))


def find_ink(picture: Array, name: str = "the picture") -> Ink:
    """The ink on a picture, uint8 (H, W) or (H, W, 3), of any colour on any paper; if there is a sheet of paper on the
    picture with something written on it, the ink on that.

    Raises ValueError, with this `name`, if there is none.
    """
    ink = ink_within(picture, (0, 0, picture.shape[1], picture.shape[0]))
    if ink is None:
        raise ValueError(f"no ink was found in {name}.")
    sheet = sheet_below(ink) or between_edges(ink)
    inner = ink_within(picture, sheet) if sheet else None
    if inner is not None:
        boxes = inner.parts.boxes[inner.written]
        if boxes[:, :2].min() > 0 and (boxes[:, 2:].max(axis=0) < inner.grey.shape).all():
            return inner
    return ink


def ink_within(picture: Array, place: Box) -> Ink | None:
    """The ink within a part of a picture, or None. If one way to look at it shows none, such as a sheet in a frame
    that is taken for a light mark on dark ground, the next one may."""
    left, top, right, bottom = place
    views = dark_on_light(at_most(picture[top:bottom, left:right], MOST_PIXELS))
    return next((ink for grey in views if (ink := ink_on(grey, place))), None)


def ink_on(grey: Array, place: Box) -> Ink | None:
    """The dark ink on a part of a picture, or None."""
    darker = 1 - grey / np.maximum(paper(grey), 1)
    lowest, low = np.quantile(darker, (0.025, 0.25))  # both are paper, since at most half of a picture is ink
    rough = float(low - lowest) / 1.4  # the standard deviation of paper alone
    floor = float(low) + 5 * rough  # what is above it can hardly be paper
    above = darker[darker > floor]
    if not above.size:
        return None
    threshold = max(otsu(above), float(above.min()))  # between ink, and smudges and ruled lines above the paper too
    full = float(above[above >= threshold].mean())
    if full < max(FAINTEST, 8 * rough):
        return None
    parts = connected(darker >= threshold)
    if parts.areas.max() < SMALLEST:
        return None
    floor = min(floor, threshold / 2)
    return Ink(place, grey, np.clip((darker - floor) / (full - floor), 0, 1), parts, written(parts))


def sheet_below(ink: Ink) -> Box | None:
    """Where something lies on the picture that is too broad for a stroke, such as a sheet on a desk; without its edges.
    None if there is no such thing."""
    spans: list[tuple[int, int]] = []
    for axis in (1, 0):
        share = ink.strength.mean(axis=axis, dtype=float)
        there = np.flatnonzero(share > 0.5 * share.max())
        edge = 1 + (there[-1] - there[0]) // 16
        spans.append((int(there[0] + edge), int(there[-1] + 1 - edge)))
    (top, bottom), (left, right) = spans
    within = ink.strength[top:bottom, left:right]
    if min(n / whole for n, whole in zip(within.shape, ink.grey.shape, strict=True)) < SHEET:
        return None
    return ink.on_picture(top, left, bottom, right) if np.mean(within > 0.25) > 0.85 else None


def between_edges(ink: Ink) -> Box | None:
    """What lies between edges that are ink from end to end, as scans and frames have them; None if there are none."""
    spans: list[tuple[int, int]] = []
    for axis, length in zip((1, 0), ink.grey.shape, strict=True):
        clear = np.flatnonzero((ink.parts.labels > 0).mean(axis=axis) < 0.9)
        if not clear.size:
            return None
        soft = 1 + length // 64  # an edge goes over into paper
        begin, end = int(clear[0]), int(clear[-1]) + 1
        spans.append((begin + soft if begin else 0, end - soft if end < length else length))
    (top, bottom), (left, right) = spans
    cut = (top, left, bottom, right) != (0, 0, *ink.grey.shape)
    return ink.on_picture(top, left, bottom, right) if cut and top < bottom and left < right else None


def dark_on_light(picture: Array) -> list[Array]:
    """One number a pixel, float32 from 0 to 255, so that ink is dark: the ways to look at a picture, the best first.

    There are eight ways to look at a picture: its grey, or red, green or blue alone (yellow ink on white can hardly be
    seen in grey, and is black in blue light), each as it is or inverted. Best is the one in which what is darker than
    its paper has the strongest edges. Seen the wrong way round, that would only be the holes and corners between the
    strokes; they have fewer edges.
    """
    colours = [picture] if picture.ndim == 2 else list(np.moveaxis(picture, -1, 0))
    views: list[Array] = [np.asarray(colour, np.float32) for colour in colours]
    if len(views) == 3:
        views.append((2 * views[0] + 3 * views[1] + views[2]) / 6)
    views += [255 - view for view in views]
    return sorted(views, key=lambda view: -sum(edges(view, window) for window in WINDOWS))


def edges(grey: Array, window: float) -> float:
    """How strong those edges of a picture are that belong to what is darker than its paper: the slopes of both,
    multiplied. The paper goes on beyond the picture."""
    small = coarse(grey)
    pixels = in_pixels(window, small)
    framed = np.pad(small, pixels, mode="edge")
    darker = closing(framed, pixels) - framed
    return -float(sum((np.diff(darker, axis=axis) * np.diff(framed, axis=axis)).sum() for axis in (0, 1)))


def paper(grey: Array) -> Array:
    """How bright the paper is at each pixel, also below the ink.

    A small window follows a shadow closely, but takes a broad stroke for a shadow. So it is the window from which on
    larger ones hardly show more edges. If each shows more than the one before, there is no ink but uneven light, and
    the smallest will do; unless that shows nothing, because the strokes are as broad as the picture allows.
    """
    strengths = [edges(grey, window) for window in WINDOWS]
    shown = [strength / max(strengths[-1], 1e-9) for strength in strengths]
    enough = (wider for wider, (here, there) in zip(WINDOWS[1:], pairwise(shown), strict=False)
              if here > 0.2 and here > 0.9 * there)
    window = next(enough, WINDOWS[0] if shown[0] > 0.05 else WINDOWS[-1])
    small = coarse(grey)
    return scaled(closing(small, in_pixels(window, small)), *grey.shape)


def closing(grey: Array, window: int) -> Array:
    """The darkest of the brightest: fills what is dark and narrower than `window` pixels, and leaves the rest.

    The brightest pixel of a window is paper, wherever a stroke is narrower than the window. Of all windows that hold a
    pixel, the darkest one says how bright paper is just there (J. Serra 1982, "Image Analysis and Mathematical
    Morphology").
    """
    down, right = (min(window, n) for n in grey.shape)
    brightest = running(np.maximum, running(np.maximum, grey, down).T, right).T
    wide = np.pad(brightest, ((down - 1, down - 1), (right - 1, right - 1)), constant_values=np.inf)
    return running(np.minimum, running(np.minimum, wide, down).T, right).T  # of windows that lie inside the picture


def running(extreme: np.ufunc, rows: Array, window: int) -> Array:
    """The extreme of each `window` rows that follow one another (of all, if there are fewer); by doubling."""
    window, size = min(window, len(rows)), 1
    while size < window:
        step = min(size, window - size)
        rows = extreme(rows[:-step], rows[step:])
        size += step
    return rows


def otsu(values: Array) -> float:
    """The threshold that parts values best: the two sides differ most, weighted by how many are on each (N. Otsu 1979,
    "A threshold selection method from gray-level histograms")."""
    counts, bounds = np.histogram(values.astype(np.float64), 256)  # float32 may lack numbers between the bounds
    sums = np.cumsum(counts * [(a + b) / 2 for a, b in pairwise(bounds)])
    left = np.cumsum(counts)
    right = left[-1] - left
    means = sums / np.maximum(left, 1), (sums[-1] - sums) / np.maximum(right, 1)
    return float(bounds[1 + np.argmax(left * right * (means[0] - means[1]) ** 2)])


def in_pixels(window: float, grey: Array) -> int:
    """A share of a picture's size, the root of its area, in pixels."""
    return max(2, math.ceil(window * math.sqrt(grey.size)))


def coarse(grey: Array) -> Array:
    """A small copy; what is small already stays, since curves laid through its pixels would swing beyond them."""
    scale = min(1, COARSE / max(grey.shape))
    return scaled(grey, *(max(1, round(scale * n)) for n in grey.shape))


def at_most(picture: Array, pixels: int) -> Array:
    """A picture, made smaller if it has more pixels than that."""
    height, width = picture.shape[:2]
    scale = math.sqrt(pixels / (height * width))
    return picture if scale >= 1 else scaled(picture, max(1, round(scale * height)), max(1, round(scale * width)))


def scaled(picture: Array, height: int, width: int) -> Array:
    """A picture in another size, uint8 or float32: where it shrinks, a pixel is the mean of those that it stands for;
    where it grows, curves are laid through the pixels."""
    from PIL import Image

    shrinks = height * width < picture.shape[0] * picture.shape[1]
    way = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((width, height), way))
