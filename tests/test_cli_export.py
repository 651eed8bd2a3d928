"""The command `export`: a model in other formats, what it says of them, and what it refuses."""

import re
from pathlib import Path
from random import Random

import numpy as np
import pytest
from c_compiler import Compiled, needs_gcc
from command_line import the_object

import byhand as bh
from byhand import nn, scalar
from byhand.data import Normalize
from byhand.files import c
from byhand.files.scalar_json import read_scalar_json, write_scalar_json

MINI = bh.data.load("mini")


@pytest.fixture
def run(here, tiny):
    """The folder of a run."""
    here("train", "relu-10", "--data", tiny, "--epochs", 20, "--out", "run", "-q")
    return Path("run")


# --- what it writes ---------------------------------------------------------------------------------------------------


@needs_gcc
def test_c_is_written_beside_the_model_and_answers_as_it_does(run, here):
    code, out, err = here("export", run, "--to", "c")
    assert (code, err) == (0, "") and max(map(len, out.splitlines())) <= 80
    size = (run / "model.c").stat().st_size
    said, use = " ".join(out.split()).split(" gcc -O2 ")
    assert said == f"run/model.c (c, {size:,} bytes) has the network of run/model.safetensors."
    assert use.startswith("your_program.c run/model.c -lm void predict(const float input[784], float logits[10]);")
    found = Compiled(run / "model.c", (10,))(MINI.test.inputs[:50], "predict_bytes")
    np.testing.assert_allclose(found, bh.load(run / "model.safetensors").predict(MINI.test.inputs[:50]), rtol=1e-5,
                               atol=1e-5)


def test_c_under_a_name(run, here):
    code, out, err = here("export", run, "--to", "c", "--name", "digits")
    assert (code, err) == (0, "") and "void digits_predict(const float input[784], float logits[10]);" in out
    c.save(bh.load(run / "model.safetensors"), "again.c", name="digits")
    assert Path("again.c").read_text() == (run / "model.c").read_text()


@needs_gcc
def test_eight_bits_and_what_they_cost(digits_model, here):
    words = ["export", digits_model, "--to", "c", "--int8", "--data", "mini", "--out", "digits.c", "--json"]
    code, out, err = here(*words)
    facts = the_object(out)
    saved, test = bh.load(digits_model), MINI.test
    before = (saved.predict(test.inputs).argmax(axis=1) == test.targets).mean()
    found = Compiled(Path("digits.c"), (10,))(test.inputs, "predict_bytes").argmax(axis=1)
    assert (code, err) == (0, "") and facts["int8"].pop("dataset") == "mini"
    after = facts["int8"]["test_accuracy"]
    assert facts["int8"] == {"test_samples": 1000, "float_test_accuracy": pytest.approx(before), "test_accuracy": after}
    assert after == pytest.approx((found == test.targets).mean(), abs=0.002) and abs(before - after) < 0.01
    top = " ".join(Path("digits.c").read_text()[:3000].replace("\n *", "").split())
    assert (f"{100 * after:.2f} % of its test samples; {100 * before:.2f} % with weights in floating "
            "point") in top
    here("export", digits_model, "--to", "c", "--out", "float.c", "-q")
    assert Path("digits.c").stat().st_size < 0.6 * Path("float.c").stat().st_size


def test_the_cost_is_told(run, here, tiny):
    code, out, err = here("export", run, "--to", "c", "--int8")
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    assert re.search(r"With weights in eight bits it reads [\d.]+ % of the 100 test samples of tiny right, in floating "
                     r"point [\d.]+ %: [\d.]+ points (lost|won)\.", said)


def test_json_can_be_loaded_and_exported_again(run, here):
    code, out, err = here("export", run, "--to", "json")
    assert (code, err) == (0, "") and "saved = bh.load('run/model.json')" in out
    expected = bh.load(run / "model.safetensors").predict(MINI.test.inputs)
    assert np.array_equal(bh.load(run / "model.json").predict(MINI.test.inputs), expected)
    assert here("export", run / "model.json", "--to", "c")[0] == 0
    assert Path("run/model.c").read_text() == exported_text(run / "model.safetensors")


def exported_text(model):
    c.save(bh.load(model), "again.c")
    return Path("again.c").read_text()


def test_the_scalar_layout_there_and_back(here):
    net = scalar.Net([784, 5, 10], Random(0))
    write_scalar_json(net, "net.wt")
    code, out, err = here("export", "net.wt", "--to", "scalar-json")
    assert (code, err) == (0, "") and "read_scalar_json('net.json')" in out
    assert [p.data for p in read_scalar_json("net.json").parameters()] == [p.data for p in net.parameters()]
    for form in ("json", "safetensors", "onnx"):
        assert here("export", "net.json", "--to", form, "--out", f"ours.{form}")[0] == 0
        np.testing.assert_allclose(bh.load(f"ours.{form}").predict(MINI.test.inputs),
                                   bh.load("net.wt").predict(MINI.test.inputs))
    assert here("export", "net.wt", "--to", "c")[0] == 0


def test_onnx_is_written_as_asked(run, here):
    onnx = pytest.importorskip("byhand.files.onnx")
    code, out, err = here("export", run, "--to", "onnx", "--preprocessing", "--fold-batch-norm")
    assert (code, err) == (0, "") and "onnxruntime.InferenceSession('run/model.onnx')" in out
    onnx.save(bh.load(run / "model.safetensors"), "again.onnx", preprocessing=True, fold_batch_norm=True)
    assert Path("again.onnx").read_bytes() == (run / "model.onnx").read_bytes()


@pytest.mark.parametrize("normalize", [Normalize(0.13, 0.31), Normalize((0.1, 0.2, 0.3), (0.5, 0.6, 0.7)), None])
@pytest.mark.parametrize("preprocessing", [[], ["--preprocessing"]])
def test_the_lines_that_use_onnx_normalize_what_the_graph_does_not(preprocessing, normalize, rng, here):
    runtime = pytest.importorskip("onnxruntime")
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 5, rng))
    bh.save(model, "model.safetensors", input_shape=(3, 4, 4), normalize=normalize)
    samples = rng.integers(0, 256, (6, 3, 4, 4)).astype(np.uint8 if preprocessing else np.float32)
    code, out, err = here("export", "model.safetensors", "--to", "onnx", *preprocessing)
    lines = [line.strip() for line in out.partition("\n\n")[2].splitlines()]
    assert (code, err, len(lines)) == (0, "", 2 if preprocessing or normalize is None else 3)
    namespace = {"onnxruntime": runtime, "np": np, "samples": samples}
    exec("\n".join(lines), namespace)
    np.testing.assert_allclose(namespace["logits"], bh.predict(model, samples, normalize=normalize), rtol=1e-4,
                               atol=1e-4)


def test_many_numbers_to_normalize_by_are_not_written_out(rng, here):
    runtime = pytest.importorskip("onnxruntime")
    normalize = Normalize(tuple(rng.normal(0, 1, 50)), tuple(rng.uniform(1, 2, 50)))
    model = nn.Sequential(nn.Linear(50, 5, rng))
    bh.save(model, "model.safetensors", input_shape=(50,), normalize=normalize)
    out = here("export", "model.safetensors", "--to", "onnx")[1]
    assert max(map(len, out.splitlines())) < 100
    namespace = {"onnxruntime": runtime, "bh": bh, "samples": rng.normal(0, 1, (6, 50))}
    exec("\n".join(line.strip() for line in out.partition("\n\n")[2].splitlines()), namespace)
    expected = bh.predict(model, namespace["samples"], normalize=normalize)
    np.testing.assert_allclose(namespace["logits"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", ["onnx", "json"])
def test_what_came_from_elsewhere_becomes_a_model_file(form, run, here):
    if form == "onnx":
        pytest.importorskip("onnx")
    here("export", run, "--to", form, "--out", "theirs")
    code, out, err = here("export", "theirs", "--to", "safetensors")
    assert (code, err) == (0, "") and out.startswith("theirs.safetensors (safetensors, ")
    assert Path("theirs.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_an_export_keeps_the_last_softmax(rng, here):
    bh.save(nn.Sequential(nn.Linear(4, 3, rng), nn.Softmax()), "model.safetensors", input_shape=(4,))
    assert here("export", "model.safetensors", "--to", "json")[0] == 0
    assert isinstance(bh.load("model.json").model[-1], nn.Softmax)


def test_the_lines_that_use_it_can_be_run(run, here):
    here("export", run, "--to", "json", "--out", "a.json")
    use = the_object(here("export", run, "--to", "json", "--out", "b.json", "--json")[1])["use"]
    samples = MINI.test.inputs[:3]
    namespace = {"bh": bh, "samples": samples}
    exec("\n".join(use), namespace)
    assert namespace["logits"].shape == (3, 10)


# --- what it refuses --------------------------------------------------------------------------------------------------

FAILURES = [  # the words, the exit code, words of the sentence
    ([], 2, "Missing argument 'MODEL'"),
    (["model.safetensors"], 2, "Missing option '--to'"),
    (["model.safetensors", "--to", "jsn"], 2, r"'jsn' is not one of .* Did you mean json\?"),
    (["model.safetensors", "--to", "pickle"], 2, "'pickle' is not one of 'onnx', 'c', .*, 'safetensors'"),
    (["missing", "--to", "c"], 1, "there is no model file missing"),
    (["folder", "--to", "c"], 1, "the folder folder is no run folder"),
    (["text", "--to", "c"], 1, "text is not a model file that byhand reads, which are"),
    (["model.safetensors", "--to", "c", "--preprocessing"], 2, "--preprocessing is for --to onnx; leave it out"),
    (["model.safetensors", "--to", "json", "--fold-batch-norm"], 2, "--fold-batch-norm is for --to onnx; leave it out"),
    (["model.safetensors", "--to", "onnx", "--int8"], 2, "--int8 is for --to c; leave it out"),
    (["model.safetensors", "--to", "json", "--name", "digits"], 2, "--name is for --to c; leave it out"),
    (["model.safetensors", "--to", "c", "--name", ""], 1, "'' is no name in C, which is a word like digits or net_2"),
    (["model.safetensors", "--to", "c", "--name", "double"], 1, "'double' is no name in C"),
    (["model.safetensors", "--to", "c", "--int8", "--name", "a b"], 1, "'a b' is no name in C"),
    (["model.safetensors", "--to", "c", "--data", "mini"], 2, "--data says what to measure --int8 on; leave it out"),
    (["model.safetensors", "--to", "c", "--int8", "--data", "mnits"], 2, "there is no data set, .* did you mean mnist"),
    (["model.safetensors", "--to", "c", "--int8", "--data", "mini"], 1, "reads inputs of shape .* those of mini"),
    (["model.safetensors", "--to", "c", "--out", "text"], 1, "text exists already; choose another name with --out"),
    (["model.safetensors", "--to", "c", "--out", "folder"], 1, "folder exists already; choose another name"),
    (["model.safetensors", "--to", "c", "--out", "no/where.c"], 1, "no/where.c cannot be written: there is no folder"),
    (["model.safetensors", "--to", "c", "--out", "-"], 2, "standard input and output, .* have no place here"),
    (["model.safetensors", "--to", "c", "--out", "foo.txt"], 2, r"name ends in .c, as in foo\.c; foo\.txt would be"),
    (["model.safetensors", "--to", "c", "--out", "foo"], 2, r"with --to c a file's name ends in \.c, as in foo\.c"),
    (["model.safetensors", "--to", "json", "--out", "a.onnx"], 2, r"name ends in \.json, as in a\.json; a\.onnx would"),
    (["model.safetensors", "--to", "scalar-json"], 1, "model.safetensors cannot be exported as scalar-json: the lay"),
    (["nan.safetensors", "--to", "c"], 1, "linear_1_bias has a number that is infinite or none at all"),
    (["nan.safetensors", "--to", "json"], 1, "bias has a number that is infinite or none at all, which JSON cannot"),
    (["nothing.safetensors", "--to", "c"], 1, "does not say what it reads; save it with input_shape="),
    (["nothing.safetensors", "--to", "onnx"], 1, r"does not say the shape .*; write it again with bh.save\("),
    (["net.wt", "--to", "json"], 1, "net.wt is a scalar network that .* can be exported as c or scalar-json"),
    (["net.wt", "--to", "safetensors"], 1, "net.wt is a scalar network that .* can be exported as c or scalar-json"),
    (["model.safetensors", "--to", "safetensors"], 1, "model.safetensors exists already; choose another name"),
    (["net.wt", "--to", "onnx"], 1, "net.wt is a scalar network that .* can be exported as c or scalar-json"),
]


@pytest.mark.parametrize("as_json", [False, True], ids=["", "json"])
@pytest.mark.parametrize(("words", "code", "sentence"), FAILURES, ids=lambda value: " ".join(value)
                         if isinstance(value, list) else "")
def test_an_error_is_one_sentence_and_nothing_is_written(words, code, sentence, as_json, here, rng):
    Path("folder").mkdir()
    Path("text").write_text("hello")
    write_scalar_json(scalar.Net([4, 3, 2], Random(0)), "net.wt")
    layer = nn.Linear(2, 2, rng)
    bh.save(layer, "model.safetensors", input_shape=(2,))
    bh.save(nn.Flatten(), "nothing.safetensors")
    layer.bias.data[0] = np.nan
    bh.save(layer, "nan.safetensors", input_shape=(2,))
    before = sorted(Path.cwd().iterdir())
    found, out, err = here("export", *words, *(["--json", "--quiet"] if as_json else []))
    last = err.splitlines()[-1]
    assert found == code and last.startswith("byhand: ") and re.search(sentence, last), err
    assert ("Usage: byhand" in err) == (code == 2) and "Traceback" not in err
    assert sorted(Path.cwd().iterdir()) == before and Path("text").read_text() == "hello"
    if as_json:
        assert the_object(out) == {"version": 1, "error": last.removeprefix("byhand: "), "exit_code": code}
    else:
        assert out == ""
