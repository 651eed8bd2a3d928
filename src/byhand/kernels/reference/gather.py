"""A batch, out of the bytes of a data set."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def gathered(images: Array, rows: slice | Array, scale: Array, shift: Array) -> Array:
    """Some samples, as numbers around zero: images[rows] · scale - shift, in the dtype of `scale`.

    images: (M, ...), of any kind of number. rows: (N,) whole numbers, or a slice. scale, shift: (), or (C,) for each
    channel, axis 1 of the images. Pictures (M, C, H, W) become (N, C, H, W) with the channels of a pixel next to each
    other in memory, as convolutions like them. Raises IndexError for rows that are not there.
    """
    chosen = images[rows]
    if images.ndim == 4:
        x = np.empty((len(chosen), *images.shape[2:], images.shape[1]), scale.dtype).transpose(0, 3, 1, 2)
    else:
        x = np.empty(chosen.shape, scale.dtype)
    along = scale.shape + (1,) * (images.ndim - 2 if scale.ndim else 0)
    np.multiply(chosen, scale.reshape(along), out=x, dtype=x.dtype)  # which also converts the bytes
    x -= shift.reshape(along)
    return x
