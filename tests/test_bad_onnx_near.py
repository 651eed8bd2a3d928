"""Graphs that look like what byhand's layers do, and do something else: each is refused by name, and none is read as
the thing that it is near to."""

import numpy as np
import pytest

import byhand as bh

pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper
from onnx_files import FLOAT, ZERO, assert_refused, file_of, node, pictures, value


def whole(operator, kind):
    """Whole numbers that are computed with before they become floats."""
    kind = getattr(TensorProto, kind)
    constant = numpy_helper.from_array(np.array(2, helper.tensor_dtype_to_np_dtype(kind)), "c")
    return file_of(node(operator, "x c", "a"), node("Cast", "a", "b", to=FLOAT), node("Gemm", "b W", transB=1),
                   kind=kind, arrays={"c": constant})


def sized_batch(*nodes):
    """These operators, where n is the size of the batch."""
    return file_of(node("Shape", "x", "s0"), node("Gather", "s0 first", "n"), *nodes,
                   arrays={"first": ZERO, "one": ZERO + 1, "rest": ZERO - 1})


def gelu(root, more=1.0):
    """x · (erf(x / root) + more), which is twice a GELU for a root of √2 and 1 more."""
    return file_of(node("Div", "x r", "a"), node("Erf", "a", "b"), node("Add", "b c", "d"), node("Mul", "x d"),
                   arrays={"r": np.float32(root), "c": np.float32(more)})


def softplus(threshold=20, divisor=2, large="x"):
    """softplus(2x) / 2 as PyTorch writes it: something else where 2x is large."""
    return file_of(node("Mul", "x b", "a"), node("Softplus", "a", "c"), node("Div", "c d", "e"),
                   node("Greater", "a t", "g"), node("Where", f"g {large} e"),
                   arrays={"b": np.float32(2), "d": np.float32(divisor), "t": np.float32(threshold)})


CONV = np.ones((3, 2, 3, 3), np.float32)
NEAR = {
    "a GELU that bends elsewhere": (gelu(1.3), "Mul 'it', which multiplies two values"),
    "a GELU that is half a gate": (gelu(2**0.5, 0.5), "Mul 'it', which multiplies two values"),
    "a Softplus that is x too soon": (softplus(threshold=3), "Where 'it', which chooses between values"),
    "a Softplus divided by another number": (softplus(divisor=3), "Where 'it', which chooses between values"),
    "a Softplus that is something else": (softplus(large="a"), "Where 'it', which chooses between values"),
    **{f"{operator} of {kind}": (whole(operator, kind), f"the operator {operator} 'it', which computes with whole num")
       for operator in ("Div", "Sub", "Mul") for kind in ("INT64", "INT32", "INT8", "UINT8")},
    "a mean of whole numbers": (file_of(node("ReduceMean", "x", axes=[2, 3]), shape=("N", 2, 8, 8),
                                        kind=TensorProto.INT32), "ReduceMean 'it', which computes with whole numbers"),
    "whole numbers in a row": (file_of(node("Flatten", "x", "f"), node("Div", "f c"), arrays={"c": np.array(255)},
                                       kind=TensorProto.INT64), "Div 'it', which computes with whole numbers"),
    "whole constants": (file_of(node("Mul", "x c"), arrays={"c": np.array(255)}), "with constants of type int64"),
    **{f"{operator} with the size of the batch": (sized_batch(
        node("Cast", "n", "f", to=FLOAT), node(operator, "x f")), "Cast 'it', which computes with the size of the bat")
       for operator in ("Mul", "Add", "Sub", "Div")},
    "the size of the batch, and one more": (sized_batch(
        node("Add", "n one", "m"), node("Reshape", "x m")), "Add 'it', which computes with the size of the batch"),
    "the number at the size of the batch": (sized_batch(
        node("Gather", "W n", "w"), node("Add", "x w")), "Gather 'it', which computes with the size of the batch"),
    "as many constants as samples": (sized_batch(
        node("Concat", "n one", "s", axis=0), node("Reshape", "W s", "w"), node("Add", "x w")),
        "Reshape 'it', which computes with the size of the batch"),
    "the batch last": (sized_batch(node("Concat", "rest n", "s", axis=0), node("Reshape", "x s")), "mixes samples"),
    "the axis of the batch": (sized_batch(node("Squeeze", "x n")), "Squeeze 'it', which computes with the size of"),
    "the largest sample": (file_of(node("ReduceMax", "x", axes=[0])), r"ReduceMax 'it', which goes over axes \[0\]"),
    "softmax over all but samples, as before opset 13": (pictures(node("Softmax", "x"), opset=11),
                                                         "is over another axis than the last"),
    "a bias for each column": (pictures(node("Conv", "x K", "a"), node("Add", "a b"), K=CONV, b=np.ones(6, np.float32)),
                               r"Add 'it', with constants of shape \(6,\) on samples of shape \(3, 6, 6\)"),
    "an LSTM with all its answers": (file_of(
        node("Transpose", "x", "t", perm=[1, 0]), node("LSTM", "t W W", "y h c"),
        outputs=[value(name, None) for name in "yhc"]), "no layer for the operator LSTM"),
}


@pytest.mark.parametrize("name", NEAR)
def test_what_is_only_near_to_a_layer_is_refused_in_one_sentence(name, tmp_path):
    assert_refused(*NEAR[name], tmp_path)


def test_what_they_are_near_to_is_read(tmp_path):
    batch = sized_batch(node("Concat", "n rest", "s", axis=0), node("Reshape", "x s"))
    for file, layers in ((gelu(2**0.5), "GELU(), BatchNorm1d(num_features=4)"), (batch, ""),
                         (softplus(), "Softplus(), BatchNorm1d(num_features=4)")):
        (tmp_path / "good.onnx").write_bytes(file.SerializeToString())
        assert repr(bh.files.onnx.load(tmp_path / "good.onnx").model) == f"Sequential({layers})"
