"""`fit`: it learns, from what it may look at only, and the same seed gives the same bits."""

import hashlib
import math
import tracemalloc
from random import Random

import numpy as np
import pytest

import byhand as bh
from byhand import losses, nn, scalar
from byhand.callbacks import Callback, StopOnNaN
from byhand.data import Affine, Dataset, Normalize, Splits
from byhand.optim import SGD, Adam
from byhand.schedules import Cosine


@pytest.fixture(scope="module")
def digits():
    return bh.data.load("mini")


def classifier(rng, *between, hidden=32):
    """784-32-10, with layers of one's choice between."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, hidden, rng), *between, nn.ReLU(), nn.Linear(hidden, 10, rng))


def points(n=60, classes=3):
    """Samples that can be told apart by their first number, which counts them; `classes` in turn."""
    rng = np.random.default_rng(7)
    inputs = np.column_stack([np.arange(n), rng.standard_normal((n, 3))]).astype(np.float32)
    return Dataset(inputs, np.arange(n) % classes, tuple("abcdefgh"[:classes]))


class Recorder(Callback):
    """Remembers the inputs of every batch and the gradients that they gave."""

    def __init__(self):
        self.batches, self.gradients = [], []

    def on_step(self, run):
        self.batches.append(run.inputs.copy())
        self.gradients.append({name: p.grad.copy() for name, p in run.model.named_parameters()})


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


def test_augmentation_is_for_training_only_and_normalization_for_all(rng):
    def marked(images, rng):
        return images + 100

    model, data = Spy(rng), points(60)
    bh.fit(model, data[:40], validation=data[40:50], test=data[50:], loss=losses.cross_entropy, rng=rng,
           batch_size=None, optimizer=SGD(model.parameters(), lr=1e-9), augment=marked, normalize=Normalize(scale=2.0))
    (learning, seen), (_, watched), (_, tested) = model.shown
    assert learning and sorted(seen) == [2 * (i + 100) for i in range(40)]
    assert watched == [2 * i for i in range(40, 50)] and tested == [2 * i for i in range(50, 60)]


# --- all kinds of samples ---------------------------------------------------------------------------------------------


def test_sample_weights_count_like_so_many_samples(rng):
    data = points(12)
    weights = np.array([1, 2, 0] * 4, float)
    repeated = data[np.repeat(np.arange(12), weights.astype(int))]
    trained = []
    for samples in (Dataset(data.inputs, data.targets, data.classes, weights=weights), repeated):
        model = nn.Linear(4, 3, np.random.default_rng(3), dtype=np.float64)
        run = bh.fit(model, samples, validation=samples, loss=losses.cross_entropy, rng=rng, batch_size=None, epochs=3,
                     optimizer=SGD(model.parameters(), lr=0.01))
        trained.append((model.weight.data, run.history[-1]["loss"], run.history[-1]["validation_loss"]))
    np.testing.assert_allclose(trained[0][0], trained[1][0], rtol=1e-10)
    assert trained[0][1:] == pytest.approx(trained[1][1:])


def test_numbers_to_hit_have_no_accuracy(rng):
    x = rng.standard_normal((200, 3)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [0.5]], np.float32)
    model = nn.Linear(3, 1, rng)
    run = bh.fit(model, (x, y), test=Dataset(x, y), loss=losses.mean_squared_error, rng=rng, epochs=20,
                 optimizer=SGD(model.parameters(), lr=0.1))
    assert run.test.loss < 1e-6 and run.test.accuracy is None and run.test.interval is None
    assert set(run.history[0]) == {"epoch", "loss", "validation_loss", "learning_rate", "seconds"}
    np.testing.assert_allclose(model.weight.data, [[1, -2, 0.5]], atol=1e-3)


def test_a_single_output_answers_by_its_sign(rng):
    x = rng.standard_normal((200, 2)).astype(np.float32)
    model = nn.Linear(2, 1, rng)
    run = bh.fit(model, (x, (x[:, 0] > 0).astype(np.int64)), loss=losses.binary_cross_entropy, rng=rng, epochs=20,
                 optimizer=SGD(model.parameters(), lr=1.0))
    assert run.history[-1]["accuracy"] > 0.95 and run.history[-1]["validation_accuracy"] > 0.9


@pytest.mark.parametrize("targets", [np.arange(6), np.arange(6) / 6, np.eye(6)], ids=["counts", "reals", "rows"])
def test_what_are_not_classes_is_not_counted(targets, rng):
    assert bh.evaluate(nn.Linear(2, 1, rng), Dataset(np.ones((6, 2)), targets)).accuracy is None


def test_a_network_of_float64_stays_one(rng):
    model = nn.Sequential(nn.Linear(4, 3, rng), nn.BatchNorm1d(3)).to(np.float64)
    recorder = Recorder()
    run = bh.fit(model, points(), test=points(), loss=losses.cross_entropy, rng=rng, callbacks=[recorder],
                 optimizer=Adam(model.parameters()))
    assert {array.dtype for array in recorder.batches} == {np.dtype(np.float64)} == {run.test.outputs.dtype}
    assert all(p.dtype == np.float64 for p in model.parameters())


def test_arrays_that_lie_on_the_disk_are_read_a_batch_at_a_time(digits, rng, tmp_path):
    images = np.memmap(tmp_path / "images", np.uint8, "w+", shape=(300, 1, 28, 28))
    images[:] = digits.train.inputs[:300]
    models = [classifier(np.random.default_rng(1)) for _ in range(2)]
    for model, inputs in zip(models, (images, digits.train.inputs[:300]), strict=True):
        bh.fit(model, (inputs, digits.train.targets[:300]), loss=losses.cross_entropy, rng=np.random.default_rng(2),
               optimizer=SGD(model.parameters(), lr=0.1), normalize=Normalize())
    assert fingerprint(models[0]) == fingerprint(models[1])


def test_a_set_larger_than_memory_is_never_read_whole(rng, tmp_path):
    big = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.uint8, (1 << 14, 1, 64, 64))  # 64 MB
    model = nn.Sequential(nn.Flatten(), nn.Linear(4096, 2, rng))
    tracemalloc.start()
    run = bh.fit(model, (big, np.arange(len(big)) % 2), loss=losses.cross_entropy, rng=rng, batch_size=256,
                 optimizer=SGD(model.parameters(), lr=0.1), normalize=Normalize())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20 and "validation_loss" in run.history[0]


def test_validation_and_test_may_be_pairs_of_arrays(rng):
    data, model = points(), nn.Linear(4, 3, rng)
    pair = (data.inputs, data.targets)
    run = bh.fit(model, data, validation=pair, test=pair, loss=losses.cross_entropy, rng=rng,
                 optimizer=SGD(model.parameters(), lr=1e-4))
    assert run.test.accuracy == run.history[0]["validation_accuracy"] == bh.evaluate(model, pair).accuracy


def test_a_smaller_last_batch_can_be_left_out(rng):
    model, recorder = nn.Sequential(nn.Linear(4, 3, rng), nn.BatchNorm1d(3)), Recorder()
    bh.fit(model, points(61), validation=None, loss=losses.cross_entropy, rng=rng, batch_size=20, drop_last=True,
           optimizer=SGD(model.parameters(), lr=1e-4), callbacks=[recorder])
    assert [len(batch) for batch in recorder.batches] == [20, 20, 20]


def test_a_batch_that_does_not_count_is_passed_over(rng):
    data, recorder, model = points(30), Recorder(), nn.Linear(4, 3, rng)
    weights = np.repeat([1.0, 0.0, 2.0], 10)
    run = bh.fit(model, Dataset(data.inputs, data.targets, weights=weights), loss=losses.cross_entropy, rng=rng,
                 validation=Dataset(data.inputs, data.targets, weights=np.zeros(30)), batch_size=10, shuffle=False,
                 optimizer=SGD(model.parameters(), lr=1e-4), callbacks=[recorder])
    assert [batch[0, 0] for batch in recorder.batches] == [0, 20]
    assert run.seen == 20 and run.progress == 1 and math.isnan(run.history[0]["validation_loss"])


def test_one_hot_rows_are_classes_too(rng):
    data, model = points(), nn.Linear(4, 3, rng)
    rows = losses.one_hot(data.targets, 3)
    assert bh.evaluate(model, (data.inputs, rows)).accuracy == bh.evaluate(model, data).accuracy
    assert bh.evaluate(model, (data.inputs, rows / 2)).accuracy is None


def test_gradients_that_nobody_steps_by_do_not_add_up(rng):
    model, recorder = nn.Sequential(nn.Linear(4, 4, rng), nn.Linear(4, 3, rng)), Recorder()
    bh.fit(model, points(), loss=losses.cross_entropy, optimizer=SGD(model[1].parameters(), lr=1e-12), rng=rng,
           epochs=3, batch_size=None, validation=None, callbacks=[recorder])
    first, _, last = (gradients["0.weight"] for gradients in recorder.gradients)
    np.testing.assert_allclose(first, last, rtol=1e-4)
    assert all(p.grad is None for p in model.parameters())


def test_frozen_layers_stay_as_they_are(rng):
    model = nn.Sequential(nn.Linear(4, 4, rng).freeze(), nn.Linear(4, 3, rng))
    before = model.state_dict()
    bh.fit(model, points(), loss=losses.cross_entropy, optimizer=SGD(model[1].parameters(), lr=0.1), rng=rng)
    after = model.state_dict()
    assert [name for name in before if not np.array_equal(before[name], after[name])] == ["1.weight", "1.bias"]


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


# --- bad input --------------------------------------------------------------------------------------------------------


def other_model():
    return nn.Linear(4, 3, np.random.default_rng(1))


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda m: {"epochs": 0}, "fit needs epochs to be a whole number of at least 1, got 0"),
    (lambda m: {"epochs": 1.5}, "fit needs epochs to be a whole number of at least 1, got 1.5"),
    (lambda m: {"epochs": True}, "fit needs epochs to be a whole number of at least 1, got True"),
    (lambda m: {"batch_size": 0}, "batch_size is a whole number of at least 1"),
    (lambda m: {"batch_size": 2.5}, "batch_size is a whole number of at least 1"),
    (lambda m: {"validation": 1.5}, "1.5"),
    (lambda m: {"validation": 0.0}, "0.0"),
    (lambda m: {"train": (np.zeros((5, 4)), np.zeros(6, int))}, "5 inputs with 6 targets"),
    (lambda m: {"train": (np.zeros((0, 4)), np.zeros(0, int)), "validation": None}, "the data set is empty"),
    (lambda m: {"train": (np.zeros((5, 7)), np.zeros(5, int))}, r"got an input of shape \(4, 7\); it needs \(N, 4\)"),
    (lambda m: {"train": (np.zeros((5, 4)), np.full(5, 9))}, "sample 0 has class 9, but 3 classes are counted"),
    (lambda m: {"validation": points()[:0]}, "no samples"),
    (lambda m: {"optimizer": SGD(other_model().parameters(), lr=0.1)}, "holds no parameter of this model"),
    (lambda m: {"augment": lambda images, rng: images, "shuffle": False}, "cannot augment without shuffling"),
    (lambda m: {"loss": losses.mean_squared_error}, "turn them into rows with one_hot"),
    (lambda m: {"loss": lambda outputs, targets: 1.0}, "returns a Tensor with one number, .*; this one returned 1.0"),
    (lambda m: {"loss": lambda outputs, targets: outputs}, r"one number, .*; this one returned shape \(32, 3\)"),
    (lambda m: {"rng": 0}, r"rng is a NumPy generator, for example np.random.default_rng\(0\), not 0"),
    (lambda m: {"optimizer": "adam"}, r"an optimizer, such as bh.optim.Adam\(model.parameters\(\)\), not 'adam'"),
    (lambda m: {"callbacks": StopOnNaN()}, r"callbacks is a list, such as \[StopOnNaN\(\)\]"),
    (lambda m: {"callbacks": [StopOnNaN]}, r"the class StopOnNaN; make one of it: StopOnNaN\(\)"),
    (lambda m: {"callbacks": [Cosine()]}, r"no Callback; a learning-rate schedule is wrapped: Schedule\(Cosine\("),
    (lambda m: {"callbacks": [None]}, "callbacks has None, which is no Callback"),
    (lambda m: {"train": Splits(points(), points())}, "train is a Dataset or a pair of .* give splits.train"),
    (lambda m: {"validation": "0.1"}, "validation is a Dataset or a pair"),
    (lambda m: {"test": 0.1}, "test is a Dataset or a pair"),
    (lambda m: {"train": Dataset(np.zeros((9, 4)), np.zeros(9, int), weights=np.zeros(9))}, "all sample weights"),
])
def test_bad_input(change, sentence, rng):
    model = nn.Linear(4, 3, rng)
    usual = {"train": points(), "loss": losses.cross_entropy, "optimizer": SGD(model.parameters(), lr=0.1), "rng": rng}
    with pytest.raises(ValueError, match=sentence):
        bh.fit(model, **usual | change(model))


def test_running_a_network_on_nothing(rng):
    with pytest.raises(ValueError, match="there are no samples"):
        bh.predict(nn.Linear(4, 3, rng), np.zeros((0, 4)))
