"""A saved model reads a picture: of a digit, of many, or of whatever else it has learned.

A network reads only pictures such as it learned from. One that learned from MNIST gets every picture prepared as MNIST
was; any other gets it in the size and colours that it knows, and nothing more.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from byhand.files import SavedModel
from byhand.assess import check_one_of
from byhand.metrics import probabilities
from byhand.pictures import Digit, find_many, is_mnist, prepare
from byhand.pictures.digits import groups
from byhand.pictures.show import Row, as_read, found, steps, with_boxes

Array = np.ndarray[Any, Any]
MNIST_SHAPE = (1, 28, 28)


class Reading(NamedTuple):
    """What a model made of a picture, or of a digit on it."""

    picture: Array
    """As it was read, uint8 (H, W) or (H, W, 3)."""
    digit: Digit | None
    """How it was prepared; None if it was not."""
    image: Array
    """What the model saw, uint8 (C, H, W)."""
    classes: tuple[str, ...]
    probabilities: Array
    """(number of classes,), float64."""

    @property
    def best(self) -> str:
        """The most probable class."""
        return self.classes[int(self.probabilities.argmax())]

    def digits(self) -> int:
        """How many digits there seem to be on the picture."""
        return len(groups(self.digit.ink)) if self.digit else 1

    def facts(self) -> dict[str, Any]:
        """As plain Python, for JSON."""
        return {"class": self.best, "probability": float(self.probabilities.max()),
                "probabilities": dict(zip(self.classes, self.probabilities.tolist(), strict=True))}

    def in_words(self) -> str:
        """The class, how sure the model is, and what else it might be."""
        order = np.argsort(-self.probabilities, kind="stable")[:3]
        first, *others = [f"{self.classes[k]} ({100 * self.probabilities[k]:.1f} %)" for k in order
                          if k == order[0] or self.probabilities[k] >= 0.01]
        return f"{first}{', perhaps ' * bool(others)}{' or '.join(others)}"

    def rows(self, title: str) -> list[Row]:
        """The way from the picture to the answer, for `byhand.pictures.show.sheet`."""
        seen = np.moveaxis(self.image, 0, -1).squeeze()
        panels = steps(self.digit) if self.digit else [
            as_read(self.picture), (f"{seen.shape[1]} x {seen.shape[0]}, as the model reads it", seen)]
        return [Row(title, panels, self.classes, self.probabilities.tolist())]


class Page(NamedTuple):
    """What a model made of the digits on a picture, at least one: its lines, each from left to right."""

    lines: list[list[tuple[Digit, Reading]]]

    def digits(self) -> int:
        """How many digits there are on the picture."""
        return sum(map(len, self.lines))

    def facts(self) -> dict[str, Any]:
        """As plain Python, for JSON: each digit with its line, counted from 1, and its box on the picture: left, top,
        right, bottom, in pixels, the last two just outside."""
        return {"digits": [{**reading.facts(), "line": number, "box": list(digit.box)}
                           for number, line in enumerate(self.lines, 1) for digit, reading in line]}

    def in_words(self) -> str:
        """The lines, then where each digit is and how sure the model is."""
        told = [" / ".join("".join(reading.best for _, reading in line) for line in self.lines)]
        for line in self.lines:
            for digit, reading in line:
                left, top, right, bottom = digit.box
                told.append(f"  columns {left} to {right}, rows {top} to {bottom}: {reading.in_words()}")
        return "\n".join(told)

    def rows(self, title: str) -> list[Row]:
        """The whole picture, then each digit, for `byhand.pictures.show.sheet`."""
        digits = [digit for line in self.lines for digit in line]
        first = digits[0][0]
        boxes = with_boxes(first.picture, [digit.box for digit, _ in digits], [reading.best for _, reading in digits])
        rows = [Row(title.split("\n")[0], [("as read", boxes), *found(first.ink)], size=640)]
        for digit, reading in digits:
            rows.append(reading.rows(reading.in_words())[0]._replace(panels=steps(digit)[-2:]))
        return rows


def read(model: SavedModel, picture: Array, name: str = "the picture") -> Reading:
    """What is on a picture, uint8 (H, W) or (H, W, 3).

    For a model of digits it is prepared as MNIST was, unless it is already, like a saved test image.
    Raises ValueError, with this `name`, if there is no ink, or the model does not read pictures.
    """
    if not reads_digits(model) or is_mnist(picture):
        return read_as_it_is(model, picture)
    return of_digit(model, prepare(picture, name))


def read_many(model: SavedModel, picture: Array, name: str = "the picture") -> Page:
    """The digits on a picture, uint8 (H, W) or (H, W, 3). Raises ValueError, with this `name`, if there is no ink, or
    the model does not read digits."""
    check_reads_digits(model)
    return Page([[(digit, of_digit(model, digit)) for digit in line] for line in find_many(picture, name)])


def read_as_it_is(model: SavedModel, picture: Array) -> Reading:
    """What is on a picture that is only brought to the size and the colours that the model knows."""
    from PIL import Image

    channels, height, width = picture_shape(model)
    image = Image.fromarray(picture).convert("RGB" if channels == 3 else "L")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)
    return Reading(picture, None, pixels, *answer(model, pixels))


def reads_digits(model: SavedModel) -> bool:
    """Whether a model reads pictures like MNIST's: 28 x 28, grey, of digits, light on dark, as the mean that it takes
    from them tells."""
    mean = 0.0 if model.normalize is None else np.asarray(model.normalize.mean) / model.normalize.scale  # from 0 to 255
    dark = bool(np.all(mean < 127.5))
    return picture_shape(model) == MNIST_SHAPE and set(model.classes) <= set("0123456789") and dark


def check_reads_digits(model: SavedModel) -> None:
    """Raises ValueError if it does not."""
    if not reads_digits(model):
        raise ValueError("only a model of digits as MNIST has them, light on dark, finds many on a picture.")


def picture_shape(model: SavedModel) -> tuple[int, ...]:
    """(C, H, W) of the pictures that a model reads: MNIST's if its file does not say, or if it reads 784 numbers in a
    row, as scikit-learn's networks do. Raises ValueError if it reads something else."""
    shape = MNIST_SHAPE if model.input_shape in ((), (math.prod(MNIST_SHAPE),)) else model.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ValueError(f"this model reads samples of shape {shape}, which are not pictures, grey or in colour.")
    return shape


def of_digit(model: SavedModel, digit: Digit) -> Reading:
    """What a model makes of a prepared digit."""
    return Reading(digit.picture, digit, digit.image[None], *answer(model, digit.image[None]))


def answer(model: SavedModel, image: Array) -> tuple[tuple[str, ...], Array]:
    """The classes, those without a name by their number, and the probability that a model gives each for an image
    (C, H, W)."""
    outputs = model.predict(image.reshape(1, *(model.input_shape or image.shape)))
    check_one_of(model, outputs, "the model")
    given = probabilities(outputs)[0]
    return (*model.classes, *map(str, range(len(model.classes), len(given)))), given
