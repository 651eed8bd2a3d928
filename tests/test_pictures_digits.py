"""A digit is prepared as MNIST was: 20 pixels long, its centre of mass in the middle, whatever the picture was like."""

import numpy as np
import pytest
from digit_pictures import drawn, pages, placed
from PIL import Image

import byhand as bh
from byhand.pictures import find_many, is_mnist, prepare, read_picture
from byhand.pictures.digits import as_mnist, centre_of_mass, grown, thickness, tight, together


def picture_of(digit, rng, height=150, pen=12):
    """A digit in black on white, with room around it."""
    return np.rint(255 - 255 * placed(drawn(digit, height, pen, rng), rng)).astype(np.uint8)


def assert_as_mnist(image):
    assert image.shape == (28, 28) and image.dtype == np.uint8
    assert max(tight(image, 0).shape) == 20
    assert max(abs(place - 14) for place in centre_of_mass(image)) <= 0.75
    assert is_mnist(image)


def apart(a, b):
    """The mean difference of two images, one of which may lie a pixel beside the other: a centre of mass between two
    pixels goes to one of them."""
    return min(np.abs(np.roll(a, (down, right), (0, 1)) - b).mean() for down in (-1, 0, 1) for right in (-1, 0, 1))


@pytest.mark.parametrize("digit", range(10))
def test_it_has_the_geometry_of_mnist(digit, rng):
    for height, pen in ((20, 2), (60, 3), (150, 20), (700, 7)):
        assert_as_mnist(prepare(picture_of(digit, rng, height, pen)).image)


def test_mnist_itself_has_this_geometry():
    images = bh.data.load("mini").test.inputs[:, 0]
    assert all(is_mnist(image) for image in images)
    places = np.array([centre_of_mass(image) for image in images])
    assert np.abs(places - 14).max() <= 0.51


def test_what_was_prepared_by_its_makers_comes_out_nearly_the_same():
    images = bh.data.load("mini").test.inputs[:300, 0]
    differences = [np.abs(prepare(image).image.astype(int) - image).mean() for image in images]
    assert np.mean(differences) < 6  # of 255; a shift by one pixel makes more than 15
    assert np.mean([np.abs(np.roll(image.astype(int), 1, 1) - image).mean() for image in images]) > 15


@pytest.mark.parametrize("digit", range(10))
def test_dark_on_light_and_light_on_dark_are_the_same(digit, rng):
    picture = picture_of(digit, rng)
    dark, light = (prepare(p).image.astype(int) for p in (picture, 255 - picture))
    assert apart(dark, light) < 1


@pytest.mark.parametrize("digit", range(10))
def test_size_place_and_colour_are_left_behind(digit, rng):
    picture = picture_of(digit, rng, 200, 16)
    expected = prepare(picture).image.astype(int)
    size = (picture.shape[1] * 3, picture.shape[0] * 3)
    larger = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    shifted = np.pad(picture, ((90, 5), (3, 140)), constant_values=255)
    red = np.stack([np.full_like(picture, 255), picture, picture], axis=-1)
    for other in (larger, shifted, red):
        assert apart(prepare(other).image.astype(int), expected) < 12  # a side may be a pixel longer


@pytest.mark.parametrize("pen", [1, 2, 5, 15])
@pytest.mark.parametrize("height", [60, 300, 800])
def test_thin_strokes_do_not_vanish(pen, height, rng):
    for digit in range(10):
        image = prepare(picture_of(digit, rng, height, pen)).image
        assert thickness(image / 255) > 0.9 and np.sort(image.ravel())[-20] > 140


def test_specks_frames_and_the_rest_of_the_paper_are_left_out(rng):
    picture = picture_of(5, rng)
    expected = prepare(picture)
    spoiled = picture.copy()
    spoiled[1:3, 1:3] = spoiled[-4:-2, 7:9] = 0
    spoiled = np.pad(np.pad(spoiled, 8, constant_values=255), 3)
    assert np.abs(prepare(spoiled).image.astype(int) - expected.image).max() <= 2


def test_a_five_keeps_the_bar_that_does_not_touch_it():
    picture = np.full((100, 80), 255, np.uint8)
    picture[10:16, 30:64] = picture[22:50, 20:26] = picture[50:56, 20:54] = picture[56:84, 50:56] = 0
    picture[84:90, 20:56] = 0
    digit = prepare(picture)
    assert len(digit.ink.written) == 2 and digit.box == (20, 10, 64, 90)
    assert digit.image[4:7].max() > 200
    (line,) = find_many(picture)
    assert len(line) == 1
    np.testing.assert_array_equal(line[0].image, digit.image)


def test_the_steps_can_be_looked_at(rng):
    picture = picture_of(3, rng, 100, 10)
    digit = prepare(picture)
    assert digit.picture is picture and digit.ink.grey.shape == picture.shape
    left, top, right, bottom = digit.box
    dark = np.argwhere(picture < 128)
    assert np.abs([*dark.min(axis=0), *dark.max(axis=0) + 1] - np.array([top, left, bottom, right])).max() <= 1
    assert digit.cropped.min() >= 0 and digit.cropped.max() == 1


@pytest.mark.parametrize("picture", [np.zeros((28, 28), np.uint8), np.full((28, 28), 255, np.uint8),
                                     np.zeros((28, 28, 3), np.uint8), np.eye(28, dtype=np.uint8) * 255,
                                     np.zeros((20, 20), np.uint8)], ids=str)
def test_what_is_not_as_mnist_is_not_taken_for_it(picture):
    assert not is_mnist(picture)


def test_negatives_and_shifted_digits_are_not_as_mnist():
    image = bh.data.load("mini").test.inputs[0, 0]
    assert is_mnist(image) and not is_mnist(255 - image) and not is_mnist(np.roll(image, 2, 0))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 300), (300, 2), (40, 30)], ids=str)
def test_any_crop_becomes_a_picture(shape):
    for strength in (0.01, 0.2, 1.0):
        image = as_mnist(np.full(shape, strength, np.float32))
        assert image.shape == (28, 28) and image.max() == 255


def test_growing_is_by_a_disk():
    ink = np.zeros((11, 11))
    ink[5, 5] = 0.7
    y, x = np.mgrid[-5:6, -5:6]
    for radius in range(5):
        np.testing.assert_array_equal(grown(ink, radius), np.where(y * y + x * x <= radius * radius, 0.7, 0))


# --- many on one picture ----------------------------------------------------------------------------------------------


def test_the_digits_of_a_page_come_in_reading_order(rng):
    right = digits = 0
    for content, wanted in pages(12, rng):
        lines = find_many(read_picture(content))
        digits += len(wanted)
        right += len(wanted) if sum(map(len, lines)) == len(wanted) else 0
        for line in lines:
            lefts = [digit.box[0] for digit in line]
            assert lefts == sorted(lefts)
            for digit in line:
                assert_as_mnist(digit.image)
        tops = [np.mean([digit.box[1] for digit in line]) for line in lines]
        assert tops == sorted(tops)
    assert right >= 0.95 * digits


def test_commas_and_dashes_are_no_digits(rng):
    one = np.zeros((60, 30))
    one[5:55, 12:18] = 1
    page = np.hstack([one, np.zeros_like(one), one])
    page[50:58, 40:45] = page[28:32, 48:58] = 1
    (line,) = find_many(np.rint(255 - 255 * page).astype(np.uint8))
    assert [digit.box[0] for digit in line] == [12, 72]


@pytest.mark.parametrize(("boxes", "expected"), [
    ([(0, 0, 50, 20), (0, 30, 50, 50)], [[0], [1]]),                     # side by side
    ([(0, 5, 4, 30), (8, 0, 50, 20)], [[0, 1]]),                         # a bar above a 5
    ([(0, 0, 50, 20), (54, 0, 104, 20)], [[0], [1]]),                    # two lines, close to each other
    ([(0, 0, 50, 20), (40, 18, 50, 40)], [[0], [1]]),                    # hardly one above the other
    ([(0, 0, 4, 20), (7, 0, 40, 20), (43, 0, 47, 20)], [[0, 1, 2]]),     # three parts, the outer ones far apart
], ids=["beside", "bar", "lines", "corner", "three"])
def test_what_belongs_together(boxes, expected):
    assert sorted(group.tolist() for group in together(np.array(boxes))) == expected
