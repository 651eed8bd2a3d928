"""First weights: of the promised spread, from the generator that is passed in, and in any shape a layer has."""

import math

import numpy as np
import pytest

from byhand.nn import init

SHAPES = [(300, 200), (60, 20, 5, 5)]


def fans(shape):
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


VARIANCES = {  # of (fan_in, fan_out)
    init.he_normal: lambda i, o: 2 / i,
    init.he_uniform: lambda i, o: 2 / i,
    init.glorot_normal: lambda i, o: 2 / (i + o),
    init.glorot_uniform: lambda i, o: 2 / (i + o),
    init.lecun_normal: lambda i, o: 1 / i,
    init.lecun_uniform: lambda i, o: 1 / i,
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("initializer", VARIANCES, ids=lambda f: f.__name__)
def test_variance(initializer, shape, rng):
    weight = initializer(shape, rng)
    assert weight.shape == shape
    variance = VARIANCES[initializer](*fans(shape))
    # of n numbers, the measured variance strays by √(2/n) of itself, the mean by √(variance/n): allow five times that
    assert abs(weight.var() / variance - 1) < 5 * math.sqrt(2 / weight.size)
    assert abs(weight.mean()) < 5 * math.sqrt(variance / weight.size)
    if initializer.__name__.endswith("uniform"):
        assert np.abs(weight).max() <= math.sqrt(3 * variance)
    else:
        assert np.abs(weight).max() > 3 * math.sqrt(variance)  # a bell curve has tails


@pytest.mark.parametrize("shape", [(8, 8), (4, 10), (10, 4), (6, 2, 3, 3), (20, 1, 3, 3)], ids=str)
def test_orthogonal(shape, rng):
    weight = init.orthogonal(shape, rng)
    assert weight.shape == shape
    matrix = weight.reshape(shape[0], -1)
    few = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    np.testing.assert_allclose(few @ few.T, np.eye(len(few)), atol=1e-12)


def test_every_orthogonal_matrix_is_equally_likely(rng):
    drawn = np.array([init.orthogonal((2, 2), rng) for _ in range(2000)])
    # without the signs of R it would lean to one side
    assert np.abs(drawn.mean(axis=0)).max() < 5 * math.sqrt(0.5 / 2000)
    assert abs((np.linalg.det(drawn) > 0).mean() - 0.5) < 5 * 0.5 / math.sqrt(2000)


def test_constants_and_simple_draws(rng):
    np.testing.assert_array_equal(init.zeros((3,), rng), [0, 0, 0])
    np.testing.assert_array_equal(init.ones((2, 2), rng), np.ones((2, 2)))
    between = init.uniform(-0.5, 0.1)((100, 100), rng)
    assert -0.5 <= between.min() < -0.49 and 0.09 < between.max() <= 0.1
    bell = init.normal(std=0.2, mean=3)((100, 100), rng)
    assert abs(bell.mean() - 3) < 0.01 and abs(bell.std() - 0.2) < 0.01
    assert init.normal()((5,), rng).shape == (5,)


def test_unallocated_weights_take_no_memory(rng):
    huge = init.unallocated((10**6, 10**6), rng)
    assert huge.shape == (10**6, 10**6) and huge.strides == (0, 0) and not huge.flags.writeable


DRAWN = [*VARIANCES, init.orthogonal, init.uniform(-1, 1), init.normal()]


@pytest.mark.parametrize("initializer", DRAWN, ids=lambda f: f.__qualname__)
def test_the_seed_decides(initializer):
    draws = [initializer((4, 3), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


@pytest.mark.parametrize("shape", [(), (5,)], ids=str)
@pytest.mark.parametrize("initializer", [*VARIANCES, init.orthogonal], ids=lambda f: f.__name__)
def test_a_bias_has_no_fan_in(initializer, shape, rng):
    with pytest.raises(ValueError, match=r"needs a weight of shape \(out, in, ...\), got .*; use zeros, normal or"):
        initializer(shape, rng)
