"""The command `evaluate`: every figure is the one that can be counted by hand, and it can be read in 80 columns."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from command_line import the_object
from PIL import Image

import byhand as bh
from byhand import scalar
from byhand.assess import assess, in_words
from byhand.assess import open_model
from byhand.files.scalar_json import write_scalar_json


def save_npz(name, inputs, labels):
    """The same samples to train and to test with, in two classes a and b."""
    np.savez(name, x_train=inputs, y_train=labels, x_test=inputs, y_test=labels, classes=["a", "b"])


@pytest.fixture
def run(here, tiny):
    """A folder with a network that has learned a little, and some of it wrongly."""
    here("train", "relu-10", "--data", tiny, "--epochs", 20, "--out", "run", "-q")
    return Path("run")


def counted(folder, splits):
    """What the model says of each test sample: its guess, and how sure it is."""
    p = bh.metrics.probabilities(bh.load(folder / "model.safetensors").predict(splits.test.inputs))
    return p.argmax(axis=1), p.max(axis=1), splits.test.targets


def test_what_was_measured_in_training_is_measured_again(run, here, tiny):
    found = the_object(here("evaluate", run / "model.safetensors", "--data", tiny, "--json")[1])
    saved = bh.load(run / "model.safetensors").metrics
    assert found["test_accuracy"] == saved["test_accuracy"] and found["test_interval"] == saved["test_interval"]
    assert (found["kind"], found["dataset"], found["test_samples"]) == ("relu-10", "tiny", 100)
    assert found["byhand"] == bh.__version__ and found["numpy"] == np.__version__ and found["version"] == 1


def test_a_run_is_measured_on_its_own_data(run, here, tiny):
    assert here("evaluate", run, "--json") == here("evaluate", run, "--data", tiny, "--json")
    Path("copy").mkdir()
    shutil.copy(run / "model.safetensors", "copy")
    assert the_object(here("evaluate", "copy", "--json")[1])["dataset"] == "mini", "which takes the place of mnist"
    config = json.loads((run / "config.json").read_text())
    for change, said in (({"source": "gone"}, "the data of the run run, tiny, was read from gone and is needed again"),
                         ({"data_sha256": "0"}, "the run run began with other data than there is now in")):
        (run / "config.json").write_text(json.dumps(config | change))
        code, out, err = here("evaluate", run)
        assert (code, out) == (1, "") and said in err and len(err.splitlines()) == 1 and "--data" in err


def test_every_figure_can_be_counted(run, here, tiny):
    found = the_object(here("evaluate", run, "--data", tiny, "--json", "--confidence", 0.5)[1])
    guess, sure, truth = counted(run, bh.data.load(tiny))
    assert 0 < found["correct"] == np.sum(guess == truth) < 100
    for k, row in enumerate(found["per_class"]):
        assert row["class"] == str(k) and row["support"] == np.sum(truth == k)
        hits = np.sum((guess == k) & (truth == k))
        assert row["recall"] == pytest.approx(hits / np.sum(truth == k))
        assert row["precision"] == (pytest.approx(hits / np.sum(guess == k)) if np.any(guess == k) else None)
        assert found["confusion_matrix"][k] == [np.sum((truth == k) & (guess == j)) for j in range(10)]
    answered = sure >= 0.5
    assert found["confidence"] == {
        "threshold": 0.5, "answered": answered.sum(), "share": answered.mean(),
        "correct": np.sum((guess == truth) & answered), "accuracy": np.mean(guess[answered] == truth[answered]),
        "interval": list(bh.metrics.wilson_interval(int(np.sum((guess == truth) & answered)), int(answered.sum())))}
    assert 0 < found["confidence"]["share"] < 1
    bins = [(sure > k / 15) & (sure <= (k + 1) / 15) for k in range(15)]
    gaps = [abs(np.mean(guess[b] == truth[b]) - sure[b].mean()) * b.mean() for b in bins if b.any()]
    assert found["calibration_error"] == pytest.approx(sum(gaps))


def test_it_can_be_read(run, here, tiny):
    code, out, err = here("evaluate", run, "--data", "mini", "--confidence", "0.5")
    assert code == 0 and err == "" and max(map(len, out.splitlines())) <= 80
    head, classes, confusion, calibration, selective = out.rstrip().split("\n\n")
    assert re.fullmatch(r"run/model\.safetensors \(relu-10\) reads [\d.]+ % of the 1,000 test samples of mini right "
                        r"\(95 % interval [\d.]+ to [\d.]+ %\)\.", head.replace("\n", " "))
    assert len(classes.splitlines()) == 11 and len(confusion.splitlines()) == 12
    assert "differ by" in calibration and "Where it is at least 50 % sure, it answers" in selective


def test_the_worst_mistakes_are_drawn(run, here, tiny):
    code, out, _ = here("evaluate", run, "--data", tiny, "--mistakes", "worst.png")
    assert code == 0 and "The worst mistakes are in worst.png" in out
    guess, sure, truth = counted(run, bh.data.load(tiny))
    row = max(np.flatnonzero(guess != truth), key=lambda row: sure[row])
    with Image.open("worst.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 400
    found = assess(open_model(run), bh.data.load(tiny).test, "run").picture_of_mistakes()
    assert found.axes[0].texts[0].get_text() == f"is {truth[row]}"
    drawn = np.asarray(found.axes[0].images[0].get_array())[:28, :28, 0]
    np.testing.assert_array_equal(drawn, bh.data.load(tiny).test.inputs[row, 0])


def test_where_there_is_no_mistake_there_is_no_picture(here, tiny, rng):
    images = bh.data.load(tiny).test.inputs[:4]
    model = bh.nn.Sequential(bh.nn.Flatten(), bh.nn.Linear(784, 2, rng))
    right = bh.predict(model, images).argmax(axis=1)
    found = assess(bh.files.SavedModel(model), bh.data.Dataset(images, right, ("a", "b"), "own"), "m")
    with pytest.raises(ValueError, match="there is no mistake to show"):
        found.picture_of_mistakes()
    save_npz("right.npz", images, right)
    bh.save(model, "right.safetensors", input_shape=(1, 28, 28), classes=("a", "b"))
    code, out, _ = here("evaluate", "right.safetensors", "--data", "right.npz", "--mistakes", "none.png")
    assert code == 0 and "reads 100.00 %" in out and "There is no mistake to draw." in out
    assert not Path("none.png").exists()


def test_what_is_no_picture_is_not_drawn(here):
    save_npz("table.npz", np.arange(8.0).reshape(4, 2), np.arange(4) % 2)
    bh.save(bh.nn.Sequential(bh.nn.Linear(2, 2, np.random.default_rng(0))), "m.safetensors", classes=("a", "b"))
    code, out, err = here("evaluate", "m.safetensors", "--data", "table.npz", "--mistakes", "worst.png")
    assert (code, out) == (2, "") and "the samples of table.npz are none; leave it out." in err


def test_samples_of_other_classes_are_counted(here, tiny):
    here("train", "binary-zero-one", "--data", tiny, "--epochs", 1, "--out", "two", "-q")
    found = the_object(here("evaluate", "two", "--data", tiny, "--json")[1])
    others = int(np.sum(bh.data.load(tiny).test.targets > 1))
    assert found["test_samples"] == 100 - others
    assert found["note"] == f"{others} more are of classes that it does not know."


def test_without_matplotlib_it_says_so_before_it_begins(run, away, tiny):
    source = ("import sys; sys.modules['matplotlib'] = None\nfrom byhand.cli import main\n"
              f"main(['evaluate', 'run', '--data', {tiny!r}, '--mistakes', 'worst.png'])")
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "byhand: drawing needs matplotlib; pip install 'byhand[plots]'.\n"


def test_the_folder_of_several_seeds_says_where_a_model_is(here, tiny):
    here("train", "relu-10", "--data", tiny, "--epochs", 1, "--seeds", 2, "--out", "two", "-q")
    code, out, err = here("evaluate", "two", "--data", tiny)
    assert (code, out) == (1, "") and err.endswith(f"safetensors in it; there is one in {Path('two/seed-0')}.\n")


def test_nothing_is_sure_enough(run, here, tiny):
    code, out, _ = here("evaluate", run, "--data", tiny, "--confidence", 1)
    assert code == 0 and out.endswith("it answers 0.00 % (0 of 100).\n")
    assert the_object(here("evaluate", run, "--data", tiny, "--confidence", 1, "--json")[1])["confidence"][
        "accuracy"] is None


def many_classes(count, name):
    """A data set of points, one a class, and a network that says class k + 1 of each class k below 3."""
    classes = tuple(f"{name}{k}" for k in range(count))
    points = np.eye(count, dtype=np.float32)
    model = bh.nn.Sequential(bh.nn.Linear(count, count, np.random.default_rng(0)))
    answers = np.arange(count)
    answers[:3] += 1
    model.load_state_dict({"0.weight": 20 * np.eye(count)[answers].T, "0.bias": np.zeros(count)})
    saved = bh.files.SavedModel(model, (count,), None, classes)
    return saved, bh.data.Dataset(points, np.arange(count), classes, "points")


@pytest.mark.parametrize(("count", "name"), [(5, "a class with quite a long name, number "), (11, "c"), (40, "class ")])
def test_many_classes_and_long_names_fit_too(count, name):
    text = in_words(assess(*many_classes(count, name), "model").facts(), 80)
    assert max(map(len, text.splitlines())) <= 80
    commonest = [f"{name}{k} is taken for {name}{k + 1}: 1 of 1" for k in range(3)]
    assert all(line in text for line in commonest) == (count == 40)
    assert ("(10 of 40 classes, those with the lowest F1; --json has all)" in text) == (count == 40)


@pytest.mark.parametrize(("count", "left"), [(11, 4), (40, 4), (40, 39)])
def test_classes_without_samples_have_no_figures_and_are_not_weak(count, left):
    model, points = many_classes(count, "c")
    facts = assess(model, points[left:], "model").facts()
    json.dumps(facts, allow_nan=False)
    assert [(row["recall"], row["f1"], row["support"]) for row in facts["per_class"]] == (
        [(None, None, 0)] * left + [(1.0, 1.0, 1)] * (count - left))
    lines = in_words(facts, 80).splitlines()
    dashes = [line.split() for line in lines if "–" in line]
    assert dashes == ([[f"c{k}", "–", "–", "–", "0"] for k in range(left)] if count == 11 else [])
    assert (f"({min(10, count - left)} of {count} classes, those with the lowest F1; --json has all)" in lines) == (
        count == 40)


def test_a_model_of_two_classes_is_asked_for_those_only(here, tiny):
    here("train", "binary-zero-one", "--data", tiny, "--epochs", 2, "--out", "run", "-q")
    result = the_object(here("evaluate", "run", "--data", "mini", "--json")[1])
    assert result["test_samples"] == 200 and result["classes"] == ["0", "1"]


@pytest.mark.parametrize(("pixels", "note"), [(784, ""), (728, "It looks at the first 728 of 784 pixels.")])
def test_a_scalar_network_is_evaluated(pixels, note, here, tiny):
    net = scalar.Net([pixels, 10, 10], Random(0))
    write_scalar_json(net, "net.wt")
    code, out, _ = here("evaluate", "net.wt", "--data", tiny)
    assert code == 0 and out.startswith("net.wt (scalar network) reads ")
    assert out.replace("\n", " ").partition("  ")[0].endswith(note)
    test = bh.data.load(tiny).test
    answers = scalar.predict(net, [scalar.pixels(image, pixels) for image in test.inputs.reshape(100, -1).tolist()])
    facts = the_object(here("evaluate", "net.wt", "--data", tiny, "--json")[1])
    assert facts["correct"] == sum(answers == test.targets) and facts["note"] == note


@pytest.mark.parametrize(("change", "sentence"), [
    ({"classes": ("cat", "dog", *"01234567")}, None),
    ({"classes": tuple("abcdefghij")}, "knows the classes a, b, c, .*, and tiny has none of them"),
    ({"input_shape": (1, 8, 98)}, r"reads inputs of shape \(1, 8, 98\), and those of tiny have shape \(1, 28, 28\)"),
    ({"classes": (), "outputs": 3}, "tells 3 classes apart, and tiny has 10"),
    ({"classes": (), "outputs": 12}, None),
])
def test_a_model_that_does_not_fit_the_data(change, sentence, here, tiny, rng):
    change = {"input_shape": (1, 28, 28), "classes": tuple("0123456789"), "outputs": 10} | change
    model = bh.nn.Sequential(bh.nn.Flatten(), bh.nn.Linear(784, change.pop("outputs"), rng))
    bh.save(model, "model", **change)
    code, out, err = here("evaluate", "model", "--data", tiny)
    assert code == (1 if sentence else 0)
    if sentence:
        assert out == "" and re.search(sentence, err)


def test_a_model_of_rows_gets_grey_pictures_row_by_row(here, tiny, rng):
    linear = bh.nn.Linear(784, 10, rng)
    bh.save(bh.nn.Sequential(bh.nn.Flatten(), linear), "pictures", input_shape=(1, 28, 28))
    bh.save(bh.nn.Sequential(linear), "rows", input_shape=(784,))
    of_pictures, of_rows = (the_object(here("evaluate", name, "--data", tiny, "--json")[1]) | {"model": ""}
                            for name in ("pictures", "rows"))
    assert of_rows == of_pictures
    colours = bh.data.Dataset(np.zeros((2, 3, 2, 2), np.uint8), np.arange(2), ("a", "b"), "colours")
    with pytest.raises(ValueError, match=r"m reads inputs of shape \(12,\), and those of colours have"):
        assess(bh.files.SavedModel(linear, (12,)), colours, "m")


def test_what_gives_no_class(rng):
    points = bh.data.Dataset(np.zeros((4, 1, 6, 6), np.uint8), np.zeros(4), name="points")
    pictures = bh.files.SavedModel(bh.nn.Sequential(bh.nn.Conv2d(1, 2, 3, rng)))
    with pytest.raises(ValueError, match="the targets of points are not classes, and m answers with a class"):
        assess(pictures, points, "m")
    with pytest.raises(ValueError, match=r"m does not answer with a class: .* numbers of shape \(2, 4, 4\)"):
        assess(pictures, bh.data.Dataset(points.inputs, np.arange(4), tuple("abcd")), "m")


@pytest.mark.parametrize("shape", [(1, 28, 28), ()])
@pytest.mark.parametrize("nested", [False, True])
def test_a_last_sigmoid_of_a_single_answer_is_left_out_wherever_it_stands(shape, nested, here):
    mini, rng = bh.data.load("mini"), np.random.default_rng(0)
    two = mini.train[mini.train.targets < 2]
    net = bh.nn.Sequential(bh.nn.Flatten(), bh.nn.Linear(784, 1, rng))
    bh.fit(net, two, loss=bh.losses.binary_cross_entropy, rng=rng, epochs=3, normalize=bh.data.Normalize(),
           optimizer=bh.optim.Adam(net.parameters(), lr=0.01))
    ended = (bh.nn.Sequential(net[0], bh.nn.Sequential(net[1], bh.nn.Sigmoid())) if nested
             else bh.nn.Sequential(net[0], net[1], bh.nn.Sigmoid()))
    bh.save(ended, "two.safetensors", input_shape=shape, normalize=bh.data.Normalize(), classes=["0", "1"])
    code, out, _ = here("evaluate", "two.safetensors", "--data", "mini", "--json")
    assert code == 0 and json.loads(out)["test_accuracy"] > 0.97
