"""scikit-learn's own tests of an estimator: all of them, with the defaults and with early stopping, and those that it
keeps for its own estimators."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import make_blobs
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from byhand.estimator import NeuralNetworkClassifier, NeuralNetworkRegressor

pytestmark = pytest.mark.filterwarnings(  # the checks train for as few epochs as they like
    "ignore::sklearn.exceptions.ConvergenceWarning")
FOUR = [NeuralNetworkClassifier(), NeuralNetworkClassifier(early_stopping=True),
        NeuralNetworkRegressor(), NeuralNetworkRegressor(early_stopping=True)]
each = pytest.mark.parametrize("estimator", FOUR, ids=repr)
NEEDS_A_PROCESS = "check_array_api_input"  # which is skipped unless SciPy has been told before it was imported


@parametrize_with_checks(FOUR)
def test_common_checks(estimator, check):
    if check.func.__name__ != NEEDS_A_PROCESS:
        check(estimator)


def test_those_checks_that_need_a_process_of_their_own():
    program = f"""
import warnings
from sklearn.utils.estimator_checks import {NEEDS_A_PROCESS} as check
from byhand.estimator import NeuralNetworkClassifier, NeuralNetworkRegressor
for estimator in {FOUR!r}:
    check(type(estimator).__name__, estimator, array_namespace="numpy", expect_only_array_outputs=False)
    print("passed")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True,
                          env=os.environ | {"SCIPY_ARRAY_API": "1"}, check=False)
    assert done.stdout.split() == ["passed"] * len(FOUR), done.stderr


# --- checks that the suite does not yield by itself -------------------------------------------------------------------


@each
@pytest.mark.parametrize("check", [estimator_checks.check_dataframe_column_names_consistency,
                                   estimator_checks.check_param_validation], ids=lambda check: check.__name__)
def test_checks_that_scikit_learn_keeps_for_itself(estimator, check):
    check(type(estimator).__name__, estimator)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("rare", [[40], [40, 40]], ids=["two classes", "three classes"])
def test_balanced_class_weights(rare, early_stopping):
    """One class is common where the network learns, and all are alike where it is judged."""
    X, y = make_blobs([400, *rare], n_features=2, cluster_std=3.0, centers=[(0, 0), (3, 0), (0, 3)][:1 + len(rare)],
                      random_state=0)
    X_test, y_test = make_blobs([200] * (1 + len(rare)), n_features=2, cluster_std=3.0,
                                centers=[(0, 0), (3, 0), (0, 3)][:1 + len(rare)], random_state=1)
    net = NeuralNetworkClassifier(early_stopping=early_stopping)
    estimator_checks.check_class_weight_balanced_classifiers(type(net).__name__, net, X, y, X_test, y_test, None)
