"""Which rows decide when the estimators stop, what they then give back, and how training goes on."""

import pickle

import pytest

pytest.importorskip("sklearn")

import numpy as np
import scipy.sparse
from estimators import DIGITS, LABELS, classifier, regressor, same_weights
from sklearn.base import clone

from byhand import losses
from byhand.callbacks import Callback
from byhand.estimator.rows import held_out, numbers_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # most learn for a moment only



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
    assert np.array_equal(numbers_of(scipy.sparse.csr_array(X), np.random.default_rng(0)), numbers)
    signed, written_out = np.where(X == 0, -0.0, X), scipy.sparse.csr_array(X + 1)  # where another has nothing
    written_out.data = signed.ravel()
    for same in (signed, written_out):
        assert np.array_equal(numbers_of(same, np.random.default_rng(0)), numbers)


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


class Keeps(Callback):
    """Keeps the weights of each epoch, and the targets by which they were judged."""

    kept, judges = (), ()

    def on_epoch_end(self, run):
        self.kept = (*self.kept, run.model.state_dict())
        self.judges = (*self.judges, () if run.validation is None else tuple(run.validation.targets))


def test_of_several_epochs_with_the_best_score_that_with_the_lowest_loss_comes_back():
    keeps = Keeps()
    net = classifier(early_stopping=True, max_iter=60, learning_rate_init=0.1, n_iter_no_change=60, callbacks=[keeps])
    net.fit(DIGITS[:200], LABELS[:200], X_val=DIGITS[200:220], y_val=LABELS[200:220])
    ties = np.flatnonzero(np.array(net.validation_scores_) == max(net.validation_scores_))
    best = min(ties, key=lambda epoch: net.validation_loss_curve_[epoch])
    assert ties[0] < best < ties[-1], (ties, best)
    assert all(np.array_equal(keeps.kept[best][name], values) for name, values in net.model_.state_dict().items())


def test_in_each_partial_fit_the_same_rows_are_held_out(rng):
    keeps = Keeps()
    net = regressor(early_stopping=True, callbacks=[keeps])
    for _ in range(3):
        order = rng.permutation(len(DIGITS))
        net.partial_fit(DIGITS[order], order / 300)  # so a row is known by its target
    assert len(keeps.judges) == 3 and len(set(map(frozenset, keeps.judges))) == 1


@pytest.mark.parametrize("early_stopping", [True, "loss"])
def test_class_weights_count_where_it_is_judged(early_stopping):
    X_val, y_val, counts = DIGITS[200:], LABELS[200:], 1.0 + LABELS[200:] ** 2
    net = classifier(early_stopping=early_stopping, max_iter=20, learning_rate_init=0.02,
                     class_weight={k: 1.0 + k ** 2 for k in range(10)})
    net.fit(DIGITS[:200], LABELS[:200], X_val=X_val, y_val=y_val)
    if early_stopping == "loss":
        loss = losses.cross_entropy(net.decision_function(X_val), y_val, sample_weights=counts.astype(np.float32))
        assert loss == pytest.approx(min(net.validation_loss_curve_), rel=1e-5)
    else:
        assert net.score(X_val, y_val, sample_weight=counts) == pytest.approx(net.best_validation_score_)
        assert net.score(X_val, y_val) != pytest.approx(net.best_validation_score_, abs=0.02)


@pytest.mark.parametrize("max_iter", [2, 400])
def test_the_weights_of_the_lowest_loss_come_back_if_training_ends_by_itself(max_iter):
    keeps = Keeps()
    net = classifier(max_iter=max_iter, learning_rate_init=2.0, n_iter_no_change=2, callbacks=[keeps])
    net.fit(DIGITS, LABELS)
    lowest = int(np.argmin(net.loss_curve_))
    assert lowest < net.n_iter_ - 1, net.loss_curve_
    assert bool(net.stopped_) is (max_iter == 400)
    expected = keeps.kept[lowest if net.stopped_ else -1]
    assert all(np.array_equal(expected[name], values) for name, values in net.model_.state_dict().items())


@pytest.mark.parametrize("solver, alpha", [("adam", 0.5), ("sgd", 0.5), ("adamw", 0.5), ("adam", 0.0)])
def test_the_loss_has_the_penalty_of_alpha(solver, alpha):
    net = classifier(solver=solver, alpha=alpha, max_iter=1, batch_size=50, learning_rate_init=1e-12, shuffle=False)
    net.fit(DIGITS, LABELS)
    mean = losses.cross_entropy(net.decision_function(DIGITS), LABELS)
    penalty = alpha / 2 * sum((w ** 2).sum() for w in net.coefs_) / 50
    assert net.loss_ == pytest.approx(mean + (0 if solver == "adamw" else penalty), rel=1e-5)


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


def ways_to_set():
    """Ways in which a user gives a network other weights."""
    def lists(net, other):
        net.coefs_, net.intercepts_ = other.coefs_, other.intercepts_

    def one_by_one(net, other):
        for name in ("coefs_", "intercepts_"):
            for k, array in enumerate(getattr(other, name)):
                getattr(net, name)[k] = array

    return [lists, one_by_one, lambda net, other: net.model_.load_state_dict(other.model_.state_dict())]


@pytest.mark.parametrize("set_weights", ways_to_set(), ids=["lists", "one by one", "state dict"])
@pytest.mark.parametrize("go_on", ["partial_fit", "warm start"])
@pytest.mark.parametrize("early_stopping", [True, "loss"])
def test_weights_that_were_set_are_not_undone_by_better_ones_from_before(early_stopping, go_on, set_weights):
    options = {"early_stopping": early_stopping, "n_iter_no_change": 2, "learning_rate_init": 0.01}
    worse = classifier(max_iter=1, random_state=1).fit(DIGITS[:20], LABELS[:20] * 0 + np.arange(20) % 10)
    net = classifier(max_iter=30, warm_start=True, **options).fit(DIGITS, LABELS)
    good, epochs = net.best_validation_score_, len(net.loss_curve_)
    set_weights(net, worse)
    at_work = pickle.loads(pickle.dumps(net)).set_params(learning_rate_init=1e-9, max_iter=5)  # where it is, it stays
    at_work._optimizer.lr = 1e-9
    if go_on == "warm start":
        at_work.fit(DIGITS, LABELS)
    else:
        while not at_work.stopped_ or len(at_work.loss_curve_) == epochs:
            at_work.partial_fit(DIGITS, LABELS)
    assert at_work.predict_proba(DIGITS) == pytest.approx(worse.predict_proba(DIGITS), abs=1e-4)
    assert at_work.best_validation_score_ == max(at_work.validation_scores_[epochs:]) < good - 0.3


def test_the_best_weights_come_back_after_a_pause():
    net = classifier(early_stopping=True, n_iter_no_change=3, learning_rate_init=0.03)
    for _ in range(20):
        net = pickle.loads(pickle.dumps(net.partial_fit(DIGITS, LABELS, classes=range(10))))
        if net.stopped_:
            break
    best = net.validation_scores_.index(max(net.validation_scores_))
    assert net.stopped_ and net.best_validation_score_ == net.validation_scores_[best]


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
