"""ONNX files of byhand's own that another tool has changed: what then counts is the graph."""

import numpy as np
import pytest
from onnx_answers import assert_same_answers

import byhand as bh
from byhand import nn

onnx = pytest.importorskip("onnx")


def renamed(file):
    for node in file.graph.node:
        node.input[:] = ["w" if name == "0.weight" else name for name in node.input]
    next(tensor for tensor in file.graph.initializer if tensor.name == "0.weight").name = "w"


def made_a_node(file):
    tensor = file.graph.initializer.pop()
    file.graph.node.insert(0, onnx.helper.make_node("Constant", [], [tensor.name], value=tensor))


def unused(file):
    file.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(3, np.float32), "nobody's"))


def no_json(file):
    next(entry for entry in file.metadata_props if entry.key == "classes").value = "a,b,c"


def in_half_precision(file):
    float16 = pytest.importorskip("onnxruntime.transformers.float16")
    file.CopyFrom(float16.convert_float_to_float16(file))


@pytest.mark.parametrize("change", [renamed, made_a_node, unused, no_json, in_half_precision])
def test_it_is_read_as_anybodys(change, rng, tmp_path):
    path, x = tmp_path / "model.onnx", rng.standard_normal((5, 6)).astype(np.float32)
    model = nn.Sequential(nn.Linear(6, 4, rng), nn.ReLU(), nn.Linear(4, 3, rng))
    bh.files.onnx.save(model, path, input_shape=(6,), classes=("a", "b", "c"))
    file = onnx.load(path)
    change(file)
    onnx.save(file, path)
    again = bh.load(path)
    if change is in_half_precision:
        np.testing.assert_allclose(again.predict(x), model(x).data, rtol=1e-2, atol=1e-2)
    else:
        assert_same_answers(path, x)
    assert repr(again.model) == repr(model) and (again.classes, again.normalize_known) == ((), False)


@pytest.mark.filterwarnings("ignore")
def test_eight_bits_are_refused_by_the_operators_name(rng, tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")
    path = tmp_path / "model.onnx"
    bh.files.onnx.save(nn.Sequential(nn.Linear(6, 4, rng), nn.ReLU()), path, input_shape=(6,))
    quantization.quantize_dynamic(path, tmp_path / "small.onnx")
    with pytest.raises(bh.files.ModelFileError, match="byhand has no layer for the operator DynamicQuantizeLinear"):
        bh.load(tmp_path / "small.onnx")
