"""The engine, on plain numbers and on arrays: order, accumulation, and what it refuses."""

import numpy as np
import pytest
from plain_numbers import Number, leaf, plus, times

from byhand import Tensor, no_grad, ops
from byhand.autodiff import GraphError, op, topological

# --- the chain rule ---------------------------------------------------------------------------------------------------


def test_slopes_along_a_chain_multiply():
    a = Number(3.0, requires_grad=True)
    times(times(a, 5.0), 7.0).backward()
    assert a.grad == 35.0


def test_slopes_by_several_ways_add_up():
    a = Number(3.0, requires_grad=True)
    plus(times(a, a), plus(a, a)).backward()  # a² + 2a
    assert a.grad == 2 * 3.0 + 2


def test_a_value_shared_by_two_branches_is_passed_once_both_have_reported():
    a = Number(2.0, requires_grad=True)
    shared = times(a, a)  # 4
    left, right = times(shared, 3.0), times(shared, shared)
    plus(left, right).backward()  # 3a² + a⁴
    assert shared.grad == 3 + 2 * 4.0
    assert a.grad == 6 * 2.0 + 4 * 2.0**3


def test_a_ladder_of_diamonds_is_walked_once_not_once_for_every_way_down():
    calls = []

    @op
    def doubled(a, b):
        return a + b, lambda g: calls.append(1) or g, lambda g: g

    x = y = Number(1.0, requires_grad=True)
    for _ in range(100):  # 2¹⁰⁰ ways down
        y = doubled(y, y)
    y.backward()
    assert x.grad == 2.0**100
    assert len(calls) == 100


def test_the_order_puts_every_node_after_those_it_came_from():
    a = Number(1.0, requires_grad=True)
    b = times(a, 2.0)
    c = times(b, b)
    d = plus(c, b)
    assert topological(d) == [b, c, d]


def test_a_chain_of_50_000_operations():
    a = y = Number(1.0, requires_grad=True)
    for _ in range(50_000):
        y = plus(y, 1.0)
    y.backward()
    assert (y.data, a.grad) == (50_001.0, 1.0)


def test_a_chain_of_50_000_operations_on_arrays():
    a = y = leaf([1.0, 2.0])
    for _ in range(50_000):
        y = y * 1.00001
    y.sum().backward()
    np.testing.assert_allclose(a.grad, [1.00001**50_000] * 2)


def test_a_long_chain_that_never_ran_backward_can_be_forgotten():
    y = Number(1.0, requires_grad=True)
    for _ in range(300_000):
        y = plus(y, 1.0)
    del y  # taken down link by link, not by recursion


def test_arguments_by_name_are_differentiated_like_those_by_place(rng):
    x, w, b = leaf(rng.normal(size=(2, 3))), leaf(rng.normal(size=(4, 3))), leaf(rng.normal(size=4))
    ops.linear(x, bias=b, weight=w).sum().backward()
    by_name = [x.grad, w.grad, b.grad]
    x.grad = w.grad = b.grad = None
    ops.linear(x, w, b).sum().backward()
    for left, right in zip(by_name, [x.grad, w.grad, b.grad], strict=True):
        np.testing.assert_array_equal(left, right)


# --- several calls ----------------------------------------------------------------------------------------------------


def test_gradients_of_leaves_add_up_over_calls():
    a = leaf([1.0, 2.0])
    (a * 3).sum().backward()
    (a * 5).sum().backward()
    np.testing.assert_array_equal(a.grad, [8, 8])


def test_a_retained_graph_can_be_walked_again_and_inner_values_start_afresh():
    a = leaf([1.0, 2.0])
    inner = a * a
    y = inner.sum()
    y.backward(retain_graph=True)
    np.testing.assert_array_equal(inner.grad, [1, 1])
    y.backward()
    np.testing.assert_array_equal(inner.grad, [1, 1])
    np.testing.assert_array_equal(a.grad, [4, 8])


def test_a_retained_graph_of_shared_work_does_not_remember_a_gradient_that_was_changed(rng):
    # batch norm computes its three gradients once; changing one in place must not reach the next call
    x, w, b = leaf(rng.normal(size=(4, 2))), leaf([1.0, 1.0]), leaf([0.0, 0.0])
    y = ops.batch_norm(x, w, b, running_mean=np.zeros(2), running_var=np.ones(2), training=True)
    g = rng.normal(size=(4, 2))
    y.backward(g, retain_graph=True)
    first = w.grad.copy()
    w.grad *= 100
    w.grad = None
    y.backward(g)
    np.testing.assert_array_equal(w.grad, first)


def test_two_results_of_one_retained_part():
    a = leaf([3.0])
    shared = a * a
    one, two = shared * 2, shared * 10
    one.backward(retain_graph=True)
    two.backward()
    np.testing.assert_array_equal(a.grad, [2 * 6 + 10 * 6])


def test_gradients_of_inner_values_reach_whoever_asks():
    a = leaf([3.0])
    inner = a * 2
    (inner * 5).backward()
    np.testing.assert_array_equal(inner.grad, [5])


def test_backward_on_a_leaf_is_its_own_slope_and_keeps_nothing_of_the_callers():
    a, given = leaf([3.0, 4.0]), np.array([1.0, 2.0])
    a.backward(given)
    given[:] = 0
    np.testing.assert_array_equal(a.grad, [1, 2])


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_second_backward_says_that_the_graph_is_gone():
    a = leaf([1.0])
    y = (a * a).sum()
    y.backward()
    with pytest.raises(GraphError, match=r"a result of 'sum' whose graph an earlier backward.* released.*retain_graph"):
        y.backward()
    np.testing.assert_array_equal(a.grad, [2])


def test_a_result_built_on_a_released_part_says_so_before_any_gradient_moves():
    a, b = leaf([1.0]), leaf([1.0])
    shared = a * a
    (shared * 2).backward()
    before = a.grad.copy()
    with pytest.raises(GraphError, match="a result of 'multiply' whose graph"):
        (b * shared).backward()
    assert b.grad is None
    np.testing.assert_array_equal(a.grad, before)


def test_nothing_to_differentiate():
    with pytest.raises(GraphError, match="nothing to differentiate"):
        (Tensor([1.0]) * 2).backward()
    with no_grad():
        y = leaf([1.0]) * 2
    with pytest.raises(GraphError, match="nothing to differentiate"):
        y.backward()


def test_a_value_changed_in_place_after_the_graph_used_it_is_noticed():
    w, x = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    loss = (w * x).sum()
    w.data -= 0.1  # what an optimizer does: change the numbers, and count the change
    w.version += 1
    with pytest.raises(GraphError, match=r"used by 'multiply' was changed in place .* compute the result again"):
        loss.backward()
    assert w.grad is None and x.grad is None
    (w * x).sum().backward()
    np.testing.assert_array_equal(w.grad, x.data)


def test_a_result_of_many_numbers_needs_to_be_told_the_gradient_that_arrives():
    a = leaf([1.0, 2.0])
    with pytest.raises(GraphError, match=r"starts from a single number.*shape \(2,\)"):
        (a * a).backward()
    with pytest.raises(ValueError, match=r"has shape \(3,\); it needs \(2,\)"):
        (a * a).backward(np.ones(3))
    (a * a).backward([1.0, 10.0])
    np.testing.assert_array_equal(a.grad, [2, 40])


def test_an_argument_without_a_gradient_is_refused_if_it_requires_one():
    # silence would leave a parameter untrained for ever
    with pytest.raises(GraphError, match="'leaky_relu' has no gradient for its argument 1, which requires one"):
        ops.leaky_relu(Tensor([1.0]), leaf(0.1))
    assert ops.leaky_relu(leaf([-1.0]), Tensor(0.5)).item() == -0.5  # a constant will do


@pytest.mark.parametrize("shape", [(3,), (3, 2), (2, 1), (4, 2, 4)])
def test_a_gradient_of_an_impossible_shape_is_refused(shape):
    @op
    def wrong(a):
        return a * 1, lambda g: np.ones(shape)

    with pytest.raises(GraphError, match=r"gave a gradient of shape .* for an argument of shape \(2, 3\)"):
        wrong(leaf(np.ones((2, 3)))).sum().backward()
