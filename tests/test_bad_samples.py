"""Samples, targets and networks that do not fit: `fit`, `predict`, `evaluate` and `Dataset` say so in one sentence, or,
where learning has begun, the run stops with that sentence. A last table has samples that are poor and still samples."""

import re

import numpy as np
import pytest
from fit_samples import points

import byhand as bh
from byhand import losses, nn
from byhand.callbacks import StopOnNaN
from byhand.data import Dataset, Normalize, Splits
from byhand.optim import SGD
from byhand.schedules import Cosine

X, Y = points(20).inputs.astype(float), points(20).targets
NAN, INF, HUGE = (np.where(np.arange(80).reshape(20, 4) == 29, value, X) for value in (np.nan, -np.inf, 1e300))
NOBODY = np.zeros((0, 4)), np.zeros(0, int)


def linear(features=4, classes=3):
    return nn.Linear(features, classes, np.random.default_rng(1))


def trained(model=None, **changes):
    """`fit`, where `train` and all else is as usual, but for the changes."""
    model = model or linear()
    usual = {"train": (X, Y), "loss": losses.cross_entropy, "optimizer": SGD(model.parameters(), lr=0.1),
             "rng": np.random.default_rng(0)}
    return bh.fit(model, **usual | changes)


# --- what `fit` is told -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("changes", "sentence"), [
    # features
    ({"train": (X[:, :3], Y)}, r"Linear\(in_features=4, out_features=3\) got an input of shape \(17, 3\); it needs"),
    ({"train": (X[:, 0], Y)}, r"got an input of shape \(17,\); it needs \(N, 4\)"),
    ({"train": (X[:, :0], Y)}, r"got an input of shape \(17, 0\); it needs \(N, 4\)"),
    ({"validation": (NAN, Y)}, r"the inputs of sample 7 \(counted from 0\) are not all finite numbers; remove it, or"),
    ({"test": (INF, Y)}, r"the inputs of sample 7 \(counted from 0\) are not all finite"),
    # targets
    ({"train": (X, Y[:-1])}, "20 inputs with 19 targets"),
    ({"train": (X, Y + 7)}, r"sample \d+ has class \d, but 3 classes are counted"),
    ({"train": (X, Y - 1)}, r"sample \d+ has class -1, but 3 classes are counted"),
    ({"train": (X, Y.astype(float))}, "classes must be integers, got float32"),
    ({"train": (X, Y > 0)}, "classes must be integers, got bool"),
    ({"train": (X, np.stack([Y, Y], axis=1))}, r"targets of shape \(18, 2\) do not fit logits of shape \(18, 3\)"),
    ({"train": (X, np.array([*"abcd"] * 5))}, "the targets of a Dataset are an array of numbers .* not <U1"),
    ({"loss": losses.mean_squared_error}, "turn them into rows with one_hot"),
    # too few, too many
    ({"train": NOBODY}, "a data set of 0 samples cannot be split in two"),
    ({"train": NOBODY, "validation": None}, "the data set is empty"),
    ({"train": (X[:1], Y[:1])}, "a data set of 1 sample cannot be split in two"),
    ({"validation": points()[:0]}, "there are no samples"),
    ({"test": NOBODY}, "there are no samples"),
    ({"batch_size": 1000, "drop_last": True}, "17 samples do not fill one batch of 1000"),
    ({"batch_size": 0}, "batch_size is a whole number of at least 1"),
    ({"batch_size": 2.5}, "batch_size is a whole number of at least 1"),
    ({"validation": 1.5}, "1.5"),
    ({"validation": 0.0}, "0.0"),
    ({"train": Dataset(X, Y, weights=np.zeros(20))}, "all sample weights of the training set are 0"),
    # a network that does not fit
    ({"model": nn.Conv2d(1, 3, 3, np.random.default_rng(0))}, r"Conv2d\(.*\) got an input of shape \(17, 4\); it"),
    ({"model": linear(5)}, r"got an input of shape \(17, 4\); it needs \(N, 5\)"),
    ({"model": linear(4, 2)}, r"sample \d+ has class 2, but 2 classes are counted from 0 to 1"),
    ({"model": nn.Sequential(linear(), nn.BatchNorm1d(3)), "train": (X[:1], Y[:1]), "validation": None},
     "layer '1', BatchNorm1d.* more than one value for each channel in training"),
    ({"optimizer": SGD(linear().parameters(), lr=0.1)}, "holds no parameter of this model"),
    # something else altogether
    ({"train": Splits(points(), points())}, "train is a Dataset or a pair of .* give splits.train"),
    ({"validation": "0.1"}, "validation is a Dataset or a pair"),
    ({"test": 0.1}, "test is a Dataset or a pair"),
    ({"epochs": 0}, "fit needs epochs to be a whole number of at least 1, got 0"),
    ({"epochs": 1.5}, "fit needs epochs to be a whole number of at least 1, got 1.5"),
    ({"epochs": True}, "fit needs epochs to be a whole number of at least 1, got True"),
    ({"augment": lambda images, rng: images, "shuffle": False}, "cannot augment without shuffling"),
    ({"augment": lambda images, rng: np.repeat(images, 2, axis=0)}, r"given images of shape \(17, 4\), and returned"),
    ({"loss": lambda outputs, targets: 1.0}, "returns a Tensor with one number, .*; this one returned 1.0"),
    ({"loss": lambda outputs, targets: outputs}, r"one number, .*; this one returned shape \(17, 3\)"),
    ({"rng": 0}, r"rng is a NumPy generator, for example np.random.default_rng\(0\), not 0"),
    ({"optimizer": "adam"}, r"an optimizer, such as bh.optim.Adam\(model.parameters\(\)\), not 'adam'"),
    ({"callbacks": StopOnNaN()}, r"callbacks is a list, such as \[StopOnNaN\(\)\]"),
    ({"callbacks": [StopOnNaN]}, r"the class StopOnNaN; make one of it: StopOnNaN\(\)"),
    ({"callbacks": [Cosine()]}, r"no Callback; a learning-rate schedule is wrapped: Schedule\(Cosine\("),
    ({"callbacks": [None]}, "callbacks has None, which is no Callback"),
])
def test_fit_refuses(changes, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        trained(**changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"train": (NAN, Y)}, "began in the data: this batch of inputs has values that are not finite. Remove or replace"),
    ({"train": (INF, Y)}, "began in the data: this batch of inputs has values that are not finite"),
    ({"train": (HUGE, Y)}, "began in the data: this batch of inputs has values that are not finite"),
    ({"train": (X, np.where(NAN[:, :3] > 0, 1, NAN[:, :3])), "loss": losses.mean_squared_error},
     "it began in the loss. Look at the targets"),
], ids=["NaN", "infinite", "beyond float32", "targets that are NaN"])
def test_a_run_stops_before_the_weights_are_spoiled(changes, sentence):
    model = linear()
    run = trained(model, batch_size=None, epochs=3, **changes)
    assert run.failed and re.search(sentence, run.stopped) and "\n" not in run.stopped
    assert all(np.isfinite(value).all() for value in model.state_dict().values())


# --- what a network is run on -----------------------------------------------------------------------------------------

FINITE = r"the inputs of sample 7 \(counted from 0\) are not all finite numbers"


@pytest.mark.parametrize(("inputs", "sentence"), [
    (NAN, FINITE), (INF, FINITE), (HUGE, FINITE),
    (NOBODY[0], "there are no samples"),
    (X[:, :3], r"got an input of shape \(20, 3\); it needs \(N, 4\)"),
    (np.zeros((2, 1, 28, 28)), r"got an input of shape \(2, 1, 28, 28\); it needs \(N, 4\)"),
    (np.array([[None] * 4]), "an array of numbers with one row a sample, not object"),
    (np.array([["1"] * 4]), "an array of numbers with one row a sample, not <U1"),
    ([[1, 2, 3, 4], [1, 2]], "rows of different shapes"),
    (X * 1j, "an array of numbers with one row a sample, not complex128"),
], ids=["NaN", "infinite", "beyond float32", "none", "a feature too few", "pictures", "objects", "text", "ragged",
        "complex"])
def test_predict_and_evaluate_refuse(inputs, sentence):
    with pytest.raises(ValueError, match=sentence):
        bh.predict(linear(), inputs)
    with pytest.raises(ValueError, match=sentence):
        bh.evaluate(linear(), (inputs, np.zeros(len(inputs), int)))


@pytest.mark.parametrize(("dataset", "sentence"), [
    ((X, Y[:3]), "20 inputs with 3 targets"),
    ((X, Y + 7), "sample 0 has class 7, but 3 classes are counted"),
    (7, "a pair of arrays"),
])
def test_evaluate_refuses(dataset, sentence):
    with pytest.raises(ValueError, match=sentence):
        bh.evaluate(linear(), dataset, loss=losses.cross_entropy)


# --- what a data set is made of ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "sentence"), [
    ({"targets": Y[:-1]}, "20 inputs with 19 targets"),
    ({"targets": None}, "the targets of a Dataset are an array of numbers"),
    ({"inputs": [[1, 2], [3]]}, "rows of different shapes"),
    ({"inputs": None}, "the inputs of a Dataset are an array of numbers"),
    ({"weights": -np.ones(20)}, "one finite number of at least 0 for each sample"),
    ({"weights": np.full(20, np.nan)}, "one finite number of at least 0 for each sample"),
    ({"weights": np.ones(3)}, "20 inputs with 3 weights"),
    ({"classes": ("a", "b")}, "the targets reach from 0 to 2, but the 2 classes are numbered 0 to 1"),
    ({"classes": ("a", "b", "a")}, "the classes of a Dataset have a name each, and two of these have the same"),
])
def test_a_data_set_refuses(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Dataset(**{"inputs": X, "targets": Y} | arguments)


@pytest.mark.parametrize(("inputs", "sentence"), [
    (np.ones((20, 4)), "every value is the same cannot be normalized"),
    (NAN, "values that are NaN or infinite cannot be normalized; remove or replace them"),
    (INF, "values that are NaN or infinite cannot be normalized"),
    (NOBODY[0], "an empty data set has no mean"),
], ids=["constant", "NaN", "infinite", "none"])
def test_a_normalization_refuses(inputs, sentence):
    with pytest.raises(ValueError, match=sentence):
        Normalize.fit(Dataset(inputs, np.zeros(len(inputs), int)))


# --- poor, and still samples ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [
    {"train": (np.ones((20, 4)), Y)},
    {"train": (np.zeros((20, 4)), Y)},
    {"train": (np.ones((20, 4)), Y), "model": nn.Sequential(linear(), nn.BatchNorm1d(3))},
    {"train": (X, Y * 0)},
    {"train": (X, Y * 0), "model": linear(4, 1)},
    {"train": (X[:1], Y[:1]), "validation": None},
    {"batch_size": 1000},
    {"batch_size": 10**30},
], ids=["constant", "zero", "constant, normalized", "one class", "one class, one output", "one sample",
        "a batch larger than the data", "a batch larger than any data"])
def test_poor_samples_train_to_finite_weights(changes):
    model = changes.get("model") or linear()
    run = trained(**changes | {"model": model})
    assert not run.failed and run.epoch == 1 and np.isfinite(run.history[0]["loss"])
    assert all(np.isfinite(value).all() for value in model.state_dict().values())
