"""Data of one's own in every form: what is written is what is read, and what others write is understood.

(Forms that are damaged, or hold what is no data: test_bad_data.py.)
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from byhand.cli.data import convert
from byhand.data import FORMS, Dataset, Splits, info, load, read_idx, save, write_idx
from byhand.data.published import FILES


def some(shape, classes, dtype=np.uint8, n=24, seed=0):
    """A training and a test set of `n` and a third of it, all classes in both."""
    rng = np.random.default_rng(seed)
    parts = []
    for size in (n, n // 3):
        values = rng.integers(0, 256, (size, *shape)) if dtype == np.uint8 else rng.normal(size=(size, *shape))
        parts.append(Dataset(values.astype(dtype), np.arange(size) % len(classes), classes, "some"))
    return Splits(*parts)


def spoken(dataset):
    """The label of each sample as text, since the order of classes is the form's own."""
    return [dataset.classes[target] for target in dataset.targets]


def same(one, other):
    for a, b in ((one.train, other.train), (one.test, other.test)):
        np.testing.assert_array_equal(a.inputs, b.inputs)
        assert a.inputs.dtype == b.inputs.dtype and b.targets.dtype == np.int64 and spoken(a) == spoken(b)
    return True


# --- what is written is read ------------------------------------------------------------------------------------------

PICTURES, TABLE = ("a", "a.npz", "a csv", "a npy", "a npz", "a pictures"), ("a", "a.npz", "a csv", "a npz")
DATA = {
    "grey": (some((1, 6, 6), ("0", "1", "2")), PICTURES),
    "grey, not square": (some((1, 5, 4), ("0", "1")), ("a", "a.npz", "a npy", "a pictures")),
    "in colour": (some((3, 6, 5), ("0", "1")), ("a", "a.npz", "a npy", "a pictures")),
    "five channels": (some((5, 6, 7), ("0", "1")), ("a", "a.npz", "a npy")),
    "real numbers": (some((1, 5, 5), ("0", "1"), np.float32), ("a", "a.npz", "a csv", "a npy")),
    "a table": (some((7,), ("0", "1", "2"), np.float32), TABLE),
    "words": (some((1, 9, 9), ("t-shirt", "coat", 'a "bag", small', "ÿ")), ("a", "a.npz", "a npy", "a csv")),
    "words in a table": (some((3,), ("no", "yes"), np.float32), TABLE),
    "folders of words": (some((1, 9, 9), ("sandal", "boot", "not a boot")), PICTURES),
    "numbers with gaps": (some((1, 6, 6), ("10", "9", "-3")), PICTURES),
}


@pytest.mark.parametrize(("name", "target"), [(name, target) for name, (_, targets) in DATA.items()
                                              for target in targets])
def test_a_round_trip(tmp_path, name, target):
    splits, _ = DATA[name]
    file, _, form = target.partition(" ")
    written = save(splits, tmp_path / file, form or None)
    assert [path.name for path in tmp_path.iterdir()] == [file]
    said = []
    found = load(tmp_path / file, said.append)
    assert same(splits, found) and said == []
    if written in ("idx", "npy", "npz"):
        assert found.classes == splits.classes, "these forms keep the order too"
    assert written == form or (file, written) in {("a.npz", "npz"), ("a", "idx"), ("a", "npy")}
    again = tmp_path / "again.npz"
    save(found, again)
    assert same(splits, load(again))


@given(hnp.arrays(np.float32, st.tuples(st.just(4), st.integers(1, 5)),
                  elements=st.floats(allow_nan=False, allow_infinity=False, width=32)))
def test_a_table_keeps_every_bit_of_its_numbers(tmp_path_factory, values):
    parts = [Dataset(values, [0, 1, 0, 1], ("no", "yes"))] * 2
    for form in ("csv", "npy"):
        folder = tmp_path_factory.mktemp("table") / form
        save(Splits(*parts), folder, form)
        assert same(Splits(*parts), load(folder))


def test_one_table_holds_the_samples_but_not_the_split(tmp_path):
    splits, said = DATA["grey"][0], []
    assert save(splits, tmp_path / "a.csv", notify=said.append) == "csv"
    assert len(said) == 1 and "a folder of the form csv keeps them apart" in said[0]
    table = np.loadtxt(tmp_path / "a.csv", delimiter=",", skiprows=1)
    inputs = np.concatenate([splits.train.inputs, splits.test.inputs])
    np.testing.assert_array_equal(table[:, 1:], inputs.reshape(32, -1))


def test_published_data_is_known_in_every_form(tmp_path):
    mini = load("mini")
    for target in ("a.npz", "elsewhere"):
        save(mini, tmp_path / target)
        found = load(tmp_path / target)
        assert (found.name, found.source) == ("mini", str(tmp_path / target)) and same(mini, found)
    save(DATA["grey"][0], tmp_path / "mnist")
    assert load(tmp_path / "mnist").name == "mnist/", "no other data goes by a published name"


@pytest.mark.parametrize(("splits", "target", "form", "says"), [
    ("a table", "a", "idx", "holds pictures, and some is a table"),
    ("a table", "a", "pictures", "picture files hold bytes"),
    ("real numbers", "a", "pictures", "picture files hold bytes"),
    ("five channels", "a", "pictures", "picture files hold bytes"),
    ("in colour", "a", "csv", "a table can hold grey, square pictures"),
    ("in colour", "a.csv", None, "a table can hold grey, square pictures"),
    ("grey", "a.npz", "csv", "a.npz cannot take the form 'csv'"),
    ("grey", "a", "png", "the forms are idx, npz, csv, npy, pictures"),
    ("grey", "no/a", None, "there is no folder .*no"),
    ("grey", "no/a.npz", None, "there is no folder .*no"),
    ("grey", "file/a", None, "there is no folder .*file"),
    ("grey", "file", None, "file exists already; choose another name"),
])
def test_what_cannot_be_written_leaves_nothing_behind(tmp_path, splits, target, form, says):
    (tmp_path / "file").write_text("is here")
    with pytest.raises((ValueError, OSError), match=says):
        save(DATA[splits][0], tmp_path / target, form)
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "is here"


def test_classes_whose_folders_would_be_one(tmp_path):
    with pytest.raises(ValueError, match="differ only in what the name of a folder cannot hold"):
        save(some((1, 3, 3), ("a/b", "a:b")), tmp_path / "a", "pictures")
    said = []
    save(some((1, 3, 3), ("a/b", "..", "c")), tmp_path / "a", "pictures", said.append)
    assert load(tmp_path / "a").classes == ("__", "a_b", "c")
    assert len(said) == 1 and said[0].endswith("among the folders a/b is a_b, .. is __")
    save(some((1, 3, 3), [f"{k}?" for k in range(9)]), tmp_path / "b", "pictures", said.append)
    assert said[1].endswith(" 4? is 4_, and 4 more")
    save(some((1, 3, 3), ("a", "b")), tmp_path / "c", "pictures", said.append)
    assert len(said) == 2


# --- a test set -------------------------------------------------------------------------------------------------------


def test_where_there_is_no_test_set_one_sample_in_six_is_set_aside(tmp_path):
    images, labels = np.arange(120 * 9).reshape(120, 3, 3) // 9, np.arange(120) % 4
    said = []
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    found = load(tmp_path / "a.npz", said.append)
    assert said == ["a.npz has no labelled test set: one sample in six of each class is set aside as one, 20 in all, "
                    "always the same"]
    assert found.train.counts().tolist() == [25] * 4 and found.test.counts().tolist() == [5] * 4
    assert sorted([*found.train.inputs[:, 0, 0, 0], *found.test.inputs[:, 0, 0, 0]]) == list(range(120))
    for file, array in zip(FILES[:2], (images.astype(np.uint8), labels.astype(np.uint8)), strict=True):
        write_idx(tmp_path / file, array)
    assert same(load(tmp_path), found), "the same samples, whatever the form, and every time"


def test_a_folder_of_idx_files_may_name_its_classes(tmp_path):
    save(some((1, 3, 3), ("zero", "one")), tmp_path / "a")
    assert (tmp_path / "a" / "classes.txt").read_text() == "zero\none\n"
    assert read_idx(tmp_path / "a" / FILES[1]).max() == 1
    (tmp_path / "a" / "classes.txt").unlink()
    assert load(tmp_path / "a").classes == ("0", "1")


# --- NumPy's files ----------------------------------------------------------------------------------------------------

COLOUR = np.random.default_rng(0).integers(0, 256, (12, 5, 6, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3


@pytest.mark.parametrize("names", [
    ("x_train", "y_train", "x_test", "y_test"), ("X_train", "Y_train", "X_test", "Y_test"),
    ("x", "y", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels"),
])
def test_the_names_that_others_use(tmp_path, names):
    arrays = dict(zip(names, (COLOUR, LABELS, COLOUR[:6], LABELS[:6]), strict=True))
    np.savez(tmp_path / "a.npz", **arrays, unrelated=np.array([None], object))
    (tmp_path / "folder").mkdir()
    for name, array in arrays.items():
        np.save(tmp_path / "folder" / f"{name}.npy", array)
    for source in ("a.npz", "folder"):
        found = load(tmp_path / source)
        np.testing.assert_array_equal(found.train.inputs, COLOUR.transpose(0, 3, 1, 2))
        assert found.classes == ("0", "1", "2") and len(found.test) == 6


@pytest.mark.parametrize(("inputs", "shape", "dtype"), [
    (COLOUR, (3, 5, 6), "u1"), (COLOUR.transpose(0, 3, 1, 2), (3, 5, 6), "u1"), (COLOUR[..., 0], (1, 5, 6), "u1"),
    (COLOUR[..., :1], (1, 5, 6), "u1"), (COLOUR.astype(">i4"), (3, 5, 6), "u1"), (COLOUR / 255, (3, 5, 6), "f4"),
    (COLOUR.astype("f4"), (3, 5, 6), "f4"), (COLOUR - 300.0, (3, 5, 6), "f4"), (COLOUR > 9, (3, 5, 6), "u1"),
    (COLOUR.reshape(12, -1), (90,), "f4"), (np.asfortranarray(COLOUR), (3, 5, 6), "u1"),
    (np.asfortranarray(COLOUR.astype("f2")), (3, 5, 6), "f4"), (COLOUR[:, :, :4, 0], (1, 5, 4), "u1"),
])
def test_inputs_of_every_type_and_order(tmp_path, inputs, shape, dtype):
    np.savez(tmp_path / "a.npz", x_train=inputs, y_train=LABELS, x_test=inputs, y_test=LABELS)
    found = load(tmp_path / "a.npz").train.inputs
    assert found.shape == (12, *shape) and found.dtype == dtype and found.flags.writeable and found.flags.c_contiguous
    first = inputs.transpose(0, 3, 1, 2) if inputs.ndim == 4 and inputs.shape[1] == 5 else inputs
    np.testing.assert_array_equal(found.ravel(), first.astype(dtype).ravel())


@pytest.mark.parametrize(("labels", "classes"), [
    (LABELS[:, None].astype(np.uint8), "0 1 2"), (LABELS.astype(np.float64), "0 1 2"), (LABELS * 50 - 50, "-50 0 50"),
    (LABELS > 0, "0 1"), (np.array(["cat", "ant", "bee"])[LABELS], "ant bee cat"),
    (np.array(["10", "9", "1"])[LABELS], "1 9 10"), (np.array(["10", "9", "x"], ">U2")[LABELS], "10 9 x"),
])
def test_labels_of_every_kind(tmp_path, labels, classes):
    np.savez(tmp_path / "a.npz", x_train=COLOUR, y_train=labels, x_test=COLOUR, y_test=labels)
    found = load(tmp_path / "a.npz")
    assert found.classes == tuple(classes.split())
    known = {text: number for number, text in enumerate(found.classes)}
    texts = labels.ravel().tolist() if labels.dtype.kind == "U" else map(str, labels.ravel().astype(int).tolist())
    assert found.train.targets.tolist() == [known[text] for text in texts]


def test_other_versions_of_the_format(tmp_path):
    for version, name in (((1, 0), "x_train"), ((2, 0), "y_train")):
        with (tmp_path / f"{name}.npy").open("wb") as file:
            np.lib.format.write_array(file, COLOUR if name == "x_train" else LABELS, version)
    assert sum(map(len, (load(tmp_path).train, load(tmp_path).test))) == 12


# --- folders of pictures ----------------------------------------------------------------------------------------------


def paint(path, shape, value, n=6):
    path.mkdir(parents=True)
    for i in range(n):
        Image.fromarray(np.full(shape, value + i, np.uint8)).save(path / f"{i:02}.png")


def test_pictures_of_different_sizes_and_colours_become_alike(tmp_path):
    paint(tmp_path / "rose", (8, 6), 10)
    paint(tmp_path / "tulip", (8, 6, 3), 100, 4)
    paint(tmp_path / "poppy", (20, 30), 200, 2)
    (tmp_path / "rose" / "notes.txt").write_text("is left out")
    (tmp_path / ".hidden").mkdir()
    said = []
    found = load(tmp_path, said.append)
    assert found.classes == ("poppy", "rose", "tulip") and found.train.inputs.shape == (9, 3, 8, 6)
    assert said[0] == (f"1 of what is in {tmp_path} is left out, since it is no picture in the folder of a class, "
                       f"{Path('rose', 'notes.txt')} for one")
    assert said[1] == (f"the pictures in {tmp_path} are of 2 sizes: 2 of 12 are resized to the most common one, 6 x 8")
    for dataset in (found.train, found.test):
        for picture, name in zip(dataset.inputs, spoken(dataset), strict=True):
            assert picture.min() == picture.max() and picture.min() // 50 == {"rose": 0, "tulip": 2, "poppy": 4}[name]


def test_a_folder_beside_training_and_test_is_named(tmp_path):
    for part in ("train", "test", "val"):
        paint(tmp_path / part / "rose", (8, 6), 10)
        paint(tmp_path / part / "tulip", (8, 6), 100)
    said = []
    assert len(load(tmp_path, said.append).train) == 12
    assert said == [f"{tmp_path} is read from its folder train and test, and not from val"]


def test_photographs_are_shrunk_to_what_a_network_can_look_at(tmp_path):
    paint(tmp_path / "rose", (600, 800), 10)
    paint(tmp_path / "tulip", (800, 600), 100, 2)
    paint(tmp_path / "poppy", (96, 128), 200, 2)
    said = []
    found = load(tmp_path, said.append)
    assert found.train.inputs.shape[1:] == (1, 96, 128)
    assert said[0].startswith(f"8 of the 10 pictures in {tmp_path} are larger than 128 pixels and are shrunk to that")
    assert "2 of 10 are resized to the most common one, 128 x 96" in said[1]


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "Testing"), ("train", "val")])
def test_folders_for_training_and_test(tmp_path, train, test):
    for part, n in ((train, 4), (test, 2)):
        paint(tmp_path / part / "2", (5, 5), 20, n)
        paint(tmp_path / part / "10", (5, 5), 100, n)
    found = load(tmp_path)
    assert found.classes == ("2", "10") and found.test.counts().tolist() == [2, 2]
    assert found.train.inputs[found.train.targets == 1].min() == 100 and found.train.inputs.shape == (8, 1, 5, 5)


def test_test_pictures_without_classes_cannot_be_used(tmp_path):
    paint(tmp_path / "train" / "a", (5, 5), 20)
    paint(tmp_path / "train" / "b", (5, 5), 100)
    paint(tmp_path / "test", (5, 5), 0)
    said = []
    assert len(load(tmp_path, said.append).test) == 2 and "cannot be tested with" in said[0]


# --- the command ------------------------------------------------------------------------------------------------------


def test_data_is_converted(here, tiny):
    assert next(p for p in convert.params if p.name == "form").type.choices == FORMS
    code, out, err = here("data", "convert", tiny, "tiny.npz")
    assert (code, out, err) == (0, "tiny.npz (npz) holds 300 training and 100 test samples in 10 classes\n", "")
    found = json.loads(here("data", "convert", "tiny.npz", "tables", "--to", "csv", "--json")[1])
    assert found == {"version": 1, "source": "tiny.npz", "target": "tables", "form": "csv", "train_samples": 300,
                     "test_samples": 100}
    assert same(load(tiny), load("tables"))
    with np.load("tiny.npz") as arrays:
        assert arrays["x_train"].shape == (300, 28, 28) and sorted(arrays) == ["x_test", "x_train", "y_test", "y_train"]


def test_a_table_is_described(here):
    save(DATA["words in a table"][0], "flowers")
    code, out, _ = here("data", "info", "flowers")
    assert code == 0 and "training    24 samples\n" in out and "a sample    3 values, float32\n" in out
    facts = info(load("flowers"))
    assert (facts["shape"], facts["classes"], facts["train_counts"]) == ([3], ["no", "yes"], [12, 12])
    assert facts["sha256"] is None and json.dumps(facts)
    save(DATA["a table"][0], "wide")
    said = " ".join(here("data", "info", "wide")[1].split())
    assert re.search(r"mean from -?[\d.]+ to [\d.]+, standard deviation from [\d.]+ to", said)
