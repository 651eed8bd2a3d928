"""The estimators where their users have them: in pipelines, searches and other processes, with frames, sparse matrices
and labels of every kind."""

import copy
import pickle
import warnings
from functools import partial

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib
import scipy.sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 (without it there is none)
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import byhand as bh
from byhand import kernels
from byhand.estimator import NeuralNetworkClassifier, NeuralNetworkRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # most learn for a moment only
X, Y = (array[:200] for array in load_digits(return_X_y=True))
X = X / 16
NET = NeuralNetworkClassifier(16, max_iter=30, learning_rate_init=0.02, random_state=0)
NUMBERS = NeuralNetworkRegressor(hidden_layer_sizes=16, max_iter=60, learning_rate_init=0.02, random_state=0)


def test_the_front_door_leads_to_both():
    assert bh.NeuralNetworkClassifier is NeuralNetworkClassifier and bh.NeuralNetworkRegressor is NeuralNetworkRegressor


# --- among scikit-learn's tools ---------------------------------------------------------------------------------------


def test_in_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), NET).fit(X, Y)
    assert pipeline.score(X, Y) > 0.8
    assert np.array_equal(pickle.loads(pickle.dumps(pipeline)).predict(X), pipeline.predict(X))


def test_a_validation_set_goes_through_the_steps_before():
    with config_context(enable_metadata_routing=True):
        net = clone(NET).set_fit_request(X_val=True, y_val=True)
        pipeline = Pipeline([("scale", StandardScaler()), ("net", net)], transform_input=["X_val"])
        pipeline.fit(X[:150], Y[:150], X_val=X[150:], y_val=Y[150:])
    assert pipeline["net"].validation_scores_[-1] == pipeline.score(X[150:], Y[150:])


@pytest.mark.parametrize("jobs", [1, 2])
def test_in_a_search(jobs):
    grid = {"hidden_layer_sizes": [(8,), (16, 8)], "dropout": [0.0, 0.2]}
    search = GridSearchCV(NET, grid, cv=2, n_jobs=jobs).fit(X, Y)
    alone = clone(NET).set_params(**search.best_params_).fit(X, Y)
    assert np.array_equal(search.predict(X), alone.predict(X))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the cluster's own parts
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_on_a_cluster():
    distributed = pytest.importorskip("distributed")
    import joblib

    search = GridSearchCV(NET, {"hidden_layer_sizes": [(8,), (16,)]}, cv=2)
    with (distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None,
                                   host="127.0.0.1") as cluster, distributed.Client(cluster),
          joblib.parallel_backend("dask")):
        far = search.fit(X, Y).cv_results_["mean_test_score"]
    near = clone(search).fit(X, Y).cv_results_["mean_test_score"]
    assert far == pytest.approx(near)


def test_cross_validated():
    scores = cross_validate(NET, X, Y, cv=3, scoring=["accuracy", "neg_log_loss", "roc_auc_ovr"])
    assert scores["test_accuracy"].min() > 0.6 and scores["test_roc_auc_ovr"].min() > 0.9


def test_calibrated():
    calibrated = CalibratedClassifierCV(NET, cv=3).fit(X, Y)
    assert calibrated.score(X, Y) > 0.8 and calibrated.predict_proba(X).sum(axis=1) == pytest.approx(1)


def test_in_a_bag_that_gives_weights():
    assert BaggingClassifier(NET, n_estimators=3, random_state=0).fit(X, Y).score(X, Y) > 0.8


def test_in_a_vote_and_on_top_of_others():
    others = [("tree", DecisionTreeClassifier(random_state=0)), ("net", NET)]
    assert VotingClassifier(others, voting="soft").fit(X, Y).score(X, Y) > 0.8
    assert StackingClassifier(others, final_estimator=clone(NET), cv=3).fit(X, Y).score(X, Y) > 0.8


def test_in_a_search_that_drops_the_worse_half_early():
    search = HalvingGridSearchCV(NET, {"hidden_layer_sizes": [2, 4, 16]}, resource="max_iter", max_resources=30,
                                 min_resources=10, factor=3, cv=2).fit(X, Y)
    assert search.best_params_ == {"hidden_layer_sizes": 16, "max_iter": 30} and search.score(X, Y) > 0.8


def test_which_columns_matter_to_it():
    found = permutation_importance(clone(NET).fit(X, Y), X, Y, n_repeats=3, random_state=0)
    never = X.std(axis=0) == 0
    assert never.any() and (found.importances_mean[never] == 0).all() and found.importances_mean.max() > 0


def test_with_frames_between_the_steps():
    pytest.importorskip("pandas")
    pipeline = make_pipeline(StandardScaler(), clone(NET)).set_output(transform="pandas").fit(X, Y)
    assert pipeline[-1].feature_names_in_.tolist() == [f"x{i}" for i in range(64)] and pipeline.score(X, Y) > 0.8


def test_weights_are_routed_to_it():
    weights = np.where(Y < 5, 1.0, 0.0)
    with config_context(enable_metadata_routing=True):
        net = clone(NET).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        search = GridSearchCV(make_pipeline(scaler, net), {"neuralnetworkclassifier__alpha": [0.1]}, cv=2)
        search.fit(X, Y, sample_weight=weights)
    assert search.best_estimator_.classes_.tolist() == [0, 1, 2, 3, 4]  # of the others nothing counts
    assert search.best_score_ > 0.8


def test_with_targets_that_are_scaled():
    far = 1e6 + 1e4 * Y
    net = TransformedTargetRegressor(NUMBERS, transformer=StandardScaler()).fit(X, far)
    assert net.score(X, far) > 0.3


def test_clones_have_learned_nothing():
    net = clone(NET).fit(X, Y)
    assert not hasattr(clone(net), "model_") and not hasattr(clone(net), "coefs_")
    assert clone(net).get_params() == net.get_params()


# --- in other processes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["numpy", "jit"])
@pytest.mark.parametrize("options", [{"early_stopping": True}, {"batch_norm": True, "solver": "sgd"},
                                     {"batch_norm": True, "solver": "lbfgs", "warm_start": True}], ids=repr)
def test_a_network_that_is_mapped_from_a_file_answers_and_goes_on(options, body, tmp_path):
    if body == "jit":
        pytest.importorskip("numba")
    with kernels.using(body):
        near = clone(NET).set_params(max_iter=3, **options).fit(X, Y)
        joblib.dump(near, tmp_path / "net.joblib")
        far, same, other = (joblib.load(tmp_path / "net.joblib", mmap_mode="r") for _ in range(3))
        assert np.array_equal(far.predict_proba(X), near.predict_proba(X))
        if "solver" in options:
            other.coefs_ = [0 * weights for weights in other.coefs_]
        else:
            other.model_.load_state_dict({name: 0 * array for name, array in other.model_.state_dict().items()})
        for net in (near, far):
            net.fit(X, Y) if "warm_start" in options else net.partial_fit(X, Y)
        assert np.array_equal(far.predict_proba(X), near.predict_proba(X))
        assert not np.array_equal(far.predict_proba(X), same.predict_proba(X))  # the file is as it was
        assert not any(weights.any() for weights in pickle.loads(pickle.dumps(other)).coefs_)
        pattern = clone(NET).set_params(model=same.model_, max_iter=1).fit(X, Y)
        assert pattern.score(X, Y) > 0


@pytest.mark.parametrize("solver", ["adam", partial(bh.optim.Adam, clip_norm=1.0)], ids=["adam", "clipped"])
@pytest.mark.parametrize("most", [100, 15_000], ids=["everything", "what is as long as two rows of all weights"])
def test_a_large_network_goes_on_in_another_process(solver, most):
    net = clone(NET).set_params(solver=solver).partial_fit(X, Y, classes=range(10))
    one, other = joblib.Parallel(n_jobs=2, max_nbytes=most)(  # and joblib maps what is larger than so many bytes
        joblib.delayed(net.partial_fit)(X, Y) for _ in range(2))
    net.partial_fit(X, Y)
    for far in (one, other):  # which may have learned with fewer threads
        assert far.predict_proba(X) == pytest.approx(net.predict_proba(X), rel=1e-9)


# --- labels and targets of every kind ---------------------------------------------------------------------------------


def test_labels_with_names():
    names = np.array(["nought", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    net = clone(NET).fit(X, names[Y])
    assert net.classes_.tolist() == sorted(names)
    assert np.mean(net.predict(X) == names[Y]) > 0.8
    assert net.predict_proba(X[:1])[0, net.classes_.tolist().index(net.predict(X[:1])[0])] > 0.1


@pytest.mark.parametrize("labels, kind", [(Y, "i"), (Y > 4, "b"), (Y / 1, "f"), (np.array(list("abcdefghij"))[Y], "O")])
def test_labels_that_are_objects_are_what_they_hold(labels, kind):
    objects = np.array(labels, object)
    net, plain = clone(NET).fit(X, objects), clone(NET).fit(X, labels)
    assert net.classes_.tolist() == plain.classes_.tolist() and net.classes_.dtype.kind == kind
    assert net.score(X, objects) == net.score(X, labels.tolist()) == plain.score(memoryview(X), labels)
    assert clone(NET).partial_fit(X, objects, classes=net.classes_).score(X, labels) > 0


def test_classes_that_it_cannot_know_are_named_by_its_score():
    net, rare = clone(NET).fit(X[Y < 8], Y[Y < 8]), np.where(Y < 8, 1.0, 0.0)
    with pytest.warns(UserWarning, match=r"^y has classes that .* not know, whose rows count as wrong: \[8, 9\]\.$"):
        assert net.score(X, Y) == np.mean(net.predict(X) == Y)
    with pytest.warns(UserWarning, match=r"count as wrong: \[8, 9, 10, .* 16\]\.$"):
        assert net.score(X, Y + 7) < 0.1
    assert net.score(X, Y, sample_weight=rare) == net.score(X[Y < 8], Y[Y < 8])  # of the others none counts
    labels = np.stack([Y > 4, Y < 8], axis=1).astype(int)
    assert clone(NET).fit(X, labels).score(X, scipy.sparse.csr_matrix(labels)) > 0.5


def test_two_classes_have_one_output():
    net = clone(NET).fit(X, Y > 4)
    assert net.n_outputs_ == 1 and net.out_activation_ == "logistic" and net.classes_.tolist() == [False, True]
    assert np.array_equal(net.predict(X), net.decision_function(X) > 0)


def test_a_single_class_is_what_there_is():
    net = clone(NET).fit(X, np.full(len(X), "only"))
    assert set(net.predict(X)) == {"only"}
    assert (net.predict_proba(X) == 1).all() and (net.predict_log_proba(X) == 0).all()


@pytest.mark.parametrize("container", [np.asarray, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_several_labels_at_once(container, early_stopping):
    rows, labels = make_multilabel_classification(400, 6, n_classes=4, random_state=0)
    net = NeuralNetworkClassifier(32, max_iter=60, learning_rate_init=0.02, early_stopping=early_stopping,
                                  n_iter_no_change=30, random_state=0).fit(rows / 10, container(labels))
    assert net.predict(rows / 10).shape == net.predict_proba(rows / 10).shape == labels.shape
    assert net.score(rows / 10, labels) > 0.4 and net.out_activation_ == "logistic"
    assert np.exp(net.predict_log_proba(rows / 10)) == pytest.approx(net.predict_proba(rows / 10))


def test_several_labels_part_by_part():
    rows, labels = make_multilabel_classification(50, 6, n_classes=4, random_state=0)
    net = clone(NET).partial_fit(rows, labels, classes=range(4)).partial_fit(rows, labels)
    assert net.classes_.tolist() == [0, 1, 2, 3] and net.predict(rows).shape == (50, 4)


def test_several_numbers_at_once():
    targets = np.stack([Y, -Y, X[:, 20]], axis=1)
    net = clone(NUMBERS).set_params(max_iter=100, early_stopping=True).fit(X, targets)
    assert net.predict(X).shape == (200, 3) and net.score(X, targets) > 0.5 and net.n_outputs_ == 3


# --- rows of every kind -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [scipy.sparse.csr_matrix, scipy.sparse.csr_array, scipy.sparse.csc_matrix,
                                  scipy.sparse.coo_array])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"image_shape": (8, 8)}, {"solver": "lbfgs"}],
                         ids=repr)
def test_sparse_rows_are_rows(kind, options):
    dense, sparse = (clone(NET).set_params(**options).fit(rows, Y) for rows in (X, kind(X)))
    assert sparse.predict_proba(kind(X)) == pytest.approx(dense.predict_proba(X), rel=1e-6)
    assert np.array_equal(dense.predict_proba(kind(X)), dense.predict_proba(X))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library):
    frames = pytest.importorskip(library)
    names = [f"pixel {i}" for i in range(64)]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    target = frames.Series(["odd" if label % 2 else "even" for label in Y])
    net = clone(NET).fit(frame, target, sample_weight=frames.Series(np.ones(len(Y))), X_val=frame, y_val=target)
    assert net.feature_names_in_.tolist() == names
    assert net.score(frame, target) == net.validation_scores_[-1] > 0.8
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        assert np.array_equal(net.predict(X), net.predict(frame))
    numbers = clone(NUMBERS).fit(frame, frames.DataFrame({"a": Y, "b": -Y}))
    assert numbers.predict(frame).shape == (200, 2)


class Keeps(bh.callbacks.Callback):
    """Remembers its run, which knows all callbacks, of which one knows the estimator, which knows this one."""

    def on_train_begin(self, run):
        self.run = run


@pytest.mark.parametrize("copied", [copy.deepcopy, clone, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_callback_may_lead_back_to_its_estimator(copied):
    net = NeuralNetworkClassifier((4,), callbacks=[Keeps()], max_iter=2, tol=9.0, n_iter_no_change=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.fit(np.eye(4), [0, 1, 0, 1])
    again = copied(net)
    assert isinstance(again.callbacks[0], Keeps) and again.callbacks[0] is not net.callbacks[0]
    if hasattr(again, "model_"):
        np.testing.assert_array_equal(again.predict_proba(np.eye(4)), net.predict_proba(np.eye(4)))
