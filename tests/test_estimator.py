"""What the scikit-learn estimators answer, how much each row counts, and what they can do that MLPClassifier cannot."""

import copy
import pickle
from functools import partial

import pytest

pytest.importorskip("sklearn")

import numpy as np
from estimators import (
    DIGITS, LABELS, X_NUMBERS, Y_NUMBERS, bends, classifier, convolutions, regressor, same_weights, shortcut
)
from sklearn.base import clone
from sklearn.datasets import make_moons

import byhand as bh
from byhand import kernels, losses
from byhand.callbacks import Callback, EarlyStopping
from byhand.estimator import NeuralNetworkClassifier, NeuralNetworkRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # most learn for a moment only

# --- an answer is an answer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["numpy", "jit"])
@pytest.mark.parametrize("options", [{}, {"model": convolutions, "image_shape": (8, 8)},
                                     {"activation": "tanh", "batch_norm": True},
                                     {"model": shortcut, "image_shape": (8, 8)}, {"dtype": "float64"},
                                     {"model": bends, "image_shape": (8, 8)}],
                         ids=["dense", "convolution", "tanh", "shortcut", "float64", "bends"])
def test_no_row_depends_on_the_rows_beside_it(body, options, rng):
    if body == "jit":
        pytest.importorskip("numba")
    with kernels.using(body):
        net = classifier(**options).fit(DIGITS, LABELS)
        whole = net.predict_proba(DIGITS)
        order = rng.permutation(len(DIGITS))
        assert np.array_equal(net.predict_proba(DIGITS[order]), whole[order])
        for some in (slice(7, 8), slice(100, 167), slice(3, None, 2)):
            assert np.array_equal(net.predict_proba(DIGITS[some]), whole[some])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_probabilities_sum_to_one(dtype):
    net = classifier(dtype=dtype).fit(DIGITS, LABELS)
    sure = 1000 * DIGITS  # so sure that most probabilities are too small for a number
    for X in (DIGITS, sure):
        assert net.predict_proba(X).dtype == net.predict_log_proba(X).dtype == np.float64
        assert np.abs(net.predict_proba(X).sum(axis=1) - 1).max() < 1e-14
        assert np.abs(np.exp(net.predict_log_proba(X)).sum(axis=1) - 1).max() < 1e-12
    assert net.predict_proba(sure).min() == 0 and np.isfinite(net.predict_log_proba(sure)).all()


def test_the_same_seed_gives_the_same_bits():
    one, other = (classifier(dropout=0.3, early_stopping=True).fit(DIGITS, LABELS) for _ in range(2))
    assert same_weights(one, other)


def test_precision_is_that_of_the_data_or_what_is_asked_for():
    for given, dtype, expected in [(np.float64, "auto", np.float64), (np.float32, "auto", np.float32),
                                   (np.uint8, "auto", np.float32), (np.int64, "auto", np.float64),
                                   (np.float64, "float32", np.float32), (np.float32, "float64", np.float64)]:
        net = regressor(dtype=dtype).fit((16 * DIGITS).astype(given), LABELS)
        assert net.coefs_[0].dtype == net.predict(DIGITS).dtype == expected


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_precision_of_a_frame_is_that_of_its_columns_together(library):
    frames = pytest.importorskip(library)
    for kinds, expected in [((np.uint8, np.uint8), np.float32), ((np.uint8, np.float32), np.float32),
                            ((np.uint8, np.int16), np.float32),
                            ((np.uint8, np.float64), np.float64), ((np.int64, np.uint8), np.float64)]:
        X = frames.DataFrame({f"x{i}": (16 * DIGITS[:, 20 + i]).astype(kind) for i, kind in enumerate(kinds)})
        net = classifier().fit(X, LABELS)
        assert net.coefs_[0].dtype == expected, kinds
        assert net.predict(X).shape == LABELS.shape


def test_precision_of_columns_that_could_have_gaps_is_that_of_their_numbers():
    pandas = pytest.importorskip("pandas")
    whole = pandas.DataFrame({f"x{i}": DIGITS[:, 20 + i].round() for i in range(3)})
    for kinds, expected in [(("Float32", "Float32", "Float32"), np.float32), (("Float32", "float32", "u1"), np.float32),
                            (("UInt8", "boolean", "Int16"), np.float32), (("Int64", "Int64", "Int64"), np.float64),
                            (("Float32", "Float64", "Float32"), np.float64)]:
        net = classifier().fit(whole.astype(dict(zip(whole, kinds, strict=True))), LABELS)
        assert net.coefs_[0].dtype == expected, kinds


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"batch_norm": True, "batch_size": 16}, {"early_stopping": True}], ids=repr)
def test_a_weight_of_zero_is_the_same_as_leaving_the_row_out(options, rng):
    weights = rng.integers(0, 2, len(LABELS))
    labels = np.where(weights > 0, LABELS, LABELS + 10)  # classes that only rows without weight have
    there = weights > 0
    one = classifier(**options).fit(DIGITS, labels, sample_weight=weights)
    other = classifier(**options).fit(DIGITS[there], labels[there])
    assert one.classes_.tolist() == list(range(10)) and same_weights(one, other)


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"alpha": 10.0}], ids=repr)
def test_a_whole_weight_is_the_same_as_repeating_the_row(options, rng):
    weights = rng.integers(0, 4, 60)
    X, y = DIGITS[:60].astype(np.float64), LABELS[:60]
    one = classifier(**options).fit(X, y, sample_weight=weights)
    other = classifier(**options).fit(X.repeat(weights, axis=0), y.repeat(weights))
    assert one.predict_proba(X) == pytest.approx(other.predict_proba(X), rel=1e-9)


def test_class_weights_are_weights():
    weights = {label: 1 + label for label in range(10)}
    one = classifier(class_weight=weights).fit(DIGITS, LABELS)
    other = classifier().fit(DIGITS, LABELS, sample_weight=1.0 + LABELS)
    assert same_weights(one, other)
    counts = np.bincount(LABELS)
    balanced = classifier(class_weight="balanced").fit(DIGITS, LABELS)
    assert same_weights(balanced, classifier().fit(DIGITS, LABELS, sample_weight=len(LABELS) / 10 / counts[LABELS]))


def test_balanced_weights_are_those_of_the_classes_that_a_warm_start_sees():
    some = LABELS < 4
    counts = np.bincount(LABELS[some])
    weights = some.sum() / 4 / counts[LABELS[some]]
    one, other = (classifier(warm_start=True, max_iter=1).fit(DIGITS, LABELS) for _ in range(2))
    one.set_params(class_weight="balanced").fit(DIGITS[some], LABELS[some], X_val=DIGITS, y_val=LABELS)
    assert same_weights(one, other.fit(DIGITS[some], LABELS[some], sample_weight=weights))


def test_a_class_without_weight_is_known_and_not_learned():
    weights = {label: int(label != 3) for label in range(10)}
    net = classifier(class_weight=weights, batch_norm=True, batch_size=16).fit(DIGITS, LABELS)
    assert net.classes_.tolist() == list(range(10)) and net.t_ == 3 * np.count_nonzero(LABELS != 3)


def test_a_last_batch_of_one_does_not_disturb_a_batch_norm():
    net = classifier(batch_norm=True, batch_size=20).fit(DIGITS[:101], LABELS[:101])
    assert net.n_iter_ == 3


# --- what theirs cannot do --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {"activation": ["gelu", "silu"], "hidden_layer_sizes": (32, 16)}, {"dropout": 0.1}, {"batch_norm": True},
    {"solver": "adamw", "alpha": 0.1}, {"solver": "rmsprop"}, {"solver": "adagrad", "learning_rate_init": 0.05},
    {"solver": partial(bh.optim.Adam, clip_norm=1.0)}, {"learning_rate": bh.schedules.OneCycle()},
    {"loss": partial(losses.cross_entropy, label_smoothing=0.1)}, {"loss": losses.hinge},
    {"model": convolutions, "image_shape": (8, 8)},
    {"image_shape": (1, 8, 8), "augment": bh.data.Affine(shift=0.5, degrees=5)},
    {"model": bh.nn.Sequential(bh.nn.Linear(64, 32, np.random.default_rng(0)), bh.nn.LayerNorm(32), bh.nn.ReLU(),
                               bh.nn.Linear(32, 10, np.random.default_rng(0)))}], ids=lambda options: ",".join(options))
def test_more_ways_to_learn(options):
    net = classifier(**{"hidden_layer_sizes": 32, "learning_rate_init": 0.01, "batch_size": 32, "max_iter": 15,
                        **options}).fit(DIGITS[:200], LABELS[:200])
    assert net.score(DIGITS[200:], LABELS[200:]) > 0.75


def test_what_belongs_to_a_hidden_layer_stands_in_its_order():
    net = classifier(hidden_layer_sizes=(8, 6), dropout=0.25, batch_norm=True).fit(DIGITS, LABELS)
    told = [repr(net.model_[k]) for k in range(8)]
    assert told == ["Linear(in_features=64, out_features=8)", "BatchNorm1d(num_features=8)", "ReLU()",
                    "Dropout(p=0.25)", "Linear(in_features=8, out_features=6)", "BatchNorm1d(num_features=6)", "ReLU()",
                    "Dropout(p=0.25)"]


def test_what_is_learned_from_is_what_augment_makes_of_it():
    batches = []

    def dark(images, rng):
        batches.append(images.shape)
        return np.zeros_like(images)

    net = classifier(image_shape=(8, 8), augment=dark, alpha=0.0, batch_size=100, warm_start=True, max_iter=1)
    before = net.fit(DIGITS, LABELS).coefs_[0].copy(), net.intercepts_[1].copy()
    net.fit(DIGITS, LABELS)
    assert batches == [(100, 1, 8, 8)] * 6
    assert np.array_equal(net.coefs_[0], before[0])  # in the dark no weight makes a difference
    assert not np.array_equal(net.intercepts_[1], before[1])


def test_pictures_come_flat_or_as_they_are():
    pictures = DIGITS.reshape(-1, 1, 8, 8)
    one = classifier(model=convolutions).fit(pictures, LABELS)
    other = classifier(model=convolutions, image_shape=(8, 8)).fit(DIGITS, LABELS)
    assert same_weights(one, other) and one.n_features_in_ == 64
    assert np.array_equal(one.predict(DIGITS), one.predict(pictures))
    assert one.coefs_[0].shape == (4, 1, 3, 3) and one.n_layers_ == 3


def test_a_model_is_a_pattern_and_a_start():
    first = classifier().fit(DIGITS, LABELS)
    tuned = classifier(model=first.model_, max_iter=1, learning_rate_init=1e-9).fit(DIGITS, LABELS)
    assert tuned.model_ is not first.model_
    assert tuned.predict_proba(DIGITS) == pytest.approx(first.predict_proba(DIGITS), abs=1e-5)


def test_two_classes_may_have_two_outputs():
    X, y = make_moons(200, noise=0.1, random_state=0)
    model = bh.nn.Sequential(bh.nn.Linear(2, 16, np.random.default_rng(0)), bh.nn.Tanh(),
                             bh.nn.Linear(16, 2, np.random.default_rng(0)))
    net = classifier(model=model, max_iter=50, learning_rate_init=0.05).fit(X, y)
    assert net.out_activation_ == "softmax" and net.score(X, y) > 0.85
    assert np.array_equal(net.decision_function(X) > 0, net.predict(X) == 1)


@pytest.mark.parametrize("loss", [losses.cross_entropy, partial(losses.cross_entropy, label_smoothing=0.1),
                                  losses.hinge, losses.brier], ids=["whole", "smoothed", "hinge", "brier"])
def test_two_classes_have_two_outputs_where_the_loss_needs_one_for_each(loss):
    X, y = make_moons(200, noise=0.1, random_state=0)
    net = classifier(loss=loss, max_iter=100, learning_rate_init=0.02).fit(X, np.array(["moon", "new moon"])[y])
    assert net.n_outputs_ == 2 and net.out_activation_ == "softmax" and net.decision_function(X).shape == (200,)
    assert net.score(X, np.array(["moon", "new moon"])[y]) > 0.85
    only = classifier(loss=loss).fit(X, np.full(200, "moon"))
    assert (only.predict(X) == "moon").all() and (only.predict_log_proba(X) == np.zeros((200, 1))).all()


def test_the_binary_loss_by_name_and_as_a_function_is_the_same():
    one, other = (classifier(loss=loss).fit(DIGITS, LABELS > 4) for loss in ("log_loss", losses.binary_cross_entropy))
    assert same_weights(one, other) and one.n_outputs_ == 1


def test_callbacks_listen_and_may_end_training():
    class Third(Callback):
        def on_epoch_end(self, run):
            if run.epoch == 3:
                run.stopped = "three are enough"

    net = classifier(max_iter=9, callbacks=[Third(), EarlyStopping(5, "loss")]).fit(DIGITS, LABELS)
    assert net.n_iter_ == 3 and net.stopped_ == "three are enough"


@pytest.mark.parametrize("loss", ["absolute_error", "huber", partial(losses.huber, delta=0.5)],
                         ids=["absolute_error", "huber", "partial"])
def test_more_ways_to_be_wrong(loss):
    net = regressor(loss=loss, max_iter=200, learning_rate_init=0.02).fit(X_NUMBERS, Y_NUMBERS)
    assert net.score(X_NUMBERS, Y_NUMBERS) > 0.9


def test_what_was_learned_can_be_saved_as_any_network(tmp_path):
    net = classifier().fit(DIGITS, LABELS)
    bh.save(net.model_, tmp_path / "net.safetensors", input_shape=(64,), classes=[str(k) for k in net.classes_])
    saved = bh.load(tmp_path / "net.safetensors")
    assert np.array_equal(saved.predict(DIGITS).argmax(axis=1), net.predict(DIGITS))


class WithNote(NeuralNetworkClassifier):
    """A subclass with one argument more."""

    def __init__(self, note="", hidden_layer_sizes=(5,), max_iter=2):
        super().__init__(hidden_layer_sizes=hidden_layer_sizes, max_iter=max_iter)
        self.note = note


class Small(NeuralNetworkRegressor):
    """A subclass with fewer arguments."""

    def __init__(self, alpha=0.1):
        super().__init__(hidden_layer_sizes=(3,), alpha=alpha, max_iter=2)


def test_a_subclass_may_take_more_arguments_or_fewer():
    noted = clone(WithNote("mine")).fit(DIGITS, LABELS)
    assert noted.get_params() == {"note": "mine", "hidden_layer_sizes": (5,), "max_iter": 2}
    assert noted.n_iter_ == 2 and noted.coefs_[0].shape[1] == 5
    small = clone(Small(0.2)).fit(DIGITS, LABELS)
    assert small.get_params() == {"alpha": 0.2} and small.coefs_[0].shape[1] == 3


@pytest.mark.parametrize("body", ["numpy", "jit"])
def test_weights_that_are_set_are_those_that_answer(body):
    if body == "jit":
        pytest.importorskip("numba")
    with kernels.using(body):
        one, other = (classifier(random_state=seed).fit(DIGITS, LABELS) for seed in (0, 1))
        before = one.predict_proba(DIGITS)
        one.coefs_, one.intercepts_ = other.coefs_, other.intercepts_
        assert not np.array_equal(one.predict_proba(DIGITS), before)
        assert np.array_equal(one.predict_proba(DIGITS), other.predict_proba(DIGITS))
        for arrays in (one.coefs_, one.intercepts_):
            with pytest.raises(ValueError, match="read-only"):
                arrays[0][0] = 0
        one.coefs_[1] = 0 * one.coefs_[1]  # a single layer, as one can with MLPClassifier
        one.intercepts_[-1] = np.arange(10)
        assert not one.coefs_[1].any() and one.predict(DIGITS).tolist() == [9] * len(DIGITS)


def test_a_copy_of_the_weights_belongs_to_no_network():
    net = classifier().fit(DIGITS, LABELS)
    before = net.predict_proba(DIGITS)
    for copied in (copy.deepcopy(net.coefs_), pickle.loads(pickle.dumps(net.coefs_)), copy.copy(net.coefs_)):
        assert type(copied) is list and all(map(np.array_equal, copied, net.coefs_))
        copied[0] = 0 * copied[0]
    assert np.array_equal(net.predict_proba(DIGITS), before)
