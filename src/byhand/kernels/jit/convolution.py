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
from byhand.kernels.jit.sharing import Array, fast, share, share_sum
from byhand.kernels.jit.tile import ADD, BIAS, FLAT, FRESH, TALL, WIDE, lanes, tile
from byhand.kernels.reference.convolution import Window, channels_first, channels_last


NOBODY = 255  # of a pool's elements: what came out of it is 0, and no slope goes back


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
    return framed_size(shape) + max(slopes_size(shape), shape.pool * shape.columns * shape.filters)


@kernel
def slopes_start(shape):
    """Where the first slope lies in that frame."""
    down, across = (shape.size_down - 1) * shape.dilation_down, (shape.size_across - 1) * shape.dilation_across
    return (down * slopes_columns(shape) + across) * shape.filters


@kernel
def whole_rows(shape):
    """Whether a row of a window is one unbroken run, or has gaps."""
    return shape.groups == 1 and shape.dilation_across == 1


@kernel
def window_taps(shape, columns, channels):
    """Where the runs of a window begin, in a picture with so many columns and channels."""
    whole = whole_rows(shape)
    taps = np.empty(shape.size_down if whole else shape.size_down * shape.size_across, np.int64)
    for tap in range(len(taps)):
        down, across = (tap, 0) if whole else (tap // shape.size_across, tap % shape.size_across)
        taps[tap] = (down * shape.dilation_down * columns + across * shape.dilation_across) * channels
    return taps


@kernel
def window_numbers(shape):
    """Where the numbers of a window lie in the framed picture, of one group: (kH, kW, C)."""
    columns, channels = shape.width + 2 * shape.padding_across, shape.channels // shape.groups
    numbers = np.empty(shape.size_down * shape.size_across * channels, np.int64)
    for i in range(len(numbers)):
        tap, c = i // channels, i % channels
        down, across = tap // shape.size_across * shape.dilation_down, tap % shape.size_across * shape.dilation_across
        numbers[i] = (down * columns + across) * shape.channels + c
    return numbers


@kernel
def places(rows, columns, down, across):
    """Where the windows begin in a picture, row by row; down, across: from one to the next."""
    found = np.empty(rows * columns, np.int64)
    for i in range(len(found)):
        found[i] = i // columns * down + i % columns * across
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


@unit
def pack_turned(first, last, weight, turned, shape):
    """The filters from `first` up to `last` turned by half a circle, from (O, C, kH, kW) to (kH, kW, O, C): a slope
    goes back to every pixel that its window saw, so pixel and slope have changed places."""
    channels, area = shape.channels // shape.groups, shape.size_down * shape.size_across
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
def width_for(rows, columns, lane):
    """How many vectors wide the tiles are for so many rows of sums, where so many columns are left: two, or one if
    there is no more; for a single row as many as it takes to keep the processor busy."""
    for flat in (FLAT, FLAT // 2):
        if rows == 1 and flat > 2 and columns > lane * (flat - 1):
            return flat
    return 2 if columns > lane else 1


@kernel
def tiles(count, rows, row0, last, width, a, a0, taps, run, a_step, b, b0, b_tap, b_step, c, c0, c_row, begin, bias,
          bias0, relu):
    """`count` rows of sums, as few and as even tiles as it takes."""
    limit = TALL if width == 1 else WIDE if width == 2 else 1
    height = (count + (count + limit - 1) // limit - 1) // ((count + limit - 1) // limit)
    whole = count // height
    tile(height, width, last, a, a0, rows, row0, taps, len(taps), run, a_step, b, b0, b_tap, b_step, c, c0, c_row, whole,
         begin, bias, bias0, relu)
    done = whole * height
    if done < count:
        tile(count - done, width, last, a, a0, rows, row0 + done, taps, len(taps), run, a_step, b, b0, b_tap, b_step, c,
             c0 + done * c_row, c_row, 1, begin, bias, bias0, relu)


# --- forward ----------------------------------------------------------------------------------------------------------


@unit
def filter_pixels(count, first, pixels, picture, x, w, bias, y, y0, taps, relu, shape):
    """`count` pixels of the result, from number `first` of the list `pixels` on, into y[y0:]. picture: where the framed
    picture begins in x."""
    if by_channel(shape):
        weigh_channels(count, first, pixels, x, picture, w, bias, y, y0, taps, relu)
        return
    inputs, outputs = shape.channels // shape.groups, shape.filters // shape.groups
    run = inputs * shape.size_across if whole_rows(shape) else inputs
    begin = BIAS if len(bias) else FRESH
    lane = lanes(x)
    for group in range(shape.groups):
        o, end = group * outputs, (group + 1) * outputs
        while o < end:
            width = 2 if end - o > lane else 1
            tiles(count, pixels, first, min(lane, end - o - (width - 1) * lane), width,
                  x, picture + group * inputs, taps, run, 1, w, o, run * shape.filters, shape.filters,
                  y, y0 + o, shape.filters, begin, bias, o, relu)
            o += width * lane


@kernel
def by_channel(shape):
    """Whether each channel has one filter of its own ("depthwise"): there are no neighbouring filters for a tile then,
    but neighbouring channels."""
    return shape.groups > 1 and shape.groups == shape.channels and shape.groups == shape.filters


@unit
def weigh_channels(count, first, pixels, x, x0, w, bias, y, y0, taps, relu):
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
def weight_slopes_by_channel(fresh, picture, x, g, g0, g_step, g_row, numbers, starts, dw, shape):
    """`add_weight_slopes` where each channel has one filter."""
    channels = shape.channels
    if fresh:
        clear(dw)
    for tap in range(len(numbers)):
        sums = dw[tap * channels:(tap + 1) * channels]
        for row in range(shape.rows):
            for q in range(shape.columns):
                at = picture + starts[row] + q * shape.stride_across * channels + numbers[tap]
                slope_at = g0 + row * g_row + q * g_step
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
        largest, which = y[to:to + filters], winner[to:to + filters]
        if pool == 2:
            x0, x1 = lines[at:at + filters], lines[at + filters:at + 2 * filters]
            at += columns * 2 * filters
            x2, x3 = lines[at:at + filters], lines[at + filters:at + 2 * filters]
            for o in range(filters):
                best, new = x0[o], x1[o]
                tap = np.uint8(new > best)
                best = new if (new > best) | (new != new) else best
                new = x2[o]
                tap = max(tap, np.uint8(2) * np.uint8(new > best))
                best = new if (new > best) | (new != new) else best
                new = x3[o]
                tap = max(tap, np.uint8(3) * np.uint8(new > best))
                best = new if (new > best) | (new != new) else best
                which[o] = max(tap, nobody * (np.uint8(1) - np.uint8(best > zero)))
                largest[o] = best if (best > zero) | (best != best) | (nobody == 0) else zero
            continue
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
    taps = window_taps(shape, shape.width + 2 * shape.padding_across, shape.channels)
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
            filter_pixels(rows * columns, 0, pixels, picture, source, w, bias, y, n * result, taps, shape.relu, shape)
            continue
        for row in range(rows):
            filter_pixels(shape.pool * columns, row * shape.pool * columns, pixels, picture, source, w, bias, lines, 0,
                          taps, 0, shape)
            pool_line(row, lines, y, winner, n * result, shape)


# --- backward ---------------------------------------------------------------------------------------------------------


@unit
def spread_slopes(n, g, winner, slopes, shape):
    """The slopes of picture n, back through the pool, into their frame: the place of each in a picture that is framed
    by as much as a window reaches, and spread by the stride. Between and around them it stays zero."""
    filters, pool = shape.filters, shape.pool
    wide = slopes_columns(shape) * filters
    rows, columns = shape.rows // pool, shape.columns // pool
    down, across = shape.stride_down * wide, shape.stride_across * filters
    zero = g.dtype.type(0)
    together = columns if pool == 1 and shape.stride_across == 1 else 1  # pixels that stay side by side
    for row in range(rows):
        for q in range(0, columns, together):
            at = ((n * rows + row) * columns + q) * filters
            to = slopes_start(shape) + row * pool * down + q * pool * across
            here = g[at:at + together * filters]
            if pool == 1:
                place = slopes[to:to + together * filters]
                for i in range(len(here)):
                    place[i] = here[i]
                continue
            which = winner[at:at + filters]
            for tap in range(pool * pool):
                there = to + tap // pool * down + tap % pool * across
                place = slopes[there:there + filters]
                number = np.uint8(tap)
                for o in range(filters):
                    value = here[o]
                    place[o] = value if which[o] == number else zero


@unit
def sum_of_slopes(g, y, winner, db, shape):
    """Cut off the slopes g of one picture where relu cut off the result y, and add what is left to db, (O,) or empty.
    (A pool's winner knows of the relu already.)"""
    zero = g.dtype.type(0)
    if shape.pool == 1 and shape.relu:
        for i in range(len(g)):
            value = g[i]
            g[i] = value if y[i] > zero else zero
    for start in range(0, len(g) * (len(db) > 0), shape.filters):
        here, which = g[start:start + shape.filters], winner[start:start + shape.filters]
        if shape.pool == 1:
            for o in range(shape.filters):
                db[o] += here[o]
        else:
            for o in range(shape.filters):
                value = here[o]
                db[o] += value if which[o] != NOBODY else zero


@unit
def add_weight_slopes(begin, picture, x, g, g0, g_step, g_row, numbers, starts, dw, shape):
    """What one picture adds to the gradient of the packed weights: numbers of its windows times slopes, summed over all
    places. g0, g_step, g_row: where the slopes lie. numbers: where those of a window lie. starts: where the rows of
    places begin in the framed picture."""
    if by_channel(shape):
        weight_slopes_by_channel(begin == FRESH, picture, x, g, g0, g_step, g_row, numbers, starts, dw, shape)
        return
    inputs, outputs = shape.channels // shape.groups, shape.filters // shape.groups
    lane = lanes(x)
    for group in range(shape.groups):
        o, end = group * outputs, (group + 1) * outputs
        while o < end:
            width = 2 if end - o > lane else 1
            tiles(len(numbers), numbers, 0, min(lane, end - o - (width - 1) * lane), width,
                  x, picture + group * inputs, starts, shape.columns, shape.stride_across * shape.channels,
                  g, g0 + o, g_row, g_step, dw, o, shape.filters, begin, dw, 0, 0)
            o += width * lane


@unit
def slopes_of_picture(n, slopes, turned, dx, pixels, taps, shape):
    """The gradient of picture n: a convolution of its framed slopes with the turned filters."""
    inputs, outputs = shape.channels // shape.groups, shape.filters // shape.groups
    run = outputs * shape.size_across if whole_rows(shape) else outputs
    start = shape.padding_down * slopes_columns(shape) * shape.filters + shape.padding_across * shape.filters
    picture = n * shape.height * shape.width * shape.channels
    if by_channel(shape):
        weigh_channels(len(pixels), 0, pixels, slopes, start, turned, dx[:0], dx, picture, taps, 0)
        return
    lane = lanes(dx)
    for group in range(shape.groups):
        c, end = group * inputs, (group + 1) * inputs
        while c < end:
            width = 2 if end - c > lane else 1
            tiles(len(pixels), pixels, 0, min(lane, end - c - (width - 1) * lane), width,
                  slopes, start + group * outputs, taps, run, 1, turned, c, run * shape.channels, shape.channels,
                  dx, picture + c, shape.channels, FRESH, dx, 0, 0)
            c += width * lane


@unit
def conv_backward(first, last, x, y, g, winner, turned, dw, db, dx, scratch, fresh, shape):
    """The gradients of what `conv_forward` did with these pictures. g: (N, H', W', O), the slopes of y; dw: of the
    packed weights, set if `fresh`, else added to, or empty; db: (O,) or empty, added to; dx: like x, or empty if nobody
    needs it."""
    framed = shape.padding_down > 0 or shape.padding_across > 0
    frame, slopes = scratch[:framed_size(shape)], scratch[framed_size(shape):framed_size(shape) + slopes_size(shape)]
    clear(slopes)
    if framed:
        clear(frame)
    source = frame if framed else x
    wide = (shape.width + 2 * shape.padding_across) * shape.channels
    numbers = window_numbers(shape)
    starts = places(shape.rows, 1, shape.stride_down * wide, 0)
    pixels = places(shape.height, shape.width, slopes_columns(shape) * shape.filters, shape.filters)
    taps = window_taps(shape, slopes_columns(shape), shape.filters)
    result = shape.filters * (shape.rows // shape.pool) * (shape.columns // shape.pool)
    framing = shape.pool > 1 or len(dx) > 0  # else the slopes can be used where they are
    for n in range(first, last):
        mine = slice(n * result, (n + 1) * result)
        sum_of_slopes(g[mine], y[mine], winner[mine], db, shape)
        if framing:
            spread_slopes(n, g, winner, slopes, shape)
        if framed:
            put_in_frame(n, x, frame, shape)
        picture = 0 if framed else n * shape.height * shape.width * shape.channels
        begin = FRESH if fresh and n == first else ADD
        if len(dw) and framing:
            add_weight_slopes(begin, picture, source, slopes, slopes_start(shape), shape.stride_across * shape.filters,
                              shape.stride_down * slopes_columns(shape) * shape.filters, numbers, starts, dw, shape)
        elif len(dw):
            add_weight_slopes(begin, picture, source, g, n * result, shape.filters, shape.columns * shape.filters,
                              numbers, starts, dw, shape)
        if len(dx):
            slopes_of_picture(n, slopes, turned, dx, pixels, taps, shape)


@unit
def add_rows(rows, total):
    """Add rows, each as long as the total, to the total."""
    width = len(total)
    for start in range(0, len(rows), width):
        row = rows[start:start + width]
        for i in range(width):
            total[i] += row[i]


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
    pack(0, len(weight), weight.reshape(-1), packed, shape)
    y = np.empty((len(x), shape.rows, shape.columns, len(weight)), x.dtype)
    share(conv_forward_alone, len(x), y.size * weight[0].size, channels_last(x).reshape(-1), packed,
          packed[:0] if bias is None else np.ascontiguousarray(bias), y.reshape(-1), shape)
    return channels_first(y)


def conv2d_weight_gradient(g: Array, x: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    """The twin of the NumPy kernel."""
    if not fast(g, x):
        return reference.conv2d_weight_gradient(g, x, shape, window, groups)
    lies = shape_of(x.shape[1:], shape[0], window, groups)
    packed = np.zeros(lies.weights, g.dtype)
    share_sum(conv_backward_alone, len(x), g.size * packed.size // shape[0], packed, channels_last(x).reshape(-1),
              channels_last(g).reshape(-1), packed[:0], packed[:0], lies)
    gradient = np.empty(shape, g.dtype)
    unpack(0, shape[0], packed, gradient.reshape(-1), lies)
    return gradient


def conv2d_input_gradient(g: Array, weight: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    """The twin of the NumPy kernel."""
    if not fast(g, weight):
        return reference.conv2d_input_gradient(g, weight, shape, window, groups)
    lies = shape_of(shape[1:], len(weight), window, groups)
    turned = np.empty(weight.size, weight.dtype)
    pack_turned(0, len(weight), weight.reshape(-1), turned, lies)
    n, c, h, w = shape
    dx = np.empty((n, h, w, c), g.dtype)
    share(conv_slopes_alone, n, g.size * weight[0].size, channels_last(g).reshape(-1), turned, dx.reshape(-1), lies)
    return channels_first(dx)
