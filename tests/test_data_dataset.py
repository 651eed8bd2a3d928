"""Data sets and how they are divided: rows stay together, slices stay views, and a split is fair and repeatable."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byhand.data import Dataset, Splits, split
from byhand.data.dataset import as_dataset


def digits(labels, **more):
    """A data set whose pixel says which row it is."""
    labels = np.asarray(labels)
    return Dataset(np.arange(len(labels), dtype=np.int32).reshape(-1, 1, 1, 1), labels, **more)


def rows(dataset):
    return dataset.inputs[:, 0, 0, 0].tolist()


def test_rows_stay_together():
    data = digits([4, 5, 6, 7], weights=np.array([1, 2, 3, 4.0]))
    for choice in ([2, 0], np.array([-2, 0]), [], np.array([True, False, True, False]), slice(1, None, 2)):
        part = data[choice]
        assert len(part) == len(part.targets) == len(part.weights)
        assert part.targets.tolist() == [4 + row for row in rows(part)]
        assert part.weights.tolist() == [1 + row for row in rows(part)]
    assert rows(data[[2, 0]]) == [2, 0]


def test_a_slice_is_a_view_and_keeps_the_names():
    data = digits([0, 1, 1, 0], classes=("no", "yes"), name="answers")
    part = data[1:3]
    assert np.shares_memory(part.inputs, data.inputs) and np.shares_memory(part.targets, data.targets)
    assert (part.classes, part.name) == (("no", "yes"), "answers")


def test_a_memmap_stays_on_disk(tmp_path):
    big = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.uint8, (50, 1, 4, 4))
    data = Dataset(big, np.zeros(50, int))
    assert isinstance(data.inputs, np.memmap) and isinstance(data[10:20].inputs, np.memmap)


def test_a_split_of_a_memmap_stays_on_disk_and_is_the_same_split(tmp_path):
    big = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.uint8, (1 << 14, 1, 64, 64))  # 64 MB
    big[:, 0, 0, 0] = np.arange(len(big)) % 251
    data = Dataset(big, np.arange(len(big)) % 10)
    tracemalloc.start()
    parts = split(data, 0.25, np.random.default_rng(0))
    few = [part[[5, 2, -1]][1:] for part in parts]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20
    in_memory = split(Dataset(np.array(big), data.targets), 0.25, np.random.default_rng(0))
    for part, expected, chosen in zip(parts, in_memory, few, strict=True):
        assert part.inputs.shape == expected.inputs.shape and part.inputs.size == expected.inputs.size
        np.testing.assert_array_equal(part.inputs, expected.inputs)
        np.testing.assert_array_equal(part.targets, expected.targets)
        np.testing.assert_array_equal(chosen.inputs, expected.inputs[[2, -1]])
    with pytest.raises(ValueError, match="without being read"):
        np.array(parts[0].inputs, copy=False)


@pytest.mark.parametrize(("value", "says"), [
    (Splits(digits([0, 1]), digits([0, 1])), "not a Splits; of these Splits give splits.train or splits.test"),
    (np.zeros((2, 3)), "pair of arrays .*, not a ndarray"),
    ((np.zeros(3),), "pair of arrays .*, not a tuple"),
    (None, "not a NoneType"),
])
def test_what_is_no_data_set(value, says):
    with pytest.raises(ValueError, match=f"train is a Dataset or a .*{says}"):
        as_dataset(value, "train")


def test_a_pair_of_arrays_is_a_data_set():
    data = digits([0, 1])
    assert as_dataset(data) is data
    assert as_dataset((data.inputs, data.targets)).targets.tolist() == [0, 1]


def test_lists_become_arrays_and_the_repr_is_short():
    data = Dataset([[1.0, 2.0], [3.0, 4.0]], [0, 1], classes=["a", "b"], name="pairs")
    assert data.inputs.shape == (2, 2) and data.classes == ("a", "b")
    assert repr(data) == "<Dataset pairs: 2 samples, 2 float64, 2 classes>"
    assert repr(digits(np.zeros(60000, int))) == "<Dataset without a name: 60,000 samples, 1x1x1 int32>"


def test_counts():
    assert digits([0, 2, 2, 0, 0], classes=("a", "b", "c", "d")).counts().tolist() == [3, 0, 2, 0]
    assert digits(np.array([], int), classes=("a", "b")).counts().tolist() == [0, 0]
    for targets in ([0.5, 1.5], [[1, 0], [0, 1]], [-1, 0]):
        with pytest.raises(ValueError, match="can be counted"):
            digits(targets).counts()


@pytest.mark.parametrize("fields, says", [
    ({"targets": [0, 1]}, "3 inputs with 2 targets"),
    ({"weights": [1.0]}, "3 inputs with 1 weights"),
    ({"weights": [1.0, -1.0, 1.0]}, "finite number of at least 0"),
    ({"weights": [1.0, np.nan, 1.0]}, "finite number of at least 0"),
    ({"weights": np.ones((3, 2))}, "one finite number"),
    ({"classes": ("a",)}, "from 0 to 2, but the 1 classes are numbered 0 to 0"),
    ({"targets": [0, -1, 0], "classes": ("a", "b")}, "from -1 to 0"),
    ({"targets": ["a", "b", "c"]}, "targets of a Dataset are an array of numbers"),
    ({"targets": None}, "targets of a Dataset are an array of numbers"),
    ({"inputs": 3}, "inputs of a Dataset are an array of numbers"),
    ({"inputs": [[1], [1, 2], [3]]}, "rows of different shapes"),
])
def test_a_dataset_that_does_not_fit_is_refused(fields, says):
    with pytest.raises(ValueError, match=says):
        Dataset(**{"inputs": np.zeros((3, 2)), "targets": np.arange(3), **fields})


@pytest.mark.parametrize("choice, says", [
    (3, r"dataset\[3:4\] is sample 3 alone"),
    ([0.5], "whole numbers"),
    (np.zeros((2, 2), int), "1-D"),
    ([True, False], "2 entries, but the Dataset has 4"),
    ([0, 4], "from 0 to 4, but the Dataset has 4"),
    ([-5], "from -5 to -5"),
])
def test_a_choice_of_rows_that_makes_no_sense_is_refused(choice, says):
    with pytest.raises(ValueError, match=says):
        digits([0, 1, 2, 3])[choice]


def test_splits_belong_together():
    train, test = digits([0, 1], classes=("a", "b"), name="n"), digits([1], classes=("a", "b"))
    both = Splits(train, test, "somewhere")
    assert (both.name, both.classes, both.source) == ("n", ("a", "b"), "somewhere")
    with pytest.raises(ValueError, match="different classes"):
        Splits(train, digits([1]))
    with pytest.raises(ValueError, match="shape"):
        Splits(train, Dataset(np.zeros((1, 1, 2, 2)), [0], classes=("a", "b")))


def test_a_split_holds_out_the_same_share_of_every_class():
    data = digits(np.repeat([0, 1, 2], [100, 50, 10]))
    rest, held_out = split(data, 0.1, np.random.default_rng(0))
    assert held_out.counts().tolist() == [10, 5, 1] and rest.counts().tolist() == [90, 45, 9]


def test_a_split_by_count_is_exact():
    data = digits(np.random.default_rng(0).integers(0, 10, 42_000))
    rest, held_out = split(data, 1000, np.random.default_rng(0))
    assert (len(rest), len(held_out)) == (41_000, 1000)


def test_a_split_is_random_and_repeatable():
    data = digits(np.arange(100) % 2)
    one, again, other = (rows(split(data, 0.3, np.random.default_rng(seed))[1]) for seed in (1, 1, 2))
    assert one == again != other


@given(labels=st.lists(st.integers(-2, 4), min_size=2, max_size=60), fraction=st.floats(0.01, 0.99),
       seed=st.integers(0, 9))
def test_what_every_split_promises(labels, fraction, seed):
    data = digits(labels)
    rest, held_out = split(data, fraction, np.random.default_rng(seed))
    assert sorted(rows(rest) + rows(held_out)) == list(range(len(labels)))  # each sample once
    assert rows(rest) == sorted(rows(rest)) and rows(held_out) == sorted(rows(held_out))  # in the original order
    assert len(rest) and len(held_out)
    for label in set(labels):
        if labels.count(label) > 1:
            assert label in rest.targets and label in held_out.targets
            assert abs((held_out.targets == label).sum() - len(held_out) * labels.count(label) / len(labels)) < 2


@pytest.mark.parametrize("targets", [np.linspace(0, 1, 40), np.eye(40), np.arange(40)],
                         ids=["real numbers", "one-hot rows", "every label once"])
def test_without_classes_the_draw_is_plain(targets):
    rest, held_out = split(digits(targets), 0.25, np.random.default_rng(0))
    assert (len(rest), len(held_out)) == (30, 10)
    assert rows(held_out) != list(range(10))


@pytest.mark.parametrize("fraction", [0, 1.0, -0.5, 1.5, 10, -1, True, float("nan"), np.int64(10)])
def test_a_split_that_leaves_nothing_is_refused(fraction):
    with pytest.raises(ValueError, match="to hold out"):
        split(digits(np.arange(10)), fraction, np.random.default_rng(0))


def test_one_sample_cannot_be_split():
    with pytest.raises(ValueError, match="1 sample cannot be split"):
        split(digits([0]), 0.5, np.random.default_rng(0))
