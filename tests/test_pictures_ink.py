"""Ink is found on paper of any colour, in any light; and where there is none, none is found."""

import numpy as np
import pytest
from digit_pictures import drawn, photograph
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from byhand.pictures.ink import closing, dark_on_light, find_ink, otsu, running


def strokes(shape=(120, 100)):
    """A mask with a bar and an arch: ink, and a hole in it."""
    mask = np.zeros(shape, bool)
    mask[30:90, 40:48] = mask[30:38, 40:70] = mask[60:68, 40:70] = mask[30:68, 62:70] = True
    return mask


def coloured(pen, paper, mask=None):
    return np.where((strokes() if mask is None else mask)[..., None], np.uint8(pen), np.uint8(paper))


def found(picture):
    """What was found, as a mask."""
    ink = find_ink(picture)
    return np.isin(ink.parts.labels, ink.written + 1)


COLOURS = [((0, 0, 0), (255, 255, 255)), ((255, 255, 255), (0, 0, 0)), ((20, 40, 160), (240, 235, 220)),
           ((255, 240, 60), (255, 255, 255)), ((200, 60, 60), (60, 132, 60)), ((60, 132, 60), (200, 60, 60)),
           ((250, 250, 240), (20, 60, 40)), ((150, 150, 150), (190, 190, 190)), ((120, 120, 255), (120, 255, 120))]


@pytest.mark.parametrize(("pen", "paper"), COLOURS, ids=str)
def test_ink_of_any_colour_is_found_on_paper_of_any_other(pen, paper):
    np.testing.assert_array_equal(found(coloured(pen, paper)), strokes())


@pytest.mark.parametrize("scale", [1, 3, 20])
@pytest.mark.parametrize("pen", [0, 255])
def test_size_and_grey_make_no_difference(pen, scale):
    mask = np.repeat(np.repeat(strokes(), scale, 0), scale, 1)
    picture = np.where(mask, np.uint8(pen), np.uint8(255 - pen))
    ink = find_ink(picture)
    assert ink.grey.size <= 800_000 and ink.grey.dtype == np.float32
    assert len(ink.written) == 1
    left, top, right, bottom = ink.on_picture(*ink.parts.boxes[ink.written[0]])
    assert np.abs(np.array([left, top, right, bottom]) - np.array([40, 30, 70, 90]) * scale).max() <= scale


def test_uneven_light_is_evened_out():
    y, x = np.mgrid[:1:120j, :1:100j]
    light = (0.3 + 0.7 * x) * (1 - 0.3 * y)
    picture = np.rint(np.where(strokes(), 60, 250) * light).astype(np.uint8)
    assert picture[110, 2] < picture[34, 69] + 30  # paper here is hardly lighter than ink there
    np.testing.assert_array_equal(found(picture), strokes())


def test_a_hard_shadow_is_not_ink():
    picture = np.where(strokes(), np.uint8(40), np.uint8(230))
    picture[50:] //= 2
    assert (found(picture) == strokes()).mean() > 0.99


def test_ruled_lines_are_fainter_than_ink():
    picture = coloured((20, 20, 90), (250, 250, 250))
    picture[::10] = np.minimum(picture[::10], (150, 170, 220))
    np.testing.assert_array_equal(found(picture), strokes())


def test_a_sheet_on_a_desk_is_looked_at_alone(rng):
    sheet = np.pad(strokes(), 40)
    desk = rng.integers(50, 70, (500, 600, 3), np.uint8)
    desk[100:300, 150:330] = coloured((30, 30, 60), (240, 240, 230), sheet)
    ink = find_ink(desk)
    left, top, right, bottom = ink.place
    assert 150 < left < 180 and 100 < top < 130 and 300 < right < 330 and 270 < bottom < 300
    box = ink.on_picture(*ink.parts.boxes[ink.written[0]])
    assert np.abs(np.array(box) - [230, 170, 260, 230]).max() <= 2


def test_a_bar_is_no_sheet():
    picture = np.full((100, 60), 255, np.uint8)
    picture[10:90, 20:45] = 0
    assert find_ink(picture).place == (0, 0, 60, 100)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (3, 3), (1, 5000), (5000, 1), (40, 50), (4, 4, 3)], ids=str)
@pytest.mark.parametrize("value", [0, 128, 255])
def test_nothing_is_nothing(shape, value):
    with pytest.raises(ValueError, match=r"^no ink was found in here\.png\.$"):
        find_ink(np.full(shape, value, np.uint8), "here.png")


@pytest.mark.parametrize("width", [5, 12, 25, 60])
@pytest.mark.parametrize(("pen", "paper", "frame"), [(40, 230, 20), (220, 40, 235)], ids=["dark", "light"])
def test_a_frame_around_the_picture_is_no_ink(pen, paper, frame, width, rng):
    for digit in (2, 5, 8):
        stroke = np.pad(drawn(digit, 240, 14, rng), ((180, 150), (150, 200)))
        picture = np.pad(paper + (pen - paper) * stroke, width, constant_values=frame)
        ink = find_ink(np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8))
        boxes = ink.parts.boxes[ink.written]
        found = ink.on_picture(*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
        y, x = np.nonzero(stroke > 0.5)
        expected = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) + width
        assert np.abs(found - expected).max() <= 3


@pytest.mark.parametrize("pen", [30, 120], ids=["ink", "pencil"])
@pytest.mark.parametrize("edges", [((0, 0), (8, 0)), ((0, 9), (0, 0)), ((8, 0), (0, 12)), ((8, 8), (8, 8))], ids=str)
def test_the_dark_edges_of_a_scan_are_no_ink(edges, pen, rng):
    stroke = np.pad(drawn(5, 150, 10, rng), 30)
    picture = np.pad(230 - (230 - pen) * stroke + rng.normal(0, 3, stroke.shape), edges, constant_values=5)
    ink = find_ink(np.clip(picture, 0, 255).astype(np.uint8))
    boxes = ink.parts.boxes[ink.written]
    found = ink.on_picture(*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
    y, x = np.nonzero(stroke > 0.5)
    expected = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) + [edges[1][0], edges[0][0]] * 2
    assert np.abs(found - expected).max() <= 3


def test_a_bar_along_the_border_belongs_to_its_digit():
    mask = np.zeros((90, 60), bool)
    mask[:12] = mask[:, 30:42] = True  # a 7 that was cut out
    assert find_ink(np.where(mask, np.uint8(20), np.uint8(240))).parts.boxes.tolist() == [[0, 0, 90, 60]]


@pytest.mark.parametrize("side", [10, 12, 16, 20])
def test_tiny_pictures_have_ink_up_to_their_border(side, rng):
    for digit in range(10):
        ink = Image.fromarray(drawn(digit, 150, 10, rng)[5:-5, 5:-5]).resize((side, side), Image.Resampling.BOX)
        strength = find_ink(np.rint(255 - 255 * np.asarray(ink)).astype(np.uint8)).strength
        assert np.corrcoef(strength.ravel(), np.asarray(ink).ravel())[0, 1] > 0.7


def test_paper_in_uneven_light_is_hardly_ever_taken_for_ink():
    taken = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        try:
            find_ink(photograph(np.zeros(rng.integers(40, 400, 2), np.float32), rng))
        except ValueError:
            continue
        taken += 1
    assert taken <= 2


def test_noise_is_no_ink(rng):
    with pytest.raises(ValueError, match="no ink was found in the picture"):
        find_ink(rng.integers(0, 256, (300, 300), np.uint8))


@pytest.mark.parametrize("digit", range(10))
def test_either_way_round_the_strokes_are_dark(digit, rng):
    ink = np.pad(drawn(digit, 80, 9, rng), 8)
    for picture in (255 - 255 * ink, 255 * ink):
        grey = dark_on_light(np.rint(picture).astype(np.uint8))[0]
        assert grey[ink > 0.9].max() < 60 and grey[ink == 0].min() > 200


# --- the tools, against the slow way ----------------------------------------------------------------------------------


@given(st.integers(1, 20), st.integers(1, 25), st.integers(0, 2**32 - 1))
def test_running_extremes(length, window, seed):
    rows = np.random.default_rng(seed).integers(0, 99, (length, 2))
    size = min(window, length)
    expected = [rows[k:k + size].max(axis=0) for k in range(length - size + 1)]
    np.testing.assert_array_equal(running(np.maximum, rows, window), expected)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_a_closing_is_the_darkest_of_the_brightest(height, width, window, seed):
    grey = np.random.default_rng(seed).integers(0, 99, (height, width)).astype(np.float32)
    down, right = min(window, height), min(window, width)
    expected = np.full(grey.shape, np.inf)
    for top in range(height - down + 1):
        for left in range(width - right + 1):
            here = np.s_[top:top + down, left:left + right]
            expected[here] = np.minimum(expected[here], grey[here].max())
    np.testing.assert_array_equal(closing(grey, window), expected)


@given(st.lists(st.integers(0, 255), min_size=2, max_size=60).filter(lambda v: len(set(v)) > 1))
def test_otsu_parts_values_best(values):
    values = np.array(values, float)

    def apart(threshold):
        low, high = values[values < threshold], values[values >= threshold]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2 if len(low) and len(high) else 0.0

    best = max(apart(threshold) for threshold in np.unique(values))
    assert apart(otsu(values)) >= 0.98 * best  # the histogram has 256 steps
