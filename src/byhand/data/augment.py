"""More samples than there are: a digit moved a little, turned a little, grown or shrunk a little is the same digit.

Each image of a batch gets its own random shift, rotation and scale. The picture is not pushed to its new place but
pulled: every pixel of the result asks where it came from, a point that usually lies between four pixels, and takes
their average, weighted by how near they are (bilinear interpolation). Whatever comes from outside the image is
background, 0. This is one small computation on whole arrays, with no loop over images or pixels.

Source: P. Simard, D. Steinkraus, J. Platt, "Best Practices for Convolutional Neural Networks Applied to Visual
Document Analysis" (2003), section 2, for affine distortions of digits and what they are worth.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Affine:
    """Random shifts of up to `shift` pixels each way, turns of up to `degrees`, sizes from `1 - scale` to `1 + scale`.

    All are uniform and independent, one draw an image. Raises ValueError for a negative or infinite amount, or a
    `scale` of 1 or more.
    """

    shift: float = 2
    degrees: float = 10
    scale: float = 0.1

    def __post_init__(self) -> None:
        for field, value in asdict(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"the {field} of an Affine is a finite number of at least 0, not {value!r}")
        if self.scale >= 1:
            raise ValueError(f"the scale of an Affine is under 1, so that no image vanishes, not {self.scale!r}")

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """`(N, C, H, W)` to the same shape and type. Raises ValueError for another number of dimensions."""
        n = len(images)
        shifts = rng.uniform(-self.shift, self.shift, (n, 2))
        degrees = rng.uniform(-self.degrees, self.degrees, n)
        scales = rng.uniform(1 - self.scale, 1 + self.scale, n)
        return warp(images, shifts, degrees, scales)


def warp(images: Array, shifts: ArrayLike = (0, 0), degrees: ArrayLike = 0, scales: ArrayLike = 1) -> Array:
    """Each image scaled and turned about its centre, then shifted; same shape and type, background 0.

    `images`: `(N, C, H, W)`. `shifts`: `(N, 2)`, pixels downwards and to the right. `degrees`: `(N,)`, counterclockwise
    as the image is seen. `scales`: `(N,)`, above 1 is larger. A single value serves all images.
    Raises ValueError for images of another number of dimensions.
    """
    if images.ndim != 4:
        raise ValueError(f"images to augment are (N, C, H, W), not of shape {images.shape}")
    n, channels, height, width = images.shape
    work = np.result_type(images.dtype, np.float32)  # float32 for bytes, float64 where the values need it
    down, right = np.broadcast_to(shifts, (n, 2)).astype(work).T
    angle, scale = np.radians(np.broadcast_to(degrees, n)), np.broadcast_to(scales, n)
    cos, sin = (np.cos(angle) / scale).astype(work), (np.sin(angle) / scale).astype(work)

    # Where each pixel comes from, (N, H, W): undo the shift, then the turn and the scale, all as seen from the centre.
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    y = np.arange(height, dtype=work) - middle_y - down[:, None]
    x = np.arange(width, dtype=work) - middle_x - right[:, None]
    from_y = (y * cos[:, None])[:, :, None] + (x * sin[:, None])[:, None, :] + work.type(middle_y)
    from_x = (x * cos[:, None])[:, None, :] - (y * sin[:, None])[:, :, None] + work.type(middle_x)

    # A frame of background, and every point outside moved onto it: then no pixel needs a question asked.
    np.clip(from_y, -1, height, out=from_y)
    np.clip(from_x, -1, width, out=from_x)
    framed = np.pad(images, ((0, 0), (0, 0), (1, 2), (1, 2))).reshape(-1)
    top, left = np.floor(from_y), np.floor(from_x)
    below, beside = from_y - top, from_x - left  # how far past the upper and the left neighbour, 0 to 1
    row = width + 3
    plane = (height + 3) * row
    first = (top.astype(np.intp) + 1) * row + (left.astype(np.intp) + 1)
    first = first[:, None] + plane * np.arange(n * channels).reshape(n, channels, 1, 1)

    below, beside = below[:, None], beside[:, None]
    upper = _between(framed[first], framed[first + 1], beside, work)
    lower = _between(framed[first + row], framed[first + row + 1], beside, work)
    out = _between(upper, lower, below, work)
    if images.dtype.kind in "iu":
        np.rint(out, out=out)
    return out.astype(images.dtype, copy=False)


def _between(a: Array, b: Array, share: Array, work: np.dtype[Any]) -> Array:
    """From `a` (share 0) to `b` (share 1); subtracted as `work`, because bytes would wrap around."""
    blend: Array = np.subtract(b, a, dtype=work)
    blend *= share
    blend += a
    return blend
