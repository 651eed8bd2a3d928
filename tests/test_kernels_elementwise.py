"""Compiled kernels that go from element to element: activations, losses, dropout.

Each equals its formula in NumPy, at the ends of the number line too, and touches nothing but its own elements.
"""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_arrays import (
    Guarded, arranged, close, dtypes, layouts, numbers, part_of, same_bits, seeds, sizes, surrounded
)

import byhand as bh
from byhand import kernels, losses, ops
from byhand.kernels import reference
from byhand.kernels.reference.dropout import chances
from byhand.ops import activation as formulas

pytest.importorskip("numba")
jit = kernels.compiled()
activation = pytest.importorskip("byhand.kernels.jit.activation")
exponential = pytest.importorskip("byhand.kernels.jit.exponential")
dropout = pytest.importorskip("byhand.kernels.jit.dropout")
loss = pytest.importorskip("byhand.kernels.jit.loss")

SETTINGS = {"leaky_relu": 0.07, "elu": 1.3}
kinds = st.sampled_from(activation.KINDS)

# --- eˣ ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponentials_are_right_to_the_last_digits(dtype):
    low = -87.0 if dtype == np.float32 else -708.0
    x = np.concatenate([np.linspace(low, 0, 100001), -np.logspace(-20, 0, 1001), [0.0]]).astype(dtype)
    exact = x.astype(np.longdouble)
    for function, expected in ((exponential.exp, np.exp(exact)), (exponential.expm1, np.expm1(exact))):
        found = np.array([function(v) for v in x])
        assert np.abs(found - expected).max() < np.finfo(dtype).eps
        inside = expected != 0
        assert (np.abs(found - expected)[inside] / np.abs(expected[inside])).max() < 3 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponentials_at_the_ends_of_the_number_line(dtype):
    far = [dtype(v) for v in (-1e4, -1e30, -math.inf)]
    assert [*map(exponential.exp, far), *map(exponential.expm1, far)] == [0, 0, 0, -1, -1, -1]
    assert math.isnan(exponential.exp(dtype(math.nan))) and math.isnan(exponential.expm1(dtype(math.nan)))


# --- activations ------------------------------------------------------------------------------------------------------


@given(kinds, sizes, dtypes, seeds)
def test_each_activation_and_its_slope_is_its_formula(kind, size, dtype, seed):
    rng = np.random.default_rng(seed)
    x, g, setting = numbers(rng, size, dtype), rng.normal(size=size).astype(dtype), SETTINGS.get(kind, 0.0)
    first, last = part_of(rng, size)
    y, of_x = Guarded(size, dtype), Guarded(size, dtype)
    number = activation.KINDS.index(kind)
    activation.activation_forward(first, last, number, setting, surrounded(x), y.inside)
    activation.activation_gradient(first, last, number, setting, surrounded(x), surrounded(g), of_x.inside)
    with kernels.using("numpy"), np.errstate(all="ignore"):
        node = bh.Tensor(x, requires_grad=True)
        value = getattr(ops, kind)(node, *[setting] * (kind in SETTINGS))
        slope = value.links[0][1](g)
    np.testing.assert_allclose(y.written(first, last), value.data[first:last], **close(dtype))
    np.testing.assert_allclose(of_x.written(first, last), slope[first:last], **close(dtype, 4))


@given(kinds, dtypes, layouts, layouts, seeds)
def test_large_arrays_are_done_compiled_and_lie_as_they_lay(kind, dtype, layout, layout_of_slopes, seed):
    rng = np.random.default_rng(seed)
    shape = (5, 7, 11, 13)
    assert math.prod(shape) >= formulas.FEW
    x = arranged(numbers(rng, shape, dtype, ends=False), layout)
    g = arranged(numbers(rng, shape, dtype, ends=False), layout_of_slopes)
    found = {}
    for choice in kernels.CHOICES:
        with kernels.using(choice):
            node = bh.Tensor(x, requires_grad=True)
            y = getattr(ops, kind)(node)
            y.backward(g)
            found[choice] = y.data, node.grad
            assert y.dtype == node.grad.dtype == dtype
    for ours, theirs in zip(found["jit"], found["numpy"], strict=True):
        np.testing.assert_allclose(ours, theirs, **close(dtype, 4))
        assert ours.strides == np.empty_like(x).strides


def test_small_arrays_whole_numbers_and_half_precision_are_numpys(monkeypatch):
    monkeypatch.setattr(jit, "bent", None)  # to be called by nobody
    few = formulas.FEW
    with kernels.using("jit"):
        for x in (np.ones(few - 1), np.ones(few, np.float16), np.ones(few, int), 1.0):
            assert np.all(ops.relu(x) == 1)
        with pytest.raises(TypeError):
            ops.relu(np.ones(few))
    with kernels.using("numpy"):
        assert np.all(ops.relu(np.ones(few)) == 1)


def test_settings_come_as_they_like():
    x = np.full(formulas.FEW, -2.0)
    with kernels.using("jit"):
        for y in (ops.leaky_relu(x, 0.5), ops.leaky_relu(x, slope=0.5), ops.leaky_relu(x, np.array(0.5)),
                  ops.leaky_relu(x, bh.Tensor(0.5)).data):
            assert np.all(y == -1)
        assert np.all(ops.leaky_relu(x) == np.float64(-0.02))
        for wrong in (partial(ops.leaky_relu, x, 0.5, 0.5), partial(ops.relu, x, 0.5), partial(ops.elu, x, slope=0.5)):
            with pytest.raises(TypeError, match="argument"):
                wrong()


def test_one_slope_for_all_and_slopes_that_do_not_belong_there():
    x = np.linspace(-1, 1, formulas.FEW)
    _, gradient = jit.bent("relu", x, 0.0)
    np.testing.assert_array_equal(gradient(1.0), x > 0)
    with pytest.raises(ValueError, match="broadcast"):
        gradient(np.ones(3))


@pytest.mark.parametrize("kind", activation.KINDS)
def test_gradients_of_compiled_activations(kind, rng, monkeypatch):
    monkeypatch.setattr(formulas, "FEW", 1)
    x = rng.normal(size=(3, 4))
    with kernels.using("jit"):
        bh.check_grad(getattr(ops, kind), x + 0.1 * np.sign(x))  # away from the corner


# --- losses -----------------------------------------------------------------------------------------------------------

rows = st.sampled_from([1, 2, 17, 257])
classes = st.sampled_from([1, 2, 10, 17])


@given(rows, classes, dtypes, st.sampled_from([0.0, 0.1, 0.7]), seeds)
def test_cross_entropy_in_one_visit(n, k, dtype, smoothing, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.integers(-9, 9, (n, k)).astype(dtype), rng.integers(0, k, n)  # whole numbers: many equals
    first, last = part_of(rng, n)
    found, slopes, correct = Guarded(n, np.float64), Guarded(n * k, dtype), Guarded(n, np.uint8)
    loss.cross_entropy_rows(first, last, surrounded(logits), labels, smoothing, 0.3, found.inside, slopes.inside,
                            correct.inside, k)
    node = bh.Tensor(logits, requires_grad=True)
    with kernels.using("numpy"):
        value = losses.cross_entropy(node, labels, label_smoothing=smoothing, reduction="none")
        (value * 0.3).sum().backward()
    here = slice(first, last)
    np.testing.assert_allclose(found.written(first, last), value.data[here], **close(dtype, 20))
    np.testing.assert_allclose(slopes.written(first * k, last * k), node.grad[here].reshape(-1), **close(dtype))
    np.testing.assert_array_equal(correct.written(first, last), (logits.argmax(axis=1) == labels)[here])


@given(rows, classes, dtypes, seeds)
def test_squared_error_in_one_visit(n, k, dtype, seed):
    rng = np.random.default_rng(seed)
    outputs, labels = rng.integers(-3, 3, (n, k)).astype(dtype), rng.integers(0, k, n)
    first, last = part_of(rng, n)
    found, slopes, correct = Guarded(n, np.float64), Guarded(n * k, dtype), Guarded(n, np.uint8)
    loss.squared_error_rows(first, last, surrounded(outputs), labels, 0.3, found.inside, slopes.inside, correct.inside,
                            k)
    node = bh.Tensor(outputs, requires_grad=True)
    value = losses.squared_error(node, losses.one_hot(labels, k), reduction="none")
    (value * 0.3).sum().backward()
    here = slice(first, last)
    np.testing.assert_allclose(found.written(first, last), value.data[here], **close(dtype, 20))
    np.testing.assert_allclose(slopes.written(first * k, last * k), node.grad[here].reshape(-1), **close(dtype, 20))
    np.testing.assert_array_equal(correct.written(first, last), (outputs.argmax(axis=1) == labels)[here])


@given(rows, classes, dtypes, layouts, seeds)
def test_softmax_cross_entropy_for_any_target(n, k, dtype, layout, seed):
    rng = np.random.default_rng(seed)
    logits, targets = rng.normal(0, 9, (n, k)).astype(dtype), rng.uniform(size=(n, k)).astype(dtype)
    logits[:, 0], targets[:, 0] = -math.inf if k > 1 else 0, 0  # a class that is ruled out, and that nobody expects
    found = jit.softmax_cross_entropy(arranged(logits, layout), targets)
    expected = reference.softmax_cross_entropy(logits, targets)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, **close(dtype, 20 * k))


@pytest.mark.parametrize("row", [[0.0, math.nan, 2.0], [math.nan, 1.0, math.nan], [0.0, math.inf, 1.0],
                                 [-math.inf, 0.0, 1.0], [-math.inf] * 3, [1e30, -1e30, 0.0], [math.inf, math.inf, 0.0]])
def test_losses_at_the_ends_of_the_number_line(row):
    logits, slopes = np.array([row]), np.empty(3)
    found, correct = np.empty(1), np.empty(1, np.uint8)
    for label in range(3):
        loss.cross_entropy_rows(0, 1, logits[0], np.array([label]), 0.0, 1.0, found, slopes, correct, 3)
        node = bh.Tensor(logits, requires_grad=True)
        with kernels.using("numpy"), np.errstate(all="ignore"):
            value = losses.cross_entropy(node, np.array([label]))
            value.backward()
        np.testing.assert_allclose(found[0], value.data)
        np.testing.assert_allclose(slopes, node.grad[0])
        assert correct[0] == (logits[0].argmax() == label)
        for ours, theirs in zip(jit.softmax_cross_entropy(logits, np.eye(3)[[label]]), (found, slopes[None]),
                                strict=True):
            np.testing.assert_allclose(ours, theirs)


def test_logits_and_targets_that_do_not_belong_together():
    with pytest.raises(ValueError, match="broadcast"):
        jit.softmax_cross_entropy(np.ones((4, 3)), np.ones((4, 2)))
    with pytest.raises(ValueError, match="axis"):
        jit.softmax_cross_entropy(np.ones(3), np.ones(3))


# --- dropout ----------------------------------------------------------------------------------------------------------


@given(sizes, dtypes, st.sampled_from([0.0, 0.1, 0.5, 0.9, 1 - 2**-40]), st.integers(0, 2**63 - 1), seeds)
def test_dropout_keeps_the_same_elements_in_whatever_parts_it_is_done(size, dtype, p, seed, other_seed):
    rng = np.random.default_rng(other_seed)
    x, y = rng.normal(size=size).astype(dtype), Guarded(size, dtype)
    first, last = part_of(rng, size)
    dropout.dropout_forward(first, last, seed, p, surrounded(x), y.inside)
    with np.errstate(divide="ignore"):  # of what is dropped so surely, 1 - p is 0 in single precision
        kept = dtype(1) / dtype(1 - p)
    expected = x * np.where(chances(seed, size) >= int(p * 2**32), kept, dtype(0))
    np.testing.assert_array_equal(y.written(first, last), expected[first:last])


@given(dtypes, layouts, st.sampled_from([0.0, 0.2, 0.5]), seeds)
def test_masks_are_the_same_bits_and_leave_the_generator_alike(dtype, layout, p, seed):
    x = arranged(np.zeros((3, 5, 4), dtype), layout)
    ours, theirs = np.random.default_rng(seed), np.random.default_rng(seed)
    assert same_bits(jit.dropout_mask(x, p, ours), reference.dropout_mask(x, p, theirs))
    assert ours.bit_generator.state == theirs.bit_generator.state


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**63 - 1])
def test_chances_are_even_and_know_nothing_of_their_neighbours(seed):
    n = 1 << 18
    u = chances(seed, n) / 2**32
    limit = 5 / math.sqrt(n)  # five standard deviations of a mean of n independent numbers, in units of one
    assert abs(u.mean() - 0.5) * math.sqrt(12) < limit
    assert abs(u.var() * 12 - 1) < 2 * limit
    counts, _ = np.histogram(u, bins=64, range=(0, 1))
    assert np.square(counts - n / 64).sum() / (n / 64) < 64 + 5 * math.sqrt(2 * 64)
    z = (u - 0.5) * math.sqrt(12)
    for apart in (1, 2, 3, 16, 28, 784, 1 << 16):
        assert abs((z[:-apart] * z[apart:]).mean()) < limit, apart
    for other in (seed ^ 1, seed ^ 2, seed ^ 1 << 31, seed ^ 1 << 40, seed + 1, seed + 784):
        z_other = (chances(other, n) / 2**32 - 0.5) * math.sqrt(12)
        assert abs((z * z_other).mean()) < limit, other
        assert abs((z[:-1] * z_other[1:]).mean()) < limit, other
    bits = (chances(seed, n)[:, None] >> np.arange(32, dtype=np.uint32)) & 1
    assert np.abs(bits.mean(axis=0) - 0.5).max() * 2 < limit
