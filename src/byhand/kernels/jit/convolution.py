"""Convolution and its two gradients, each a register tile (see `tile.py`) led over the picture.

Pictures lie channels-last, so a row of a window is one unbroken run of numbers. The filters are laid out anew for each
step, one row for each number of a window and one column for each filter, so that a vector holds the weights of
neighbouring filters: then neighbouring pixels are the rows of a tile, and the window is what is summed over.

What follows a convolution in most networks, relu and max pooling, is done before its results have left the cache: as
many rows of the picture as a pool is high are computed at a time, and pooled at once.

Bodies do the pictures from `first` up to `last`. Their arrays are flat, and `shape` says how they lie.
"""

from typing import Any, NamedTuple

import numpy as np

from byhand.kernels import reference
from byhand.kernels.jit.cache import kernel, unit
from byhand.kernels.jit.runs import NOBODY, add_run, pool_run, unpool_run
from byhand.kernels.jit.sharing import Array, fast, flat, share, share_sum
from byhand.kernels.jit.tile import ADD, BIAS, FLAT, FRESH, TALL, WIDE, lanes, tile
from byhand.kernels.reference.convolution import Window, channels_first, channels_last


BAND = 128  # pixels of slopes that meet their windows at a time


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
    return Shape(*picture, filters, rows, columns, kh, kw, sh, sw, ph, pw, dh, dw, groups, pool, relu)


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
        width = 2 if columns - j > lane else 1
        for flat in (FLAT, FLAT // 2):  # a single row is as wide as it takes to keep the processor busy
            if count == 1 and flat > width and columns - j > lane * (flat - 1):
                width = flat
        last = min(lane, columns - j - (width - 1) * lane)
        limit = TALL if width == 1 else WIDE if width == 2 else 1
        height = (count + (count + limit - 1) // limit - 1) // ((count + limit - 1) // limit)
        whole = count // height
        tile(height, width, last, a, a0, rows, row0, steps, step0, step_count, b, b0 + j, b_step, c, c0 + j, c_row, whole,
             begin, bias, bias0 + j, relu)
        done = whole * height
        if done < count:
            tile(count - done, width, last, a, a0, rows, row0 + done, steps, step0, step_count, b, b0 + j, b_step, c,
                 c0 + done * c_row + j, c_row, 1, begin, bias, bias0 + j, relu)
        j += width * lane


# --- forward ----------------------------------------------------------------------------------------------------------


@unit
def filter_pixels(count, first, pixels, numbers, picture, x, w, bias, y, y0, relu, shape):
    """`count` pixels of the result, from number `first` of the list `pixels` on, into y[y0:]. picture: where the framed
    picture begins in x; numbers: of a window."""
    if by_channel(shape):
        weigh_channels(count, first, pixels, numbers, x, picture, w, bias, y, y0, relu)
        return
    inputs, outputs = shape.channels // shape.groups, shape.filters // shape.groups
    for group in range(shape.groups):
        tiles(count, pixels, first, numbers, 0, len(numbers), x, picture + group * inputs, w, group * outputs,
              shape.filters, y, y0 + group * outputs, shape.filters, outputs, BIAS if len(bias) else FRESH, bias,
              group * outputs, relu)


@unit
def weigh_channels(count, first, pixels, taps, x, x0, w, bias, y, y0, relu):
    """`filter_pixels` where each channel has one filter. w: (taps, C)."""
    channels = len(w) // len(taps)
    zero = y.dtype.type(0)
    for pixel in range(count):
        sums = y[y0 + pixel * channels:y0 + (pixel + 1) * channels]
        for c in range(channels):
            sums[c] = bias[c] if len(bias) else zero
        for tap in range(len(taps)):
            at = x0 + pixels[first + pixel] + taps[tap]
            numbers, weights = x[at:at + channels], w[tap * channels:(tap + 1) * channels]
            for c in range(channels):
                sums[c] += numbers[c] * weights[c]
        if relu:
            for c in range(channels):
                sums[c] = zero if sums[c] < zero else sums[c]


@unit
def weight_slopes_by_channel(fresh, picture, x, g, g0, numbers, pixels, dw):
    """`add_weight_slopes` where each channel has one filter."""
    channels = len(dw) // len(numbers)
    if fresh:
        clear(dw)
    for tap in range(len(numbers)):
        sums = dw[tap * channels:(tap + 1) * channels]
        for pixel in range(len(pixels)):
            at, slope_at = picture + pixels[pixel] + numbers[tap], g0 + pixel * channels
            here, slopes = x[at:at + channels], g[slope_at:slope_at + channels]
            for c in range(channels):
                sums[c] += here[c] * slopes[c]


@unit
def pool_line(row, lines, y, winner, y0, shape):
    """The largest of each pool of the lines, (pool, columns, filters), cut off at 0 if there is a relu, and which it
    was: NOBODY where relu cut it off. A number that is none beats all."""
    filters, pool = shape.filters, shape.pool
    columns = shape.columns // pool
    zero, nobody = y.dtype.type(0), np.uint8(NOBODY * (shape.relu != 0))
    for q in range(columns):
        to = y0 + (row * columns + q) * filters
        at = q * pool * filters
        if pool == 2:
            pool_run(lines, at, filters, columns * 2 * filters, y, to, winner, filters, shape.relu)
            continue
        largest, which = y[to:to + filters], winner[to:to + filters]
        for o in range(filters):
            largest[o] = lines[at + o]
            which[o] = 0
        for tap in range(1, pool * pool):
            start = at + tap // pool * columns * pool * filters + tap % pool * filters
            line = lines[start:start + filters]
            for o in range(filters):
                best, new = largest[o], line[o]
                which[o] = max(which[o], np.uint8(tap) * np.uint8(new > best))
                largest[o] = new if (new > best) | (new != new) else best
        for o in range(filters):
            best = largest[o]
            which[o] = max(which[o], nobody * (np.uint8(1) - np.uint8(best > zero)))
            largest[o] = best if (best > zero) | (best != best) | (nobody == 0) else zero


@unit
def conv_forward(first, last, x, w, bias, y, winner, scratch, shape):
    """y = pool(relu(x * w + bias)). x: (N, H, W, C), w: packed, bias: (O,) or empty, y: (N, H', W', O) after pooling,
    winner: like y, which element of each pool was the largest. scratch: a thread's own, `shape.scratch` numbers."""
    framed = shape.padding_down > 0 or shape.padding_across > 0
    wide = (shape.width + 2 * shape.padding_across) * shape.channels
    rows, columns = shape.rows // shape.pool, shape.columns // shape.pool * shape.pool
    pixels = places(rows * shape.pool, columns, shape.stride_down * wide, shape.stride_across * shape.channels)
    numbers = window_numbers(shape, shape.width + 2 * shape.padding_across, shape.channels,
                             shape.channels // shape.groups)
    frame = scratch[:framed_size(shape)]
    lines = scratch[framed_size(shape):]
    if framed:
        clear(frame)
    source = frame if framed else x
    result = shape.filters * rows * (columns // shape.pool)
    for n in range(first, last):
        if framed:
            put_in_frame(n, x, frame, shape)
        picture = 0 if framed else n * shape.height * shape.width * shape.channels
        if shape.pool == 1:
            filter_pixels(rows * columns, 0, pixels, numbers, picture, source, w, bias, y, n * result, shape.relu,
                          shape)
            continue
        for row in range(rows):
            filter_pixels(shape.pool * columns, row * shape.pool * columns, pixels, numbers, picture, source, w, bias,
                          lines, 0, 0, shape)
            pool_line(row, lines, y, winner, n * result, shape)


# --- backward ---------------------------------------------------------------------------------------------------------


@unit
def unpool(n, g, winner, slopes, db, shape):
    """The slopes of picture n, back through the pool: (rows, columns, O). They are added to db, if that is not empty."""
    filters, pool = shape.filters, shape.pool
    rows, columns = shape.rows // pool, shape.columns // pool
    down = shape.columns * filters
    zero = g.dtype.type(0)
    for row in range(rows):
        for q in range(columns):
            at = ((n * rows + row) * columns + q) * filters
            to = row * pool * down + q * pool * filters
            if pool == 2:
                unpool_run(g, at, winner, slopes, to, filters, down, db, len(db), filters)
                continue
            here, which = g[at:at + filters], winner[at:at + filters]
            for tap in range(pool * pool):
                there = to + tap // pool * down + tap % pool * filters
                place = slopes[there:there + filters]
                number = np.uint8(tap)
                for o in range(filters):
                    value = here[o]
                    place[o] = value if which[o] == number else zero
            for o in range(len(db)):
                value = here[o]
                db[o] += value if which[o] != NOBODY else zero


@unit
def cut_off(g, y, db, shape):
    """Without a pool: cut off the slopes g of one picture where relu cut off the result y, and add what is left to db,
    if that is not empty."""
    zero = g.dtype.type(0)
    if shape.relu:
        for i in range(len(g)):
            value = g[i]
            g[i] = value if y[i] > zero else zero
    if len(db):
        for start in range(0, len(g), shape.filters):
            add_run(db, 0, g, start, shape.filters)


@unit
def add_weight_slopes(begin, picture, x, g, g0, numbers, pixels, dw, shape):
    """What one picture adds to the gradient of the packed weights: the numbers of its windows times the slopes from
    g[g0] on, summed over all pixels of the result."""
    if by_channel(shape):
        weight_slopes_by_channel(begin == FRESH, picture, x, g, g0, numbers, pixels, dw)
        return
    inputs, outputs = shape.channels // shape.groups, shape.filters // shape.groups
    for first in range(0, len(pixels), BAND):  # few enough pixels for all tiles to find them in the nearest cache
        count = min(BAND, len(pixels) - first)
        for group in range(shape.groups):
            tiles(len(numbers), numbers, 0, pixels, first, count, x, picture + group * inputs,
                  g, g0 + first * shape.filters + group * outputs, shape.filters, dw, group * outputs, shape.filters,
                  outputs, ADD if first else begin, dw, 0, 0)


@unit
def collect_slopes(n, g, g0, slopes, turned, dx, pixels, numbers, shape):
    """The gradient of picture n, pixel by pixel: a convolution with the turned filters. For it the slopes from g[g0] on
    are framed by as much as a window reaches, and spread by the stride; between and around them is zero."""
    inputs, outputs = shape.channels // shape.groups, shape.filters // shape.groups
    wide = slopes_columns(shape) * shape.filters
    for row in range(shape.rows):
        for q in range(shape.columns):
            to = slopes_start(shape) + row * shape.stride_down * wide + q * shape.stride_across * shape.filters
            at = g0 + (row * shape.columns + q) * shape.filters
            for o in range(shape.filters):
                slopes[to + o] = g[at + o]
    start = shape.padding_down * wide + shape.padding_across * shape.filters
    picture = n * shape.height * shape.width * shape.channels
    if by_channel(shape):
        weigh_channels(len(pixels), 0, pixels, numbers, slopes, start, turned, dx[:0], dx, picture, 0)
        return
    for group in range(shape.groups):
        tiles(len(pixels), pixels, 0, numbers, 0, len(numbers), slopes, start + group * outputs, turned, group * inputs,
              shape.channels, dx, picture + group * inputs, shape.channels, inputs, FRESH, dx, 0, 0)


@unit
def give_slopes(g, g0, filters, frame, window, shape):
    """The gradient of one framed picture, window by window: what each gives to its numbers is a product of slopes, from
    g[g0] on, and filters, (O, kH, kW, C), and is added to the picture where the window lay. window: room for a row of
    windows."""
    inputs, outputs = shape.channels // shape.groups, shape.filters // shape.groups
    wide = (shape.width + 2 * shape.padding_across) * shape.channels
    numbers = shape.size_down * shape.size_across * inputs
    columns, steps = places(1, shape.columns, 0, shape.filters), places(1, outputs, 0, 1)
    whole = shape.groups == 1 and shape.dilation_across == 1  # then a row of a window is one unbroken run
    together = shape.size_across if whole else 1
    clear(frame)
    for row in range(shape.rows):
        for group in range(shape.groups):
            tiles(shape.columns, columns, 0, steps, 0, outputs, g, g0 + row * shape.columns * shape.filters
                  + group * outputs, filters, group * outputs * numbers, numbers, window, 0, numbers, numbers, FRESH,
                  window, 0, 0)
            for q in range(shape.columns):
                for tap in range(0, shape.size_down * shape.size_across, together):
                    down = row * shape.stride_down + tap // shape.size_across * shape.dilation_down
                    across = q * shape.stride_across + tap % shape.size_across * shape.dilation_across
                    add_run(frame, down * wide + across * shape.channels + group * inputs,
                            window, q * numbers + tap * inputs, together * inputs)


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
def conv_backward(first, last, x, y, g, winner, turned, dw, db, dx, scratch, fresh, shape):
    """The gradients of what `conv_forward` did with these pictures. g: (N, H', W', O), the slopes of y, cut off in place
    where relu was; dw: of the packed weights, set if `fresh`, else added to, or empty; db: (O,) or empty, added to; dx:
    like x, or empty if nobody needs it. turned: the weights for the way back."""
    framed = shape.padding_down > 0 or shape.padding_across > 0
    frame, room = scratch[:framed_size(shape)], scratch[framed_size(shape):]
    if framed:
        clear(frame)
    source = frame if framed else x
    wide = (shape.width + 2 * shape.padding_across) * shape.channels
    inputs, outputs = shape.channels // shape.groups, shape.filters // shape.groups
    numbers = window_numbers(shape, shape.width + 2 * shape.padding_across, shape.channels, inputs)
    pixels = places(shape.rows, shape.columns, shape.stride_down * wide, shape.stride_across * shape.channels)
    unpooled, room = room[:shape.rows * shape.columns * shape.filters], room[shape.rows * shape.columns * shape.filters:]
    slopes, given, window = room[:slopes_size(shape)], room[:framed_size(shape)], room[framed_size(shape):]
    collected = places(shape.height, shape.width, slopes_columns(shape) * shape.filters, shape.filters)
    seen = window_numbers(shape, slopes_columns(shape), shape.filters, outputs)
    result = shape.filters * (shape.rows // shape.pool) * (shape.columns // shape.pool)
    by_windows = by_window(shape, lanes(x))
    if shape.pool > 1:
        clear(unpooled)  # the rows and columns that are left over when the pools are full stay 0
    if len(dx) and not by_windows:
        clear(slopes)
    for n in range(first, last):
        if shape.pool > 1:
            unpool(n, g, winner, unpooled, db, shape)
        else:
            cut_off(g[n * result:(n + 1) * result], y[n * result:(n + 1) * result], db, shape)
        here, start = (unpooled, 0) if shape.pool > 1 else (g, n * result)
        if len(dw):
            if framed:
                put_in_frame(n, x, frame, shape)
            picture = 0 if framed else n * shape.height * shape.width * shape.channels
            add_weight_slopes(FRESH if fresh and n == first else ADD, picture, source, here, start, numbers, pixels, dw,
                              shape)
        if len(dx) and by_windows:
            give_slopes(here, start, turned, given, window, shape)
            take_from_frame(n, given, dx, shape)
        elif len(dx):
            collect_slopes(n, here, start, slopes, turned, dx, collected, seen, shape)


@unit
def add_rows(rows, total):
    """Add rows, each as long as the total, to the total."""
    for start in range(0, len(rows), len(total)):
        add_run(total, 0, rows, start, len(total))


# --- twins of the NumPy kernels ---------------------------------------------------------------------------------------


@unit
def conv_forward_alone(first, last, x, w, bias, y, shape):
    """`conv_forward` with a scratch of its own."""
    conv_forward(first, last, x, w, bias, y, np.empty(len(y), np.uint8), np.empty(scratch_size(shape), x.dtype), shape)


@unit
def conv_backward_alone(first, last, dw, x, g, turned, dx, shape):
    """`conv_backward` with a scratch of its own, added to dw."""
    conv_backward(first, last, x, g, g, np.empty(len(g), np.uint8), turned, dw, dw[:0], dx,
                  np.empty(scratch_size(shape), g.dtype), False, shape)


@unit
def conv_slopes_alone(first, last, g, turned, dx, shape):
    """The part of `conv_backward` that goes back to the pictures."""
    conv_backward(first, last, dx, g, g, np.empty(len(g), np.uint8), turned, dx[:0], dx[:0], dx,
                  np.empty(scratch_size(shape), g.dtype), False, shape)


def conv2d(x: Array, weight: Array, bias: Array | None, window: Window, groups: int) -> Array:
    """The twin of the NumPy kernel."""
    if not fast(x, weight, bias):
        return reference.conv2d(x, weight, bias, window, groups)
    shape = shape_of(x.shape[1:], len(weight), window, groups)
    packed = np.empty(weight.size, weight.dtype)
    pack(0, len(weight), flat(weight), packed, shape)
    y = np.empty((len(x), shape.rows, shape.columns, len(weight)), x.dtype)
    share(conv_forward_alone, len(x), y.size * weight[0].size, flat(channels_last(x)), packed,
          packed[:0] if bias is None else flat(np.broadcast_to(bias, len(weight))), y.reshape(-1), shape)
    return channels_first(y)


def conv2d_weight_gradient(g: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    """The twin of the NumPy kernel."""
    if not fast(g, x):
        return reference.conv2d_weight_gradient(g, x, shape, window, groups)
    lies = shape_of(x.shape[1:], shape[0], window, groups)
    packed = np.zeros(lies.weights, g.dtype)
    share_sum(conv_backward_alone, len(x), g.size * packed.size // shape[0], packed, flat(channels_last(x)),
              flat(channels_last(g)), packed[:0], packed[:0], lies)
    gradient = np.empty(shape, g.dtype)
    unpack(0, shape[0], packed, gradient.reshape(-1), lies)
    return gradient


def conv2d_input_gradient(g: Array, weight: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    """The twin of the NumPy kernel."""
    if not fast(g, weight):
        return reference.conv2d_input_gradient(g, weight, shape, window, groups)
    lies = shape_of(shape[1:], len(weight), window, groups)
    turned = np.empty(weight.size, weight.dtype)
    pack_back(0, len(weight), flat(weight), turned, lies)
    n, c, h, w = shape
    dx = np.empty((n, h, w, c), g.dtype)
    share(conv_slopes_alone, n, g.size * weight[0].size, flat(channels_last(g)), turned, dx.reshape(-1), lies)
    return channels_first(dx)
