"""The command `predict`: pictures in, readings out; in words, as JSON and drawn."""

import shutil
import subprocess
from pathlib import Path
from random import Random

import numpy as np
import pytest
from command_line import command, the_object
from digit_pictures import drawn, pages, placed
from picture_files import encoded
from PIL import Image

import byhand as bh
from byhand import scalar
from byhand.files.scalar_json import write_scalar_json
from byhand.pictures import read_picture

DIGITS = [3, 8, 0]


@pytest.fixture
def model(away, digits_model):
    """A run folder beside a folder with three pictures, a page of digits and a saved test image."""
    rng = np.random.default_rng(0)
    Path("run").mkdir()
    shutil.copy(digits_model, "run/model.safetensors")
    Path("photos").mkdir()
    for digit, name in zip(DIGITS, "abc", strict=True):
        ink = placed(drawn(digit, 120, 9, rng), rng)
        Path(f"photos/{name}.png").write_bytes(encoded(np.rint(240 - 200 * ink).astype(np.uint8)))
    Path("photos/notes.txt").write_text("no picture")
    content, wanted = next(pages(1, rng))
    Path("page.png").write_bytes(content)
    Path("wanted").write_text("".join(map(str, wanted)))
    Path("test.png").write_bytes(encoded(bh.data.load("mini").test.inputs[0, 0]))
    return Path("run")


def test_each_picture_is_a_line(model, here):
    code, out, err = here("predict", model, "photos/b.png", "photos")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"photos/{name}.png" for name in "babc"]
    assert [line.split(": ")[1][0] for line in lines] == ["8", "3", "8", "0"]
    assert all(line.endswith(" %)") for line in lines)


def test_json_has_every_probability(model, here):
    code, out, err = here("predict", model, "photos", "test.png", "--json")
    told = the_object(out)
    assert (code, err, told["version"], told["model"]) == (0, "", 1, "run/model.safetensors")
    assert "error" not in told and [image["image"] for image in told["images"]][-1] == "test.png"
    assert [image["class"] for image in told["images"][:3]] == list(map(str, DIGITS))
    for image in told["images"]:
        assert list(image["probabilities"]) == list("0123456789")
        assert sum(image["probabilities"].values()) == pytest.approx(1)
        assert image["probability"] == max(image["probabilities"].values()) == image["probabilities"][image["class"]]
    saved, mini = bh.load(model / "model.safetensors"), bh.data.load("mini").test
    expected = bh.metrics.probabilities(saved.predict(mini.inputs[:1]))[0]
    assert list(told["images"][-1]["probabilities"].values()) == expected.tolist()


def test_many_digits_have_boxes_in_reading_order(model, here):
    wanted = Path("wanted").read_text()
    code, out, err = here("predict", model, "page.png", "--many")
    first, *others = out.splitlines()
    assert (code, err) == (0, "") and first.startswith("page.png: ") and len(others) == len(wanted)
    assert first.removeprefix("page.png: ").replace(" / ", "") == wanted
    _, out, _ = here("predict", model, "page.png", "--many", "--json")
    (image,) = the_object(out)["images"]
    height, width = read_picture("page.png").shape[:2]
    for digit, label, line in zip(image["digits"], wanted, others, strict=True):
        left, top, right, bottom = digit["box"]
        assert digit["class"] == label and 0 <= left < right <= width and 0 <= top < bottom <= height
        assert line.startswith(f"  columns {left} to {right}, rows {top} to {bottom}: {label} (")


def test_that_there_are_many_is_noticed(model, here):
    code, out, err = here("predict", model, "page.png")
    assert code == 0 and len(out.splitlines()) == 1
    assert err == (f"on page.png there seem to be {len(Path('wanted').read_text())} digits; --many reads each of "
                   "them.\n")
    assert here("predict", model, "page.png", "--quiet")[2] == ""


def test_the_steps_are_drawn(model, here):
    code, _, err = here("predict", model, "photos", "test.png", "--show", "steps.png")
    assert (code, err) == (0, "")
    steps = read_picture("steps.png")
    _, out, _ = here("predict", model, "page.png", "--many", "--show", "many.PNG", "--json")
    assert the_object(out)["show"] == "many.PNG"
    assert steps.shape[0] > 4 * 300 and read_picture("many.PNG").shape[0] > 600
    assert not list(Path().glob(".*.tmp"))


def test_only_so_many_steps_are_drawn(model, here):
    code, out, err = here("predict", model, *["test.png"] * 43, "--show", "steps.png")
    assert (code, err, len(out.splitlines())) == (0, "steps.png shows the first 40 of 43 rows.\n", 43)
    height, width, _ = read_picture("steps.png").shape
    assert 1.1 < width / height < 2.3 and 40 <= height * width / (400 * (32 + 2 * 332 + 420)) < 43


def test_standard_input_is_read(model):
    words = command("predict", "run", "-", "photos/a.png", "--json", "--threads", 1)
    done = subprocess.run(words, input=Path("photos/c.png").read_bytes(), capture_output=True, timeout=60)
    told = the_object(done.stdout.decode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert [(image["image"], image["class"]) for image in told["images"]] == [("standard input", "0"),
                                                                              ("photos/a.png", "3")]


def test_as_is_prepares_nothing(model, here):
    prepared, as_it_is = (the_object(here("predict", model, "photos/a.png", "--json", *options)[1])["images"][0]
                          for options in ([], ["--as-is"]))
    saved = bh.load(model / "model.safetensors")
    small = np.asarray(Image.open("photos/a.png").resize((28, 28), Image.Resampling.BILINEAR))
    expected = bh.metrics.probabilities(saved.predict(small[None, None]))[0]
    assert list(as_it_is["probabilities"].values()) == expected.tolist()
    assert as_it_is["probabilities"] != prepared["probabilities"]


def test_a_scalar_network_reads_pictures_too(model, here):
    write_scalar_json(scalar.Net([784, 5, 10], Random(0)), Path("net.json"))
    code, out, err = here("predict", "net.json", "photos/a.png", "--json")
    (image,) = the_object(out)["images"]
    assert (code, err) == (0, "") and list(image["probabilities"]) == list("0123456789")


@pytest.mark.parametrize("kind", ["json", "onnx"])
def test_a_model_of_another_format_reads_the_same(kind, model, here):
    if kind == "onnx":
        pytest.importorskip("onnx")
    here("export", model, "--to", kind, *["--preprocessing"] * (kind == "onnx"), "-q")
    (_, expected, _), (code, out, err) = (here("predict", path, "photos") for path in (model, f"run/model.{kind}"))
    assert (code, err) == (0, "") and out == expected


@pytest.mark.parametrize("command", ["evaluate", "export", "predict", "show"])
def test_the_help_says_which_models_it_takes(command, here):
    assert "a run folder, or a model file of any kind (byhand's own, ONNX, JSON)." in " ".join(
        here(command, "--help")[1].split())


def test_a_model_of_two_digits_knows_two(model, here, tiny):
    here("train", "binary-zero-one", "--data", tiny, "--epochs", 30, "--out", "two", "-q")
    code, out, _ = here("predict", "two", "photos/c.png", "--json")
    (image,) = the_object(out)["images"]
    assert code == 0 and list(image["probabilities"]) == ["0", "1"] and image["class"] == "0"
