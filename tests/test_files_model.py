"""Model files: what is saved comes back to the bit. (test_files_pytorch.py: PyTorch reads the same weights.)"""

import os
import subprocess
import sys
from types import MappingProxyType

import exported
import numpy as np
import pytest
from safetensors.numpy import save as to_bytes
from safetensors.numpy import save_file

import byhand as bh
from byhand import losses, nn
from byhand.data import Normalize
from byhand.files import ModelFileError, SavedModel, load_weights
from byhand.files.architecture import LAYERS
from byhand.optim import Adam

# --- what is saved comes back -----------------------------------------------------------------------------------------


def test_every_layer_has_a_row_here_and_in_the_format():
    layers = {name for name in nn.__all__
              if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)}
    assert set(exported.ALONE) == layers - {"Module"}
    assert set(LAYERS) == layers - {"Module", "Sequential", "Residual"}


def test_the_same_model_makes_the_same_file(rng, tmp_path):
    model = nn.Sequential(nn.Linear(3, 2, rng), nn.BatchNorm1d(2))
    for n in range(8):  # in an order of chance eight entries would be alike once in a great while
        bh.save(model, tmp_path / f"{n}", classes=["ä", "b"], metrics={"test_accuracy": 0.5})
    assert len({(tmp_path / f"{n}").read_bytes() for n in range(8)}) == 1
    content = (tmp_path / "0").read_bytes()
    assert int.from_bytes(content[:8], "little") % 8 == 0, "where the numbers begin"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", exported.NETWORKS)
def test_every_bit_comes_back(name, dtype, rng, tmp_path):
    model, x = exported.network(name).to(dtype), exported.samples(name).astype(dtype)
    with nn.training(rng):
        model(x)  # moves running statistics
    bh.save(model, tmp_path / "model.safetensors")
    again = bh.load(tmp_path / "model.safetensors").model
    assert repr(again) == repr(model) and type(again) is type(model)
    before, after = model.state_dict(), again.state_dict()
    assert list(before) == list(after)
    for name in before:
        assert before[name].dtype == after[name].dtype and before[name].tobytes() == after[name].tobytes()
    assert again(x).data.tobytes() == model(x).data.tobytes() and again(x).dtype == dtype


def test_what_was_loaded_goes_on_learning(rng, tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, rng))
    bh.save(model, tmp_path / "model")
    again = bh.load(tmp_path / "model").model
    digits = bh.data.load("mini")
    for m in (model, again):
        bh.fit(m, digits.train[:200], loss=losses.cross_entropy, optimizer=Adam(m.parameters()), normalize=Normalize(),
               rng=np.random.default_rng(0))
    assert again.state_dict()["1.weight"].tobytes() == model.state_dict()["1.weight"].tobytes()


def test_the_rest_comes_back_too(rng, tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2, rng))
    about = {"input_shape": (3, 2, 2), "normalize": Normalize((0.1, 0.2, 0.3), (1.0, 2.0, 3.0)),
             "classes": ("né", "ja"), "recipe": "try",
             "metrics": {"test_accuracy": 0.1 + 0.2, "test_interval": [0.25, 0.75]}}
    bh.save(model, str(tmp_path / "model"), **about)
    saved = bh.load(str(tmp_path / "model"))
    assert {name: getattr(saved, name) for name in about} == about
    pictures = rng.integers(0, 256, (4, 3, 2, 2)).astype(np.uint8)
    np.testing.assert_array_equal(saved.predict(pictures), model(about["normalize"](pictures)).data)


def test_a_layer_of_ones_own_cannot_be_described(tmp_path):
    class Twice(nn.Module):
        def forward(self, x):
            return x + x

    class Linear(nn.Linear):
        """Not the one that would be built."""

    for layer in (Twice(), Linear(2, 2, np.random.default_rng(0))):
        with pytest.raises(ValueError, match=r"is none of them; save its state_dict\(\) instead"):
            bh.save(nn.Sequential(layer), tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_numbers_that_stand_in_a_network_twice_would_part_in_a_file(rng, tmp_path):
    layer, norm = nn.Linear(3, 3, rng), nn.BatchNorm1d(3)
    tied = nn.Linear(3, 3, rng, bias=False)
    tied.weight = layer.weight
    for network, names in [(nn.Sequential(layer, nn.ReLU(), layer), "'2.weight' and '0.weight'"),
                           (nn.Sequential(layer, tied), "'1.weight' and '0.weight'"),
                           (nn.Residual(norm, shortcut=norm), "'shortcut.weight' and 'body.0.weight'")]:
        with pytest.raises(ValueError, match=rf"{names} are the same numbers, .*; save its state_dict\(\) instead"):
            bh.save(network, tmp_path / "model")
    assert os.listdir(tmp_path) == []
    relu = nn.ReLU()
    bh.save(nn.Sequential(relu, relu), tmp_path / "model")  # nothing is shared here


def test_numpy_and_lists_may_say_it_too(rng, tmp_path):
    bh.save(nn.Sequential(nn.Linear(np.int64(2), 2, rng)), tmp_path / "model", classes=["a", np.str_("b")],
            input_shape=[np.int64(2)],
            metrics=MappingProxyType({"test_accuracy": np.float32(0.5), "test_interval": np.array([0.25, 0.75])}))
    saved = bh.load(tmp_path / "model")
    assert (saved.classes, saved.input_shape) == (("a", "b"), (2,))
    assert saved.metrics == {"test_accuracy": 0.5, "test_interval": [0.25, 0.75]}


FOUR_TO_TWO = {"model": nn.Linear(4, 2, np.random.default_rng(0)), "input_shape": (4,)}


def deep(levels):
    return nn.Sequential(deep(levels - 1)) if levels else nn.ReLU()


@pytest.mark.parametrize(("about", "sentence"), [
    ({"classes": "abc"}, "could not be read again: its classes are not a list of names"),
    ({"classes": [1, 2]}, "its classes are not a list of names"),
    ({"classes": 10}, "its classes are not a list of names"),
    ({"classes": {"a", "b"}}, r"classes must be something that JSON can hold \(it cannot hold a set\)"),
    ({"input_shape": 784}, "its input_shape is not a list of sizes of at least 1"),
    ({"input_shape": (0, 28)}, "its input_shape is not a list of sizes of at least 1"),
    ({"input_shape": (28.0,)}, "its input_shape is not a list of sizes of at least 1"),
    ({"metrics": 0.9}, "its metrics are not figures under names"),
    ({"metrics": {"test_accuracy": nn.ReLU()}}, r"metrics must be .* \(it cannot hold a ReLU\)"),
    ({"metrics": {(1, 2): 3}}, "metrics must be something that JSON can hold"),
    ({"normalize": lambda x: x / 255}, "normalize must be a byhand.data.Normalize or None, got <function"),
    ({"recipe": 5}, "recipe must be a name, got 5"),
    ({"model": "lenet"}, "str is no network, which bh.save takes; an estimator has its network in model_"),
    ({"model": bh.files.SavedModel(nn.ReLU())}, "SavedModel is no network, .* what bh.load gives in model"),
    ({"metrics": {"loss": float("nan")}}, r"metrics must be .* \(Out of range float values are not JSON compliant"),
    ({"metrics": {"interval": np.array([0.5, np.inf])}}, "metrics must be something that JSON can hold"),
    ({**FOUR_TO_TWO, "classes": "abc", "input_shape": (4,)}, "its classes are not a list of names"),
    ({**FOUR_TO_TWO, "classes": ("a", "b", "c")}, r"names 3 classes, and .* an array of shape \(2,\) instead of"),
    ({**FOUR_TO_TWO, "classes": ("a",)}, "the model names 1 classes, and its network answers with an array of shape"),
    ({**FOUR_TO_TWO, "input_shape": (5,)}, r"Linear.* cannot read samples of shape \(5,\)"),
    ({**FOUR_TO_TWO, "normalize": Normalize((0.1, 0.2))}, "this Normalize knows 2 channels, and got an array of"),
    ({"model": deep(20)}, "it has more than 2000 layers, or more than 16 levels of them"),
])
def test_what_could_not_be_read_again_is_not_written(about, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence) as error:
        bh.save(**{"model": nn.ReLU(), "path": tmp_path / "model", **about})
    assert str(error.value).endswith(".")
    assert os.listdir(tmp_path) == []
    if isinstance(about.get("model"), nn.Linear):  # the other kinds of file hold no more
        saved = SavedModel(**{"normalize": None, "classes": (), **about})
        for save in (bh.files.model_json.save, pytest.importorskip("byhand.files.onnx").save):
            with pytest.raises(ValueError, match=sentence):
                save(saved, tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_two_classes_may_be_told_by_one_number_and_none_need_be_named(rng, tmp_path):
    for outputs, classes in ((1, ("no", "yes")), (1, ()), (3, ()), (3, ("a", "b", "c"))):
        bh.save(nn.Linear(4, outputs, rng), tmp_path / "model", input_shape=(4,), classes=classes)
        assert bh.load(tmp_path / "model").classes == classes


# --- weights alone ----------------------------------------------------------------------------------------------------


def test_weights_are_loaded_into_a_network(rng, tmp_path):
    models = [nn.Sequential(nn.Linear(4, 2, rng), nn.BatchNorm1d(2)).to(dtype) for dtype in (np.float32, np.float64)]
    bh.save(models[1], tmp_path / "ours")
    save_file(models[1].state_dict(), tmp_path / "bare")
    for path in ("ours", "bare"):
        load_weights(models[0], tmp_path / path)
        assert models[0][0].weight.dtype == np.float32, "the network's own precision"
        np.testing.assert_array_equal(models[0][0].weight.data, models[1][0].weight.data.astype(np.float32))


@pytest.mark.parametrize(("content", "sentence"), [
    (to_bytes({"weight": np.ones((2, 3), np.float32)}), r"missing: bias; wrong shape: weight is \(2, 3\) instead of"),
    (to_bytes({"0.weight": np.ones(1)}), "missing: weight, bias; unexpected: 0.weight"),
    (b"hello, world", "is not a model file that byhand reads, which are safetensors, ONNX and JSON"),
    (b"\x08\x0a\x12\x06byhand", "is an ONNX file; read it with bh.files.onnx.load"),
    (b'{"format": "byhand"}', r"is JSON; read it with bh\.load\(path\)"), (b"[]", "is JSON; read it with bh.load"),
    (to_bytes({"weight": np.ones((2, 4), np.float32), "bias": np.ones(2, np.int64)}),
     "its bias is int64, where numbers such as float32 belong"),
    (to_bytes({"weight": np.full((2, 4), 1e300), "bias": np.ones(2)}), "its weight has numbers that are too large for"),
], ids=["another shape", "other names", "text", "an ONNX file", "JSON", "JSON, a list", "whole numbers", "too large"])
def test_weights_that_do_not_fit_change_nothing(content, sentence, rng, tmp_path):
    model = nn.Linear(4, 2, rng)
    before = model.state_dict()
    (tmp_path / "weights").write_bytes(content)
    with pytest.raises(ModelFileError, match=sentence) as error:
        load_weights(model, tmp_path / "weights")
    assert str(error.value).startswith(f"{tmp_path / 'weights'} ") and str(error.value).endswith(".")
    assert all(np.array_equal(model.state_dict()[name], array) for name, array in before.items())
    with pytest.raises(FileNotFoundError, match="there is no model file"):
        load_weights(model, tmp_path / "missing")


def test_weights_come_from_a_run_folder_into_a_network(rng, tmp_path):
    model, other = nn.Linear(4, 2, rng), nn.Linear(4, 2, rng)
    bh.save(model, tmp_path / "model.safetensors")
    load_weights(other, tmp_path)
    assert np.array_equal(other.weight.data, model.weight.data)
    with pytest.raises(ValueError, match=r"load_weights fills a network, such as saved\.model of what bh\.load gives, "
                       r"not <SavedModel: .*\.$"):
        load_weights(bh.load(tmp_path), tmp_path)


def test_weights_may_be_loaded_in_part(rng, tmp_path):
    model = nn.Sequential(nn.Linear(4, 2, rng), nn.Linear(2, 2, rng))
    save_file({"1.weight": np.eye(2), "9.weight": np.ones(1)}, tmp_path / "weights")
    load_weights(model, tmp_path / "weights", strict=False)
    assert model[1].weight.data.tolist() == [[1, 0], [0, 1]]


# --- places that cannot be written to ---------------------------------------------------------------------------------


def test_where_it_cannot_be_saved(rng, tmp_path):
    (tmp_path / "text").write_text("text")
    for path in (tmp_path / "missing" / "model", tmp_path / "text" / "model"):
        with pytest.raises(OSError, match="there is no folder"):
            bh.save(nn.Linear(2, 2, rng), path)
    assert os.listdir(tmp_path) == ["text"]


FULL_DISK = """
import resource, sys
import numpy as np
import byhand as bh
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # no file may grow beyond this
try:
    bh.save(bh.nn.Linear(100, 100, np.random.default_rng(0)), sys.argv[1])
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="a limit on the size of files is needed")
def test_a_full_disk_leaves_the_old_model(rng, tmp_path):
    path = tmp_path / "model"
    bh.save(nn.Linear(3, 2, rng), path)
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path} cannot be written: File too large.\n"
    assert repr(bh.load(path).model) == "Linear(in_features=3, out_features=2)"
    assert os.listdir(tmp_path) == ["model"]
