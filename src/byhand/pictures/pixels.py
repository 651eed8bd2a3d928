"""From arrays of samples to pixels that can be shown: are they pictures at all, and which bytes are they?"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CHANNELS = (1, 3, 4)
"""Grey, in colour, in colour and transparent."""


def is_pictures(samples: Array) -> bool:
    """Whether samples are pictures, (N, C, H, W) of 1, 3 or 4 channels. A single row or column of pixels is none."""
    return samples.ndim == 4 and samples.shape[1] in CHANNELS and min(samples.shape[2:]) > 1


def as_pixels(pictures: Any) -> Array:
    """Pictures (N, C, H, W) of 1, 3 or 4 channels as bytes (N, H, W, C). Bytes stay as they are; other numbers are
    stretched, from the lowest of all to the highest. Raises ValueError for anything else."""
    array = np.asarray(pictures)
    if array.ndim != 4 or array.shape[1] not in CHANNELS or array.size == 0:
        raise ValueError(f"pictures have the shape (N, C, H, W) with 1, 3 or 4 channels, and these have {array.shape}.")
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        if not math.isfinite(low + high):
            raise ValueError("these pictures have values that are not finite numbers.")
        array = ((array - low) * (255 / max(high - low, 1e-12))).round().astype(np.uint8)
    return np.moveaxis(array, 1, -1)
