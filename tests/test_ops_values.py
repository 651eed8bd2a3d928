"""The values of the operations: against `math` and NumPy, far out where things overflow, at corners and ties, and the
sentences that wrong inputs get. (Gradients in general are the business of the gradient-check table.)"""

import math

import numpy as np
import pytest

from byhand import Tensor, losses, ops
from byhand.ops.linear import rows_alone

ACTIVATIONS = {
    "relu": lambda x: max(x, 0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}


def leaf(value, dtype=np.float64):
    return Tensor(value, requires_grad=True, dtype=dtype)


def gradient(f, value, dtype=np.float64):
    t = leaf(value, dtype)
    f(t).sum().backward()
    return t.grad


# --- activations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_what_they_are_called(name):
    x = np.linspace(-30, 30, 121)
    expected = [ACTIVATIONS[name](v) for v in x]
    np.testing.assert_allclose(getattr(ops, name)(x), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(getattr(ops, name)(x.astype(np.float32)), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "low", "high", "low_slope", "high_slope"), [
    # the value at -10,000 and at 10,000, and the slopes there
    ("relu", 0, 1e4, 0, 1), ("leaky_relu", -100, 1e4, 0.01, 1), ("elu", -1, 1e4, 0, 1), ("gelu", 0, 1e4, 0, 1),
    ("silu", 0, 1e4, 0, 1), ("softplus", 0, 1e4, 0, 1), ("tanh", -1, 1, 0, 0), ("sigmoid", 0, 1, 0, 0),
])
def test_activations_far_out(name, low, high, low_slope, high_slope, dtype):
    f = getattr(ops, name)
    x = np.array([-1e4, 1e4], dtype)
    np.testing.assert_allclose(f(x), [low, high], rtol=1e-6)
    np.testing.assert_allclose(gradient(f, x, dtype), [low_slope, high_slope], rtol=1e-6)
    furthest = np.array([-1e30, -800, -90, 0, 90, 800, 1e30], dtype)  # no warning on the way either
    assert np.isfinite(f(furthest)).all() and np.isfinite(gradient(f, furthest, dtype)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_and_its_kin_far_out(dtype):
    x = np.array([[-1e4, 0, 1e4], [1e4, 1e4, -1e4], [-1e4, -1e4, -1e4]], dtype)
    third = 1 / 3
    probabilities = np.array([[0, 0, 1], [0.5, 0.5, 0], [third, third, third]])
    np.testing.assert_allclose(ops.softmax(x), probabilities, rtol=1e-6)
    logs = [[-2e4, -1e4, 0], [-math.log(2), -math.log(2), -2e4], [-math.log(3)] * 3]
    np.testing.assert_allclose(ops.log_softmax(x), logs, rtol=1e-4)
    np.testing.assert_allclose(ops.logsumexp(x, axis=1), [1e4, 1e4 + math.log(2), -1e4 + math.log(3)], rtol=1e-6)
    weights = np.array([1, 10, 100], dtype)
    for f in (ops.softmax, ops.log_softmax):
        assert np.isfinite(gradient(lambda t, f=f: f(t) * weights, x, dtype)).all()
    np.testing.assert_allclose(gradient(lambda t: ops.logsumexp(t, axis=1), x, dtype), probabilities, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropies_far_out(dtype):
    logits = np.array([[-1e4, 0, 1e4], [1e4, 1e4, -1e4]], dtype)
    loss = leaf(logits, dtype)
    losses.cross_entropy(loss, np.array([0, 0]), reduction="none").backward(np.ones(2))
    np.testing.assert_allclose(loss.grad, [[-1, 0, 1], [-0.5, 0.5, 0]], atol=1e-7)
    two = leaf(np.array([-1e4, 1e4, -1e4, 1e4]), dtype)
    value = losses.binary_cross_entropy(two, np.array([0, 1, 1, 0]), reduction="none")
    np.testing.assert_allclose(value.data, [0, 0, 1e4, 1e4])
    value.backward(np.ones(4))
    np.testing.assert_allclose(two.grad, [0, 0, -1, 1])


BYTES = np.array([[0, 1, 200, 255], [20, 12, 255, 255], [7, 7, 0, 90]], np.uint8)
CHANNELS = {"weight": np.ones(4, np.float32), "bias": np.zeros(4, np.float32)}
STATISTICS = {"running_mean": np.zeros(4, np.float32), "running_var": np.ones(4, np.float32)}


@pytest.mark.parametrize("f", [
    *[getattr(ops, name) for name in (
        "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh", "sigmoid", "softmax", "log_softmax", "log",
        "sqrt", "mean", "var", "logsumexp")],
    lambda x: ops.exp(x[0, :2]), lambda x: ops.divide(x, 3), lambda x: ops.linear(x, x),
    lambda x: ops.softmax(x, axis=0),
    lambda x: ops.linear(x, np.ones((2, 4), np.float32)),
    lambda x: ops.layer_norm(x, **CHANNELS),
    lambda x: ops.batch_norm(x, **CHANNELS, **STATISTICS, training=False),
    lambda x: ops.batch_norm(x, **CHANNELS, **{k: v.copy() for k, v in STATISTICS.items()}, training=True),
    lambda x: ops.dropout(x, 0.5, np.random.default_rng(0)),
    lambda x: ops.conv2d(x[None, None], np.ones((2, 1, 3, 3), np.float32), padding=1),
    lambda x: ops.conv2d(x[None, None], x[None, None]),
    lambda x: ops.max_pool2d(x[None, None], 2, padding=1), lambda x: ops.avg_pool2d(x[None, None], 2, padding=1),
    lambda x: ops.global_avg_pool2d(x[None, None]),
])
@pytest.mark.filterwarnings("ignore:divide by zero")  # ln 0
def test_bytes_are_numbers_like_others(f):
    np.testing.assert_allclose(f(BYTES), f(BYTES.astype(np.float32)), rtol=1e-5, atol=1e-6)
    assert isinstance(f(Tensor(BYTES)), Tensor)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_class_that_is_ruled_out(dtype):
    logits = leaf(np.array([[-np.inf, 0, 0], [-np.inf, 0, -np.inf]]), dtype)
    loss = losses.cross_entropy(logits, np.array([1, 1]), reduction="none")
    np.testing.assert_allclose(loss.data, [math.log(2), 0], rtol=1e-6)
    loss.backward(np.ones(2))
    np.testing.assert_allclose(logits.grad, [[0, -0.5, 0.5], [0, 0, 0]])
    assert losses.cross_entropy(logits, np.array([0, 1]), reduction="none").data.tolist() == [np.inf, 0]
    nothing = leaf(np.array([-np.inf, -np.inf]), dtype)
    total = ops.logsumexp(nothing)
    assert total.item() == -np.inf
    total.backward()
    assert nothing.grad.tolist() == [0, 0]
    assert ops.logsumexp(np.array([-np.inf, 2, 2], dtype)) == pytest.approx(2 + math.log(2))


def test_softmax_is_a_distribution_over_any_axis(rng):
    x = rng.normal(size=(2, 3, 4)) * 50
    for axis in (0, 1, 2, -1, -3):
        p = ops.softmax(x, axis=axis)
        assert (p >= 0).all()
        np.testing.assert_allclose(p.sum(axis=axis), 1)
        np.testing.assert_allclose(np.exp(ops.log_softmax(x, axis=axis)), p, atol=1e-300)


# --- corners and ties -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "x", "slopes"), [
    (ops.relu, [-1, 0, 1], [0, 0, 1]),
    (ops.abs, [-2, 0, 2], [-1, 0, 1]),
    (lambda t: ops.clip(t, 0, 1), [-1, 0, 0.5, 1, 2], [0, 1, 1, 1, 0]),
    (lambda t: ops.maximum(t, 0), [-1, 0, 1], [0, 0.5, 1]),
    (lambda t: ops.minimum(t, 0), [-1, 0, 1], [1, 0.5, 0]),
    (lambda t: ops.max(t), [1, 3, 3, 2], [0, 0.5, 0.5, 0]),
    (lambda t: ops.min(t), [1, 1, 1, 2], [1 / 3, 1 / 3, 1 / 3, 0]),
    (lambda t: t**0, [0, 2], [0, 0]),
    (lambda t: t**1, [0, 2], [1, 1]),
    (lambda t: t**2, [0, -3], [0, -6]),
    (lambda t: 0.0**t, [1, 2], [0, 0]),
    (lambda t: t ** np.array([0, 1, 2]), [0, 0, 0], [0, 1, 0]),
    (lambda t: ops.maximum(t, -3e38), [3e38, -3e38], [1, 0.5]),  # the difference of the two does not fit a float32
])
def test_slopes_at_corners(f, x, slopes):
    for dtype in (np.float32, np.float64):
        np.testing.assert_allclose(gradient(f, x, dtype), slopes, rtol=1e-6)


def test_equal_arguments_share_the_slope():
    a, b = leaf([1.0, 5.0, 2.0]), leaf([1.0, 2.0, 5.0])
    (ops.maximum(a, b) + 10 * ops.minimum(a, b)).sum().backward()
    np.testing.assert_array_equal(a.grad, [5.5, 1, 10])
    np.testing.assert_array_equal(b.grad, [5.5, 10, 1])


def test_max_pool_gives_the_slope_to_the_first_of_equals():
    t = leaf(np.ones((1, 1, 2, 4)))
    ops.max_pool2d(t, 2).backward(np.array([[[[3.0, 5.0]]]]))
    np.testing.assert_array_equal(t.grad[0, 0], [[3, 0, 5, 0], [0, 0, 0, 0]])


def test_max_pool_padding_never_wins_and_average_pool_padding_counts():
    x = np.full((1, 1, 2, 2), -8.0)
    np.testing.assert_array_equal(ops.max_pool2d(x, 2, padding=1)[0, 0], [[-8, -8], [-8, -8]])
    np.testing.assert_array_equal(ops.avg_pool2d(x, 2, padding=1)[0, 0], [[-2, -2], [-2, -2]])


# --- against NumPy ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (-1, -2), ()], ids=str)
@pytest.mark.parametrize("name", ["sum", "mean", "var", "max", "min"])
def test_reductions_are_those_of_numpy(name, axis, rng):
    x = rng.normal(size=(3, 2, 4))
    for keepdims in (False, True):
        result = getattr(ops, name)(x, axis=axis, keepdims=keepdims)
        expected = getattr(np, name)(x, axis=axis, keepdims=keepdims)
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected)


def test_further_reductions(rng):
    x = rng.normal(size=(3, 4))
    np.testing.assert_allclose(ops.var(x, axis=0, ddof=1), np.var(x, axis=0, ddof=1))
    np.testing.assert_allclose(ops.logsumexp(x, axis=1), np.log(np.exp(x).sum(axis=1)))
    np.testing.assert_array_equal(ops.argmax(x), np.argmax(x))
    np.testing.assert_array_equal(ops.argmax(Tensor(x), axis=1).data, np.argmax(x, axis=1))
    assert ops.argmax(np.array([1, 7, 7])) == 1


@pytest.mark.parametrize("name", ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"])
def test_comparisons_are_those_of_numpy(name):
    a, b = np.array([1.0, 2.0, np.nan, 3.0]), np.array([1.0, 3.0, np.nan, 2.0])
    np.testing.assert_array_equal(getattr(ops, name)(Tensor(a), b).data, getattr(np, name)(a, b))
    np.testing.assert_array_equal(getattr(ops, name)(a, 2.0), getattr(np, name)(a, 2.0))


@pytest.mark.parametrize(("ours", "expected"), [
    (lambda x: ops.reshape(x, 3, 4), lambda x: x.reshape(3, 4)),
    (lambda x: ops.reshape(x, [4, -1]), lambda x: x.reshape(4, -1)),
    (lambda x: ops.transpose(x), lambda x: x.transpose()),
    (lambda x: ops.transpose(x, 2, 0, -2), lambda x: x.transpose(2, 0, 1)),
    (lambda x: ops.swapaxes(x, 0, -1), lambda x: x.swapaxes(0, -1)),
    (lambda x: ops.squeeze(x[:1]), lambda x: x[:1].squeeze()),
    (lambda x: ops.expand_dims(x, (0, -1)), lambda x: np.expand_dims(x, (0, -1))),
    (lambda x: ops.broadcast_to(x, (5, 2, 3, 2)), lambda x: np.broadcast_to(x, (5, 2, 3, 2))),
    (lambda x: ops.pad(x, [(1, 0), (0, 0), (2, 1)], 9), lambda x: np.pad(x, [(1, 0), (0, 0), (2, 1)],
                                                                         constant_values=9)),
    (lambda x: ops.concatenate([x, x[:, :1]], axis=1), lambda x: np.concatenate([x, x[:, :1]], axis=1)),
    (lambda x: ops.stack([x, x], axis=-1), lambda x: np.stack([x, x], axis=-1)),
    (lambda x: ops.clip(x, -0.5, 0.5), lambda x: x.clip(-0.5, 0.5)),
    (lambda x: ops.where(x > 0, x, 1.0), lambda x: np.where(x > 0, x, 1.0)),
    (lambda x: ops.sqrt(ops.exp(ops.log(ops.abs(x)))), lambda x: np.sqrt(np.abs(x))),
])
def test_shapes_and_elements_are_those_of_numpy(ours, expected, rng):
    x = rng.normal(size=(2, 3, 2))
    np.testing.assert_allclose(ours(x), expected(x), rtol=1e-14)


def test_batch_norm_moves_its_running_statistics_only_in_training(rng):
    x = rng.normal(3, 2, size=(8, 2))
    mean, var = np.zeros(2), np.ones(2)
    options = {"running_mean": mean, "running_var": var, "momentum": 0.25}
    y = ops.batch_norm(x, np.ones(2), np.zeros(2), training=True, **options)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(y.std(axis=0), 1, rtol=1e-4)
    np.testing.assert_allclose(mean, 0.25 * x.mean(axis=0))
    np.testing.assert_allclose(var, 0.75 + 0.25 * x.var(axis=0, ddof=1))
    before = mean.copy(), var.copy()
    y = ops.batch_norm(x, np.array([2.0, 3.0]), np.array([1.0, 0.0]), training=False, **options)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-5) * [2, 3] + [1, 0])
    np.testing.assert_array_equal([mean, var], before)


def test_dropout_keeps_the_mean_and_the_promised_share(rng):
    x = np.full((200, 500), 2.0)
    y = ops.dropout(x, 0.3, rng)
    assert set(np.unique(y)) == {0, 2 / 0.7}
    assert abs((y == 0).mean() - 0.3) < 5 * math.sqrt(0.21 / x.size)  # five standard deviations
    t = leaf(x)
    kept = ops.dropout(t, 0.3, np.random.default_rng(5))
    kept.backward(np.ones(x.shape))
    np.testing.assert_array_equal(t.grad, kept.data / 2)  # the slopes go where the values went
    np.testing.assert_array_equal(ops.dropout(x, 0.3, np.random.default_rng(5)), kept.data)  # the seed decides
    np.testing.assert_array_equal(ops.dropout(x, 0.0, rng), x)


# --- wrong inputs -----------------------------------------------------------------------------------------------------

PICTURES, FILTERS = np.ones((2, 4, 6, 6)), np.ones((6, 4, 3, 3))


@pytest.mark.parametrize(("f", "error", "sentence"), [
    (lambda: ops.conv2d(PICTURES[0], FILTERS), ValueError, r"conv2d needs pictures \(N, C, H, W\).*shape \(4, 6, 6\)"),
    (lambda: ops.conv2d(PICTURES[:, :, :2], FILTERS), ValueError, "H of at least 3 and W of at least 3, got shape"),
    (lambda: ops.conv2d(PICTURES, FILTERS, dilation=3), ValueError, "H of at least 7 and W of at least 7"),
    (lambda: ops.conv2d(PICTURES, FILTERS[:, :3]), ValueError, r"\(6, 3, 3, 3\) does not fit pictures of shape"),
    (lambda: ops.conv2d(PICTURES, FILTERS[:5, :2], groups=2), ValueError, "O a multiple of the groups"),
    (lambda: ops.conv2d(PICTURES, FILTERS, groups=0), ValueError, "does not fit pictures"),
    (lambda: ops.conv2d(PICTURES, FILTERS[0]), ValueError, r"conv2d needs its size to be .*, got \(3,\)"),
    (lambda: ops.conv2d(PICTURES, FILTERS, stride=0), ValueError, "its stride to be a whole number of at least 1"),
    (lambda: ops.conv2d(PICTURES, FILTERS, padding=-1), ValueError, "its padding to be a whole number of at least 0"),
    (lambda: ops.conv2d(PICTURES, FILTERS, dilation=1.5), ValueError, "its dilation to be .* got 1.5"),
    (lambda: ops.conv2d(PICTURES, FILTERS, stride=(1, 2, 3)), ValueError, r"or a pair of them, got \(1, 2, 3\)"),
    (lambda: ops.max_pool2d(PICTURES, 7), ValueError, "max_pool2d needs pictures .* H of at least 7"),
    (lambda: ops.max_pool2d(PICTURES, 2, padding=2), ValueError, "a padding of at most half the window 2, got 2"),
    (lambda: ops.avg_pool2d(PICTURES, 0), ValueError, "avg_pool2d needs its size to be .* at least 1"),
    (lambda: ops.avg_pool2d(PICTURES[0], 2), ValueError, "avg_pool2d needs pictures"),
    (lambda: ops.batch_norm(np.ones((1, 2)), np.ones(2), np.ones(2), running_mean=np.zeros(2), running_var=np.ones(2),
                            training=True), ValueError, "more than one value for each channel"),
    (lambda: ops.dropout(PICTURES, 1.0, np.random.default_rng(0)), ValueError, "probability .* less than 1, got 1.0"),
    (lambda: ops.dropout(PICTURES, -0.1, np.random.default_rng(0)), ValueError, "probability of at least 0"),
    (lambda: ops.dropout(PICTURES, math.nan, np.random.default_rng(0)), ValueError, "got nan"),
    (lambda: ops.var(np.ones(1), ddof=1), ValueError, "var needs more than ddof=1 elements to reduce, got 1"),
    (lambda: ops.mean(np.ones((2, 3)), axis=2), np.exceptions.AxisError, "axis 2 is out of bounds"),
    (lambda: ops.transpose(np.ones((2, 3)), 0, 5), np.exceptions.AxisError, "axis 5 is out of bounds"),
    (lambda: ops.transpose(np.ones((2, 3)), 0, 0), ValueError, "repeated axis"),
    (lambda: ops.concatenate([]), ValueError, "need at least one array"),
    (lambda: ops.concatenate([np.ones((2, 3)), np.ones((2, 4))]), ValueError, "must match exactly"),
    (lambda: ops.stack([np.ones(2), np.ones(3)]), ValueError, "same shape"),
    (lambda: ops.pad(np.ones((2, 3)), [(1, 1)]), ValueError, "pad needs a pair of widths, .* each of the 2 axes"),
    (lambda: ops.pad(np.ones(2), [(-1, 1)]), ValueError, "0 or more"),
    (lambda: ops.reshape(np.ones(6), 4), ValueError, "cannot reshape array of size 6"),
    (lambda: ops.matmul(np.ones((2, 3)), np.ones((2, 3))), ValueError,
     r"matmul needs shapes .* with the same k, got \(2, 3\) and \(2, 3\)"),
    (lambda: ops.matmul(np.ones(3), 2.0), ValueError, r"matmul needs shapes .* got \(3,\) and \(\)"),
    (lambda: ops.linear(np.ones((2, 3)), np.ones((4, 2))), ValueError,
     r"linear needs x \(..., in\) and a weight \(out, in\) with the same in, got \(2, 3\) and \(4, 2\)"),
    (lambda: ops.linear(np.ones((2, 3)), np.ones(3)), ValueError, r"got \(2, 3\) and \(3,\)"),
    (lambda: ops.linear(np.ones((2, 3)), np.ones((4, 3)), np.ones(3)), ValueError,
     r"a weight of shape \(4, 3\) needs a bias of shape \(4,\), got \(3,\)"),
    (lambda: ops.squeeze(np.ones((2, 3)), axis=0), ValueError, "size not equal to one"),
])
def test_wrong_inputs_get_a_sentence(f, error, sentence):
    with pytest.raises(error, match=sentence):
        f()


def test_rows_alone_are_the_same_to_the_bit_wherever_they_stand():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(70, 64)).astype(np.float32), rng.normal(size=(10, 64)).astype(np.float32)
    with rows_alone():
        whole = ops.linear(x, weight)
        assert np.array_equal(ops.linear(x[::-1], weight), whole[::-1])
        assert np.array_equal(ops.linear(x[5:6], weight), whole[5:6])
    np.testing.assert_allclose(whole, ops.linear(x, weight), rtol=1e-4, atol=1e-5)
