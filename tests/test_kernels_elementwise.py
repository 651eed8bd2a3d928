"""Compiled kernels that go from element to element: activations, losses, dropout, optimizers' steps, fetching a batch.

Each equals its formula in NumPy, at the ends of the number line too, and touches nothing but its own elements.
"""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_arrays import Guarded, arranged, dtypes, layouts, same_bits, seeds, surrounded, threads

import byhand as bh
from byhand import kernels, losses, ops, optim
from byhand.data import Dataset, Loader, Normalize
from byhand.kernels import reference
from byhand.kernels.reference.dropout import chances
from byhand.ops import activation as formulas

pytest.importorskip("numba")
jit = kernels.compiled()
activation = pytest.importorskip("byhand.kernels.jit.activation")
exponential = pytest.importorskip("byhand.kernels.jit.exponential")
dropout = pytest.importorskip("byhand.kernels.jit.dropout")
gathering = pytest.importorskip("byhand.kernels.jit.gather")
loss = pytest.importorskip("byhand.kernels.jit.loss")
updating = pytest.importorskip("byhand.kernels.jit.update")

SETTINGS = {"leaky_relu": 0.07, "elu": 1.3}
sizes = st.sampled_from([1, 2, 17, 64, 257, 1000])
kinds = st.sampled_from(activation.KINDS)
ENDS = [0.0, -0.0, 1e-30, -1e-30, 1.0, -1.0, 88.0, -88.0, 710.0, -710.0, 1e30, -1e30, math.inf, -math.inf, math.nan]


def close(dtype, size=1.0):
    """What a few roundings may do to numbers of about `size`."""
    eps = 8 * float(np.finfo(dtype).eps)
    return {"rtol": 4 * eps, "atol": eps * size}


def numbers(rng, size, dtype, ends=True):
    """Numbers small and large, some of which are the ends of the number line."""
    x = rng.normal(0, 4, size).astype(dtype)
    if ends:
        chosen = rng.random(size) < 0.2
        x[chosen] = rng.choice(ENDS, chosen.sum())
    return x


def part_of(rng, size):
    """From where to where a kernel shall go: a part of `size` elements."""
    return np.sort(rng.integers(0, size + 1, 2)).tolist()


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


# --- an optimizer's step ----------------------------------------------------------------------------------------------

ALGORITHMS = {
    "SGD": partial(optim.SGD, lr=0.1), "Momentum": partial(optim.Momentum, lr=0.1, momentum=0.8),
    "Nesterov": partial(optim.Nesterov, lr=0.1), "Adagrad": optim.Adagrad, "RMSprop": partial(optim.RMSprop, alpha=0.9),
    "Adam": partial(optim.Adam, betas=(0.8, 0.95)), "AdamW": partial(optim.AdamW, weight_decay=0.3),
}
common = st.fixed_dictionaries({}, optional={
    "l1": st.just(0.01), "l2": st.just(0.02), "clip_value": st.just(0.9), "clip_norm": st.just(1.5),
    "max_norm": st.just(2.0)})


def after_steps(choice, make, weights, gradients):
    """The optimizer after steps with these gradients, by these kernels."""
    parameters = [bh.Tensor(w.copy(order="K"), requires_grad=True) for w in weights]
    with kernels.using(choice), np.errstate(all="ignore"):
        optimizer = make(parameters)
        for step in gradients:
            for parameter, g in zip(parameters, step, strict=True):
                parameter.grad = g.copy()
            optimizer.step()
            for parameter, g in zip(parameters, step, strict=True):
                np.testing.assert_array_equal(parameter.grad, g)  # for whoever wants to look at it
    return optimizer


@given(st.sampled_from(list(ALGORITHMS)), common, dtypes, sizes, st.booleans(), seeds)
def test_a_compiled_step_is_the_formula_to_the_last_bit(name, settings, dtype, size, ends, seed):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(3, 5)).astype(dtype), numbers(rng, size, dtype, ends)]
    gradients = [[rng.normal(size=(3, 5)).astype(dtype), numbers(rng, size, dtype, ends)] for _ in range(3)]
    make = partial(ALGORITHMS[name], **settings)
    ours, theirs = (after_steps(choice, make, weights, gradients) for choice in ("jit", "numpy"))
    np.testing.assert_array_equal(ours.flat, theirs.flat)
    for key, array in theirs.memory.items():
        np.testing.assert_array_equal(ours.memory[key], array)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_many_parameters_are_shared_out(name, rng):
    weights, gradients = ([rng.normal(size=300_001).astype(np.float32)] for _ in range(2))
    found = []
    for n in (1, 2):
        with threads(n):
            found.append(after_steps("jit", ALGORITHMS[name], weights, [gradients]).flat)
    assert same_bits(*found)
    assert same_bits(found[0], after_steps("numpy", ALGORITHMS[name], weights, [gradients]).flat)


@given(st.sampled_from(updating.RULES), dtypes, sizes, seeds)
def test_a_step_touches_its_own_parameters_only(rule, dtype, size, seed):
    rng = np.random.default_rng(seed)
    first, last = part_of(rng, size)
    w, m, s = (Guarded(size, dtype) for _ in range(3))
    g = surrounded(rng.normal(size=size).astype(dtype))
    for room in (w, m, s):
        room.inside[first:last] = 1
    updating.update(first, last, updating.RULES.index(rule), w.inside, g, m.inside, s.inside, 0.1, 0.9, 0.9, 1e-8, 0.1,
                    0.1, 0.1, 1.0, 1.0)
    assert (w.written(first, last) != 1).all()
    for room in (m, s):
        assert np.isfinite(room.written(first, last)).all()


class Sign(optim.SGD):
    """Somebody's own formula: one step of length lr for each parameter."""

    def update(self, w, g, spare, memory, lr, t, own):
        w -= lr * np.sign(g)


@pytest.mark.parametrize("choice", kernels.CHOICES)
def test_whoever_overrides_the_formula_is_rid_of_the_rule(choice, rng):
    w, g = rng.normal(size=5), rng.normal(size=5)
    optimizer = after_steps(choice, partial(Sign, lr=0.5), [w], [[g]])
    np.testing.assert_allclose(optimizer.flat, w - 0.5 * np.sign(g))


@pytest.mark.parametrize("choice", kernels.CHOICES)
@pytest.mark.parametrize("make", [*ALGORITHMS.values(), partial(Sign, lr=0.1)])
def test_gradients_that_are_in_their_place_already_stay_as_they_are(choice, make, rng):
    w, g = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    expected = after_steps(choice, partial(make, clip_value=0.7, clip_norm=1.0, l2=0.1), [w], [[g]])
    parameter = bh.Tensor(w, requires_grad=True)
    optimizer = make([parameter], clip_value=0.7, clip_norm=1.0, l2=0.1)
    (slot,) = optimizer.slots
    slot.gradient[...] = g
    parameter.grad = slot.gradient
    with kernels.using(choice):
        optimizer.step()
    assert parameter.grad is slot.gradient
    np.testing.assert_array_equal(parameter.grad, g)
    np.testing.assert_array_equal(optimizer.flat, expected.flat)


@pytest.mark.parametrize("choice", kernels.CHOICES)
def test_a_matrix_may_lie_column_by_column(choice, rng):
    w, b, gradients = rng.normal(size=(4, 3)), rng.normal(size=4), [[rng.normal(size=(4, 3)), rng.normal(size=4)]] * 2
    make = partial(optim.Adam, lr=0.1, max_norm=1.0)
    by_rows = after_steps(choice, make, [w, b], gradients)
    by_columns = after_steps(choice, make, [np.asfortranarray(w), b], gradients)
    for ours, theirs in zip(by_columns.slots, by_rows.slots, strict=True):
        np.testing.assert_array_equal(ours.parameter.data, theirs.parameter.data)
        np.testing.assert_array_equal(ours.gradient, theirs.gradient)
        assert np.shares_memory(ours.parameter.data, by_columns.flat)
    matrix = by_columns.slots[0]
    assert np.isfortran(matrix.values) and np.isfortran(matrix.gradient)
    np.testing.assert_array_equal(by_columns.flat[:12], matrix.values.T.reshape(-1))
    # What is saved knows nothing of it, so that one can go on from the other.
    for key, array in by_rows.state_dict()["arrays"].items():
        np.testing.assert_array_equal(by_columns.state_dict()["arrays"][key], array)
    fresh = make([bh.Tensor(a, requires_grad=True) for a in (np.asfortranarray(w), b)])
    fresh.load_state_dict(by_rows.state_dict())
    for key, array in by_columns.memory.items():
        np.testing.assert_array_equal(fresh.memory[key], array)


# --- a batch ----------------------------------------------------------------------------------------------------------

pixels = st.sampled_from([np.uint8, np.float32, np.float64])
shapes = st.sampled_from([(1, 1), (17, 1), (1, 17), (3, 25), (4, 25), (17, 9), (1, 784)])


def pictures(rng, shape, dtype):
    """Bytes, or floats as large."""
    return rng.integers(0, 256, shape).astype(dtype)


@given(pixels, dtypes, shapes, sizes, seeds)
def test_a_batch_is_fetched_and_normalized(kind, dtype, shape, size, seed):
    rng = np.random.default_rng(seed)
    channels, places = shape
    images, numbers_of_rows = pictures(rng, (9, channels, places), kind), rng.integers(0, 9, size)
    scale, shift = rng.normal(size=(2, channels)).astype(dtype)
    x = Guarded(size * channels * places, dtype)
    first, last = part_of(rng, size)
    flat = images.reshape(-1) if kind == np.uint8 else surrounded(images)
    gathering.gather(first, last, numbers_of_rows, flat, scale, shift, x.inside, channels, places)
    expected = images[numbers_of_rows].astype(dtype) * scale[:, None] - shift[:, None]
    expected = expected.transpose(0, 2, 1).reshape(-1)
    each = channels * places
    np.testing.assert_array_equal(x.written(first * each, last * each), expected[first * each:last * each])


@given(pixels, dtypes, st.sampled_from([(12,), (5, 4), (1, 5, 4), (3, 5, 4), (6, 2, 3)]), st.booleans(), layouts, seeds)
def test_batches_are_the_same_bits_and_lie_alike(kind, dtype, shape, by_channel, layout, seed):
    rng = np.random.default_rng(seed)
    images = arranged(pictures(rng, (20, *shape), np.float64), layout).astype(kind, order="K")
    scale, shift = rng.normal(size=(2, shape[0]) if by_channel else 2).astype(dtype)
    for chosen in (rng.integers(0, 20, 7), rng.integers(-20, 20, 7), slice(3, 11), slice(None), slice(5, 5),
                   slice(None, None, -3), np.arange(20) > 11, np.array([], int), np.array([3], np.uint8)):
        ours, theirs = (of.gathered(images, chosen, np.asarray(scale), np.asarray(shift)) for of in (jit, reference))
        assert same_bits(ours, theirs)
        assert ours.size == 0 or ours.strides == theirs.strides


@pytest.mark.parametrize("wrong", [[20], [-21], [0, 2**40]])
def test_rows_that_are_not_there_are_an_error_and_not_a_crash(wrong):
    images, one, nothing = np.ones((20, 1, 5, 4), np.uint8), np.ones((), np.float32), np.zeros((), np.float32)
    with pytest.raises(IndexError, match="out of bounds"):
        jit.gathered(images, np.array(wrong), one, nothing)
    for samples in (images, np.ones((20, 10), np.uint8)):
        for scale in (np.ones(5, np.float32), one):
            with pytest.raises(ValueError, match="broadcast"):
                jit.gathered(samples, np.array([0]), scale, np.ones(5, np.float32))


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("shape", [(784,), (1, 28, 28), (3, 8, 8)])
def test_a_loader_gives_the_same_bits_with_either_kernels(shape, on_disk, rng, tmp_path):
    images = pictures(rng, (50, *shape), np.uint8)
    if on_disk:
        np.save(tmp_path / "images.npy", images)
        images = np.load(tmp_path / "images.npy", mmap_mode="r")
    channels = shape[0] if len(shape) > 1 else 1
    normalize = Normalize(tuple([0.1, 0.2, 0.3][:channels]), 0.3) if channels > 1 else Normalize(0.13, 0.31)
    found = []
    for choice in kernels.CHOICES:
        with kernels.using(choice):
            loader = Loader(Dataset(images, np.arange(50)), 16, rng=np.random.default_rng(1), normalize=normalize)
            found.append([batch[:2] for batch in loader])
    for ours, theirs in zip(*found, strict=True):
        assert same_bits(ours, theirs)
        assert type(ours[0]) is np.ndarray
