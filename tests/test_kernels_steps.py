"""Compiled kernels at both ends of a step: fetching a batch, and moving the parameters.

Each equals what NumPy does to the last bit, and touches nothing but its own elements.
"""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_arrays import (
    Guarded, arranged, dtypes, layouts, numbers, part_of, same_bits, seeds, sizes, surrounded, threads
)

import byhand as bh
from byhand import kernels, optim
from byhand.data import Dataset, Loader, Normalize
from byhand.kernels import reference

pytest.importorskip("numba")
jit = kernels.compiled()
gathering = pytest.importorskip("byhand.kernels.jit.gather")
updating = pytest.importorskip("byhand.kernels.jit.update")

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
