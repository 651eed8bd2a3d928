"""ONNX files of a few operators, to be good or bad, and what it is to refuse one."""

import tracemalloc

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import byhand as bh
from byhand.files import ModelFileError

FLOAT = TensorProto.FLOAT
WEIGHT = np.ones((3, 4), np.float32)
ZERO = np.array([0])


def value(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def node(operator, inputs="x W", output="y", **attributes):
    """An operator; what it takes, by names with spaces between."""
    return helper.make_node(operator, inputs.split(), output.split(), name="it", **attributes)


def file_of(*nodes, shape=("N", 4), arrays=None, inputs=None, outputs=None, opset=17, kind=FLOAT):
    """A file with this graph, which has a weight W (3, 4)."""
    tensors = [array if isinstance(array, TensorProto) else numpy_helper.from_array(np.asarray(array), name)
               for name, array in ({"W": WEIGHT} | (arrays or {})).items()]
    graph = helper.make_graph(nodes, "g", inputs or [value("x", shape, kind)], outputs or [value("y", None)], tensors)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("my.own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def pictures(*nodes, opset=17, **arrays):
    return file_of(*nodes, shape=("N", 2, 8, 8), arrays=arrays, opset=opset)


def assert_refused(content, sentence, folder):
    """A file with this content is refused in one sentence, and nothing is set aside for it."""
    content = content if isinstance(content, bytes) else content.SerializeToString()
    path = folder / "bad.onnx"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=sentence) as error:
            bh.files.onnx.load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(error.value)
    assert message.startswith(f"{path} ") and message.endswith(".") and "\n" not in message and len(message) < 600
    assert peak < 6_000_000 + 20 * len(content)
