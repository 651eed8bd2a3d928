"""docs/formats.md says which layer goes into which format: every layer has a row, and every yes is tried."""

import importlib
import re
import shutil
import subprocess
from dataclasses import replace

import exported
import markdown
import numpy as np
import onnx_answers
import pytest
from c_compiler import STRICT, Compiled, gcc, needs_gcc
from networks import assert_same

import byhand as bh
from byhand.data import Normalize
from byhand.files import c, model_json
from byhand.files.architecture import LAYERS

PAGE = markdown.ROOT / "docs" / "formats.md"
FORMATS = ["safetensors, PyTorch", "ONNX", "C", "C, `--int8`", "JSON"]


def table(title):
    """The rows of a table of the page: the first cell, and the others under their headings."""
    text = PAGE.read_text(encoding="utf-8")
    lines = re.findall(r"^\| (.*) \|$", text[text.index(f"| {title} |"):].partition("\n\n")[0], re.MULTILINE)
    heading, _, *rows = [line.split(" | ") for line in lines]
    return {row[0].strip("`"): dict(zip(heading[1:], row[1:], strict=True)) for row in rows}


ROWS = table("layer")


def network_with(layer):
    """The name of a network with this layer."""
    return next(name for name in exported.NETWORKS if layer in exported.layers_of(exported.network(name)))


def test_every_layer_has_a_row():
    assert sorted(ROWS) == sorted([*LAYERS, "Residual", "Sequential"])
    assert all(list(row) == FORMATS for row in ROWS.values())


@pytest.mark.parametrize("layer", ROWS)
def test_what_is_claimed_of_safetensors_and_json(layer, tmp_path):
    assert ROWS[layer]["safetensors, PyTorch"] == ROWS[layer]["JSON"] == "yes"
    saved = exported.saved(network_with(layer))
    bh.save(saved.model, tmp_path / "model.safetensors", input_shape=saved.input_shape)
    model_json.save(saved, tmp_path / "model.json")
    for name in ("model.safetensors", "model.json"):
        again = bh.load(tmp_path / name).model
        assert layer in exported.layers_of(again)
        assert_same(again.state_dict(), saved.model.state_dict())


@pytest.mark.parametrize("layer", ROWS)
def test_what_is_claimed_of_onnx(layer, tmp_path):
    onnx = pytest.importorskip("byhand.files.onnx")
    assert ROWS[layer]["ONNX"] == "yes"
    name = network_with(layer)
    saved, inputs = exported.saved(name), exported.samples(name)
    onnx.save(saved, tmp_path / "network.onnx")
    np.testing.assert_allclose(onnx_answers.run(tmp_path / "network.onnx", inputs), saved.predict(inputs), rtol=1e-5,
                               atol=1e-5)
    again = bh.load(tmp_path / "network.onnx").model
    assert layer in exported.layers_of(again)
    assert_same(again.state_dict(), saved.model.state_dict())


@needs_gcc
@pytest.mark.parametrize("layer", ROWS)
def test_what_is_claimed_of_c(layer, tmp_path):
    name = network_with(layer)
    saved, inputs = exported.saved(name), exported.samples(name)
    c.save(saved, tmp_path / "network.c")
    found = Compiled(tmp_path / "network.c", saved.model.output_shape(saved.input_shape))(inputs)
    np.testing.assert_allclose(found, saved.predict(inputs), rtol=1e-5, atol=1e-5)
    text = (tmp_path / "network.c").read_text()
    c.save(saved, tmp_path / "small.c", int8=True)
    small = (tmp_path / "small.c").read_text()
    gcc(*STRICT, "-c", tmp_path / "small.c", "-o", tmp_path / "small.o")
    steps = text[text.rindex("static void network("):]
    says = {"float32": f"/* {layer}" in steps and "int8_t" not in text.replace("uint8_t", ""),
            "folded, or float32": f"{layer}(" not in text[:text.index("*/")] or f"/* {layer}" in steps,
            "needs no code": f"/* {layer}" not in steps, "yes": True}
    assert says[ROWS[layer]["C"]]
    eight = re.search(rf"static const BYHAND_FLASH int8_t {layer.lower()}_\d+_weight", small)
    assert bool(eight) == (ROWS[layer]["C, `--int8`"] == "8 bits")
    assert eight or ROWS[layer]["C, `--int8`"] == ROWS[layer]["C"]


def test_what_each_format_keeps(tmp_path, rng):
    rows = table("what it keeps")
    saved = exported.saved("convolution", Normalize(0.1, 0.3), classes=tuple("abcde"), recipe="lenet",
                           metrics={"test_accuracy": 0.9876})
    model_json.save(saved, tmp_path / "model.json")
    again = bh.load(tmp_path / "model.json")
    c.save(saved, tmp_path / "network.c")
    text = (tmp_path / "network.c").read_text()
    norms = exported.saved("features")
    model_json.save(norms, tmp_path / "norms.json")
    c.save(norms, tmp_path / "norms.c")
    kept = {  # whether the row is true of JSON, and of C
        "normalization": (again.normalize == saved.normalize, "scale_and_shift(buffer_0, buffer_0" in text),
        "names of the classes": (again.classes == saved.classes, '"a", "b", "c", "d", "e"' in text),
        "accuracy and recipe": (again.metrics == saved.metrics and again.recipe == "lenet",
                                "98.76 % of its test samples (recipe lenet)" in text),
        "float64": (double(tmp_path), "double" not in text),
        "batch norms as layers": (repr(bh.load(tmp_path / "norms.json").model) == repr(norms.model),
                                  (tmp_path / "norms.c").read_text().count("/* BatchNorm1d */") == 1),  # the first
        "can go on learning": (all(p.requires_grad for p in again.model.parameters()), "backward" not in text),
        "samples at a time": (len(again.predict(np.zeros((3, 1, 8, 8)))) == 3, "float logits[5]" in text),
    }
    assert rows.keys() == kept.keys() and all(all(true) for true in kept.values())
    assert [row["JSON"] for row in rows.values()] == ["yes"] * 6 + ["any number"]


def test_what_onnx_keeps(tmp_path, rng):
    pytest.importorskip("onnx")
    rows = table("what it keeps")
    saved = exported.saved("convolution", Normalize(0.1, 0.3), classes=tuple("abcde"), recipe="lenet",
                           metrics={"test_accuracy": 0.9876})
    norms, rowwise = exported.saved("features"), exported.saved("Linear")
    path, pictures = tmp_path / "model.onnx", rng.integers(0, 256, (3, 1, 8, 8)).astype(np.uint8)

    def written(model, **options):
        bh.files.onnx.save(model, path, **options)
        return bh.load(path)

    again = written(saved, preprocessing=True)
    answers = onnx_answers.run(path, pictures)  # three at a time, as bytes
    kept = {  # what the row says, and whether it is true
        "normalization": ("in the graph, with `--preprocessing`",
                          np.allclose(answers, saved.predict(pictures), rtol=1e-4, atol=1e-4)),
        "names of the classes": ("in the metadata", again.classes == saved.classes),
        "accuracy and recipe": ("in the metadata", again.metrics == saved.metrics and again.recipe == "lenet"),
        "float64": ("yes", written(replace(rowwise, model=rowwise.model.to(np.float64))).model.weight.dtype == "f8"),
        "batch norms as layers": ("yes, without `--fold-batch-norm`",
                                  repr(written(norms).model) == repr(norms.model)
                                  != repr(written(norms, fold_batch_norm=True).model)),
        "can go on learning": ("yes, read back by byhand", all(p.requires_grad for p in again.model.parameters())),
        "samples at a time": ("any number", len(answers) == 3),
    }
    assert {name: row["ONNX"] for name, row in rows.items()} == {name: says for name, (says, _) in kept.items()}
    assert all(true for _, true in kept.values())


def double(folder):
    """Whether float64 comes back from JSON."""
    saved = exported.saved("Linear")
    model_json.save(replace(saved, model=saved.model.to(np.float64)), folder / "double.json")
    return bh.load(folder / "double.json").model.weight.dtype == np.float64


@needs_gcc
def test_the_program_of_the_page_reads_the_digits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    markdown.run_python(PAGE)
    (program,) = [block.code for block in markdown.blocks(PAGE) if block.language == "c"]
    (tmp_path / "main.c").write_text(program)
    gcc(*STRICT, "main.c", "-o", "read_digits", "-lm")
    with open("pictures.bin", "rb") as pictures:
        said = subprocess.run(["./read_digits"], stdin=pictures, capture_output=True, text=True, check=True).stdout
    answers = bh.load("digits.safetensors").predict(bh.data.load("mini").test.inputs[:10]).argmax(axis=1)
    assert said.split() == list(map(str, answers)) and "gcc -O2 main.c -o read_digits -lm" in PAGE.read_text()


def test_the_table_of_eight_bits_is_the_one_that_its_script_writes(monkeypatch):
    monkeypatch.syspath_prepend(markdown.ROOT / "scripts")
    script = importlib.import_module("measure_formats")
    page, rows = PAGE.read_text(encoding="utf-8"), table("`byhand train`")
    assert list(rows) == script.TRAININGS
    cells = [[f"`{training}`", *row.values()] for training, row in rows.items()]
    assert script.with_table(page, cells) == page, "run python scripts/measure_formats.py"


@pytest.mark.slow
def test_a_row_of_this_table_is_measured(monkeypatch):
    monkeypatch.syspath_prepend(markdown.ROOT / "scripts")
    script = importlib.import_module("measure_formats")
    training, before, after, whole, small = script.row_of("relu-10 --epochs 1", "mini")
    assert training == "`relu-10 --epochs 1`" and all(re.fullmatch(r"\d+\.\d\d %", cell) for cell in (before, after))
    assert 0 < int(small.removesuffix(" KB")) < 0.6 * int(whole.removesuffix(" KB"))


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("avr-gcc") and shutil.which("simavr")), reason="there is no simulated board")
def test_the_board_thinks_as_long_as_the_page_says(monkeypatch):
    """And finds the class that byhand finds. Another compiler makes other code, hence the tolerance."""
    monkeypatch.syspath_prepend(markdown.ROOT / "scripts")
    script = importlib.import_module("measure_board")
    page, told = PAGE.read_text(encoding="utf-8"), table("784-8-10 on an ATmega2560")
    saved, picture = script.network(), bh.data.load("mini").test.inputs[0]
    found = {"weights in floating point": script.thinking(saved, picture, int8=False),
             "weights in eight bits": script.thinking(saved, picture, int8=True)}
    for weights, (answer, seconds) in found.items():
        assert answer == saved.predict(picture[None]).argmax()
        assert 1000 * seconds == pytest.approx(float(told[weights]["a digit takes"].removesuffix(" ms")), rel=0.1)
    cells = [[weights, row["a digit takes"]] for weights, row in told.items()]
    assert script.with_table(page, cells) == page, "run python scripts/measure_board.py"
