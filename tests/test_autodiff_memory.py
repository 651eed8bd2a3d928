"""What the engine spares itself, what it releases, and whose memory a gradient is."""

import gc
import threading
import weakref

import numpy as np
import pytest
from plain_numbers import Number, leaf, times

from byhand import Tensor, kernels, no_grad, ops
from byhand.autodiff import once, op, unbroadcast

# --- nothing for nobody -----------------------------------------------------------------------------------------------


def test_only_gradients_that_somebody_needs_are_computed():
    asked = []

    @op
    def product(a, b, c):
        gradient = lambda name, others: lambda g: asked.append(name) or g * others
        return a * b * c, gradient("a", b * c), gradient("b", a * c), gradient("c", a * b)

    product(Number(2.0), Number(3.0, requires_grad=True), 4.0).backward()
    assert asked == ["b"]


def test_a_convolution_over_data_never_asks_for_the_gradient_of_the_data(rng, monkeypatch):
    asked = []
    real = kernels.conv2d_input_gradient
    monkeypatch.setattr(kernels, "conv2d_input_gradient", lambda *a: asked.append(1) or real(*a))
    first, second = leaf(rng.normal(size=(2, 1, 3, 3))), leaf(rng.normal(size=(2, 2, 3, 3)))
    ops.conv2d(ops.relu(ops.conv2d(rng.normal(size=(2, 1, 8, 8)), first)), second).sum().backward()
    assert len(asked) == 1  # the second layer's input, which leads to the first layer's weight
    assert first.grad.shape == first.shape


def test_a_calculation_on_constants_records_nothing():
    y = Tensor([1.0]) * Tensor([2.0])
    assert (y.links, y.op, y.requires_grad) == ((), "", False)


def test_work_that_gradients_share_is_done_once():
    runs = []
    shared = once(lambda g: runs.append(1) or (g, 2 * g))

    @op
    def pair(a, b):
        return a + 2 * b, lambda g: shared(g)[0], lambda g: shared(g)[1]

    a, b = Number(1.0, requires_grad=True), Number(1.0, requires_grad=True)
    pair(a, b).backward()
    assert (a.grad, b.grad, len(runs)) == (1.0, 2.0, 1)


def test_without_a_node_an_operation_is_a_plain_function():
    assert times(2.0, 3.0) == 6.0
    assert type(ops.relu(np.array([-1.0, 1.0]))) is np.ndarray
    np.testing.assert_array_equal(ops.where([True, False], np.ones(2), np.zeros(2)), [1, 0])


# --- memory -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_garbage_collector():
    """Reference counting alone has to do."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_backward_releases_the_graph_and_what_it_held(no_garbage_collector):
    a = leaf(np.ones(1000))
    inner = a.exp()
    array = weakref.ref(inner.data)
    node = weakref.ref(inner)
    y = (inner * inner).sum()
    del inner
    assert node() is not None and array() is not None
    y.backward()
    assert node() is None and array() is None


def test_memory_goes_down_on_the_way_back_not_only_at_its_end(no_garbage_collector):
    a = leaf(np.ones(10))
    later = a.exp() * 2
    alive = []

    @op
    def watched(x):  # runs when everything above it has been walked
        return x, lambda g: alive.append(top() is not None) or g

    y = watched(later)
    above = y * y
    top = weakref.ref(above.data)
    result = above.sum()
    del above
    result.backward()
    assert alive == [False]


def test_a_graph_that_is_dropped_leaves_nothing_behind(no_garbage_collector):
    a = leaf(np.ones(10))
    y = (a.exp() * a).sum()
    node = weakref.ref(y.links[0][0])
    del y
    assert node() is None


def test_detach_keeps_the_value_and_cuts_the_history():
    a = leaf([2.0])
    cut = (a * 3).detach()
    assert cut.data == [6] and not cut.requires_grad
    (a * cut).backward()
    np.testing.assert_array_equal(a.grad, [6])


# --- whose gradient it is ---------------------------------------------------------------------------------------------


def test_leaves_do_not_share_the_memory_of_their_gradients():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (a + b).backward(np.ones(2))
    a.grad *= 100
    np.testing.assert_array_equal(b.grad, [1, 1])


def test_a_gradient_is_never_a_window_onto_something_else():
    a, b = leaf(np.ones((2, 3))), leaf(np.ones((2, 3)))
    ops.concatenate([a.reshape(6), b.transpose().reshape(6)]).sum().backward()
    for t in (a, b):
        assert t.grad.base is None and t.grad.flags.writeable
        t.grad += 1


def test_the_gradient_of_a_single_number_is_an_array():
    a, b = leaf(3.0), leaf(4.0)
    (a * a + b).backward()
    for t, expected in ((a, 6), (b, 1)):
        assert isinstance(t.grad, np.ndarray) and t.grad.shape == () and t.grad == expected


def test_gradients_take_the_dtype_of_their_values():
    a = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    b = Tensor(np.ones(3), requires_grad=True)
    y = a * b
    assert y.dtype == np.float64
    y.sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)


@pytest.mark.parametrize(("result", "value"), [
    ((2, 3), (3,)), ((2, 3), (1, 3)), ((2, 3), (2, 1)), ((2, 3), (1, 1)), ((2, 3), ()), ((4, 2, 3), (2, 1)),
    ((2, 0), (1, 1)), ((2, 3), (2, 3)), ((1, 3), (3,)), ((1,), ()),
])
def test_broadcasting_is_undone_by_adding_up_the_copies(result, value, rng):
    g, like = rng.normal(size=result), np.zeros(value)
    undone = unbroadcast(g, like)
    assert undone.shape == value
    direction = rng.normal(size=value)  # <undone, d> = <g, d broadcast>: the defining property
    np.testing.assert_allclose(np.sum(undone * direction), np.sum(g * direction))


# --- no_grad ----------------------------------------------------------------------------------------------------------


def records() -> bool:
    return (leaf([1.0]) * 2).requires_grad


def test_no_grad_ends_with_its_context_even_by_an_exception():
    with no_grad():
        assert not records()
        with no_grad():
            assert not records()
        assert not records()
    assert records()
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert records()


def test_no_grad_as_a_decorator():
    quiet = no_grad()(records)
    assert not quiet() and not quiet()
    assert records()


def test_no_grad_is_of_one_thread_only():
    inside, answers = threading.Event(), []

    def other():
        inside.wait()
        answers.append(records())

    thread = threading.Thread(target=other)
    thread.start()
    with no_grad():
        inside.set()
        thread.join()
    assert answers == [True]
