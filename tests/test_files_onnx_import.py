"""ONNX graphs of an operator or two, as other programs write them, become networks that give ONNX Runtime's answers.
(test_files_onnx_exporters.py: whole files of PyTorch and scikit-learn.)"""

import numpy as np
import pytest
from onnx_answers import assert_same_answers, run

import byhand as bh

onnx = pytest.importorskip("onnx")

ROW, PICTURE, W, V, K = "float[N,4]", "float[N,2,6,6]", "float[3,4] W", "float[4,3] V", "float[3,2,3,3] K"
GRAPHS = {  # what goes in and what is constant; the operators; the layers that come of them
    "Gemm": (ROW, (W, "float[3] b"), "y = Gemm<transB=1>(x, W, b)", "Linear(in_features=4, out_features=3)"),
    "Gemm, not turned over": (ROW, (V, "float[3] b"), "y = Gemm(x, V, b)", "Linear(in_features=4, out_features=3)"),
    "Gemm without bias": (ROW, (V,), "y = Gemm(x, V)", "Linear(in_features=4, out_features=3, bias=False)"),
    "Gemm, alpha and beta": (ROW, (V, "float[1,3] b"), "y = Gemm<alpha=0.5, beta=2.0>(x, V, b)",
                             "Linear(in_features=4, out_features=3)"),
    "Gemm, one bias for all": (ROW, (V, "float[1] b"), "y = Gemm(x, V, b)", "Linear(in_features=4, out_features=3)"),
    "MatMul, Add": (ROW, (V, "float[3] b"), "a = MatMul(x, V) y = Add(b, a)", "Linear(in_features=4, out_features=3)"),
    "weights turned over": (ROW, (W,), "v = Transpose<perm=[1,0]>(W) y = MatMul(x, v)",
                            "Linear(in_features=4, out_features=3, bias=False)"),
    "a scaled linear layer": (ROW, (V, "float[3] b"), "a = MatMul(x, V) c = Mul(a, b) y = Sub(c, b)",
                              "Linear(in_features=4, out_features=3)"),
    "x / constant": (ROW, ("float[4] b",), "y = Div(x, b)", ""),
    "constant - x": (ROW, ("float[1] b",), "y = Sub(b, x)", "BatchNorm1d(num_features=4)"),
    "scaled after relu": (PICTURE, ("float[2,1,1] b",), "a = Relu(x) c = Mul(a, b) y = Add(c, b)",
                          "ReLU(), BatchNorm2d(num_features=2)"),
    "Conv": (PICTURE, (K, "float[3] b"), "y = Conv<pads=[1,2,1,2], strides=[2,1], dilations=[1,2]>(x, K, b)",
             "Conv2d(in_channels=2, out_channels=3, kernel_size=3, stride=(2, 1), padding=(1, 2), dilation=(1, 2))"),
    "Conv that pads by itself": (
        PICTURE, (K, "float[3] b"), 'y = Conv<auto_pad="SAME_UPPER", strides=[5,1]>(x, K, b)',
        "Conv2d(in_channels=2, out_channels=3, kernel_size=3, stride=(5, 1), padding=1)"),
    "a pool that pads by itself": (
        PICTURE, (), 'y = MaxPool<auto_pad="SAME_LOWER", kernel_shape=[3,2], strides=[1,2]>(x)',
        "MaxPool2d(kernel_size=(3, 2), stride=(1, 2), padding=(1, 0))"),
    "Conv in groups": (PICTURE, ("float[4,1,3,3] G",), "y = Conv<group=2>(x, G)",
                       "Conv2d(in_channels=2, out_channels=4, kernel_size=3, groups=2, bias=False)"),
    "Conv and a bias": (PICTURE, (K, "float[1,3,1,1] b"), "a = Conv(x, K) y = Add(a, b)",
                        "Conv2d(in_channels=2, out_channels=3, kernel_size=3)"),
    "Conv with a bias, scaled": (PICTURE, (K, "float[3] b", "float[3,1,1] s"), "a = Conv(x, K, b) y = Mul(a, s)",
                                 "Conv2d(in_channels=2, out_channels=3, kernel_size=3)"),
    "a norm and a bias": (PICTURE, ("float[2] s", "float[2] b", "float[2] m", "float[2] v"),
                          "a = BatchNormalization<epsilon=0.001>(x, s, b, m, v) c = Constant<value_float=3.0>() "
                          "y = Add(a, c)", "BatchNorm2d(num_features=2, eps=0.001), BatchNorm2d(num_features=2)"),
    "pools": (PICTURE, (), "a = MaxPool<kernel_shape=[2,2]>(x) y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], "
              "strides=[2,2], count_include_pad=1>(a)",
              "MaxPool2d(kernel_size=2, stride=1), AvgPool2d(kernel_size=3, stride=2, padding=1)"),
    "pools of everything": (PICTURE, (), "a = GlobalAveragePool(x) b = Flatten(a) c = Softmax<axis=1>(b) "
                            "y = Identity(c)", "GlobalAvgPool2d(), Softmax()"),
    "the largest of everything": (PICTURE, (), "a = GlobalMaxPool(x) y = Flatten(a)",
                                  "MaxPool2d(kernel_size=6, stride=6), Flatten()"),
    "a mean": (PICTURE, ("int64[2] axes = {2, 3}",), "y = ReduceMean<keepdims=0>(x, axes)", "GlobalAvgPool2d()"),
    "the largest of each channel": (PICTURE, ("int64[2] axes = {2, 3}",), "y = ReduceMax<keepdims=0>(x, axes)",
                                    "MaxPool2d(kernel_size=6, stride=6), Flatten()"),
    "axes are taken away": (PICTURE, ("int64[2] axes = {-1, -2}",), "a = ReduceMean(x, axes) y = Squeeze(a, axes)",
                            "GlobalAvgPool2d()"),
    "one answer in no row": (ROW, ("float[4,1] U", "int64[1] axes = {1}"), "a = MatMul(x, U) y = Squeeze(a, axes)",
                             "Linear(in_features=4, out_features=1, bias=False)"),
    "reshaped": (PICTURE, ("int64[2] s = {-1, 72}",), "y = Reshape(x, s)", "Flatten()"),
    "reshaped, the rest found out": (PICTURE, ("int64[2] s = {0, -1}",), "y = Reshape(x, s)", "Flatten()"),
    "reshaped by its own shape": (
        PICTURE, (), "s = Shape(x) z = Constant<value_ints=[0]>() n = Gather(s, z) m = Constant<value_ints=[-1]>() "
        "t = Concat<axis=0>(n, m) y = Reshape(x, t)", "Flatten()"),
    "reshaped by its own shape in 32 bits": (
        PICTURE, ("int64[1] zero = {0}", "int64[1] one = {1}", "int32[1] rest = {-1}"),
        "s = Shape(x) c = Cast<to=6>(s) n = Slice(c, zero, one) t = Concat<axis=0>(n, rest) u = Cast<to=7>(t) "
        "y = Reshape(x, u)", "Flatten()"),
    "reshaped by a product": (
        PICTURE, ("int64[1] one = {1}", "int64[1] four = {4}", "int64 i = {0}", "int64 j = {1}", "int64 k = {2}",
                  "int64[1] free = {-1}", "int64[1] zero = {0}"),
        "s = Shape(x) r = Slice(s, one, four) a = Gather(r, i) b = Gather(r, j) c = Gather(r, k) d = Mul(a, b) "
        "e = Mul(d, c) f = Unsqueeze(e, zero) t = Concat<axis=0>(free, f) y = Reshape(x, t)", "Flatten()"),
    "SiLU": (ROW, (), "a = Sigmoid(x) y = Mul(a, x)", "SiLU()"),
    "GELU, written out": (
        ROW, ("float r = {1.4142135}", "float one = {1}", "float half = {0.5}"),
        "a = Div(x, r) b = Erf(a) c = Add(b, one) d = Mul(x, c) y = Mul(d, half)", "GELU()"),
    "GELU, halved first": (
        ROW, ("float r = {0.70710677}", "float one = {1}", "float half = {0.5}"),
        "h = Mul(x, half) a = Mul(x, r) b = Erf(a) c = Add(b, one) y = Mul(h, c)", "GELU()"),
    "GELU after a linear layer": (
        ROW, (V, "float[3] v", "float r = {1.4142135}", "float one = {1}", "float half = {0.5}"),
        "l = MatMul(x, V) m = Add(l, v) a = Div(m, r) b = Erf(a) c = Add(one, b) d = Mul(half, c) y = Mul(m, d)",
        "Linear(in_features=4, out_features=3), GELU()"),
    "Softplus that is x where x is large": (
        ROW, ("float t = {20}",), "a = Softplus(x) g = Greater(x, t) y = Where(g, x, a)", "Softplus()"),
    "a sharper Softplus": (
        ROW, ("float t = {20}", "float s = {2}"),
        "b = Mul(x, s) a = Softplus(b) c = Div(a, s) g = Greater(b, t) y = Where(g, x, c)",
        "Softplus(), BatchNorm1d(num_features=4)"),
    "activations": (ROW, (), "a = Elu<alpha=0.1>(x) b = LeakyRelu<alpha=0.2>(a) c = Tanh(b) y = LogSoftmax(c)",
                    "ELU(alpha=0.1), LeakyReLU(negative_slope=0.2), Tanh(), LogSoftmax()"),
    "Dropout": (ROW, ("float p = {0.25}",), "a, mask = Dropout(x, p) y = Relu(a)", "Dropout(p=0.25), ReLU()"),
    "LayerNorm": (PICTURE, ("float[6,6] s",), "y = LayerNormalization<axis=-2, epsilon=0.001>(x, s)",
                  "LayerNorm(normalized_shape=[6, 6], eps=0.001)"),
    "residual": (ROW, ("float[4,4] A",), "a = MatMul(x, A) b = Relu(a) y = Add(b, x)",
                 "Residual(Linear(in_features=4, out_features=4, bias=False), ReLU())"),
    "two branches": (ROW, (V, "float[4,3] A", "float[3] c"), "a = MatMul(x, V) b = MatMul(x, A) d = Add(b, c) "
                     "e = Tanh(d) f = Add(a, e) y = Relu(f)",
                     "Residual(Linear(in_features=4, out_features=3), Tanh(), "
                     "shortcut=Linear(in_features=4, out_features=3, bias=False)), ReLU()"),
    "long branches": (ROW, (), "a = Relu(x) b = Tanh(a) c = Sigmoid(x) d = Softplus(c) e = Elu(d) y = Add(b, e)",
                      "Residual(Sigmoid(), Softplus(), ELU(), shortcut=Sequential(ReLU(), Tanh()))"),
    "residuals in a residual": (ROW, (), "a = Relu(x) b = Add(a, x) c = Tanh(b) d = Add(c, b) y = Add(x, d)",
                                "Residual(Residual(ReLU()), Residual(Tanh()))"),
    "x + x": (ROW, (), "y = Add(x, x)", "Residual()"),
    "what nobody asks for is left out": (ROW, (), "y = Relu(x) c = Cast<to=7>(y) d = Size(c)", "ReLU()"),
    "to float and back": (ROW, (), "a = Cast<to=10>(x) b = Relu(a) y = Cast<to=1>(b)", None),
}


def graph(inputs, constants, operators, folder, opset=21):
    """A file with this graph, in ONNX's own text; constants that say nothing are numbers of chance above 0."""
    rng, arrays, said = np.random.default_rng(0), [], []
    for constant in constants:
        kind, _, name = constant.partition(" ")
        if "=" in constant:
            said.append(constant)
        else:
            shape = [int(n) for n in kind.removeprefix("float").strip("[]").split(",")]
            arrays.append(onnx.numpy_helper.from_array(rng.uniform(0.2, 1, shape).astype(np.float32), name))
    declared = f"<{', '.join(said)}>" if said else ""
    text = (f'<ir_version: 10, opset_import: ["" : {opset}]> g ({inputs} x) => (float[N,M] y) {declared} '
            f"{{ {operators} }}")
    file = onnx.parser.parse_model(text)
    file.graph.initializer.extend(arrays)
    del file.graph.output[0].type.tensor_type.shape.dim[:]
    file.graph.output[0].type.tensor_type.ClearField("shape")
    path = folder / "graph.onnx"
    onnx.save(file, path)
    return path


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_gives_the_same_answers(name, rng, tmp_path):
    inputs, constants, operators, layers = GRAPHS[name]
    path = graph(inputs, constants, operators, tmp_path)
    shape = [int(n) for n in inputs.partition("N,")[2].strip("]").split(",")]
    saved = assert_same_answers(path, rng.standard_normal((5, *shape)).astype(np.float32))
    assert saved.input_shape == tuple(shape)
    if layers is not None:
        assert repr(saved.model) == f"Sequential({layers})"


@pytest.mark.parametrize("kind", ["int64", "int32", "int8", "uint8"])
def test_whole_numbers_may_become_floats(kind, rng, tmp_path):
    path = graph(f"{kind}[N,1,2,2]", (V, "float[1] b"), "f = Flatten(x) a = Cast<to=1>(f) c = Div(a, b) y = Gemm(c, V)",
                 tmp_path)
    x = rng.integers(0, 100, (5, 1, 2, 2)).astype(kind)
    saved = bh.files.onnx.load(path)
    np.testing.assert_allclose(saved.predict(x), run(path, x), rtol=1e-5)
    assert saved.normalize is None and repr(saved.model).startswith("Sequential(Flatten(), ")


def test_samples_that_are_only_divided_have_a_mean_of_0_and_not_of_minus_0(tmp_path):
    path = graph(ROW, ("float[1] b", V), "a = Div(x, b) y = MatMul(a, V)", tmp_path)
    assert repr(bh.files.onnx.load(path).normalize).startswith("Normalize(mean=0.0, ")
