"""Compiled batch norm and layer norm are NumPy's: in any memory, for any part of a batch, by any number of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_arrays import Guarded, arranged, dtypes, layouts, same_bits, seeds, surrounded, threads

import byhand as bh
from byhand import kernels, ops
from byhand.kernels import reference

pytest.importorskip("numba")
jit = kernels.compiled()
loops = pytest.importorskip("byhand.kernels.jit.normalization")
rows = pytest.importorskip("byhand.kernels.jit.layer_normalization")

sizes = st.sampled_from([1, 2, 3, 7])
shapes = st.one_of(st.tuples(st.sampled_from([2, 5, 257]), st.sampled_from([1, 2, 17, 300])),
                   st.tuples(st.sampled_from([1, 2, 5]), st.sampled_from([1, 6, 17, 33]), sizes, sizes))


def close(dtype, size=1.0):
    """What rounding may do to numbers of this size."""
    eps = 3e-4 if dtype == np.float32 else 1e-10
    return {"rtol": eps, "atol": eps * size}


def agree(found, expected, dtype, size=1.0):
    """Each array is of the shape and precision that NumPy's body gives, and has the same numbers."""
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, **close(dtype, size))


# --- the same numbers -------------------------------------------------------------------------------------------------


@given(shapes, dtypes, layouts, layouts, st.sampled_from([0.0, 3.0]), seeds)
def test_batch_norm_and_its_gradients(shape, dtype, layout, layout_of_slopes, offset, seed):
    rng = np.random.default_rng(seed)
    x = arranged(rng.normal(offset, 1, shape).astype(dtype), layout)
    weight, bias = (arranged(rng.normal(size=shape[1]).astype(dtype), layout) for _ in range(2))
    found = jit.batch_norm(x, weight, bias, 1e-3)
    agree(found, reference.batch_norm(x, weight, bias, 1e-3), dtype)
    g = arranged(rng.normal(size=shape).astype(dtype), layout_of_slopes)
    _, normalized, _, _, scale = found
    size = float(np.sqrt(x.size)) + float(np.abs(scale).max())
    agree(jit.batch_norm_gradients(g, normalized, scale), reference.batch_norm_gradients(g, normalized, scale), dtype,
          size)


@given(shapes, dtypes, layouts, seeds)
def test_channel_sum(shape, dtype, layout, seed):
    x = arranged(np.random.default_rng(seed).normal(size=shape).astype(dtype), layout)
    agree([jit.channel_sum(x)], [reference.channel_sum(x)], dtype, float(np.sqrt(x.size)))


@given(st.lists(st.sampled_from([1, 2, 5]), max_size=2),
       st.lists(st.sampled_from([1, 3, 8, 70]), min_size=1, max_size=3), dtypes, layouts, layouts,
       st.sampled_from([0.0, 3.0]), seeds)
def test_layer_norm_and_its_gradient(leading, last, dtype, layout, layout_of_slopes, offset, seed):
    rng = np.random.default_rng(seed)
    shape = (*leading, *last)
    x = arranged(rng.normal(offset, 1, shape).astype(dtype), layout)
    weight, bias = (arranged(rng.normal(size=last).astype(dtype), layout) for _ in range(2))
    found = jit.layer_norm(x, weight, bias, 1e-3)
    agree(found, reference.layer_norm(x, weight, bias, 1e-3), dtype, 10)
    g = arranged(rng.normal(size=shape).astype(dtype), layout_of_slopes)
    _, normalized, inverse = found
    agree([jit.layer_norm_gradient(g, normalized, inverse, len(last))],
          [reference.layer_norm_gradient(g, normalized, inverse, len(last))], dtype, float(inverse.max()))


@pytest.mark.parametrize("shape", [(257, 17, 3, 3), (300, 5), (64, 1, 28, 28), (3, 700), (1, 3, 40, 40)])
@pytest.mark.parametrize(("first", "accuracy"), [(999, 1e-5), (0, 2e-4)])
@pytest.mark.parametrize("n", [1, 2])
def test_a_mean_far_from_0_does_not_drown_the_variance(shape, first, accuracy, n, rng):
    x = rng.normal(1000, 1, shape).astype(np.float32)
    x[(0, slice(None)) + (0,) * (len(shape) - 2)] = first  # of each channel, and perhaps far from all others
    axes = tuple(axis for axis in range(len(shape)) if axis != 1)
    double = x.astype(np.float64)
    with threads(n):
        y, normalized, mean, var, scale = jit.batch_norm(x, *np.ones((2, shape[1]), np.float32), 1e-5)
    np.testing.assert_allclose(mean, double.mean(axes), rtol=1e-6)
    np.testing.assert_allclose(var, double.var(axes), rtol=accuracy)
    np.testing.assert_allclose(scale, 1 / np.sqrt(double.var(axes) + 1e-5), rtol=accuracy)
    expected = reference.batch_norm(double, *np.ones((2, shape[1])), 1e-5)
    np.testing.assert_allclose(normalized, expected[1], rtol=1e-3, atol=5e-3)  # seven digits, of which x has used four
    np.testing.assert_allclose(y, normalized + 1, rtol=1e-6)


def test_not_a_number_spoils_its_own_channel_or_sample_only(rng):
    x = rng.normal(size=(5, 4, 3, 3)).astype(np.float32)
    x[2, 1, 0, 0] = np.nan
    y, normalized, *channels = jit.batch_norm(x, *np.ones((2, 4), np.float32), 1e-5)
    for of_channel in channels:
        np.testing.assert_array_equal(np.isnan(of_channel), [False, True, False, False])
    np.testing.assert_array_equal(np.isnan(y).all(axis=(0, 2, 3)), [False, True, False, False])
    np.testing.assert_array_equal(np.isnan(normalized).any(axis=(0, 2, 3)), [False, True, False, False])
    np.testing.assert_array_equal(np.isnan(jit.channel_sum(x)), [False, True, False, False])
    y, normalized, inverse = jit.layer_norm(x, *np.ones((2, 4, 3, 3), np.float32), 1e-5)
    for result in (y, normalized, inverse):
        np.testing.assert_array_equal(np.isnan(result).any(axis=(1, 2, 3)), [False, False, True, False, False])


@pytest.mark.parametrize("x", [np.ones((0, 3)), np.ones((0, 2, 4, 4), np.float32), np.arange(12).reshape(4, 3)])
def test_sums_of_nothing_and_of_whole_numbers_are_left_to_numpy(x):
    assert same_bits(jit.channel_sum(x), reference.channel_sum(x))


@pytest.mark.parametrize(("of_x", "of_weight"), [(np.float16, np.float16), (np.float32, np.float64)])
def test_other_and_mixed_precisions_are_left_to_numpy(of_x, of_weight, rng):
    x, weight = rng.normal(size=(6, 3)).astype(of_x), rng.normal(size=3).astype(of_weight)
    for name in ("batch_norm", "layer_norm"):
        assert same_bits(getattr(jit, name)(x, weight, weight, 1e-3), getattr(reference, name)(x, weight, weight, 1e-3))
    g, normalized, inverse = rng.normal(size=x.shape).astype(of_weight), x, np.ones((6, 1), of_x)
    assert same_bits(jit.batch_norm_gradients(g, normalized, weight),
                     reference.batch_norm_gradients(g, normalized, weight))
    assert same_bits(jit.layer_norm_gradient(g, normalized, inverse, 1),
                     reference.layer_norm_gradient(g, normalized, inverse, 1))


def test_shapes_that_do_not_belong_together_are_errors_and_not_crashes(rng):
    x, five = rng.normal(size=(6, 3)), rng.normal(size=5)
    for f in (jit.batch_norm, jit.layer_norm):
        with pytest.raises(ValueError, match="broadcast"):
            f(x, five, five, 1e-5)
    with pytest.raises(ValueError, match="broadcast"):
        jit.batch_norm_gradients(x, x[:4], np.ones(3))
    with pytest.raises(ValueError, match="broadcast"):
        jit.layer_norm_gradient(x, x[:4], np.ones((6, 1)), 1)


# --- the loops: their own samples, and nothing else -------------------------------------------------------------------

parts_of_a_batch = pytest.mark.parametrize(("first", "last"), [(0, 4), (1, 3), (3, 4), (2, 2)])
some_channels = pytest.mark.parametrize(("c", "m"), [(1, 1), (1, 300), (6, 25), (17, 64), (24, 16), (300, 1),
                                                    (300, 40)])
both_precisions = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@both_precisions
@some_channels
@parts_of_a_batch
def test_moments_and_their_merging(first, last, c, m, dtype, rng):
    x = rng.normal(5, 1, (4, m, c)).astype(dtype)
    part = Guarded(1 + 2 * c, np.float64)
    loops.batch_moments(first, last, part.inside, surrounded(x), c, m)
    count, mean, distance = np.split(part.written(0, 1 + 2 * c), [1, 1 + c])
    samples = x[first:last].reshape(-1, c).astype(np.float64)
    assert count == len(samples)
    if len(samples):
        np.testing.assert_allclose(mean, samples.mean(0), rtol=1e-6)
        np.testing.assert_allclose(distance, samples.var(0) * len(samples), rtol=1e-5, atol=1e-9)

    parts = np.full((3, 4 + 2 * c), np.nan)  # rows may be longer than a part, and a thread may have nothing to do
    for thread, (start, stop) in enumerate([(0, first), (first, last), (last, 4)]):
        loops.batch_moments(start, stop, parts[thread], surrounded(x), c, m)
    mean, var = Guarded(c, np.float64), Guarded(c, np.float64)
    loops.merge_moments(parts, 3, mean.inside, var.inside, c)
    whole = x.reshape(-1, c).astype(np.float64)
    np.testing.assert_allclose(mean.written(0, c), whole.mean(0), rtol=1e-6)
    np.testing.assert_allclose(var.written(0, c), whole.var(0), rtol=1e-5, atol=1e-9)


@both_precisions
@some_channels
@parts_of_a_batch
@pytest.mark.parametrize("relu", [0, 1])
def test_applying_a_batch_norm(relu, first, last, c, m, dtype, rng):
    x = rng.normal(size=(4, m, c)).astype(dtype)
    x[-1, 0, 0] = np.nan
    scale, shift = rng.normal(size=(2, c)).astype(dtype)
    y, here = Guarded(x.size, dtype), m * c
    loops.batch_norm_apply(first, last, surrounded(x), y.inside, scale, shift, c, m, relu)
    expected = x * scale + shift
    expected = np.maximum(expected, 0) if relu else expected
    written = y.written(first * here, last * here)
    np.testing.assert_allclose(written, expected[first:last].reshape(-1), rtol=1e-5, atol=1e-5)
    in_place = surrounded(x)
    loops.batch_norm_apply(first, last, in_place, in_place, scale, shift, c, m, relu)
    np.testing.assert_array_equal(in_place, np.concatenate([x.reshape(-1)[:first * here], written,
                                                            x.reshape(-1)[last * here:]]))


@both_precisions
@some_channels
@parts_of_a_batch
def test_the_values_of_a_batch_norm(first, last, c, m, dtype, rng):
    x = rng.normal(size=(4, m, c)).astype(dtype)
    mean, inverse, weight, bias = rng.normal(size=(4, c))
    normalized, y, here = Guarded(x.size, dtype), Guarded(x.size, dtype), m * c
    loops.batch_norm_values(first, last, surrounded(x), normalized.inside, y.inside, mean, inverse, weight, bias, c, m)
    expected = ((x - mean) * inverse)[first:last]
    np.testing.assert_allclose(normalized.written(first * here, last * here), expected.reshape(-1), **close(dtype))
    np.testing.assert_allclose(y.written(first * here, last * here), (expected * weight + bias).reshape(-1),
                               **close(dtype))


@both_precisions
@some_channels
@parts_of_a_batch
@pytest.mark.parametrize("relu", [0, 1])
def test_the_slopes_of_a_batch_norm(relu, first, last, c, m, dtype, rng):
    x, g, y = rng.normal(size=(3, 4, m, c)).astype(dtype)
    mean, inverse, scale, mean_g, mean_gx = rng.normal(size=(5, c))
    outputs = surrounded(y) if relu else np.full(1, np.nan, dtype)  # without ReLU nobody looks at them
    through, normalized = np.where(y > 0, g, 0) if relu else g, (x - mean) * inverse

    part, here = Guarded(2 * c, np.float64), m * c
    part.inside[:] = 1  # what is there is added to
    loops.batch_norm_slope_sums(first, last, part.inside, surrounded(g), surrounded(x), mean, inverse, outputs, relu, c,
                                m)
    sums = np.concatenate([through[first:last].sum((0, 1)), (through * normalized)[first:last].sum((0, 1))])
    np.testing.assert_allclose(part.written(0, 2 * c), 1 + sums, **close(dtype, float(np.sqrt(m))))

    dx = Guarded(x.size, dtype)
    loops.batch_norm_backward(first, last, surrounded(g), surrounded(x), outputs, relu, dx.inside, mean, inverse, scale,
                              mean_g, mean_gx, c, m)
    written = dx.written(first * here, last * here)
    expected = scale * (through - mean_g - normalized * mean_gx)
    np.testing.assert_allclose(written, expected[first:last].reshape(-1), **close(dtype, 10))
    in_place = surrounded(g)
    loops.batch_norm_backward(first, last, in_place, surrounded(x), outputs, relu, in_place, mean, inverse, scale,
                              mean_g, mean_gx, c, m)
    np.testing.assert_array_equal(in_place, np.concatenate([g.reshape(-1)[:first * here], written,
                                                            g.reshape(-1)[last * here:]]))


@both_precisions
@some_channels
@parts_of_a_batch
def test_the_sums_of_channels(first, last, c, m, dtype, rng):
    x = rng.normal(size=(4, m, c)).astype(dtype)
    part = Guarded(c, np.float64)
    part.inside[:] = 1
    loops.channel_sums(first, last, part.inside, surrounded(x), c, m)
    np.testing.assert_allclose(part.written(0, c), 1 + x[first:last].sum((0, 1), dtype=np.float64),
                               **close(dtype, float(np.sqrt(m))))


@both_precisions
@parts_of_a_batch
@pytest.mark.parametrize("d", [1, 10, 64, 65, 300])
def test_the_rows_of_a_layer_norm(d, first, last, dtype, rng):
    x, g = rng.normal(size=(2, 4, d)).astype(dtype)
    weight, bias = rng.normal(size=(2, d)).astype(dtype)
    normalized, y, inverse = Guarded(x.size, dtype), Guarded(x.size, dtype), Guarded(4, dtype)
    rows.layer_norm_values(first, last, surrounded(x), normalized.inside, y.inside, inverse.inside, surrounded(weight),
                           surrounded(bias), d, 1e-3)
    expected = reference.layer_norm(x, weight, bias, 1e-3)
    for found, all_rows, size in zip((y, normalized, inverse), expected, (d, d, 1), strict=True):
        np.testing.assert_allclose(found.written(first * size, last * size), all_rows[first:last].reshape(-1),
                                   **close(dtype, 10))
    dx = Guarded(x.size, dtype)
    rows.layer_norm_slopes(first, last, surrounded(g), surrounded(expected[1]), surrounded(expected[2]), dx.inside, d)
    np.testing.assert_allclose(dx.written(first * d, last * d),
                               reference.layer_norm_gradient(g, *expected[1:], 1)[first:last].reshape(-1),
                               **close(dtype, 30))


# --- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(37, 6, 12, 12), (257, 130)])
def test_threads_change_nothing_but_the_rounding_of_sums_over_samples(shape, rng):
    x, g = rng.normal(3, 1, (2, *shape)).astype(np.float32)
    weight, bias = rng.normal(size=(2, shape[1])).astype(np.float32)
    of_samples = rng.normal(size=(2, *shape[1:])).astype(np.float32)

    def across_samples():
        y, normalized, mean, var, scale = jit.batch_norm(x, weight, bias, 1e-5)
        return y, normalized, mean, var, scale, *jit.batch_norm_gradients(g, normalized, scale), jit.channel_sum(x)

    def within_samples():
        y, normalized, inverse = jit.layer_norm(x, *of_samples, 1e-5)
        return y, normalized, inverse, jit.layer_norm_gradient(g, normalized, inverse, len(shape) - 1)

    results = []
    for n in (1, 2, 2, 5):
        with threads(n):
            results.append((across_samples(), within_samples()))
    one, two, two_again, five = results
    assert same_bits(two, two_again)
    assert same_bits(one[1], two[1]) and same_bits(one[1], five[1])
    for several in (two, five):
        for a, b in zip(one[0], several[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


# --- the operations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 3), (4, 2, 3, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_batch_norm(training, shape, rng):
    def f(x, weight, bias):
        c = x.shape[1]
        return ops.batch_norm(x, weight, bias, running_mean=np.linspace(-1, 1, c), running_var=np.linspace(1, 2, c),
                              training=training)

    with kernels.using("jit"):
        bh.check_grad(f, rng.normal(size=shape), rng.normal(size=shape[1]), rng.normal(size=shape[1]))


@pytest.mark.parametrize("last", [(4,), (3, 2, 4)])
def test_gradients_of_layer_norm(last, rng):
    with kernels.using("jit"):
        bh.check_grad(ops.layer_norm, rng.normal(size=(5, *last)), rng.normal(size=last), rng.normal(size=last))
