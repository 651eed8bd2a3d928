"""The doctor's measurements: they change nothing, they are what they say, and they outlive the run."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from broken_trainings import GALLERY, HEALTHY
from command_line import the_object
from hypothesis import given
from hypothesis import strategies as st
from training import At, interrupt, samples, train

from byhand import losses, nn
from byhand.callbacks import Callback, Checkpoint
from byhand.data import Dataset
from byhand.doctor import Doctor, Layer, Look, Measured, diagnose, examined, facts, in_words
from byhand.doctor.looking import activations, length
from byhand.doctor.record import write
from byhand.optim import Adam


def mixed(seed=0):
    """What has a state that a look could disturb: batch norm's averages, dropout's generator."""
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(3, 8, rng), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 8, rng),
                         nn.Tanh(), nn.Linear(8, 2, rng))


def test_a_training_is_the_same_with_a_doctor():
    models = [mixed(), mixed()]
    for model, doctors in zip(models, ([], [Doctor()]), strict=True):
        train(model, *doctors, epochs=20)
    with_doctor, without = (model.state_dict() for model in models)
    assert all(np.array_equal(with_doctor[name], without[name]) for name in without)


# --- what is measured -------------------------------------------------------------------------------------------------


def test_gradients_and_updates_are_parts_of_the_weights():
    class Weights(Callback):
        def on_step(self, run):
            if run.step == 1:
                self.before, self.gradient = run.model[0].weight.data.copy(), run.model[0].weight.grad.copy()

        def on_step_end(self, run):
            if run.step == 2:
                self.after = run.model[0].weight.data.copy()

    doctor, weights = Doctor(), Weights()
    train(mixed(), doctor, weights, lr=0.3)
    look = doctor.measured.looks[1]
    layer = look.layers[0]
    size = np.linalg.norm(weights.before)
    assert (look.step, layer.name, look.learning_rate) == (1, "layer '0' (Linear)", 0.3)
    assert layer.gradient == pytest.approx(np.linalg.norm(weights.gradient) / size, rel=1e-5)
    assert layer.update == pytest.approx(np.linalg.norm(weights.after - weights.before) / size, rel=1e-5)
    assert layer.update == pytest.approx(0.3 * layer.gradient, rel=1e-4)


def test_units_that_are_stuck_are_counted():
    linear = nn.Linear(2, 4, np.random.default_rng(0))
    linear.weight.data[...] = np.array([[1, 0], [-1, 0], [0, 1], [0, 0]])
    linear.bias.data[...] = [0, 0, 0, -1]
    x = np.array([[1, 2], [3, 0]], np.float32)
    outputs, silent, saturated = activations(nn.Sequential(linear, nn.ReLU()), x)
    assert outputs == 4 and saturated == {}
    assert silent["layer '1' (ReLU)"].tolist() == [False, True, False, True]
    for curve, ends in ((nn.Sigmoid(), 5), (nn.Tanh(), 3)):  # 5 and 2.5: outputs of 0.993 and 0.987
        x = np.array([[0, ends], [-ends, 0.5]], np.float32)
        _, _, saturated = activations(nn.Sequential(curve, nn.Flatten(), nn.Linear(2, 2, np.random.default_rng(0))), x)
        assert list(saturated.values()) == [0.5]
        assert activations(nn.Sequential(nn.Flatten(), curve), x)[2] == {}, "at the output that is no fault"


def test_a_channel_is_a_unit():
    rng = np.random.default_rng(0)
    conv = nn.Conv2d(1, 3, 3, rng)
    conv.bias.data[...] = [-100, 0, 100]
    _, silent, _ = activations(nn.Sequential(conv, nn.ReLU()), rng.standard_normal((5, 1, 6, 6)).astype(np.float32))
    assert silent["layer '1' (ReLU)"].tolist() == [True, False, False]


def test_lengths_of_large_numbers():
    assert length(np.full(4, 1e30, np.float32)) == pytest.approx(2e30)


def test_classes_are_counted_by_their_weights():
    data = samples(40)
    weights = np.where(data.targets == 0, 20.0, 1.0).astype(np.float32)
    counts = []
    for targets, chosen in ((data.targets, None), (data.targets, weights), (losses.one_hot(data.targets, 2), None)):
        doctor = Doctor(classes=["red", "blue"])
        train(mixed(), doctor, data=Dataset(data.inputs, targets, weights=chosen))
        counts.append(doctor.measured.counts)
    plain = np.bincount(data.targets).tolist()
    assert counts == [plain, [20.0 * plain[0], plain[1]], plain]
    said = {finding.name: finding.seen for finding in diagnose(Measured(counts=counts[1], classes=["red", "blue"]))}
    assert "training samples of class red, and" in said["classes-unbalanced"]


@pytest.mark.parametrize(("targets", "outputs"), [(np.linspace(-1, 1, 40), 1), (np.arange(40) * 10**9, 1)])
def test_what_is_not_a_class_is_not_counted(targets, outputs):
    doctor = Doctor()
    model = nn.Sequential(nn.Linear(3, outputs, np.random.default_rng(0)), nn.Flatten())
    train(model, doctor, data=Dataset(samples(40).inputs, targets),
          loss=lambda outputs, _: (outputs ** 2).mean(), epochs=40)
    assert doctor.measured.counts == [] and doctor.findings == []


def test_a_regression_that_does_not_move_is_seen():
    x = np.random.default_rng(0).standard_normal((400, 3)).astype(np.float32)
    data = Dataset(x, x.sum(axis=1, keepdims=True))
    found = {}
    for lr in (0.01, 1e-7):
        doctor = Doctor()
        train(nn.Linear(3, 1, np.random.default_rng(0)), doctor, data=data, loss=losses.mean_squared_error, lr=lr)
        found[lr] = [finding.name for finding in doctor.findings]
    assert found == {0.01: [], 1e-7: ["learning-rate-too-low", "loss-does-not-move"]}


def test_a_regression_learned_by_heart_is_seen(rng):
    found = []
    for n, features in ((60, 30), (500, 3)):
        x = rng.standard_normal((n, features)).astype(np.float32)
        data = Dataset(x, (x[:, :1] + rng.standard_normal((n, 1))).astype(np.float32))
        model = nn.Sequential(nn.Linear(features, 64, rng), nn.ReLU(), nn.Linear(64, 1, rng))
        doctor = Doctor()
        train(model, doctor, data=data, loss=losses.mean_squared_error, epochs=150 * 60 // n, validation=0.2,
              optimizer=Adam(model.parameters(), lr=0.003))
        found.append([finding.seen for finding in doctor.findings])
    (learned_by_heart,), fine = found
    assert learned_by_heart.startswith("It overfits: the training loss is ") and fine == []


def test_it_costs_little():
    class Timed(Doctor):
        looks = 0

        def look(self, run):
            super().look(run)
            self.looks += 1

    doctor = Timed()
    replace(HEALTHY, epochs=40).run(0, doctor)
    assert 30 <= doctor.looks <= 36 and len(doctor.measured.looks) <= 36
    assert doctor.inputs.maxlen == 4, "it keeps four batches of 20, for 64 samples"


# --- what outlives the run --------------------------------------------------------------------------------------------


def test_what_is_written_is_what_was_measured(tmp_path):
    doctor = Doctor(tmp_path / "measurements.json")
    GALLERY["20 layers of sigmoids"][0].run(0, doctor)
    (measured,) = examined(tmp_path).values()
    assert measured == doctor.measured and diagnose(measured) == doctor.findings != []
    assert measured.ended and not measured.failed


KILLED = """
import os, pathlib, signal, sys
from broken_trainings import HEALTHY, replace
from byhand.doctor import Doctor

class Mortal(Doctor):
    def judge(self, run):
        self.written = -1.0  # every look is written
        super().judge(run)
        if run.step == 100:
            os.kill(os.getpid(), signal.SIGKILL)

replace(HEALTHY, epochs=8).run(0, Mortal(pathlib.Path(sys.argv[1])))
"""


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
def test_a_run_that_is_killed_can_be_judged(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "measurements.json"], cwd=Path(__file__).parent)
    assert done.returncode == -signal.SIGKILL
    (measured,) = examined(tmp_path).values()
    assert not measured.ended and [look.step for look in measured.looks] == [0, 1, 10, 50]
    assert "I see nothing wrong" in in_words(facts("run", measured), 80)


def test_a_full_disk_does_not_end_a_training(tmp_path):
    doctor = Doctor(tmp_path / "no" / "folder" / "measurements.json")
    run, _ = HEALTHY.run(0, doctor)
    assert run.epoch == 5 and len(doctor.measured.looks) > 5
    assert len(run.notes) == 1 and "measurements.json cannot be written: there is no folder" in run.notes[0]


def test_a_run_that_goes_on_keeps_its_measurements():
    def done(*others, **options):
        doctor, states = Doctor(), []
        try:
            train(mixed(), doctor, Checkpoint(lambda run: states.append(run.state_dict()), seconds=0), *others,
                  epochs=40, **options)
        except KeyboardInterrupt:
            assert not doctor.measured.ended
        return doctor, states[-1]

    whole, _ = done()
    _, state = done(At(83, interrupt))
    rest, _ = done(resume=json.loads(json.dumps(state, default=np.ndarray.tolist)) | {
        name: state[name] for name in ("model", "optimizer", "parameters")})
    assert [look.step for look in rest.measured.looks] == [look.step for look in whole.measured.looks]
    assert rest.measured.looks[:4] == whole.measured.looks[:4] and rest.measured.first == whole.measured.first
    assert rest.measured.counts == whole.measured.counts != []


SMALL = Measured(2, 10, 20, 20, 2.3, [10.0, 10.0], [], [Look(0, 2.3, 0.1, 1.0, [Layer("layer '1' (ReLU)", dead=0.5)])])


def spoiled(**changes):
    """A file as `write` makes it, with something else in it."""
    def make(path):
        write(path, SMALL)
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return make


BAD = {  # what is in the file: words of the sentence
    "nothing": (lambda path: path.write_bytes(b""), "is not what a run leaves: Expecting value"),
    "no text": (lambda path: path.write_bytes(b"\xff\xfe\x00"), "is not what a run leaves: "),
    "half of it": (lambda path: (write(path, SMALL), path.write_bytes(path.read_bytes()[:60])), "is not what a run"),
    "a list": (lambda path: path.write_text("[1]"), "it is not of version 1"),
    "another version": (spoiled(version=2), "it is not of version 1"),
    "a key twice": (lambda path: path.write_text('{"version": 1, "version": 1}'), "the key 'version' stands twice"),
    "a key more": (spoiled(more=1), 'it is {"epochs": 2'),
    "a word for a number": (spoiled(step="many"), 'step is "many"'),
    "a number for a word": (spoiled(stopped=3), "stopped is 3"),
    "a fraction for a whole number": (spoiled(epochs=1.5), "epochs is 1.5"),
    "true for a number": (spoiled(first=True), "first is true"),
    "NaN": (spoiled(first=math.nan), "first is NaN"),
    "infinity": (spoiled(counts=[math.inf]), "counts is Infinity"),
    "a number that no float holds": (spoiled(step=10**400), "step is 1000"),
    "fewer samples than none": (spoiled(counts=[5.0, -5.0]), "it counts less than nothing"),
    "a look that is none": (spoiled(looks=[[1]]), r"looks is \[1\]"),
    "a look without its step": (spoiled(looks=[{"loss": 1.0}]), 'looks is {"loss": 1.0}'),
    "lists without end": (lambda path: path.write_text("[" * 100_000), "is not what a run leaves: "),
    "far too much": (lambda path: (path.touch(), os.truncate(path, 200_000_000)), "it has 200,000,000 bytes"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_one_sentence(what, tmp_path):
    make, said = BAD[what]
    path = tmp_path / "measurements.json"
    make(path)
    with pytest.raises(ValueError, match=said) as error:
        examined(tmp_path)
    assert str(path) in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 400


figures = st.floats(allow_nan=False, allow_infinity=False)
layers = st.builds(Layer, st.text(max_size=3), *[st.none() | figures] * 4)
look = st.builds(Look, st.integers(0, 10**20), figures, figures, st.none() | figures, st.lists(layers, max_size=3))
names = st.sampled_from(["epoch", "loss", "accuracy", "validation_loss", "validation_accuracy"])
whole = st.integers(-5, 10**20)


@given(st.builds(Measured, whole, whole, whole, whole, st.none() | figures, st.lists(figures, max_size=3),
                 st.lists(st.text(max_size=3), max_size=3), st.lists(look, max_size=4), st.text(max_size=3),
                 st.booleans(), st.booleans(), st.lists(st.dictionaries(names, figures), max_size=4)))
def test_whatever_the_figures_there_is_a_diagnosis(measured):
    assert in_words(facts("run", measured), 60)


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_says_what_was_found(here, tiny):
    assert here("train", "mlp", "--data", tiny, "--epochs", 60, "--set", "lr=100000", "--out", "run", "-q")[0] == 0
    code, out, err = here("doctor", "run")
    assert (code, err) == (0, "") and re.search(r"run: \d+ of 180 steps, \d+ epochs, \d+ looks at the network\.\n", out)
    assert "alarm: The learning rate is too high" in out and max(map(len, out.splitlines())) <= 80
    (told,) = the_object(here("doctor", "run", "--json")[1])["runs"]
    assert "learning-rate-too-high" in [finding["name"] for finding in told["findings"]]
    assert "The learning rate is too high" in Path("run/report.html").read_text(encoding="utf-8")


def test_the_command_says_that_all_is_well_or_that_it_is_early(here, tiny):
    here("train", "relu-10", "--data", tiny, "--epochs", 2, "--out", "runs/a", "--seeds", 2, "-q")
    code, out, _ = here("doctor", "runs/a")
    assert code == 0 and out.count("I see nothing wrong") == out.count("It is too early to say how well") == 2
    assert re.findall(r"^(\S+):", out, re.MULTILINE) == ["runs/a/seed-0", "runs/a/seed-1"]


def test_training_tells_each_finding_once(here, tiny):
    _, out, err = here("train", "sigmoid-72-36", "--data", tiny, "--epochs", 80, "--out", "run")
    assert err.count("Doctor: The inputs are not scaled") == 1 and "Doctor" not in out
    assert "Doctor" not in here("train", "sigmoid-72-36", "--data", tiny, "--epochs", 80, "--out", "again", "-q")[2]


def test_one_is_not_many():
    told = facts("run", Measured(epochs=1, batches=1, samples=10, step=1, looks=[Look(0, 2.0, 0.1, 1.0)],
                                 history=[{"epoch": 1, "loss": 2.0}]))
    assert in_words(told, 80).startswith("run: 1 of 1 step, 1 epoch, 1 look at the network.\n")
    look = Look(0, 2.0, 0.1, 1.0, [Layer(f"layer '{n}' (ReLU)", dead=1.0) for n in range(5)])
    old = Measured(1, 100, 2000, 100, 2.0, looks=[look, look], history=[{"epoch": 1, "loss": 2.0}])
    assert any("'2' (ReLU), 100 % of layer '3' (ReLU) and 1 layer more." in found.seen for found in diagnose(old))
