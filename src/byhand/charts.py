"""Charts: plain arrays in, SVG and HTML out, on the standard library (and Pillow for pictures).

A chart is a tree of elements, as `xml.etree` builds it, and becomes text only at the very end. So whatever is written
into it, the class names of a stranger's data set among it, is escaped by construction; nothing is glued together from
strings. The two colours are told apart by all eyes (Okabe and Ito 2008), and a page may give others by the CSS
variables --blue and --orange; text takes the colour of the text around it, so a chart shows well on light and on dark.
"""

import base64
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, tostring

import numpy as np

Array = np.ndarray[Any, Any]
Child = Element | str | int | float | None
Points = Sequence[tuple[float, float | None]]

BLUE, ORANGE, FAINT = (0, 114, 178), (213, 94, 0), (128, 128, 128, 32)
WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 350, 30, 190  # where the axes of a chart lie
LOGARITHMIC_ABOVE = 50  # the largest over the smallest value of a chart
MOST_POINTS = 500
FEW = 20  # samples in a bin from which an accuracy means something
MOST_NUMBERS = 20  # classes in a confusion matrix that is written out
UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


# --- elements ---------------------------------------------------------------------------------------------------------


def tag(name: str, /, *children: Child, **attributes: Any) -> Element:
    """An element of HTML or SVG. Children are elements and texts, and None is left out. Attributes are spelled with _
    for -, and `class_` for class; one that is None is left out."""
    element = Element(name, {key.rstrip("_").replace("_", "-"): text(value)
                             for key, value in attributes.items() if value is not None})
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif child is not None and len(element):
            element[-1].tail = (element[-1].tail or "") + text(child)
        elif child is not None:
            element.text = (element.text or "") + text(child)
    return element


def text(value: Any) -> str:
    """What can stand in a page: numbers short, and a mark in the place of characters that no page may hold."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return UNSPEAKABLE.sub("\ufffd", str(value))


def html(element: Element) -> str:
    """The element as text."""
    return tostring(element, encoding="unicode", method="html")


def table(head: Sequence[Child], rows: Iterable[Sequence[Child]], **attributes: Any) -> Element:
    """A table. The first column names its row; a cell may be a `td` itself."""
    return tag("table", tag("thead", tag("tr", *[tag("th", cell, scope="col") for cell in head])),
               tag("tbody", *[tag("tr", tag("th", first, scope="row"), *[
                   cell if isinstance(cell, Element) and cell.tag == "td" else tag("td", cell) for cell in rest])
                              for first, *rest in rows]), **attributes)


def colour(which: tuple[int, int, int], name: str) -> str:
    """A colour that a page may change."""
    return f"var(--{name}, rgb{which})"


# --- lines ------------------------------------------------------------------------------------------------------------


def ticks(low: float, high: float, most: int = 5, least_step: float = 0.0) -> list[float]:
    """Round numbers from `low` or just below to `high` or just above, steps of 1, 2 or 5 times a power of ten."""
    raw = max((high - low) / most, least_step, 1e-12)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if raw <= m * power * (1 + 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def curves(series: Mapping[str, Points], what: str, percent: bool = False) -> Element:
    """Lines over epochs: the first in blue, the second dashed in orange. Values that are None or not finite are left
    out. The axis is logarithmic where one line reaches over several orders of magnitude; `percent` shows 0.9 as 90 %.

    Raises ValueError if there is nothing to draw.
    """
    lines = {name: thinned([(x, y) for x, y in points if y is not None and math.isfinite(y)])
             for name, points in series.items()}
    lines = {name: points for name, points in lines.items() if points}
    if not lines:
        raise ValueError(f"there is no finite {what} to draw.")
    xs, ys = zip(*[point for points in lines.values() for point in points], strict=True)
    logarithmic = min(ys) > 0 and max(ys) > LOGARITHMIC_ABOVE * min(ys) and not percent
    if logarithmic:
        marks = [10.0 ** n for n in range(math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys))) + 1)]
    else:
        marks = ticks(min(ys) if percent else min(0.0, *ys), max(ys), least_step=0.001 if percent else 0.0)
        marks = [mark for mark in marks if not percent or mark <= 1 + 1e-9]
    bend = math.log10 if logarithmic else float
    bottom, top, first, last = bend(marks[0]), bend(marks[-1]), min(xs), max(xs)
    first = 0.0 if first < 1 else first

    def right(x: float) -> float:
        return LEFT + 8 + (RIGHT - LEFT - 16) * ((x - first) / (last - first) if last > first else 0.5)

    def up(y: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (bend(y) - bottom) / (top - bottom)

    def written(y: float) -> str:
        return f"{100 * y:.4g} %" if percent else f"{y:.4g}".replace("e-0", "e-")

    said = "; ".join(f"{name} from {written(points[0][1])} to {written(points[-1][1])}"
                     for name, points in lines.items())
    title = f"{what} (logarithmic)" if logarithmic else what
    chart = canvas(HEIGHT, f"{what} from epoch {first:.4g} to {last:.4g}: {said}")
    chart.append(label(0, 16, title, "start"))
    for mark in marks[:: 1 + len(marks) // 9]:
        chart.append(rule(LEFT, up(mark), RIGHT, up(mark)))
        chart.append(label(LEFT - 6, up(mark) + 4, written(mark), "end"))
    for x in [x for x in ticks(first, last, 6, 1.0) if first <= x <= last]:
        chart.append(label(right(x), BOTTOM + 16, f"{x:.6g}"))
    chart.append(label(RIGHT, HEIGHT - 2, "epoch", "end"))
    for n, (name, points) in enumerate(lines.items()):
        ink = colour(ORANGE, "orange") if n else colour(BLUE, "blue")
        stroke = f"fill:none;stroke:{ink};stroke-width:2;stroke-linejoin:round" + ";stroke-dasharray:5 3" * n
        across = RIGHT - 90 * (len(lines) - n) + 6
        chart.append(tag("path", d=f"M{across} 12h22", style=stroke))
        chart.append(label(across + 27, 16, name, "start"))
        chart.append(tag("path", style=stroke, d="M" + "L".join(f"{right(x):.1f} {up(y):.1f}" for x, y in points)))
        for x, y in points if len(points) <= 30 else points[-1:]:
            chart.append(tag("circle", tag("title", f"{name}, epoch {x:.6g}: {written(y)}"), cx=right(x), cy=up(y), r=3,
                             style=f"fill:{ink}"))
    return chart


def thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """At most `MOST_POINTS` of them, the last among them."""
    return points[::-1][::1 + len(points) // (MOST_POINTS + 1)][::-1]


def canvas(height: int, said: str) -> Element:
    """An empty chart, with what it says for those who cannot see it."""
    return tag("svg", viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=said, class_="chart",
               style="width:100%;max-width:480px;font:11px system-ui,sans-serif")


def label(x: float, y: float, words: str, anchor: str = "middle") -> Element:
    """Text in a chart."""
    return tag("text", words, x=x, y=y, text_anchor=anchor, style="fill:currentColor;font-variant-numeric:tabular-nums")


def rule(x1: float, y1: float, x2: float, y2: float, dashed: bool = False) -> Element:
    """A thin line that one looks past."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke_dasharray="4 3" if dashed else None,
               style=f"stroke:currentColor;stroke-width:1;stroke-opacity:{0.6 if dashed else 0.15}")


# --- calibration ------------------------------------------------------------------------------------------------------


def reliability(edges: Array, counts: Array, confidence: Array, accuracy: Array) -> Element:
    """A reliability diagram: how often the network is right where it is so sure, and below it how often it is so sure.
    The arguments are those of `metrics.CalibrationBins`."""
    side, floor = RIGHT - LEFT, 270
    size = max(int(counts.max()), 1)
    chart = canvas(352, "reliability diagram: " + "; ".join(
        f"{n:,} samples {100 * c:.0f} % sure, {100 * a:.0f} % right"
        for n, c, a in zip(counts.tolist(), confidence, accuracy, strict=True) if n))
    for mark in (0, 0.25, 0.5, 0.75, 1):
        y = floor - 250 * mark
        chart.extend([rule(LEFT, y, RIGHT, y), label(LEFT - 6, y + 4, f"{100 * mark:.0f} %", "end"),
                      label(LEFT + side * mark - 12 * (mark == 1), 348, f"{100 * mark:.0f} %")])
    for left, right, n, sure, hit in zip(edges[:-1], edges[1:], counts.tolist(), confidence, accuracy, strict=True):
        x, width, tall = LEFT + side * left + 1, side * (right - left) - 2, 36 * math.sqrt(n / size)
        said = tag("title", f"{n:,} samples, {100 * sure:.1f} % sure on average, {100 * hit:.1f} % right")
        chart.append(tag("g", said, *[
            tag("rect", x=x, y=floor - 250 * hit, width=width, height=250 * hit,
                style=f"fill:{colour(BLUE, 'blue')};fill-opacity:{0.8 if n >= FEW else 0.3}"),
            tag("rect", x=x, y=332 - tall, width=width, height=tall, style="fill:currentColor;fill-opacity:.3"),
            tag("text", f"{n}" if n < 1000 else f"{n / 1000:.3g}k", x=x + width / 2, y=329 - tall,
                text_anchor="middle", style="fill:currentColor;font-size:8px")] if n else []))
    chart.append(rule(LEFT, floor, RIGHT, floor - 250, dashed=True))
    return chart


# --- pictures ---------------------------------------------------------------------------------------------------------


def confusion(counts: Array, classes: Sequence[str]) -> Element:
    """A confusion matrix (true classes as rows): right answers in blue, wrong ones in orange, stronger where they are a
    larger part of their row. Up to `MOST_NUMBERS` classes it is a table; above, a picture."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    strength = np.cbrt(share)  # a mistake in a hundred is to be seen
    np.fill_diagonal(strength, -share.diagonal())
    if len(classes) > MOST_NUMBERS:
        return image(tinted(strength, max(1, 480 // len(classes))), class_="matrix", alt=
                     f"confusion matrix of {len(classes)} classes, true classes from top to bottom, answers from left "
                     "to right; right answers on the diagonal in blue, mistakes in orange")
    upright = "writing-mode:vertical-rl;transform:rotate(180deg)" if max(map(len, classes)) > 4 else None
    return table(["is ↓ read →", *[tag("span", name, style=upright) for name in classes]], [
        [name, *[tag("td", str(n) if n else "·", style=shade(s)) for n, s in zip(row, strengths, strict=True)]]
        for name, row, strengths in zip(classes, counts.tolist(), strength.tolist(), strict=True)], class_="matrix")


def shade(strength: float) -> str:
    """The background of a cell, from -1, blue, by 0 to 1, orange; light enough for text in front of it."""
    return f"background:rgba{(*(ORANGE if strength > 0 else BLUE), round(0.55 * abs(strength), 3))}"


def tinted(values: Array, scale: int = 1) -> Array:
    """Values (H, W) from -1 to 1 as RGBA pixels: blue below 0, orange above, and 0 can be seen through, so it looks
    right on any ground."""
    strength = np.round(np.clip(np.abs(values), 0, 1) * 31) / 31 * 255  # 32 steps: the eye sees no more
    pixels = np.concatenate([np.where(values[..., None] > 0, ORANGE, BLUE), strength[..., None]], axis=-1)
    pixels[strength == 0] = 0
    return pixels.astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)


def sheet(pictures: Sequence[Array], columns: int, gap: int = 8) -> Array:
    """Pictures of one size (H, W, 4), RGBA, side by side in one, a gap between them. Where nothing is in a picture, it
    is a faint grey, so that one sees how far it goes."""
    height, width, _ = pictures[0].shape
    rows = -(-len(pictures) // columns)
    whole = np.zeros((rows * (height + gap) - gap, min(columns, len(pictures)) * (width + gap) - gap, 4), np.uint8)
    for n, picture in enumerate(pictures):
        y, x = n // columns * (height + gap), n % columns * (width + gap)
        whole[y:y + height, x:x + width] = np.where(picture[..., 3:] < FAINT[3], FAINT, picture)
    return whole


def image(pixels: Array, most: int | None = None, **attributes: Any) -> Element:
    """An <img> that carries its PNG in itself, made smaller where a side has more than `most` pixels.

    pixels: uint8, (H, W) or (H, W, 1) grey, or (H, W, 3 or 4) colour. Give it an `alt`.
    """
    from PIL import Image

    picture, file = Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels), io.BytesIO()
    if most is not None:
        picture.thumbnail((most, most))
    picture.save(file, "PNG", optimize=True)
    return tag("img", src=f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}", **attributes)
