"""The steps of reading, drawn: from the picture as it came to the digit that the network saw, and what it made of it.

When a digit is misread, this sheet tells whose fault it is: something else was taken for ink, the digit was cut off,
or all went well and the network is wrong.
"""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from byhand.pictures.digits import Digit
from byhand.pictures.ink import Box, Ink, at_most, scaled

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Array = NDArray[Any]

PANEL, GAP, LINE = 300, 32, 34  # pixels
BARS = 420
DARK, FAINT, GROUND, BAR, BEST = "#1c2733", "#6b7785", "#eef1f4", "#c3ccd6", "#2563eb"
ENOUGH = 400_000  # pixels; more of a picture cannot be seen on the sheet
SCREEN = 1.6  # times as wide as it is high


class Row(NamedTuple):
    """A row of the sheet: a title, pictures with what they show, and the probability of each class."""

    title: str
    panels: Sequence[tuple[str, Array]]
    """uint8 (H, W) or (H, W, 3)."""
    classes: Sequence[str] = ()
    probabilities: Sequence[float] = ()
    size: int = PANEL
    """Of a panel, in pixels."""

    @property
    def height(self) -> int:
        """In pixels, with what is written above and below, and the gap to the next row."""
        return self.size + 2 * LINE + GAP

    @property
    def width(self) -> int:
        """In pixels, with the gap before it."""
        return GAP + len(self.panels) * (self.size + GAP) + (BARS if self.classes else 0)


def steps(digit: Digit) -> list[tuple[str, Array]]:
    """What a digit went through, as panels."""
    return [as_read(digit.picture), *found(digit.ink), ("cropped", as_bytes(1 - digit.cropped)),
            ("28 x 28, as in MNIST", digit.image)]


def as_read(picture: Array) -> tuple[str, Array]:
    """A picture before anything is done, as a panel."""
    return "as read", at_most(picture, ENOUGH)


def found(ink: Ink) -> list[tuple[str, Array]]:
    """What was found on a whole picture, as panels."""
    mask = np.where(ink.parts.labels > 0, np.uint8(0), np.uint8(255))
    return [("evened out", as_bytes(1 - ink.strength)), ("ink", mask)]


def with_boxes(picture: Array, boxes: Sequence[Box], readings: Sequence[str]) -> Array:
    """The picture, RGB, with a box around each digit and its reading above it."""
    from PIL import Image, ImageDraw

    scale = math.sqrt(ENOUGH / (picture.shape[0] * picture.shape[1]))
    image = Image.fromarray(scaled(picture, *(max(1, round(scale * n)) for n in picture.shape[:2]))).convert("RGB")
    pen = ImageDraw.Draw(image)
    for box, reading in zip(boxes, readings, strict=True):
        left, top, right, bottom = (round(scale * n) for n in box)
        pen.rectangle((left - 4, top - 4, right + 3, bottom + 3), outline=BEST, width=2)
        pen.text((left, top - 6), reading, fill=BEST, font=font(24), anchor="ld", stroke_width=2, stroke_fill="white")
    return np.asarray(image)


def sheet(rows: Sequence[Row]) -> bytes:
    """A PNG file with these rows, at least one: one below the other, in as many columns as bring it near the shape of a
    screen."""
    from PIL import Image, ImageDraw

    columns = min((in_columns(rows, count) for count in range(1, len(rows) + 1)),
                  key=lambda found: abs(math.log(size_of(found)[0] / size_of(found)[1] / SCREEN)))
    image = Image.new("RGB", size_of(columns), "white")
    pen, left = ImageDraw.Draw(image), 0
    for column in columns:
        top = GAP
        for row in column:
            draw(image, pen, left + GAP, top, row)
            top += row.height
        left += max(row.width for row in column)
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def in_columns(rows: Sequence[Row], count: int) -> list[list[Row]]:
    """The rows in as many columns, about equally high: each goes where its middle is, if they are thought of as one
    column that is cut. Columns without a row are left out."""
    columns: list[list[Row]] = [[] for _ in range(count)]
    total, above = sum(row.height for row in rows), 0
    for row in rows:
        columns[int((above + row.height / 2) * count / total)].append(row)
        above += row.height
    return [column for column in columns if column]


def size_of(columns: Sequence[Sequence[Row]]) -> tuple[int, int]:
    """Width and height of a sheet with these columns."""
    return (sum(max(row.width for row in column) for column in columns),
            GAP + max(sum(row.height for row in column) for column in columns))


def draw(image: "Image", pen: "ImageDraw", left: int, top: int, row: Row) -> None:
    """A row: its title, below that the pictures, and the bars beside them. A title that is too long for its column is
    cut off, not written over the next."""
    pen.text((left, top), shortened(pen, row.title, row.width - GAP), fill=DARK, font=font(24))
    top += LINE
    for caption, picture in row.panels:
        image.paste(framed(picture, row.size), (left, top))
        pen.text((left + row.size / 2, top + row.size + 8), caption, fill=FAINT, font=font(20), anchor="mt")
        left += row.size + GAP
    draw_bars(pen, left, top, row)


def shortened(pen: "ImageDraw", title: str, room: float) -> str:
    """As much of a title as fits into so many pixels, with dots at the end if that is not all."""
    if pen.textlength(title, font=font(24)) <= room:
        return title
    fits = max((n for n in range(len(title)) if pen.textlength(f"{title[:n]}...", font=font(24)) <= room), default=0)
    return f"{title[:fits]}..."


def framed(picture: Array, size: int) -> "Image":
    """A picture in the middle of a square: large ones shrunk, small ones so enlarged that their pixels can be seen."""
    from PIL import Image

    square, image = Image.new("RGB", (size, size), GROUND), Image.fromarray(picture)
    scale = (size - 8) / max(image.size)
    way = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    image = image.resize([max(1, int(n * scale)) for n in image.size], way)
    square.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return square


def draw_bars(pen: "ImageDraw", left: float, top: float, row: Row) -> None:
    """The probability of each class as a bar; of more than ten classes, the ten most probable."""
    shown = sorted(np.argsort(row.probabilities)[::-1][:10])
    widest = max((pen.textlength(row.classes[k], font=font(20)) for k in shown), default=0)
    begin, end = left + widest + 12, left + BARS - 80
    for line, k in enumerate(shown):
        p, middle = row.probabilities[k], top + (line + 0.5) * PANEL / 10
        best = p == max(row.probabilities)
        pen.text((begin - 12, middle), row.classes[k], fill=BEST if best else DARK, font=font(20), anchor="rm")
        pen.rectangle((begin, middle - 9, begin + 2 + p * (end - begin), middle + 9), fill=BEST if best else BAR)
        if p >= 0.001:
            pen.text((begin + 12 + p * (end - begin), middle), f"{100 * p:.1f} %", fill=BEST if best else FAINT,
                     font=font(18), anchor="lm")


def as_bytes(values: Array) -> Array:
    """0 to 1 as 0 to 255."""
    return np.rint(255 * values).astype(np.uint8)


def font(size: int) -> Any:
    """The face that comes with Pillow."""
    from PIL import ImageFont

    return ImageFont.load_default(size)
