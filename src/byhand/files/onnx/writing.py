"""A network as an ONNX graph: each layer becomes an operator or two, in the order in which they run.

The weights keep their names and shapes ('0.weight'), so the graph can be read beside the network's summary. What the
graph has no place for, the names of the classes, the accuracy and the network's plan, stands in the file's metadata, as
in a model file of byhand's own.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from byhand import nn
from byhand.atomic import write_atomically
from byhand.data import Normalize
from byhand.files.folding import without_batch_norm
from byhand.files.model import SavedModel, check_readable, facts_of, metadata_of, read
from byhand.files.onnx.library import checker, helper, numpy_helper, onnx
from byhand.files.plain_json import from_json
from byhand.files.shapes import Shape, shape_after

Array = np.ndarray[Any, Any]
OPSET = 21
IR_VERSION = 10  # of the file around the graph: the one that came with this opset, for programs of that time
LARGEST = 2**31 - 1  # bytes, the most that a protobuf message can have
INPUT, OUTPUT = "input", "output"


def save(model: SavedModel | nn.Module, path: str | os.PathLike[str], *, preprocessing: bool = False,
         fold_batch_norm: bool = False, input_shape: Shape | None = None, normalize: Normalize | None = None,
         classes: Sequence[str] | None = None, recipe: str | None = None,
         metrics: Mapping[str, Any] | None = None) -> None:
    """Write a network as one ONNX file (opset 21), whole or not at all, for batches of any size.

    model: what `bh.load` gives, or a network with the `input_shape` of one sample, (1, 28, 28). The settings after it
    are those of `bh.save`, and go before what a SavedModel says. The graph's input is called 'input' and its output
    'output', the logits; both are float32, or float64 if the network is.

    preprocessing: put the normalization into the graph too, which then takes raw samples: pictures as bytes (uint8),
    everything else as numbers. Without it the graph takes what is already normalized, as the network itself does.
    fold_batch_norm: work each batch norm that follows a convolution or a linear layer into the weights of that layer,
    which gives the same answers in fewer steps.

    The file has passed the full check of the `onnx` package. Raises ValueError for what a file cannot hold, such as a
    layer of your own, a network in mixed precision, or more than 2 GB; OSError if the file cannot be written.
    """
    if not isinstance(model, SavedModel | nn.Module):
        raise ValueError(f"an ONNX file is made of a network or of what bh.load gives, not of {model!r}.")
    told: dict[str, Any] = {"input_shape": input_shape, "normalize": normalize, "classes": classes,
                            "recipe": recipe, "metrics": metrics}
    saved = replace(model if isinstance(model, SavedModel) else SavedModel(model),
                    **{name: value for name, value in told.items() if value is not None})
    if not isinstance(saved.input_shape, tuple | list) or not saved.input_shape:
        raise ValueError("an ONNX file says what goes in; pass the shape of one sample, as in input_shape=(1, 28, 28).")
    if fold_batch_norm:
        saved = replace(saved, model=without_batch_norm(saved.model))
    metadata = metadata_of(saved)
    saved = replace(saved, input_shape=tuple(from_json(metadata["input_shape"])))  # Python's numbers, not NumPy's
    size = sum(np.asarray(array).nbytes for _, array in saved.model.named_arrays())
    if size > LARGEST - 2**20:
        raise ValueError(f"an ONNX file holds at most 2 GB, and this network has {size / 2**30:.1f}.")
    file = file_of(saved, metadata, preprocessing)
    content = file.SerializeToString(deterministic=True)
    check_readable(path, lambda: read(facts_of(metadata), saved.model.state_dict(), len(content)))
    try:
        checker.check_model(file, full_check=True)
    except (checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ValueError(f"{path} was not written, since it would be no ONNX file "
                         f"({' '.join(str(error).split())}).") from None
    write_atomically(path, content)


def file_of(saved: SavedModel, metadata: Mapping[str, str], preprocessing: bool) -> Any:
    """The whole file, as the library's ModelProto."""
    graph = graph_of(saved.model, saved.input_shape, saved.normalize, preprocessing)
    kind = helper.np_dtype_to_tensor_dtype(graph.kind)
    content = helper.make_graph(
        graph.nodes, "network",
        [helper.make_tensor_value_info(INPUT, onnx.TensorProto.UINT8 if graph.bytes_in else kind,
                                       ["N", *saved.input_shape])],
        [helper.make_tensor_value_info(OUTPUT, kind, ["N", *graph.output_shape])],
        [numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
         for name, array in graph.arrays.items()])
    file = helper.make_model(content, producer_name="byhand", ir_version=IR_VERSION,
                             opset_imports=[helper.make_opsetid("", OPSET)])
    helper.set_model_props(file, {
        **metadata, "preprocessing_inside": json.dumps(preprocessing),
        "counters": json.dumps({name: int(array) for name, array in saved.model.state_dict().items()
                                if array.dtype.kind != "f"})})
    return file


# --- the graph --------------------------------------------------------------------------------------------------------


@dataclass
class Graph:
    """A graph in the making."""

    kind: np.dtype[Any]
    """What it computes in: float32 or float64."""
    nodes: list[Any] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    bytes_in: bool = False
    output_shape: Shape = ()

    def add(self, operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        """One more operator. Its name is also that of the value that it gives."""
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def keep(self, name: str, array: Any) -> str:
        """An array that operators take."""
        self.arrays[name] = np.asarray(array)
        return name


def graph_of(model: nn.Module, shape: Shape, normalize: Normalize | None, preprocessing: bool) -> Graph:
    """The operators of a network for samples of this shape. Raises ValueError if they do not fit together."""
    graph = Graph(precision_of(model))
    graph.output_shape = shape_after(model, shape)
    x = INPUT
    if preprocessing:
        x = write_preprocessing(graph, x, shape, normalize)
    x = write(model, "", x, shape, graph)
    if x in (INPUT, OUTPUT):  # nothing computes it
        graph.add("Identity", OUTPUT, x)
    else:
        graph.nodes[-1].output[0] = OUTPUT
    return graph


def precision_of(model: nn.Module) -> np.dtype[Any]:
    """The one dtype of all its numbers. Raises ValueError if there are several, or one that ONNX programs lack."""
    kinds = {array.dtype for _, array in model.named_arrays() if array.dtype.kind == "f"} or {np.dtype(np.float32)}
    if len(kinds) > 1 or not kinds <= {np.dtype(np.float32), np.dtype(np.float64)}:
        raise ValueError(f"this network computes in {' and '.join(sorted(map(str, kinds)))}, and an ONNX file in "
                         "float32 or float64; convert it with model.to(np.float32).")
    return kinds.pop()


def write_preprocessing(graph: Graph, x: str, shape: Shape, normalize: Normalize | None) -> str:
    """Raw samples in, x · scale - shift out, as `Normalize` does it."""
    graph.bytes_in = len(shape) == 3  # pictures
    if graph.bytes_in:
        x = graph.add("Cast", "numbers", x, to=helper.np_dtype_to_tensor_dtype(graph.kind))
    if normalize is None:
        return x
    scale, shift = (factor.reshape(-1, *[1] * (len(shape) - 1)) if factor.ndim else factor
                    for factor in normalize.factors(np.empty((0, *shape)), graph.kind))
    x = graph.add("Mul", "scaled", x, graph.keep("preprocessing.scale", scale))
    return graph.add("Sub", "normalized", x, graph.keep("preprocessing.shift", shift))


def windowed(layer: Any) -> dict[str, Any]:
    """A window as ONNX writes it: the padding before all axes, then after them."""
    size, stride, padding, dilation = layer.window
    return {"kernel_shape": size, "strides": stride, "pads": padding * 2, "dilations": dilation}


NORM = ("BatchNormalization", ("weight", "bias", "running_mean", "running_var"),
        lambda layer: {"epsilon": float(layer.eps)})
ONE_OPERATOR: dict[type[nn.Module], tuple[str, tuple[str, ...], Callable[[Any], dict[str, Any]]]] = {
    nn.AvgPool2d: ("AveragePool", (), lambda layer: windowed(layer) | {"count_include_pad": 1}),
    nn.BatchNorm1d: NORM,
    nn.BatchNorm2d: NORM,
    nn.Conv2d: ("Conv", ("weight", "bias"), lambda layer: windowed(layer) | {"group": layer.groups}),
    nn.ELU: ("Elu", (), lambda layer: {"alpha": float(layer.alpha)}),
    nn.Flatten: ("Flatten", (), lambda layer: {}),
    nn.GELU: ("Gelu", (), lambda layer: {}),
    nn.LayerNorm: ("LayerNormalization", ("weight", "bias"),
                   lambda layer: {"axis": -len(layer.normalized_shape), "epsilon": float(layer.eps)}),
    nn.LeakyReLU: ("LeakyRelu", (), lambda layer: {"alpha": float(layer.negative_slope)}),
    nn.Linear: ("Gemm", ("weight", "bias"), lambda layer: {"transB": 1}),
    nn.LogSoftmax: ("LogSoftmax", (), lambda layer: {}),
    nn.MaxPool2d: ("MaxPool", (), windowed),
    nn.ReLU: ("Relu", (), lambda layer: {}),
    nn.Sigmoid: ("Sigmoid", (), lambda layer: {}),
    nn.Softmax: ("Softmax", (), lambda layer: {}),
    nn.Softplus: ("Softplus", (), lambda layer: {}),
    nn.Tanh: ("Tanh", (), lambda layer: {}),
}
"""The operator of a layer, which of the layer's arrays it takes, and its attributes."""


def write(layer: Any, path: str, x: str, shape: Shape, graph: Graph) -> str:
    """The operators of a layer with this path, from the value x on; returns the name of its value."""
    def within(name: str) -> str:
        return f"{path}.{name}" if path else name

    def own(name: str) -> str:
        return graph.keep(within(name), getattr(layer, name))

    value = path or "layer"
    match layer:
        case nn.Sequential():
            for name, part in layer.children():
                x, shape = write(part, within(name), x, shape, graph), shape_after(part, shape)
            return x
        case nn.Residual():
            y = write(layer.body, within("body"), x, shape, graph)
            around = x if layer.shortcut is None else write(layer.shortcut, within("shortcut"), x, shape, graph)
            return graph.add("Add", value, around, y)
        case nn.Dropout():  # which does nothing outside training
            return x
        case nn.GlobalAvgPool2d():
            return graph.add("Flatten", value, graph.add("GlobalAveragePool", within("mean"), x))
        case nn.SiLU():
            return graph.add("Mul", value, x, graph.add("Sigmoid", within("sigmoid"), x))
        case nn.Linear() if len(shape) > 1:  # Gemm multiplies matrices only
            weight = graph.add("Transpose", within("columns"), own("weight"), perm=[1, 0])
            x = graph.add("MatMul", value if layer.bias is None else within("product"), x, weight)
            return x if layer.bias is None else graph.add("Add", value, x, own("bias"))
    operator, names, attributes = ONE_OPERATOR[type(layer)]
    return graph.add(operator, value, x, *[own(name) for name in names if getattr(layer, name) is not None],
                     **attributes(layer))
