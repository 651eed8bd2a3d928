"""A batch, out of the bytes of a data set.

The samples of a batch lie all over the data set. Here they are fetched, turned from bytes into numbers around zero, and
laid down with the channels of a pixel next to each other, as convolutions want them, all in one visit.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from byhand.kernels.jit.cache import unit
from byhand.kernels.jit.sharing import Array, fast, share
from byhand.kernels.reference import gather as reference

WORTH = 16  # so little is done with each number that many of them are needed before a thread is worth waking

AHEAD = 3  # samples: main memory takes as long to answer as these to be turned


@intrinsic
def expect(typing: Any, array: Any, place: Any) -> Any:
    """Begin to bring array[place] near, to be read soon."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = builder.gep(context.make_array(signature.args[0])(context, builder, arguments[0]).data, arguments[1:])
        kinds = [where.type] + [ir.IntType(32)] * 3
        prefetch = builder.module.declare_intrinsic("llvm.prefetch.p0", (), ir.FunctionType(ir.VoidType(), kinds))
        builder.call(prefetch, [where, *(ir.Constant(ir.IntType(32), n) for n in (0, 3, 1))])  # for reading; near; data
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@unit
def gather(first, last, rows, images, scale, shift, x, channels, places):
    """x[(n·places + p)·channels + c] = images[(rows[n]·channels + c)·places + p] · scale[c] - shift[c], for samples n
    from `first` up to `last`.

    images: (M·channels·places,) bytes or floats, x: (N·places·channels,), rows: (N,) integers from 0 to M - 1 (nobody
    looks whether they are), scale, shift: (channels,) of x's kind. places: rows times columns of a picture, 1 for
    features.
    """
    number = x.dtype.type
    size = channels * places
    for n in range(first, last):
        soon = rows[min(n + AHEAD, last - 1)] * size
        for line in range(soon, soon + size, 64 // images.itemsize):
            expect(images, line)
        image, to = images[rows[n] * size:(rows[n] + 1) * size], x[n * size:(n + 1) * size]
        if channels == 1:  # in each case but the last, numbers are fetched by the vector
            by, less = scale[0], shift[0]
            for p in range(len(to)):
                to[p] = number(image[p]) * by - less
        elif places == 1:
            for c in range(len(to)):
                to[c] = number(image[c]) * scale[c] - shift[c]
        elif channels == 3:
            red, green, blue = image[:places], image[places:2 * places], image[2 * places:]
            for p in range(places):
                to[3 * p] = number(red[p]) * scale[0] - shift[0]
                to[3 * p + 1] = number(green[p]) * scale[1] - shift[1]
                to[3 * p + 2] = number(blue[p]) * scale[2] - shift[2]
        else:
            for p in range(places):
                for c in range(channels):
                    to[p * channels + c] = number(image[c * places + p]) * scale[c] - shift[c]


def gathered(images: Array, rows: slice | Array, scale: Array, shift: Array) -> Array:
    """The twin of the NumPy kernel."""
    samples, *shape = images.shape
    numbers = np.arange(*rows.indices(samples)) if isinstance(rows, slice) else rows
    pictures, by_channel = images.ndim == 4, max(scale.ndim, shift.ndim)
    if not (fast(scale, shift) and images.dtype in (np.uint8, np.float32, np.float64)
            and images.flags.c_contiguous and images.size and (pictures or images.ndim == 2 or not by_channel)
            and numbers.dtype == np.int64 and numbers.ndim == 1 and numbers.size
            and numbers.min() >= 0 and numbers.max() < samples):
        return reference.gathered(images, rows, scale, shift)
    channels = shape[0] if pictures or by_channel else 1
    x = np.empty((len(numbers), *(shape[1:] + shape[:1] if pictures else shape)), scale.dtype)
    by, less = np.empty((2, channels), scale.dtype)
    by[:], less[:] = scale, shift
    share(gather, len(numbers), x.size // WORTH, numbers, np.asarray(images).reshape(-1), by, less, x.reshape(-1),
          channels, x.size // len(numbers) // channels)
    return x.transpose(0, 3, 1, 2) if pictures else x
