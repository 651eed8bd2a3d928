"""What is inside a network: its first weights as pictures, the way of one image through it, and its table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from byhand.pictures import is_pictures
from byhand.plots.figure import INK, SIGNED, Paper, Picture, as_rgb, bare, mosaic, named, paper, plain, table, whole

Array = np.ndarray[Any, Any]
Step = tuple[str, Array]
"""A layer's title, and its output for one sample: (C, H, W) or (features,)."""
MOST_TILES, MOST_CELLS, MOST_STEPS, PER_ROW = 64, 1024, 24, 8


def weights(array: Any, shape: Sequence[int] | None = None, on: Paper | None = None) -> Picture:
    """The weights of a first layer as pictures, blue where they are negative, white at 0, orange where positive: a tile
    for each unit or filter, 64 at most.

    array: (units, inputs) of a linear layer, whose inputs are laid out in `shape`, of a sample, such as (1, 28, 28) (a
    square, if not given); or (filters, channels, kH, kW) of a convolution, whose filters are shown channel by channel.
    """
    tiles, units = weight_tiles(array, shape), len(array)
    most = float(np.abs(tiles).max()) or 1.0
    figure = on or paper(max(0.75 * min(len(tiles), PER_ROW), 4.5), 0.75 * -(-len(tiles) // PER_ROW) + 0.5)
    part = f", of the first of {units} units" if len(tiles) == MOST_TILES else ""
    axes = bare(figure.add_subplot(), f"first weights, from {-most:.2g} (blue) to {most:.2g} (orange){part}")
    page = mosaic(tiles, min(len(tiles), PER_ROW), max(1, tiles.shape[1] // 9))
    axes.imshow(page, cmap=SIGNED, vmin=-most, vmax=most)
    axes.set_anchor("NW")
    return whole(figure)


def weight_tiles(array: Any, shape: Sequence[int] | None = None) -> Array:
    """Weights as tiles (N, height, width), 64 at most. Raises ValueError if they cannot be laid out."""
    values = np.asarray(array, float)
    if values.ndim == 2 and values.size:
        side = round(values.shape[1] ** 0.5)
        rows, columns = (0, 0, *((side, side) if shape is None else shape))[-2:]
        if not rows * columns or values.shape[1] % (rows * columns):
            raise ValueError(f"weights for {values.shape[1]} inputs cannot be laid out as pictures of {rows} x "
                             f"{columns}; give the shape of a sample.")
        values = values.reshape(len(values), -1, rows, columns)
    if values.ndim != 4 or not values.size or not np.isfinite(values).all():
        raise ValueError("weights are pictures if they are finite numbers of shape (units, inputs) or (filters, "
                         f"channels, kH, kW); these have {values.shape}.")
    return values[:max(1, MOST_TILES // values.shape[1])].reshape(-1, *values.shape[2:])[:MOST_TILES]


def activations(image: Any, steps: Sequence[Step], classes: Sequence[str] = (), on: Paper | None = None) -> Picture:
    """One image's way through a network: what each layer made of it, a row a layer.

    image: (C, H, W) or any other sample. steps: for each layer a title and its output, (C, H, W) or (features,); of
    more than 24 steps the first are shown, and the last, whose values are named by `classes`.
    """
    shown = [("the input", np.asarray(image)), *steps]
    if len(shown) > MOST_STEPS:
        shown = [*shown[:MOST_STEPS - 1], shown[-1]]
    figure = on or paper(9, 0.5 + 0.62 * len(shown))
    grid = figure.subplots(len(shown), 2, width_ratios=[1, 4.2], squeeze=False)
    for i, (title, values) in enumerate(shown):
        left, right = bare(grid[i, 0]), bare(grid[i, 1])
        left.text(1, 0.5, plain(title), ha="right", va="center", fontsize=8.5, color=INK, transform=left.transAxes)
        if i == 0 and is_pictures(values[None]):
            right.imshow(as_rgb(values[None])[0])
        else:
            draw_output(right, np.asarray(values, float))
        right.set_anchor("W")
    if np.shape(shown[-1][1]) == (len(classes),) and len(classes) <= MOST_STEPS:
        names = named(classes, len(classes))
        slant, end = (0, "center") if max(map(len, names)) < 7 else (35, "right")  # so that long names do not collide
        for k, name in enumerate(names):
            grid[-1, 1].text(k, 0.75, name, rotation=slant, ha=end, va="top", fontsize=7.5, color=INK)
    return whole(figure)


def draw_output(axes: Axes, values: Array) -> None:
    """One layer's output: each channel a tile, or each feature a cell."""
    if values.ndim == 3:
        page = mosaic(values[:MOST_TILES // 2], min(len(values), MOST_TILES // 2), max(1, values.shape[1] // 9))
    else:
        cells = values.reshape(-1)[:MOST_CELLS]
        columns = min(len(cells), 64)
        page = mosaic(cells[:, None, None], columns, 0)
    most = float(np.nanmax(np.abs(page))) or 1.0
    thin = values.ndim != 3 and 10 < page.size <= 128  # a row or two of cells: taller ones, to be seen
    axes.imshow(page, cmap=SIGNED, vmin=-most, vmax=most, interpolation="nearest", aspect=2 if thin else "equal")


def model_sheet(title: str, summary: str, array: Any = None, shape: Sequence[int] | None = None, image: Any = None,
                steps: Sequence[Step] = (), classes: Sequence[str] = ()) -> Picture:
    """A model on one page: its table, as `Module.summary` gives it, its first weights, and one image's way through it,
    as far as they are given."""
    lines = summary.splitlines()
    tiles = 0 if array is None else len(weight_tiles(array, shape))
    upper, lower = max(0.158 * len(lines) + 0.3, 0.55 * -(-tiles // PER_ROW) + 0.6), 0.62 * min(len(steps), MOST_STEPS)
    figure = paper(11, upper + lower + 1, title)
    grid = figure.add_gridspec(2, 2, width_ratios=[1.1, 1], height_ratios=[upper, lower + 0.4])
    table(figure.add_subfigure(grid[0, 0]).add_subplot(), lines)
    if tiles:
        weights(array, shape, figure.add_subfigure(grid[0, 1]))
    if steps:
        activations(image, steps, classes, figure.add_subfigure(grid[1, :]))
    return figure
