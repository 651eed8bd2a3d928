"""Metrics: worked examples and published ones, and the properties that every such number has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byhand import Tensor
from byhand.metrics import (
    accuracy, calibration_bins, calibration_error, commonest_mistakes, confusion_matrix, per_class, predictions,
    probabilities, wilson_interval, worst_mistakes
)

LOGITS = np.array([[1.0, 2, 0], [3, 0, 0], [0, 0, 5], [2, 2, 1]])


def test_predictions():
    assert predictions(LOGITS).tolist() == [1, 0, 2, 0]  # of two equal scores, the first
    assert predictions([-1.0, 0.0, 0.1]).tolist() == [0, 0, 1]
    assert predictions([[-1.0], [0.1]]).tolist() == [0, 1]
    assert predictions(Tensor([[0.0, 1.0]])).tolist() == [1]


def test_accuracy():
    assert accuracy(LOGITS, [1, 0, 2, 1]) == 0.75
    assert accuracy(LOGITS, np.eye(3)[[1, 0, 2, 1]]) == 0.75
    assert accuracy([-1.0, 0.5, 2.0, -3.0], [0, 1, 0, 0]) == 0.75
    assert accuracy([[-1.0], [0.5]], [[0], [1]]) == 1
    assert accuracy([[-1.0], [0.5]], [True, False]) == 0
    assert type(accuracy(LOGITS, [1, 0, 2, 1])) is float


@pytest.mark.parametrize("correct, n, expected", [
    (81, 263, (0.2553, 0.3662)),  # Newcombe (1998), table I, method 3
    (15, 148, (0.0624, 0.1605)),
    (0, 20, (0.0, 0.1611)),
    (1, 29, (0.0061, 0.1718)),
])
def test_the_wilson_interval_as_published(correct, n, expected):
    assert wilson_interval(correct, n) == pytest.approx(expected, abs=5e-5)


@given(n=st.integers(1, 10**6), part=st.floats(0, 1), confidence=st.floats(0.01, 0.999))
def test_the_interval_holds_the_accuracy_and_is_symmetric(n, part, confidence):
    correct = round(part * n)
    low, high = wilson_interval(correct, n, confidence)
    assert 0 <= low <= correct / n <= high <= 1
    assert wilson_interval(n - correct, n, confidence) == pytest.approx((1 - high, 1 - low))


def test_confusion_matrix():
    counts = confusion_matrix(predicted=[0, 1, 1, 2, 0], targets=[0, 1, 2, 2, 1], classes=4)
    assert counts.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert confusion_matrix(np.array([255], np.uint8), np.array([255], np.uint8), 256)[255, 255] == 1
    assert not confusion_matrix(np.array([], int), np.array([], int), 2).any()


def test_per_class():
    scores = per_class([[8, 2, 0, 0], [4, 6, 0, 0], [0, 0, 0, 0], [0, 5, 0, 0]])
    np.testing.assert_allclose(scores.precision, [8 / 12, 6 / 13, np.nan, np.nan])
    np.testing.assert_allclose(scores.recall, [0.8, 0.6, np.nan, 0])
    np.testing.assert_allclose(scores.f1, [16 / 22, 12 / 23, np.nan, 0])
    assert np.isnan(per_class([[3, 1], [0, 0]]).f1[1]), "answered, but there is none"
    assert scores.support.tolist() == [10, 10, 0, 5]


def test_the_commonest_mistakes():
    counts = [[90, 2, 0], [7, 80, 2], [0, 0, 0]]
    assert commonest_mistakes(counts) == [(1, 0, 7), (0, 1, 2), (1, 2, 2)]
    assert commonest_mistakes(counts, 1) == [(1, 0, 7)] and commonest_mistakes(np.eye(3, dtype=int)) == []


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1))
def test_the_metrics_agree_with_each_other(pairs):
    found, expected = np.array(pairs).T
    counts = confusion_matrix(found, expected, 3)
    assert counts.sum() == len(pairs)
    overall = accuracy(np.eye(3)[found], expected)
    assert counts.trace() / counts.sum() == pytest.approx(overall)
    scores = per_class(counts)
    assert np.nansum(scores.recall * scores.support) / scores.support.sum() == pytest.approx(overall)


def test_calibration_by_hand():
    sure = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    right_wrong = [0, 1, 0, 1]  # confidence 0.9 half right; 0.6 and 0.7 right
    assert calibration_error(sure, right_wrong, bins=10) == pytest.approx((2 * 0.4 + 0.4 + 0.3) / 4)
    assert calibration_error(sure, right_wrong, bins=1) == pytest.approx(abs(0.75 - 3.1 / 4))
    edge = np.array([[0.5, 0.5], [0.9, 0.1]])  # 0.5 belongs to the lower of two bins
    assert calibration_error(edge, [1, 0], bins=2) == pytest.approx((0.5 + 0.1) / 2)
    assert calibration_error(np.eye(3)[[0, 2]], [0, 2]) == 0
    assert calibration_error(np.eye(3)[[0, 2]], [1, 1]) == 1
    assert calibration_error(np.full((4, 4), 0.25), [0, 1, 2, 3]) == 0


def test_calibration_of_one_probability():
    p = np.array([0.1, 0.8, 0.6])
    both = np.stack([1 - p, p], axis=1)
    for form in (p, p[:, None], both):
        assert calibration_error(form, [0, 1, 0]) == pytest.approx((0.1 + 0.2 + 0.6) / 3)


def test_probabilities():
    p = probabilities(LOGITS)
    np.testing.assert_allclose(p, np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True))
    assert p.dtype == np.float64 and (p.argmax(axis=1) == predictions(LOGITS)).all()
    one = np.array([-800, -1.0, 0.0, 2.0], np.float32)
    for outputs in (one, one[:, None], Tensor(one)):
        np.testing.assert_allclose(probabilities(outputs)[:, 1], [0, 1 / (1 + np.e), 0.5, 1 / (1 + np.exp(-2))])
        assert (probabilities(outputs).argmax(axis=1) == predictions(outputs)).all()


def test_calibration_bins_by_hand():
    sure = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    found = calibration_bins(sure, [0, 1, 0, 1], bins=5)
    np.testing.assert_allclose(found.edges, [0, 0.2, 0.4, 0.6, 0.8, 1])
    assert found.counts.tolist() == [0, 0, 1, 1, 2]
    np.testing.assert_allclose(found.confidence, [0, 0, 0.6, 0.7, 0.9])
    np.testing.assert_allclose(found.accuracy, [0, 0, 1, 1, 0.5])
    assert found.error == calibration_error(sure, [0, 1, 0, 1], bins=5) == pytest.approx((0.4 + 0.3 + 2 * 0.4) / 4)


def test_the_worst_mistakes_come_first():
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.05, 0.95], [0.2, 0.8]])
    assert worst_mistakes(p, [0, 0, 0, 1, 0]).tolist() == [1, 4, 2]
    assert worst_mistakes(p[:, 1], [0, 0, 0, 1, 0], count=2).tolist() == [1, 4]
    assert worst_mistakes(p, [0, 1, 1, 1, 1]).tolist() == []


@pytest.mark.parametrize("call, says", [
    (lambda: predictions(np.zeros((0, 3))), r"needs? outputs of shape .*, got \(0, 3\)"),
    (lambda: predictions(np.zeros((1, 2, 3))), r"got \(1, 2, 3\)"),
    (lambda: accuracy(LOGITS, [0, 1]), r"targets of shape \(2,\) do not fit outputs of shape \(4, 3\)"),
    (lambda: accuracy(LOGITS, 1), r"targets of shape \(\)"),
    (lambda: wilson_interval(0, 0), "at least one sample"),
    (lambda: wilson_interval(3, 2), "got 3 of 2"),
    (lambda: wilson_interval(1, 2, confidence=95), "between 0 and 1, got 95"),
    (lambda: confusion_matrix([0, 3], [0, 1], 3), "sample 1 has class 3"),
    (lambda: confusion_matrix([0], [0, 1], 3), r"must have shape \(1,\)"),
    (lambda: per_class([[1, 2]]), "square matrix of counts"),
    (lambda: per_class([[0.5, 0.5], [0, 1.0]]), "square matrix of counts"),
    (lambda: per_class([[1, -1], [0, 1]]), "square matrix of counts"),
    (lambda: calibration_error(LOGITS, [0, 1, 2, 0]), "metrics.probabilities makes them of logits"),
    (lambda: calibration_error([1.5, 0.5], [0, 1]), "metrics.probabilities makes them of logits"),
    (lambda: worst_mistakes(LOGITS, [0, 1, 2, 0]), "metrics.probabilities makes them of logits"),
    (lambda: worst_mistakes([0.5], [2]), "sample 0 has class 2"),
    (lambda: probabilities([[1.0, np.nan]]), "not finite numbers"),
    (lambda: probabilities([[1.0, np.inf]]), "not finite numbers"),
    (lambda: probabilities(np.zeros((0, 3))), r"got \(0, 3\)"),
    (lambda: calibration_error([], []), r"got \(0,\)"),
    (lambda: calibration_error([0.5], [0], bins=0), "bins must be a whole number"),
    (lambda: calibration_error([0.5], [2]), "sample 0 has class 2"),
    (lambda: calibration_error([0.5], [0, 1]), r"must have shape \(1,\)"),
])
def test_one_clear_sentence(call, says):
    with pytest.raises(ValueError, match=says) as error:
        call()
    assert str(error.value).endswith(".") and "\n" not in str(error.value)
