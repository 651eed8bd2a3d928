"""Model files: what is saved comes back to the bit, PyTorch reads the same weights, and no file can do harm."""

import io
import json
import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from types import MappingProxyType

import numpy as np
import pytest
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes

import byhand as bh
from byhand import losses, nn
from byhand.data import Normalize
from byhand.files import ModelFileError
from byhand.files.architecture import LAYERS
from byhand.optim import Adam

# --- what is saved comes back -----------------------------------------------------------------------------------------

PICTURES, ROWS = (2, 4, 8, 8), (5, 6)

EXAMPLES = {
    "AvgPool2d": (lambda rng: nn.AvgPool2d(3, stride=2, padding=1), PICTURES),
    "BatchNorm1d": (lambda rng: nn.BatchNorm1d(6, eps=1e-3, momentum=0.2), ROWS),
    "BatchNorm2d": (lambda rng: nn.BatchNorm2d(4), PICTURES),
    "Conv2d": (lambda rng: nn.Conv2d(4, 6, (3, 2), rng, stride=2, padding=(1, 0), dilation=(1, 2), groups=2,
                                     bias=False), PICTURES),
    "Dropout": (lambda rng: nn.Dropout(0.25), ROWS),
    "ELU": (lambda rng: nn.ELU(0.5), ROWS),
    "Flatten": (lambda rng: nn.Flatten(), PICTURES),
    "GELU": (lambda rng: nn.GELU(), ROWS),
    "GlobalAvgPool2d": (lambda rng: nn.GlobalAvgPool2d(), PICTURES),
    "LayerNorm": (lambda rng: nn.LayerNorm((8, 8), eps=1e-3), PICTURES),
    "LeakyReLU": (lambda rng: nn.LeakyReLU(0.2), ROWS),
    "Linear": (lambda rng: nn.Linear(6, 3, rng), ROWS),
    "LogSoftmax": (lambda rng: nn.LogSoftmax(), ROWS),
    "MaxPool2d": (lambda rng: nn.MaxPool2d((2, 3)), PICTURES),
    "ReLU": (lambda rng: nn.ReLU(), ROWS),
    "Residual": (lambda rng: nn.Residual(nn.Linear(6, 3, rng), nn.Tanh(), shortcut=nn.Linear(6, 3, rng, bias=False)),
                 ROWS),
    "Sequential": (lambda rng: nn.Sequential(nn.Sequential(nn.Linear(6, 4, rng)), nn.Residual(nn.ReLU())), ROWS),
    "SiLU": (lambda rng: nn.SiLU(), ROWS),
    "Sigmoid": (lambda rng: nn.Sigmoid(), ROWS),
    "Softmax": (lambda rng: nn.Softmax(), ROWS),
    "Softplus": (lambda rng: nn.Softplus(), ROWS),
    "Tanh": (lambda rng: nn.Tanh(), ROWS),
}


def test_every_layer_has_a_row_here_and_in_the_format():
    layers = {name for name in nn.__all__
              if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)}
    assert set(EXAMPLES) == layers - {"Module"}
    assert set(LAYERS) == layers - {"Module", "Sequential", "Residual"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_bit_comes_back(name, dtype, rng, tmp_path):
    make, shape = EXAMPLES[name]
    model, x = make(rng).to(dtype), rng.standard_normal(shape).astype(dtype)
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
    ({"model": deep(20)}, "it has more than 2000 layers, or more than 16 levels of them"),
])
def test_what_could_not_be_read_again_is_not_written(about, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence) as error:
        bh.save(**{"model": nn.ReLU(), "path": tmp_path / "model", **about})
    assert str(error.value).endswith(".")
    assert os.listdir(tmp_path) == []


# --- PyTorch ----------------------------------------------------------------------------------------------------------


def reader(rng):
    return nn.Sequential(nn.Conv2d(1, 4, 5, rng, padding=2, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Residual(nn.Conv2d(4, 4, 3, rng, padding=1)), nn.Flatten(), nn.Linear(784, 10, rng))


def their_reader(torch):
    class Residual(torch.nn.Module):
        def __init__(self, *body):
            super().__init__()
            self.body = torch.nn.Sequential(*body)

        def forward(self, x):
            return x + self.body(x)

    t = torch.nn
    return t.Sequential(t.Conv2d(1, 4, 5, padding=2, bias=False), t.BatchNorm2d(4), t.ReLU(), t.MaxPool2d(2),
                        Residual(t.Conv2d(4, 4, 3, padding=1)), t.Flatten(), t.Linear(784, 10)).eval()


def test_pytorch_loads_a_saved_model_strictly(rng, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file as load_there
    model, x = reader(rng), rng.standard_normal((3, 1, 28, 28)).astype(np.float32)
    with nn.training(rng):
        model(x)
    bh.save(model, tmp_path / "model.safetensors")
    theirs = their_reader(torch)
    theirs.load_state_dict(load_there(tmp_path / "model.safetensors"), strict=True)
    with torch.no_grad():
        np.testing.assert_allclose(theirs(torch.from_numpy(x)).numpy(), model(x).data, rtol=1e-4, atol=1e-5)


def test_a_model_that_pytorch_saved_is_loaded_strictly(rng, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_there
    theirs, x = their_reader(torch), rng.standard_normal((3, 1, 28, 28)).astype(np.float32)
    theirs.train()(torch.from_numpy(x))
    save_there(theirs.state_dict(), tmp_path / "theirs.safetensors")
    with pytest.raises(ModelFileError, match="holds weights but no byhand network"):
        bh.load(tmp_path / "theirs.safetensors")
    model = reader(rng)
    model.load_state_dict(load_file(tmp_path / "theirs.safetensors"), strict=True)
    with torch.no_grad():
        np.testing.assert_allclose(model(x).data, theirs.eval()(torch.from_numpy(x)).numpy(), rtol=1e-4, atol=1e-5)


# --- bad files --------------------------------------------------------------------------------------------------------

PLAN = {"type": "Sequential", "layers": [{"type": "Flatten"}, {"type": "Linear", "in_features": 4, "out_features": 2}]}
TENSORS = {"1.weight": np.ones((2, 4), np.float32), "1.bias": np.zeros(2, np.float32)}
METADATA = {"format": "byhand", "version": "1", "architecture": json.dumps(PLAN), "input_shape": "[4]",
            "preprocessing": "null", "classes": '["a", "b"]', "recipe": "", "metrics": "{}"}


def file_with(tensors=TENSORS, **metadata):
    """A model file with other metadata; None leaves an entry out."""
    entries = METADATA | metadata
    return to_bytes(tensors, {name: value for name, value in entries.items() if value is not None})


def planned(*layers):
    """A model file that says that it has these layers."""
    return file_with(architecture=json.dumps({"type": "Sequential", "layers": list(layers)}))


def linear(**options):
    return {"type": "Linear", "in_features": 4, "out_features": 2} | options


def header(text, rest=b""):
    """A safetensors file with a header of one's own."""
    return len(text).to_bytes(8, "little") + text.encode() + rest


def pytorch_file():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weight": [1.0]}))
    return content.getvalue()


def nested(depth):
    plan = linear()
    for _ in range(depth):
        plan = {"type": "Sequential", "layers": [plan]}
    return plan


def test_the_file_that_the_bad_ones_differ_from_is_good(tmp_path):
    (tmp_path / "model").write_bytes(file_with())
    assert bh.load(tmp_path / "model").predict(np.ones((1, 4), np.float32)).tolist() == [[4, 4]]


BAD = {
    "empty": (b"", "is not a safetensors file, or is damaged"),
    "cut short": (file_with()[:-5], "is not a safetensors file, or is damaged"),
    "cut in the header": (file_with()[:40], "is not a safetensors file, or is damaged"),
    "random bytes": (bytes(np.random.default_rng(0).integers(0, 256, 1000, np.uint8)), "not a safetensors file"),
    "text": (b"hello, world", "not a safetensors file"),
    "a pickle": (pickle.dumps({"weight": [1.0]}), "not a safetensors file"),
    "a PyTorch file": (pytorch_file(), "not a safetensors file"),
    "a header of 2**60 bytes": ((2**60).to_bytes(8, "little") + b"{}", "not a safetensors file"),
    "a header that is no JSON": (header("{nope}"), "not a safetensors file"),
    "tensors beyond the end": (header('{"w":{"dtype":"F32","shape":[1000],"data_offsets":[0,4000]}}'),
                               "not a safetensors file"),
    "shape and bytes that differ": (header('{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}', bytes(4)),
                                    "not a safetensors file"),
    "a type that NumPy lacks": (header('{"__metadata__":{"format":"byhand"},"w":{"dtype":"BF16","shape":[2],'
                                       '"data_offsets":[0,4]}}', bytes(4)), "not a safetensors file"),
    "without metadata": (to_bytes(TENSORS), "holds weights but no byhand network"),
    "of another program": (file_with(format="pt"), "holds weights but no byhand network"),
    "of another version": (file_with(version="2"), "has format version 2, and this byhand reads version 1; update"),
    "without a version": (file_with(version=None), r"has format version \?"),
    "without an architecture": (file_with(architecture=None), "it lacks 'architecture'"),
    "without classes": (file_with(classes=None), "it lacks 'classes'"),
    "without a recipe": (file_with(recipe=None), "it lacks 'recipe'"),
    "an architecture that is no JSON": (file_with(architecture="{"), "does not describe a network"),
    "an architecture that is a list": (file_with(architecture="[]"), "not written as an object with a 'type'"),
    "a layer without a type": (planned({"in_features": 4}), "not written as an object with a 'type'"),
    "an unknown layer": (planned({"type": "Lineal"}), "it has no layer called 'Lineal'"),
    "a name of Python": (planned({"type": "__import__", "name": "os"}), "it has no layer called '__import__'"),
    "a path to a class": (planned({"type": "os.system"}), "it has no layer called 'os.system'"),
    "the base of all layers": (planned({"type": "Module"}), "it has no layer called 'Module'"),
    "a very long name": (planned({"type": "x" * 5000}), "it has no layer called 'x{40}'"),
    "a type that is a list": (planned({"type": ["Linear"]}), "not written as an object with a 'type'"),
    "an unknown option": (planned(linear(color=3)), "Linear has no option color"),
    "an option for Python only": (planned(linear(rng=1)), "Linear has no option rng"),
    "an initializer": (planned(linear(weight_init="os.system")), "Linear has no option weight_init"),
    "a missing option": (planned({"type": "Linear", "in_features": 4}), "Linear is written wrongly"),
    "text as an option": (planned(linear(in_features="4")), "'in_features' is not a number"),
    "an object as an option": (planned(linear(in_features={})), "'in_features' is not a number"),
    "NaN": (planned({"type": "Dropout", "p": float("nan")}), "'p' is nan, which does not fit"),
    "infinity": (planned({"type": "LeakyReLU", "negative_slope": float("inf")}), "'negative_slope' is inf, which"),
    "a whole number beyond floats": (planned(linear(in_features=10**400)), "'in_features' is 10{39}, which does not"),
    "more digits than Python reads": (file_with(architecture='{"type": ' + "1" * 5000 + "}"), "does not describe a"),
    "a size of a trillion": (planned(linear(in_features=10**12)), "'in_features' is 1000000000000, which does not fit"),
    "two large sizes": (planned(linear(in_features=4000, out_features=4000)), "more weights than the file holds"),
    "a negative size": (planned(linear(in_features=-4)), "whole number of at least 1, got -4"),
    "a fraction": (planned(linear(in_features=4.5)), "whole number of at least 1, got 4.5"),
    "a probability of 2": (planned({"type": "Dropout", "p": 2}), "Dropout needs a probability"),
    "groups of 0": (planned({"type": "Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": 1, "groups": 0}),
                    "whole number of at least 1, got 0"),
    "a window of three sides": (planned({"type": "MaxPool2d", "kernel_size": [1, 2, 3]}), "MaxPool2d needs its size"),
    "a window of text": (planned({"type": "MaxPool2d", "kernel_size": ["1", 2]}), "'kernel_size' is not a number"),
    "a list too long": (planned({"type": "LayerNorm", "normalized_shape": [1] * 100}), "'normalized_shape' is not a"),
    "a large product": (planned({"type": "LayerNorm", "normalized_shape": [4000, 4000]}), "does not fit into this"),
    "many norms": (planned(*[{"type": "BatchNorm1d", "num_features": 4000}] * 1500), "more weights than the file"),
    "too many layers": (planned(*[{"type": "ReLU"}] * 2_001), "more than 2000 layers"),
    "too many levels": (file_with(architecture=json.dumps(nested(20))), "more than 16 levels"),
    "nested without end": (file_with(architecture='{"type":"Sequential","layers":[' * 100_000), "nested too deep"),
    "layers that are no list": (file_with(architecture='{"type": "Sequential", "layers": 3}'), "not written as a list"),
    "a body that is no list": (planned({"type": "Residual", "body": {}, "shortcut": None}), "not written as a list"),
    "a shortcut that is a number": (planned({"type": "Residual", "body": [], "shortcut": 3}), "object with a 'type'"),
    "wrong shapes": (planned({"type": "Flatten"}, linear(in_features=3)), r"1.weight is \(2, 4\) instead of \(2, 3\)"),
    "missing tensors": (file_with({"1.weight": TENSORS["1.weight"]}), "missing: 1.bias"),
    "a tensor too many": (file_with(TENSORS | {"2.weight": np.ones(1, np.float32)}), "unexpected: 2.weight"),
    "a shape of text": (file_with(input_shape='["4"]'), "its input_shape is not a list of sizes"),
    "a shape of 0": (file_with(input_shape="[0]"), "its input_shape is not a list of sizes"),
    "classes that are numbers": (file_with(classes="[0, 1]"), "its classes are not a list of names"),
    "classes that are one text": (file_with(classes='"ab"'), "its classes are not a list of names"),
    "another preprocessing": (file_with(preprocessing='{"mean": 0}'), "is written as mean, std and scale"),
    "a spread of 0": (file_with(preprocessing='{"mean": 0, "std": 0, "scale": 1}'), "the std of a Normalize is above"),
    "a mean that is NaN": (file_with(preprocessing='{"mean": NaN, "std": 1, "scale": 1}'), "the mean of a Normalize"),
    "a mean that is text": (file_with(preprocessing='{"mean": "x", "std": 1, "scale": 1}'), "the mean of a Normalize"),
    "metrics that are a list": (file_with(metrics="[]"), "its metrics are not figures under names"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_sentence_and_nothing_is_set_aside_for_it(name, tmp_path):
    content, sentence = BAD[name]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=sentence) as error:
            bh.load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(error.value)
    assert message.startswith(f"{path} ") and message.endswith(".") and "\n" not in message and len(message) < 600
    assert peak < 16_000_000 + 20 * len(content)  # the least of the absurd claims here is 64 MB


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no model file"):
            bh.load(path)


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
