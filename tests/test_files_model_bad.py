"""Model files that are damaged, wrong or hostile: no file can do harm."""

import io
import json
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save as to_bytes

import byhand as bh
from byhand.files import ModelFileError

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
    assert peak < 4_000_000 + 20 * len(content)


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no model file"):
            bh.load(path)
