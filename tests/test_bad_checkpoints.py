"""Checkpoints that are none, in one table: each is refused in a sentence, nothing is changed, and nothing is lost."""

import copy
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save as to_bytes
from training import network, samples

import byhand as bh
from byhand import losses
from byhand.callbacks import Checkpoint, EarlyStopping, Schedule
from byhand.files import DamagedCheckpoint, latest_checkpoint, load_checkpoint, save_checkpoint
from byhand.files.checkpoint import apart, digest
from byhand.optim import Adam
from byhand.schedules import Cosine

STATE = {"number": 2, "array": np.arange(5.0), "list": [1, {"deep": np.ones((2, 3), np.float32)}]}


# --- files ------------------------------------------------------------------------------------------------------------


def bytes_of(plain=None, tensors=None, **metadata):
    """A file with another text in the place of its JSON, or other metadata; its SHA-256 is right unless it is given."""
    found = {}
    usual = json.dumps(apart(STATE, "state", found))
    plain, tensors = usual if plain is None else plain, found if tensors is None else tensors
    says = {"format": "byhand checkpoint", "version": "1", "state": plain, "sha256": digest(plain, tensors)} | metadata
    return to_bytes(tensors, {name: value for name, value in says.items() if value is not None})


def flipped(place):
    content = bytearray(bytes_of())
    content[place] ^= 1
    return bytes(content)


def text_changed():
    content = bytes_of()
    assert content.count(b'\\"number\\": 2') == 1
    return content.replace(b'\\"number\\": 2', b'\\"number\\": 3')


def model_file():
    bh.save(network(), "model.safetensors")
    return Path("model.safetensors").read_bytes()


FILES = {
    "empty": (lambda: b"", "is not a safetensors file, or is damaged"),
    "seven bytes": (lambda: bytes_of()[:7], "is not a safetensors file, or is damaged"),
    "only zeros": (lambda: bytes(4096), "is not a safetensors file, or is damaged"),
    "text": (lambda: b"a text that somebody wrote, longer than eight bytes", "is not a safetensors file"),
    "a pickle": (lambda: b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07print.", "is not a safetensors file"),
    "a header longer than the file": (lambda: b"\xff" * 7 + b"\x7f" + bytes_of()[8:], "is not a safetensors file"),
    "half of it": (lambda: bytes_of()[:len(bytes_of()) // 2], "is not a safetensors file, or is damaged"),
    "a byte too short": (lambda: bytes_of()[:-1], "is not a safetensors file, or is damaged"),
    "a byte too long": (lambda: bytes_of() + b"\0", "is not a safetensors file, or is damaged"),
    "a bit of a number": (lambda: flipped(-1), r"is a damaged checkpoint \(its SHA-256 is another\)"),
    "a bit of another": (lambda: flipped(-30), r"is a damaged checkpoint \(its SHA-256 is another\)"),
    "a letter of the JSON": (text_changed, r"is a damaged checkpoint \(its SHA-256 is another\)"),
    "another SHA-256": (lambda: bytes_of(sha256="0"), r"is a damaged checkpoint \(its SHA-256 is another\)"),
    "no SHA-256": (lambda: bytes_of(sha256=None), r"is a damaged checkpoint \(it lacks 'sha256'\)"),
    "no state": (lambda: to_bytes({}, {"format": "byhand checkpoint", "version": "1", "sha256": ""}), "lacks 'state'"),
    "no metadata": (lambda: to_bytes({"a": np.ones(3)}), "is not a checkpoint"),
    "another format": (lambda: bytes_of(format="checkpoint"), "is not a checkpoint"),
    "a model": (model_file, "is not a checkpoint"),
    "JSON that is none": (lambda: bytes_of("{"), r"is a damaged checkpoint \(Expecting property name"),
    "JSON that is a list": (lambda: bytes_of("[]"), "it holds no state"),
    "JSON that is an array": (lambda: bytes_of('{"@tensor": "state/array"}'), "it holds no state"),
    "JSON with a key twice": (lambda: bytes_of('{"a": 1, "a": 2}'), "the key 'a' stands twice in one object"),
    "JSON without a bottom": (lambda: bytes_of("[" * 100_000 + "]" * 100_000), "damaged checkpoint .*nested too deep"),
    "a number without end": (lambda: bytes_of('{"a": ' + "9" * 5000 + "}"), "is a damaged checkpoint .*digits"),
    "an array that is not there": (lambda: bytes_of('{"a": {"@tensor": "b"}}'), "it lacks 'b'"),
    "an array without a name": (lambda: bytes_of('{"a": {"@tensor": []}}'), "is a damaged checkpoint"),
    "colors for the terminal": (lambda: bytes_of('{"a": {"@tensor": "\\u001b[31m"}}'), "it lacks"),
}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_file_that_the_others_are_made_of_is_right():
    Path("good").write_bytes(bytes_of())
    assert load_checkpoint("good")["number"] == 2


@pytest.mark.parametrize(("content", "sentence"), FILES.values(), ids=FILES)
def test_a_damaged_file_is_refused_and_the_one_before_it_is_taken(content, sentence):
    path, previous = Path("checkpoint.safetensors"), Path("checkpoint-previous.safetensors")
    content = content()
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpoint, match=sentence) as error:
        load_checkpoint(path)
    said = str(error.value)
    assert said.startswith(f"{path} ") and said.endswith(".") and said.isprintable() and len(said) < 400
    with pytest.raises(DamagedCheckpoint, match=sentence):
        latest_checkpoint(path, pytest.fail)
    assert path.read_bytes() == content, "it is left as it is, for whoever wants to look into it"

    save_checkpoint({"number": 1}, previous)
    heard = []
    assert latest_checkpoint(path, heard.append) == {"number": 1}
    assert heard == [f"{said} The one before it is whole, and takes its place."]
    assert load_checkpoint(path)["number"] == 1 and not previous.exists()
    save_checkpoint({"number": 2}, path)
    assert load_checkpoint(previous)["number"] == 1, "and is not lost when the next one comes"


def test_when_both_are_damaged_the_newer_one_is_named():
    for name in ("checkpoint.safetensors", "checkpoint-previous.safetensors"):
        Path(name).write_bytes(b"")
    with pytest.raises(DamagedCheckpoint, match=r"^checkpoint\.safetensors is not"):
        latest_checkpoint("checkpoint.safetensors", pytest.fail)
    assert len(os.listdir()) == 2


@pytest.mark.parametrize("version", ["2", "0", "", "one", None, "9" * 1000, "\x1b[31m"])
def test_a_newer_version_is_no_damage(version):
    content = bytes_of(version=version)
    Path("checkpoint.safetensors").write_bytes(content)
    save_checkpoint({"number": 1}, "checkpoint-previous.safetensors")
    with pytest.raises(ValueError, match=r"is a checkpoint of version .*, and this byhand reads version 1") as error:
        latest_checkpoint("checkpoint.safetensors", pytest.fail)
    assert not isinstance(error.value, DamagedCheckpoint) and str(error.value).isprintable()
    assert Path("checkpoint.safetensors").read_bytes() == content


def test_no_file():
    with pytest.raises(FileNotFoundError, match="there is no checkpoint nowhere"):
        load_checkpoint("nowhere")


# --- states -----------------------------------------------------------------------------------------------------------


def train(resume=None, keep=None):
    """A short run, and what there is of it before and after."""
    model, rng = network(), np.random.default_rng(0)
    optimizer = Adam(model.parameters())
    callbacks = [Schedule(Cosine()), EarlyStopping(3), *([Checkpoint(keep, steps=1)] if keep else [])]
    before = copy.deepcopy((model.state_dict(), optimizer.flat, rng.bit_generator.state))
    try:
        bh.fit(model, samples(), loss=losses.cross_entropy, optimizer=optimizer, rng=rng, epochs=3, batch_size=10,
               callbacks=callbacks, resume=resume)
    except ValueError as error:
        after = model.state_dict(), optimizer.flat
        same = all(map(np.array_equal, before[0].values(), after[0].values())) and np.array_equal(before[1], after[1])
        return str(error), same
    return "", True


@pytest.fixture(scope="module")
def good():
    """The state after 6 of 12 steps: in the middle of the second epoch."""
    states = []
    assert train(keep=lambda run: states.append(copy.deepcopy(run.state_dict()))) == ("", True)
    return next(state for state in states if state["counters"]["step"] == 6)


def having(*path):
    """A change of a state: path and value; without a value, the last name of the path is taken out."""
    *path, name, value = path

    def change(state):
        part = state
        for step in path:
            part = part[step]
        if value is NOTHING:
            del part[name]
        else:
            part[name] = value

    return change


def another_generator():
    return np.random.Generator(np.random.MT19937(1)).bit_generator.state


NOTHING = object()
LACKING = [(having(name, NOTHING), f"it lacks '{name}'") for name in (
    "sizes", "first_draw", "counters", "history", "model", "parameters", "optimizer", "generator", "loader",
    "callbacks")]
STATES = [
    *LACKING,
    (having("sizes", None), "not subscriptable"),
    (having("sizes", "epochs", 4), "it is of a run with 4 epochs, and this one has 3"),
    (having("sizes", "batches", 5), "it is of a run with 5 batches, and this one has 4"),
    (having("sizes", "samples", 37), "it is of a run with 37 samples, and this one has 36"),
    (having("first_draw", 7), "it began with another random generator; give one with the same seed"),
    (having("counters", []), ""),
    (having("counters", "epoch", -1), "it says step 6 and epoch -1, where an epoch has 4 steps"),
    (having("counters", "epoch", 4), "it says step 6 and epoch 4"),
    (having("counters", "epoch", 2), "it says step 6 and epoch 2"),
    (having("counters", "epoch", True), "its epoch is True"),
    (having("counters", "step", 7), "it says step 7 and epoch 1"),
    (having("counters", "step", 6.0), r"its step is 6\.0"),
    (having("counters", "step", 10**30), "it says step 1000"),
    (having("counters", "loss", None), "its loss is None"),
    (having("counters", "seconds", "1"), "its seconds is '1'"),
    (having("counters", "stopped", None), "its stopped is None"),
    (having("counters", "failed", 0), "its failed is 0"),
    (having("history", []), "it has 0 records of 1 epochs"),
    (having("history", [1]), "object is not iterable"),
    (having("history", 7), "no len"),
    (having("model", {}), "missing: 0.weight, 0.bias"),
    (having("model", "0.weight", NOTHING), "missing: 0.weight"),
    (having("model", "0.weight", np.zeros((3, 8))), r"wrong shape: 0.weight is \(3, 8\) instead of \(8, 3\)"),
    (having("model", "0.weight", "zeros"), "wrong shape"),
    (having("model", "other", np.zeros(3)), "unexpected: other"),
    (having("parameters", np.zeros(3)), "its optimizer has 3 parameters, and this one 50"),
    (having("parameters", None), "its optimizer has 1 parameters"),
    (having("parameters", ["x"] * 50), "could not convert"),
    (having("optimizer", "algorithm", "SGD"), "this is not the state of Adam, but of SGD"),
    (having("optimizer", "arrays", "mean", NOTHING), "other parameters or groups"),
    (having("optimizer", "arrays", "mean", np.zeros(3)), "other parameters or groups"),
    (having("optimizer", "arrays", None), "has no attribute"),
    (having("optimizer", "groups", []), "other parameters or groups"),
    (having("optimizer", "lr", float("nan")), "lr must be a finite number"),
    (having("optimizer", "lr", -1.0), "lr must not be negative"),
    (having("generator", None), "state must be a dict"),
    (having("generator", {}), ""),
    (having("generator", another_generator()), "PCG64"),
    (having("generator", "state", "state", 2**200), ""),
    (having("generator", "state", "inc", -1), ""),
    (having("generator", "state", "state", "many"), ""),
    (having("generator", "has_uint32", None), ""),
    (having("loader", "position", 5), "its position 5 is none in a pass of 4 batches"),
    (having("loader", "position", -1), "its position -1 is none"),
    (having("loader", "position", "2"), "its position '2' is none"),
    (having("loader", "position", 3), "it says step 6 and epoch 1"),
    (having("loader", "position", NOTHING), "it lacks 'position'"),
    (having("loader", "batch_size", 9), "its batches are of 9, and these of 10"),
    (having("loader", "drawn", None), "its samples are in another order"),
    (having("loader", "drawn", another_generator()), "PCG64"),
    (having("callbacks", []), r"its callbacks are \[\], and those of this run \['Schedule', 'EarlyStopping'\]"),
    (having("callbacks", 0, ["Schedule"]), "values to unpack"),
    (having("callbacks", 0, ["Cosine", {}]), r"its callbacks are \['Cosine', 'EarlyStopping'\]"),
    (having("callbacks", 0, 1, {}), "it lacks 'base'"),
    (having("callbacks", 0, 1, "base", float("inf")), "lr must be a finite number"),
    (having("callbacks", 1, 1, "weights", {}), "the best weights that it holds are of another network"),
    (having("callbacks", 1, 1, "weights", "0.bias", np.zeros(9)), "the best weights that it holds are of another"),
    (having("callbacks", 1, 1, "best", "low"), "could not convert"),
]


def test_the_state_that_the_others_are_made_of_is_right(good):
    assert train(resume=copy.deepcopy(good)) == ("", True)


@pytest.mark.parametrize(("change", "sentence"), STATES, ids=[str(i) for i in range(len(STATES))])
def test_the_state_of_another_run_is_refused_and_changes_nothing(change, sentence, good):
    state = copy.deepcopy(good)
    change(state)
    save_checkpoint(state, "checkpoint")  # as it would come out of a file
    said, unchanged = train(resume=load_checkpoint("checkpoint"))
    start = "this checkpoint does not fit this run: "
    assert said.startswith(start) and said.endswith(".") and "\n" not in said and len(said) > len(start) + 5
    assert re.search(sentence, said), said
    assert unchanged
