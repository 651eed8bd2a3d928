"""How well digits of every kind are read, by a small network that was trained in seconds.

The figures in docs/pictures.md are those of the careful recipe, from `scripts/measure_pictures.py`. Here a network that
gets 97 % of mini's own test digits must come close to that on pictures of them, and on others that code draws.
"""

import numpy as np
import pytest
from digit_pictures import FONTS, faces, on_paper, pages, photographed, strokes, typeset

import byhand as bh
from byhand.pictures import find_many, prepare, read_picture


@pytest.fixture(scope="module")
def model(digits_model):
    return bh.load(digits_model)


def accuracy(model, group):
    """The share of a group that is read right; what has no ink for the program is not."""
    images, digits = [], []
    for content, digit in group:
        digits.append(digit)
        try:
            images.append(prepare(read_picture(content)).image)
        except ValueError:
            images.append(np.zeros((28, 28), np.uint8))
            digits[-1] = -1
    return np.mean(model.predict(np.stack(images)[:, None]).argmax(axis=1) == digits)


def test_the_network_reads_mnist(model):
    test = bh.data.load("mini").test
    assert np.mean(model.predict(test.inputs).argmax(axis=1) == test.targets) > 0.955


def test_mnist_on_paper(model, rng):
    test = bh.data.load("mini").test
    assert accuracy(model, on_paper(test.inputs[::10, 0], test.targets[::10], rng)) > 0.93


def test_drawn_strokes(model, rng):
    assert accuracy(model, strokes(60, rng)) > 0.9


def test_photographs_of_thin_pens(model, rng):
    assert accuracy(model, photographed(10, rng)) >= 0.9


def test_handwriting_like_fonts(model, rng):
    """At least ten faces, of those that come in Debian's packages; .ci/run installs them where it can."""
    found = faces()
    if len(found) < 10:
        pytest.skip(f"only {len(found)} of these Debian packages' faces are installed: {', '.join(FONTS)}")
    assert accuracy(model, (item for face in found.values() for item in typeset(face, rng))) > 0.85


def test_pages_with_many_digits(model, rng):
    right = digits = 0
    for content, wanted in pages(10, rng):
        found = [digit.image for line in find_many(read_picture(content)) for digit in line]
        read = model.predict(np.stack(found)[:, None]).argmax(axis=1).tolist()
        digits += len(wanted)
        right += sum(a == b for a, b in zip(read, wanted, strict=True)) if len(read) == len(wanted) else 0
    assert right > 0.9 * digits
