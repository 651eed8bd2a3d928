"""What keeps training from harm: checkpoints, and the watch for numbers that are not finite."""

import math
import re

import numpy as np
import pytest
from training import At, Rates, interrupt, network, samples, train

import byhand as bh
from byhand import losses, nn, ops
from byhand.callbacks import Checkpoint, StopOnNaN
from byhand.data import Dataset

# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_checkpoints_are_models_that_load(tmp_path):
    model, path = network(), tmp_path / "model.safetensors"
    with pytest.raises(KeyboardInterrupt):
        # within the second epoch
        train(model, Checkpoint(lambda run: bh.save(run.model, path), seconds=0), At(7, interrupt))
    assert np.array_equal(bh.load(path).model[0].weight.data, model[0].weight.data)


def count_saves(seconds, epochs=3, **options):
    saved = []
    train(network(), Checkpoint(saved.append, seconds), epochs=epochs, **options)
    return len(saved)


def test_checkpoints_are_as_rare_as_asked():
    assert count_saves(seconds=0) == 12 + 3  # before each step, and after each epoch
    assert count_saves(seconds=1000) == 2  # after the first epoch and the last
    assert count_saves(seconds=1000, epochs=1) == 1


def test_a_broken_state_is_not_saved():
    def break_it(run):
        run.loss = math.nan

    saved = []
    train(network(), At(1, break_it), StopOnNaN(), Checkpoint(saved.append, seconds=0))
    assert saved == []


@pytest.mark.parametrize("spoiler", ["weight", "gradient", "loss"])
def test_the_last_good_checkpoint_survives(spoiler):
    def break_it(run):
        if spoiler == "weight":
            run.model[2].weight.data[0, 0] = np.inf
        elif spoiler == "gradient":
            run.model[0].weight.grad[0, 0] = np.nan
        else:
            run.loss = math.nan

    saved = []
    checkpoint = Checkpoint(lambda run: saved.append(run.model.state_dict()), seconds=0)
    run = train(network(), At(7, break_it), StopOnNaN(), checkpoint, batch_size=10)
    assert run.failed and len(saved) == 6 + 1  # before each sound step, and after the first epoch
    assert all(np.isfinite(value).all() for state in saved for value in state.values())


# --- NaN --------------------------------------------------------------------------------------------------------------


class Broken(nn.Module):
    """A layer of one's own that goes wrong for large inputs: the logarithm of a negative number."""

    def forward(self, x):
        return ops.log(1 - x)


class SteepAtZero(nn.Module):
    """Finite itself, but not in its slope: the root at 0."""

    def forward(self, x):
        return ops.sqrt(ops.relu(x))


def data_with(value):
    data = samples()
    data.inputs[17, 1] = value
    return data


def hit_ones():
    return samples().inputs, np.ones((40, 2), np.float32)


def nan_loss(outputs, targets):
    return losses.cross_entropy(outputs, targets) * float("nan")


def spoil(run):
    run.model[2].weight.data[0, 0] = np.inf


def spoiled_gradient(run):
    run.model[0].weight.grad[0, 0] = np.nan


def with_layer(layer):
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Linear(3, 8, rng), nn.ReLU(), layer, nn.Linear(8, 2, rng))


LINEAR_2 = r"layer '2', Linear\(in_features=8, out_features=2\)"


@pytest.mark.parametrize(("model", "callback", "options", "sentences"), [
    (network(), None, {"data": data_with(np.nan), "batch_size": None},
     [r"the loss is not a finite number in step 1 \(epoch 1\)", "began in the data", "Remove or replace them"]),
    (network(), None, {"data": data_with(np.inf), "batch_size": None}, ["in step 1 ", "began in the data"]),
    (network(), At(6, spoil), {}, [r"in step 7 \(epoch 2\)", f"began in {LINEAR_2}: its weight is not finite since the "
                                   "update of step 6", "lower learning rate"]),
    (network(), None, {"lr": 1e30}, ["layer '(0|2)', Linear", r"learning rate \(it is 1e\+30\)", "clip_norm"]),
    (network(), None, {"loss": losses.squared_error, "lr": 1e6, "data": hit_ones(), "epochs": 40},
     ["Try a lower learning rate"]),
    (with_layer(Broken()), None, {"lr": 3.0, "epochs": 40}, [r"in layer '2', Broken\(\): its output is not finite"]),
    (nn.Sequential(with_layer(Broken())), None, {"lr": 3.0, "epochs": 40}, [r"layer '0\.2', Broken\(\)"]),
    (with_layer(SteepAtZero()), None, {"epochs": 1}, [r"the loss is finite, but its gradients are not, in step 1 ",
                                                       r"began in layer '0', Linear\(.*\), or right after it"]),
    (network(), At(5, spoiled_gradient), {}, [r"gradients are not, in step 5 \(epoch 2\)", "layer '0', Linear"]),
    (network(), None, {"loss": nan_loss}, ["in step 1 ", "it began in the loss. Look at the targets"]),
    (nn.Linear(3, 2, np.random.default_rng(0)), None, {"lr": 1e39}, [r"in Linear\(in_features=3, out_features=2\)"]),
], ids=["NaN in the data", "infinity in the data", "a weight set to infinity", "a learning rate out of this world",
        "a loss that grows step by step", "a layer of one's own", "a layer in a layer", "a slope without limit",
        "a gradient", "a loss", "a single layer"])
def test_nan_is_found_where_it_begins(model, callback, options, sentences):
    run = train(model, *([callback] if callback else []), StopOnNaN(), **options)
    assert run.failed
    for sentence in sentences:
        assert re.search(sentence, run.stopped)
    assert run.test is None


@pytest.mark.parametrize(("options", "callback"), [
    ({"data": data_with(np.nan)}, None), ({"loss": nan_loss}, None), ({}, At(5, spoiled_gradient)),
    ({"loss": losses.squared_error, "lr": 10.0, "epochs": 60, "data": hit_ones()}, None),
])
def test_the_weights_stay_finite(options, callback):
    model = network()
    run = train(model, *([callback] if callback else []), StopOnNaN(), **options)
    assert run.failed
    assert all(np.isfinite(value).all() for value in model.state_dict().values())


def test_fit_watches_whatever_else_listens():
    run = train(network(), Rates(), data=data_with(np.nan))
    assert run.failed and "began in the data" in run.stopped


def test_large_inputs_are_named():
    data = samples()
    run = train(network(), StopOnNaN(), lr=1e30, data=Dataset(data.inputs * 255, data.targets))
    assert "scaling the inputs, which reach" in run.stopped


def test_nothing_is_said_where_all_is_well():
    run = train(network(), StopOnNaN())
    assert (run.stopped, run.failed, run.epoch) == ("", False, 3)
