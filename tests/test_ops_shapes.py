"""Any shape, any dtype, any layout in memory: operations on arrays that Hypothesis thinks up.

Two properties carry most of this page. An operation gives what NumPy (or a slow loop) gives; and neither its value nor
its gradients depend on how the arrays lie in memory.
"""

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byhand import Tensor, check_grad, ops


def spaced(x):
    """The same numbers, each with a stranger between it and the next."""
    wide = np.full([2 * n for n in x.shape], 99, x.dtype)
    view = wide[(..., *[slice(None, None, 2)] * x.ndim)]
    view[...] = x
    return view


def locked(x):
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "reversed": lambda x: np.flip(np.flip(x).copy()),
    "spaced": spaced,
    "read-only": locked,
}
layouts = st.sampled_from(sorted(LAYOUTS))
dtypes = st.sampled_from([np.float32, np.float64])
shapes = hnp.array_shapes(min_dims=0, max_dims=4, max_side=4)
seeds = st.integers(0, 10_000)


def numbers(seed, *shapes, dtype=np.float64):
    """An array of random numbers for each shape."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def run(f, arrays):
    """The value of f and, for random slopes, the gradients of all its arguments."""
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    y = f(*tensors)
    y.backward(np.random.default_rng(1).normal(size=y.shape))
    return [y.data, *[t.grad for t in tensors]]


def check_layouts(f, arrays, names):
    """The same results from the same numbers, whatever their layout."""
    tolerance = 1e-10 if arrays[0].dtype == np.float64 else 1e-4
    laid_out = [LAYOUTS[name](a) for a, name in zip(arrays, names, strict=True)]
    for found, expected in zip(run(f, laid_out), run(f, arrays), strict=True):
        assert found.dtype == arrays[0].dtype
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


# --- element by element -----------------------------------------------------------------------------------------------

UNARY = ["negative", "exp", "abs", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh", "sigmoid"]
BINARY = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "maximum": np.maximum,
          "minimum": np.minimum}


@given(st.sampled_from(UNARY), shapes, dtypes, layouts, seeds)
def test_functions_of_one_array(name, shape, dtype, layout, seed):
    x, = numbers(seed, shape, dtype=dtype)
    f = getattr(ops, name)
    check_layouts(f, [x], [layout])
    one_by_one = np.array([f(v) for v in x.reshape(-1, 1)]).reshape(shape)
    np.testing.assert_allclose(f(x), one_by_one, rtol=1e-5)


@given(st.sampled_from(sorted(BINARY)), hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4), dtypes,
       layouts, layouts, seeds)
def test_functions_of_two_arrays_broadcast_as_numpy_does(name, pair, dtype, one, other, seed):
    a, b = numbers(seed, *pair.input_shapes, dtype=dtype)
    f = getattr(ops, name)
    np.testing.assert_array_equal(f(Tensor(a), b).data, BINARY[name](a, b))
    check_layouts(f, [a, b], [one, other])


@given(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3), seeds)
def test_broadcasting_in_a_whole_expression_has_the_right_gradient(triple, seed):
    check_grad(lambda a, b, c: (a * b + c).tanh() / (2 + ops.sigmoid(a - c)), *numbers(seed, *triple.input_shapes),
               most=10)


@given(shapes, st.sampled_from([np.uint8, np.int32, np.int64, np.bool_]), seeds)
def test_whole_numbers_are_welcome_where_no_slope_is_asked_for(shape, dtype, seed):
    x = np.random.default_rng(seed).integers(0, 2, shape).astype(dtype)
    t = Tensor(x)
    np.testing.assert_array_equal((t + t).data, x + x)
    np.testing.assert_array_equal((t == 1).data, x == 1)
    np.testing.assert_array_equal(t.sum().data, x.sum())
    w = Tensor(np.ones(shape, np.float32), requires_grad=True)
    (w * t).sum().backward()
    np.testing.assert_array_equal(w.grad, x)


# --- reductions and shapes --------------------------------------------------------------------------------------------


@st.composite
def shape_and_axes(draw):
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
    axis = draw(st.none() | st.integers(-len(shape), len(shape) - 1) | hnp.valid_tuple_axes(len(shape)))
    return shape, axis


@given(st.sampled_from(["sum", "mean", "var", "max", "min", "logsumexp"]), shape_and_axes(), st.booleans(), dtypes,
       layouts, seeds)
def test_reductions_over_any_axes(name, shape_axis, keepdims, dtype, layout, seed):
    shape, axis = shape_axis
    x, = numbers(seed, shape, dtype=dtype)
    f = lambda x: getattr(ops, name)(x, axis=axis, keepdims=keepdims)
    double = x.astype(np.float64)
    expected = (np.log(np.sum(np.exp(double), axis=axis, keepdims=keepdims)) if name == "logsumexp"
                else getattr(np, name)(double, axis=axis, keepdims=keepdims))
    assert f(x).shape == expected.shape
    np.testing.assert_allclose(f(x), expected, rtol=1e-4, atol=1e-5)
    check_layouts(f, [x], [layout])


@given(st.data(), hnp.array_shapes(min_dims=1, max_dims=4, max_side=4), layouts, seeds)
def test_arrangements_are_those_of_numpy(data, shape, layout, seed):
    x, = numbers(seed, shape)
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    flat = lambda x: ops.reshape(ops.transpose(x, order), -1)
    np.testing.assert_array_equal(flat(x), x.transpose(order).reshape(-1))
    check_layouts(flat, [x], [layout])
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sides = lambda a, b: ops.stack([ops.concatenate([a, b], axis=axis)] * 2, axis=axis)
    np.testing.assert_array_equal(sides(x, -x), np.stack([np.concatenate([x, -x], axis=axis)] * 2, axis=axis))
    check_layouts(sides, [x, -x], [layout, layout])


@given(st.data(), hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), layouts, seeds)
def test_any_basic_index(data, shape, layout, seed):
    x, = numbers(seed, shape)
    key = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    np.testing.assert_array_equal(Tensor(x)[key].data, x[key])
    check_layouts(lambda t: t[key], [x], [layout])
    ones = Tensor(x, requires_grad=True)
    ones[key].sum().backward()
    expected = np.zeros(shape)
    expected[key] = 1
    np.testing.assert_array_equal(ones.grad, expected)


@given(st.data(), hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), seeds)
def test_any_index_of_integer_arrays(data, shape, seed):
    x, = numbers(seed, shape)
    key = data.draw(hnp.integer_array_indices(shape))
    t = Tensor(x, requires_grad=True)
    t[key].sum().backward()
    expected = np.zeros(shape)
    np.add.at(expected, key, 1)
    np.testing.assert_array_equal(t.grad, expected)


# --- matrix products --------------------------------------------------------------------------------------------------


@given(hnp.mutually_broadcastable_shapes(signature="(n?,k),(k,m?)->(n?,m?)", max_dims=2, max_side=3), dtypes, layouts,
       layouts, seeds)
def test_matrix_products_of_stacks_matrices_and_vectors(pair, dtype, one, other, seed):
    a, b = numbers(seed, *pair.input_shapes, dtype=dtype)
    np.testing.assert_allclose(ops.matmul(a, b), np.matmul(a, b))
    check_layouts(ops.matmul, [a, b], [one, other])
    check_grad(ops.matmul, a.astype(np.float64), b.astype(np.float64), most=5)


@given(hnp.array_shapes(min_dims=0, max_dims=2, max_side=4), st.integers(1, 4), st.integers(1, 4), dtypes, layouts,
       layouts, seeds)
def test_linear_over_any_leading_axes(leading, inputs, outputs, dtype, one, other, seed):
    x, w, b = numbers(seed, (*leading, inputs), (outputs, inputs), (outputs,), dtype=dtype)
    np.testing.assert_allclose(ops.linear(x, w, b), np.einsum("...i,oi->...o", x, w) + b, rtol=1e-4, atol=1e-5)
    check_layouts(ops.linear, [x, w, b], [one, other, "C"])


# --- pictures ---------------------------------------------------------------------------------------------------------


@st.composite
def windows(draw):
    """Sizes of a window, and a picture with room for it: {options}, (kH, kW), (H, W)."""
    size, stride, padding, dilation = ([draw(st.integers(low, high)) for _ in range(2)]
                                       for low, high in ((1, 3), (1, 3), (0, 2), (1, 2)))
    picture = [max(1, d * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 3)) for k, p, d in
               zip(size, padding, dilation, strict=True)]
    options = {"stride": tuple(stride), "padding": tuple(padding), "dilation": tuple(dilation)}
    return options, tuple(size), tuple(picture)


def places(options, size, picture):
    """Every place of a window, and what it sees: (i, j), then [(u, v, row, column), ...] inside the picture."""
    (sh, sw), (ph, pw), (dh, dw) = options["stride"], options["padding"], options.get("dilation", (1, 1))
    height = (picture[0] + 2 * ph - dh * (size[0] - 1) - 1) // sh + 1
    width = (picture[1] + 2 * pw - dw * (size[1] - 1) - 1) // sw + 1
    for i, j in product(range(height), range(width)):
        seen = []
        for u, v in product(range(size[0]), range(size[1])):
            row, column = i * sh - ph + u * dh, j * sw - pw + v * dw
            if 0 <= row < picture[0] and 0 <= column < picture[1]:
                seen.append((u, v, row, column))
        yield (i, j), seen


def slow_conv2d(x, w, b, g, options, groups):
    """Convolution by its definition, a product at a time: the value and, for slopes g, the three gradients."""
    per_group, filters = w.shape[1], len(w) // groups
    y = np.zeros(g.shape) + b[:, None, None]
    gx, gw = np.zeros(x.shape), np.zeros(w.shape)
    for (i, j), seen in places(options, w.shape[2:], x.shape[2:]):
        for n, o, c in product(range(len(x)), range(len(w)), range(per_group)):
            channel = o // filters * per_group + c
            for u, v, row, column in seen:
                y[n, o, i, j] += w[o, c, u, v] * x[n, channel, row, column]
                gx[n, channel, row, column] += w[o, c, u, v] * g[n, o, i, j]
                gw[o, c, u, v] += x[n, channel, row, column] * g[n, o, i, j]
    return y, gx, gw, g.sum(axis=(0, 2, 3))


@given(windows(), st.integers(1, 2), st.integers(1, 2), st.integers(1, 2), st.integers(1, 2), layouts, layouts, seeds)
def test_convolution_is_its_definition(window, n, groups, channels, filters, one, other, seed):
    options, size, picture = window
    x, w, b = numbers(seed, (n, groups * channels, *picture), (groups * filters, channels, *size), (groups * filters,))
    f = lambda *arrays: ops.conv2d(*arrays, **options, groups=groups)
    y, *gradients = run(f, [x, w, b])
    g = np.random.default_rng(1).normal(size=y.shape)
    for found, expected in zip([y, *gradients], slow_conv2d(x, w, b, g, options, groups), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    check_layouts(f, [x, w, b], [one, other, "C"])
    check_layouts(f, [a.astype(np.float32) for a in (x, w, b)], [one, other, "C"])


@given(windows(), st.integers(1, 2), st.integers(1, 3), dtypes, layouts, seeds)
def test_pooling_is_its_definition(window, n, channels, dtype, layout, seed):
    options, size, picture = window
    options["padding"] = tuple(min(p, k // 2) for p, k in zip(options["padding"], size, strict=True))
    options["dilation"] = (1, 1)
    picture = tuple(max(a, k) for a, k in zip(picture, size, strict=True))
    x, = numbers(seed, (n, channels, *picture), dtype=dtype)
    f_max = lambda x: ops.max_pool2d(x, size, **options)
    f_mean = lambda x: ops.avg_pool2d(x, size, stride=options["stride"], padding=options["padding"])
    largest, mean = f_max(x), f_mean(x)
    for (i, j), seen in places(options, size, picture):
        elements = np.array([x[:, :, row, column] for _, _, row, column in seen])
        np.testing.assert_array_equal(largest[:, :, i, j], elements.max(axis=0))
        np.testing.assert_allclose(mean[:, :, i, j], elements.sum(axis=0) / (size[0] * size[1]), rtol=1e-5, atol=1e-6)
    for f in (f_max, f_mean):
        check_layouts(f, [x], [layout])
    check_grad(f_max, x.astype(np.float64), most=8)
    check_grad(f_mean, x.astype(np.float64), most=8)


@given(st.integers(2, 4), st.integers(1, 3), hnp.array_shapes(min_dims=2, max_dims=2, max_side=3) | st.just(()), dtypes,
       layouts, seeds)
def test_normalizations_in_any_layout(n, channels, picture, dtype, layout, seed):
    x, w, b = numbers(seed, (n, channels, *picture), (channels,), (channels,), dtype=dtype)
    batch = lambda x, w, b: ops.batch_norm(x, w, b, running_mean=np.zeros(channels, dtype), eps=0.1,
                                           running_var=np.ones(channels, dtype), training=True)
    check_layouts(batch, [x, w, b], [layout, "C", "C"])
    w, b = numbers(seed + 1, x.shape[1:], x.shape[1:], dtype=dtype)
    check_layouts(lambda x, w, b: ops.layer_norm(x, w, b, eps=0.1), [x, w, b], [layout, layout, "C"])
