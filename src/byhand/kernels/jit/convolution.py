"""Convolution and its two gradients, each a register tile (see `tile.py`) led over the picture.

Neighbouring pixels are the rows of a tile, and the window is what is summed over; `windows.py` says where everything
lies. What follows a convolution in most networks, relu and max pooling, is done before its results have left the cache:
as many rows of the picture as a pool is high are computed at a time, and pooled at once.

Bodies do the pictures from `first` up to `last`. Their arrays are flat, and `shape` says how they lie.
"""

import numpy as np

from byhand.kernels import reference
from byhand.kernels.jit.cache import unit
from byhand.kernels.jit.runs import NOBODY, add_run, pool_run, unpool_run
from byhand.kernels.jit.sharing import Array, fast, flat, share, share_sum
from byhand.kernels.jit.tile import ADD, BIAS, FRESH
from byhand.kernels.jit.vectors import lanes
from byhand.kernels.jit.windows import (
    by_channel, by_window, clear, framed_size, pack, pack_back, places, put_in_frame, scratch_size, shape_of,
    slopes_columns, slopes_size, slopes_start, take_from_frame, tiles, unpack, window_numbers
)
from byhand.kernels.reference.convolution import Window, channels_first, channels_last

BAND = 128  # pixels of slopes that meet their windows at a time


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
    """The slopes of picture n, back through the pool: (rows, columns, O). They are added to db, unless it is empty."""
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
def conv_backward(first, last, x, y, g, winner, turned, dw, db, dx, scratch, fresh, shape):
    """The gradients of what `conv_forward` did with these pictures.

    g: (N, H', W', O), the slopes of y, cut off in place where relu was; dw: of the packed weights, set if `fresh`, else
    added to, or empty; db: (O,) or empty, added to; dx: like x, or empty if nobody needs it. turned: the weights for
    the way back.
    """
    framed = shape.padding_down > 0 or shape.padding_across > 0
    frame, room = scratch[:framed_size(shape)], scratch[framed_size(shape):]
    if framed:
        clear(frame)
    source = frame if framed else x
    wide = (shape.width + 2 * shape.padding_across) * shape.channels
    inputs, outputs = shape.channels // shape.groups, shape.filters // shape.groups
    numbers = window_numbers(shape, shape.width + 2 * shape.padding_across, shape.channels, inputs)
    pixels = places(shape.rows, shape.columns, shape.stride_down * wide, shape.stride_across * shape.channels)
    whole = shape.rows * shape.columns * shape.filters
    unpooled, room = room[:whole], room[whole:]
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
