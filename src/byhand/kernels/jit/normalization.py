"""Normalizing, compiled: statistics in one reading of the numbers, and the rest in one more.

Batch norm wants the mean and the variance of each channel, and channels lie next to each other: 0 1 2 0 1 2 0 1 2. So
the numbers repeat themselves every C places, and also every k·C places. All loops here go through such a strip of
k·C numbers, some hundreds, and then through the next. They stay long however few the channels are, and what belongs to
a place of the strip (its sum so far, its channel's mean) lies in a small array of the same length that never leaves the
processor's nearest cache.

The variance needs care. E[x²] - E[x]² takes the difference of two large numbers, and single precision has seven digits:
where the mean is a thousand times the spread, nothing is left of the answer. So what is summed is x minus a guess of
the mean, and its square; a better guess is at hand after every block. Blocks, and what several threads have found, are
put together in double precision by the formula of Chan, Golub and LeVeque (1979).
"""

import numpy as np

from byhand.kernels import reference
from byhand.kernels.jit.cache import kernel
from byhand.kernels.jit.sharing import Array, fast, share, share_sum, shards
from byhand.kernels.reference.convolution import channels_first, channels_last
from byhand.kernels.threads import shard

STRIP = 256  # about how many numbers a strip has
BLOCK = 32  # strips whose sums are taken in the numbers' own precision, before they are added up in double precision

# --- the loops --------------------------------------------------------------------------------------------------------
#
# Each does the samples from `first` up to `last`. A sample is M rows of C channels: (N, H, W, C) with M = H·W, or
# (N, C) with M = 1, flat. What there is one of for each channel may be of any precision. Where a result may be written
# over what it was computed from, it goes by way of an array of one strip: the compiler does many numbers at once only
# if it can see that no result is read again as a number.


@kernel
def strip_of(C):
    """The length of a strip: a multiple of the channels."""
    return C * max(1, (STRIP + C - 1) // C)


@kernel
def tiled(values, like, strip):
    """An array for a whole strip of what there is one of for each channel, in the precision of `like`."""
    result = np.empty(strip, like.dtype)
    C = len(values)
    for i in range(strip):
        result[i] = values[i % C]
    return result


@kernel
def batch_moments(first, last, part, x, C, M):
    """part: 1 + 2·C numbers of double precision, becomes what is to be known of these samples: how many rows there
    are, the mean of each channel, and the sum of its squared distances from that mean."""
    strip = strip_of(C)
    shift, sums, squares = np.empty(strip, x.dtype), np.empty(strip, x.dtype), np.empty(strip, x.dtype)
    mean, distance = part[1:1 + C], part[1 + C:1 + 2 * C]
    sums_of, squares_of = np.empty(C), np.empty(C)
    part[:1 + 2 * C] = 0
    begin, end = first * M * C, last * M * C
    if begin < end:
        for c in range(C):
            mean[c] = x[begin + c]  # any number of a channel is a guess that is good enough to begin with
    for block in range(begin, end, strip * BLOCK):
        stop = min(block + strip * BLOCK, end)
        for i in range(strip):
            shift[i] = mean[i % C]
            sums[i] = 0
            squares[i] = 0
        for start in range(block, stop, strip):
            numbers = x[start:min(start + strip, stop)]
            for i in range(len(numbers)):
                d = numbers[i] - shift[i]
                sums[i] += d
                squares[i] += d * d
        sums_of[:] = 0
        squares_of[:] = 0
        for i in range(strip):
            sums_of[i % C] += sums[i]
            squares_of[i % C] += squares[i]
        before, rows = part[0], (stop - block) // C
        part[0] = before + rows
        for c in range(C):
            ahead = shift[c] + sums_of[c] / rows - mean[c]
            mean[c] += ahead * rows / part[0]
            distance[c] += squares_of[c] - sums_of[c] * sums_of[c] / rows + ahead * ahead * before * rows / part[0]


@kernel
def merge_moments(parts, threads, mean, var, C):
    """What the threads found with `batch_moments`, parts: (threads, 1 + 2·C or more), becomes the mean and the (biased)
    variance of each channel, both (C,) in double precision. Any two parts know the mean and the variance of the samples
    of both (Chan et al. 1979); here each in turn is added to those before."""
    mean[:C] = 0
    var[:C] = 0
    count = 0.0
    for thread in range(threads):
        part = parts[thread]
        if part[0] == 0:
            continue
        before = count
        count += part[0]
        for c in range(C):
            ahead = part[1 + c] - mean[c]
            mean[c] += ahead * part[0] / count
            var[c] += part[1 + C + c] + ahead * ahead * before * part[0] / count
    for c in range(C):
        var[c] /= count


@kernel
def batch_norm_apply(first, last, x, y, scale, shift, C, M, relu):
    """y = scale · x + shift, and if relu is not 0, what is below 0 becomes 0. x and y may be the same array."""
    strip = strip_of(C)
    times, plus, result = tiled(scale, x, strip), tiled(shift, x, strip), np.empty(strip, x.dtype)
    floor = x.dtype.type(0 if relu else -np.inf)
    begin, end = first * M * C, last * M * C
    for start in range(begin, end, strip):
        stop = min(start + strip, end)
        numbers = x[start:stop]
        for i in range(len(numbers)):
            value = numbers[i] * times[i] + plus[i]
            result[i] = floor if value < floor else value
        target = y[start:stop]
        for i in range(len(target)):
            target[i] = result[i]


@kernel
def batch_norm_values(first, last, x, normalized, y, mean, inverse, weight, bias, C, M):
    """normalized = (x - mean) · inverse, and y = normalized · weight + bias."""
    strip = strip_of(C)
    middle, narrow = tiled(mean, x, strip), tiled(inverse, x, strip)
    times, plus = tiled(weight, x, strip), tiled(bias, x, strip)
    begin, end = first * M * C, last * M * C
    for start in range(begin, end, strip):
        stop = min(start + strip, end)
        numbers, between, result = x[start:stop], normalized[start:stop], y[start:stop]
        for i in range(len(numbers)):
            value = (numbers[i] - middle[i]) * narrow[i]
            between[i] = value
            result[i] = value * times[i] + plus[i]


@kernel
def batch_norm_slope_sums(first, last, part, g, x, mean, inverse, y, relu, C, M):
    """Adds to part, 2·C numbers of double precision, for each channel Σ g and then for each Σ g · (x - mean) · inverse.
    If relu is not 0, slopes count only where the output y is above 0; else y is not looked at."""
    strip = strip_of(C)
    middle, sums, along = tiled(mean, x, strip), np.empty(strip, x.dtype), np.empty(strip, x.dtype)
    zero = x.dtype.type(0)
    begin, end = first * M * C, last * M * C
    for block in range(begin, end, strip * BLOCK):
        stop = min(block + strip * BLOCK, end)
        sums[:] = 0
        along[:] = 0
        for start in range(block, stop, strip):
            here = min(start + strip, stop)
            slopes, numbers = g[start:here], x[start:here]
            if relu:
                outputs = y[start:here]
                for i in range(len(slopes)):
                    slope = slopes[i]
                    slope = slope if outputs[i] > zero else zero
                    sums[i] += slope
                    along[i] += slope * (numbers[i] - middle[i])
            else:
                for i in range(len(slopes)):
                    slope = slopes[i]
                    sums[i] += slope
                    along[i] += slope * (numbers[i] - middle[i])
        for i in range(strip):
            c = i % C
            part[c] += sums[i]
            part[C + c] += np.float64(along[i]) * inverse[c]


@kernel
def batch_norm_backward(first, last, g, x, y, relu, dx, mean, inverse, scale, mean_g, mean_gx, C, M):
    """dx = scale · (g - mean_g - normalized · mean_gx) with normalized = (x - mean) · inverse, where mean_g and mean_gx
    are what `batch_norm_slope_sums` found, divided by the number of rows (Ioffe and Szegedy 2015, section 3). relu and
    y as there. dx may be the same array as g."""
    strip = strip_of(C)
    middle, times, minus = tiled(mean, x, strip), tiled(scale, x, strip), tiled(mean_g, x, strip)
    tilt, result = tiled(inverse * mean_gx, x, strip), np.empty(strip, x.dtype)
    zero = x.dtype.type(0)
    begin, end = first * M * C, last * M * C
    for start in range(begin, end, strip):
        stop = min(start + strip, end)
        slopes, numbers = g[start:stop], x[start:stop]
        if relu:
            outputs = y[start:stop]
            for i in range(len(slopes)):
                slope = slopes[i]
                slope = slope if outputs[i] > zero else zero
                result[i] = (slope - minus[i] - (numbers[i] - middle[i]) * tilt[i]) * times[i]
        else:
            for i in range(len(slopes)):
                result[i] = (slopes[i] - minus[i] - (numbers[i] - middle[i]) * tilt[i]) * times[i]
        target = dx[start:stop]
        for i in range(len(target)):
            target[i] = result[i]


@kernel
def channel_sums(first, last, part, x, C, M):
    """Adds the sum of each channel to part, (C,) in double precision."""
    strip = strip_of(C)
    sums = np.empty(strip, x.dtype)
    begin, end = first * M * C, last * M * C
    for block in range(begin, end, strip * BLOCK):
        stop = min(block + strip * BLOCK, end)
        sums[:] = 0
        for start in range(block, stop, strip):
            numbers = x[start:min(start + strip, stop)]
            for i in range(len(numbers)):
                sums[i] += numbers[i]
        for i in range(strip):
            part[i % C] += sums[i]


# --- the twins --------------------------------------------------------------------------------------------------------


def flat(x: Array) -> Array:
    """(N, C) or (N, C, H, W), channels last, as the loops want it."""
    return (np.ascontiguousarray(x) if x.ndim == 2 else channels_last(x)).reshape(-1)


def shaped(x: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of `flat`."""
    if len(shape) == 2:
        return x.reshape(shape)
    n, c, h, w = shape
    return channels_first(x.reshape(n, h, w, c))


def fits(x: Array, *channels: Array) -> bool:
    """Whether the loops of batch norm do these: x, and arrays with one number for each of its channels."""
    return fast(x, *channels) and x.ndim in (2, 4) and all(a.shape == x.shape[1:2] for a in channels)


def moments(x: Array, n: int, c: int, rows: int) -> tuple[Array, Array]:
    """The mean and variance of each channel of n samples, flat, in double precision. Each thread makes a part."""
    parts = np.empty((shards(n, x.size), 1 + 2 * c))

    def some_parts(first: int, last: int) -> None:
        for i in range(first, last):
            batch_moments(*shard(n, i, len(parts)), parts[i], x, c, rows)

    share(some_parts, len(parts), x.size)
    mean, var = np.empty(c), np.empty(c)
    merge_moments(parts, len(parts), mean, var, c)
    return mean, var


def batch_norm(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array, Array, Array]:
    """Normalize each channel by the batch's own mean and variance.

    x: (N, C) or (N, C, H, W); weight, bias: (C,). Returns the output, the normalized values (both in x's shape), the
    mean, the variance, and the factor weight / √(var + eps) (each (C,)); the gradients need the second and the last.
    """
    if not fits(x, weight, bias):
        return reference.batch_norm(x, weight, bias, eps)
    n, c = x.shape[:2]
    rows = x.size // (n * c)
    numbers = flat(x)
    mean, var = moments(numbers, n, c, rows)
    inverse = 1 / np.sqrt(var + eps)
    y, normalized = np.empty_like(numbers), np.empty_like(numbers)
    share(batch_norm_values, n, x.size, numbers, normalized, y, mean, inverse, np.ascontiguousarray(weight),
          np.ascontiguousarray(bias), c, rows)
    mean, var, scale = (a.astype(x.dtype) for a in (mean, var, weight * inverse))
    return shaped(y, x.shape), shaped(normalized, x.shape), mean, var, scale


def batch_norm_gradients(g: Array, normalized: Array, scale: Array) -> tuple[Array, Array, Array]:
    """The gradients of x, weight and bias (Ioffe and Szegedy 2015, section 3): what is left of g once its mean and its
    part along the normalized values are taken away, times weight / √(var + eps)."""
    if not (fits(g, scale) and fits(normalized, scale) and g.shape == normalized.shape):
        return reference.batch_norm_gradients(g, normalized, scale)
    n, c = g.shape[:2]
    rows = g.size // (n * c)
    slopes, values = flat(g), flat(normalized)
    middle, narrow = np.zeros(c), np.ones(c)  # what is normalized has these, and there is no ReLU
    sums = share_sum(batch_norm_slope_sums, n, g.size, np.zeros(2 * c), slopes, values, middle, narrow, slopes, 0, c,
                     rows)
    of_bias, of_weight = sums[:c], sums[c:]
    of_x = np.empty_like(slopes)
    share(batch_norm_backward, n, g.size, slopes, values, slopes, 0, of_x, middle, narrow, np.ascontiguousarray(scale),
          of_bias / (n * rows), of_weight / (n * rows), c, rows)
    return shaped(of_x, g.shape), of_weight.astype(g.dtype), of_bias.astype(g.dtype)


def channel_sum(x: Array) -> Array:
    """The sum over everything but the channel: (N, C) or (N, C, H, W) -> (C,)."""
    if not fits(x):
        return reference.channel_sum(x)
    n, c = x.shape[:2]
    return share_sum(channel_sums, n, x.size, np.zeros(c), flat(x), c, x.size // (n * c)).astype(x.dtype)
