"""`fit`: it learns, from what it may look at only, and the same seed gives the same bits."""

import hashlib
import math
from random import Random

import numpy as np
import pytest
from fit_samples import Recorder, points

import byhand as bh
from byhand import losses, nn, scalar
from byhand.data import Affine, Normalize
from byhand.optim import SGD, Adam


@pytest.fixture(scope="module")
def digits():
    return bh.data.load("mini")


def classifier(rng, *between, hidden=32):
    """784-32-10, with layers of one's choice between."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, hidden, rng), *between, nn.ReLU(), nn.Linear(hidden, 10, rng))


class Spy(nn.Module):
    """A linear layer that remembers everything it was ever shown, and whether that was in training."""

    def __init__(self, rng):
        self.inner = nn.Linear(4, 3, rng)
        self.shown = []

    def forward(self, x):
        self.shown.append((nn.training_rng() is not None, x.data[:, 0].astype(int).tolist()))
        return self.inner(x)


def fingerprint(model):
    """The bits of all its numbers."""
    sha = hashlib.sha256()
    for name, array in model.state_dict().items():
        sha.update(name.encode() + array.tobytes())
    return sha.hexdigest()


# --- it learns --------------------------------------------------------------------------------------------------------


def test_it_learns_to_read_digits(digits, rng):
    model = classifier(rng, hidden=64)
    run = bh.fit(model, digits.train, test=digits.test, loss=losses.cross_entropy, rng=rng, epochs=4,
                 optimizer=Adam(model.parameters(), lr=0.003), normalize=Normalize(0.13, 0.31))
    assert run.test.accuracy > 0.92
    assert run.test.interval[0] < run.test.accuracy < run.test.interval[1]
    assert run.test.samples == 1000 and run.test.outputs.shape == (1000, 10)
    assert [record["epoch"] for record in run.history] == [1, 2, 3, 4]
    assert set(run.history[0]) == {"epoch", "loss", "accuracy", "validation_loss", "validation_accuracy",
                                   "learning_rate", "seconds"}
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    assert run.history[-1]["accuracy"] > 0.95
    assert run.seconds > 0 and not run.stopped and not run.failed


@pytest.mark.parametrize(("batch_size", "steps"), [(None, 1), (25, 3), (1, 60), (1000, 1)])
def test_an_epoch_is_as_many_steps_as_there_are_batches(batch_size, steps, rng):
    model, data = nn.Linear(4, 3, rng), points()
    recorder = Recorder()
    run = bh.fit(model, data, loss=losses.cross_entropy, optimizer=SGD(model.parameters(), lr=1e-4), rng=rng, epochs=2,
                 batch_size=batch_size, validation=None, callbacks=[recorder])
    assert run.step == 2 * steps == len(recorder.batches)
    for epoch in (recorder.batches[:steps], recorder.batches[steps:]):  # each sample once an epoch
        assert sorted(np.concatenate(epoch)[:, 0]) == list(range(60))
    assert "validation_loss" not in run.history[0]


def test_the_steps_are_those_of_gradient_descent_by_hand(rng):
    x, y = rng.standard_normal((10, 3)), rng.standard_normal((10, 1))
    model = nn.Linear(3, 1, rng, bias=False, dtype=np.float64)
    w = model.weight.data.copy()
    bh.fit(model, (x, y), loss=losses.mean_squared_error, optimizer=SGD(model.parameters(), lr=0.1), rng=rng, epochs=3,
           batch_size=4, shuffle=False, validation=None)
    for _ in range(3):
        for rows in (slice(0, 4), slice(4, 8), slice(8, 10)):
            error = x[rows] @ w.T - y[rows]
            w -= 0.1 * 2 * error.T @ x[rows] / len(error)
    np.testing.assert_allclose(model.weight.data, w, rtol=1e-12)


def test_loss_and_accuracy_of_an_epoch_are_means_over_its_samples(rng):
    model, data = nn.Linear(4, 3, rng), points()
    before = bh.evaluate(model, data, loss=losses.cross_entropy)
    run = bh.fit(model, data, loss=losses.cross_entropy, optimizer=SGD(model.parameters(), lr=1e-12), rng=rng,
                 batch_size=25, validation=None)  # the last batch is smaller
    assert run.history[0]["loss"] == pytest.approx(before.loss, rel=1e-5)
    assert run.history[0]["accuracy"] == before.accuracy


def test_scalars_tensors_and_fit_find_the_same_gradients():
    net = scalar.Net([4, 3, 2], Random(1), [scalar.tanh, scalar.linear])
    x, label = [0.5, -1.0, 2.0, 0.25], 1
    scalar.cross_entropy(net(x), label).backward()
    expected = [(np.array([[w.grad for w in n.weights] for n in layer.neurons]),
                 np.array([n.bias.grad for n in layer.neurons])) for layer in net.layers]

    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(4, 3, rng), nn.Tanh(), nn.Linear(3, 2, rng)).to(np.float64)
    for linear, layer in zip((model[0], model[2]), net.layers, strict=True):
        linear.weight.data[:] = [[float(w) for w in n.weights] for n in layer.neurons]
        linear.bias.data[:] = [float(n.bias) for n in layer.neurons]
    losses.cross_entropy(model(np.array([x])), np.array([label])).backward()
    on_tensors = {name: p.grad for name, p in model.named_parameters()}

    recorder = Recorder()
    bh.fit(model, (np.array([x]), np.array([label])), loss=losses.cross_entropy, rng=rng, validation=None,
           optimizer=SGD(model.parameters(), lr=0.1), callbacks=[recorder])
    for found in (on_tensors, recorder.gradients[0]):
        for path, (weight, bias) in zip(("0", "2"), expected, strict=True):
            np.testing.assert_allclose(found[f"{path}.weight"], weight, rtol=1e-12)
            np.testing.assert_allclose(found[f"{path}.bias"], bias, rtol=1e-12)


# --- the same seed, the same bits -------------------------------------------------------------------------------------


def convolutional(rng):
    return nn.Sequential(nn.Conv2d(1, 4, 5, rng, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3),
                         nn.Linear(4 * 12 * 12, 10, rng))


@pytest.mark.parametrize(("network", "augment"), [
    (classifier, None),
    (lambda rng: classifier(rng, nn.BatchNorm1d(32), nn.Dropout(0.5)), None),
    (convolutional, Affine()),
], ids=["plain", "dropout and batch norm", "convolution, batch norm, dropout and augmentation"])
def test_the_same_seed_gives_the_same_bits(digits, network, augment):
    def trained(seed):
        model, rng = network(np.random.default_rng(0)), np.random.default_rng(seed)
        bh.fit(model, digits.train[:300], loss=losses.cross_entropy, optimizer=Adam(model.parameters(), lr=0.001),
               rng=rng, epochs=2, normalize=Normalize(), augment=augment)
        return fingerprint(model)

    assert trained(1) == trained(1) != trained(2)


def test_arrays_that_lie_on_the_disk_are_read_a_batch_at_a_time(digits, rng, tmp_path):
    images = np.memmap(tmp_path / "images", np.uint8, "w+", shape=(300, 1, 28, 28))
    images[:] = digits.train.inputs[:300]
    models = [classifier(np.random.default_rng(1)) for _ in range(2)]
    for model, inputs in zip(models, (images, digits.train.inputs[:300]), strict=True):
        bh.fit(model, (inputs, digits.train.targets[:300]), loss=losses.cross_entropy, rng=np.random.default_rng(2),
               optimizer=SGD(model.parameters(), lr=0.1), normalize=Normalize())
    assert fingerprint(models[0]) == fingerprint(models[1])


# --- what it may look at ----------------------------------------------------------------------------------------------


def test_held_out_samples_are_a_fair_draw_and_never_learned_from(rng):
    model = Spy(rng)
    bh.fit(model, points(60, classes=3), loss=losses.cross_entropy, optimizer=SGD(model.parameters(), lr=1e-4), rng=rng,
           epochs=2, batch_size=16, validation=0.2)
    learned = {i for training, shown in model.shown if training for i in shown}
    watched = [i for training, shown in model.shown if not training for i in shown]
    assert len(learned) == 48 and learned.isdisjoint(watched)
    assert len(watched) == 2 * 12 and np.bincount(np.array(watched[:12]) % 3).tolist() == [4, 4, 4]


def test_the_test_set_is_looked_at_once_when_all_is_over(rng):
    model = Spy(rng)
    data = points(90)
    run = bh.fit(model, data[:60], test=data[60:], loss=losses.cross_entropy, rng=rng, epochs=3,
                 optimizer=SGD(model.parameters(), lr=1e-4))
    when = [k for k, (_, shown) in enumerate(model.shown) if set(shown) & set(range(60, 90))]
    assert when == [len(model.shown) - 1]
    assert model.shown[-1] == (False, list(range(60, 90)))
    assert run.test.accuracy == bh.evaluate(model, data[60:]).accuracy


def test_a_validation_set_of_ones_own_is_used_whole(rng):
    model, data = Spy(rng), points(90)
    run = bh.fit(model, data[:60], validation=data[60:], loss=losses.cross_entropy, rng=rng, batch_size=20,
                 optimizer=SGD(model.parameters(), lr=1e-4))
    assert model.shown[-1] == (False, list(range(60, 90)))
    expected = bh.evaluate(model, data[60:], loss=losses.cross_entropy)
    assert run.history[0]["validation_loss"] == expected.loss
    assert run.history[0]["validation_accuracy"] == expected.accuracy


def test_callbacks_are_shown_the_validation_of_the_epoch(rng):
    class Looker(bh.callbacks.Callback):
        def on_epoch_end(self, run):
            losses_seen.append(run.validation.loss)

    losses_seen = []
    model = nn.Sequential(nn.Linear(4, 3, rng))
    samples = rng.normal(size=(12, 4)).astype(np.float32), np.arange(12) % 3
    run = bh.fit(model, samples, validation=samples, loss=losses.cross_entropy, rng=rng, epochs=2,
                 optimizer=SGD(model.parameters(), lr=0.1), callbacks=[Looker()])
    assert losses_seen == [record["validation_loss"] for record in run.history]
    assert run.validation.outputs.shape == (12, 3)


def test_augmentation_is_for_training_only_and_normalization_for_all(rng):
    def marked(images, rng):
        return images + 100

    model, data = Spy(rng), points(60)
    bh.fit(model, data[:40], validation=data[40:50], test=data[50:], loss=losses.cross_entropy, rng=rng,
           batch_size=None, optimizer=SGD(model.parameters(), lr=1e-9), augment=marked, normalize=Normalize(scale=2.0))
    (learning, seen), (_, watched), (_, tested) = model.shown
    assert learning and sorted(seen) == [2 * (i + 100) for i in range(40)]
    assert watched == [2 * i for i in range(40, 50)] and tested == [2 * i for i in range(50, 60)]


# --- using a network --------------------------------------------------------------------------------------------------


def test_a_network_evaluates_as_it_is_used_even_inside_training(rng):
    model = nn.Sequential(nn.Linear(4, 8, rng), nn.Dropout(0.5), nn.BatchNorm1d(8))
    data = points()
    expected = bh.predict(model, data.inputs)
    with nn.training(rng):
        np.testing.assert_array_equal(bh.predict(model, data.inputs), expected)
    assert all(p.grad is None for p in model.parameters()) and model[2].num_batches_tracked == 0


@pytest.mark.parametrize("batch_size", [1, 7, 60, 1000])
def test_how_many_are_evaluated_at_once_makes_no_difference(batch_size, rng):
    model, data = nn.Linear(4, 3, rng, dtype=np.float64), points()
    all_at_once = bh.evaluate(model, data, loss=losses.cross_entropy)
    found = bh.evaluate(model, data, loss=losses.cross_entropy, batch_size=batch_size)
    assert (found.accuracy, found.interval, found.samples) == (all_at_once.accuracy, all_at_once.interval, 60)
    assert found.loss == pytest.approx(all_at_once.loss)
    assert math.isnan(bh.evaluate(model, data).loss)
