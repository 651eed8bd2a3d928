"""A model file of any kind is read by what is in it, and the same network comes out of each."""

import json

import exported
import numpy as np
import pytest
from networks import TINY

import byhand as bh
from byhand import nn
from byhand.files import ModelFileError, SavedModel, model_json
from byhand.assess import open_model


def test_the_kind_is_seen_in_the_file_not_in_its_name(tmp_path):
    saved, inputs = exported.saved("Linear"), exported.samples("Linear")
    bh.save(saved.model, tmp_path / "a")
    model_json.save(saved, tmp_path / "b")
    (tmp_path / "c").write_text("\n  " + (tmp_path / "b").read_text())
    (tmp_path / "d").write_text(json.dumps(TINY))
    for read in (bh.load, open_model):
        for name in "abc":
            assert np.array_equal(read(tmp_path / name).predict(inputs), saved.predict(inputs))
        assert read(tmp_path / "d").recipe == "scalar network"


def test_a_run_folder_stands_for_its_model(tmp_path):
    saved, inputs = exported.saved("Linear"), exported.samples("Linear")
    with pytest.raises(FileNotFoundError, match=r"is no run folder: there is no model\.safetensors in it\.$"):
        bh.load(tmp_path)
    bh.save(saved.model, tmp_path / "model.safetensors")
    assert np.array_equal(bh.load(str(tmp_path)).predict(inputs), saved.predict(inputs))


@pytest.mark.parametrize("before", ["\ufeff", "\ufeff\n", " " * 40, "\n\n\t\r\n" * 20])
def test_what_editors_put_before_json_is_no_part_of_it(before, tmp_path):
    saved, inputs = exported.saved("Linear"), exported.samples("Linear")
    path = tmp_path / "model"
    model_json.save(saved, path)
    path.write_text(before + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert np.array_equal(bh.load(path).predict(inputs), saved.predict(inputs))
    path.write_text(before + json.dumps(TINY), encoding="utf-8")
    assert bh.load(path).recipe == "scalar network"


@pytest.mark.parametrize("bracket", ["{", "["])
def test_a_length_that_looks_like_json_is_still_a_length(bracket, tmp_path):
    header = json.dumps({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).ljust(ord(bracket)).encode()
    (tmp_path / "model").write_bytes(ord(bracket).to_bytes(8, "little") + header + b"\0")
    with pytest.raises(ModelFileError, match="holds weights but no byhand network"):
        bh.load(tmp_path / "model")


@pytest.mark.parametrize(("answers", "end"), [(3, nn.Softmax), (1, nn.Sigmoid), (3, nn.Sigmoid)])
def test_every_kind_of_file_is_read_as_it_is_and_judged_by_its_logits(answers, end, rng, tmp_path):
    pytest.importorskip("onnx")
    model = nn.Sequential(nn.Linear(6, answers, rng), end())
    x = rng.standard_normal((5, 6)).astype(np.float32)
    whole, logits = bh.predict(model, x), bh.predict(model if answers > 1 and end is nn.Sigmoid else model[:-1], x)
    saved = SavedModel(model, (6,))
    bh.save(model, tmp_path / "model.safetensors", input_shape=(6,))
    model_json.save(saved, tmp_path / "model.json")
    bh.files.onnx.save(saved, tmp_path / "model.onnx")
    for path in sorted(tmp_path.iterdir()):
        assert np.array_equal(bh.load(path).predict(x), whole), path.name
        assert np.array_equal(open_model(path).predict(x), logits), path.name
    assert repr(bh.load(tmp_path / "model.onnx")) == repr(bh.files.onnx.load(tmp_path / "model.onnx"))
