"""The scikit-learn estimators by themselves: that they are MLPClassifier's and MLPRegressor's equals, and what they can
do besides."""

import inspect
import pickle
from functools import partial

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_digits, make_moons, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

import byhand as bh
from byhand import kernels, losses
from byhand.callbacks import Callback, EarlyStopping
from byhand.estimator import NeuralNetworkClassifier, NeuralNetworkRegressor
from byhand.estimator.rows import held_out, numbers_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # most learn for a moment only
DIGITS, LABELS = (array[:300] for array in load_digits(return_X_y=True))
DIGITS = (DIGITS / 16).astype(np.float32)
X_NUMBERS, Y_NUMBERS = make_regression(200, 5, noise=5.0, random_state=0)
Y_NUMBERS = Y_NUMBERS / Y_NUMBERS.std()


def classifier(**given):
    """One that learns for a moment."""
    return NeuralNetworkClassifier(**{"hidden_layer_sizes": 16, "max_iter": 3, "random_state": 0, **given})


def regressor(**given):
    """One that learns for a moment."""
    return NeuralNetworkRegressor(**{"hidden_layer_sizes": 16, "max_iter": 3, "random_state": 0, **given})


def convolutions(input_shape, n_outputs, rng):
    """A function that builds a network when the shapes are known."""
    channels, rows, columns = input_shape
    return bh.nn.Sequential(bh.nn.Conv2d(channels, 4, 3, rng), bh.nn.ReLU(), bh.nn.Flatten(),
                            bh.nn.Linear(4 * (rows - 2) * (columns - 2), n_outputs, rng))


def same_weights(one, other):
    """Whether two networks have the same numbers, to the bit."""
    return all(np.array_equal(a, b) for a, b in zip(one.model_.state_dict().values(),
                                                    other.model_.state_dict().values(), strict=True))


# --- in the place of MLPClassifier ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ours, theirs", [(NeuralNetworkClassifier, MLPClassifier),
                                          (NeuralNetworkRegressor, MLPRegressor)])
def test_every_parameter_is_there_with_its_place_and_default(ours, theirs):
    mine = list(inspect.signature(ours).parameters.values())
    assert [(p.name, p.default, p.kind) for p in inspect.signature(theirs).parameters.values()] == [
        (p.name, p.default, p.kind) for p in mine[:len(inspect.signature(theirs).parameters)]]


@pytest.mark.parametrize("ours, theirs, y", [(NeuralNetworkClassifier, MLPClassifier, LABELS),
                                             (NeuralNetworkRegressor, MLPRegressor, LABELS.astype(float))])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_every_attribute_is_there_and_of_the_same_shape(ours, theirs, y, early_stopping):
    one, other = (kind(hidden_layer_sizes=(9, 7), max_iter=3, random_state=0, early_stopping=early_stopping)
                  .fit(DIGITS, y) for kind in (ours, theirs))
    learned = [name for name in vars(other) if name.endswith("_") and not name.startswith("_")]
    assert len(learned) > 10
    for name in learned:
        mine, its = getattr(one, name), getattr(other, name)
        assert type(mine) is type(its) or isinstance(mine, int), name
        if isinstance(its, list):
            assert [np.shape(a) for a in mine] == [np.shape(a) for a in its], name
        elif name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
            assert mine == its, name


@pytest.mark.parametrize("options", [
    {}, {"activation": "tanh", "solver": "sgd", "learning_rate_init": 0.1}, {"early_stopping": True},
    {"activation": "logistic", "learning_rate_init": 0.01}, {"activation": "identity"}, {"solver": "lbfgs"},
    {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.2},
    {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 5.0},
    {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.5}, {"solver": "lbfgs", "alpha": 10.0}], ids=repr)
def test_it_learns_what_theirs_learns(options):
    one, other = (kind(hidden_layer_sizes=(50,), max_iter=60, random_state=1, **options).fit(DIGITS[:200], LABELS[:200])
                  for kind in (NeuralNetworkClassifier, MLPClassifier))
    assert one.score(DIGITS[200:], LABELS[200:]) == pytest.approx(other.score(DIGITS[200:], LABELS[200:]), abs=0.08)
    assert one.loss_ == pytest.approx(other.loss_, rel=0.5, abs=0.02) or options.get("alpha")  # theirs adds the penalty


@pytest.mark.parametrize("options", [
    {}, {"solver": "lbfgs"}, {"loss": "poisson"}, {"early_stopping": True, "learning_rate_init": 0.01}], ids=repr)
def test_it_learns_numbers_as_theirs(options):
    y = np.exp(Y_NUMBERS / 2)  # which poisson is for
    one, other = (kind(hidden_layer_sizes=(50,), max_iter=150, random_state=1, **options).fit(X_NUMBERS, y)
                  for kind in (NeuralNetworkRegressor, MLPRegressor))
    assert one.score(X_NUMBERS, y) == pytest.approx(other.score(X_NUMBERS, y), abs=0.1)


def test_it_warns_as_theirs():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(3\) reached and the optimization hasn't conv"):
        classifier().fit(DIGITS, LABELS)
    with pytest.warns(UserWarning, match="larger than sample size. It is going to be clipped"):
        classifier(batch_size=1000).fit(DIGITS, LABELS)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 3 iteration"):
        classifier(solver="lbfgs").fit(DIGITS, LABELS)


def test_it_says_how_far_it_is(capsys):
    classifier(verbose=True, n_iter_no_change=1, tol=9.0, max_iter=9, early_stopping=True).fit(DIGITS, LABELS)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("Iteration 1, loss = 2.") and said[1].startswith("Validation score: 0.")
    assert said[-1] == ("Validation score did not improve more than tol=9.000000 for 1 consecutive epochs. "
                        "Stopping.")


def test_an_adaptive_rate_falls_before_it_stops():
    net = classifier(solver="sgd", learning_rate="adaptive", n_iter_no_change=1, tol=9.0, max_iter=50,
                     learning_rate_init=1e-4).fit(DIGITS, LABELS)
    rates = [record["learning_rate"] for record in net.history_]
    assert rates[0] == 1e-4 and rates[-1] == pytest.approx(1e-4 / 5**3) and "did not improve" in net.stopped_


def test_ctrl_c_ends_training_and_what_was_learned_stays():
    class CtrlC(Callback):
        def on_epoch_end(self, run):
            if run.epoch == 2:
                raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Training interrupted by user"):
        net = classifier(max_iter=5, callbacks=[CtrlC()]).fit(DIGITS, LABELS)
    assert net.n_iter_ == 2 and net.predict(DIGITS).shape == LABELS.shape


def test_a_penalty_shrinks_weights_and_leaves_biases():
    free, tied = (regressor(alpha=alpha, max_iter=300, solver="sgd", learning_rate_init=0.1).fit(X_NUMBERS, Y_NUMBERS + 50)
                  for alpha in (0.0, 1000.0))
    assert np.abs(tied.coefs_[1]).max() < 0.1 * np.abs(free.coefs_[1]).max()
    assert tied.predict(X_NUMBERS).mean() == pytest.approx(50, abs=0.5)


# --- an answer is an answer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["numpy", pytest.param("jit", marks=pytest.mark.usefixtures("compiled_kernels"))])
@pytest.mark.parametrize("options", [{}, {"model": convolutions, "image_shape": (8, 8)},
                                     {"activation": "tanh", "batch_norm": True}], ids=["dense", "convolution", "tanh"])
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


def test_a_last_batch_of_one_does_not_disturb_a_batch_norm():
    net = classifier(batch_norm=True, batch_size=20).fit(DIGITS[:101], LABELS[:101])
    assert net.n_iter_ == 3


# --- what decides when to stop ----------------------------------------------------------------------------------------


def test_equal_rows_stand_on_the_same_side_whatever_their_order(rng):
    X = np.repeat(DIGITS[:100], 3, axis=0)
    strata = np.repeat(LABELS[:100], 3)
    held = held_out(X, strata, None, 0.2, np.random.default_rng(1))
    assert (held.reshape(-1, 3).sum(axis=1) % 3 == 0).all()
    assert held.mean() == pytest.approx(0.2, abs=0.03)
    for label in range(10):
        assert 0 < held[strata == label].mean() < 0.5
    order = rng.permutation(len(X))
    assert np.array_equal(held_out(X[order], strata[order], None, 0.2, np.random.default_rng(1)), held[order])
    assert not np.array_equal(held_out(X, strata, None, 0.2, np.random.default_rng(2)), held)


def test_a_row_has_a_number_of_its_own():
    X = np.random.default_rng(0).integers(0, 4, (5000, 8)).astype(np.float64)  # round numbers, whose bits are few
    distinct, which = np.unique(X, axis=0, return_inverse=True)
    numbers = numbers_of(X, np.random.default_rng(0))
    assert len(np.unique(numbers)) == len(distinct)
    assert len(np.unique(numbers[np.argsort(which)])) == len(distinct)
    import scipy.sparse
    assert np.array_equal(numbers_of(scipy.sparse.csr_array(X), np.random.default_rng(0)), numbers)


@pytest.mark.parametrize("early_stopping", [True, "loss"])
def test_early_stopping_gives_back_the_best_weights(early_stopping):
    X_val, y_val = DIGITS[200:], LABELS[200:]
    net = classifier(early_stopping=early_stopping, max_iter=200, learning_rate_init=0.03, n_iter_no_change=3)
    net.fit(DIGITS[:60], LABELS[:60], X_val=X_val, y_val=y_val)
    assert "did not improve" in net.stopped_ and net.n_iter_ < 200
    if early_stopping == "loss":
        logits = net.decision_function(X_val)
        assert losses.cross_entropy(logits, y_val) == pytest.approx(min(net.validation_loss_curve_), rel=1e-5)
    else:
        assert net.score(X_val, y_val) == net.best_validation_score_ == max(net.validation_scores_)
    assert len(net.validation_scores_) == len(net.validation_loss_curve_) == len(net.loss_curve_) == net.n_iter_


def test_a_validation_set_of_ones_own_is_watched_without_stopping_by_it():
    weights = np.ones(100)
    net = regressor().fit(DIGITS[:200], LABELS[:200], X_val=DIGITS[200:], y_val=LABELS[200:], sample_weight_val=weights)
    assert net.validation_scores_[-1] == pytest.approx(net.score(DIGITS[200:], LABELS[200:]))
    assert net.history_[-1]["validation_loss"] == net.validation_loss_curve_[-1]
    assert net.best_loss_ == min(net.loss_curve_)


def test_a_learning_loop_of_ones_own_is_told_when_to_stop():
    net = classifier(early_stopping=True, n_iter_no_change=3, learning_rate_init=0.03)
    calls = 0
    while not getattr(net, "stopped_", ""):
        net.partial_fit(DIGITS, LABELS, classes=range(10))
        calls += 1
    assert 4 < calls == len(net.validation_scores_) and "did not improve" in net.stopped_
    net.partial_fit(DIGITS, LABELS)
    assert net.stopped_ == ""


def test_part_by_part_is_the_same_as_at_once():
    at_once = classifier(max_iter=4, dropout=0.2).fit(DIGITS, LABELS)
    parts = classifier(dropout=0.2)
    for _ in range(4):
        parts.partial_fit(DIGITS, LABELS, classes=np.unique(LABELS))
        parts = pickle.loads(pickle.dumps(parts))  # and a network may be laid aside in between
    assert same_weights(at_once, parts) and parts.loss_curve_ == at_once.loss_curve_ and parts.t_ == at_once.t_


def test_a_warm_start_goes_on():
    net = classifier(warm_start=True).fit(DIGITS, LABELS)
    before = net.loss_curve_[-1]
    again = pickle.loads(pickle.dumps(net)).fit(DIGITS, LABELS)
    net.fit(DIGITS, LABELS)
    assert same_weights(net, again) and len(net.loss_curve_) == 6 and net.loss_curve_[3] < before
    assert len(clone(net).fit(DIGITS, LABELS).loss_curve_) == 3


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


def test_callbacks_listen_and_may_end_training():
    class Third(Callback):
        def on_epoch_end(self, run):
            if run.epoch == 3:
                run.stopped = "three are enough"

    net = classifier(max_iter=9, callbacks=[Third(), EarlyStopping(5, "loss")]).fit(DIGITS, LABELS)
    assert net.n_iter_ == 3 and net.stopped_ == "three are enough"


@pytest.mark.parametrize("loss", ["absolute_error", "huber", partial(losses.huber, delta=0.5)], ids=str)
def test_more_ways_to_be_wrong(loss):
    net = regressor(loss=loss, max_iter=200, learning_rate_init=0.02).fit(X_NUMBERS, Y_NUMBERS)
    assert net.score(X_NUMBERS, Y_NUMBERS) > 0.9


def test_what_was_learned_can_be_saved_as_any_network(tmp_path):
    net = classifier().fit(DIGITS, LABELS)
    bh.save(net.model_, tmp_path / "net.safetensors", input_shape=(64,), classes=[str(k) for k in net.classes_])
    saved = bh.load(tmp_path / "net.safetensors")
    assert np.array_equal(saved.predict(DIGITS).argmax(axis=1), net.predict(DIGITS))
