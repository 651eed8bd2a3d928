"""Rows of a table, as scikit-learn has them, become the samples of a network; and some of them are held out.

What is held out decides when training stops, so it has to be a fair draw, and nothing of it may ever be learned from.
Here each row has a number that looks random and depends on what is in the row alone. Those with the lowest numbers are
held out. So the order of the rows does not matter, equal rows always stand on the same side, a row that counts three
times and three equal rows are the same, and a row that comes again (in another `partial_fit`) is held out again.
"""

from __future__ import annotations

import math
from hashlib import sha256
from numbers import Number
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from byhand.data.dataset import OnDisk
from byhand.terminal import short

Array = np.ndarray[Any, Any]
BLOCK = 4096  # rows that are looked at at a time


def check_frames(**given: Any) -> None:
    """Raises ValueError for a frame without columns, for one of polars whose rows are still to be computed, and for
    what is no table at all. (A number may be the weight of every row.)"""
    for name, table in given.items():
        if isinstance(table, str | bytes | dict | set) or (isinstance(table, Number) and "weight" not in name):
            raise ValueError(f"{name} is {short(repr(table))}, and has to be an array with an entry for each sample.")
        if isinstance(table, list | tuple) and len({len(row) for row in table if isinstance(row, list | tuple)}) > 1:
            raise ValueError(f"{name} has rows of different lengths; give all of them the same number of entries.")
        if name in ("y", "y_val") and hasattr(table, "isna") and np.any(table.isna()):
            raise ValueError(f"{name} has NaN or NA where something is missing; leave those rows out.")
        if type(table).__name__ == "LazyFrame":
            raise ValueError(f"{name} is a LazyFrame, whose rows are not there yet; give {name}.collect().")
        if hasattr(table, "columns") and len(table.columns) == 0:
            raise ValueError(f"{name} is a frame without columns; give it one at least.")


def fit_float32(X: Any) -> bool:
    """Whether all that rows of this kind can hold fits into a float32, to the bit. A frame's columns may be of several
    kinds."""
    kinds = ([X[name].head(0).to_numpy().dtype for name in getattr(X, "columns", ())] if hasattr(X, "head")
             else [getattr(X, "dtype", None)])
    return all(isinstance(kind, np.dtype) and np.can_cast(kind, np.float32) for kind in kinds)


class Sparse(OnDisk):
    """Rows of a sparse matrix, each of which becomes an array when its batch is due: what is mostly zero need not be in
    memory as zeros."""

    def __init__(self, matrix: Any, shape: tuple[int, ...], rows: Array | None = None) -> None:
        super().__init__(matrix, np.arange(matrix.shape[0]) if rows is None else rows)
        self.sample = shape
        self.shape, self.ndim = (len(self.rows), *shape), 1 + len(shape)
        self.size = math.prod(self.shape)

    def __getitem__(self, rows: slice | ArrayLike) -> Sparse:
        return Sparse(self.array, self.sample, self.rows[rows if isinstance(rows, slice) else np.asarray(rows)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        dense = cast(Any, self.array)[self.rows].toarray().reshape(self.shape)
        return np.asarray(dense, dtype)


def samples(X: Any, shape: tuple[int, ...]) -> Any:
    """Rows (n, features), dense or sparse, as samples of this shape."""
    return Sparse(X, shape) if hasattr(X, "toarray") else X.reshape(len(X), *shape)


def numbers_of(X: Any, rng: np.random.Generator) -> Array:
    """A number from 0 to 2⁶⁴ for each row, which depends on what is in it and on the generator: Σ kᵢ · xᵢ with random
    odd kᵢ, in whole numbers of 64 bits that wrap around (Dietzfelbinger 1996). Equal rows have equal numbers, others
    hardly ever. Sparse rows have those of the same rows written out."""
    keys = rng.integers(2**63, size=X.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    if hasattr(X, "toarray"):
        X = X.copy()
        X.data = bits(X.data)
        return np.asarray(X @ keys)
    return np.concatenate([bits(X[start:start + BLOCK]) @ keys for start in range(0, len(X), BLOCK)])


def bits(values: Array) -> Array:
    """The bits of numbers. Round ones have theirs at the upper end only, so the upper half is mixed into the lower."""
    wide = (np.ascontiguousarray(values, np.float64) + 0.0).view(np.uint64)  # + 0.0 makes 0.0 of -0.0
    return np.asarray(wide ^ (wide >> np.uint64(32)))


def held_out(X: Any, strata: Array, weights: Array | None, fraction: float, rng: np.random.Generator) -> Array:
    """Which rows are held out, a mask (n,): about this fraction of the weight of each stratum, at least two different
    rows, and never a whole stratum.

    strata: (n,), the class of each row, or zeros. Raises ValueError if the data is too small for that.
    """
    number = numbers_of(X, rng)
    order = np.lexsort((number, strata))
    stratum, number = strata[order], number[order]
    new_stratum = np.flatnonzero(np.append(True, stratum[1:] != stratum[:-1]))
    new_row = np.flatnonzero(np.append(True, (number[1:] != number[:-1]) | (stratum[1:] != stratum[:-1])))
    share = np.ones(len(order)) if weights is None else weights[order]
    share = np.add.reduceat(share, new_row)  # of each different row
    first = np.searchsorted(new_row, new_stratum)  # of each stratum
    sizes = np.diff(np.append(first, len(share)))
    totals = np.add.reduceat(share, first)
    before = np.cumsum(share) - share
    middle = (before - np.repeat(before[first], sizes) + share / 2) / np.repeat(totals, sizes)
    last = first + sizes - 1
    middle[last] = math.inf  # somebody has to stay and be learned from
    chosen = (middle < fraction) | (np.argsort(np.argsort(middle, kind="stable")) < 2)
    chosen[last] = False
    if np.count_nonzero(chosen) < 2 or fraction == 0:
        raise ValueError(f"early_stopping found too few rows to hold out (n_samples={len(order)}, {len(share)} of them "
                         f"different, validation_fraction={fraction:g}): two different ones are needed, besides one of "
                         "each class to learn from; increase validation_fraction, or give more different rows, or "
                         "X_val and y_val.")
    mask = np.zeros(len(order), bool)
    mask[order] = np.repeat(chosen, np.diff(np.append(new_row, len(order))))
    return mask


def fingerprint(X: Any, *beside: Array | None) -> str:
    """A text for these rows, and the targets and weights beside them, that others do not have."""
    parts = [numbers_of(X, np.random.default_rng(0)), *(part for part in beside if part is not None)]
    return sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()
