"""ONNX files, byhand's own and those of PyTorch's and scikit-learn's exporters, become networks of byhand's layers.

A file of byhand's own says in its metadata which network it is. It is believed if that network, written again, gives
the file's own graph; whoever changes the graph changes the network. Any other graph is followed from its input to its
output, an operator at a time, and becomes the layers that do the same. Nothing in a file can run code, and nothing is
allocated on its word alone.
"""

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from byhand import nn
from byhand.data import Normalize
from byhand.files import model as model_files
from byhand.files.model import SavedModel
from byhand.files.onnx.constants import BATCH, MOVING, ON_CONSTANTS, array_of, has_batch
from byhand.files.onnx.library import DecodeError, onnx
from byhand.files.onnx.node import DOMAINS, Node, Unknown, need, node_of, text
from byhand.files.onnx.operators import FLOATS, OF_SEVERAL, OPERATORS
from byhand.files.onnx.steps import NORMS, Branches, Maker, Scaling, Step, by_channel, check_size, merged, since
from byhand.files.onnx.writing import LARGEST, file_of
from byhand.files.plain_json import from_json, once_each
from byhand.files.tensors import ModelFileError
from byhand.terminal import short

Array = np.ndarray[Any, Any]
Value = Step | Array
OLDEST = 9  # opset
MOST_NODES = 10_000
STILL_WHOLE = ("Flatten", "Identity", "Reshape", "Squeeze")  # after these, whole numbers are what they were
NUMBERS = (*FLOATS, onnx.TensorProto.UINT8, onnx.TensorProto.INT8, onnx.TensorProto.INT32, onnx.TensorProto.INT64)


def load(path: str | os.PathLike[str], normalize: Normalize | None = None) -> SavedModel:
    """Read an ONNX file: one that `save` wrote, which comes back as it was, or the feed-forward graph of another
    program, such as `torch.onnx.export` and `skl2onnx` write.

    Of another program's file come the network, the shape of a sample, what is subtracted and divided before the first
    layer (as `normalize`), and the names of the classes if scikit-learn wrote it. Batch norms may have been folded, and
    biases that the file adds are the layers' own. A classifier's labels are left out: the network answers with the
    probabilities, or whatever else the file's float output is.

    normalize: how samples were normalized in training, where the file itself does not say so. Most do not, and a
    network that was trained on numbers around 0 answers worse on pixels from 0 to 255. `normalize_known` is False where
    neither says anything; and where a graph of floats normalizes them itself, which may be pixels from 0 to 1.

    Raises ModelFileError, a ValueError, with one sentence about what is wrong with the file, such as the first operator
    that byhand has no layer for; ValueError for a `normalize` that is none, or beside the file's own; OSError if there
    is no file.
    """
    if not isinstance(normalize, Normalize | None):
        raise ValueError(f"normalize must be a byhand.data.Normalize or None, got {normalize!r}.")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}.")
    size = path.stat().st_size
    if size > LARGEST:
        raise ModelFileError(f"{path} has more than the 2 GB that an ONNX file can have.")
    try:
        file = onnx.ModelProto.FromString(path.read_bytes())
        if not file.graph.node or not file.opset_import:
            raise DecodeError("it has no graph" if size else "it is empty")
    except DecodeError as error:
        raise ModelFileError(f"{path} is not an ONNX file, or is damaged ({short(error)}).") from None
    try:
        with np.errstate(all="ignore"):  # numbers that are too large, or none
            saved = from_metadata(file, size) or from_graph(file, size)
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} cannot become a network: {short(error)}.") from None
    if normalize is None:
        return saved
    if saved.normalize is not None:
        raise ValueError(f"{path} says itself how its samples are normalized; leave out normalize.")
    return replace(saved, normalize=normalize, normalize_known=True)


def from_metadata(file: Any, size: int) -> SavedModel | None:
    """The model that a file of byhand's own describes; None if it is another's, or was changed by another: whatever its
    metadata says then, the graph counts. Raises ValueError for another version of the format."""
    metadata = {text(entry.key): text(entry.value) for entry in file.metadata_props}
    if metadata.get("format") != "byhand" or len(metadata) < len(file.metadata_props):
        return None
    model_files.check_version(metadata.get("version", "?"))
    try:
        counters = {name: np.array(n, np.int64) for name, n in from_json(metadata["counters"]).items()}
        arrays = {text(tensor.name): array_of(tensor) for tensor in file.graph.initializer}
        state = {name: array for name, array in arrays.items() if not name.startswith("preprocessing.")}
        saved = model_files.read(model_files.facts_of(metadata), state | counters, size)
        again = file_of(saved, metadata, from_json(metadata["preprocessing_inside"]) is True)
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
        return None
    return saved if same_graph(file, again) else None


def same_graph(file: Any, other: Any) -> bool:
    """Whether two files compute the same by the same operators, whatever else they say."""
    a, b = file.graph, other.graph
    return (list(a.node) == list(b.node) and list(a.input) == list(b.input) and list(a.output) == list(b.output)
            and list(a.initializer) == list(b.initializer) and list(file.opset_import) == list(other.opset_import))


# --- anybody's graph --------------------------------------------------------------------------------------------------


def from_graph(file: Any, size: int) -> SavedModel:
    """The model of any graph."""
    graph, opset = file.graph, opset_of(file)
    if graph.sparse_initializer:
        raise ValueError("it has sparse weights, which byhand does not compute with")
    nodes = [node_of(node, opset) for node in graph.node]
    start, name, batch, kind = input_of(graph)
    arrays = once_each((text(tensor.name), tensor) for tensor in graph.initializer)
    answers = answers_of(graph)
    nodes_needed = needed(nodes, answers, {name, *arrays})
    check_operators(nodes_needed, name, whole=kind not in FLOATS)
    if len(answers) != 1:
        raise ValueError(f"it has {len(answers)} outputs of numbers, and a network has one; export the logits or the "
                         "probabilities alone, with skl2onnx by options={'zipmap': False}")
    end = followed(nodes_needed, {name: start}, arrays, answers[0], batch, size)
    steps = merged(since(end, start))
    normalize = normalize_of(steps[0]) if steps and isinstance(steps[0].layer, Scaling) else None
    kinds = {array.dtype for array in numbers_of(steps)}
    maker = Maker(4 * size + 2**20, np.float64 if np.dtype(np.float64) in kinds else np.float32)
    layers = maker.modules(steps if normalize is None else steps[1:])
    yes_or_no = isinstance(end.layer, nn.Sigmoid)  # to each of several labels, of which none excludes another
    classes = () if yes_or_no else classes_of(nodes, arrays)
    return SavedModel(nn.Sequential(*layers), start.shape, normalize, classes if end.shape == (len(classes),) else (),
                      normalize_known=kind not in FLOATS or (normalize is not None and beyond_1(normalize)))


def opset_of(file: Any) -> int:
    """The version of the operators. Raises ValueError for one in which they may mean something else."""
    opset = next((entry.version for entry in file.opset_import if entry.domain in DOMAINS), 0)
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST <= opset <= newest:
        raise ValueError(f"its operators are those of opset {opset}, and byhand knows {OLDEST} to {newest}; export it "
                         "with another opset_version")
    return int(opset)


def input_of(graph: Any) -> tuple[Step, str, int, int]:
    """Where the graph begins, the name of that, the size of the batch (BATCH if it is free), and the type of the
    numbers."""
    weights = {text(tensor.name) for tensor in graph.initializer}
    inputs = [value for value in graph.input if text(value.name) not in weights]
    if len(inputs) != 1:
        raise ValueError(f"it has {len(inputs)} inputs, and a network has one")
    kind = inputs[0].type.tensor_type
    dims = [d.dim_value if d.WhichOneof("value") == "dim_value" else BATCH for d in kind.shape.dim]
    if kind.elem_type not in NUMBERS or not dims:
        raise ValueError("its input is no batch of numbers")
    if any(n < 1 for n in dims[1:]):
        raise ValueError("it does not say what shape a sample has; export it with only the batch left free")
    check_size(tuple(dims[1:]))
    return Step(None, None, tuple(dims[1:])), text(inputs[0].name), dims[0], kind.elem_type


def answers_of(graph: Any) -> list[str]:
    """The names of the outputs that have numbers, beside which there may be labels."""
    return [text(value.name) for value in graph.output
            if value.type.WhichOneof("value") == "sequence_type" or value.type.tensor_type.elem_type in (0, *FLOATS)]


def needed(nodes: Sequence[Node], answers: Sequence[str], given: Set[str]) -> list[Node]:
    """The operators that the answers depend on, in the file's order."""
    makers: dict[str, int] = {}
    for i, node in enumerate(nodes):
        for name in node.outputs:
            if name and (name in given or makers.setdefault(name, i) != i):
                raise ValueError(f"the value '{name[:60]}' is made twice")
    if len(nodes) > MOST_NODES:
        raise ValueError(f"it has more than {MOST_NODES:,} operators")
    found: set[int] = set()
    waiting = list(answers)
    while waiting:
        i = makers.get(waiting.pop(), -1)
        if i >= 0 and i not in found:
            found.add(i)
            waiting += nodes[i].inputs
    return [nodes[i] for i in sorted(found)]


def check_operators(nodes: Sequence[Node], start: str, *, whole: bool) -> None:
    """What can be said of operators before any is followed. Raises Unknown for the first that byhand knows nowhere, and
    for one that computes with whole numbers, for which a division is another one: they may only become floats."""
    values, wholes = {start}, {start} if whole else set()
    for node in nodes:
        if values.intersection(node.inputs) and node.operator != "Shape":
            need(node.operator in OPERATORS or node.operator in ON_CONSTANTS, node, "")
            values.update(filter(None, node.outputs))
        if wholes.intersection(node.inputs) and node.operator in STILL_WHOLE:
            wholes.update(filter(None, node.outputs))
        elif wholes.intersection(node.inputs):
            need(node.operator in ("Cast", "Shape", "ai.onnx.ml.Scaler"), node, "computes with whole numbers")


def followed(nodes: Sequence[Node], values: dict[str, Value], arrays: Mapping[str, Any], answer: str, batch: int,
             size: int) -> Step:
    """The answer, by the way that the operators lead to it."""
    budget = 4 * size + 2**20  # bytes that may be worked out from constants
    for node in nodes:
        inputs: list[Value | None] = []
        for name in node.inputs:
            if name and name not in values:
                if name not in arrays:
                    raise ValueError(f"{node} takes '{name[:60]}' before anything has made it")
                values[name] = array_of(arrays[name])
            inputs.append(values[name] if name else None)
        while inputs and inputs[-1] is None:
            inputs.pop()
        value = value_of(node, inputs, batch)
        if isinstance(value, np.ndarray):
            budget -= value.nbytes
            if budget < 0:
                raise ValueError("its constants grow beyond what the file holds")
        if not node.outputs:
            raise ValueError(f"{node} makes nothing")
        values[node.outputs[0]] = value
    end = values.get(answer)
    if not isinstance(end, Step):
        raise ValueError("its output does not depend on its input")
    return end


def value_of(node: Node, inputs: Sequence[Value | None], batch: int) -> Value:
    """What comes of an operator."""
    values = [value for value in inputs if isinstance(value, Step)]
    if values and node.operator == "Shape":
        return np.array([BATCH, *values[0].shape])[node.whole("start", 0):node.whole("end", len(values[0].shape) + 1)]
    function = (OPERATORS if values else ON_CONSTANTS).get(node.operator)
    if function is None:
        raise Unknown(node)
    sized = [i for i, value in enumerate(inputs) if has_batch(value)]
    may_move = node.operator == "Reshape" if values else node.operator in MOVING
    need(not sized or (node.operator == "Concat" and not values) or (may_move and sized == [len(values)]), node,
         "computes with the size of the batch")
    if not values or node.operator in OF_SEVERAL:
        complete = None not in [value if value is None else True for value in inputs]
    else:
        complete = inputs[0] is values[0] and len(values) == 1
    more = {"batch": batch} if values and node.operator == "Reshape" else {}
    try:
        inspect.signature(function).bind(node, *inputs, **more)
    except TypeError:
        complete = False
    if not complete:
        raise Unknown(node, "takes something else than it does elsewhere")
    return function(node, *inputs, **more)


def numbers_of(steps: Sequence[Step]) -> Iterator[Array]:
    """The arrays of all layers."""
    for step in steps:
        yield from step.arrays.values()
        if isinstance(step.layer, Branches):
            yield from numbers_of([*step.layer.body, *step.layer.shortcut])


def normalize_of(step: Step) -> Normalize | None:
    """What is done to samples before the first layer, as a Normalize; None if it is no such thing."""
    _, axis = NORMS.get(len(step.shape), (None, 0))
    scale, shift = (array.reshape(-1) if array.size == 1 else by_channel(array, step.shape, axis)
                    for array in (step.layer.scale, step.layer.shift))
    if scale is None or shift is None or not np.all(scale > 0):
        return None
    mean, std = (tuple(map(float, values)) if values.size > 1 else float(values[0])
                 for values in ((0 - shift) / scale, 1 / scale))
    return Normalize(mean, std, scale=1.0)


def beyond_1(normalize: Normalize) -> bool:
    """Whether it can only be of pixels from 0 to 255: those from 0 to 1 have no mean and no deviation above 1."""
    return bool(max(np.max(normalize.mean), np.max(normalize.std)) > 1)


def classes_of(nodes: Sequence[Node], arrays: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the classes, where scikit-learn's exporter has put them; else ()."""
    for node in nodes:
        found: list[Any] = []
        if node.operator == "ai.onnx.ml.ZipMap":
            found = [*node.several("classlabels_strings", (), bytes), *node.wholes("classlabels_int64s", ())]
        elif node.operator == "ai.onnx.ml.ArrayFeatureExtractor" and node.inputs and node.inputs[0] in arrays:
            tensor = arrays[node.inputs[0]]
            found = list(tensor.string_data) or list(array_of(tensor).reshape(-1).tolist())
        names = [name.decode() if isinstance(name, bytes) else str(name) for name in found]
        if names and len(set(names)) == len(names):
            return tuple(names)
    return ()
