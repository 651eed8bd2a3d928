"""A network as JSON: what is written comes back to the last bit, a person can read and write it, and what is not a
network is refused in a sentence."""

import json
import random
import re
import tracemalloc

import exported
import numpy as np
import pytest
from networks import TINY, assert_same

import byhand as bh
from byhand import nn, scalar
from byhand.data import Normalize
from byhand.files import ModelFileError, SavedModel, model_json, plain_json
from byhand.files.reading import on_arrays, on_numbers
from byhand.files.scalar_json import read_scalar_json, write_scalar_json

# --- there and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", exported.NETWORKS)
def test_every_bit_comes_back(name, dtype, tmp_path):
    means = (1 / 3,) * exported.NETWORKS[name][0][0]
    saved = exported.saved(name, Normalize(means, 0.25), classes=exported.classes_of(name), recipe="mlp",
                           metrics={"test_accuracy": 0.1})
    saved.model.to(dtype)
    model_json.save(saved, tmp_path / "model.json")
    again = bh.load(tmp_path / "model.json")
    assert_same(again.model.state_dict(), saved.model.state_dict())
    assert repr(again.model) == repr(saved.model) and again.normalize == saved.normalize
    assert (again.input_shape, again.classes, again.recipe, again.metrics) == (
        saved.input_shape, saved.classes, saved.recipe, saved.metrics)
    assert {a.dtype for a in again.model.state_dict().values()} == {a.dtype for a in saved.model.state_dict().values()}


def test_odd_numbers_come_back(tmp_path):
    odd = [1 / 3, 1e-45, -3.4028235e38, 1e-30, 16777217, 0.1, -0.0, 1e10, 123456.79, 5e-324, 1.7976931348623157e308]
    for dtype, numbers in ((np.float32, odd[:-2]), (np.float64, odd)):
        layer = nn.Linear(1, len(numbers), np.random.default_rng(0), dtype=dtype)
        layer.load_state_dict({"weight": np.zeros((len(numbers), 1)), "bias": np.array(numbers, dtype)})
        model_json.save(SavedModel(layer), tmp_path / "model.json")
        assert bh.load(tmp_path / "model.json").model.bias.data.tobytes() == np.array(numbers, dtype).tobytes()


def test_random_bits_come_back(tmp_path, rng):
    numbers = rng.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32)
    layer = nn.Linear(1, len(numbers), rng)
    layer.load_state_dict({"weight": np.zeros((len(numbers), 1)), "bias": np.where(np.isfinite(numbers), numbers, 0)})
    model_json.save(SavedModel(layer), tmp_path / "model.json")
    assert bh.load(tmp_path / "model.json").model.bias.data.tobytes() == layer.bias.data.tobytes()


# --- for people -------------------------------------------------------------------------------------------------------

EXCLUSIVE_OR = """
{"format": "byhand", "version": 1, "recipe": "", "input_shape": [2], "classes": ["same", "different"], "metrics": {},
 "preprocessing": null, "dtype": "float32", "comment": "written by hand",
 "architecture": {"type": "Sequential", "layers": [
     {"type": "Linear", "in_features": 2, "out_features": 2},
     {"type": "ReLU"},
     {"type": "Linear", "in_features": 2, "out_features": 2, "bias": false}]},
 "weights": {
     "0.weight": [[1, 1], [1, 1]],
     "0.bias": [0, -1],
     "2.weight": [[-1, 4], [1, -4]]}}
"""


def test_a_network_can_be_written_by_hand(tmp_path):
    (tmp_path / "xor.json").write_text(EXCLUSIVE_OR)
    answers = bh.load(tmp_path / "xor.json").predict(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
    assert answers.argmax(axis=1)[1:].tolist() == [1, 1, 0]


def test_a_person_can_read_it(tmp_path, rng):
    network = nn.Sequential(nn.Linear(3, 2, rng), nn.Tanh(), nn.Linear(2, 1, rng))
    network.load_state_dict({"0.weight": [[0.5, -1, 0.1], [2, 0.25, 1e-5]], "0.bias": [0, 1],
                             "2.weight": [[3, -4]], "2.bias": [0.125]})
    model_json.save(SavedModel(network, (3,), Normalize(), ("no", "yes"), "mine", {"test_accuracy": 0.5}),
                    tmp_path / "model.json")
    assert (tmp_path / "model.json").read_text() == """\
{"format": "byhand",
 "version": 1,
 "recipe": "mine",
 "input_shape": [3],
 "classes": ["no", "yes"],
 "metrics": {"test_accuracy": 0.5},
 "dtype": "float32",
 "preprocessing": {"mean": 0.0, "std": 1.0, "scale": 0.00392156862745098},
 "architecture": {"type": "Sequential", "layers": [
  {"type": "Linear", "in_features": 3, "out_features": 2, "bias": true},
  {"type": "Tanh"},
  {"type": "Linear", "in_features": 2, "out_features": 1, "bias": true}]},
 "weights": {
  "0.weight": [[0.5, -1.0, 0.1],
   [2.0, 0.25, 1e-05]],
  "0.bias": [0.0, 1.0],
  "2.weight": [[3.0, -4.0]],
  "2.bias": [0.125]}}
"""


def test_lines_stay_short(tmp_path):
    model_json.save(exported.saved("norm of a picture"), tmp_path / "model.json")
    assert max(map(len, (tmp_path / "model.json").read_text().splitlines())) <= 120


# --- the scalar tutorial's layout -------------------------------------------------------------------------------------


def test_a_scalar_network_becomes_arrays_and_numbers_again(tmp_path, rng):
    net = scalar.Net([6, 4, 3], random.Random(0))
    again = on_numbers(on_arrays(net))
    assert again.sizes == net.sizes and [p.data for p in again.parameters()] == [p.data for p in net.parameters()]
    write_scalar_json(again, tmp_path / "net.wt")
    inputs = rng.integers(0, 256, (5, 6))
    assert np.array_equal(bh.load(tmp_path / "net.wt").predict(inputs), on_arrays(net).predict(inputs))


def test_a_network_of_arrays_that_is_like_it_too(rng):
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, rng, bias=False), nn.ReLU(), nn.Dropout(0.1),
                          nn.Sequential(nn.Linear(3, 2, rng), nn.ReLU()))
    saved = SavedModel(model, (1, 2, 2), Normalize())
    picture = rng.integers(0, 256, (1, 1, 2, 2)).astype(np.uint8)
    net = on_numbers(saved)
    found = [float(y) for y in net((picture / 255).ravel().tolist())]
    np.testing.assert_allclose(found, saved.predict(picture)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("layers", "normalize", "sentence"), [
    (lambda r: [nn.Linear(2, 2, r)], Normalize(), "linear layers with relu after each, the last one too"),
    (lambda r: [], Normalize(), "linear layers with relu after each"),
    (lambda r: [nn.Linear(2, 2, r), nn.Tanh()], Normalize(), "linear layers with relu after each"),
    (lambda r: [nn.ReLU(), nn.Linear(2, 2, r)], Normalize(), "linear layers with relu after each"),
    (lambda r: [nn.Residual(nn.Linear(2, 2, r)), nn.ReLU()], Normalize(), "linear layers with relu after each"),
    (lambda r: [nn.Linear(2, 2, r), nn.ReLU()], None, "pixels divided by 255, and this model normalizes"),
    (lambda r: [nn.Linear(2, 2, r), nn.ReLU()], Normalize(0.1, 0.3), "pixels divided by 255"),
])
def test_other_networks_have_no_place_in_that_layout(layers, normalize, sentence, rng):
    with pytest.raises(ValueError, match=sentence):
        on_numbers(SavedModel(nn.Sequential(*layers(rng)), (2,), normalize))


# --- the commands -----------------------------------------------------------------------------------------------------


def test_commands_take_it(here, digits_model):
    model_json.save(bh.load(digits_model), "digits.json")
    code, out, _ = here("evaluate", "digits.json", "--data", "mini", "--json")
    found = json.loads(out)
    code, out, _ = here("evaluate", digits_model, "--data", "mini", "--json")
    assert code == 0 and found | {"model": ""} == json.loads(out) | {"model": ""}


# --- bad files --------------------------------------------------------------------------------------------------------

GOOD = json.loads(EXCLUSIVE_OR)


def having(**facts):
    """A good file with something exchanged, or left out (...)."""
    return json.dumps({key: value for key, value in (GOOD | facts).items() if value is not ...})


def weighing(name="0.bias", value=...):
    return having(weights={key: part for key, part in (GOOD["weights"] | {name: value}).items() if part is not ...})


def layer(**options):
    return having(architecture={"type": "Linear", "in_features": 2, "out_features": 2, **options})


def nested(depth):
    plan = {"type": "ReLU"}
    for _ in range(depth):
        plan = {"type": "Sequential", "layers": [plan]}
    return plan


BAD = {
    "cut short": (EXCLUSIVE_OR[:300], "it is no JSON"),
    "something behind it": (EXCLUSIVE_OR + "}", "it is no JSON"),
    "not text": (b'{"format": "byhand' + b"\xff\xfe", "it is no JSON"),
    "nested without end": ('{"a":' + "[" * 100_000, r"it is no JSON \(it is nested too deep\)"),
    "a key twice": (EXCLUSIVE_OR.replace('"version": 1', '"version": 1, "version": 2'), "'version' stands twice"),
    "an empty object": ("{}", "not an object with the format 'byhand'"),
    "another format": (having(format="onnx"), "not an object with the format 'byhand'"),
    "a newer version": (having(version=2), "format version 2, and this byhand reads version 1; update byhand"),
    "a version that paints": (having(version="\x1b[2J"), r'format version "\\u001b\[2J", and'),
    "a version that goes on": (having(version="9" * 5000), 'format version "9{19}, and'),
    "a version that is true": (having(version=True), "format version true, and this byhand reads version 1; update"),
    "a version with a point": (having(version=1.0), r"format version 1\.0, and this byhand reads version 1; update"),
    **{f"without {key}": (having(**{key: ...}), f"it lacks '{key}'")
       for key in ("version", "recipe", "input_shape", "classes", "metrics", "preprocessing", "dtype", "architecture",
                   "weights")},
    "another dtype": (having(dtype="object"), "its dtype is neither 'float32' nor 'float64'"),
    "a dtype that is a list": (having(dtype=["float32"]), "its dtype is neither"),
    "weights that are a list": (having(weights=[]), "its weights are not lists of numbers under names"),
    "a weight that is missing": (weighing(), "missing: 0.bias"),
    "a weight too many": (weighing("3.weight", [1]), "unexpected: 3.weight"),
    "too few numbers": (weighing(value=[1]), r"0.bias is \(1,\) instead of \(2,\)"),
    "one list too many": (weighing(value=[[1, 2]]), r"0.bias is \(1, 2\) instead of \(2,\)"),
    "no list": (weighing(value=1.5), r"0.bias is \(\) instead of \(2,\)"),
    "a whole number": (weighing(value=1), r"0.bias is \(\) instead of \(2,\)"),
    "lists that differ": (weighing("0.weight", [[1, 2], [3]]), "the lists of '0.weight' differ in length"),
    "a number among lists": (weighing("0.weight", [[1, 2], 3]), "the lists of '0.weight' differ in length"),
    "lists among numbers": (weighing("0.weight", [1, [2]]), "'0.weight' has something that is no finite number"),
    "an empty list": (weighing(value=[]), "'0.bias' has an empty list"),
    "lists in lists in lists": (weighing(value=[[[[[[[[[[1]]]]]]]]]]), "'0.bias' has .* more than 8 lists"),
    "text": (weighing(value=["1", "2"]), "'0.bias' has something that is no finite number"),
    "nothing": (weighing(value=None), "'0.bias' has something that is no finite number"),
    "an object": (weighing(value={"0": 1}), "'0.bias' has something that is no finite number"),
    "a truth value": (weighing(value=[True, 0.5]), "'0.bias' has something that is no finite number"),
    "NaN": (weighing(value=[float("nan"), 0]), "'0.bias' has something that is no finite number"),
    "infinity": (weighing(value=[float("-inf"), 0]), "'0.bias' has something that is no finite number"),
    "beyond float32": (weighing(value=[1e300, 0]), "is no finite number of the dtype float32"),
    "a very large whole number": (weighing(value=[10**400, 0]), "'0.bias' has something that is no finite number"),
    "a very large count": (weighing(value=10**400), "'0.bias' has something that is no finite number"),
    "more digits than Python reads": (EXCLUSIVE_OR.replace("-1]", f"{'1' * 5000}]"), "it is no JSON"),
    "a name without end": (weighing("x" * 5000, [None]), "'x{40}' has something"),
    "a name that paints": (weighing("\x1b[2J", [None]), r"'\\x1b\[2J' has something"),
    "an unknown layer": (having(architecture={"type": "os.system"}), "it has no layer called 'os.system'"),
    "an initializer": (layer(weight_init="os.system"), "Linear has no option weight_init"),
    "a size of a trillion": (layer(in_features=10**12), "'in_features' is 1000000000000, which does not fit"),
    "two large sizes": (layer(in_features=2000, out_features=2000), "more weights than the file holds"),
    "too many levels": (having(architecture=nested(20)), "more than 16 levels"),
    "an architecture that is text": (having(architecture='{"type": "ReLU"}'), "not written as an object with a 'type'"),
    "a shape of text": (having(input_shape=["2"]), "its input_shape is not a list of sizes"),
    "classes that are numbers": (having(classes=[0, 1]), "its classes are not a list of names"),
    "a recipe that is a number": (having(recipe=3), "its recipe is not a name"),
    "a recipe that paints": (having(recipe="\x1b[31m"), "its recipe is not a name"),
    "metrics that are a list": (having(metrics=[]), "its metrics are not figures under names"),
    "another preprocessing": (having(preprocessing={"mean": 0}), "is written as mean, std and scale"),
    "a spread of 0": (having(preprocessing={"mean": 0, "std": 0, "scale": 1}), "the std of a Normalize is above 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_sentence_and_nothing_is_set_aside_for_it(name, tmp_path):
    content, sentence = BAD[name]
    path = tmp_path / "bad.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=sentence) as error:
            bh.load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(error.value)
    assert message.startswith(f"{path} does not describe a network: ") and message.endswith(".")
    assert message.isprintable() and len(message) < 600
    assert peak < 4_000_000 + 30 * len(content)


def test_a_file_beyond_all_reason_is_not_even_read(tmp_path):
    path = tmp_path / "huge.json"
    path.write_text(EXCLUSIVE_OR.strip())
    with path.open("r+b") as file:
        file.truncate(plain_json.LARGEST + 1)  # sparse: takes no room on the disk
    with pytest.raises(ModelFileError, match="more than the 67,108,864 bytes"):
        bh.load(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.json does not exist"):
        model_json.load(tmp_path / "no.json")
    with pytest.raises(ModelFileError, match="it is a folder or a device"):
        model_json.load(tmp_path)


@pytest.mark.parametrize("name", ["cut short", "a newer version", "an unknown layer", "NaN"])
def test_the_command_names_the_file_and_fails(name, here):
    with open("model.json", "w", encoding="utf-8") as file:
        file.write(BAD[name][0])
    code, out, err = here("evaluate", "model.json", "--data", "mini")
    assert (code, out) == (1, "") and err.startswith("byhand: model.json ") and err.count("\n") == 1


# --- what is not written ----------------------------------------------------------------------------------------------


class Own(nn.Module):
    """A layer of one's own."""


def broken(value):
    made = nn.Linear(2, 2, np.random.default_rng(0))
    made.bias.data[1] = value
    return SavedModel(made)


def shared():
    made = nn.Linear(2, 2, np.random.default_rng(0))
    return SavedModel(nn.Sequential(made, made))


NOT_WRITTEN = {
    "a layer of one's own": (lambda: SavedModel(Own()), "byhand's own layers, and Own is none of them"),
    "weights that stand in it twice": (shared, "are the same numbers"),
    "NaN": (lambda: broken(np.nan), "bias has a number that is infinite or none at all, which JSON cannot hold"),
    "infinity": (lambda: broken(-np.inf), "bias has a number that is infinite or none at all"),
    "a large network": (lambda: SavedModel(nn.Linear(2000, 1001, np.random.default_rng(0))),
                        "has 2,003,001 numbers, and JSON is for networks of at most 2,000,000; save it as safetensors"),
    "classes that are no names": (lambda: SavedModel(nn.ReLU(), classes=(1, 2)), "not be read again: its classes"),
    "metrics that JSON cannot hold": (lambda: SavedModel(nn.ReLU(), metrics={"x": object()}),
                                      "metrics must be something that JSON can hold"),
}


@pytest.mark.parametrize("name", NOT_WRITTEN)
def test_what_could_not_be_read_again_is_not_written(name, tmp_path):
    make, sentence = NOT_WRITTEN[name]
    with pytest.raises(ValueError, match=sentence) as error:
        model_json.save(make(), tmp_path / "model.json")
    assert re.fullmatch(r"[^\n]+\.", str(error.value)) and not any(tmp_path.iterdir())


def test_the_largest_that_is_written_can_be_read():
    """Each number takes up to 25 letters."""
    assert model_json.MOST_NUMBERS * 28 < plain_json.LARGEST


def test_the_published_layout_is_still_told_apart(tmp_path):
    (tmp_path / "tiny.wt").write_text(json.dumps(TINY))
    assert read_scalar_json(tmp_path / "tiny.wt").sizes == [3, 2, 1]
