"""What optimizers owe to the parameters they were given: in one flat array, saved, copied, and when refused."""

import copy
import json
import pickle

import numpy as np
import pytest
from optimizers import each_optimizer, give_gradients, parameters, values

from byhand import Tensor, ops, optim
from byhand.autodiff import GraphError


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# --- one flat array ---------------------------------------------------------------------------------------------------


def test_parameters_become_views_of_one_array_with_the_values_they_had():
    params = parameters()
    before = values(params)
    optimizer = optim.SGD(params, 0.1)
    assert same(values(params), before)
    assert all(np.shares_memory(p.numpy(), optimizer.flat) for p in params)
    assert optimizer.flat.size == sum(p.size for p in params)
    optimizer.flat[...] = 0
    assert not any(p.numpy().any() for p in params)


def test_parameters_in_any_memory_order():
    w = Tensor(np.asfortranarray(np.arange(6.0).reshape(2, 3)), requires_grad=True)
    optimizer = optim.SGD([w], 1.0)
    w.grad = np.ones((3, 2)).T
    optimizer.step()
    assert w.numpy().tolist() == [[-1, 0, 1], [2, 3, 4]]


def test_a_shared_parameter_counts_once():
    w, b = parameters(shapes=[(2, 3), (2,)])
    optimizer = optim.SGD([w, b, w], 0.1)
    assert optimizer.flat.size == 8
    before = w.numpy().copy()
    w.grad = np.ones((2, 3))
    optimizer.step()
    np.testing.assert_allclose(w.numpy(), before - 0.1)


@each_optimizer
def test_each_parameter_moves_as_if_it_were_alone(make):
    """Whichever parameters have a gradient in a step, the others rest, and so does all that is remembered of them."""
    together, alone = parameters(), parameters()
    one, many = make(together), [make([p]) for p in alone]
    rng = np.random.default_rng(5)
    for step in range(12):
        give_gradients(together, step)
        for p, q, optimizer in zip(together, alone, many, strict=True):
            if rng.random() < 0.3:
                p.grad = None
            else:
                q.grad = p.grad
                optimizer.step()
        one.step()
    for p, q in zip(together, alone, strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), atol=1e-14)
    assert one.state_dict()["arrays"]["steps"].tolist() == [o.slots[0].steps for o in many]


def test_nothing_to_do():
    params = parameters()
    before = values(params)
    optim.Adam(params).step()
    assert same(values(params), before) and [p.version for p in params] == [0] * len(params)


def test_frozen_parameters_stay():
    w = Tensor(np.ones(2), requires_grad=True)
    frozen = Tensor(np.ones(2))
    optimizer = optim.AdamW([w, frozen], lr=0.1)
    (w * frozen).sum().backward()
    optimizer.step()
    assert w.numpy().max() < 1 and frozen.numpy().tolist() == [1, 1]


def test_values_put_in_from_outside_are_taken_in():
    w, b = parameters(shapes=[(2, 2), (2,)])
    optimizer = optim.SGD([w, b], 1.0)
    w.data = np.full((2, 2), 5.0)  # another array
    b.data[...] = 3.0  # the same array, written to
    w.grad, b.grad = np.ones((2, 2)), np.ones(2)
    optimizer.step()
    assert w.numpy().tolist() == [[4, 4], [4, 4]] and b.numpy().tolist() == [2, 2]
    assert np.shares_memory(w.numpy(), optimizer.flat)


def test_a_stale_graph_is_noticed():
    w = Tensor(np.ones(2), requires_grad=True)
    optimizer = optim.SGD([w], 0.1)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_zero_grad():
    params = parameters()
    give_gradients(params)
    optim.SGD(params, 0.1).zero_grad()
    assert all(p.grad is None for p in params)


def test_an_optimizer_lets_gradients_be():
    params = parameters()
    give_gradients(params)
    before = [p.grad.copy() for p in params]
    optim.Adam(params, l2=0.1, clip_norm=0.1).step()
    assert same([p.grad for p in params], before)


# --- stopping and going on --------------------------------------------------------------------------------------------


@each_optimizer
def test_going_on_from_a_saved_state_is_exact_to_the_bit(make):
    def train(params, optimizer, steps):
        for step in steps:
            give_gradients(params, step)
            if step % 3 == 0:
                params[1].grad = None
            optimizer.lr = 0.1 / (1 + step)
            optimizer.step()

    groups = lambda p: [{"parameters": p[:2], "lr": 0.02}, {"parameters": p[2:], "l2": 0.1}]
    through = parameters(np.float32)
    train(through, make(groups(through)), range(9))

    first = parameters(np.float32)
    optimizer = make(groups(first), clip_norm=50.0)
    optimizer.clip_norm = None
    train(first, optimizer, range(4))
    state = optimizer.state_dict()
    arrays = state.pop("arrays")
    state = {**json.loads(json.dumps(state)), "arrays": arrays}  # all but the arrays can go through JSON
    stopped = values(first)
    train(first, optimizer, range(4, 6))  # what happens afterwards does not reach the saved state

    second = [Tensor(value, requires_grad=True) for value in stopped]
    resumed = make(groups(second), l1=0.5)  # this setting too is replaced by the saved one
    resumed.load_state_dict(state)
    assert resumed.lr == 0.1 / 4
    train(second, resumed, range(4, 9))
    assert same(values(second), values(through))


@each_optimizer
@pytest.mark.parametrize("by", ["copying", "pickling"])
def test_a_copy_of_parameters_and_optimizer_goes_its_own_way(make, by):
    params = parameters()
    optimizer = make(params)
    give_gradients(params, 0)
    optimizer.step()
    both = (params, optimizer)
    others, other = copy.deepcopy(both) if by == "copying" else pickle.loads(pickle.dumps(both))
    for some, one in ((params, optimizer), (others, other)):
        give_gradients(some, 1)
        one.step()
    assert same(values(params), values(others))
    assert not np.shares_memory(params[0].numpy(), others[0].numpy())


@pytest.mark.parametrize("change, says", [
    ({"algorithm": "SGD"}, "not the state of Momentum, but of SGD"),
    ({"extra": 1}, "not the state of Momentum"),
    ({"arrays": {"steps": np.zeros(1, int), "velocity": np.zeros(3)}}, "other parameters or groups"),
    ({"arrays": {"steps": np.zeros(2, int)}}, "other parameters or groups"),
    ({"groups": []}, "other parameters or groups"),
    ({"lr": -1.0}, "lr must not be negative"),
])
def test_a_state_that_does_not_fit_changes_nothing(change, says):
    params = parameters(shapes=[(2, 3), (2,)])
    optimizer = optim.Momentum(params, 0.1)
    give_gradients(params)
    optimizer.step()
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=says):
        optimizer.load_state_dict({**before, **change})
    after = optimizer.state_dict()
    assert same(before["arrays"].values(), after["arrays"].values())
    assert before["lr"] == after["lr"]


# --- what is refused --------------------------------------------------------------------------------------------------

W = Tensor(np.ones(2), requires_grad=True)


@pytest.mark.parametrize("call, says", [
    (lambda: optim.SGD([], 0.1), "at least one parameter, got none"),
    (lambda: optim.SGD([{"parameters": []}], 0.1), "at least one parameter, got none"),
    (lambda: optim.SGD(W, 0.1), "needs a list of parameters.*got one Tensor"),
    (lambda: optim.SGD(3, 0.1), "needs a list of parameters.*got one int"),
    (lambda: optim.SGD({"parameters": [W]}, 0.1), "got one dict"),
    (lambda: optim.SGD([np.ones(2)], 0.1), "parameter 0 must be a Tensor, got ndarray"),
    (lambda: optim.SGD([("bias", np.ones(2))], 0.1), "parameter bias must be a Tensor"),
    (lambda: optim.SGD([Tensor([1, 2])], 0.1), "parameter 0 must hold floats, got int64"),
    (lambda: optim.SGD([ops.exp(W)], 0.1), "parameter 0 is a result of 'exp'"),
    (lambda: optim.SGD([W, Tensor([1.0])], 0.1), "of one dtype, not float32 and float64"),
    (lambda: optim.SGD([{"parameters": [W]}, {"parameters": [W]}], 0.1), "parameter 0 is in two groups"),
    (lambda: optim.SGD([{"parameters": [W]}, W], 0.1), "must all be dicts"),
    (lambda: optim.SGD([{"params": [W]}], 0.1), 'with a "parameters" key'),
    (lambda: optim.SGD([{"parameters": [W], "momentum": 0.9}], 0.1), "no setting 'momentum' here; it may set lr, l1"),
    (lambda: optim.SGD([{"parameters": [W], "clip_norm": 0.9}], 0.1), "no setting 'clip_norm'"),
    (lambda: optim.SGD([{"parameters": [W], "lr": 0.1}], 0), "the optimizer's may not be 0"),
    (lambda: optim.SGD([W], -0.1), "lr must not be negative, got -0.1"),
    (lambda: optim.SGD([W], "fast"), "lr must be a finite number, got 'fast'"),
    (lambda: optim.SGD([W], True), "lr must be a finite number, got True"),
    (lambda: optim.SGD([W], np.inf), "lr must be a finite number, got inf"),
    (lambda: setattr(optim.SGD([W], 0.1), "lr", np.nan), "lr must be a finite number, got nan"),
    (lambda: optim.SGD([W], 0.1, l1=-1), "l1 must not be negative"),
    (lambda: optim.SGD([W], 0.1, clip_norm=0), "clip_norm must be above 0"),
    (lambda: optim.SGD([W], 0.1, max_norm="2"), "max_norm must be a finite number"),
    (lambda: optim.Momentum([W], 0.1, momentum=1.0), "momentum must be below 1, got 1.0"),
    (lambda: optim.SGD([W], lr=0.1, momentum=0.9), "SGD has no setting 'momentum'; take Momentum or Nesterov"),
    (lambda: optim.Momentum([W], lr=0.1, nesterov=True), "Momentum has no setting 'nesterov'; take Nesterov"),
    (lambda: optim.Adam([W], weight_decay=0.1), "Adam has no setting 'weight_decay': it is AdamW's. .* here is l2"),
    (lambda: optim.RMSprop([W], rho=0.9), "RMSprop has no setting 'rho'"),
    (lambda: optim.RMSprop([W], alpha=1.5), "alpha must be below 1"),
    (lambda: optim.Adam([W], betas=(0.9, 1.0)), "the second of betas must be below 1"),
    (lambda: optim.Adam([W], betas=(-0.9, 0.9)), "the first of betas must not be negative"),
    (lambda: optim.Adam([W], betas=0.9), "betas must be two numbers, got 0.9"),
    (lambda: optim.Adam([W], eps=0), "eps must be above 0"),
    (lambda: optim.Adam([{"parameters": [W], "betas": (2, 2)}]), "the first of betas must be below 1"),
])
def test_one_clear_sentence(call, says):
    with pytest.raises(ValueError, match=says) as error:
        call()
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


@pytest.mark.parametrize("spoil, says", [
    (lambda w: setattr(w, "data", np.ones((3, 3))), r"parameter weight is now float64 of shape \(3, 3\)"),
    (lambda w: setattr(w, "data", np.ones((2, 3), np.float32)), "parameter weight is now float32"),
    (lambda w: setattr(w, "grad", np.ones(3)), r"gradient of parameter weight has shape \(3,\); it needs \(2, 3\)"),
])
def test_a_step_that_is_refused_changes_nothing(spoil, says):
    b, w = parameters(shapes=[(2,), (2, 3)])
    optimizer = optim.Momentum([("bias", b), ("weight", w)], 0.1)
    give_gradients([b, w])
    before = optimizer.flat.copy()
    spoil(w)
    with pytest.raises(ValueError, match=says):
        optimizer.step()
    assert np.array_equal(optimizer.flat, before) and not optimizer.state_dict()["arrays"]["steps"].any()
