"""The learning-rate range test: it leaves everything as it was, and suggests a rate that learns."""

import re
from pathlib import Path

import numpy as np
import pytest
from command_line import the_object
from networks import assert_same, numbers_of
from PIL import Image
from training import At, network, samples, train

import byhand as bh
from byhand import losses, nn
from byhand.lr_range import suggestion
from byhand.optim import SGD, Adam


def find(model=None, data=None, optimizer=None, **options):
    model = model or network()
    options = {"loss": losses.cross_entropy, "rng": np.random.default_rng(0), "batch_size": 10} | options
    optimizer = optimizer or Adam(model.parameters(), lr=0.5)
    return bh.find_lr(model, samples() if data is None else data, optimizer=optimizer, **options)


def test_model_optimizer_and_generator_are_left_as_they_were(rng):
    model = nn.Sequential(nn.Linear(3, 8, rng), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2, rng))
    optimizer = Adam(model.parameters(), lr=0.01)
    train(model, optimizer=optimizer)
    weights, memory, dice = numbers_of(model), optimizer.state_dict(), rng.bit_generator.state
    found = find(model, optimizer=optimizer, rng=rng)
    assert found.rates[-1] > 0.01, "the rates did grow"
    assert_same(numbers_of(model), weights)
    after = optimizer.state_dict()
    assert_same(after.pop("arrays"), memory.pop("arrays"))
    assert after == memory and rng.bit_generator.state == dice
    again = find(model, optimizer=optimizer, rng=rng)
    np.testing.assert_array_equal(again.losses, found.losses)


def test_an_interrupted_test_leaves_them_too(monkeypatch):
    model = network()
    weights = numbers_of(model)
    calls = iter(range(20))

    def loss(outputs, targets):
        if next(calls) == 15:
            raise KeyboardInterrupt
        return losses.cross_entropy(outputs, targets)

    optimizer = Adam(model.parameters(), lr=0.5)
    with pytest.raises(KeyboardInterrupt):
        find(model, optimizer=optimizer, loss=loss)
    assert_same(numbers_of(model), weights)
    assert optimizer.lr == 0.5


def test_each_step_takes_the_next_rate_and_notes_the_loss_after_it():
    found = find(lowest=1e-4, highest=1e-1, steps=20)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 1e-1, 20))
    model, seen = network(), []
    optimizer = Adam(model.parameters(), lr=0.5)
    rates = iter(np.geomspace(1e-4, 1e-1, 20))

    def note(run):
        seen.append(run.loss)
        run.optimizer.lr = next(rates, 0.0)

    train(model, *(At(step, note) for step in range(1, 22)), optimizer=optimizer, epochs=6)
    np.testing.assert_array_equal(found.losses, seen[1:])
    kept = 1 - 10 / 20
    for k in (0, 7, 19):
        shares = kept ** np.arange(k, -1, -1)
        assert found.smoothed[k] == pytest.approx((shares * found.losses[:k + 1]).sum() / shares.sum())


def test_the_suggestion_lies_before_three_quarters_of_the_fall():
    rates = np.geomspace(1e-5, 1, 51)
    smoothed = np.concatenate([np.full(20, 2.0), np.linspace(2.0, 1.0, 21), np.full(10, 5.0)])
    found = suggestion(rates, smoothed, smoothed, 0.9, 5)
    assert found == rates[34] and smoothed[34] == pytest.approx(1.3)


def test_what_it_suggests_for_the_recipes_is_near_what_they_use(here):
    for recipe in ("mlp", "sigmoid-72-36"):
        found = the_object(here("train", recipe, "--data", "mini", "--find-lr", "--json")[1])
        assert (found["recipe"], found["dataset"]) == (recipe, "mini")
        assert found["lr"] / 3 < found["suggested_lr"] < found["lr"] * 3
        assert len(found["rates"]) == len(found["losses"]) == len(found["smoothed"]) <= 100
    assert not Path("runs").exists(), "nothing is trained"


def test_it_can_be_read_and_is_drawn(here, tiny):
    words = ["train", "relu-10", "--data", tiny, "--find-lr"]
    code, out, err = here(*words, "--out", "ranges")
    assert (code, err) == (0, "")
    assert max(len(line) for line in out.splitlines() if not line.startswith("byhand")) <= 80
    (rate,) = re.findall(r"Suggested: (\S+) \(the recipe's own is 0\.1\)", out)
    assert f"byhand train relu-10 --data {tiny} --set lr={rate} --seed 0 --threads {bh.get_num_threads()}\n" in out
    assert "⠤" in out
    assert [path.name for path in Path("ranges").iterdir()] == ["lr-range.png"]
    with Image.open("ranges/lr-range.png") as picture:
        assert picture.format == "PNG"
    for _ in range(2):  # a file that is there is replaced
        assert here(*words, "--out", "own.svg")[1].endswith("The picture is own.svg\n")
    assert here("train", "scalar", "--data", tiny, "--find-lr", "--out", "not-made")[0] == 1
    assert not Path("not-made").exists(), "nothing is left of a test that did not begin"
    assert here(*words)[0] == 0 and not list(Path().glob("*.png"))


def test_a_batch_size_of_one_takes_enough_samples(here, tiny):
    found = the_object(here("train", "numpy-tutorial", "--data", tiny, "--find-lr", "--json")[1])
    assert len(found["rates"]) > 1000 and 0.001 < found["suggested_lr"] < 0.05


def flat(outputs, targets):
    return (outputs * 0).sum() + 1.0


INFINITE = bh.data.Dataset(np.full((40, 3), np.inf, np.float32), np.arange(40) % 2)
BAD = [
    ({"steps": 9}, "at least 10 steps"), ({"steps": 2.5}, "steps to be a whole number"),
    ({"lowest": 0}, "0 < lowest < highest"), ({"lowest": 2, "highest": 1}, "0 < lowest < highest"),
    ({"highest": np.inf}, "0 < lowest < highest"), ({"lowest": np.nan}, "0 < lowest < highest"),
    ({"data": INFINITE}, "the range test could not begin: .* It began in the data"),
    ({"loss": flat}, "the loss does not fall at any learning rate from 1e-06 to 1e"),
    ({"highest": 2e-6}, "does not fall at any learning rate from 1e-06 to 2e-06"),
    ({"batch_size": 0}, "batch_size is a whole number"), ({"data": samples(0)}, "the data set is empty"),
    ({"rng": 0}, "rng is a NumPy generator"), ({"data": [1, 2]}, "train is a Dataset or a pair of arrays"),
    ({"optimizer": SGD(network(1).parameters(), lr=0.1)}, "holds no parameter of this model"),
]


@pytest.mark.parametrize(("options", "sentence"), BAD, ids=[sentence for _, sentence in BAD])
def test_what_cannot_be_tested_is_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        find(**options)
