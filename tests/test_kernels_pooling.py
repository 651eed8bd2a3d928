"""Compiled pooling is NumPy's pooling: any window, any memory, any part of a batch, any number of threads."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from kernel_arrays import Guarded, arranged, dtypes, layouts, same_bits, seeds, surrounded, threads

import byhand as bh
from byhand import kernels, ops
from byhand.kernels import Window, reference

pytest.importorskip("numba")
jit = kernels.compiled()
pooling = pytest.importorskip("byhand.kernels.jit.pooling")

ONE = (1, 1)
QUARTERS = Window((2, 2), (2, 2), (0, 0), ONE)
OVERLAPPING = Window((3, 2), (2, 1), ONE, ONE)


def close(dtype):
    """What rounding may do to sums of a few numbers of about 1."""
    return {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}


def pictures(rng, shape, dtype):
    """Small whole numbers, so that there are many equals, and now and then what is not finite."""
    x = rng.integers(-2, 3, shape).astype(dtype)
    for strange in (np.nan, -np.inf, np.inf):
        x[rng.random(shape) < 0.03] = strange
    return x


@st.composite
def windows(draw):
    """A window, and the size of a picture in which it has a place."""
    pair = lambda low, high: (draw(st.integers(low, high)), draw(st.integers(low, high)))
    size = pair(1, 4)
    padding = (draw(st.integers(0, size[0] // 2)), draw(st.integers(0, size[1] // 2)))
    window = Window(size, pair(1, 3), padding, pair(1, 2))
    height, width = pair(1, 9)
    assume(min(window.output_size(height, width)) > 0)
    return window, height, width


batches = st.sampled_from([1, 2, 3])
channels = st.sampled_from([1, 2, 6, 17, 33])


# --- the same numbers -------------------------------------------------------------------------------------------------


@given(windows(), batches, channels, dtypes, layouts, layouts, seeds)
def test_max_pooling_and_its_gradient(place, n, c, dtype, layout, layout_of_slopes, seed):
    window, height, width = place
    rng = np.random.default_rng(seed)
    x = arranged(pictures(rng, (n, c, height, width), dtype), layout)
    y, winner = jit.max_pool2d(x, window)
    expected, expected_winner = reference.max_pool2d(x, window)
    assert y.dtype == dtype and winner.dtype == expected_winner.dtype
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(winner, expected_winner)
    g = arranged(rng.normal(size=y.shape).astype(dtype), layout_of_slopes)
    dx = jit.max_pool2d_gradient(g, winner, x.shape, window)
    assert dx.dtype == dtype
    np.testing.assert_allclose(dx, reference.max_pool2d_gradient(g, winner, x.shape, window), **close(dtype))


@given(windows(), batches, channels, dtypes, layouts, layouts, seeds)
def test_average_pooling_and_its_gradient(place, n, c, dtype, layout, layout_of_slopes, seed):
    window, height, width = place
    rng = np.random.default_rng(seed)
    x = arranged(rng.normal(size=(n, c, height, width)).astype(dtype), layout)
    y = jit.avg_pool2d(x, window)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, reference.avg_pool2d(x, window), **close(dtype))
    g = arranged(rng.normal(size=y.shape).astype(dtype), layout_of_slopes)
    dx = jit.avg_pool2d_gradient(g, x.shape, window)
    assert dx.dtype == dtype
    np.testing.assert_allclose(dx, reference.avg_pool2d_gradient(g, x.shape, window), **close(dtype))


@pytest.mark.parametrize("window", [QUARTERS, OVERLAPPING])
@pytest.mark.parametrize("shape", [(1, 17, 7, 9), (257, 1, 4, 5), (257, 17, 2, 3), (2, 6, 24, 24)])
def test_batches_and_pictures_of_odd_sizes(shape, window, rng):
    x = pictures(rng, shape, np.float32)
    for found, expected in zip(jit.max_pool2d(x, window), reference.max_pool2d(x, window), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(jit.avg_pool2d(np.nan_to_num(x, posinf=9, neginf=-9), window),
                                  reference.avg_pool2d(np.nan_to_num(x, posinf=9, neginf=-9), window))


def test_not_a_number_beats_all_and_padding_never_wins():
    x = np.array([[-1.0, np.nan], [-3.0, 5.0]], np.float32).reshape(1, 1, 2, 2)
    y, winner = jit.max_pool2d(x, QUARTERS)
    assert np.isnan(y).all() and winner.tolist() == [[[[0]]]]  # nothing is above NaN, or below
    y, winner = jit.max_pool2d(x, Window((2, 2), (2, 2), ONE, ONE))
    np.testing.assert_array_equal(y[0, 0], x[0, 0])
    assert winner.reshape(-1).tolist() == [3, 0, 1, 0]


# --- what the compiled loops do not do --------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "window"), [
    (np.arange(900.0).reshape(1, 1, 30, 30), Window((16, 16), ONE, (0, 0), ONE)),  # its taps do not fit in bytes
    (np.arange(1200.0).reshape(1, 1, 30, 40), Window((17, 20), ONE, (0, 0), ONE)),
    (np.arange(16, dtype=np.float16).reshape(1, 1, 4, 4), QUARTERS),
    (np.ones((0, 2, 4, 4), np.float32), QUARTERS),
    (np.ones((2, 0, 4, 4), np.float32), QUARTERS),
])
def test_the_rest_is_left_to_numpy(x, window):
    y, winner = jit.max_pool2d(x, window)
    expected = reference.max_pool2d(x, window)
    assert same_bits((y, winner), expected)
    assert same_bits(jit.max_pool2d_gradient(y, winner, x.shape, window),
                     reference.max_pool2d_gradient(y, winner, x.shape, window))
    assert jit.avg_pool2d(x, window).dtype == x.dtype
    np.testing.assert_allclose(jit.avg_pool2d(x, window), reference.avg_pool2d(x, window), rtol=1e-12)
    np.testing.assert_allclose(jit.avg_pool2d_gradient(y, x.shape, window),
                               reference.avg_pool2d_gradient(y, x.shape, window), rtol=1e-12)


def test_shapes_that_do_not_belong_together_are_errors_and_not_crashes():
    g, winner = np.ones((2, 3, 4, 4), np.float32), np.zeros((2, 4, 4, 3), np.uint8)
    for winners, shape in [(winner, (2, 3, 40, 40)), (winner[:, :3], (2, 3, 8, 8)), (winner, (1, 3, 8, 8))]:
        with pytest.raises(ValueError, match="broadcast"):
            jit.max_pool2d_gradient(g, winners, shape, QUARTERS)
    with pytest.raises(ValueError, match="broadcast"):
        jit.avg_pool2d_gradient(g, (2, 3, 40, 40), QUARTERS)


def test_winners_that_no_window_has_win_nothing():
    dx = jit.max_pool2d_gradient(np.ones((1, 1, 2, 2), np.float32), np.full((1, 2, 2, 1), 255, np.uint8), (1, 1, 4, 4),
                                 QUARTERS)
    assert not dx.any()


# --- the loops: their own samples, and nothing else -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("window", [QUARTERS, OVERLAPPING, Window((2, 3), (1, 2), (0, 1), (2, 1))])
@pytest.mark.parametrize(("c", "height", "width"), [(1, 3, 3), (6, 5, 4), (17, 4, 5), (24, 6, 6)])
@pytest.mark.parametrize(("first", "last"), [(0, 3), (1, 2), (2, 3), (1, 1)])
def test_loops_write_their_own_samples_only(first, last, c, height, width, window, dtype, rng):
    shape = (3, c, height, width)
    row = pooling.geometry(shape, window)
    x = rng.normal(size=(3, height, width, c)).astype(dtype)
    channels_first = x.transpose(0, 3, 1, 2)
    y, winner = reference.max_pool2d(channels_first, window)
    here, there = x[0].size, winner[0].size

    largest, which, mean = Guarded(3 * there, dtype), Guarded(3 * there, np.uint8), Guarded(3 * there, dtype)
    pooling.max_pool_forward(first, last, surrounded(x), largest.inside, which.inside, *row)
    pooling.avg_pool_forward(first, last, surrounded(x), mean.inside, *row)
    flat = lambda a: a.transpose(0, 2, 3, 1)[first:last].reshape(-1)
    np.testing.assert_array_equal(largest.written(first * there, last * there), flat(y))
    np.testing.assert_array_equal(which.written(first * there, last * there), winner[first:last].reshape(-1))
    np.testing.assert_allclose(mean.written(first * there, last * there),
                               flat(reference.avg_pool2d(channels_first, window)), **close(dtype))

    g = rng.normal(size=winner.shape).astype(dtype)
    slopes, shares = Guarded(3 * here, dtype), Guarded(3 * here, dtype)
    pooling.max_pool_backward(first, last, surrounded(g), winner.reshape(-1), slopes.inside, *row)
    pooling.avg_pool_backward(first, last, surrounded(g), shares.inside, *row)
    g = g.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(slopes.written(first * here, last * here),
                               flat(reference.max_pool2d_gradient(g, winner, shape, window)), **close(dtype))
    np.testing.assert_allclose(shares.written(first * here, last * here),
                               flat(reference.avg_pool2d_gradient(g, shape, window)), **close(dtype))


# --- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [QUARTERS, OVERLAPPING])
def test_any_number_of_threads_gives_the_same_bits(window, rng):
    x = rng.normal(size=(37, 6, 13, 12)).astype(np.float32)

    def everything():
        y, winner = jit.max_pool2d(x, window)
        mean = jit.avg_pool2d(x, window)
        return (y, winner, mean, jit.max_pool2d_gradient(y, winner, x.shape, window),
                jit.avg_pool2d_gradient(mean, x.shape, window))

    results = []
    for n in (1, 2, 2, 5):
        with threads(n):
            results.append(everything())
    assert all(same_bits(results[0], other) for other in results[1:])


# --- the operations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"stride": 1}, {"stride": (2, 1), "padding": 1}])
@pytest.mark.parametrize("f", [ops.max_pool2d, ops.avg_pool2d])
def test_gradients(f, options, rng):
    with kernels.using("jit"):
        bh.check_grad(lambda x: f(x, (2, 3), **options), rng.normal(size=(2, 3, 5, 6)))
        bh.check_grad(lambda x: f(x, 2), rng.normal(size=(3, 2, 4, 5)))
