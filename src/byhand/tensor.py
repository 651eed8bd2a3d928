"""The engine on arrays: a Tensor is a NumPy array that remembers how it was computed.

Everything it can do stands in `byhand.ops`; here its operators and methods are tied to those functions, one line each.

    >>> import byhand as bh
    >>> w = bh.Tensor([1.0, -2.0, 3.0], requires_grad=True)
    >>> loss = (w * w).sum()
    >>> loss.backward()
    >>> w.grad
    array([ 2., -4.,  6.], dtype=float32)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from byhand import ops
from byhand.autodiff import GraphError, Node


LARGEST_PICTURE = 512  # rows or columns that a notebook still shows


class Tensor(Node):
    """An array that can be differentiated through.

    data: anything NumPy makes an array of. Arrays keep their dtype; Python's floats become float32 unless `dtype` says
    otherwise. The array itself is used, not a copy. requires_grad: collect the gradient of this array in `grad` when
    `backward()` is called on something computed from it. `grad` is a plain array of the same shape and dtype.

    Raises TypeError for data that is not numbers, and for requires_grad with integers, which have no slope; ValueError
    for a list of Tensors that require gradients, which would be cut off.
    """

    __slots__ = ()
    __array_ufunc__ = None  # makes `array * tensor` come to us instead of NumPy's own loop

    def __init__(self, data: Any, requires_grad: bool = False, dtype: Any = None) -> None:
        if type(data) is not np.ndarray or dtype is not None:
            data = array_of(data, dtype)
        kind = data.dtype.kind
        if kind not in "fiub":
            raise TypeError(f"a Tensor needs real numbers, got an array of {data.dtype}.")
        if requires_grad and kind != "f":
            raise TypeError(f"requires_grad needs an array of floats, got {data.dtype}; give dtype=np.float32.")
        super().__init__(data, requires_grad)

    def backward(self, gradient: Any = None, retain_graph: bool = False) -> None:
        """Fill `grad` of everything that requires it and that this was computed from; see `Node.backward`.

        gradient: the slope that arrives here, in this tensor's shape; 1 if this is a single number.
        """
        if gradient is None:
            if self.data.size != 1:
                raise GraphError("backward() starts from a single number such as a loss; this tensor has shape "
                                 f"{self.shape}. Reduce it (say, with .mean()) or pass the gradient that arrives here.")
            gradient = np.ones_like(self.data)
        gradient = np.array(gradient, dtype=self.data.dtype)  # a copy: what the caller does with theirs is their affair
        if gradient.shape != self.shape:
            raise ValueError(f"the gradient given to backward() has shape {gradient.shape}; it needs {self.shape}.")
        super().backward(gradient, retain_graph)

    # --- what it holds ------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(self.data.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return int(self.data.ndim)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self.data.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return np.dtype(self.data.dtype)

    def numpy(self) -> np.ndarray[Any, Any]:
        """The array itself, not a copy."""
        return np.asarray(self.data)

    def item(self) -> float:
        """The value of a tensor with one element, as a Python number."""
        return float(self.data.item())

    def astype(self, dtype: Any) -> Tensor:
        """The same numbers in another precision, cut off from the graph."""
        return Tensor(self.data.astype(dtype))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.data, dtype=dtype) if copy or dtype is not None else np.asarray(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __float__(self) -> float:
        return self.item()

    def __bool__(self) -> bool:
        return bool(self.data)

    def __repr__(self) -> str:
        numbers = np.array2string(self.data, separator=", ", prefix="Tensor(", threshold=50, precision=4)
        origin = f", from {self.op}" if self.op else ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({numbers}{origin})"

    def _repr_html_(self) -> str:
        """In a notebook: what it is, and two axes as a picture, blue below zero and orange above."""
        from byhand import charts

        finite = self.data[np.isfinite(self.data)].astype(np.float64)
        span = f", from {finite.min():.4g} to {finite.max():.4g}, mean {finite.mean():.4g}" if finite.size else ""
        wild = f", {self.size - finite.size:,} not finite" if finite.size < self.size else ""
        said = charts.tag("p", f"Tensor of shape {self.shape}, {self.dtype}{span}{wild}")
        if self.ndim != 2 or not finite.size or max(self.shape) > LARGEST_PICTURE:
            return charts.html(charts.tag("div", said, charts.tag("pre", repr(self))))
        values = np.nan_to_num(self.data.astype(np.float64), posinf=0, neginf=0) / max(np.abs(finite).max(), 1e-300)
        return charts.html(charts.tag("div", said, charts.image(
            charts.tinted(values, max(1, 240 // max(self.shape))), alt="its values, orange above 0, blue below")))

    __hash__ = object.__hash__

    # --- operators ----------------------------------------------------------------------------------------------------

    __add__ = __radd__ = ops.add
    __sub__ = ops.subtract
    __mul__ = __rmul__ = ops.multiply
    __truediv__ = ops.divide
    __pow__ = ops.power
    __matmul__ = ops.matmul
    __neg__ = ops.negative
    __abs__ = ops.abs
    __eq__ = ops.equal
    __ne__ = ops.not_equal
    __lt__ = ops.less
    __le__ = ops.less_equal
    __gt__ = ops.greater
    __ge__ = ops.greater_equal

    def __rsub__(self, other: Any) -> Any:
        return ops.subtract(other, self)

    def __rtruediv__(self, other: Any) -> Any:
        return ops.divide(other, self)

    def __rpow__(self, other: Any) -> Any:
        return ops.power(other, self)

    def __rmatmul__(self, other: Any) -> Any:
        return ops.matmul(other, self)

    def __getitem__(self, key: Any) -> Any:
        return ops.index(self, tuple(map(array_in, key)) if isinstance(key, tuple) else array_in(key))

    # --- methods ------------------------------------------------------------------------------------------------------

    exp, log, sqrt, abs, clip = ops.exp, ops.log, ops.sqrt, ops.abs, ops.clip
    sum, mean, var, max, min = ops.sum, ops.mean, ops.var, ops.max, ops.min
    argmax, logsumexp = ops.argmax, ops.logsumexp
    reshape, transpose, swapaxes, squeeze = ops.reshape, ops.transpose, ops.swapaxes, ops.squeeze
    relu, tanh, sigmoid, softmax, log_softmax = ops.relu, ops.tanh, ops.sigmoid, ops.softmax, ops.log_softmax

    @property
    def T(self) -> Any:
        """The axes in reverse order."""
        return ops.transpose(self)


Tensor.kind = Tensor


def array_of(data: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """The array that a Tensor holds for `data`."""
    if isinstance(data, Tensor):
        data = data.data
    if isinstance(data, list | tuple) and any(isinstance(item, Tensor) and item.requires_grad for item in data):
        raise ValueError("a new Tensor would cut these Tensors off from their gradients; put them together with "
                         "ops.stack, or detach() them.")
    try:
        array = np.asarray(data, dtype=dtype)
    except ValueError as error:
        raise TypeError(f"a Tensor needs numbers in a regular shape: {error}.") from None
    if dtype is None and array.dtype == np.float64 and not isinstance(data, np.ndarray | np.generic):
        array = array.astype(np.float32)  # Python's own floats say nothing about precision
    return array


def array_in(key: Any) -> Any:
    """A part of an index: a Tensor stands for its array."""
    return key.data if isinstance(key, Tensor) else key
