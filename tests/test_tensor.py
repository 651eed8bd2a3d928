"""The Tensor: what it takes in, what it looks like, and its operators beside NumPy's."""

import copy

import numpy as np
import pytest

from byhand import Tensor, ops


def leaf(value):
    return Tensor(value, requires_grad=True, dtype=np.float64)


# --- making one -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "dtype"), [
    ([1.0, 2.0], np.float32), (3.0, np.float32), ([[1.5], [2]], np.float32),  # Python's floats: single precision
    (np.array([1.0, 2.0]), np.float64), (np.float64(3), np.float64), (np.ones(2, np.float16), np.float16),
    ([1, 2], np.int64), (True, np.bool_), (np.ones(2, np.uint8), np.uint8), (Tensor([1.0]), np.float32),
    (np.ma.masked_array([1.0]), np.float64),
])
def test_arrays_keep_their_dtype_and_floats_become_float32(data, dtype):
    t = Tensor(data)
    assert t.dtype == dtype and type(t.data) is np.ndarray
    assert Tensor(data, dtype=np.float64).dtype == np.float64


@pytest.mark.parametrize(("data", "sentence"), [
    ("seven", "a Tensor needs real numbers, got an array of <U5"),
    (["1", "2"], "a Tensor needs real numbers"),
    (np.array(["a"]), "a Tensor needs real numbers"),
    (1 + 2j, "a Tensor needs real numbers, got an array of complex128"),
    (None, "a Tensor needs real numbers, got an array of object"),
    ([[1.0], [2.0, 3.0]], "a Tensor needs numbers in a regular shape"),
    (np.array([1, None]), "a Tensor needs real numbers, got an array of object"),
])
def test_what_is_not_numbers_is_refused(data, sentence):
    with pytest.raises(TypeError, match=sentence):
        Tensor(data)


def test_a_list_of_tensors_is_not_cut_off_in_silence():
    a, b = leaf([1.0]), Tensor([2.0])
    for data in ([a, b], (b, a)):
        with pytest.raises(ValueError, match=r"cut these Tensors off .* put them together with ops.stack, or detach"):
            Tensor(data)
    assert Tensor([a.detach(), b]).shape == ops.stack([a, b]).shape == (2, 1)


@pytest.mark.parametrize("data", [[1, 2], np.zeros(2, bool), np.ones(2, np.uint8)])
def test_whole_numbers_have_no_slope(data):
    with pytest.raises(TypeError, match=r"requires_grad needs an array of floats, got .*; give dtype=np.float32"):
        Tensor(data, requires_grad=True)
    assert Tensor(data, requires_grad=True, dtype=np.float32).requires_grad


def test_the_array_itself_is_used_not_a_copy():
    a = np.ones(3)
    t = Tensor(a)
    a[0] = 5
    assert t.data is a and t.numpy() is a and np.asarray(t) is a
    assert np.array(t, copy=True) is not a
    assert np.asarray(t, dtype=np.float32).dtype == np.float32


def test_what_it_says_about_itself():
    t = Tensor(np.zeros((2, 3, 4), np.float32))
    assert (t.shape, t.ndim, t.size, len(t), t.dtype) == ((2, 3, 4), 3, 24, 2, np.float32)
    assert t.T.shape == (4, 3, 2)
    assert Tensor([[2.5]]).item() == float(Tensor(2.5)) == 2.5
    assert t.astype(np.float64).dtype == np.float64


def test_repr():
    assert repr(Tensor([1.0, 2.5])) == "Tensor([1. , 2.5])"
    assert repr(leaf([1.0])) == "Tensor([1.], requires_grad=True)"
    assert repr(leaf([1.0]) * 2) == "Tensor([2.], from multiply)"
    assert len(repr(Tensor(np.zeros((1000, 1000))))) < 500


def test_truth_is_that_of_one_number():
    assert Tensor(1.0) and not Tensor([0.0])
    with pytest.raises(ValueError, match="ambiguous"):
        bool(Tensor([1.0, 2.0]))


def test_a_tensor_can_be_a_key_and_be_copied():
    a, b = leaf([1.0]), leaf([1.0])
    assert {a: 1, b: 2}[a] == 1  # by identity, although == compares elements
    deep = copy.deepcopy(a)
    deep.data += 1
    assert a.item() == 1 and deep.requires_grad


# --- operators --------------------------------------------------------------------------------------------------------

OPERATORS = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "**": lambda a, b: a**b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}


@pytest.mark.parametrize("other", [2.0, 3, np.float32(2.0), np.array([1.0, 2.0, 3.0]), np.array(2.0)],
                         ids=["float", "int", "numpy number", "array", "0-d array"])
@pytest.mark.parametrize("sign", OPERATORS)
def test_operators_take_numbers_and_arrays_on_either_side(sign, other):
    apply, a = OPERATORS[sign], np.array([1.0, 2.0, 4.0])
    for result, expected in ((apply(Tensor(a), other), apply(a, other)), (apply(other, Tensor(a)), apply(other, a))):
        assert isinstance(result, Tensor)
        np.testing.assert_allclose(result.data, expected, rtol=1e-15)
        assert result.dtype == np.asarray(expected).dtype


@pytest.mark.parametrize("sign", ["+", "-", "*", "/", "**"])
def test_reflected_operators_have_their_gradients(sign):
    apply, numbers = OPERATORS[sign], np.array([1.5, 2.0, 4.0])
    a, b = leaf(numbers), leaf(numbers)
    apply(2.0, a).sum().backward()
    apply(Tensor(np.full(3, 2.0)), b).sum().backward()
    np.testing.assert_allclose(a.grad, b.grad)


def test_matrix_product_on_either_side(rng):
    a, b = rng.normal(size=(2, 3)), rng.normal(size=(3, 4))
    for result in (Tensor(a) @ Tensor(b), Tensor(a) @ b, a @ Tensor(b), a.tolist() @ Tensor(b), Tensor(a) @ b.tolist()):
        assert isinstance(result, Tensor)
        np.testing.assert_allclose(result.data, a @ b)


def test_signs_and_augmented_assignment():
    a = leaf([-1.0, 2.0])
    np.testing.assert_array_equal((-a).data, [1, -2])
    np.testing.assert_array_equal(abs(a).data, [1, 2])
    b = a
    b += 1  # a new Tensor; the leaf keeps its numbers
    np.testing.assert_array_equal(a.data, [-1, 2])
    b.sum().backward()
    np.testing.assert_array_equal(a.grad, [1, 1])


def test_numpy_functions_do_not_swallow_a_tensor_in_silence():
    with pytest.raises(TypeError, match="__array_ufunc__"):  # np.exp(t) would lose the graph; ops.exp(t) keeps it
        np.exp(Tensor([1.0]))


def test_methods_are_the_operations(rng):
    x = np.abs(rng.normal(size=(2, 3))) + 0.5
    for name in ("exp", "log", "sqrt", "abs", "sum", "mean", "var", "max", "min", "argmax", "logsumexp", "squeeze",
                 "relu", "tanh", "sigmoid", "softmax", "log_softmax", "transpose"):
        expected = getattr(ops, name)(x)
        np.testing.assert_array_equal(getattr(Tensor(x), name)().data, expected, err_msg=name)
    assert Tensor(x).reshape(3, 2).shape == Tensor(x).reshape((3, -1)).shape == Tensor(x).swapaxes(0, 1).shape == (3, 2)
    assert Tensor(x).clip(0.6, 0.7).data.max() <= 0.7
    assert Tensor(x).sum(axis=1, keepdims=True).shape == (2, 1)


# --- indexing ---------------------------------------------------------------------------------------------------------

KEYS = [
    2, -1, slice(1, 3), slice(None, None, -2), ..., None, (1, 2), (slice(None), 0), (..., -1), (None, 1, slice(1)),
    np.array([0, 3, 3]), [0, 0, 1], np.array([[0, 1], [1, 0]]), (np.array([0, 3, 0]), np.array([1, 1, 1])),
    (slice(None), [2, 2]), ((0, 0), 1), ([True, False, True, True],), np.array([True, False, False, True]),
    np.int64(1), Tensor([1, 1, 2]), (Tensor([0, 1]), slice(1, None)),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_an_index_takes_what_numpy_takes_and_sends_every_slope_back(key, rng):
    x = rng.normal(size=(4, 3))
    plain = tuple(k.data if isinstance(k, Tensor) else k for k in key) if isinstance(key, tuple) else key
    plain = plain.data if isinstance(plain, Tensor) else plain
    t = leaf(x)
    taken = t[key]
    np.testing.assert_array_equal(taken.data, x[plain])
    slopes = rng.normal(size=taken.shape)
    taken.backward(slopes)
    expected = np.zeros_like(x)
    np.add.at(expected, plain, slopes)  # adds up wherever an element was taken more than once
    np.testing.assert_array_equal(t.grad, expected)


def test_rows_come_one_by_one(rng):
    x = rng.normal(size=(4, 3))
    for row, expected in zip(leaf(x), x, strict=True):
        np.testing.assert_array_equal(row.data, expected)


def test_an_index_out_of_range():
    with pytest.raises(IndexError, match="out of bounds"):
        Tensor([1.0, 2.0])[2]
