"""Compiled kernels come in pairs with NumPy's, and each pair gives the same numbers.

Whatever `byhand.kernels.jit` exports is found here, and must have a twin in `reference` of the same name and signature
that a caller of `kernels` gets in its place where Numba is missing. To add a kernel, add its row to the table: the
arguments of a few calls. What is special about a kernel (odd sizes, memory, threads) is tested in a file of its own.
"""

import copy
import inspect

import numpy as np
import pytest

from byhand import kernels
from byhand.kernels import Window, reference

pytest.importorskip("numba")
jit = kernels.compiled()

ELSEWHERE = {  # compiled bodies of what stands in a higher room, which calls them itself, and whose tests test them
    "bent",  # ops/activation.py
    "step",  # optim/algorithms.py
}
TWINS = sorted(set(jit.__all__) - ELSEWHERE)
ONE = (1, 1)
POOL = Window((2, 2), (2, 2), (0, 0), ONE)
WINDOW = Window((3, 2), (2, 1), ONE, (1, 2))


def table(rng, dtype):
    """Kernel -> the arguments of its calls: a small one, and one that is worth sharing out among threads."""

    def normal(*shape):
        return rng.normal(size=shape).astype(dtype)

    def pictures(*shape):
        """With their channels last in memory."""
        return np.moveaxis(normal(*np.array(shape)[[0, 2, 3, 1]]), -1, 1)

    def slopes(x, window, filters=None):
        return pictures(len(x), filters or x.shape[1], *window.output_size(*x.shape[2:]))

    x, large = normal(2, 4, 7, 8), pictures(16, 8, 15, 14)
    filters, many = normal(6, 2, 3, 2), normal(10, 8, 3, 2)
    pooled, of_pool, of_window = reference.max_pool2d(large, POOL), slopes(large, POOL), slopes(large, WINDOW)
    rows, images = rng.integers(0, 50, 30), rng.integers(0, 256, (50, 3, 12, 12)).astype(np.uint8)
    features, wide = normal(5, 3), normal(200, 120)
    labels = np.eye(120, dtype=dtype)[rng.integers(0, 120, 200)]
    return {
        "avg_pool2d": [(x, WINDOW), (large, POOL)],
        "avg_pool2d_gradient": [(slopes(x, WINDOW), x.shape, WINDOW), (of_pool, large.shape, POOL)],
        "batch_norm": [(features, normal(3), normal(3), 1e-3), (large, normal(8), normal(8), 1e-5)],
        "batch_norm_gradients": [(normal(5, 3), features, normal(3)), (pictures(*large.shape), large, normal(8))],
        "channel_sum": [(features,), (wide,), (x,), (large,)],
        "conv2d": [(x, filters, normal(6), WINDOW, 2), (large, many, None, WINDOW, 1),
                   (large, many, normal(10), WINDOW, 1)],
        "conv2d_input_gradient": [(slopes(x, WINDOW, 6), filters, x.shape, WINDOW, 2),
                                  (slopes(large, WINDOW, 10), many, large.shape, WINDOW, 1)],
        "conv2d_weight_gradient": [(slopes(x, WINDOW, 6), x, filters.shape, WINDOW, 2),
                                   (slopes(large, WINDOW, 10), large, many.shape, WINDOW, 1)],
        "dropout_mask": [(x, 0.3, np.random.default_rng(1)), (wide, 0.5, np.random.default_rng(2))],
        "erf": [(features,), (wide,)],
        "gathered": [(images, rows, normal(3), normal(3)), (images, slice(10, 40), normal(3), normal(3))],
        "layer_norm": [(features, normal(3), normal(3), 1e-3), (wide, normal(120), normal(120), 1e-5),
                       (x, normal(4, 7, 8), normal(4, 7, 8), 1e-5)],
        "layer_norm_gradient": [(normal(5, 3), features, normal(5, 1), 1), (normal(200, 120), wide, normal(200, 1), 1),
                                (normal(*x.shape), x, normal(2, 1, 1, 1), 3)],
        "max_pool2d": [(x, WINDOW), (large, WINDOW), (large, POOL)],
        "max_pool2d_gradient": [(of_window, reference.max_pool2d(large, WINDOW)[1], large.shape, WINDOW),
                                (of_pool, pooled[1], large.shape, POOL)],
        "softmax_cross_entropy": [(features, np.abs(normal(5, 3))), (wide, labels)],
    }


def agree(found, expected, dtype):
    """The same shapes, precisions and numbers, up to the rounding of sums."""
    if isinstance(expected, tuple | list):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            agree(a, b, dtype)
    elif isinstance(expected, np.ndarray):
        assert found.shape == expected.shape and found.dtype == expected.dtype
        eps = 3e-5 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(found, expected, rtol=eps, atol=eps * max(1.0, float(np.abs(expected).max())))
    elif isinstance(expected, np.random.Generator):
        assert found.bit_generator.state == expected.bit_generator.state
    else:
        assert found == expected


def test_every_compiled_kernel_has_a_row(rng):
    assert set(TWINS) <= set(table(rng, np.float32)) <= set(reference.__all__)


@pytest.mark.parametrize("name", TWINS)
def test_twins_have_the_same_signature_and_say_what_they_do(name):
    compiled, readable = getattr(jit, name), getattr(reference, name)
    assert inspect.isfunction(compiled)
    assert inspect.signature(compiled) == inspect.signature(readable)
    assert inspect.getdoc(compiled)


@pytest.mark.parametrize("name", TWINS)
def test_whoever_calls_a_kernel_gets_the_one_in_use(name, monkeypatch):
    kernel = getattr(kernels, name)
    assert name in kernels.__all__ and inspect.unwrap(kernel) is getattr(reference, name)
    monkeypatch.setattr(jit, name, lambda *_: "the compiled one")
    with kernels.using("jit"):
        assert kernel("x") == "the compiled one"
    with kernels.using("numpy"), pytest.raises((TypeError, AttributeError)):  # text is nothing that NumPy's could use
        kernel("x")


@pytest.mark.parametrize("name", sorted(set(reference.__all__) - {"Window"}))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twins_give_the_same_numbers(name, dtype, rng):
    for arguments in table(rng, dtype)[name]:
        ours, theirs = copy.deepcopy(arguments), copy.deepcopy(arguments)
        with kernels.using("jit"):
            found = getattr(kernels, name)(*ours)
        expected = getattr(reference, name)(*theirs)
        agree(found, expected, dtype)
        agree(ours, theirs, dtype)  # and did the same to what they were given, mostly nothing
