"""Augmentation: known movements land where they should, and random ones stay within their limits."""

import time

import numpy as np
import pytest

from byhand.data import Affine, load, warp

DTYPES = [np.uint8, np.int16, np.float32, np.float64]


@pytest.fixture(scope="module")
def digits():
    return load("mini").train.inputs[:64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_to_do_changes_nothing(digits, dtype):
    images = digits.astype(dtype)
    out = Affine(0, 0, 0)(images, np.random.default_rng(0))
    assert out.dtype == dtype and not np.shares_memory(out, images)
    np.testing.assert_array_equal(out, images)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_shift_by_whole_pixels_is_exact(dtype):
    images = np.arange(2 * 3 * 5 * 4).reshape(2, 3, 5, 4).astype(dtype)
    out = warp(images, shifts=[(1, -2), (0, 3)])
    expected = np.zeros_like(images)
    expected[0, :, 1:, :-2] = images[0, :, :-1, 2:]
    expected[1, :, :, 3:] = images[1, :, :, :-3]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
@pytest.mark.parametrize("side", [28, 7])
def test_quarter_turns_are_exact(turns, side):
    images = np.random.default_rng(0).integers(0, 256, (2, 2, side, side), dtype=np.uint8)
    np.testing.assert_array_equal(warp(images, degrees=90 * turns), np.rot90(images, turns, axes=(2, 3)))


def test_half_a_pixel_is_the_average_of_two():
    images = np.array([10, 20, 40], np.uint8).reshape(1, 1, 1, 3)
    assert warp(images, shifts=(0, 0.5)).ravel().tolist() == [5, 15, 30]
    assert warp(images.astype(np.float64), shifts=(0, 0.25)).ravel().tolist() == [7.5, 17.5, 35]


def test_scaling_by_two_doubles_a_square():
    images = np.zeros((1, 1, 10, 10))
    images[..., 4:6, 4:6] = 1
    doubled = warp(images, scales=2)
    assert np.all(doubled[..., 4:6, 4:6] == 1) and doubled.sum() == pytest.approx(4 * images.sum())
    assert not doubled[..., :2, :].any() and not doubled[..., :, 8:].any()


def test_what_leaves_the_image_is_gone_and_background_comes_in():
    assert not warp(np.ones((1, 1, 4, 6)), shifts=(100, 0)).any()
    assert not warp(np.ones((1, 1, 4, 6)), shifts=(0, -1e6)).any()


def test_the_ink_stays_roughly_the_same(digits):
    moved = Affine()(digits, np.random.default_rng(0))
    assert moved.mean() == pytest.approx(digits.mean(), rel=0.03)
    assert np.mean(moved != digits) > 0.1  # and yet something happened


def test_the_same_seed_gives_the_same_images_and_each_image_its_own_movement(digits):
    same = np.repeat(digits[:1], 8, axis=0)
    one, again, other = (Affine()(same, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.any(one != other)
    assert len({image.tobytes() for image in one}) == 8


def test_random_shifts_reach_their_limit_and_not_beyond():
    image = np.zeros((500, 1, 15, 15))
    image[..., 7, 7] = 1
    moved = Affine(shift=3, degrees=0, scale=0)(image, np.random.default_rng(0))
    row = (moved.sum(axis=(1, 3)) * np.arange(15)).sum(axis=1) - 7  # where the point is now
    assert -3 <= row.min() < -2.9 and 2.9 < row.max() <= 3


def test_an_empty_batch_and_odd_shapes():
    rng = np.random.default_rng(0)
    for shape in ((0, 1, 28, 28), (2, 1, 1, 1), (3, 4, 5, 9)):
        assert Affine()(np.ones(shape, np.uint8), rng).shape == shape


def test_a_batch_of_digits_takes_a_few_milliseconds(digits):
    images, affine, rng = np.concatenate([digits, digits]), Affine(), np.random.default_rng(0)

    def seconds():
        start = time.perf_counter()
        affine(images, rng)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(10)) < 0.008


@pytest.mark.parametrize("amounts, says", [
    ({"shift": -1}, "shift of an Affine"),
    ({"degrees": float("inf")}, "degrees of an Affine"),
    ({"scale": float("nan")}, "scale of an Affine"),
    ({"scale": 1}, "scale of an Affine is under 1"),
])
def test_amounts_that_make_no_sense_are_refused(amounts, says):
    with pytest.raises(ValueError, match=says):
        Affine(**amounts)


def test_images_need_four_dimensions():
    with pytest.raises(ValueError, match=r"\(N, C, H, W\), not of shape \(5, 784\)"):
        Affine()(np.zeros((5, 784)), np.random.default_rng(0))
