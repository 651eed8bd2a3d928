"""The commands `show` and `data show`: what they say is what is in the file, and it fits into a terminal."""

import re
from pathlib import Path
from random import Random

import numpy as np
import pytest
from command_line import the_object
from networks import small
from PIL import Image

import byhand as bh
from byhand import nn, scalar, sketch
from byhand.files import SavedModel
from byhand.assess import open_model
from byhand.files.scalar_json import write_scalar_json
from byhand.look import answer_of, chosen_image, data_facts, data_text, first_weights, model_facts, way_through

MINI = bh.data.load("mini")


@pytest.fixture
def run(here, tiny):
    """The folder of a run."""
    here("train", "relu-10", "--data", tiny, "--epochs", 20, "--out", "run", "-q")
    return Path("run")


# --- show -------------------------------------------------------------------------------------------------------------


def test_the_table_the_image_and_the_answer(run, here):
    code, out, err = here("show", run)
    saved = bh.load(run / "model.safetensors")
    image = MINI.test.inputs[0]
    assert (code, err) == (0, "") and max(map(len, out.splitlines())) <= 80
    title, table, picture, answers = out.rstrip().split("\n\n")
    assert title == f"run/model.safetensors (relu-10), {100 * saved.metrics['test_accuracy']:.2f} % of its test " \
                    "samples right"
    assert table == saved.model.summary((1, 28, 28))
    assert picture.splitlines() == sketch.picture(image)
    p = bh.metrics.probabilities(saved.predict(image[None]))[0]
    assert [line.split()[:2] for line in answers.splitlines()] == [[str(k), f"{100 * p[k]:.2f}"] for k in range(10)]


def test_a_run_shows_a_sample_of_its_own_data(here):
    np.savez("table.npz", x_train=np.eye(8), y_train=np.arange(8) % 2, x_test=np.eye(8)[2:], y_test=np.arange(6) % 2)
    assert here("train", "mlp", "--data", "table.npz", "--epochs", 1, "--out", "run", "-q")[0] == 0
    own = the_object(here("show", "run", "--index", 3, "--json")[1])["image"]
    assert own == the_object(here("show", "run", "--data", "table.npz", "--index", 3, "--json")[1])["image"]
    assert own != the_object(here("show", "run", "--json")[1])["image"]
    Path("table.npz").unlink()
    code, out, err = here("show", "run", "--json")
    assert code == 0 and the_object(out)["image"] is None and len(err.splitlines()) == 1
    assert "the data of the run run, table.npz, was read from" in err and "say where it is with --data" in err


def test_every_fact_is_in_the_json(run, here, tiny):
    found = the_object(here("show", run, "--data", tiny, "--index", 7, "--json")[1])
    saved = bh.load(run / "model.safetensors")
    assert (found["recipe"], found["input_shape"], found["parameters"]) == ("relu-10", [1, 28, 28], 7960)
    assert found["classes"] == list("0123456789") and found["metrics"] == dict(saved.metrics)
    assert found["normalize"] == saved.normalize.to_dict()
    assert [(row["name"], row["type"], row["output"], row["parameters"]) for row in found["layers"]] == [
        ("0", "Flatten", [784], 0), ("1", "Linear", [10], 7850), ("2", "ReLU", [10], 0), ("3", "Linear", [10], 110)]
    assert found["layers"][1]["settings"] == {"in_features": 784, "out_features": 10, "bias": True}
    logits = saved.predict(bh.data.load(tiny).test.inputs[7:8])
    assert found["image"]["class"] == str(logits.argmax())
    assert found["image"]["probability"] == pytest.approx(bh.metrics.probabilities(logits).max())


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_it_is_drawn(suffix, run, here):
    code, _, _ = here("show", run, "--out", f"model.{suffix}")
    assert code == 0 and Path(f"model.{suffix}").stat().st_size > 10_000
    if suffix == "svg":
        assert "<svg" in Path("model.svg").read_text()


def test_a_picture_of_the_right_size_goes_through(run, here):
    Image.fromarray(MINI.test.inputs[5, 0]).save("five.png")
    by_file = the_object(here("show", run, "--image", "five.png", "--json")[1])["image"]
    assert by_file == the_object(here("show", run, "--data", "mini", "--index", 5, "--json")[1])["image"]


@pytest.mark.parametrize("normalize", [bh.data.Normalize(0.1, 0.3), bh.data.Normalize((0.1,) * 784, 0.3)])
def test_a_network_of_rows_reads_a_picture_row_by_row(normalize, rng, here):
    """As `predict` does, and the picture and its weights are drawn as if it were a network of pictures."""
    model, picture = nn.Sequential(nn.Linear(784, 10, rng), nn.ReLU()), MINI.test.inputs[5]
    Image.fromarray(picture[0]).save("five.png")
    bh.save(model, "rows.safetensors", input_shape=(784,), normalize=normalize)
    code, out, err = here("show", "rows.safetensors", "--image", "five.png", "--out", "sheet.svg")
    assert (code, err) == (0, "") and "(N, 784)" in out and "\n".join(sketch.picture(picture)) in out
    (told,) = the_object(here("predict", "rows.safetensors", "five.png", "--json")[1])["images"]
    shown = the_object(here("show", "rows.safetensors", "--image", "five.png", "--json")[1])
    assert shown["image"]["probabilities"] == list(told["probabilities"].values()) and shown["input_shape"] == [784]
    saved = bh.load("rows.safetensors")
    np.testing.assert_allclose(way_through(saved, picture)[-1][1], saved.predict(picture.reshape(1, 784))[0], rtol=1e-5)


def test_any_other_picture_is_prepared_first(run, here):
    Image.fromarray(255 - np.pad(MINI.test.inputs[5, 0], 40)).resize((400, 400)).save("photo.png")
    shown = the_object(here("show", run, "--image", "photo.png", "--json")[1])["image"]
    (read,) = the_object(here("predict", run, "photo.png", "--json")[1])["images"]
    assert shown["class"] == read["class"] and shown["probabilities"] == list(read["probabilities"].values())


@pytest.mark.parametrize(("words", "sentence"), [
    (["--data", "mini", "--index", "1000"], "mini has 1,000 test samples, and no number 1000; the first is 0"),
    (["--image", "nothing.png"], "nothing.png"),
    (["--image", "text.png"], "text.png"),
    (["--data", "mini", "--index", "5000"], "no number 5000"),
])
def test_images_that_cannot_go_through(words, sentence, run, here):
    Path("text.png").write_text("hello")
    code, out, err = here("show", run, *words, "--out", "model.png")
    assert (code, out) == (1, "") and sentence in err and len(err.splitlines()) == 1
    assert not Path("model.png").exists()


def test_an_image_that_the_model_does_not_read(rng, tmp_path):
    model = SavedModel(nn.Sequential(nn.Linear(4, 2, rng)), (4,))
    assert chosen_image(model, Path("m"), None, None, 0, print) is None, "mini's is not for it"
    with pytest.raises(ValueError, match=r"reads samples of shape \(4,\), and a sample of mini has \(1, 28, 28\)"):
        chosen_image(model, Path("m"), None, "mini", 0, print)
    Image.fromarray(MINI.test.inputs[5, 0]).save(tmp_path / "five.png")
    with pytest.raises(ValueError, match=r"reads samples of shape \(4,\), which are not pictures"):
        chosen_image(model, Path("m"), tmp_path / "five.png", None, 0, print)
    facts = model_facts(model, "m", None)
    assert facts["image"] is None and facts["layers"][0]["output"] == [2]


@pytest.mark.parametrize("pixels", [784, 728])
def test_a_scalar_network_is_shown(pixels, here):
    write_scalar_json(scalar.Net([pixels, 10, 10], Random(0)), "net.wt")
    code, out, _ = here("show", "net.wt", "--out", "net.png")
    assert code == 0 and re.search(rf"{'Flatten' if pixels == 784 else 'FirstPixels'} +\(N, {pixels}\)", out)
    weights, laid_out = first_weights(open_model(Path("net.wt")), (1, 28, 28))
    assert weights.shape == (10, pixels) and laid_out == (1, pixels // 28, 28)


def test_the_way_has_a_step_for_each_layer_that_changes_something(rng):
    model, image = SavedModel(small(rng), (1, 6, 6), bh.data.Normalize(), ("a", "b", "c")), np.full((1, 6, 6), 200.0)
    steps = way_through(model, image)
    assert [title.split()[0] for title, _ in steps] == [
        "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Conv2d", "Tanh", "Conv2d", "Linear", "LayerNorm", "Linear"]
    np.testing.assert_array_equal(steps[-1][1], model.predict(image[None])[0])
    answer = answer_of(model, image)
    assert answer["class"] == "abc"[steps[-1][1].argmax()] and sum(answer["probabilities"]) == pytest.approx(1)
    weights, laid_out = first_weights(model, (1, 6, 6))
    assert weights.shape == (4, 1, 3, 3) and laid_out == (1, 3, 3)
    assert first_weights(SavedModel(nn.Sequential(nn.ReLU())), (3,)) is None
    assert first_weights(SavedModel(nn.Sequential(nn.Linear(3, 3, rng))), (3,)) is None


# --- data show --------------------------------------------------------------------------------------------------------


def test_a_data_set_in_a_terminal(here):
    code, out, err = here("data", "show", "mini")
    assert (code, err) == (0, "") and max(map(len, out.splitlines())) <= 80
    for said in ("mini: 5,000 training and 1,000 test samples", "mean 33.5, standard deviation 78.7",
                 "\n7       500  ██", "The first of each class", "The average of each class"):
        assert said in out
    first = MINI.train.inputs[np.flatnonzero(MINI.train.targets == 0)[0]]
    assert all(any(line.startswith(part) for line in out.splitlines()) for part in sketch.picture(first))


def test_a_data_set_as_json_and_drawn(here):
    found = the_object(here("data", "show", "mini", "--out", "mini.png", "--json")[1])
    assert found["train_counts"] == [500] * 10 and found["features"] is None and found["picture"] == "mini.png"
    with Image.open("mini.png") as picture:
        assert picture.format == "PNG" and picture.width > 1000


def set_of(inputs, targets, classes=()):
    part = bh.data.Dataset(inputs, targets, classes, "own")
    return bh.data.Splits(part, part, "here")


def test_tables_have_statistics_of_each_feature(rng):
    inputs = rng.normal(size=(50, 60))
    splits = set_of(inputs, np.arange(50) % 3, ("a", "b", "c"))
    features = data_facts(splits)["features"]
    for name, expected in (("mean", inputs.mean(axis=0)), ("std", inputs.std(axis=0)), ("min", inputs.min(axis=0)),
                           ("max", inputs.max(axis=0))):
        np.testing.assert_allclose(features[name], expected, atol=1e-12)
    text = data_text(splits, 80)
    assert re.search(rf"\n +40 +{inputs[:, 39].mean():.4g} ".replace("+{", "+{"), text) and "and 20 more" in text
    assert "Training samples of each class" in text and "average" not in text
    assert "Training samples" not in data_text(set_of(inputs, rng.normal(size=50)), 80), "targets that are no classes"


def test_color_many_classes_and_classes_without_samples(rng):
    colors = rng.integers(0, 256, (90, 3, 40, 70)).astype(np.uint8)
    targets = np.arange(90) % 30
    targets[targets == 3] = 4
    text = data_text(set_of(colors, targets, tuple(f"a class with a long name, {k}" for k in range(31))), 80)
    assert max(map(len, text.splitlines())) <= 80 and "3 channels" in text and "and 11 more classes" in text
    bh.plots.data_sheet(set_of(colors, targets)).to_bytes("png")
