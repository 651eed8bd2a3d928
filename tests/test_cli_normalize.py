"""The option --normalize: a model of another program is judged on the numbers that it was trained on, or else it is
said which are assumed."""

import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import the_object
from picture_files import encoded

import byhand as bh
from byhand import nn
from byhand.cli.normalization import as_trained
from byhand.data import Normalize
from byhand.assess import open_model

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

MINI = bh.data.load("mini")
AS_IN_THE_LECTURE = Normalize(0.1307, 0.3081)
SILENT = "theirs.onnx does not say how its inputs were normalized in training; "
ASSUMED = (f"{SILENT}pixels from 0 to 1 are assumed. If that is wrong, give --normalize MEAN,STD of such pixels, or "
           "--normalize none for pixels from 0 to 255.\n")
AS_THEY_ARE = f"{SILENT}they are taken as they are. If that is wrong, give --normalize MEAN,STD.\n"


def network(rng, normalize=AS_IN_THE_LECTURE, shape=(1, 28, 28)):
    """The weights and bias of a linear network that has learned from samples so normalized."""
    inputs = MINI.train.inputs.reshape(len(MINI.train), *shape) if shape != (3, 28, 28) else np.tile(
        MINI.train.inputs, (1, 3, 1, 1))
    model = nn.Sequential(nn.Flatten(), nn.Linear(inputs[0].size, 10, rng))
    bh.fit(model, bh.data.Dataset(inputs, MINI.train.targets), loss=bh.losses.cross_entropy, normalize=normalize,
           rng=rng, epochs=2, validation=None, optimizer=bh.optim.Adam(model.parameters(), lr=0.001))
    return model[1].weight.data.T, model[1].bias.data


INSIDE = [helper.make_node("Sub", ["x", "mean"], ["c"]), helper.make_node("Div", ["c", "std"], ["z"])]


def write(path, weights, shape=(1, 28, 28), kind=TensorProto.FLOAT, before=(), mean=33.3, std=78.6):
    """An ONNX file as another program might write it: a network on flattened samples, perhaps with steps before it."""
    weight, bias = weights
    arrays = [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in
              (("W", weight), ("b", bias), ("mean", np.float32(mean)), ("std", np.float32(std)))]
    start = before[-1].output[0] if before else "x"
    nodes = [*before, helper.make_node("Flatten", [start], ["flat"]),
             helper.make_node("Gemm", ["flat", "W", "b"], ["y"])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, ["N", *shape])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])], arrays)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture
def theirs(away, rng):
    """A file that says nothing of how its pictures were normalized, as they mostly do, and a picture."""
    write("theirs.onnx", network(rng))
    Path("four.png").write_bytes(encoded(MINI.test.inputs[0, 0]))
    return Path("theirs.onnx")


def accuracy(path, normalize, inputs=MINI.test.inputs):
    """How often the network in a file is right on samples that are so normalized."""
    saved = replace(bh.files.onnx.load(path), normalize=normalize)
    return float((saved.predict(inputs).argmax(axis=1) == MINI.test.targets).mean())


def written_by_pytorch(path, exporter):
    """A small network that PyTorch has trained on normalized digits and exported. Returns its accuracy there."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    t = torch.nn
    model = t.Sequential(t.Conv2d(1, 6, 5, stride=2), t.ReLU(), t.Flatten(), t.Linear(6 * 12 * 12, 10))
    x, test = (torch.from_numpy(AS_IN_THE_LECTURE(part.inputs)) for part in (MINI.train, MINI.test))
    y = torch.from_numpy(MINI.train.targets.astype(np.int64))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for i in range(0, len(x), 50):
        optimizer.zero_grad()
        t.functional.cross_entropy(model(x[i:i + 50]), y[i:i + 50]).backward()
        optimizer.step()
    options = {"dynamic_axes": {"x": {0: "batch"}, "y": {0: "batch"}}, "dynamo": False}
    if exporter == "torch.export":
        pytest.importorskip("onnxscript")
        options = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), "dynamo": True, "external_data": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own
        torch.onnx.export(model.eval(), (x[:2],), path, input_names=["x"], output_names=["y"], verbose=False, **options)
    with torch.no_grad():
        return float((model(test).argmax(dim=1).numpy() == MINI.test.targets).mean())


# --- what it changes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exporter", [pytest.param("torch.export", marks=pytest.mark.slow), "TorchScript"])
def test_a_network_of_pytorch_is_as_good_as_it_was_there(exporter, here, capsys):
    expected = written_by_pytorch("theirs.onnx", exporter)
    capsys.readouterr()  # what PyTorch's exporter has to say
    code, out, err = here("evaluate", "theirs.onnx", "--data", "mini", "--normalize", "0.1307,0.3081", "--json")
    told = the_object(out)
    assert (code, err, told["test_accuracy"]) == (0, "", pytest.approx(expected, abs=0.002)) and expected > 0.85
    assert told["normalize"] == AS_IN_THE_LECTURE.to_dict()
    code, out, err = here("evaluate", "theirs.onnx", "--data", "mini", "--json")
    assumed = the_object(out)
    assert (code, err) == (0, ASSUMED) and assumed["calibration_error"] > told["calibration_error"] + 0.05
    assert here("evaluate", "theirs.onnx", "--data", "mini", "--quiet")[2] == ""


@pytest.mark.parametrize(("option", "normalize", "said"), [
    ((), Normalize(), ASSUMED), (("--normalize", "0.1307,0.3081"), AS_IN_THE_LECTURE, ""),
    (("--normalize", " 0.1307, 3081e-4"), AS_IN_THE_LECTURE, ""), ("--normalize=-1,2", Normalize(-1.0, 2.0), ""),
    (("--normalize", "none"), None, "")], ids=str)
def test_every_command_takes_it(option, normalize, said, theirs, here):
    option = [option] if isinstance(option, str) else option
    code, out, err = here("evaluate", theirs, "--data", "mini", "--json", *option)
    expected = None if normalize is None else normalize.to_dict()
    assert (code, err, the_object(out)["normalize"]) == (0, said, expected)
    assert the_object(out)["test_accuracy"] == pytest.approx(accuracy(theirs, normalize))
    probabilities = bh.metrics.probabilities(
        replace(bh.files.onnx.load(theirs), normalize=normalize).predict(MINI.test.inputs[:1]))[0].tolist()
    code, out, err = here("predict", theirs, "four.png", "--json", *option)
    (image,) = the_object(out)["images"]
    assert (code, err, list(image["probabilities"].values())) == (0, said, probabilities)
    code, out, err = here("show", theirs, "--image", "four.png", "--json", *option)
    assert (code, err, the_object(out)["image"]["probabilities"]) == (0, said, probabilities)
    assert the_object(out)["normalize"] == expected
    code, out, err = here("export", theirs, "--to", "json", "--out", "ours.json", "--json", *option)
    assert (code, err, the_object(out)["normalize"]) == (0, said, expected)
    assert bh.load("ours.json").normalize == normalize


def test_what_was_exported_with_it_says_it_itself(theirs, here):
    here("export", theirs, "--to", "onnx", "--preprocessing", "--normalize", "0.1307,0.3081", "--out", "ours.onnx")
    code, out, err = here("evaluate", "ours.onnx", "--data", "mini", "--json")
    assert (code, err) == (0, "")
    assert the_object(out)["test_accuracy"] == pytest.approx(accuracy(theirs, AS_IN_THE_LECTURE))


def test_colours_have_numbers_of_their_own(here, rng):
    by_colour = Normalize((0.5, 0.1, 0.2), (0.3, 0.2, 0.1))
    write("theirs.onnx", network(rng, by_colour, (3, 28, 28)), (3, 28, 28))
    pictures = np.tile(MINI.test.inputs, (1, 3, 1, 1))
    np.savez("colours.npz", x_train=pictures[:10], y_train=MINI.test.targets[:10], x_test=pictures,
             y_test=MINI.test.targets)
    code, out, err = here("evaluate", "theirs.onnx", "--data", "colours.npz", "--normalize",
                          "0.5,0.1,0.2,0.3,0.2,0.1", "--json")
    assert (code, err, the_object(out)["normalize"]) == (0, "", by_colour.to_dict())
    assert the_object(out)["test_accuracy"] == pytest.approx(accuracy("theirs.onnx", by_colour, pictures))


@pytest.mark.parametrize("shape", [(784,), (1, 28, 28)], ids=["rows", "pictures"])
def test_numbers_that_are_no_bytes_are_not_divided_by_255(shape, here, rng):
    inputs = (MINI.test.inputs / 255).astype(np.float32).reshape(-1, *shape)
    write("theirs.onnx", network(rng, shape=shape), shape)
    np.savez("numbers.npz", x_train=inputs[:10], y_train=MINI.test.targets[:10], x_test=inputs,
             y_test=MINI.test.targets)
    words = ["evaluate", "theirs.onnx", "--data", "numbers.npz", "--json"]
    code, out, err = here(*words, "--normalize", "0.1307,0.3081")
    told = the_object(out)
    assert (code, err, told["normalize"]) == (0, "", {"mean": 0.1307, "std": 0.3081, "scale": 1.0})
    assert told["test_accuracy"] == pytest.approx(accuracy("theirs.onnx", Normalize(0.1307, 0.3081, 1.0), inputs))
    code, out, err = here(*words)
    assert (code, err, the_object(out)["normalize"]) == (0, AS_THEY_ARE, None)
    code, out, err = here("show", "theirs.onnx", "--data", "numbers.npz", "--json", "--normalize", "0.1307,0.3081")
    assert (code, err, the_object(out)["normalize"]) == (0, "", told["normalize"])


# --- graphs that normalize floats themselves --------------------------------------------------------------------------


COMES_IN = ("theirs.onnx normalizes its inputs itself; pixels from 0 to 1 are assumed to come into it. If that is "
            "wrong, give --normalize none for pixels from 0 to 255.\n")


@pytest.mark.parametrize(("option", "scale", "said"), [((), 1 / 255, COMES_IN), (("--normalize", "none"), 1.0, "")])
def test_pixels_from_0_to_1_are_assumed_to_come_into_it(option, scale, said, here, rng):
    weights = network(rng)
    write("theirs.onnx", weights, before=INSIDE, mean=0.1307, std=0.3081)
    write("core.onnx", weights)
    expected = {"mean": pytest.approx(0.1307), "std": pytest.approx(0.3081), "scale": scale}
    right = accuracy("core.onnx", Normalize(0.1307, 0.3081, scale))
    code, out, err = here("evaluate", "theirs.onnx", "--data", "mini", "--json", *option)
    assert (code, err, the_object(out)["normalize"]) == (0, said, expected)
    assert the_object(out)["test_accuracy"] == pytest.approx(right)
    for form in ("safetensors", "json"):
        code, out, err = here("export", "theirs.onnx", "--to", form, "--out", f"ours.{form}", "--json", *option)
        assert (code, err, the_object(out)["normalize"]) == (0, said, expected)
        assert bh.load(f"ours.{form}").normalize.to_dict() == expected
    code, out, err = here("export", "theirs.onnx", "--to", "c", "--int8", "--data", "mini", "--json", *option)
    assert (code, err, the_object(out)["normalize"]) == (0, said, expected)
    assert the_object(out)["int8"]["float_test_accuracy"] == pytest.approx(right)
    in_c = re.search(r"input_scale\[1\] = \{\s+(\S+)f,", Path("theirs.c").read_text())[1]
    assert float(in_c) == pytest.approx(scale / 0.3081)


def test_it_is_not_normalized_twice(here, rng):
    write("theirs.onnx", network(rng), before=INSIDE, mean=0.1307, std=0.3081)
    for command in COMMANDS[:1] + COMMANDS[2:]:
        code, out, err = here(command[0], "theirs.onnx", *command[1:], "--normalize", "0.1307,0.3081")
        assert (code, out) == (2, "") and err.splitlines()[-1] == (
            "byhand: theirs.onnx says itself how its inputs are normalized; leave out --normalize, or give --normalize "
            "none if it takes pixels from 0 to 255.")
    with pytest.raises(ValueError, match=r"theirs\.onnx says itself how its samples are normalized; leave out norm"):
        bh.files.onnx.load("theirs.onnx", normalize=AS_IN_THE_LECTURE)


GOES_IN = ("theirs.onnx normalizes its inputs itself, and rows go in as they are: they have to be what they were "
           "in its training, pixels from 0 to 1 for instance, and not from 0 to 255.\n")


@pytest.mark.parametrize(("data", "said"), [("mini", COMES_IN), ("rows.npz", "")])
def test_rows_are_pixels_if_they_are_bytes(data, said, here):
    """As skl2onnx writes a pipeline with a scaler."""
    pytest.importorskip("sklearn")
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pixels = (MINI.train.inputs.reshape(-1, 784) / 255).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        pipeline = make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=5, random_state=0))
        pipeline.fit(pixels, MINI.train.targets)
    Path("theirs.onnx").write_bytes(to_onnx(pipeline, pixels[:1]).SerializeToString())
    rows = (MINI.test.inputs.reshape(-1, 784) / 255).astype(np.float32)
    right = pytest.approx(pipeline.score(rows, MINI.test.targets))
    np.savez("rows.npz", x_train=rows[:10], y_train=MINI.test.targets[:10], x_test=rows, y_test=MINI.test.targets)
    code, out, err = here("evaluate", "theirs.onnx", "--data", data, "--json")
    assert (code, err) == (0, said)
    assert the_object(out)["test_accuracy"] == right
    code, out, err = here("export", "theirs.onnx", "--to", "c", "--int8", "--data", data, "--json")
    assert (code, err) == (0, said or GOES_IN)
    assert the_object(out)["normalize"]["scale"] == (1 / 255 if said else 1), "C reads what it was measured on"
    assert the_object(out)["int8"]["float_test_accuracy"] == right
    code, out, err = here("export", "theirs.onnx", "--to", "safetensors", "--json")
    assert (code, err) == (0, GOES_IN) and the_object(out)["normalize"]["scale"] == 1
    code, out, err = here("evaluate", "theirs.onnx", "--data", data, "--normalize", "0.1,0.3")
    assert (code, out) == (2, "") and len(err.splitlines()[-1]) < 160


# --- where nothing has to be said -------------------------------------------------------------------------------------


def test_a_graph_that_reads_bytes_reads_them_as_they_are(here, rng):
    cast = helper.make_node("Cast", ["x"], ["numbers"], to=TensorProto.FLOAT)
    write("theirs.onnx", network(rng, None), kind=TensorProto.UINT8, before=[cast])
    code, out, err = here("evaluate", "theirs.onnx", "--data", "mini", "--json")
    assert (code, err, the_object(out)["normalize"]) == (0, "", None)
    assert the_object(out)["test_accuracy"] == pytest.approx(accuracy("theirs.onnx", None))


def test_byhands_own_files_say_it_even_if_it_is_nothing(here, rng):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, rng))
    bh.save(model, "ours.safetensors", input_shape=(1, 28, 28))
    here("export", "ours.safetensors", "--to", "onnx")
    for path in ("ours.safetensors", "ours.onnx"):
        code, out, err = here("evaluate", path, "--data", "mini", "--json")
        assert (code, err, the_object(out)["normalize"]) == (0, "", None)
        told = the_object(here("evaluate", path, "--data", "mini", "--json", "--normalize", "0.1307,0.3081")[1])
        assert told["normalize"] == AS_IN_THE_LECTURE.to_dict(), "who forgot it can add it"


def test_from_python_a_network_gets_what_it_is_given(theirs):
    saved = bh.files.onnx.load(theirs)
    assert saved.normalize is None and not saved.normalize_known
    told = bh.files.onnx.load(theirs, normalize=AS_IN_THE_LECTURE)
    assert told.normalize == AS_IN_THE_LECTURE and told.normalize_known
    assert as_trained(open_model(theirs), None, theirs).normalize == Normalize()


@pytest.mark.parametrize("command", ["evaluate", "predict", "show", "export"])
def test_the_help_says_it(command, here):
    said = here(command, "--help")[1]
    assert "--normalize MEAN,STD How inputs were normalized in training, where another program's file does not say" in (
        " ".join(said.split())) and max(map(len, said.splitlines())) <= 80


# --- bad input --------------------------------------------------------------------------------------------------------


COMMANDS = [["evaluate", "--data", "mini"], ["predict", "four.png"], ["show"], ["export", "--to", "c"]]


@pytest.mark.parametrize(("value", "says"), [
    ("0.5", r"'0\.5' is not MEAN,STD, such as 0\.1307,0\.3081 .*, or none\."),
    ("0.1,0.2,0.3", r"'0\.1,0\.2,0\.3' is not MEAN,STD"), ("", "'' is not MEAN,STD"), (",", "',' is not MEAN,STD"),
    ("mnist", "'mnist' is not MEAN,STD"), ("0.1;0.2", "is not MEAN,STD"), ("none,none", "is not MEAN,STD"),
    ("nan,1", "'nan,1' is not MEAN,STD"), ("0,inf", "'0,inf' is not MEAN,STD"), ("0,1e999", "is not MEAN,STD"),
    ("0.1,0", r"'0\.1,0' has a deviation that is not above 0; give MEAN,STD"), ("0.1,-0.2", "has a deviation that is"),
    ("1,2,3,4,5,6", r"3 means and 3 deviations, .* theirs\.onnx has the shape \(1, 28, 28\); give 1 of each\."),
], ids=repr)
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_bad_values_are_one_sentence(words, value, says, theirs, here):
    before = sorted(Path().iterdir())
    code, out, err = here(words[0], theirs, *words[1:], "--normalize", value)
    last = err.splitlines()[-1]
    assert (code, out) == (2, "") and last.startswith("byhand: ") and re.search(says, last), err
    assert "Traceback" not in err and sorted(Path().iterdir()) == before


@pytest.mark.parametrize("value", ["0.1307,0.3081", "none"])
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_what_a_file_says_itself_is_not_contradicted(words, value, theirs, here, rng):
    write("theirs.onnx", network(rng), before=INSIDE)
    bh.save(nn.Sequential(nn.Flatten(), nn.Linear(784, 10, rng)), "ours.safetensors", input_shape=(1, 28, 28),
            normalize=Normalize(0.2, 0.3))
    for path in ("theirs.onnx", "ours.safetensors"):
        assert here(words[0], path, *words[1:], "--quiet", *["--out", f"{path}.c"] * (words[0] == "export"))[0] == 0
        code, out, err = here(words[0], path, *words[1:], "--normalize", value)
        assert (code, out) == (2, "")
        assert err.splitlines()[-1] == (f"byhand: {path} says itself how its inputs are normalized; leave out "
                                        "--normalize.")
