"""ONNX files that are damaged, hostile, or hold what no network here can be: each is refused in one sentence that names
the file, and nothing is set aside for what is not there."""

import json

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.files import ModelFileError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx_files import WEIGHT, assert_refused, file_of, node, pictures, value  # noqa: E402


def claiming(**claims):
    """A file whose weight claims something else than what is there."""
    tensor = numpy_helper.from_array(WEIGHT, "W")
    for name, claim in claims.items():
        if name == "dims":
            del tensor.dims[:]
            tensor.dims.extend(claim)
        else:
            setattr(tensor, name, claim)
    return file_of(node("Gemm", transB=1), arrays={"W": tensor})


def elsewhere():
    """A file whose weight lies in another file."""
    tensor = numpy_helper.from_array(WEIGHT, "W")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return file_of(node("Gemm", transB=1), arrays={"W": tensor})


def told_twice():
    file = file_of(node("Gemm", transB=1, alpha=1.0))
    file.graph.node[0].attribute.add(name="alpha", type=onnx.AttributeProto.FLOAT, f=2.0)
    return file


def branching():
    """What runs one of two graphs, by the input."""
    inner = helper.make_graph([node("Relu", "x", "z")], "inner", [], [value("z", None)])
    return file_of(node("If", "c", then_branch=inner, else_branch=inner), arrays={"c": np.array(True)})


def growing():
    """Each value is a sum of the two before it: Fibonacci's number of layers."""
    nodes = [node("Relu", "x", "v1"), node("Add", "v1 x", "v2")]
    nodes += [node("Add", f"v{i - 1} v{i - 2}", f"v{i}") for i in range(3, 60)]
    return file_of(*nodes, node("Identity", "v59"))


def deep(levels):
    """A residual connection in a residual connection, and so on."""
    nodes = [node("Relu", "x" if i == 0 else f"d{i - 1}", f"d{i}") for i in range(levels)]
    nodes += [node("Add", f"{f'u{i + 1}' if i + 1 < levels else f'd{levels - 1}'} {f'd{i - 1}' if i else 'x'}", f"u{i}")
              for i in reversed(range(levels))]
    return file_of(*nodes, node("Identity", "u0"))


def ours(**metadata):
    """A file of byhand's own with other metadata; None leaves an entry out."""
    from byhand.files.onnx.writing import file_of, metadata_of

    saved = bh.files.SavedModel(nn.Linear(4, 2, np.random.default_rng(0)), (4,), classes=("a", "b"))
    file = file_of(saved, metadata_of(saved), preprocessing=False)
    told = {entry.key: entry.value for entry in file.metadata_props} | metadata
    helper.set_model_props(file, {key: text for key, text in told.items() if text is not None})
    return file


def ours_twice():
    file = ours()
    file.metadata_props.add(key="classes", value='["c", "d"]')
    return file


def sized(*size):
    """A sample of this size, and a number by which all of it is multiplied."""
    return file_of(node("Relu", "x", "a"), node("Mul", "a h"), shape=("N", *size), arrays={"h": np.float32(0.5)})


CONV = np.ones((3, 2, 3, 3), np.float32)
BAD = {
    "empty": (b"", "is not an ONNX file, or is damaged"),
    "text": (b"hello, world", "is not an ONNX file, or is damaged"),
    "random bytes": (bytes(np.random.default_rng(0).integers(0, 256, 1000, np.uint8)), "is not an ONNX file, or is"),
    "cut short": (file_of(node("Gemm", transB=1)).SerializeToString()[:-30], "is not an ONNX file, or is damaged"),
    "nested without end": (b"\x3a\x80\x01" * 100_000, "is not an ONNX file, or is damaged"),
    "without operators": (file_of(), "is not an ONNX file, or is damaged"),
    "of an opset of long ago": (file_of(node("Relu", "x"), opset=6), "of opset 6, and byhand knows 9 to"),
    "of an opset to come": (file_of(node("Relu", "x"), opset=99), "of opset 99, and byhand knows 9 to"),
    # what no layer does
    "an unknown operator": (file_of(node("Relu", "x", "a"), node("Clip", "a W", "b"), node("Mod", "b W")),
                            "byhand has no layer for the operator Clip 'it'"),
    "an operator of somebody's own": (file_of(helper.make_node("Magic", ["x"], ["y"], domain="my.own")),
                                      r"no layer for the operator my\.own\.Magic"),
    "a name that clears the screen": (file_of(helper.make_node("\x1b[2J", ["x"], ["y"])), r"operator \\x1b\[2J"),
    "a very long name": (file_of(helper.make_node("Z" * 9000, ["x"], ["y"])), "operator Z{60}"),
    "a graph in a graph": (branching(), "no layer for the operator If"),
    "an LSTM": (file_of(node("LSTM", "x W W")), "no layer for the operator LSTM"),
    "half of a GELU": (file_of(node("Erf", "x")), "no layer for the operator Erf"),
    "a value times another": (file_of(node("Relu", "x", "a"), node("Mul", "a x")), "Mul 'it', which multiplies two"),
    "a value less another": (file_of(node("Relu", "x", "a"), node("Sub", "a x")), "takes one value from another"),
    "divided by a value": (file_of(node("Div", "W x")), "divides by a value"),
    "values side by side": (file_of(node("Concat", "x x", axis=1)), "puts values side by side"),
    "chosen by a value": (file_of(node("Greater", "x W0", "g"), node("Where", "g x x"), arrays={"W0": np.float32(0)}),
                          "Where 'it', which chooses between values"),
    "whole numbers made": (file_of(node("Cast", "x", to=TensorProto.INT64)), "makes whole numbers of it"),
    "the transpose of a value": (file_of(node("Transpose", "x", perm=[1, 0])), "no layer for the operator Transpose"),
    "a sum over samples": (file_of(node("ReduceMean", "x", axes=[0])), r"goes over axes \[0\]"),
    "softmax over samples": (file_of(node("Softmax", "x", axis=0)), "is over another axis than the last"),
    "samples that are mixed": (file_of(node("Reshape", "x s"), arrays={"s": np.array([-1, 2])}), "mixes samples"),
    "one row of all samples": (file_of(node("Flatten", "x", axis=0)), "mixes samples"),
    "pictures made of rows": (file_of(node("Reshape", "x s"), arrays={"s": np.array([0, 1, 2, 2])}),
                              r"makes samples of shape \(1, 2, 2\)"),
    "GELU by tanh": (file_of(node("Gelu", "x", approximate="tanh"), opset=20), "the approximation by tanh"),
    "dropping in use": (file_of(node("Dropout", "x r t"), arrays={"r": np.float32(0.5), "t": np.array(True)}),
                        "drops outside training"),
    "a norm of the batch": (file_of(node("BatchNormalization", "x a a a a", training_mode=1), arrays={
        "a": np.ones(4, np.float32)}), "looks at the batch"),
    "weights that are computed": (file_of(node("MatMul", "x x")), "computes its weights"),
    "a constant times a value": (file_of(node("MatMul", "W x")), "multiplies a constant by a value"),
    "a side turned over": (file_of(node("Gemm", "x W", transA=1)), "multiplies something else than rows"),
    "convolution in one dimension": (file_of(node("Conv", "x K"), shape=("N", 2, 9), arrays={"K": CONV[..., 0]}),
                                     "takes weights of 3 dimensions"),
    "padding at one side": (pictures(node("Conv", "x K", pads=[0, 0, 1, 1]), K=CONV), "one side more than the other"),
    "padding by itself": (pictures(node("Conv", "x K", auto_pad="SAME_UPPER", strides=[2, 2]), K=CONV),
                          r"pads one side more than the other, \[0, 0, 1, 1\]"),
    "padding by itself, and no stride": (pictures(node("Conv", "x K", auto_pad="SAME_LOWER", strides=[0, 1]), K=CONV),
                                         "needs its stride to be a whole number"),
    "padding by no rule": (pictures(node("Conv", "x K", auto_pad="FOO"), K=CONV), "it', which pads by the rule FOO"),
    "pools that stick out": (pictures(node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
                             "has windows that reach beyond the picture"),
    "pools with gaps": (pictures(node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2])), "a window with gaps"),
    "means without padding": (pictures(node("AveragePool", "x", kernel_shape=[3, 3], pads=[1] * 4)),
                              "leaves its padding out of the mean"),
    "pools of rows": (file_of(node("MaxPool", "x", kernel_shape=[2])), "looks at something else than pictures"),
    "something for each place": (pictures(node("Mul", "x P"), P=np.full((2, 8, 8), 0.5, np.float32)),
                                 r"no layer for the operator Mul 'it', with constants of shape \(2, 8, 8\)"),
    "something for each sample": (file_of(node("Add", "x W")), "computes with something different for each sample"),
    "a layer in two places": (file_of(
        node("MatMul", "x V", "a"), node("Relu", "a", "b"), node("Add", "b x", "c"), node("Add", "c a"),
        arrays={"V": np.eye(4, dtype=np.float32)}), "weights are used in two places"),
    # sizes
    "a shape that does not fit": (file_of(node("Gemm", transB=1), shape=("N", 5)), r"cannot read samples of shape \(5"),
    "branches that differ": (file_of(node("Gemm", "x W", "a", transB=1), node("Add", "a x")), "needs one shape"),
    "a bias too long": (pictures(node("Conv", "x K b"), K=CONV, b=np.ones(4, np.float32)), "number of biases than of"),
    "a window beside its weights": (pictures(node("Conv", "x K", kernel_shape=[5, 5]), K=CONV), "fit its own weights"),
    "more filters than channels": (pictures(node("Conv", "x K", group=3), K=CONV), "cannot split|cannot read"),
    "groups of nothing": (pictures(node("Conv", "x K", group=0), K=CONV), "whole number of at least 1, got 0"),
    "groups below nothing": (pictures(node("Conv", "x K", group=-1), K=CONV), "whole number of at least 1, got -2"),
    "a stride of 0": (pictures(node("Conv", "x K", strides=[0, 1]), K=CONV), "needs its stride to be a whole number"),
    "padding beyond memory": (pictures(node("Conv", "x K", pads=[2**40] * 4, strides=[2**40] * 2), K=CONV),
                              "is beyond 16,777,216 numbers"),
    **{f"{name} with padding beyond memory": (pictures(node(operator, "x", kernel_shape=[2**20] * 2, pads=[2**19] * 4,
                                                            strides=[2**20] * 2, **options)),
                                              "is beyond 16,777,216 numbers")
       for name, operator, options in (("a pool", "MaxPool", {}), ("a mean", "AveragePool", {"count_include_pad": 1}))},
    "a pool beyond the picture": (pictures(node("MaxPool", "x", kernel_shape=[2**60, 2**60])), "cannot read samples"),
    "a sample beyond memory": (sized(100_000, 100_000), "is beyond 16,777,216 numbers"),
    "a sample of many dimensions": (sized(*[1] * 20), "or 8 dimensions"),
    "norms of a large sample": (sized(2**20), "claims more weights than the file holds"),
    "weights that claim more": (claiming(dims=(30, 40)), r"'W' claims 1,200 numbers, and the file holds 12 of them"),
    "weights of a trillion": (claiming(dims=(10**6, 10**6)), "'W' claims 1,000,000,000,000 numbers"),
    "weights without end": (claiming(dims=(2**62, 2**62)), "'W' claims 21,267,"),
    "a size below nothing": (claiming(dims=(-3, -4)), "'W' has no shape of this world"),
    "weights of no size": (claiming(dims=(0, 4), raw_data=b""), "has no weights"),
    "weights in many dimensions": (claiming(dims=(1,) * 30 + (3, 4)), "'W' has no shape of this world"),
    "weights half there": (claiming(raw_data=WEIGHT.tobytes()[:-2]), "claims 12 numbers, and the file holds 11.5"),
    "weights that are text": (claiming(data_type=TensorProto.STRING), "'W' holds STRING, which byhand does not"),
    "weights of 8 bits": (claiming(data_type=TensorProto.FLOAT8E4M3FN), "'W' holds FLOAT8E4M3FN"),
    "weights of no type": (claiming(data_type=77), "'W' holds type 77"),
    "weights that are whole numbers": (claiming(data_type=TensorProto.INT32), "takes weights of 2 dimensions and type"),
    "the same weights a thousand times": (file_of(*[node("MatMul", f"{f'v{i}' if i else 'x'} V", f"v{i + 1}")
                                                    for i in range(1000)], node("Relu", "v1000"),
                                                  arrays={"V": np.ones((128, 128), np.float32)}, shape=("N", 128)),
                                          "claims more weights than the file holds"),
    "constants that grow": (file_of(*[node("Cast", f"{f'v{i}' if i else 'W'}", f"v{i + 1}", to=TensorProto.DOUBLE)
                                      for i in range(200)], node("MatMul", "x v200"),
                                    arrays={"W": np.ones((200, 200), np.float32)}), "its constants grow beyond"),
    "sums of many constants": (file_of(node("Add", "W2 W2", "w"), node("MatMul", "x w"), arrays={
        "W2": np.ones((90, 90), np.float32)}), "computes with more than 64 constants"),
    "layers without end": (file_of(*[node("Relu", f"{f'v{i}' if i else 'x'}", f"v{i + 1}") for i in range(2500)],
                                   node("Relu", "v2500")), "more than 2000 layers"),
    "operators without end": (file_of(*[node("Relu", "x", f"v{i}") for i in range(11_000)], node("Relu", "x")),
                              "more than 10,000 operators"),
    "layers that double": (growing(), "more than 2000 layers, or more than 16 levels|weights are used"),
    "levels without end": (deep(40), "more than 16 levels"),
    # graphs that are none
    "weights in another file": (elsewhere(), "'W' lies in another file, and byhand reads ONNX files that hold all"),
    "a circle": (file_of(node("Relu", "b", "a"), node("Relu", "a", "b"), node("Add", "a x")),
                 "takes 'b' before anything has made it"),
    "a value of nobody": (file_of(node("Add", "x nobody")), "takes 'nobody' before anything has made it"),
    "a value made twice": (file_of(node("Relu", "x"), node("Tanh", "x")), "the value 'y' is made twice"),
    "a value with the name of a weight": (file_of(node("Relu", "x", "W"), node("Relu", "W")), "'W' is made twice"),
    "a value with the name of the input": (file_of(node("Relu", "x", "x"), node("Relu", "x")), "'x' is made twice"),
    "two weights of one name": (file_of(node("Gemm", transB=1), arrays={"V": numpy_helper.from_array(WEIGHT * 2, "W")}),
                                "the key 'W' stands twice"),
    "a setting that is told twice": (told_twice(), "the key 'alpha' stands twice"),
    "an answer of nobody": (file_of(node("Relu", "x", "z")), "its output does not depend on its input"),
    "an answer that is constant": (file_of(node("Identity", "W")), "its output does not depend on its input"),
    "two inputs": (file_of(node("Add", "x z"), inputs=[value("x", (1, 4)), value("z", (1, 4))]), "it has 2 inputs"),
    "no input": (file_of(node("Identity", "W"), inputs=[value("W", (3, 4))]), "it has 0 inputs"),
    "two answers": (file_of(node("Relu", "x"), outputs=[value("y", None), value("x", None)]), "2 outputs of numbers"),
    "labels alone": (file_of(node("ArgMax", "x"), outputs=[value("y", None, TensorProto.INT64)]), "has 0 outputs of"),
    "words go in": (file_of(node("Relu", "x"), kind=TensorProto.STRING), "its input is no batch of numbers"),
    "an input without shape": (file_of(node("Relu", "x"), inputs=[value("x", None)]), "its input is no batch of"),
    "pictures of any size": (file_of(node("Relu", "x"), shape=("N", 1, "H", "W")), "does not say what shape a"),
    "a sample of nothing": (file_of(node("Relu", "x"), shape=("N", 0)), "does not say what shape a sample has"),
    # operators that are written wrongly
    "too few inputs": (file_of(node("Gemm", "x")), "takes something else than it does elsewhere"),
    "too many inputs": (file_of(node("Relu", "x x x")), "takes something else than it does elsewhere"),
    "inputs that are left out": (file_of(helper.make_node("Conv", ["x", "", "W"], ["y"])), "computes its weights or"),
    "a constant alone": (file_of(node("Relu", "W", "w"), node("MatMul", "x w")), "no layer for the operator Relu"),
    "an option of another kind": (file_of(node("Gemm", transB=[1, 2])), "has a list as its 'transB'"),
    "a list of another kind": (pictures(node("MaxPool", "x", kernel_shape="ab")), "something else than a list of num"),
    "a spread below 0": (file_of(node("LayerNormalization", "x s", epsilon=-1.0), arrays={"s": np.ones(4, np.float32)}),
                         "needs eps above 0"),
    "a slope without end": (file_of(node("LeakyRelu", "x", alpha=float("inf"))), "to be a finite number, got inf"),
    "a share of 2": (file_of(node("Dropout", "x r"), arrays={"r": np.float32(2)}), "Dropout needs a probability"),
    "nothing comes of it": (file_of(helper.make_node("Relu", ["x"], []), node("Relu", "x"), outputs=[value("", None)]),
                            "makes nothing|does not depend"),
    # byhand's own metadata
    "of a newer version": (ours(version="2", architecture=json.dumps({"type": "Wonder"})),
                           "has format version 2, and this byhand reads version 1; update byhand"),
    "without a version": (ours(version=None), r"has format version \?, and this byhand"),
    "of a version that paints": (ours(version="\x1b[2J"), r"has format version \\x1b\[2J, and this byhand"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_sentence_and_nothing_is_set_aside_for_it(name, tmp_path):
    assert_refused(*BAD[name], tmp_path)


def test_the_files_that_the_bad_ones_differ_from_are_good(tmp_path):
    x = np.ones((2, 4), np.float32)
    for file, answer in ((file_of(node("Gemm", transB=1)), [4, 4, 4]), (file_of(node("Relu", "x")), [1] * 4),
                         (claiming(), [4, 4, 4]), (deep(10), None)):
        (tmp_path / "good.onnx").write_bytes(file.SerializeToString())
        found = bh.files.onnx.load(tmp_path / "good.onnx").predict(x)
        assert answer is None or found.tolist() == [answer] * 2
    (tmp_path / "good.onnx").write_bytes(ours().SerializeToString())
    assert bh.files.onnx.load(tmp_path / "good.onnx").classes == ("a", "b")


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "missing.onnx", tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no model file"):
            bh.files.onnx.load(path)


def test_a_file_of_more_than_2_gb_is_not_even_read(tmp_path):
    with open(tmp_path / "large.onnx", "wb") as file:
        file.truncate(2**31)  # which takes no place on the disk
    with pytest.raises(ModelFileError, match="has more than the 2 GB that an ONNX file can have"):
        bh.files.onnx.load(tmp_path / "large.onnx")


@pytest.mark.parametrize("name", ["empty", "an unknown operator", "weights in another file", "weights of a trillion"])
def test_the_command_names_the_file_and_fails(name, here):
    content = BAD[name][0]
    with open("model.onnx", "wb") as file:
        file.write(content if isinstance(content, bytes) else content.SerializeToString())
    for words in (["evaluate", "model.onnx", "--data", "mini"], ["show", "model.onnx"]):
        code, out, error = here(*words)
        assert (code, out) == (1, "") and error.startswith("byhand: model.onnx ") and error.count("\n") == 1


@pytest.mark.parametrize("file", [
    ours(architecture='{"type": "os.system"}'), ours(architecture='{"type": "ReLU"}'), ours(architecture="[" * 50_000),
    ours(classes=None), ours(classes="a, b"), ours(counters='{"n": "x"}'), ours(counters='{"n": 1}'),
    ours(counters=f'{{"n": {10**30}}}'), ours(counters='{"n": null}'), ours(counters="[]"), ours(input_shape="[]"),
    ours(input_shape="[5]"), ours_twice(), ours(metrics="{"), ours(preprocessing='{"mean": 0}')], ids=range(15))
def test_metadata_that_is_not_the_graphs_is_not_believed(file, tmp_path):
    (tmp_path / "ours.onnx").write_bytes(file.SerializeToString())
    saved = bh.files.onnx.load(tmp_path / "ours.onnx")
    assert isinstance(saved.model[0], nn.Linear) and (saved.classes, saved.normalize_known) == ((), False)
