"""CSV, a table as text: a sample a line, its values in columns, and one column that says what it is.

Kaggle serves MNIST so, `label,pixel0,...,pixel783`, and measurements of flowers or of customers come no other way. The
format promises nothing, not even names in the first line. What a person would see at a glance is looked for here: what
separates the columns, whether the first line is a header, which column is the label, and whether the rest is a picture.

NumPy reads the numbers, a million at a time. Where it stumbles, the lines that it stumbled over are looked at again,
slowly, to say in which line and which column.
"""

import codecs
import csv
import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from byhand.atomic import write_atomically
from byhand.data.dataset import Dataset
from byhand.data.formats.samples import LONGEST_NAME, Samples, is_whole
from byhand.data.search import Notify

Array = NDArray[Any]
Line = tuple[int, str]  # its number in the file, from 1, and its text

LABELS = ("label", "class", "target")  # a column of such a name is the label, in small letters or capitals
COUNTERS = ("", "id", "index", "nr", "unnamed: 0")  # a column of such a name numbers the samples, as a rule
SEPARATORS = ",;\t"
LONGEST_LINE = 1 << 22  # characters; a line of MNIST has about 2,000
VALUES = 1 << 20  # that are read at a time
SMALLEST_SIDE = 8  # of what is taken for a picture without being called pixels
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Layout:
    """How a table is laid out. `names`: of all columns, () if there is no header. `label`: which column that is."""

    path: Path
    separator: str
    columns: int
    names: tuple[str, ...]
    label: int

    def cells(self, line: str) -> list[str]:
        """One line, taken apart."""
        return next(csv.reader([line], delimiter=self.separator))

    def column(self, index: int) -> str:
        """A column, for a person."""
        return f"column {index + 1}" + (f" ({self.names[index][:40]!a})" if self.names else "")


def read_csv(train: Path, test: Path | None, notify: Notify) -> Samples:
    """The samples of one table, or of two; a `test` without labels, as Kaggle's are, is not used, and `notify` told so.

    Raises ValueError, with line and column, for values that are missing or no numbers, and for tables that differ.
    """
    layout = layout_of(train)
    inputs, labels = _read(layout)
    if not layout.names and layout.label and np.all(labels == labels[0]):
        layout = replace(layout, label=0)  # whatever is always the same, as a corner of all pictures, is no label
        inputs, labels = _read(layout)
    if not layout.names:
        notify(f"{train} has no header; the label is taken from {layout.column(layout.label)} of {layout.columns}")
    for index, name in enumerate(layout.names):
        if name.strip().lower() in COUNTERS and index != layout.label:
            notify(f"{layout.column(index)} of {train} is read as a value like any other; if it only numbers the "
                   "samples, remove it: a network might learn from it")
    side = picture_side(layout, inputs)
    samples = Samples((_shaped(inputs, side), labels))
    if test is None:
        return samples
    other = layout_of(test)
    if other.columns == layout.columns - 1:
        notify(f"{test} has no labels and cannot be tested with")
        return samples
    if (other.columns, other.names) != (layout.columns, layout.names):
        raise ValueError(f"{test} has other columns than {train}; the two tables must have the same")
    inputs, labels = _read(replace(other, label=layout.label))
    return Samples(samples.train, (_shaped(inputs, side), labels))


def write_csv(path: Path, *parts: Dataset) -> None:
    """A table with the column `label` first, of one data set or several, one below the other. Raises ValueError for
    pictures that are not grey and square."""
    shape = parts[0].inputs.shape[1:]
    if len(shape) == 3 and (shape[0] != 1 or shape[1] != shape[2]):
        raise ValueError(f"a table can hold grey, square pictures, and these have the shape {shape}; choose another "
                         "form")
    write_atomically(path, *_as_text(parts))


def layout_of(path: Path) -> Layout:
    """The layout, from the first two lines. A line that has a column named as in LABELS is a header, and so is one of
    words above numbers. The label is that column or the last; without a header the first, if only that is a word."""
    with _open(path) as file:
        top = [line for _, line in itertools.islice(_lines(file, path), 2)]
    if not top:
        raise ValueError(f"{path} is empty")
    layout = Layout(path, max(SEPARATORS, key=top[0].count), 0, (), 0)
    try:
        first, second = layout.cells(top[0]), layout.cells(top[-1])
    except csv.Error as error:
        raise ValueError(f"{path} is not a table: {error}") from None
    if len(first) < 2:
        raise ValueError(f"{path} is not a table of samples: its first line has one column, and it takes values and a "
                         "label")
    words = [name.strip().lower() for name in first]
    named = [words.index(name) for name in LABELS if name in words]
    is_header = named or all(_number(a) is None for a, b in zip(first, second, strict=False) if _number(b) is not None)
    word_first = _number(first[0]) is None and _number(first[-1]) is not None
    label = named[0] if named else 0 if word_first and not is_header else len(first) - 1
    return replace(layout, columns=len(first), names=tuple(first) if is_header else (), label=label)


def picture_side(layout: Layout, inputs: Array) -> int:
    """How many rows and columns the picture in a line has, 0 if it is none. A square number of columns is a picture if
    they are called `pixel0` and so on, or have only numbers for names (`1x1`), or none, and hold bytes."""
    names = [name.strip().lower() for index, name in enumerate(layout.names) if index != layout.label]
    side = math.isqrt(inputs.shape[1])
    pixels = bool(names) and all(name.startswith("pixel") for name in names)
    bytes_alone = inputs.dtype == np.uint8 and all(re.fullmatch(r"[\d_x]+", name) for name in names)
    return side if side * side == inputs.shape[1] and (pixels or (bytes_alone and side >= SMALLEST_SIDE)) else 0


def label_of(cell: str) -> str:
    """The label in a cell: text, or a whole number, also if it is spelled 3.0. Raises ValueError for anything else."""
    text = re.sub(r"^(-?[0-9]+)\.0*$", r"\1", cell.strip())
    if not text or len(text) > LONGEST_NAME or (_number(text) is not None and not is_whole(text)):
        raise ValueError(f"{text[:40]!a} is no label; labels are whole numbers or short texts" if text else
                         "the label is missing")
    return text


def check_value(cell: str) -> None:
    """Raise ValueError unless there is a number in a cell, one that float32 can hold."""
    number = _number(cell)
    if number is None or not abs(number) <= LARGEST:
        kind = "finite number that float32 can hold" if number is not None else (
            "number" if _number(cell.replace(",", ".")) is None else "number; write it with a point, not a comma")
        raise ValueError(f"{cell.strip()[:40]!a} is not a {kind}" if cell.strip() else "the value is missing")


def _read(layout: Layout) -> tuple[Array, Array]:
    """Values `(N, F)`, as bytes where all of them are, and labels, N texts."""
    codes: dict[str, int] = {}
    values, labels = [], []
    with _open(layout.path) as file:
        lines = itertools.islice(_lines(file, layout.path), bool(layout.names), None)
        while block := list(itertools.islice(lines, max(1, VALUES // layout.columns))):
            numbers = _numbers(block, layout, codes)
            labels.append(numbers[:, layout.label].astype(np.intp))
            values.append(_as_bytes(np.delete(numbers, layout.label, axis=1)))
    if not values:
        raise ValueError(f"{layout.path} has a header and no samples")
    return np.concatenate(values), np.array(list(codes))[np.concatenate(labels)]


def _numbers(block: Sequence[Line], layout: Layout, codes: dict[str, int]) -> Array:
    """The lines as float32, labels as their place in `codes`, which grows with each new one."""
    coded: dict[int | str, Callable[[str], int]] = {
        layout.label: lambda cell: codes.setdefault(label_of(cell), len(codes))}
    try:
        numbers = np.loadtxt([line for _, line in block], np.float32, comments=None, delimiter=layout.separator,
                             converters=coded, quotechar='"', ndmin=2)
    except ValueError:
        raise ValueError(_fault(block, layout)) from None
    if numbers.shape != (len(block), layout.columns) or not np.isfinite(numbers).all():
        raise ValueError(_fault(block, layout))
    return numbers


def _fault(block: Sequence[Line], layout: Layout) -> str:
    """What is wrong with these lines, in a sentence."""
    for number, line in block:
        where = f"{layout.path}, line {number}"
        try:
            cells = layout.cells(line)
            if len(cells) != layout.columns:
                return f"{where}: the first line has {layout.columns:,} columns, and this one {len(cells):,}"
            for index, cell in enumerate(cells):
                where = f"{layout.path}, line {number}, {layout.column(index)}"
                label_of(cell) if index == layout.label else check_value(cell)
        except (ValueError, csv.Error) as error:
            return f"{where}: {error}"
    return f"{layout.path}, lines {block[0][0]} to {block[-1][0]}: they cannot be read as a table of numbers"


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _as_bytes(values: Array) -> Array:
    with np.errstate(invalid="ignore"):  # what is no byte differs from the byte that comes out
        whole = values.astype(np.uint8)
    return whole if np.array_equal(whole, values) else values


def _shaped(inputs: Array, side: int) -> Array:
    return inputs.reshape(len(inputs), 1, side, side) if side else inputs.astype(np.float32)


def is_wide(start: bytes) -> bool:
    """Whether a file that starts so is text in UTF-16, as spreadsheets write "Unicode text"."""
    return start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def _open(path: Path) -> TextIO:
    """The text of a file, without the mark that spreadsheets put in front: UTF-8, if that does not say otherwise."""
    with path.open("rb") as file:
        encoding = "utf-16" if is_wide(file.read(2)) else "utf-8-sig"
    return path.open(encoding=encoding)


def _lines(file: TextIO, path: Path) -> Iterator[Line]:
    """The lines with something on them, never more than a piece of one that does not end."""
    for number in itertools.count(1):
        try:
            line = file.readline(LONGEST_LINE + 1)
        except UnicodeDecodeError:
            raise ValueError(f"{path} is not text in UTF-8, at about line {number}; save it as CSV, UTF-8") from None
        if len(line) > LONGEST_LINE:
            raise ValueError(f"{path}, line {number}: it has more than {LONGEST_LINE:,} characters, about "
                             f"{line.count(',') + 1:,} columns and more, too many for samples")
        if not line:
            return
        if line.strip():
            yield number, line


def _as_text(parts: Sequence[Dataset]) -> Iterator[bytes]:
    """The table, a line at a time."""
    names = [name if is_whole(name) else '"' + name.replace('"', '""') + '"' for name in parts[0].classes]
    what = "pixel" if parts[0].inputs.ndim == 4 else "feature"
    yield ",".join(["label", *(f"{what}{i}" for i in range(parts[0].inputs[0].size))]).encode() + b"\n"
    for part in parts:
        for target, values in zip(part.targets, part.inputs.reshape(len(part), -1), strict=True):
            # Python writes its own numbers faster, but NumPy knows that 0.1 says all of a float32.
            numbers = values if values.dtype.kind == "f" else values.tolist()
            yield f"{names[target]},{','.join(map(str, numbers))}\n".encode()
