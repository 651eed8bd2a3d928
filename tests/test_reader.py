"""A saved model reads a picture: a digit, many, or whatever it has learned; and says what it does not read."""

import numpy as np
import pytest
from digit_pictures import drawn, pages, placed

import byhand as bh
from byhand.files import SavedModel
from byhand.pictures import prepare, read_picture
from byhand.pictures.show import Row, in_columns, sheet
from byhand.reader import read, read_as_it_is, read_many, reads_digits

DIGITS = tuple("0123456789")


@pytest.fixture(scope="module")
def model(digits_model):
    return bh.load(digits_model)


def untrained(shape, classes, normalize=None):
    """A model that has learned nothing, of samples of this shape."""
    rng = np.random.default_rng(0)
    linear = bh.nn.Linear(int(np.prod(shape)), len(classes), rng)
    return SavedModel(bh.nn.Sequential(bh.nn.Flatten(), linear), shape, normalize, classes)


def test_a_digit_is_prepared_and_read(model, rng):
    picture = np.rint(255 - 200 * placed(drawn(3, 120, 9, rng), rng)).astype(np.uint8)
    reading = read(model, picture)
    assert reading.best == "3" and reading.classes == DIGITS
    np.testing.assert_array_equal(reading.image[0], prepare(picture).image)
    logits = model.predict(reading.image[None])
    np.testing.assert_allclose(reading.probabilities, bh.metrics.probabilities(logits)[0])
    assert reading.facts()["class"] == "3" and sum(reading.facts()["probabilities"].values()) == pytest.approx(1)


def test_a_saved_test_image_is_taken_as_it_is(model):
    image = bh.data.load("mini").test.inputs[7]
    reading = read(model, image[0])
    assert reading.digit is None
    np.testing.assert_array_equal(reading.image, image)
    np.testing.assert_array_equal(reading.probabilities, bh.metrics.probabilities(model.predict(image[None]))[0])
    assert read(model, 255 - image[0]).digit is not None


def test_many_digits_are_read_with_their_places(model, rng):
    content, wanted = next(pages(1, rng))
    page = read_many(model, read_picture(content))
    facts = page.facts()["digits"]
    assert "".join(fact["class"] for fact in facts) == "".join(map(str, wanted))
    for (digit, reading), fact in zip([pair for line in page.lines for pair in line], facts, strict=True):
        left, top, right, bottom = fact["box"]
        assert left < right and top < bottom and tuple(fact["box"]) == digit.box
        assert fact["probability"] == reading.probabilities.max()
    assert [fact["line"] for fact in facts] == sorted(fact["line"] for fact in facts)
    text = page.in_words().splitlines()
    assert text[0].replace(" / ", "") == "".join(map(str, wanted)) and len(text) == 1 + len(wanted)


def test_what_else_it_might_be_is_told_if_it_might():
    model = untrained((1, 28, 28), DIGITS)
    reading = read_as_it_is(model, np.zeros((28, 28), np.uint8))
    for p, words in (([0.0, 1.0], "1 (100.0 %)"), ([0.3, 0.7], "1 (70.0 %), perhaps 0 (30.0 %)"),
                     ([0.5, 0.3, 0.2, 0.0], "0 (50.0 %), perhaps 1 (30.0 %) or 2 (20.0 %)"),
                     ([0.005, 0.991, 0.004], "1 (99.1 %)")):
        assert reading._replace(classes=DIGITS[:len(p)], probabilities=np.array(p)).in_words() == words


COLOURS = ("red", "green", "blue")


def test_a_model_of_colours_gets_colours():
    model = untrained((3, 4, 6), COLOURS)
    picture = np.zeros((8, 12, 3), np.uint8)
    picture[..., 1] = 200
    reading = read(model, picture)
    assert reading.digit is None and reading.image.shape == (3, 4, 6)
    assert (reading.image.reshape(3, -1).T == [0, 200, 0]).all()
    assert (read(model, picture[..., 1]).image == 200).all()  # grey, as three colours


def test_a_model_of_grey_pictures_gets_grey():
    reading = read(untrained((1, 4, 4), COLOURS), np.full((9, 9, 3), (255, 0, 0), np.uint8))
    assert reading.image.shape == (1, 4, 4) and (reading.image == 76).all()


def test_a_picture_in_the_size_of_the_model_is_not_touched(rng):
    picture = rng.integers(0, 256, (4, 6, 3), np.uint8)
    np.testing.assert_array_equal(read(untrained((3, 4, 6), COLOURS), picture).image, picture.transpose(2, 0, 1))


MNIST = bh.data.Normalize(0.1307, 0.3081)


@pytest.mark.parametrize(("model", "expected"), [
    (untrained((1, 28, 28), DIGITS, MNIST), True),
    (untrained((1, 28, 28), DIGITS), True),
    (SavedModel(bh.nn.Flatten()), True),
    (untrained((1, 28, 28), ("0", "1"), MNIST), True),
    (untrained((1, 28, 28), ("coat", "shirt"), MNIST), False),
    (untrained((1, 28, 28), ("0", "01", ""), MNIST), False),
    (untrained((1, 32, 32), DIGITS, MNIST), False),
    (untrained((3, 28, 28), DIGITS, MNIST), False),
    (untrained((1, 28, 28), DIGITS, bh.data.Normalize(0.87, 0.3)), False),  # dark digits on light paper
    (untrained((1, 28, 28), DIGITS, bh.data.Normalize(33.3, 78.6, scale=1)), True),  # as other programs' ONNX has it
    (untrained((1, 28, 28), DIGITS, bh.data.Normalize(222, 78.6, scale=1)), False),
], ids=["mnist", "unscaled", "silent", "two", "clothes", "names", "size", "colour", "dark on light", "mnist in bytes",
        "dark on light in bytes"])
def test_which_models_get_prepared_digits(model, expected):
    assert reads_digits(model) is expected


def test_a_model_of_784_numbers_in_a_row_reads_digits_row_by_row():
    rows = SavedModel(bh.nn.Sequential(bh.nn.Linear(784, 10, np.random.default_rng(0))), (784,), MNIST, DIGITS)
    pictures = SavedModel(bh.nn.Sequential(bh.nn.Flatten(), *rows.model), (1, 28, 28), MNIST, DIGITS)
    image = bh.data.load("mini").test.inputs[7, 0]
    assert reads_digits(rows)
    np.testing.assert_array_equal(read(rows, image).probabilities, read(pictures, image).probabilities)


@pytest.mark.parametrize("shape", [(30,), (2, 28, 28), (28, 28)], ids=str)
@pytest.mark.parametrize("way", [read, read_as_it_is, read_many])
def test_a_model_of_something_else_says_so(way, shape):
    with pytest.raises(ValueError, match=r"this model reads samples of shape \(.*\), which are not pictures"):
        way(untrained(shape, DIGITS), np.zeros((28, 28), np.uint8))


def test_only_a_model_of_digits_finds_many():
    with pytest.raises(ValueError, match="only a model of digits as MNIST has them"):
        read_many(untrained((1, 28, 28), ("coat", "shirt"), MNIST), np.zeros((50, 50), np.uint8))


def test_a_picture_without_ink_is_named(model):
    for way in (read, read_many):
        with pytest.raises(ValueError, match=r"^no ink was found in here\.png\.$"):
            way(model, np.full((50, 50), 250, np.uint8), "here.png")


def test_the_steps_are_drawn(model, rng):
    content, wanted = next(pages(1, rng))
    picture = read_picture(content)
    for rows, panels in ((read(model, picture).rows("title"), [5]),
                         (read_as_it_is(model, picture).rows("title"), [2]),
                         (read_many(model, picture).rows("title"), [3, *[2] * len(wanted)])):
        assert [len(row.panels) for row in rows] == panels
        drawn_sheet = read_picture(sheet(rows))
        assert drawn_sheet.shape[2] == 3 and len(np.unique(drawn_sheet)) > 20
        assert drawn_sheet.shape[0] * drawn_sheet.shape[1] > 300 * 300 * sum(panels)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("size", [300, 640])
def test_a_sheet_of_many_rows_has_the_shape_of_a_screen(count, size):
    """And all that was on a long one, each row once and from the top down, in whole panels."""
    first = Row("a whole page", [("as read", np.full((5, 5), 9, np.uint8))], size=size)
    rows = [first, *[Row(f"{k} {'very long' * 30}", [("seen", np.full((5, 5), k, np.uint8))], ("a", "b"), (0.25, 0.75))
                     for k in range(10, 9 + count)]]
    columns = [in_columns(rows, n) for n in range(1, count + 1)]
    assert all([row for column in found for row in column] == rows for found in columns)
    drawn = read_picture(sheet(rows))
    height, width = drawn.shape[:2]
    assert count < 7 or 1.1 < width / height < 2.3
    grey = drawn[(drawn == drawn[..., :1]).all(axis=2)][:, 0]
    assert np.all(np.bincount(grey, minlength=256)[9:9 + count] >= 290 * 290), "no panel lies over another"
