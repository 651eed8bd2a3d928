"""Model files that are damaged, wrong or hostile: each is refused in one sentence, and none can do harm: nothing in
it is run, imported or unpickled, and no memory is set aside for what is not there."""

import gzip
import io
import json
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from networks import TINY
from safetensors.numpy import save as to_bytes

import byhand as bh
from byhand.files import ModelFileError, plain_json
from byhand.files.scalar_json import read_scalar_json

# --- safetensors ------------------------------------------------------------------------------------------------------

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


class Mischief:
    """A pickle of this makes a folder where it is opened."""

    def __reduce__(self):
        return os.mkdir, ("mischief",)


def archive(*names_and_contents):
    """A ZIP archive of files with these contents."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, inside in zip(names_and_contents[::2], names_and_contents[1::2], strict=True):
            file.writestr(name, inside)
    return content.getvalue()


def tensor(name="w", dtype="F32", size=2, begin=0):
    """An entry of a safetensors header: `size` numbers of 4 bytes."""
    return f'"{name}":{{"dtype":"{dtype}","shape":[{size}],"data_offsets":[{begin},{begin + 4 * size}]}}'


def normalizing(**changes):
    """A model file with another preprocessing."""
    return file_with(preprocessing=json.dumps({"mean": 0, "std": 1, "scale": 1} | changes))


def nested(depth):
    plan = linear()
    for _ in range(depth):
        plan = {"type": "Sequential", "layers": [plan]}
    return plan


def test_the_file_that_the_bad_ones_differ_from_is_good(tmp_path):
    (tmp_path / "model").write_bytes(file_with())
    assert bh.load(tmp_path / "model").predict(np.ones((1, 4), np.float32)).tolist() == [[4, 4]]


UNKNOWN = r"is not a model file that byhand reads, which are safetensors, ONNX and JSON\.$"
BAD = {
    "empty": (b"", "is empty"),
    "cut short": (file_with()[:-5], "is not a safetensors file, or is damaged"),
    "cut in the header": (file_with()[:40], "is not a safetensors file, or is damaged"),
    "random bytes": (bytes(np.random.default_rng(0).integers(0, 256, 1000, np.uint8)), UNKNOWN),
    "text": (b"hello, world", UNKNOWN),
    "arrays of NumPy": (archive("weight.npy", b""), UNKNOWN),
    "a program in TorchScript": (archive("a/data/0", bytes(9999), "a/data.pkl", b"", "a/constants.pkl", b""),
                                 "is a program, as torch.jit.save writes; if you trust it, these two lines turn it"),
    "a pickle": (pickle.dumps(Mischief()), r"is a pickle, which can run code when it is opened, .* \(by skl2onnx, if"),
    "a pickle of long ago": (pickle.dumps(Mischief(), protocol=2), "is a pickle"),
    "a PyTorch file": (archive("archive/data.pkl", pickle.dumps(Mischief())), "is a pickle, as torch.save writes, which"
                       " can run code"),
    "an ONNX file": (b"\x08\x0a\x12\x06byhand", "is not an ONNX file, or is damaged"),
    "a zipped model": (gzip.compress(file_with()), UNKNOWN),
    "a header of 2**60 bytes": ((2**60).to_bytes(8, "little") + b"{}", "not a safetensors file"),
    "a header of 2**64-1 bytes": (b"\xff" * 8 + b"{}", "not a safetensors file"),
    "a header longer than the file": (len(file_with()).to_bytes(8, "little") + file_with()[8:], "not a safetensors"),
    "a header of nothing": (bytes(8), UNKNOWN),
    "a header that is no JSON": (header("{nope}"), "not a safetensors file"),
    "a header that is a list": (header("[]"), UNKNOWN),
    "a header without end": (header('{"a":' * 5000), "not a safetensors file"),
    "metadata that is no text": (header('{"__metadata__":{"format":7}}'), "not a safetensors file"),
    "the same tensor twice": (header(f"{{{tensor()},{tensor()}}}", bytes(8)), "the key 'w' stands twice"),
    "the same metadata twice": (header('{"__metadata__":{"version":"1","version":"2"}}'), "the key 'version' stands"),
    "tensors beyond the end": (header(f"{{{tensor(size=1000)}}}"), "not a safetensors file"),
    "tensors that overlap": (header(f'{{{tensor("a")},{tensor("b", begin=4)}}}', bytes(12)), "not a safetensors file"),
    "bytes of no tensor": (header(f'{{{tensor("a")},{tensor("b", begin=12)}}}', bytes(20)), "not a safetensors file"),
    "bytes after the end": (file_with() + b"more", "not a safetensors file"),
    "a tensor that ends before it begins": (header('{"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}', bytes(8)),
                                            "not a safetensors file"),
    "shape and bytes that differ": (header('{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}', bytes(4)),
                                    "not a safetensors file"),
    "a shape of 2**63": (header('{"w":{"dtype":"F32","shape":[4294967296,2147483648],"data_offsets":[0,4]}}', bytes(4)),
                         "not a safetensors file"),
    "an unknown dtype": (header(f'{{{tensor(dtype="F33")}}}', bytes(8)), "not a safetensors file"),
    "a dtype that clears the screen": (header(f'{{{tensor(dtype=chr(92) + "u001b[2J")}}}', bytes(8)), r"`\\x1b\[2J`"),
    "a type that NumPy lacks": (header('{"__metadata__":{"format":"byhand"},"w":{"dtype":"F8_E4M3","shape":[2],'
                                       '"data_offsets":[0,2]}}', bytes(2)), "w holds F8_E4M3, which NumPy has no type"),
    "pairs of numbers": (header('{"w":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}', bytes(8)), "w holds C64"),
    "weights that are whole numbers": (file_with({k: v.astype(np.int64) for k, v in TENSORS.items()}),
                                       "its 1.weight is int64, where numbers such as float32 belong"),
    "weights that are truth values": (file_with({k: v.astype(bool) for k, v in TENSORS.items()}), "1.weight is bool"),
    "without metadata": (to_bytes(TENSORS), "holds weights but no byhand network"),
    "of another program": (file_with(format="pt"), "holds weights but no byhand network"),
    "of a newer version": (file_with(version="2"), "has format version 2, and this byhand reads version 1; update"),
    "of a version that goes on": (file_with(version="9" * 5000), "has format version 9{20}, and this byhand"),
    "of a version that clears the screen": (file_with(version="\x1b[2J\n"), r"has format version \\x1b\[2J, and this"),
    "without a version": (file_with(version=None), r"has format version \?"),
    "without an architecture": (file_with(architecture=None), "it lacks 'architecture'"),
    "without classes": (file_with(classes=None), "it lacks 'classes'"),
    "without a recipe": (file_with(recipe=None), "it lacks 'recipe'"),
    "an architecture that is no JSON": (file_with(architecture="{"), "does not describe a network"),
    "a plan that says two things": (file_with(architecture=json.dumps(PLAN)[:-1] + ', "type": "Residual"}'),
                                    "the key 'type' stands twice"),
    "an architecture that is a list": (file_with(architecture="[]"), "not written as an object with a 'type'"),
    "a layer without a type": (planned({"in_features": 4}), "not written as an object with a 'type'"),
    "an unknown layer": (planned({"type": "Lineal"}), "it has no layer called 'Lineal'"),
    "a name of Python": (planned({"type": "__import__", "name": "os"}), "it has no layer called '__import__'"),
    "a path to a class": (planned({"type": "os.system"}), "it has no layer called 'os.system'"),
    "a path to a file": (planned({"type": "../layer.py"}), "it has no layer called '../layer.py'"),
    "a file to read": (planned(linear(weights="weights.npy")), "Linear has no option weights"),
    "a module to import": (planned(linear(module="os")), "Linear has no option module"),
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
    "a shape beyond memory": (file_with(input_shape="[100000, 100000, 3]"), "its input_shape is beyond 16,777,216"),
    "a shape of 300 digits": (file_with(input_shape=f"[{'9' * 300}]"), "its input_shape is beyond 16,777,216"),
    "a shape of 3,000 dimensions": (file_with(input_shape=str([1] * 3000)), "its input_shape is beyond .* or 8 dim"),
    "classes that are numbers": (file_with(classes="[0, 1]"), "its classes are not a list of names"),
    "classes that are one text": (file_with(classes='"ab"'), "its classes are not a list of names"),
    "two classes of one name": (file_with(classes='["a", "a"]'), "two of its classes have the same name"),
    "another preprocessing": (file_with(preprocessing='{"mean": 0}'), "is written as mean, std and scale"),
    "a very long preprocessing": (file_with(preprocessing=json.dumps({"mean": ["x"] * 1000})), "is written as mean"),
    "a spread of 0": (normalizing(std=0), "the std of a Normalize is above"),
    "a mean that is NaN": (normalizing(mean=float("nan")), "the mean of a Normalize"),
    "a mean beyond floats": (normalizing(mean=10**400), "the mean of a Normalize"),
    "a mean that is text": (normalizing(mean="x"), "the mean of a Normalize"),
    "metrics that are a list": (file_with(metrics="[]"), "its metrics are not figures under names"),
    "metrics nested without end": (file_with(metrics="[" * 50_000), "nested too deep"),
    "a recipe that paints the terminal": (file_with(recipe="\x1b[31mred"), "its recipe is not a name"),
    "a recipe that goes on": (file_with(recipe="fast" * 100), "its recipe is not a name"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_sentence_and_nothing_is_set_aside_for_it(name, tmp_path, monkeypatch):
    content, sentence = BAD[name]
    if name == "an ONNX file":
        pytest.importorskip("byhand.files.onnx")  # now: the memory of the library is not that of the file
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    monkeypatch.chdir(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=sentence) as error:
            bh.load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(error.value)
    assert message.startswith(f"{path} ") and message.endswith(".") and "\n" not in message and len(message) < 600
    assert peak < 4_000_000 + 20 * len(content)
    assert [file.name for file in tmp_path.iterdir()] == ["bad.safetensors"], "nothing in it was run"


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no model(\.safetensors in it| file .*missing)\.$"):
            bh.load(path)


@pytest.mark.parametrize("name", ["empty", "a pickle", "cut short", "of a newer version", "a name of Python"])
def test_the_command_names_the_file_and_fails(name, here):
    with open("model", "wb") as file:
        file.write(BAD[name][0])
    code, out, err = here("evaluate", "model", "--data", "mini")
    assert (code, out) == (1, "") and err.startswith("byhand: model ") and err.count("\n") == 1


@pytest.mark.parametrize(("content", "sentence"), [
    (file_with(classes='["a"]'), r"names 1 classes, and its network answers"),
    (file_with(classes='["a", "b", "c"]'), r"names 3 classes, and its network answers .* shape \(2,\) instead"),
    (file_with(TENSORS | {"1.bias": np.full(2, np.nan, np.float32)}), "answers with NaN, not with numbers"),
    (normalizing(mean=1e300, std=1e-300), "the inputs of sample 0 .* are not all finite numbers"),
], ids=["fewer classes than outputs", "more classes than outputs", "weights that are NaN", "odd normalization"])
def test_a_file_that_can_be_read_and_makes_no_sense(content, sentence, tmp_path):
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        bh.load(tmp_path / "model").predict(np.ones((3, 4), np.float32))


# --- the JSON of scalar networks --------------------------------------------------------------------------------------

def changed(*keys, to):
    """TINY as text, with one value exchanged."""
    layers = json.loads(json.dumps(TINY))
    place = layers
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    return json.dumps(layers)


NEURON = (0, "neurons", 1)
NOT_FINITE = "layer 0, neuron 1 has a weight or bias that is not a finite number"


@pytest.mark.parametrize(("content", "sentence"), [
    ("", "it is no JSON"),
    ("[{", "it is no JSON"),
    (b"\xff\xfe\xfd", "it is no JSON"),
    (gzip.compress(json.dumps(TINY).encode()), "it is no JSON"),
    ("1" * 5000, "it is no JSON"),
    (json.dumps(TINY).replace('"ncount": 2', '"ncount": 9, "ncount": 2'), "the key 'ncount' stands twice"),
    ("[" * 100_000, "it is no JSON (it is nested too deep)"),
    ("{}", "it must be a list of at least one layer"),
    ("[]", "it must be a list of at least one layer"),
    ("3", "it must be a list of at least one layer"),
    ("[3]", "layer 0 must be an object with the keys label, ncount, neurons, wcount; it is 3"),
    ("[{}]", "layer 0 must be an object with the keys label, ncount, neurons, wcount; it has the keys ''"),
    (json.dumps([TINY[0] | {"activation": "tanh"}]), "it has the keys 'label, ncount, wcount, neurons, activat..."),
    (changed(0, "label", to=7), "layer 0 needs a text under 'label', got 7"),
    (changed(0, "ncount", to=3), "layer 0 says ncount 3, and 'neurons' holds 2"),
    (changed(0, "ncount", to=10**12), "layer 0 says ncount 1000000000000, and 'neurons' holds 2"),
    (changed(0, "ncount", to=-2), "layer 0 says ncount -2, and 'neurons' holds 2"),
    (changed(0, "ncount", to=2.0), "layer 0 says ncount 2.0, and 'neurons' holds 2"),
    (changed(1, "ncount", to=True), "layer 1 says ncount True, and 'neurons' holds 1"),
    (changed(0, "ncount", to="2" * 100), f"layer 0 says ncount '{'2' * 39}..., and"),
    (changed(0, "neurons", to=[]), "layer 0 needs a list of at least one value under 'neurons'"),
    (changed(0, "neurons", to={"a": 1}), "layer 0 needs a list of at least one value under 'neurons'"),
    (changed(0, "wcount", to=4), "layer 0 says wcount 4, and its neuron 0 has 3 weights"),
    (changed(0, "wcount", to=3.0), "layer 0 says wcount 3.0, and its neuron 0 has 3 weights"),
    (changed(0, "wcount", to=[3]), "layer 0 says wcount list, and its neuron 0 has 3 weights"),
    (changed(*NEURON, to=None), "layer 0, neuron 1 must be an object with the keys bias, data, wcount; it is None"),
    (changed(*NEURON, "data", to=[1.0, 2.0]), "layer 0, neuron 1 says wcount 3, and 'data' holds 2"),
    (changed(*NEURON, "data", to=[]), "layer 0, neuron 1 needs a list of at least one value under 'data'"),
    (changed(*NEURON, "data", to="abc"), "layer 0, neuron 1 needs a list of at least one value under 'data'"),
    (changed(*NEURON, "wcount", to=2), "layer 0, neuron 1 says wcount 2, and 'data' holds 3"),
    (changed(*NEURON, to={"data": [1.0], "bias": 0.0, "wcount": 1}), "says wcount 3, and its neuron 1 has 1 weights"),
    (changed(*NEURON, "data", 0, to=float("nan")), NOT_FINITE),
    (changed(*NEURON, "data", 2, to=float("-inf")), NOT_FINITE),
    (changed(*NEURON, "data", 0, to=10**400), NOT_FINITE),
    (changed(*NEURON, "data", 0, to="0.5"), NOT_FINITE),
    (changed(*NEURON, "data", 0, to=True), NOT_FINITE),
    (changed(*NEURON, "bias", to=None), NOT_FINITE),
    (changed(*NEURON, "bias", to=[0.5]), NOT_FINITE),
    (json.dumps([TINY[1], TINY[0]]), "layer 1 has 3 weights a neuron, and the layer before it has 1 neurons"),
])
def test_a_file_that_is_not_a_whole_network_is_refused_in_a_sentence(tmp_path, content, sentence):
    path = tmp_path / "bad.wt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError) as caught:
        read_scalar_json(path)
    assert str(caught.value).startswith(f"{path} is not a scalar network: ")
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.wt does not exist"):
        read_scalar_json(tmp_path / "none.wt")
    with pytest.raises(ValueError, match="folder"):
        read_scalar_json(tmp_path)


def test_a_file_beyond_all_reason_is_not_even_read(tmp_path):
    path = tmp_path / "huge.wt"
    with path.open("wb") as file:
        file.truncate(plain_json.LARGEST + 1)  # sparse: takes no room on the disk
    with pytest.raises(ValueError, match="more than the 67,108,864 bytes"):
        read_scalar_json(path)
