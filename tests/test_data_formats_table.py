"""Tables as people have them: with a header or without, the label here or there, pictures or measurements."""

import numpy as np
import pytest

from byhand.data import load, save

ROWS = [[i % 3 * 5, i, -i / 4, 1000 + i] for i in range(12)]  # a label, 0, 5 or 10, and three values
VALUES = np.array([row[1:] for row in ROWS], np.float32)


def table(path, rows, header=None, separator=",", ending="\n", mark="", encoding="utf-8"):
    lines = ([header] if header else []) + [separator.join(map(str, row)) for row in rows]
    path.write_bytes((mark + ending.join(lines) + ending).encode(encoding))
    return path


def everything(splits):
    """All samples in the order of the table, which the second value of each tells, with their labels as text."""
    inputs = np.concatenate([splits.train.inputs, splits.test.inputs])
    targets = np.concatenate([splits.train.targets, splits.test.targets])
    order = np.argsort(inputs[:, 0])
    return inputs[order], [splits.classes[target] for target in targets[order]]


NAMED, LAST = [row[1:2] + row[:1] + row[2:] for row in ROWS], [row[1:] + row[:1] for row in ROWS]
SPELLED = {  # name: the rows, and how they are written
    "a header, the label somewhere": (NAMED, {"header": "a,label,b,c"}),
    "in capitals, with spaces": (NAMED, {"header": "A, Label ,B,C"}),
    "called class": (NAMED, {"header": "a,class,b,c"}),
    "called target, among numbers": (NAMED, {"header": "0,target,1,2"}),
    "a header that does not say": (LAST, {"header": "a,b,c,kind"}),
    "no header": (LAST, {}),
    "semicolons": (NAMED, {"header": "a;label;b;c", "separator": ";"}),
    "tabs": (NAMED, {"header": "a\tlabel\tb\tc", "separator": "\t"}),
    "as a spreadsheet saves it": (NAMED, {"header": "a,label,b,c", "ending": "\r\n", "mark": "\ufeff"}),
    "as Unicode text": (NAMED, {"header": "a\tlabel\tb\tc", "separator": "\t", "ending": "\r\n", "encoding": "utf-16"}),
    "as Unicode text of old": (NAMED, {"header": "a,label,b,c", "mark": "\ufeff", "encoding": "utf-16-be"}),
    "empty lines": (NAMED, {"header": "\na,label,b,c\n", "ending": "\n\n  \n"}),
    "in quotes": ([[f'"{value}"' for value in row] for row in NAMED], {"header": '"a","label","b","c"'}),
    "labels as 5.0": ([[row[0], f"{row[1]}.0", *row[2:]] for row in NAMED], {"header": "a,label,b,c"}),
}


@pytest.mark.parametrize("name", SPELLED)
def test_a_table_is_understood(tmp_path, name):
    rows, written = SPELLED[name]
    said = []
    found = load(table(tmp_path / "a.csv", rows, **written), said.append)
    inputs, labels = everything(found)
    np.testing.assert_array_equal(inputs, VALUES)
    assert labels == [str(row[0]) for row in ROWS] and found.classes == ("0", "5", "10") and found.name == "a.csv"
    assert inputs.dtype == np.float32 and (len(found.train), len(found.test)) == (9, 3)
    assert said[:-1] == ([f"{tmp_path / 'a.csv'} has no header; the label is taken from column 4 of 4"]
                         if name == "no header" else [])


@pytest.mark.parametrize(("place", "header"), [(0, None), (3, None), (0, "label,a,b,c"), (3, "a,b,c,species")])
def test_labels_may_be_words(tmp_path, place, header):
    words = ["setosa", "virginica, wild", 'the "blue" one']
    rows = [[*values[:place], '"' + words[i % 3].replace('"', '""') + '"', *values[place:]]
            for i, values in enumerate(VALUES.tolist())]
    found = load(table(tmp_path / "a.csv", rows, header))
    inputs, labels = everything(found)
    np.testing.assert_array_equal(inputs, VALUES)
    assert labels == [words[i % 3] for i in range(12)] and found.classes == tuple(sorted(words))


def test_without_a_header_what_is_always_the_same_is_no_label(tmp_path):
    said = []
    found = load(table(tmp_path / "a.csv", [[*row, 0] for row in ROWS]), said.append)
    assert found.classes == ("0", "5", "10") and found.train.inputs.shape == (9, 4)
    assert "the label is taken from column 1 of 5" in said[0]


@pytest.mark.parametrize("name", ["Id", "index", ""])
def test_a_column_that_may_only_number_the_samples_is_named(tmp_path, name):
    said = []
    load(table(tmp_path / "a.csv", [[i, *row] for i, row in enumerate(NAMED)], f"{name},a,label,b,c"), said.append)
    assert said[0].startswith(f"column 1 ({name!r}) of {tmp_path / 'a.csv'} is read as a value like any other; if it")
    assert "column" not in "".join(said[1:])


DIGITS = np.random.default_rng(0).integers(0, 256, (12, 64))


@pytest.mark.parametrize(("header", "columns", "shape"), [
    (",".join(["label", *(f"pixel{i}" for i in range(64))]), 64, (1, 8, 8)),
    (",".join(["label", *(f"pixel{i}" for i in range(1, 10))]), 9, (1, 3, 3)),
    (",".join(["label", *(f"pixel_{i}_{j}" for i in range(3) for j in range(3))]), 9, (1, 3, 3)),
    (",".join(["label", *(f"{i}x{j}" for i in range(1, 9) for j in range(1, 9))]), 64, (1, 8, 8)),
    (",".join(["label", *map(str, range(64))]), 64, (1, 8, 8)),
    (None, 64, (1, 8, 8)),
    (",".join(["label", *(f"pixel{i}" for i in range(10))]), 10, (10,)),
    (",".join(["label", *(f"sensor{i}" for i in range(64))]), 64, (64,)),
    (",".join(["label", *map(str, range(9))]), 9, (9,)),
])
def test_what_is_a_picture_and_what_is_not(tmp_path, header, columns, shape):
    rows = [[f"{'abc'[i % 3]}", *values[:columns]] for i, values in enumerate(DIGITS.tolist())]
    found = load(table(tmp_path / "a.csv", rows, header)).train
    assert found.inputs.shape[1:] == shape and found.inputs.dtype == (np.uint8 if len(shape) == 3 else np.float32)
    assert found.inputs[0].ravel().tolist() in DIGITS[:, :columns].tolist()


def test_measurements_without_names_are_no_picture(tmp_path):
    rows = [["abc"[i % 3], *values] for i, values in enumerate((DIGITS / 2).tolist())]
    assert load(table(tmp_path / "a.csv", rows)).train.inputs.shape[1:] == (64,)


def test_a_folder_as_kaggle_serves_it(tmp_path):
    table(tmp_path / "train.csv", NAMED, "a,label,b,c")
    table(tmp_path / "test.csv", [row[1:] for row in ROWS], "a,b,c")
    table(tmp_path / "sample_submission.csv", [[1, 0]], "id,label")
    said = []
    found = load(tmp_path, said.append)
    assert said[0] == f"{tmp_path / 'test.csv'} has no labels and cannot be tested with"
    np.testing.assert_array_equal(everything(found)[0], VALUES)
    table(tmp_path / "test.csv", NAMED[:4], "a,label,b,c")
    found = load(tmp_path)
    assert (len(found.train), len(found.test)) == (12, 4)
    np.testing.assert_array_equal(found.train.inputs, VALUES)
    np.testing.assert_array_equal(found.test.inputs, VALUES[:4])
    for part in ("train", "test"):  # as on Kaggle the sets of Zalando are called
        (tmp_path / f"{part}.csv").rename(tmp_path / f"fashion-mnist_{part}.csv")
    assert len(load(tmp_path).test) == 4


def test_a_table_of_a_million_values_is_read_in_pieces(tmp_path):
    rng = np.random.default_rng(0)
    rows = np.hstack([rng.integers(0, 2, (60_000, 1)), rng.integers(0, 1000, (60_000, 20))])
    np.savetxt(tmp_path / "a.csv", rows, "%d", ",", header="label" + ",x" * 20, comments="")
    found = load(tmp_path / "a.csv")
    both = np.concatenate([found.train.inputs, found.test.inputs])
    np.testing.assert_array_equal(np.sort(both, axis=0), np.sort(rows[:, 1:], axis=0))
    assert found.train.counts().sum() == 50_000


def test_a_saved_table_has_the_columns_of_kaggle(tmp_path):
    save(load("mini"), tmp_path / "mini", "csv")
    header, first = (tmp_path / "mini" / "train.csv").read_text().splitlines()[:2]
    assert header == ",".join(["label", *(f"pixel{i}" for i in range(784))]) and len(first.split(",")) == 785
