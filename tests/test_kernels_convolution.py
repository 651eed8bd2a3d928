"""Compiled convolution is NumPy's convolution: any window, any memory, any number of threads.

Most of these pictures and filters hold small whole numbers. Sums of them are exact in any order, so results can be
compared to the last bit.
"""

import numpy as np
import pytest
from convolutions import DTYPES, UGLY, cases, made, normal, spoiled
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_arrays import arranged, dtypes, layouts, same_bits, seeds, threads

pytest.importorskip("numba")

import byhand as bh
from byhand import kernels, ops
from byhand.kernels import reference

jit = kernels.compiled()


def three(room, x, weight, bias, g, window, groups):
    """Convolution and its two gradients, as this room of kernels has them."""
    return (room.conv2d(x, weight, bias, window, groups),
            room.conv2d_weight_gradient(g, x, weight.shape, window, groups),
            room.conv2d_input_gradient(g, weight, x.shape, window, groups))


def agree(arrays, window, groups, **close):
    """That both rooms make the same of these arrays, exactly or as close as that."""
    for found, expected in zip(three(jit, *arrays, window, groups), three(reference, *arrays, window, groups),
                               strict=True):
        assert found.dtype == expected.dtype
        if close:
            np.testing.assert_allclose(found, expected, **close)
        else:
            np.testing.assert_array_equal(found, expected)


# --- the same numbers -------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(cases(), st.sampled_from([1, 2, 3]), st.booleans(), dtypes, layouts, layouts, layouts, seeds)
def test_convolution_and_its_gradients(which, n, biased, dtype, of_x, of_weight, of_g, seed):
    x, weight, bias, g = made(np.random.default_rng(seed), dtype, which, n)
    agree((arranged(x, of_x), arranged(weight, of_weight), arranged(bias, of_weight) if biased else None,
           arranged(g, of_g)), *which[2:])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("name", UGLY)
def test_ugly_shapes(name, n, dtype, rng):
    agree(made(rng, dtype, UGLY[name], n), *UGLY[name][2:])


@pytest.mark.parametrize("name", ["one channel", "17 channels", "one pixel", "depthwise", "groups",
                                  "padding larger than the kernel"])
def test_a_batch_of_257(name, rng):
    with threads(2):
        agree(made(rng, np.float32, UGLY[name], 257), *UGLY[name][2:])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UGLY)
def test_fractions(name, dtype, rng):
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    agree(made(rng, dtype, UGLY[name], 3, normal), *UGLY[name][2:], **close)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # what NumPy says to inf - inf
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UGLY)
def test_what_is_not_finite_comes_out_where_it_does_in_numpy(name, dtype, rng):
    x, weight, bias, g = made(rng, dtype, UGLY[name], 3)
    window, groups = UGLY[name][2:]
    for arrays in [(spoiled(rng, x), weight, bias, g), (x, weight, bias, spoiled(rng, g)),
                   (x, weight, spoiled(rng, bias), g), (spoiled(rng, x), weight, bias, spoiled(rng, g))]:
        agree(arrays, window, groups)
    strange = spoiled(rng, weight)
    found, expected = (three(room, x, strange, bias, g, window, groups) for room in (jit, reference))
    np.testing.assert_array_equal(found[0], expected[0])
    # Compiled, a weight also meets the zeros around the slopes; they make NaN of it if it is not finite.
    assert (np.isnan(found[2]) | (found[2] == expected[2])).all()
    assert np.isnan(found[2][np.isnan(expected[2])]).all()


# --- what the compiled loops do not do --------------------------------------------------------------------------------


@pytest.mark.parametrize(("of_x", "of_weight"), [
    (np.float16, np.float16), (np.int64, np.int64), (np.float32, np.float64), (np.float64, np.float32),
    (np.int32, np.float32), (">f4", ">f4")])
def test_other_numbers_are_left_to_numpy(of_x, of_weight, rng):
    x, weight, bias, _ = made(rng, of_x, UGLY["groups"])
    window, groups = UGLY["groups"][2:]
    weight = weight.astype(of_weight)
    y = reference.conv2d(x, weight, bias, window, groups)
    found, expected = (three(room, x, weight, bias, y, window, groups) for room in (jit, reference))
    assert same_bits(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("biased", [True, False])
def test_of_no_pictures_comes_nothing(biased, dtype, rng):
    x, weight, bias, g = made(rng, dtype, UGLY["groups"], 0)
    y, of_weight, of_input = three(jit, x, weight, bias if biased else None, g, *UGLY["groups"][2:])
    assert (y.shape, of_input.shape) == (g.shape, x.shape) and y.dtype == of_input.dtype == dtype
    assert same_bits(of_weight, np.zeros_like(weight))


@pytest.mark.parametrize("choice", ["numpy", "jit"])
@pytest.mark.parametrize(("channels", "filters"), [(0, 3), (3, 0), (0, 0)])
def test_no_channels_or_filters_are_an_error(channels, filters, choice):
    with kernels.using(choice), pytest.raises(ValueError, match="does not fit pictures"):
        ops.conv2d(np.ones((2, channels, 4, 4)), np.ones((filters, channels, 2, 2)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["one channel", "17 channels", "depthwise"])
def test_arrays_may_be_read_only_and_begin_anywhere(name, dtype, rng):
    def odd(values):
        there = np.zeros(values.nbytes + 1, np.uint8)[1:].view(dtype).reshape(values.shape)
        there[...] = values
        return there

    arrays = made(rng, dtype, UGLY[name])
    agree(tuple(map(odd, arrays)), *UGLY[name][2:])
    for values in arrays:
        values.flags.writeable = False
    agree(arrays, *UGLY[name][2:])


@pytest.mark.parametrize("size", [0, 2, 5, 7])
def test_a_bias_of_another_size_is_an_error_and_not_a_crash(size, rng):
    x, weight, _, _ = made(rng, np.float32, UGLY["a kernel larger than the stride"])
    window, groups = UGLY["a kernel larger than the stride"][2:]
    for room in (reference, jit):
        with pytest.raises(ValueError, match="broadcast"):
            room.conv2d(x, weight, np.ones(size, np.float32), window, groups)
    with pytest.raises(ValueError, match=r"needs a bias of shape \(6,\)"):
        ops.conv2d(x, weight, np.ones(size, np.float32), stride=window.stride)


# --- threads ----------------------------------------------------------------------------------------------------------

SHARED = ["17 channels", "a kernel larger than the stride", "depthwise", "wide groups", "the digits' first layer"]


@pytest.mark.parametrize("name", SHARED)
def test_threads_change_no_bit_of_what_belongs_to_a_sample(name, rng):
    arrays = made(rng, np.float32, UGLY[name], 70, normal)
    results = {}
    for n in (1, 2, 5):
        with threads(n):
            first, again = (three(jit, *arrays, *UGLY[name][2:]) for _ in range(2))
        assert same_bits(first, again)
        results[n] = first
    for n in (2, 5):
        y, of_weight, of_input = results[n]
        assert same_bits((y, of_input), (results[1][0], results[1][2]))
        np.testing.assert_allclose(of_weight, results[1][1], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", SHARED)
def test_no_picture_knows_its_neighbours(name, rng):
    x, weight, bias, g = made(rng, np.float32, UGLY[name], 7, normal)
    window, groups = UGLY[name][2:]
    y, _, of_input = three(jit, x, weight, bias, g, window, groups)
    for n in (0, 4, 6):
        alone = three(jit, x[n:n + 1], weight, bias, g[n:n + 1], window, groups)
        assert same_bits((alone[0], alone[2]), (y[n:n + 1], of_input[n:n + 1]))


# --- the operation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {}, {"stride": 2}, {"padding": 2}, {"dilation": (2, 1)}, {"groups": 2}, {"groups": 4},
    {"stride": (2, 1), "padding": (0, 3), "dilation": (1, 2), "groups": 2}])
def test_gradients(options, rng):
    x, bias = rng.normal(size=(3, 4, 7, 6)), rng.normal(size=8)
    weight = rng.normal(size=(8, 4 // options.get("groups", 1), 3, 2))
    with kernels.using("jit"):
        bh.check_grad(lambda x, weight, bias: ops.conv2d(x, weight, bias, **options), x, weight, bias)
        bh.check_grad(lambda x, weight: ops.conv2d(x, weight, **options), x[:1, :, :5, :4], weight)
