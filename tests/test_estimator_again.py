"""What was learned is learned on: from other rows, with another alpha, and after something went wrong."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.neural_network import MLPRegressor

import byhand as bh
from byhand import NeuralNetworkClassifier, NeuralNetworkRegressor, losses

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = (X[:, 0] > 0) * 1 + (X[:, 1] > 0.5)
T = 2 * X[:, 0] + X[:, 1]


def classifier(**parameters):
    return NeuralNetworkClassifier(**{"hidden_layer_sizes": 8, "learning_rate_init": 0.05, "random_state": 0,
                                      **parameters})


def regressor(**parameters):
    return NeuralNetworkRegressor(**{"hidden_layer_sizes": 20, "learning_rate_init": 0.01, "random_state": 0,
                                     **parameters})


# --- other rows than before -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("early_stopping", [False, True])
def test_partial_fit_does_not_go_back_to_what_was_best_on_other_rows(early_stopping):
    net = regressor(early_stopping=early_stopping)
    for _ in range(60):
        net.partial_fit(X, np.zeros(60))
    for _ in range(600):
        net.partial_fit(X, 10 * X[:, 0])
        if net.stopped_ and early_stopping:
            break
    assert net.score(X, 10 * X[:, 0]) > 0.95


def test_a_stream_of_single_rows_is_learned_as_theirs_does():
    ours, theirs = regressor(), MLPRegressor(hidden_layer_sizes=20, learning_rate_init=0.01, random_state=0)
    for place in range(600):
        row = slice(place % 60, place % 60 + 1)
        ours.partial_fit(X[row], T[row])
        theirs.partial_fit(X[row], T[row])
    assert ours.score(X, T) > theirs.score(X, T) - 0.02


def test_a_stream_is_not_stopped_by_scores_on_different_rows():
    net = classifier(early_stopping=True, n_iter_no_change=2, validation_fraction=0.2)
    for _ in range(80):
        rows = RNG.choice(60, 30, replace=False)
        net.partial_fit(X[rows], Y[rows], classes=range(3))
        assert net.stopped_ == ""
    assert net.score(X, Y) > 0.9


def test_another_validation_set_is_another_yardstick():
    net = classifier(early_stopping=True, n_iter_no_change=3)
    net.partial_fit(X, Y, classes=range(3), X_val=X[:9], y_val=Y[:9])
    assert len(net.validation_scores_) == 1
    best = net.best_validation_score_
    wrong = (Y + 1) % 3
    net.partial_fit(X, Y, X_val=X, y_val=wrong)
    assert net.best_validation_score_ == net.validation_scores_[-1] != best


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warm_start_learns_other_targets():
    net = regressor(warm_start=True, max_iter=300).fit(X, np.zeros(60))
    for _ in range(4):
        net.fit(X, 10 * X[:, 0])
    assert net.score(X, 10 * X[:, 0]) > 0.95
    assert net.best_loss_ == min(net.loss_curve_)


def test_alpha_is_shared_by_the_rows_of_each_call_and_may_change():
    net = regressor(hidden_layer_sizes=5, alpha=1.0, solver="sgd", momentum=0, learning_rate_init=0.1)
    net.partial_fit(X[:2], T[:2])
    for _ in range(200):
        net.partial_fit(X, T)
    assert net.score(X, T) > 0.95
    size = sum(np.abs(w).sum() for w in net.coefs_)
    net.set_params(alpha=30.0)
    for _ in range(50):
        net.partial_fit(X, T)
    assert sum(np.abs(w).sum() for w in net.coefs_) < 0.7 * size


def test_alpha_of_adamw_may_change_too():
    net = regressor(solver="adamw", alpha=0.0).partial_fit(X, T)
    before = net.set_params(alpha=50.0).coefs_[0].copy()
    assert np.abs(net.partial_fit(X, T).coefs_[0]).sum() < 0.8 * np.abs(before).sum()


# --- when something goes wrong ----------------------------------------------------------------------------------------


class Late(bh.callbacks.Callback):
    """Raises when the second epoch ends."""

    def on_epoch_end(self, run):
        if run.epoch > 1:
            raise RuntimeError("no more")


@pytest.mark.parametrize("again", [
    lambda net: net.fit(X, Y, X_val=X, y_val=Y + 5), lambda net: net.fit(X, np.array(["a", "b", "c"])[Y], X_val=X[:0],
                                                                        y_val=Y[:0]),
    lambda net: net.fit(X[:, :2], Y, sample_weight=np.full(60, -1.0)), lambda net: net.fit(X, Y * 0.5),
    lambda net: net.partial_fit(X, Y + 1), lambda net: net.partial_fit(X[:, :3], Y),
    lambda net: net.set_params(callbacks=[Late()]).fit(X, Y),
    lambda net: net.set_params(warm_start=True, callbacks=[Late()]).fit(X, Y),
    lambda net: net.set_params(warm_start=True, solver="sgd", learning_rate_init=1e300).fit(X, Y)])
def test_what_fails_takes_nothing_with_it(again):
    net = classifier().fit(X, Y)
    before, curves = net.predict_proba(X), (list(net.history_), list(net.loss_curve_))
    with pytest.raises((ValueError, RuntimeError, TypeError)):
        again(net)
    np.testing.assert_array_equal(net.predict_proba(X), before)
    assert net.classes_.tolist() == [0, 1, 2] and net.n_features_in_ == 4
    assert (list(net.history_), net.loss_curve_) == curves and len(net.loss_curve_) == net.n_iter_
    net.set_params(callbacks=(), warm_start=False, solver="adam", learning_rate_init=0.05).partial_fit(X, Y)
    assert len(net.history_) == len(curves[0]) + 1


@pytest.mark.parametrize(("parameters", "calls"), [({"solver": "lbfgs"}, 5), ({"batch_norm": True}, 1)])
def test_neither_a_search_nor_a_batch_norm_that_fails_moves_anything(parameters, calls):
    net = regressor(warm_start=True, max_iter=2000, tol=1e-3, **parameters).fit(X, T)
    before, left = net.predict(X), [calls]

    def loss(outputs, targets, sample_weights=None):
        left[0] -= 1
        if left[0] == 0:
            raise RuntimeError("no more")
        return losses.squared_error(outputs, targets)

    with pytest.raises(RuntimeError):
        net.set_params(loss=loss).fit(X + 5, -T)
    np.testing.assert_array_equal(net.predict(X), before)


def test_what_is_refused_does_not_cost_the_memory_of_the_optimizer():
    nets = [classifier(shuffle=False).partial_fit(X, Y, classes=range(3)) for _ in range(2)]
    with pytest.raises(ValueError, match="does not know: \\[7\\]"):
        nets[1].partial_fit(X, np.full(60, 7))
    first, second = (net.partial_fit(X, Y).predict_proba(X) for net in nets)
    np.testing.assert_array_equal(first, second)


def test_who_failed_to_learn_for_the_first_time_has_learned_nothing():
    net = classifier()
    with pytest.raises(ValueError):
        net.fit(X, T)
    with pytest.raises(NotFittedError):
        net.predict(X)
    with pytest.raises(ValueError, match="does not know: \\[2\\]"):
        net.partial_fit(X, Y, classes=[0, 1])
    assert net.partial_fit(X, Y, classes=[0, 1, 2]).classes_.tolist() == [0, 1, 2]


# --- losses of one's own ----------------------------------------------------------------------------------------------

def squares(outputs, targets, sample_weights=None):
    return ((outputs - targets) ** 2).mean()


@pytest.mark.parametrize("columns", [0, 1, 2])
def test_a_loss_of_ones_own_sees_outputs_of_the_shape_of_the_targets(columns):
    targets = T if columns == 0 else np.stack([T, -T][:columns], axis=1)
    if columns == 1:
        targets = targets[:, 0]
    ours = regressor(loss=squares, max_iter=1000).fit(X, targets)
    known = regressor(loss=losses.squared_error, max_iter=1000).fit(X, targets)
    assert ours.score(X, targets) == pytest.approx(known.score(X, targets), abs=0.01) and known.score(X, targets) > 0.9


def test_of_two_classes_too():
    net = classifier(loss=lambda o, t, sample_weights=None: ((bh.ops.sigmoid(o) - t) ** 2).mean(), max_iter=300)
    assert net.fit(X, Y > 0).score(X, Y > 0) > 0.95


def test_a_loss_that_is_set_later_changes_no_answer():
    net = regressor(loss="poisson", max_iter=50, warm_start=True)
    with pytest.warns(ConvergenceWarning):
        before = net.fit(X, abs(T)).predict(X)
    net.set_params(loss="squared_error")
    np.testing.assert_array_equal(net.predict(X), before)
    assert net.out_activation_ == "exp"
    with pytest.raises(ValueError, match="loss has changed since; set it back, or call fit with warm_start=False"):
        net.fit(X, abs(T))
    assert net.set_params(warm_start=False, max_iter=500, tol=0.01).fit(X, T).out_activation_ == "identity"


@pytest.mark.parametrize("early_stopping", [False, "loss"])
def test_rows_to_judge_by_have_to_count(early_stopping):
    net = classifier(class_weight={0: 0, 1: 1, 2: 1}, early_stopping=early_stopping)
    with pytest.raises(ValueError, match=r"class_weight leaves no sample .* above 0: there is nothing to judge by"):
        net.fit(X, Y, X_val=X[Y == 0], y_val=Y[Y == 0])
