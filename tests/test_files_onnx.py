"""Networks as ONNX files: the format's own checker passes them, ONNX Runtime gives the same numbers, and what is loaded
again is what was saved."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import exported
import numpy as np
import pytest
from networks import small

import byhand as bh
from byhand import nn
from byhand.data import Normalize
from byhand.files import SavedModel

onnx = pytest.importorskip("onnx")
NOT_IN_FLOAT64 = {"AvgPool2d", "Conv2d", "ELU", "GELU", "GlobalAvgPool2d", "LeakyReLU", "Softplus"}
"""What ONNX Runtime computes in float32 only."""
ABOUT = {"normalize": Normalize(0.1307, 0.3081), "classes": ("né", "ja"), "recipe": "try",
         "metrics": {"test_accuracy": 0.1 + 0.2, "test_interval": [0.25, 0.75]}}


def run(path, x):
    """What ONNX Runtime answers."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["input"]
    return session.run(["output"], {"input": x})[0]


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


# --- the same numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fold", [False, True], ids=["as it is", "folded"])
@pytest.mark.parametrize("name", exported.NETWORKS)
def test_every_network_gives_the_same_numbers(name, fold, tmp_path):
    model, x = exported.network(name), exported.samples(name)
    path = tmp_path / "model.onnx"
    bh.files.onnx.save(model, path, input_shape=x.shape[1:], fold_batch_norm=fold)
    for batch in (x, x[:1]):
        found = run(path, batch)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, model(batch).data, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", exported.NETWORKS)
def test_every_network_gives_the_same_numbers_in_float64(name, tmp_path):
    x = exported.samples(name).astype(np.float64)
    norm = nn.LayerNorm(x.shape[-1])  # makes a network of float64 of any layer
    model = nn.Sequential(norm, exported.network(name)).to(np.float64)
    path = tmp_path / "model.onnx"
    bh.files.onnx.save(model, path, input_shape=x.shape[1:])
    if not NOT_IN_FLOAT64 & exported.layers_of(model):
        found = run(path, x)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, model(x).data, rtol=1e-8, atol=1e-8)


def test_large_numbers_do_not_overflow(rng, tmp_path):
    x = np.array([[-1e4, -90, -20, 20, 90, 1e4]], np.float32)
    for layer in (nn.Softplus(), nn.Sigmoid(), nn.SiLU(), nn.GELU(), nn.Tanh(), nn.ELU(), nn.Softmax(),
                  nn.LogSoftmax()):
        bh.files.onnx.save(layer, tmp_path / "model.onnx", input_shape=(6,))
        np.testing.assert_allclose(run(tmp_path / "model.onnx", x), layer(x).data, rtol=1e-5, atol=1e-5)


# --- preprocessing inside ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize", [
    Normalize(0.1307, 0.3081), Normalize((0.1, 0.2, 0.3), (1.0, 2.0, 3.0)), Normalize((0.1, 0.2, 0.3), 0.5), None])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bytes_go_in_where_the_preprocessing_is_inside(dtype, normalize, rng, tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2, rng)).to(dtype)
    saved = SavedModel(model, (3, 2, 2), normalize)
    pictures = rng.integers(0, 256, (5, 3, 2, 2)).astype(np.uint8)
    bh.files.onnx.save(saved, tmp_path / "model.onnx", preprocessing=True)
    found = run(tmp_path / "model.onnx", pictures)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, saved.predict(pictures), rtol=1e-5, atol=1e-5 * np.abs(found).max())


def test_rows_of_a_table_go_in_as_numbers(rng, tmp_path):
    rows = rng.normal(50, 10, (9, 3)).astype(np.float32)
    normalize = Normalize.fit(bh.data.Dataset(rows, np.zeros(9, np.int64)))
    saved = SavedModel(nn.Linear(3, 2, rng), (3,), normalize)
    bh.files.onnx.save(saved, tmp_path / "model.onnx", preprocessing=True)
    np.testing.assert_allclose(run(tmp_path / "model.onnx", rows), saved.predict(rows), rtol=1e-5, atol=1e-5)


def test_only_pictures_go_in_as_bytes(rng, tmp_path):
    rows = rng.normal(5, 2, (9, 3, 4)).astype(np.float32)  # of two axes, a series of numbers
    saved = SavedModel(nn.Sequential(nn.Flatten(), nn.Linear(12, 2, rng)), (3, 4), Normalize(5.0, 2.0, scale=1.0))
    bh.files.onnx.save(saved, tmp_path / "model.onnx", preprocessing=True)
    np.testing.assert_allclose(run(tmp_path / "model.onnx", rows), saved.predict(rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("theirs", [False, True])
def test_the_normalization_can_be_told_where_the_file_says_none(theirs, rng, tmp_path):
    model, path, pictures = small(rng), tmp_path / "model.onnx", rng.integers(0, 256, (4, 1, 6, 6)).astype(np.uint8)
    for said, told, used in ((None, None, None), (None, Normalize(0.1, 0.3), Normalize(0.1, 0.3)),
                             (Normalize(0.5, 0.5), None, Normalize(0.5, 0.5))):
        bh.files.onnx.save(SavedModel(model, (1, 6, 6), said), path, preprocessing=True)
        if theirs:
            file = onnx.load(path)
            del file.metadata_props[:]
            onnx.save(file, path)
        found = bh.files.onnx.load(path, normalize=told)
        assert theirs or found.normalize == used
        np.testing.assert_allclose(found.predict(pictures), bh.predict(model, pictures, normalize=used), rtol=1e-4,
                                   atol=1e-4)
    with pytest.raises(ValueError, match=r"model\.onnx says itself how its samples are normalized; leave out norm"):
        bh.files.onnx.load(path, normalize=Normalize(0.1, 0.3))
    with pytest.raises(ValueError, match=r"normalize must be a byhand\.data\.Normalize or None, got 0\.5"):
        bh.files.onnx.load(path, normalize=0.5)


# --- batch norm folded ------------------------------------------------------------------------------------------------


def test_folded_batch_norms_are_gone_and_the_answers_are_the_same(rng, tmp_path):
    model = nn.Sequential(
        nn.BatchNorm2d(1), nn.Sequential(nn.Conv2d(1, 4, 3, rng, bias=False)), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Residual(nn.Conv2d(4, 4, 1, rng), nn.BatchNorm2d(4), shortcut=nn.Sequential(
            nn.Conv2d(4, 4, 1, rng), nn.BatchNorm2d(4))),
        nn.Flatten(), nn.Linear(144, 3, rng), nn.BatchNorm1d(3))
    with nn.training(rng):
        for _ in range(3):  # running statistics that are not the first ones
            model(rng.normal(2, 3, (4, 1, 8, 8)).astype(np.float32))
    x = rng.standard_normal((4, 1, 8, 8)).astype(np.float32)
    before = model.state_dict()
    bh.files.onnx.save(model, tmp_path / "as it is.onnx", input_shape=(1, 8, 8))
    bh.files.onnx.save(model, tmp_path / "folded.onnx", input_shape=(1, 8, 8), fold_batch_norm=True)
    assert operators(tmp_path / "as it is.onnx").count("BatchNormalization") == 5
    assert operators(tmp_path / "folded.onnx").count("BatchNormalization") == 1, "the first follows no weights"
    for path in tmp_path.glob("*.onnx"):
        np.testing.assert_allclose(run(path, x), model(x).data, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(bh.files.onnx.load(path).predict(x), model(x).data, rtol=1e-4, atol=1e-5)
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())


# --- what is loaded is what was saved ---------------------------------------------------------------------------------


@pytest.mark.parametrize("preprocessing", [False, True], ids=["network alone", "with preprocessing"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", exported.NETWORKS)
def test_every_bit_comes_back(name, dtype, preprocessing, tmp_path):
    saved = exported.saved(name, **ABOUT | {"classes": exported.classes_of(name)})
    model = saved.model.to(dtype)
    bh.files.onnx.save(saved, tmp_path / "model.onnx", preprocessing=preprocessing)
    again = bh.files.onnx.load(tmp_path / "model.onnx")
    assert repr(again.model) == repr(model) and type(again.model) is type(model)
    assert replace(again, model=model) == saved
    before, after = model.state_dict(), again.model.state_dict()
    assert list(before) == list(after)
    for key, array in before.items():
        assert array.dtype == after[key].dtype and array.tobytes() == after[key].tobytes()


@pytest.mark.parametrize("preprocessing", [False, True])
@pytest.mark.parametrize("name", exported.NETWORKS)
def test_the_graph_alone_gives_the_same_network(name, preprocessing, rng, tmp_path):
    """Without the metadata it is anybody's graph."""
    saved, x = exported.saved(name, ABOUT["normalize"]), exported.samples(name)
    path = tmp_path / "model.onnx"
    bh.files.onnx.save(saved, path, preprocessing=preprocessing)
    file = onnx.load(path)
    del file.metadata_props[:]
    onnx.save(file, path)
    raw = rng.integers(0, 256, x.shape).astype(np.uint8) if preprocessing else x
    expected = bh.predict(saved.model, raw, normalize=saved.normalize if preprocessing else None)
    np.testing.assert_allclose(bh.files.onnx.load(path).predict(raw), expected, rtol=1e-5, atol=1e-5)


def test_the_graph_is_believed_more_than_the_metadata(rng, tmp_path):
    model, x = nn.Sequential(nn.Linear(6, 3, rng), nn.ReLU()), rng.standard_normal((5, 6)).astype(np.float32)
    bh.files.onnx.save(model, tmp_path / "model.onnx", input_shape=(6,))
    file = onnx.load(tmp_path / "model.onnx")
    file.graph.node[1].op_type = "Tanh"
    onnx.save(file, tmp_path / "model.onnx")
    again = bh.files.onnx.load(tmp_path / "model.onnx")
    assert isinstance(again.model[1], nn.Tanh)
    np.testing.assert_allclose(again.predict(x), run(tmp_path / "model.onnx", x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "factor"), [("preprocessing.scale", 2), ("1.weight", 3)])
def test_numbers_that_were_changed_in_the_graph_are_the_ones_that_count(name, factor, rng, tmp_path):
    path, pictures = tmp_path / "model.onnx", rng.integers(0, 256, (5, 1, 2, 3)).astype(np.uint8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 3, rng))
    bh.files.onnx.save(SavedModel(model, (1, 2, 3), Normalize(0.5, 0.25)), path, preprocessing=True)
    before, file = run(path, pictures), onnx.load(path)
    for tensor in file.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(onnx.numpy_helper.from_array(factor * onnx.numpy_helper.to_array(tensor), name))
    onnx.save(file, path)
    assert not np.allclose(run(path, pictures), before, rtol=0.1), "it makes a difference"
    np.testing.assert_allclose(bh.files.onnx.load(path).predict(pictures), run(path, pictures), rtol=1e-4, atol=1e-4)


def test_what_other_tools_add_changes_nothing(rng, tmp_path):
    bh.files.onnx.save(small(rng), tmp_path / "model.onnx", input_shape=(1, 6, 6))
    file = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "model.onnx"))
    file.doc_string, file.graph.doc_string = "looked at", "by somebody"
    onnx.save(file, tmp_path / "model.onnx")
    assert repr(bh.files.onnx.load(tmp_path / "model.onnx").model) == repr(small(rng))


# --- the file ---------------------------------------------------------------------------------------------------------


def test_what_is_in_the_file(rng, tmp_path):
    saved = SavedModel(small(rng), (1, 6, 6), **{**ABOUT, "classes": ("a", "b", "c")})
    for n in range(4):
        bh.files.onnx.save(saved, tmp_path / f"{n}.onnx")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1, "the same model makes the same file"
    assert sorted(os.listdir(tmp_path)) == ["0.onnx", "1.onnx", "2.onnx", "3.onnx"], "and nothing beside it"
    file = onnx.load(tmp_path / "0.onnx", load_external_data=False)
    onnx.checker.check_model(file, full_check=True)
    assert [(o.domain, o.version) for o in file.opset_import] == [("", 21)] and file.ir_version == 10
    sizes = [[d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
             for value in (*file.graph.input, *file.graph.output)]
    assert sizes == [["N", 1, 6, 6], ["N", 3]]
    told = {entry.key: entry.value for entry in file.metadata_props}
    assert json.loads(told["classes"]) == ["a", "b", "c"]
    assert json.loads(told["metrics"])["test_accuracy"] == 0.1 + 0.2
    assert json.loads(told["preprocessing"]) == {"mean": 0.1307, "std": 0.3081, "scale": 1 / 255}
    weights = {tensor.name for tensor in file.graph.initializer}
    assert weights <= saved.model.state_dict().keys() and "0.weight" in weights


def test_settings_go_before_what_a_saved_model_says(rng, tmp_path):
    saved = SavedModel(nn.Linear(6, 2, rng), (6,), **ABOUT)
    bh.files.onnx.save(saved, tmp_path / "model.onnx", classes=["x", "y"], metrics={}, recipe="other")
    again = bh.files.onnx.load(tmp_path / "model.onnx")
    assert (again.classes, again.metrics, again.recipe) == (("x", "y"), {}, "other")
    assert again.normalize == ABOUT["normalize"]


def test_sizes_may_be_numpys(rng, tmp_path):
    bh.files.onnx.save(nn.Linear(6, 2, rng), tmp_path / "model.onnx", input_shape=(np.int64(6),))
    assert bh.load(tmp_path / "model.onnx").input_shape == (6,)


class Twice(nn.Module):
    def forward(self, x):
        return x + x


def mixed(rng):
    return nn.Sequential(nn.Linear(6, 6, rng), nn.Linear(6, 6, rng, dtype=np.float64))


@pytest.mark.parametrize(("model", "about", "sentence"), [
    (nn.ReLU(), {"input_shape": None}, r"pass the shape of one sample, as in input_shape=\(1, 28, 28\)"),
    ("a model", {}, "is made of a network or of what bh.load gives, not of 'a model'"),
    (Twice(), {}, r"and Twice is none of them; save its state_dict\(\) instead"),
    (nn.Linear(5, 3, np.random.default_rng(0)), {}, r"in_features=5.* cannot read samples of shape \(6,\)"),
    (nn.MaxPool2d(9), {"input_shape": (1, 8, 8)}, r"MaxPool2d.* cannot read samples of shape \(1, 8, 8\)"),
    (nn.Residual(nn.Linear(6, 3, np.random.default_rng(0))), {}, r"a shortcut ends in the shape \(6,\), and"),
    (mixed(np.random.default_rng(0)), {}, "computes in float32 and float64, and an ONNX file in float32 or float64"),
    (nn.BatchNorm1d(6).to(np.float16), {}, "computes in float16"),
    (nn.Linear(6, 10**9, np.random.default_rng(0), weight_init=nn.init.unallocated, bias_init=nn.init.unallocated), {},
     "an ONNX file holds at most 2 GB, and this network has 26.1"),
    (nn.ReLU(), {"classes": "ab"}, "could not be read again: its classes are not a list of names"),
    (nn.ReLU(), {"classes": ["a", "a"]}, "two of its classes have the same name"),
    (nn.ReLU(), {"metrics": {"accuracy": nn.ReLU()}}, "metrics must be something that JSON can hold"),
    (nn.ReLU(), {"normalize": lambda x: x}, "normalize must be a byhand.data.Normalize or None"),
    (nn.ReLU(), {"normalize": Normalize((0.1, 0.2), 1.0), "preprocessing": True}, "this Normalize knows 2 channels"),
    (nn.ReLU(), {"input_shape": (0,)}, "cannot read samples|not a list of sizes of at least 1"),
    (nn.ReLU(), {"input_shape": 6}, "pass the shape of one sample"),
])
def test_what_no_file_can_hold_is_not_written(model, about, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence) as error:
        bh.files.onnx.save(model, tmp_path / "model.onnx", **{"input_shape": (6,), **about})
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == []


def test_where_it_cannot_be_saved(tmp_path):
    with pytest.raises(OSError, match="there is no folder"):
        bh.files.onnx.save(nn.ReLU(), tmp_path / "missing" / "model.onnx", input_shape=(6,))


# --- the command, and the library -------------------------------------------------------------------------------------


def test_the_commands_take_onnx_files(digits_model, here):
    bh.files.onnx.save(bh.load(digits_model), "digits.onnx", preprocessing=True)
    for words in (["evaluate", "--data", "mini"], ["show"]):
        (_, expected, _), (code, found, error) = (here(*words, path) for path in (digits_model, "digits.onnx"))
        assert code == 0, error
        expected = expected.replace(str(digits_model), "digits.onnx").replace("digits.safetensors", "digits.onnx")
        assert found.split() == expected.split()


WITHOUT = """
import sys
sys.modules["onnx"] = None  # as if it were not installed
import byhand as bh
from byhand.assess import open_model
from pathlib import Path
for use in (lambda: bh.files.onnx, lambda: open_model(Path(sys.argv[1]))):
    try:
        use()
    except ValueError as error:
        print(error)
"""


def test_where_the_library_is_missing_a_sentence_says_so(tmp_path):
    bh.files.onnx.save(nn.ReLU(), tmp_path / "model.onnx", input_shape=(6,))
    done = subprocess.run([sys.executable, "-c", WITHOUT, str(tmp_path / "model.onnx")], capture_output=True, text=True,
                          check=True, env=os.environ | {"PYTHONPATH": str(Path(bh.__file__).parents[1])})
    assert done.stdout == "ONNX files need the package onnx; pip install 'byhand[onnx]'.\n" * 2
