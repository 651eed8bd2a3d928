"""Matrix products, and the layer that is one.

In y = x W, an element of x meets a row of W and an element of W meets a column of x. Slopes go back the same way, which
is why each gradient is again a matrix product, with the other factor turned over.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from byhand.autodiff import op
from byhand.ops.arithmetic import floats

Array = Any
alone: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def rows_alone() -> Iterator[None]:
    """Within this context (of this thread only) a linear layer multiplies each row by itself, and few numbers are bent
    as many are. That is slower, but then no bit of a row's result depends on the rows beside it, as it does in BLAS,
    where rows at the edge of a product are added up in another order."""
    token = alone.set(True)
    try:
        yield
    finally:
        alone.reset(token)


@op
def matmul(a: Array, b: Array) -> Any:
    """The matrix product over the last two axes, (..., n, k) @ (..., k, m) -> (..., n, m), repeated over the axes
    before them. A vector stands for a row on the left and for a column on the right, as in NumPy.
    Raises ValueError for shapes that do not go together."""
    a, b = np.asarray(a), np.asarray(b)
    try:
        value = np.matmul(a, b)
    except ValueError:
        raise ValueError(f"matmul needs shapes (..., n, k) and (..., k, m) with the same k, got {a.shape} and "
                         f"{b.shape}.") from None
    rows = a if a.ndim > 1 else a[None, :]
    columns = b if b.ndim > 1 else b[:, None]

    def matrix(g: Array) -> Array:  # put back the axis of length 1 that a vector had lost
        g = np.asarray(g)
        g = g if b.ndim > 1 else g[..., None]
        return g if a.ndim > 1 else g[..., None, :]

    def gradient_of_a(g: Array) -> Array:
        back = matrix(g) @ columns.swapaxes(-1, -2)
        return back if a.ndim > 1 else back[..., 0, :]

    def gradient_of_b(g: Array) -> Array:
        back = rows.swapaxes(-1, -2) @ matrix(g)
        return back if b.ndim > 1 else back[..., 0]

    return value, gradient_of_a, gradient_of_b


@op
def linear(x: Array, weight: Array, bias: Array | None = None) -> Any:
    """y = x Wᵀ + b. x: (..., in); weight: (out, in); bias: (out,) or None; y: (..., out).
    Raises ValueError for shapes that do not go together."""
    x = floats(x)
    if weight.ndim != 2 or x.shape[-1:] != weight.shape[1:]:
        raise ValueError(f"linear needs x (..., in) and a weight (out, in) with the same in, got {x.shape} and "
                         f"{weight.shape}.")
    if bias is not None and np.shape(bias) != weight.shape[:1]:
        raise ValueError(f"linear with a weight of shape {weight.shape} needs a bias of shape {weight.shape[:1]}, got "
                         f"{np.shape(bias)}.")
    value = (x[..., None, :] @ weight.T)[..., 0, :] if alone.get() else x @ weight.T
    if bias is not None:
        value += bias

    def rows(a: Array) -> Array:
        return a.reshape(-1, a.shape[-1])

    return value, lambda g: g @ weight, lambda g: rows(g).T @ rows(x), lambda g: rows(g).sum(axis=0)
