"""Losses: worked examples, slopes against differences, and what weights and reductions mean."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byhand import Tensor, check_grad, losses
from byhand.autodiff import GraphError

RNG = np.random.default_rng(7)
SCORES = RNG.normal(size=(6, 4))
CLASSES = np.array([0, 3, 1, 1, 2, 0])
SOFT = RNG.dirichlet(np.ones(4), 6)
NUMBERS = RNG.normal(size=(6, 4))
COUNTS = RNG.poisson(1.5, (6, 4))
YES_NO = np.array([0, 1, 1, 0, 1, 0])
WEIGHTS = np.array([1.0, 0.5, 0.0, 2.0, 3.0, 0.25])
CLASS_WEIGHTS = np.array([0.5, 1.0, 2.0, 0.25])

# A loss, outputs and targets that fit it, and options worth a check of their own.
CASES = [
    ("cross_entropy", SCORES, CLASSES, {}),
    ("cross_entropy", SCORES, CLASSES, {"label_smoothing": 0.1}),
    ("cross_entropy", SCORES, CLASSES, {"label_smoothing": 0.1, "class_weights": CLASS_WEIGHTS}),
    ("cross_entropy", SCORES, SOFT, {}),
    ("cross_entropy", SCORES, SOFT, {"label_smoothing": 0.1, "class_weights": CLASS_WEIGHTS}),
    ("binary_cross_entropy", SCORES[:, 0], YES_NO, {}),
    ("binary_cross_entropy", SCORES[:, :1], YES_NO, {}),
    ("binary_cross_entropy", SCORES, SOFT, {}),
    ("brier", SCORES, CLASSES, {}),
    ("brier", SCORES, CLASSES, {"factor": 0.5}),
    ("hinge", SCORES, CLASSES, {}),
    ("hinge", SCORES, CLASSES, {"margin": 0.3}),
    ("mean_squared_error", SCORES, NUMBERS, {}),
    ("mean_squared_error", SCORES[:, :1], NUMBERS[:, 0], {}),
    ("mean_squared_error", SCORES.reshape(6, 2, 2), NUMBERS.reshape(6, 2, 2), {}),
    ("squared_error", SCORES, NUMBERS, {}),
    ("squared_error", SCORES.reshape(6, 2, 2), NUMBERS.reshape(6, 2, 2), {}),
    ("squared_error", SCORES, NUMBERS, {"factor": 0.5}),
    ("poisson", SCORES, COUNTS, {}),
    ("poisson", SCORES[:, :1], COUNTS[:, 0], {}),
    ("absolute_error", SCORES, NUMBERS, {}),
    ("huber", SCORES, NUMBERS, {}),
    ("huber", SCORES, NUMBERS, {"delta": 0.3}),
]
NAMES = [name + "".join(f"-{option}" for option in options) for name, _, _, options in CASES]
each_case = pytest.mark.parametrize("name, outputs, targets, options", CASES, ids=NAMES)


def test_every_loss_is_in_the_table():
    functions = {name: f for name, f in vars(losses).items() if inspect.isfunction(f)}
    assert {name for name, *_ in CASES} == {name for name, f in functions.items()
                                            if "sample_weights" in inspect.signature(f).parameters}


@each_case
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
def test_the_slope_is_the_slope(name, outputs, targets, options, reduction, weights):
    loss = getattr(losses, name)
    check_grad(lambda x: loss(x, targets, sample_weights=weights, reduction=reduction, **options), outputs)


@each_case
def test_reductions_are_made_of_each_other(name, outputs, targets, options):
    loss = getattr(losses, name)
    each = loss(outputs, targets, sample_weights=WEIGHTS, reduction="none", **options)
    total = loss(outputs, targets, sample_weights=WEIGHTS, reduction="sum", **options)
    assert each.shape[0] == 6
    assert total == pytest.approx(each.sum())
    counts = np.ones(6)
    if "class_weights" in options and targets is CLASSES:
        counts = CLASS_WEIGHTS[CLASSES]
    mean = loss(outputs, targets, sample_weights=WEIGHTS, **options)
    assert mean == pytest.approx(total / ((WEIGHTS * counts).sum() * each[0].size))


@each_case
@given(kept=st.lists(st.booleans(), min_size=6, max_size=6).filter(any))
def test_a_weight_of_zero_is_the_same_as_leaving_out(name, outputs, targets, options, kept):
    loss, kept = getattr(losses, name), np.array(kept)
    rows = Tensor(outputs, requires_grad=True)
    weighted = loss(rows, targets, sample_weights=kept, **options)
    assert weighted.item() == pytest.approx(loss(outputs[kept], targets[kept], **options))
    weighted.backward()
    assert not rows.grad[~kept].any()


@each_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_loss_has_the_dtype_of_the_outputs(name, outputs, targets, options, dtype):
    x = Tensor(outputs.astype(dtype), requires_grad=True)
    for weights in (None, WEIGHTS):
        loss = getattr(losses, name)(x, targets, sample_weights=weights, **options)
        assert (loss.shape, loss.dtype) == ((), dtype)
        loss.backward()
        assert (x.grad.shape, x.grad.dtype) == (outputs.shape, dtype)


@each_case
def test_nothing_that_was_given_is_changed(name, outputs, targets, options):
    before = outputs.copy(), targets.copy()
    x = Tensor(outputs, requires_grad=True)
    getattr(losses, name)(x, targets, sample_weights=WEIGHTS, **options).backward()
    np.testing.assert_array_equal(outputs, before[0])
    np.testing.assert_array_equal(targets, before[1])


# --- worked examples --------------------------------------------------------------------------------------------------


def test_cross_entropy_by_hand():
    even = np.zeros((2, 10))
    assert losses.cross_entropy(even, np.array([3, 7])) == pytest.approx(math.log(10))
    two_to_one = np.log([[2.0, 1.0]])
    assert losses.cross_entropy(two_to_one, np.array([0])) == pytest.approx(math.log(1.5))
    smoothed = 0.9 * math.log(1.5) + 0.1 * math.log(3)  # the target is (0.9, 0.1)
    assert losses.cross_entropy(two_to_one, np.array([0]), label_smoothing=0.2) == pytest.approx(smoothed)


def test_one_hot_rows_mean_the_same_as_class_indices():
    rows = losses.one_hot(CLASSES, 4, np.float64)
    for options in ({}, {"label_smoothing": 0.3}, {"class_weights": CLASS_WEIGHTS, "reduction": "sum"}):
        indices = losses.cross_entropy(SCORES, CLASSES, **options)
        assert losses.cross_entropy(SCORES, rows, **options) == pytest.approx(indices)
        assert losses.cross_entropy(SCORES, rows.astype(int), **options) == pytest.approx(indices)


def test_two_classes_are_one_question():
    x = SCORES[:, 0]
    two = np.stack([np.zeros_like(x), x], axis=1)
    assert losses.binary_cross_entropy(x, YES_NO) == pytest.approx(losses.cross_entropy(two, YES_NO))


def test_hinge_by_hand():
    scores = np.array([[3.0, 1.0, 0.0], [1.0, 1.5, 0.0], [0.0, 0.0, 2.0]])
    targets = np.array([0, 0, 1])  # leads by 2; trails by 0.5; trails by 2
    assert losses.hinge(scores, targets, reduction="none").tolist() == [0, 1.5, 3]


def test_the_errors_by_hand():
    outputs, targets = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1, 0], [0, 4]])  # errors 0, 2, 3, 0
    assert losses.mean_squared_error(outputs, targets) == 13 / 4
    assert losses.squared_error(outputs, targets) == 13 / 2
    assert losses.squared_error(outputs, targets, reduction="none").tolist() == [4, 9]
    assert losses.brier(outputs, np.array([0, 1]), reduction="none").tolist() == [4, 18]
    assert losses.brier(outputs, np.array([0, 1]), factor=0.5) == 11 / 2
    assert losses.absolute_error(outputs, targets) == 5 / 4
    assert losses.huber(outputs, targets, reduction="none").tolist() == [[0, 1.5], [2.5, 0]]
    assert losses.huber(outputs, targets, delta=10) == losses.mean_squared_error(outputs, targets) / 2
    assert losses.squared_error(outputs, targets, factor=0.5) == 13 / 4


def test_poisson_by_hand():
    expected, counts = np.array([[2.0], [1.0], [3.0]]), np.array([2, 0, 1])
    by_hand = [0.0, 1.0, 3 - math.log(3) - 1]
    assert losses.poisson(np.log(expected), counts, reduction="none") == pytest.approx(by_hand)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_stay_finite(dtype):
    x = Tensor(np.array([[1e4, -1e4], [-1e4, 1e4]], dtype), requires_grad=True)
    loss = losses.cross_entropy(x, np.array([0, 0]), reduction="none")
    assert loss.numpy().tolist() == [0, 2e4]
    loss.sum().backward()
    assert x.grad.tolist() == [[0, 0], [-1, 1]]
    x = Tensor(np.array([1e4, -1e4, 1e4, -1e4], dtype), requires_grad=True)
    loss = losses.binary_cross_entropy(x, np.array([1, 1, 0, 0]), reduction="none")
    assert loss.numpy().tolist() == [0, 1e4, 1e4, 0]
    loss.sum().backward()
    assert x.grad.tolist() == [0, -1, 1, 0]


def test_no_slope_flows_into_targets():
    x, y = Tensor(SCORES, requires_grad=True), Tensor(NUMBERS, requires_grad=True)
    with pytest.raises(GraphError, match="no gradient for its argument 1"):
        losses.mean_squared_error(x, y)
    losses.mean_squared_error(x, y.detach()).backward()
    assert x.grad is not None and y.grad is None


def test_one_hot():
    assert losses.one_hot([1, 0], 3).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert losses.one_hot(np.array([1], np.uint8), 300).argmax() == 1
    assert losses.one_hot([1], 2).dtype == np.float32 and losses.one_hot([1], 2, np.float64).dtype == np.float64


def test_penalties():
    a, b = Tensor([[1.0, -2.0]], requires_grad=True), Tensor([3.0, 0.0], requires_grad=True)
    assert losses.l1([a, b]).item() == 6 and losses.l2(p for p in (a, b)).item() == 14
    (losses.l1([a, b]) + losses.l2([a, b])).backward()
    assert a.grad.tolist() == [[1 + 2, -1 - 4]] and b.grad.tolist() == [1 + 6, 0]
    check_grad(lambda *w: losses.l1(w), SCORES, NUMBERS[0])
    check_grad(lambda *w: losses.l2(w), SCORES, NUMBERS[0])


# --- the same as PyTorch ----------------------------------------------------------------------------------------------


THEIRS = {"cross_entropy": "cross_entropy", "binary_cross_entropy": "binary_cross_entropy_with_logits",
          "mean_squared_error": "mse_loss", "absolute_error": "l1_loss", "huber": "huber_loss"}


@pytest.mark.parametrize("name, outputs, targets, options", [case for case in CASES if case[0] in THEIRS])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_as_in_pytorch(name, outputs, targets, options, reduction):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn.functional, THEIRS[name])
    settings = {"weight" if option == "class_weights" else option: torch.tensor(value) if np.ndim(value) else value
                for option, value in options.items()}
    x, z = Tensor(outputs, requires_grad=True), torch.tensor(outputs, requires_grad=True)
    y = torch.tensor(targets if name == "cross_entropy" else targets.reshape(outputs.shape).astype(float))
    mine = getattr(losses, name)(x, targets, reduction=reduction, **options)
    expected = theirs(z, y, reduction=reduction, **settings)
    np.testing.assert_allclose(mine.numpy(), expected.detach().numpy(), atol=1e-12)
    mine.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(x.grad, z.grad.numpy(), atol=1e-12)


# --- what is refused --------------------------------------------------------------------------------------------------

CE, BCE, MSE, HINGE = losses.cross_entropy, losses.binary_cross_entropy, losses.mean_squared_error, losses.hinge


@pytest.mark.parametrize("call, says", [
    (lambda: CE(SCORES, np.array([0, 1, 4, 1, 2, 0])), "sample 2 has class 4, but 4 classes are counted from 0 to 3"),
    (lambda: CE(SCORES, np.array([0, 1, 0, -1, 2, 0])), "sample 3 has class -1, but 4 classes"),
    (lambda: CE(SCORES, CLASSES.astype(float)), "classes must be integers, got float64"),
    (lambda: CE(SCORES, CLASSES[:5]), r"must have shape \(6,\), one integer for each sample, got \(5,\)"),
    (lambda: CE(SCORES, SOFT[:, :3]), r"targets of shape \(6, 3\) do not fit logits of shape \(6, 4\)"),
    (lambda: CE(SCORES, SOFT * 2), "each row must sum to 1"),
    (lambda: CE(SCORES, SOFT - 1), "none negative"),
    (lambda: CE(SCORES, SOFT.astype(str)), "must be numbers"),
    (lambda: CE(SCORES[0], CLASSES[:1]), r"needs logits of shape \(N, classes\), got \(4,\)"),
    (lambda: CE(SCORES[:0], CLASSES[:0]), "at least one sample"),
    (lambda: CE(SCORES.astype(int), CLASSES), "outputs that are floats, got int64"),
    (lambda: CE(SCORES, CLASSES, label_smoothing=1.0), "from 0 to below 1, got 1.0"),
    (lambda: CE(SCORES, CLASSES, label_smoothing=-0.1), "from 0 to below 1, got -0.1"),
    (lambda: CE(SCORES, CLASSES, class_weights=[1.0, 2.0]), "class_weights must be 4 numbers"),
    (lambda: CE(SCORES, CLASSES, class_weights=[0.0, 0, 0, 0]), "sum to zero"),
    (lambda: CE(SCORES, CLASSES, reduction="average"), "reduction must be 'mean', 'sum' or 'none', got 'average'"),
    (lambda: CE(SCORES, CLASSES, sample_weights=np.ones(5)), "sample_weights must be 6 numbers"),
    (lambda: CE(SCORES, CLASSES, sample_weights=-np.ones(6)), "must be finite and not negative"),
    (lambda: CE(SCORES, CLASSES, sample_weights=np.full(6, np.nan)), "must be finite and not negative"),
    (lambda: CE(SCORES, CLASSES, sample_weights=np.zeros(6)), "sum to zero"),
    (lambda: BCE(SCORES[:, 0], YES_NO * 2), "targets from 0 to 1; these go from 0 to 2"),
    (lambda: BCE(SCORES[:, 0], np.full(6, np.nan)), "targets from 0 to 1"),
    (lambda: BCE(SCORES[:, 0], YES_NO[:, None]), r"shape \(6, 1\) do not fit outputs of shape \(6,\)"),
    (lambda: MSE(SCORES, CLASSES), r"turn them into rows with one_hot\(targets, 4\)"),
    (lambda: MSE(SCORES, NUMBERS[:, 0]), r"shape \(6,\) do not fit outputs of shape \(6, 4\)"),
    (lambda: MSE(SCORES, NUMBERS[:1]), "the shapes must be equal"),
    (lambda: MSE(SCORES[0, 0], NUMBERS[0, 0]), "at least one sample"),
    (lambda: MSE(SCORES, NUMBERS.astype(str)), "targets must be numbers"),
    (lambda: losses.huber(SCORES, NUMBERS, delta=0), "delta above 0, got 0"),
    (lambda: losses.poisson(SCORES, COUNTS - 1), "poisson needs targets of 0 or more, which counts are; the least"),
    (lambda: losses.brier(SCORES[0], CLASSES[:1]), r"needs outputs of shape \(N, classes\), got \(4,\)"),
    (lambda: losses.brier(SCORES, CLASSES + 1), "sample 1 has class 4"),
    (lambda: HINGE(SCORES[:, :1], CLASSES * 0), "two classes or more"),
    (lambda: HINGE(SCORES, CLASSES + 1), "sample 1 has class 4"),
    (lambda: losses.one_hot([0, 5], 5), "sample 1 has class 5, but 5 classes"),
    (lambda: losses.one_hot([[0]], 5), r"must have shape \(N,\)"),
    (lambda: losses.l1([]), "at least one parameter"),
    (lambda: losses.l2(Tensor([1.0])), "put it in a list"),
])
def test_one_clear_sentence(call, says):
    with pytest.raises(ValueError, match=says) as error:
        call()
    assert str(error.value).endswith(".") and "\n" not in str(error.value)
