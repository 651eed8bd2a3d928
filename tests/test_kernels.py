"""The kernels, plain arrays in and out: what the operations' tests do not see. (Convolution and pooling are held
against slow loops there.)"""

import inspect
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from byhand import kernels
from byhand.kernels import reference
from byhand.kernels.reference.convolution import BLOCK, channels_last

ONE = (1, 1)


# --- the room ---------------------------------------------------------------------------------------------------------


def test_every_kernel_has_a_name_a_sentence_and_types():
    for name in reference.__all__:
        kernel = getattr(kernels, name)
        assert name in kernels.__all__ and inspect.getdoc(kernel), name
        if name != "Window":
            signature = inspect.signature(kernel)
            parameters = signature.parameters.values()
            assert signature.return_annotation is not inspect.Signature.empty, name
            assert all(p.annotation is not p.empty and p.default is p.empty for p in parameters), name


@pytest.mark.parametrize(("window", "picture", "places", "smallest"), [
    (kernels.Window((5, 5), ONE, (0, 0), ONE), (28, 28), (24, 24), (5, 5)),
    (kernels.Window((2, 2), (2, 2), (0, 0), ONE), (7, 8), (3, 4), (2, 2)),
    (kernels.Window((3, 3), ONE, ONE, ONE), (7, 8), (7, 8), (1, 1)),
    (kernels.Window((3, 2), (2, 1), (0, 1), (2, 3)), (9, 6), (3, 5), (5, 2)),
    (kernels.Window((1, 1), ONE, (5, 5), ONE), (1, 1), (11, 11), (1, 1)),
])
def test_where_a_window_fits(window, picture, places, smallest):
    assert window.output_size(*picture) == places
    assert window.smallest_picture() == smallest
    taps = list(window.taps(*picture))
    assert [number for number, _, _ in taps] == list(range(window.size[0] * window.size[1]))
    padded = np.zeros([n + 2 * p for n, p in zip(picture, window.padding, strict=True)])
    assert all(padded[rows, columns].shape == places for _, rows, columns in taps)


# --- convolution ------------------------------------------------------------------------------------------------------


def test_a_batch_is_done_a_block_at_a_time_and_no_picture_knows_its_neighbours(rng):
    window = kernels.Window((5, 5), ONE, (2, 2), ONE)
    x, w = rng.normal(size=(9, 8, 20, 20)), rng.normal(size=(4, 8, 5, 5))
    assert 1 < BLOCK // (20 * 20 * 200) < len(x)  # several blocks of several pictures, and a rest
    g = rng.normal(size=(9, 4, 20, 20))
    alone = [kernels.conv2d(x[i:i + 1], w, None, window, 1) for i in range(9)]
    np.testing.assert_allclose(kernels.conv2d(x, w, None, window, 1), np.concatenate(alone), rtol=1e-12, atol=1e-12)
    alone = [kernels.conv2d_input_gradient(g[i:i + 1], w, (1, *x.shape[1:]), window, 1) for i in range(9)]
    np.testing.assert_allclose(kernels.conv2d_input_gradient(g, w, x.shape, window, 1), np.concatenate(alone),
                               rtol=1e-12, atol=1e-12)
    alone = [kernels.conv2d_weight_gradient(g[i:i + 1], x[i:i + 1], w.shape, window, 1) for i in range(9)]
    np.testing.assert_allclose(kernels.conv2d_weight_gradient(g, x, w.shape, window, 1), np.sum(alone, axis=0),
                               rtol=1e-10, atol=1e-10)


def test_pictures_stay_channels_last_from_layer_to_layer(rng):
    window = kernels.Window((3, 3), ONE, ONE, ONE)
    y = kernels.conv2d(rng.normal(size=(2, 3, 6, 6)), rng.normal(size=(4, 3, 3, 3)), None, window, 1)
    pooled, _ = kernels.max_pool2d(y, kernels.Window((2, 2), (2, 2), (0, 0), ONE))
    for pictures in (y, pooled):
        assert np.shares_memory(channels_last(pictures), pictures)  # no copy is needed


def test_no_pictures_is_not_a_mistake():
    window = kernels.Window((3, 3), ONE, (0, 0), ONE)
    x, w = np.ones((0, 2, 5, 5)), np.ones((4, 2, 3, 3))
    y = kernels.conv2d(x, w, np.ones(4), window, 1)
    assert y.shape == (0, 4, 3, 3)
    assert kernels.conv2d_input_gradient(y, w, x.shape, window, 1).shape == x.shape
    assert not kernels.conv2d_weight_gradient(y, x, w.shape, window, 1).any()


def test_the_same_bits_every_time(rng):
    window = kernels.Window((3, 3), ONE, (0, 0), ONE)
    x, w = rng.normal(size=(8, 3, 12, 12)).astype(np.float32), rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    first, second = (kernels.conv2d(x, w, None, window, 1) for _ in range(2))
    assert first.tobytes() == second.tobytes()


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_erf_is_that_of_the_standard_library():
    x = np.concatenate([np.linspace(-7, 7, 2801), [0.0, -0.0, 1e-300, 1e4, -1e4, math.inf, -math.inf]])
    expected = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(kernels.erf(x), expected, rtol=1e-14, atol=0)
    single = kernels.erf(x.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, [math.erf(v) for v in x.astype(np.float32)], rtol=1e-6)
    assert math.isnan(kernels.erf(np.array(math.nan)))
    assert np.signbit(kernels.erf(np.array(-0.0)))


@pytest.mark.parametrize("shape", [(300, 4), (300, 4, 16, 16)])
def test_sums_and_statistics_in_single_precision(shape, rng):
    x = rng.normal(100, 1, shape).astype(np.float32)  # a mean far from 0, where a careless variance drowns
    axes = tuple(i for i in range(len(shape)) if i != 1)
    double = x.astype(np.float64)
    np.testing.assert_allclose(kernels.channel_sum(x), double.sum(axis=axes), rtol=1e-5)
    _, normalized, mean, var, scale = kernels.batch_norm(x, np.ones(4, np.float32), np.zeros(4, np.float32), 1e-5)
    np.testing.assert_allclose(mean, double.mean(axis=axes), rtol=1e-5)
    np.testing.assert_allclose(var, double.var(axis=axes), rtol=1e-3)
    np.testing.assert_allclose(scale, 1 / np.sqrt(var + 1e-5), rtol=1e-5)
    assert abs(normalized.mean()) < 1e-2


def test_softmax_cross_entropy_and_its_gradient(rng):
    logits = rng.normal(size=(5, 4))
    targets = rng.uniform(size=(5, 4)) * 3  # rows need not sum to 1: class weights use that
    value, gradient = kernels.softmax_cross_entropy(logits, targets)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(value, -(targets * log_p).sum(axis=1))
    np.testing.assert_allclose(gradient, np.exp(log_p) * targets.sum(axis=1, keepdims=True) - targets, atol=1e-12)
    before = logits.copy(), targets.copy()
    kernels.softmax_cross_entropy(logits, targets)
    np.testing.assert_array_equal([logits, targets], before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_masks_are_drawn_from_the_generator(dtype):
    x = np.zeros((100, 100), dtype)
    masks = [kernels.dropout_mask(x, 0.25, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert masks[0].dtype == dtype and set(np.unique(masks[0])) == {0, dtype(1) / dtype(0.75)}
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()


# --- threads ----------------------------------------------------------------------------------------------------------


BLAS = any(pool["user_api"] == "blas" for pool in threadpool_info())  # macOS has one that takes no orders


@pytest.fixture
def threads_as_they_were():
    before = kernels.get_num_threads()
    yield
    kernels.set_num_threads(before)


@pytest.mark.usefixtures("threads_as_they_were")
def test_one_number_for_all_the_threads(rng):
    a = rng.normal(size=(64, 64))
    expected = a @ a
    for n in (1, 2, 1):
        kernels.set_num_threads(np.int64(n))
        assert kernels.get_num_threads() == (n if BLAS else 1)
        np.testing.assert_allclose(a @ a, expected)


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", True, None])
def test_a_number_of_threads_is_a_whole_number(n):
    with pytest.raises(ValueError, match="must be a whole number of at least 1, got"):
        kernels.set_num_threads(n)


@pytest.mark.parametrize(("value", "answer"), [("1", "1"), (" 2 ", "2" if BLAS else "1")])
def test_the_environment_may_say_it(value, answer):
    assert run_with_threads(value).stdout.strip() == answer
    assert run_with_threads("").returncode == 0


@pytest.mark.parametrize("value", ["many", "0", "1.5"])
def test_the_environment_may_say_nonsense(value):
    done = run_with_threads(value)
    assert done.returncode == 1
    assert f"BYHAND_NUM_THREADS must be a whole number of at least 1, got '{value}'." in done.stderr


@pytest.mark.parametrize(("folders", "told"), [
    (["numpy.libs", "scipy.libs"], "openblas 0.1 zen"), (["scipy.libs", "numpy/.dylibs"], "openblas 0.2 zen"),
    (["lib"], "openblas 0.1 zen"), (["scipy.libs", "lib"], "openblas 0.1 zen, openblas 0.2 zen"), ([], ""),
])
def test_the_blas_that_is_named_is_numpys(folders, told, monkeypatch):
    pools = [{"user_api": "blas", "internal_api": "openblas", "version": f"0.{i}", "architecture": "zen",
              "filepath": f"/numpy/site-packages/{folder}/libopenblas.so"} for i, folder in enumerate(folders, 1)]
    monkeypatch.setattr("byhand.kernels.threads.threadpool_info", lambda: [*pools, {"user_api": "openmp"}])
    assert kernels.blas() == told


def run_with_threads(value):
    """A fresh interpreter with this setting, which tells how many threads it uses."""
    return subprocess.run([sys.executable, "-c", "import byhand; print(byhand.get_num_threads())"], check=False,
                          capture_output=True, text=True, env={**os.environ, "BYHAND_NUM_THREADS": value})
