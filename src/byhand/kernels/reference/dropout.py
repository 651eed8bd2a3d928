"""Chances for dropout, from a formula instead of a queue.

An ordinary generator makes each number from the one before. Here the chance of element i is a scrambling of i itself (a
counter-based generator; Salmon et al. 2011), so whoever needs a part of a mask, or needs it again, can make just that
part, in any order, and it is always the same. To scramble is to multiply by a large odd number, which carries the lower
bits into the upper ones, and to fold the upper half back onto the lower, a few times over. The seed has a hand in it
twice, so that under another seed not even the order of the chances is the same.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def dropout_mask(x: Array, p: float, rng: np.random.Generator) -> Array:
    """0 with probability p, else 1 / (1 - p), in x's shape and dtype. Of `rng` one number is drawn, the seed.

    The elements are counted in the order of the shape (C order), however x lies in memory.
    """
    seed = int(rng.integers(2**63))
    kept = x.dtype.type(1) / x.dtype.type(1 - p)
    return np.where(chances(seed, x.size) >= int(p * 2**32), kept, x.dtype.type(0)).reshape(x.shape)


def chances(seed: int, count: int) -> Array:
    """`count` whole numbers, each from 0 to 2³² - 1 with equal probability, for a seed from 0 to 2⁶⁴ - 1."""
    first, second = keys(seed)
    numbers = np.arange(count, dtype=np.uint64).astype(np.uint32)  # more than 2³² start over again
    return scrambled(scrambled(numbers ^ first) ^ second)


def keys(seed: int) -> tuple[np.uint32, np.uint32]:
    """Two keys of 32 bits, by the last steps of splitmix64 (Steele et al. 2014): seeds that follow each other have
    nothing in common after it."""
    whole = 2**64 - 1
    z = (seed + 0x9E3779B97F4A7C15) & whole
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & whole
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & whole
    z ^= z >> 31
    return np.uint32(z & 0xFFFFFFFF), np.uint32(z >> 32)


def scrambled(x: Array) -> Array:
    """32 bits from 32 bits, each of which depends on all of them (Wellons 2018, with the multipliers that his search
    for the least bias found best)."""
    x = x ^ (x >> 16)
    x *= np.uint32(0x21F0AAAD)
    x ^= x >> 15
    x *= np.uint32(0xD35A2D97)
    x ^= x >> 15
    return x
