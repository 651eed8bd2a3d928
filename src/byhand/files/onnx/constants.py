"""The arrays of a file, and the small sums that exporters leave in it.

An array is taken out only if the bytes that it claims are really there, and then it is a view of them. Exporters also
compute shapes in the graph ("the batch, then everything else in one row"), by operators on a few whole numbers; those
are worked out here. The size of the batch, which no file knows, is in them as a number that nothing else has, and may
be moved but not computed with.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from byhand.files.model import MOST_DIMENSIONS
from byhand.files.onnx.library import numpy_helper, onnx
from byhand.files.onnx.node import Node, need, text

Array = np.ndarray[Any, Any]
FEW = 64  # numbers in an array that is computed with
BATCH = -2**30  # fits into 32 bits, and is no size
MOVING = ("Cast", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze")
"""Operators that leave the numbers as they are, and take them as their first input."""
TYPES = {
    onnx.TensorProto.FLOAT: "<f4", onnx.TensorProto.DOUBLE: "<f8", onnx.TensorProto.FLOAT16: "<f2",
    onnx.TensorProto.INT32: "<i4", onnx.TensorProto.INT64: "<i8", onnx.TensorProto.BOOL: "?",
}


def array_of(tensor: Any) -> Array:
    """The array in a TensorProto. Raises ValueError if it lies in another file or is not what it says."""
    name = f"'{text(tensor.name)[:60]}'" if tensor.name else "an array"
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise ValueError(f"{name} lies in another file, and byhand reads ONNX files that hold all their weights; write "
                         "it again with onnx.save(onnx.load(path), path, save_as_external_data=False)")
    if tensor.data_type not in TYPES:
        raise ValueError(f"{name} holds {kind_name(tensor.data_type)}, which byhand does not compute with")
    dtype, count = np.dtype(TYPES[tensor.data_type]), math.prod(tensor.dims)
    if len(tensor.dims) > MOST_DIMENSIONS or min(tensor.dims, default=0) < 0:
        raise ValueError(f"{name} has no shape of this world")
    if tensor.raw_data:
        there = len(tensor.raw_data) / dtype.itemsize
    else:
        there = max(len(tensor.float_data), len(tensor.double_data), len(tensor.int32_data), len(tensor.int64_data))
    if there != count:
        raise ValueError(f"{name} claims {count:,} numbers, and the file holds {there:,.4g} of them")
    if tensor.raw_data:
        array = np.frombuffer(tensor.raw_data, dtype).reshape(tuple(tensor.dims))
    else:
        array = np.asarray(numpy_helper.to_array(tensor)).astype(dtype, copy=False)
    return array.astype(np.float32) if dtype.itemsize == 2 else array


def kind_name(data_type: int) -> str:
    """FLOAT, STRING: what ONNX calls a type of numbers."""
    known = onnx.TensorProto.DataType.items()
    return next((name for name, number in known if number == data_type), f"type {data_type}")


# --- computing with a few of them -------------------------------------------------------------------------------------


def constant(node: Node) -> Array:
    """What a Constant node says."""
    for name, value in node.attributes.items():
        match name:
            case "value" if isinstance(value, onnx.TensorProto):
                return array_of(value)
            case "value_float":
                return np.array(node.number(name, 0.0), np.float32)
            case "value_floats":
                return np.array(node.numbers(name), np.float32)
            case "value_int":
                return np.array(node.whole(name, 0))
            case "value_ints":
                return np.array(node.wholes(name, ()), np.int64)
    raise ValueError(f"{node} holds nothing that byhand computes with")


def has_batch(value: Any) -> bool:
    """Whether it is an array with the size of the batch in it."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "i" and BATCH in value


def transposed(node: Node, x: Array) -> Array:
    """With the axes in another order."""
    order = node.wholes("perm", range(x.ndim)[::-1])
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(f"{node} is told no order of {x.ndim} axes")
    return x.transpose(order)


def reshaped(node: Node, x: Array, shape: Array) -> Array:
    """The same numbers in another shape."""
    return x.reshape([x.shape[i] if n == 0 and i < x.ndim else n for i, n in enumerate(whole_numbers(node, shape))])


def cast(node: Node, x: Array) -> Array:
    """The same numbers of another type."""
    target = node.whole("to", 0)
    if target not in TYPES:
        raise ValueError(f"{node} makes {kind_name(target)}, which byhand does not compute with")
    need(not has_batch(x) or TYPES[target] in ("<i4", "<i8"), node, "computes with the size of the batch")
    return x.astype(TYPES[target]) if TYPES[target] != "<f2" else x


def few(of: Callable[..., Array]) -> Callable[..., Array]:
    """A function of small arrays only."""
    def function(node: Node, *arrays: Array) -> Array:
        if any(array.size > FEW or array.ndim > 4 for array in arrays):
            raise ValueError(f"{node} computes with more than {FEW} constants; simplify the file before, with "
                             "a tool such as onnxsim")
        try:
            return np.asarray(of(node, *arrays))
        except (TypeError, IndexError) as error:
            raise ValueError(f"{node} cannot be worked out ({error})") from None

    return function


def sliced(node: Node, x: Array, start: Array, end: Array, axes: Array | None = None,
           steps: Array | None = None) -> Array:
    """A part of a list."""
    if x.ndim != 1 or (axes is not None and np.any(axes)) or (steps is not None and np.any(steps != 1)):
        raise ValueError(f"{node} takes something else than a part of a list")
    return x[int(start.reshape(())):int(end.reshape(()))]


def without(node: Node, x: Array, *axes: Array) -> Array:
    """Without axes of length 1."""
    return np.squeeze(x, tuple(axes_of(node, axes)) or None)


ON_CONSTANTS: dict[str, Callable[..., Array]] = {
    "Constant": constant,
    "Identity": lambda node, x: x,
    "Transpose": transposed,
    "Reshape": reshaped,
    "Cast": cast,
    "Squeeze": few(without),
    "Unsqueeze": few(lambda node, x, *axes: np.expand_dims(x, tuple(axes_of(node, axes)))),
    "Concat": few(lambda node, *arrays: np.concatenate(arrays, axis=node.whole("axis", 0))),
    "Gather": few(lambda node, x, index: np.take(x, index, axis=node.whole("axis", 0))),
    "Slice": few(sliced),
    "Add": few(lambda node, a, b: a + b),
    "Sub": few(lambda node, a, b: a - b),
    "Mul": few(lambda node, a, b: a * b),
}
"""What is computed where all that an operator takes is known."""


def whole_numbers(node: Node, array: Array) -> list[int]:
    """A short list of whole numbers, as Python's. Raises ValueError for anything else."""
    if array.ndim != 1 or array.size > FEW or array.dtype.kind != "i":
        raise ValueError(f"{node} is told {array.dtype} numbers of shape {array.shape} where a short list of whole "
                         "numbers belongs")
    return [int(n) for n in array]


def axes_of(node: Node, inputs: Sequence[Array]) -> list[int]:
    """The axes that an operator is told: by its last input or, in older files, as an attribute."""
    return whole_numbers(node, inputs[0].reshape(-1)) if inputs else list(node.wholes("axes", ()))
