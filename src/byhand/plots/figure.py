"""What all figures share: the paper, the colors, the tiles that pictures are laid out in, and the file they end in."""

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from byhand.atomic import write_atomically
from byhand.pictures import as_pixels


class MissingMatplotlib(ImportError, ValueError):
    """The library that draws is not installed. Something a user can mend, so it is a ValueError too."""


try:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure, SubFigure
except ImportError:
    raise MissingMatplotlib("drawing needs matplotlib; pip install 'byhand[plots]'.") from None

Array = np.ndarray[Any, Any]
Paper = Figure | SubFigure
"""What can be drawn on: a page, or a part of one."""
INK, GREY, LIGHT, BLUE, ORANGE = "#222222", "#6b6b6b", "#dddddd", "#0072b2", "#d55e00"  # the last two: Okabe and Ito
SIGNED = LinearSegmentedColormap.from_list("signed", [BLUE, "#ffffff", ORANGE])
"""From blue (negative) over white (0) to orange (positive)."""
SUFFIXES = (".png", ".svg", ".pdf")
LARGEST_TILE = 112


class Picture(Figure):
    """A matplotlib figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        return self.to_bytes("png")

    def to_bytes(self, kind: str) -> bytes:
        """The figure as a file: png, svg or pdf. The same figure gives the same bytes."""
        buffer = io.BytesIO()
        dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # a name in a script that the font does not have
            self.savefig(buffer, format=kind, metadata=dates.get(kind))
        return buffer.getvalue()


def paper(width: float, height: float, title: str = "") -> Picture:
    """An empty figure of this size, in inches, with a title on the left."""
    figure = Picture(figsize=(width, height), dpi=130, layout="constrained", facecolor="white")
    if title:
        figure.suptitle(plain(title), x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    return figure


def whole(part: Paper) -> Picture:
    """The page that a part belongs to."""
    return cast(Picture, part.figure)


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file for a figure. Raises, before any work is done, if it could not be written: ValueError for a
    kind of file that no figure is saved as, FileNotFoundError if there is no such folder."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"a figure is saved as {', '.join(SUFFIXES)}; {path} is none of these.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}.")
    return path


def write(figure: Picture, path: str | os.PathLike[str]) -> None:
    """Save a figure, whole or not at all, as its suffix says. Raises like `check_file`, and OSError."""
    write_atomically(path, figure.to_bytes(check_file(path).suffix.lower()[1:]))


def quiet(axes: Axes, title: str = "", x: str = "", y: str = "") -> Axes:
    """Axes with nothing that does not speak: no frame, a pale grid under the data, a title on the left."""
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(x, fontsize=9, color=GREY)
    axes.set_ylabel(y, fontsize=9, color=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LIGHT)
    axes.tick_params(which="both", colors=GREY, labelsize=8, length=0)
    axes.grid(color=LIGHT, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def bare(axes: Axes, title: str = "") -> Axes:
    """Axes for pictures: no scale, no frame."""
    axes.set_title(title, loc="left", fontsize=9, color=INK)
    axes.set_axis_off()
    return axes


def as_rgb(images: Any) -> Array:
    """Pictures (N, C, H, W) as (N, H, W, 3) bytes, without what says how transparent they are. Raises ValueError as
    `byhand.pictures.as_pixels` does."""
    pixels = as_pixels(images)[..., :3]
    step = -(-max(pixels.shape[1:3]) // LARGEST_TILE)  # no more pixels than can be seen
    return np.repeat(pixels[:, ::step, ::step], 3 // pixels.shape[-1], axis=-1)


def mosaic(tiles: Array, columns: int, gap: int = 2, *, below: int = 0) -> Array:
    """Tiles (N, H, W, ...) side by side, row by row, `gap` pixels apart and `below` more under each for a caption. What
    is not covered is white: 255 among bytes, NaN among other numbers."""
    n, height, width = tiles.shape[:3]
    rows = -(-n // columns)
    blank = 255 if tiles.dtype == np.uint8 else np.nan
    sheet = np.full((rows * (height + gap + below) - gap, columns * (width + gap) - gap, *tiles.shape[3:]), blank,
                    tiles.dtype)
    for i, tile in enumerate(tiles):
        top, left = corner(i, tiles, columns, gap, below)
        sheet[top:top + height, left:left + width] = tile
    return sheet


def corner(i: int, tiles: Array, columns: int, gap: int = 2, below: int = 0) -> tuple[int, int]:
    """The row and column of tile i's first pixel in a mosaic."""
    return i // columns * (tiles.shape[1] + gap + below), i % columns * (tiles.shape[2] + gap)


def named(classes: Sequence[str], count: int, most: int = 16) -> list[str]:
    """A name for each of `count` classes, of at most so many letters: theirs, then their numbers."""
    names = [*map(str, classes), *map(str, range(len(classes), count))][:count]
    return [plain(name if len(name) <= most else f"{name[:most - 1]}…") for name in names]


def plain(text: str) -> str:
    """Text that matplotlib takes as it is, without reading formulas into its dollar signs."""
    return "".join(c if c.isprintable() else " " for c in text).replace("$", r"\$")


def table(axes: Axes, lines: Sequence[str]) -> None:
    """Lines of text as they would stand in a terminal."""
    bare(axes)
    axes.text(0, 1, "\n".join(map(plain, lines)), family="monospace", fontsize=7.5, color=INK, va="top",
              linespacing=1.45, transform=axes.transAxes)
