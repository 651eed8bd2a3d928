"""Arrays for the tests of compiled kernels: as awkward in memory as NumPy allows, and with guards around them.

Compiled code does not check where it reads and writes. So what a kernel may write lies in the middle of a larger array
whose other numbers must still be there afterwards, and around what it may read there is nothing but NaN, which would
show in the results.
"""

import math
from contextlib import contextmanager

import numpy as np
from hypothesis import strategies as st

from byhand import kernels

MARGIN = 200  # numbers on either side: more than any vector, row of channels or strip that a test goes through
CANARY = {"f": -12345.0, "u": 199}

dtypes = st.sampled_from([np.float32, np.float64])
layouts = st.sampled_from(["rows", "columns", "channels last", "reversed", "slices"])
seeds = st.integers(0, 2**32 - 1)
sizes = st.sampled_from([1, 2, 17, 64, 257, 1000])
ENDS = [0.0, -0.0, 1e-30, -1e-30, 1.0, -1.0, 88.0, -88.0, 710.0, -710.0, 1e30, -1e30, math.inf, -math.inf, math.nan]


def arranged(values, layout):
    """The same numbers, lying in memory as `layout` says."""
    if layout == "columns":
        return np.asfortranarray(values)
    if layout == "channels last" and values.ndim > 1:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(values, 1, -1)), -1, 1)
    if layout == "reversed":
        back = (slice(None, None, -1),) * values.ndim
        return np.ascontiguousarray(values[back])[back]
    if layout == "slices":
        every_other = (slice(1, None, 2),) * values.ndim
        wide = np.full([2 * n + 1 for n in values.shape], np.nan, values.dtype)
        wide[every_other] = values
        return wide[every_other]
    return np.ascontiguousarray(values)


def surrounded(values):
    """The same numbers, flat, with NaN before and after them."""
    whole = np.full(values.size + 2 * MARGIN, np.nan, values.dtype)
    inside = whole[MARGIN:MARGIN + values.size]
    inside[:] = values.reshape(-1)
    return inside


class Guarded:
    """Room for `size` numbers with canaries in it and around it; a kernel gets `inside`."""

    def __init__(self, size, dtype):
        self.canary = CANARY[np.dtype(dtype).kind]
        self.whole = np.full(size + 2 * MARGIN, self.canary, dtype)
        self.inside = self.whole[MARGIN:MARGIN + size]

    def written(self, start, stop):
        """What is in inside[start:stop]; nothing else has been touched."""
        np.testing.assert_array_equal(self.whole[:MARGIN + start], self.canary)
        np.testing.assert_array_equal(self.whole[MARGIN + stop:], self.canary)
        return self.inside[start:stop]


@contextmanager
def threads(n):
    """Within this, n threads share the work."""
    before = kernels.get_num_threads()
    kernels.set_num_threads(n)
    try:
        yield
    finally:
        kernels.set_num_threads(before)


def same_bits(first, second):
    """Whether two arrays, or two tuples of arrays, agree to the last bit."""
    if isinstance(first, tuple):
        return all(same_bits(a, b) for a, b in zip(first, second, strict=True))
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()


def close(dtype, size=1.0):
    """What a few roundings may do to numbers of about `size`."""
    eps = 8 * float(np.finfo(dtype).eps)
    return {"rtol": 4 * eps, "atol": eps * size}


def numbers(rng, size, dtype, ends=True):
    """Numbers small and large, some of which are the ends of the number line."""
    x = rng.normal(0, 4, size).astype(dtype)
    if ends:
        chosen = rng.random(size) < 0.2
        x[chosen] = rng.choice(ENDS, chosen.sum())
    return x


def part_of(rng, size):
    """From where to where a kernel shall go: a part of `size` elements."""
    return np.sort(rng.integers(0, size + 1, 2)).tolist()
