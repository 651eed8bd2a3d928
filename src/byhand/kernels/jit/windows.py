"""Where things lie: pictures, windows, filters and slopes in flat memory, for the tiles that go through them.

Pictures lie channels-last, so the numbers of a pixel are neighbours. The filters are laid out anew for each step, one
row for each number of a window and one column for each filter, so that a vector holds the weights of neighbouring
filters. What a tile is given are lists of places: of all pixels of the result, and of all numbers in a window.
"""

from typing import NamedTuple

import numpy as np

from byhand.kernels.jit.cache import kernel, unit
from byhand.kernels.jit.tile import BROAD, FLAT, TALL, WIDE, tile
from byhand.kernels.jit.vectors import lanes
from byhand.kernels.reference import Window


class Shape(NamedTuple):
    """A convolution, in numbers: the pictures, the filters, the window, and the pool that follows (1 if none)."""

    channels: int
    height: int
    width: int
    filters: int
    rows: int
    columns: int
    size_down: int
    size_across: int
    stride_down: int
    stride_across: int
    padding_down: int
    padding_across: int
    dilation_down: int
    dilation_across: int
    groups: int
    pool: int
    relu: int

    @property
    def picture(self) -> int:
        """Numbers in a picture."""
        return self.channels * self.height * self.width

    @property
    def weights(self) -> int:
        """Numbers in all filters."""
        return self.filters * (self.channels // self.groups) * self.size_down * self.size_across

    @property
    def result(self) -> int:
        """Numbers in what a picture becomes, after the pool."""
        return self.filters * (self.rows // self.pool) * (self.columns // self.pool)

    @property
    def scratch(self) -> int:
        """Numbers of room that a thread needs: a picture in its frame, and its slopes in theirs."""
        return int(scratch_size(self))


def shape_of(picture: tuple[int, ...], filters: int, window: Window, groups: int, pool: int = 1,
             relu: int = 0) -> Shape:
    """The Shape of a convolution on pictures (C, H, W)."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = window
    rows, columns = window.output_size(*picture[1:])
    channels, height, width = picture
    return Shape(channels, height, width, filters, rows, columns, kh, kw, sh, sw, ph, pw, dh, dw, groups, pool, relu)


# --- how things lie ---------------------------------------------------------------------------------------------------


@kernel
def framed_size(shape):
    """Numbers in a picture with its padding."""
    return ((shape.height + 2 * shape.padding_down) * (shape.width + 2 * shape.padding_across)) * shape.channels


@kernel
def slopes_columns(shape):
    """Columns of the frame in which slopes lie."""
    return (shape.width + 2 * shape.padding_across) + (shape.size_across - 1) * shape.dilation_across


@kernel
def slopes_size(shape):
    """Numbers in the frame in which slopes lie, see `spread_slopes`."""
    rows = (shape.height + 2 * shape.padding_down) + (shape.size_down - 1) * shape.dilation_down
    return rows * slopes_columns(shape) * shape.filters


@kernel
def scratch_size(shape):
    """`Shape.scratch`."""
    window = shape.size_down * shape.size_across * (shape.channels // shape.groups)
    back = shape.rows * shape.columns * shape.filters + max(slopes_size(shape),
                                                            framed_size(shape) + shape.columns * window)
    return framed_size(shape) + max(back, shape.pool * shape.columns * shape.filters)


@kernel
def slopes_start(shape):
    """Where the first slope lies in that frame."""
    down, across = (shape.size_down - 1) * shape.dilation_down, (shape.size_across - 1) * shape.dilation_across
    return (down * slopes_columns(shape) + across) * shape.filters


@kernel
def window_numbers(shape, columns, channels, group):
    """Where the numbers of a window lie, (kH, kW, C), in a picture with so many columns and channels, of which it sees
    `group`."""
    numbers = np.empty(shape.size_down * shape.size_across * group, np.int64)
    for i in range(len(numbers)):
        tap, c = i // group, i % group
        down, across = tap // shape.size_across * shape.dilation_down, tap % shape.size_across * shape.dilation_across
        numbers[i] = (down * columns + across) * channels + c
    return numbers


@kernel
def places(rows, columns, down, across):
    """Where the windows begin in a picture, row by row; down, across: from one to the next."""
    found = np.empty(rows * columns, np.int64)
    for row in range(rows):
        for column in range(columns):
            found[row * columns + column] = row * down + column * across
    return found


@unit
def pack(first, last, weight, packed, shape):
    """The filters from `first` up to `last`, from (O, C, kH, kW) to (kH, kW, C, O)."""
    channels, area = shape.channels // shape.groups, shape.size_down * shape.size_across
    for c in range(channels):
        for tap in range(area):
            row = (tap * channels + c) * shape.filters
            for o in range(first, last):
                packed[row + o] = weight[(o * channels + c) * area + tap]


@unit
def unpack(first, last, packed, weight, shape):
    """The inverse of `pack`."""
    channels, area = shape.channels // shape.groups, shape.size_down * shape.size_across
    for o in range(first, last):
        for c in range(channels):
            for tap in range(area):
                weight[(o * channels + c) * area + tap] = packed[(tap * channels + c) * shape.filters + o]


@kernel
def by_channel(shape):
    """Whether each channel has one filter of its own ("depthwise"): there are no neighbouring filters for a tile then,
    but neighbouring channels."""
    return shape.groups > 1 and shape.groups == shape.channels and shape.groups == shape.filters


@kernel
def by_window(shape, lane):
    """Which of two ways back to the pictures takes fewer steps. Either each pixel collects the slopes of all windows
    that saw it, and neighbouring channels make the vectors. Or each window works out what to give to its numbers, which
    make the vectors, and gives it to the pixels. That is better for few channels, and where pixels at the border are
    seen by fewer windows."""
    inputs, outputs = shape.channels // shape.groups, shape.filters // shape.groups
    area, windows = shape.size_down * shape.size_across, shape.rows * shape.columns
    collect = shape.height * shape.width * ((inputs + lane - 1) // lane) * area * outputs
    work_out = windows * ((area * inputs + lane - 1) // lane) * outputs
    give = 6 * windows * shape.size_down * ((shape.size_across * inputs + lane - 1) // lane)
    return work_out + give < collect and not by_channel(shape)


@unit
def pack_back(first, last, weight, turned, shape):
    """The filters from `first` up to `last` for the way back, from (O, C, kH, kW) to (O, kH, kW, C) if it goes by
    window. Else turned by half a circle to (kH, kW, O, C): a slope goes back to every pixel that its window saw, so
    pixel and slope have changed places."""
    channels, area = shape.channels // shape.groups, shape.size_down * shape.size_across
    if by_window(shape, lanes(weight)):
        for o in range(first, last):
            for tap in range(area):
                for c in range(channels):
                    turned[(o * area + tap) * channels + c] = weight[(o * channels + c) * area + tap]
        return
    filters = shape.filters // shape.groups
    for o in range(first, last):
        group = o // filters
        for tap in range(area):
            row = ((area - 1 - tap) * filters + o % filters) * shape.channels + group * channels
            for c in range(channels):
                turned[row + c] = weight[(o * channels + c) * area + tap]


@kernel
def put_in_frame(n, x, frame, shape):
    """Picture n into the middle of the frame, whose border is zero already."""
    wide = (shape.width + 2 * shape.padding_across) * shape.channels
    line = shape.width * shape.channels
    for row in range(shape.height):
        to = (row + shape.padding_down) * wide + shape.padding_across * shape.channels
        at = (n * shape.height + row) * line
        for i in range(line):
            frame[to + i] = x[at + i]


@unit
def take_from_frame(n, frame, x, shape):
    """The middle of the frame as picture n."""
    wide = (shape.width + 2 * shape.padding_across) * shape.channels
    line = shape.width * shape.channels
    for row in range(shape.height):
        at = (row + shape.padding_down) * wide + shape.padding_across * shape.channels
        to = (n * shape.height + row) * line
        for i in range(line):
            x[to + i] = frame[at + i]


@unit
def clear(x):
    """0 in all of x."""
    for i in range(len(x)):
        x[i] = 0


@kernel
def tiles(count, rows, row0, steps, step0, step_count, a, a0, b, b0, b_step, c, c0, c_row, columns, begin, bias, bias0,
          relu):
    """`count` rows of sums and `columns` of them, in as few and as even tiles as it takes; see `tile`."""
    lane = lanes(c)
    j = 0
    while j < columns:
        left = (columns - j + lane - 1) // lane
        width = 3 if left == 3 else 2 if left > 1 else 1
        if count == 1 and left >= FLAT // 2:  # a single row is as wide as it takes to keep the processor busy
            width = FLAT if left >= FLAT else FLAT // 2
        last = min(lane, columns - j - (width - 1) * lane)
        limit = TALL if width == 1 else WIDE if width == 2 else BROAD if width == 3 else 1
        height = (count + (count + limit - 1) // limit - 1) // ((count + limit - 1) // limit)
        whole = count // height
        tile(height, width, last, a, a0, rows, row0, steps, step0, step_count, b, b0 + j, b_step, c, c0 + j, c_row,
             whole, begin, bias, bias0 + j, relu)
        done = whole * height
        if done < count:
            tile(count - done, width, last, a, a0, rows, row0 + done, steps, step0, step_count, b, b0 + j, b_step, c,
                 c0 + done * c_row + j, c_row, 1, begin, bias, bias0 + j, relu)
        j += width * lane
