"""The doctor finds what is wrong with each of a gallery of broken trainings, and nothing that contradicts it; and it
finds nothing in healthy ones, of every recipe."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
from broken_trainings import GALLERY, HEALTHY, digits, network, sgd
from markdown import ROOT

import byhand as bh
from byhand import nn
from byhand.data import Splits
from byhand.recipes import RECIPES, find, run_recipe

OPPOSITES = [{"learning-rate-too-high", "learning-rate-too-low"}, {"gradients-explode", "gradients-vanish"},
             {"overfitting", "accuracy-at-chance"}, {"overfitting", "loss-does-not-move"},
             {"learning-rate-too-high", "loss-does-not-move"}]
CAUSES = {"not-finite", "class-missing", "classes-unbalanced", "inputs-not-scaled", "learning-rate-too-high",
          "learning-rate-too-low", "gradients-explode", "gradients-vanish", "dead-relu", "saturated"}


@pytest.mark.parametrize("done", GALLERY)
def test_what_is_wrong_is_found(done):
    training, expected = GALLERY[done]
    run, doctor = training.run()
    found = {finding.name: finding for finding in doctor.findings}
    assert found[expected].severity == "alarm"
    assert not any(pair <= found.keys() for pair in OPPOSITES)
    if "labels-shuffled" in found:
        assert not {name for name in CAUSES & found.keys() if found[name].severity == "alarm"}
    for finding in doctor.findings:  # a sentence with its figure
        assert finding.seen[0].isupper() and finding.seen.endswith(".") and any(map(str.isdigit, finding.seen))
    noted = [note for note in run.notes if found[expected].seen[:12] in note]
    assert len(noted) == 1, "it was told on the way, once"


def test_every_condition_has_its_training():
    expected = {name for _, name in GALLERY.values()}
    assert expected == CAUSES | {"labels-shuffled", "loss-does-not-move", "accuracy-at-chance", "overfitting"}


@pytest.mark.parametrize(("change", "words"), [
    ("a NaN among the pixels", "It began in the data"),
    ("no 7 among the samples", "no training sample of 1 of the 10 classes: 7."),
    ("few 7s among the samples", ", and 2 of class 7."),
    ("hidden biases of -100", "0 for every sample: 100 % of layer '2' (ReLU)."),
    ("sigmoids with weights 30 times too large", "of layer '2' (Sigmoid), "),
    ("20 layers of sigmoids", "and that of layer '41' (Linear) 0."),
    ("an optimizer that holds one bias", "The weights stand still in 2 of 2 layers, first layer '1' (Linear)."),
    ("pixels from 0 to 255", "their root mean square is 7"),
])
def test_the_sentence_says_where(change, words):
    assert any(words in finding.seen for finding in GALLERY[change][0].run()[1].findings)


def test_the_page_shows_the_gallery(monkeypatch):
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    monkeypatch.syspath_prepend(ROOT / "scripts")
    gallery = importlib.import_module("write_gallery")
    assert gallery.between(page, gallery.BEGIN, gallery.END, gallery.gallery_table()) == page, (
        "run python scripts/write_gallery.py")


# --- no false alarm ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("change", [
    {}, {"optimizer": sgd(0.1)}, {"batch_size": 1, "optimizer": sgd(0.01)}, {"batch_size": None, "epochs": 100},
    {"model": lambda rng: network(rng, nn.Tanh, 2)}, {"model": lambda rng: network(rng, nn.Sigmoid)},
    {"model": lambda rng: network(rng, nn.ReLU, 6)}, {"validation": lambda: None}, {"epochs": 1},
    {"train": lambda: digits()[0][:400]},
], ids=["Adam", "SGD", "one at a time", "all at once", "tanh", "sigmoid", "deep", "no validation", "short", "few"])
def test_healthy_trainings(change, seed):
    run, doctor = replace(HEALTHY, **change).run(seed)
    assert (doctor.findings, run.notes) == ([], [])


def test_what_is_rare_and_hard_to_tell_is_not_called_shuffled(rng):
    """The best answer is always the frequent class, and the network knows more than it can say: its loss falls."""
    inputs = rng.standard_normal((1000, 8)).astype(np.float32)
    rare = rng.random(1000) < 1 / (1 + np.exp(1.5 - 0.5 * inputs[:, 0]))
    data = bh.data.Dataset(inputs, rare.astype(int))
    model = nn.Sequential(nn.Linear(8, 16, rng), nn.ReLU(), nn.Linear(16, 2, rng))
    doctor = bh.doctor.Doctor()
    bh.fit(model, data, loss=bh.losses.cross_entropy, optimizer=bh.optim.Adam(model.parameters(), lr=1e-3), rng=rng,
           epochs=30, callbacks=[doctor])
    assert [finding.name for finding in doctor.findings] == ["accuracy-at-chance"]


SHORT = {"binary-zero-one": {"epochs": 60}, "relu-10": {"epochs": 120}, "scalar": {"images": 1000},
         "sigmoid-72-36": {"epochs": 100}, "numpy-tutorial": {"epochs": 2}, "mlp": {"epochs": 8},
         "lenet": {"epochs": 2, "batch_size": 32}, "fast-2021": {"batch_size": 32}, "fast": {"batch_size": 32},
         "convnet": {"epochs": 2, "batch_size": 32}}
SMALLER = {"convnet": 900, "fast-2021": 2000, "fast": 2000, "lenet": 1200, "sigmoid-72-36": 2500}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", [recipe.name for recipe in RECIPES])
def test_recipes(name, seed, tmp_path):
    mini = bh.data.load("mini")
    chosen = np.random.default_rng(seed).permutation(5000)[:SMALLER.get(name)]
    train, test = mini.train[chosen], mini.test[:100]
    if name == "scalar":  # pictures of a sixteenth of the size
        train, test = (replace(part, inputs=part.inputs[:, :, 1::4, 1::4]) for part in (train, test))
    data = Splits(train, test)
    notes = []

    class Notes(bh.callbacks.Callback):
        def on_train_end(self, run):
            notes.extend(run.notes)

    run_recipe(find(name).having(**SHORT[name]), data, seed=seed, folder=tmp_path, callbacks=[Notes()])
    (measured,) = bh.doctor.examined(tmp_path).values()
    assert {finding.name: finding.severity for finding in bh.doctor.diagnose(measured)} == (
        {"inputs-not-scaled": "remark", "saturated": "remark"} if name == "sigmoid-72-36" else {})
    assert len(notes) == (2 if name == "sigmoid-72-36" else 0), "nothing was told on the way either"
