"""Dropout without a queue for random numbers.

An ordinary generator makes each number from the one before, so only one thread can draw, and what it drew must be kept
for the way back. This one is a formula instead: the chance of element i under a seed is i, scrambled by the seed. Any
thread can work out any part of it, and the gradient can work out the same chances again, so no mask needs to be kept.
`reference/dropout.py` explains the formula; the chances here are the same to the bit.

Element i is the i-th of the flat array. So it is the order in memory that decides: a picture with its channels last
loses other elements than the same picture with its channels first.
"""

import numpy as np

from byhand.kernels.jit.cache import kernel, unit
from byhand.kernels.jit.exponential import inlined
from byhand.kernels.jit.sharing import Array, fast, share
from byhand.kernels.reference import dropout


@unit
def dropout_forward(first, last, seed, p, x, y):
    """y[i] = 0 with probability p, else x[i] / (1 - p), for elements `first` up to `last`. The gradient is the same
    function of the slopes.

    seed: from 0 to 2⁶³ - 1. 0 ≤ p < 1.
    """
    number = x.dtype.type
    x, y = x[first:last], y[first:last]
    key1, key2 = keys(np.uint64(seed))
    limit, kept = np.uint32(p * 4294967296.0), number(1) / number(1 - p)
    for i in range(len(x)):
        y[i] = x[i] * (kept if chance(first + i, key1, key2) >= limit else number(0))


@kernel
def dropout_factors(first, last, seed, p, mask):
    """mask[i] = what `dropout_forward` multiplies x[i] by, for elements `first` up to `last`."""
    number = mask.dtype.type
    mask = mask[first:last]
    key1, key2 = keys(np.uint64(seed))
    limit, kept = np.uint32(p * 4294967296.0), number(1) / number(1 - p)
    for i in range(len(mask)):
        mask[i] = kept if chance(first + i, key1, key2) >= limit else number(0)


@inlined
def chance(i, key1, key2):
    """The chance of element i."""
    return scrambled(scrambled(np.uint32(i) ^ key1) ^ key2)


@inlined
def keys(seed):
    """As in `reference/dropout.py`; whole numbers of 64 bits overflow by themselves."""
    z = seed + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return np.uint32(z), np.uint32(z >> np.uint64(32))


@inlined
def scrambled(x):
    """As in `reference/dropout.py`. Numba makes 64 bits of every result, so they are cut off again."""
    x = np.uint32(x ^ (x >> 16))
    x = np.uint32(x * np.uint32(0x21F0AAAD))
    x = np.uint32(x ^ (x >> 15))
    x = np.uint32(x * np.uint32(0xD35A2D97))
    return np.uint32(x ^ (x >> 15))


def dropout_mask(x: Array, p: float, rng: np.random.Generator) -> Array:
    """The twin of the NumPy kernel."""
    if not fast(x):
        return dropout.dropout_mask(x, p, rng)
    mask = np.empty(x.shape, x.dtype)
    share(dropout_factors, x.size, x.size, int(rng.integers(2**63)), p, mask.reshape(-1))
    return mask
