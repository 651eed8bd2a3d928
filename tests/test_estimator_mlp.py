"""The estimators in the place of MLPClassifier and MLPRegressor: the same names, the same defaults, the same words, and
as good."""

import importlib
import inspect

import pytest

pytest.importorskip("sklearn")

import markdown
import numpy as np
from estimators import DIGITS, LABELS, X_NUMBERS, Y_NUMBERS, classifier, regressor
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from byhand.callbacks import Callback
from byhand.estimator import NeuralNetworkClassifier, NeuralNetworkRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # most learn for a moment only



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
        assert (mine is None) == (its is None), name
        if isinstance(its, list):
            assert [np.shape(a) for a in mine] == [np.shape(a) for a in its], name
        elif name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
            assert mine == its, name


LABELS_OF_ROWS = np.stack([LABELS % 2, LABELS > 4, LABELS == 3], axis=1).astype(int)
TASKS = {"classes": (NeuralNetworkClassifier, MLPClassifier, LABELS),
         "two classes": (NeuralNetworkClassifier, MLPClassifier, LABELS > 4),
         "labels": (NeuralNetworkClassifier, MLPClassifier, LABELS_OF_ROWS),
         "a number": (NeuralNetworkRegressor, MLPRegressor, LABELS / 5),
         "numbers": (NeuralNetworkRegressor, MLPRegressor, LABELS_OF_ROWS - LABELS[:, None] / 5)}


@pytest.mark.parametrize("options", [
    {"alpha": 0.0}, {"alpha": 5.0}, {"beta_1": 0.5, "beta_2": 0.9}, {"activation": "logistic", "alpha": 0.0},
    {"solver": "lbfgs", "alpha": 0.5}, {"solver": "sgd"}, {"solver": "sgd", "nesterovs_momentum": False},
    {"solver": "sgd", "momentum": 0.0}, {"solver": "sgd", "momentum": 0.0, "learning_rate": "invscaling"}], ids=repr)
@pytest.mark.parametrize("task", TASKS)
def test_from_the_same_weights_it_takes_the_same_steps(task, options):
    if task == "numbers" and options.get("solver") == "lbfgs":
        pytest.skip("theirs looks for the least mean of the squared errors by the slope of their sum")
    one, other = fitted = [kind(hidden_layer_sizes=(7,), max_iter=1, learning_rate_init=1e-9, shuffle=False,
                                warm_start=True, batch_size=50, random_state=0, epsilon=1e-14, **options)
                           .fit(DIGITS.astype(np.float64), TASKS[task][2]) for kind in TASKS[task][:2]]
    # (theirs adds Adam's epsilon before it corrects for the first steps, which tiny gradients feel: here it is nothing)
    other.coefs_, other.intercepts_ = [list(map(np.array, arrays)) for arrays in (one.coefs_, one.intercepts_)]
    before = one.coefs_[0].copy()
    for net in fitted:
        net.t_ = 0
        net.set_params(learning_rate_init=0.01, max_iter=3).fit(DIGITS.astype(np.float64), TASKS[task][2])
    assert np.abs(one.coefs_[0] - before).max() > 1e-3
    for mine, its in zip([*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_], strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-4)
    if options.get("alpha", 0) < 1 and task != "numbers":
        assert one.loss_ == pytest.approx(other.loss_, abs=1e-3)


def test_first_weights_are_as_large_as_theirs():
    for activation in ("relu", "tanh", "logistic", "identity"):
        one, other = (kind((400, 300), activation, max_iter=1, learning_rate_init=1e-9, random_state=0)
                      .fit(DIGITS, LABELS) for kind in (NeuralNetworkClassifier, MLPClassifier))
        for mine, its in zip(one.coefs_, other.coefs_, strict=True):
            assert np.abs(mine).max() == pytest.approx(np.abs(its).max(), rel=0.01)
            assert mine.std() == pytest.approx(its.std(), rel=0.05)


def test_labels_in_a_sparse_matrix_are_answered_with_one():
    for labels in (LABELS_OF_ROWS, csr_matrix(LABELS_OF_ROWS)):
        one, other = (kind((9,), max_iter=3, random_state=0).fit(DIGITS, labels).predict(DIGITS)
                      for kind in (NeuralNetworkClassifier, MLPClassifier))
        assert type(one) is type(other) and one.shape == other.shape and one.dtype == other.dtype


@pytest.mark.parametrize("options", [
    {}, {"activation": "tanh", "solver": "sgd", "learning_rate_init": 0.1},
    {"early_stopping": True, "learning_rate_init": 0.01},
    {"activation": "logistic", "learning_rate_init": 0.01}, {"activation": "identity"}, {"solver": "lbfgs"},
    {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.2},
    {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.5}, {"solver": "lbfgs", "alpha": 10.0}], ids=repr)
def test_it_learns_what_theirs_learns(options):
    one, other = (kind(hidden_layer_sizes=(50,), max_iter=60, random_state=1, **options).fit(DIGITS[:200], LABELS[:200])
                  for kind in (NeuralNetworkClassifier, MLPClassifier))
    assert one.score(DIGITS[200:], LABELS[200:]) == pytest.approx(other.score(DIGITS[200:], LABELS[200:]), abs=0.08)
    assert one.n_iter_ == pytest.approx(other.n_iter_, rel=0.4)


@pytest.mark.parametrize("options", [
    {}, {"solver": "lbfgs"}, {"loss": "poisson"}, {"early_stopping": True, "learning_rate_init": 0.05}], ids=repr)
def test_it_learns_numbers_as_theirs(options):
    y = np.exp(Y_NUMBERS / 2)  # which poisson is for
    one, other = (kind(hidden_layer_sizes=(50,), max_iter=150, random_state=1, **options).fit(X_NUMBERS, y)
                  for kind in (NeuralNetworkRegressor, MLPRegressor))
    assert one.score(X_NUMBERS, y) == pytest.approx(other.score(X_NUMBERS, y), abs=0.1)


def test_the_table_that_compares_both_has_medians_and_means_with_their_spread(monkeypatch):
    monkeypatch.syspath_prepend(markdown.ROOT / "scripts")
    script = importlib.import_module("measure_estimator")
    mine = [script.Round(seconds, epochs, right) for seconds, epochs, right in
            [(2.0, 50, 0.96), (1.0, 60, 0.98), (30.0, 70, 0.97)]]
    theirs = [script.Round(6.0, 9, 0.5)] * 3
    found = {"float32": {"ours": mine, "theirs": theirs}, "float64": {"ours": theirs, "theirs": mine}}
    text = script.table(found, 1000)
    assert text.splitlines()[2:5] == [
        "| `ours` | float32 | 2.0 | 60 | 0.040 s | 97.00 ± 1.00 % |",
        "| `theirs` | float32 | 6.0 | 9 | 0.667 s | 50.00 ± 0.00 % |",
        "| `ours` | float64 | 6.0 | 9 | 0.667 s | 50.00 ± 0.00 % |"]
    assert "\n3.0 times as fast in float32 and 0.3 times as fast in float64: 1,000 images of MNIST, 3 rounds" in text


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


def test_a_rate_scaled_down_by_the_samples_seen():
    net = classifier(solver="sgd", learning_rate="invscaling", power_t=0.4).fit(DIGITS, LABELS)
    assert [record["learning_rate"] for record in net.history_] == pytest.approx([
        0.001, 0.001 / 301**0.4, 0.001 / 601**0.4])


def test_ctrl_c_ends_training_and_what_was_learned_stays():
    class CtrlC(Callback):
        def on_epoch_end(self, run):
            if run.epoch == 2:
                raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Training interrupted by user"):
        net = classifier(max_iter=5, callbacks=[CtrlC()]).fit(DIGITS, LABELS)
    assert net.n_iter_ == 2 and net.predict(DIGITS).shape == LABELS.shape


def test_a_penalty_shrinks_weights_and_leaves_biases():
    free, tied = (regressor(alpha=alpha, activation="identity", solver="lbfgs", max_iter=500).fit(
        X_NUMBERS, Y_NUMBERS + 50) for alpha in (0.0, 1000.0))
    assert np.linalg.norm(tied.coefs_[0]) < 0.1 * np.linalg.norm(free.coefs_[0])
    assert tied.predict(X_NUMBERS).mean() == pytest.approx(50, abs=0.5)
    by_steps = regressor(alpha=1000.0, activation="identity", max_iter=600, learning_rate_init=0.1,
                         n_iter_no_change=np.inf).fit(X_NUMBERS, Y_NUMBERS + 50)
    assert by_steps.predict(X_NUMBERS).mean() == pytest.approx(50, abs=0.5)
