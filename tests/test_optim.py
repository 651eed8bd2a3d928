"""Optimizers: each against its formula, and what they owe to the parameters they were given."""

import copy
import json
import pickle
from functools import partial

import numpy as np
import pytest

from byhand import Tensor, losses, ops, optim
from byhand.autodiff import GraphError

ALL = [partial(optim.SGD, lr=0.1), partial(optim.Momentum, lr=0.1), partial(optim.Nesterov, lr=0.1),
       partial(optim.Adagrad, lr=0.1), partial(optim.RMSprop, lr=0.1), partial(optim.Adam, lr=0.1),
       partial(optim.AdamW, lr=0.1)]
each_optimizer = pytest.mark.parametrize("make", ALL, ids=[make.func.__name__ for make in ALL])

SHAPES = [(5, 4), (5,), (), (3, 5, 2, 2), (3,)]


def parameters(dtype=np.float64, shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    return [Tensor(rng.normal(size=shape).astype(dtype), requires_grad=True) for shape in shapes]


def give_gradients(params, step=0):
    rng = np.random.default_rng(100 + step)
    for p in params:
        p.grad = rng.normal(size=p.shape).astype(p.dtype)


def values(params):
    return [p.numpy().copy() for p in params]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_table_holds_every_optimizer():
    assert {make.func.__name__ for make in ALL} == set(optim.__all__) - {"Group", "Optimizer"}


# --- the formulas -----------------------------------------------------------------------------------------------------

# One number, its slope twice 2 and then -1, and where each formula puts it; worked out by hand below.
ONE_NUMBER = [
    (optim.SGD, {}, [0.8, 0.6, 0.7]),
    (optim.Momentum, {"momentum": 0.5}, [0.8, 0.5, 0.45]),  # v: 2, 3, 0.5
    (optim.Nesterov, {"momentum": 0.5}, [0.7, 0.35, 0.425]),  # the same v; steps 2 + 1, 2 + 1.5, -1 + 0.25
    (optim.Adagrad, {"eps": 1e-12}, [0.9, 0.9 - 0.1 / 2**0.5, 0.9 - 0.1 / 2**0.5 + 0.1 / 3]),  # s: 4, 8, 9
    (optim.RMSprop, {"alpha": 0.75, "eps": 1e-12},  # s: 1, 1.75, 1.5625
     [0.8, 0.8 - 0.2 / 1.75**0.5, 0.8 - 0.2 / 1.75**0.5 + 0.1 / 1.25]),
    (optim.Adam, {"betas": (0.5, 0.5), "eps": 1.0},  # m̂: 2, 2, 2/7; v̂: 4, 4, 16/7
     [1 - 0.2 / 3, 1 - 0.4 / 3, 1 - 0.4 / 3 - 0.1 * (2 / 7) / ((16 / 7)**0.5 + 1)]),
    (optim.AdamW, {"betas": (0.5, 0.5), "eps": 1e-12, "weight_decay": 1.0},
     [0.8, 0.62, 0.558 - 0.1 * (2 / 7) / (16 / 7)**0.5]),
]


@pytest.mark.parametrize("make, settings, expected", ONE_NUMBER, ids=[row[0].__name__ for row in ONE_NUMBER])
def test_three_steps_by_hand(make, settings, expected):
    w = Tensor(np.array([1.0]), requires_grad=True)
    optimizer = make([w], lr=0.1, **settings)
    for slope, value in zip([2.0, 2.0, -1.0], expected, strict=True):
        w.grad = np.array([slope])
        optimizer.step()
        assert w.item() == pytest.approx(value, abs=1e-10)


TORCH = [
    (optim.SGD, {}, "SGD", {}),
    (optim.SGD, {"l2": 0.05}, "SGD", {"weight_decay": 0.05}),
    (optim.Momentum, {"l2": 0.05}, "SGD", {"momentum": 0.9, "weight_decay": 0.05}),
    (optim.Nesterov, {}, "SGD", {"momentum": 0.9, "nesterov": True}),
    (optim.Adagrad, {}, "Adagrad", {}),
    (optim.RMSprop, {}, "RMSprop", {}),
    (optim.RMSprop, {"alpha": 0.5, "eps": 0.1}, "RMSprop", {"alpha": 0.5, "eps": 0.1}),
    (optim.Adam, {}, "Adam", {}),
    (optim.Adam, {"betas": (0.7, 0.9), "eps": 0.1, "l2": 0.05}, "Adam",
     {"betas": (0.7, 0.9), "eps": 0.1, "weight_decay": 0.05}),
    (optim.AdamW, {}, "AdamW", {}),
    (optim.AdamW, {"weight_decay": 0.3}, "AdamW", {"weight_decay": 0.3}),
]


@pytest.mark.parametrize("make, settings, theirs, their_settings", TORCH)
def test_twenty_steps_as_in_pytorch(make, settings, theirs, their_settings):
    torch = pytest.importorskip("torch")
    mine = parameters()
    others = [torch.tensor(p.numpy(), requires_grad=True) for p in mine]
    a = make(mine, lr=0.1, **settings)
    b = getattr(torch.optim, theirs)(others, lr=0.1, **their_settings)
    for step in range(20):
        give_gradients(mine, step)
        for i, (p, q) in enumerate(zip(mine, others, strict=True)):
            if (step + i) % 4 == 0:  # every parameter is left out now and then
                p.grad = None
            q.grad = None if p.grad is None else torch.tensor(p.grad)
        a.step()
        b.step()
    for p, q in zip(mine, others, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), atol=1e-10)


@each_optimizer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_goes_downhill_in_the_dtype_of_the_parameters(make, dtype):
    w = Tensor(np.array([1.0, -2.0], dtype), requires_grad=True)
    optimizer = make([w])
    before = float((w * w).sum())
    for _ in range(30):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
    assert float((w * w).sum()) < before / 2
    assert {w.dtype, optimizer.flat.dtype, *(a.dtype for a in optimizer.memory.values())} == {np.dtype(dtype)}


@each_optimizer
def test_long_parameters_move_as_short_ones_do(make):
    """Arrays longer than a block are updated in parts, which must not show."""
    block = optim.optimizer.BLOCK
    n = 2 * block + 3
    some = [0, block - 1, block, 2 * block - 1, 2 * block, n - 1]
    long = Tensor(np.linspace(-1, 1, n), requires_grad=True)
    short = Tensor(long.numpy()[some], requires_grad=True)
    a, b = make([long], l1=0.1, l2=0.1), make([short], l1=0.1, l2=0.1)
    for step in range(2):
        long.grad = np.sin(np.arange(n) + step)
        short.grad = long.grad[some]
        a.step()
        b.step()
    np.testing.assert_allclose(long.numpy()[some], short.numpy(), rtol=1e-12)


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


# --- keeping gradients and weights small ------------------------------------------------------------------------------


def moved_by(gradients, **settings):
    """How far gradient descent with rate 1 moves parameters that stand at 2 and -3."""
    params = [Tensor(np.array([2.0]), requires_grad=True), Tensor(np.array([-3.0]), requires_grad=True)]
    optimizer = optim.SGD(params, 1.0, **settings)
    for p, g in zip(params, gradients, strict=True):
        p.grad = np.array([g])
    optimizer.step()
    return [2 - params[0].item(), -3 - params[1].item()]


@pytest.mark.parametrize("settings, gradients, expected", [
    ({"l1": 0.1}, [0.0, 0.0], [0.1, -0.1]),
    ({"l2": 0.1}, [0.0, 0.0], [0.2, -0.3]),
    ({"l1": 0.1, "l2": 0.1}, [1.0, 1.0], [1.3, 0.6]),
    ({"clip_value": 2.0}, [30.0, -1.0], [2, -1]),
    ({"clip_norm": 1.0}, [3.0, -4.0], [0.6, -0.8]),
    ({"clip_norm": 10.0}, [3.0, -4.0], [3, -4]),
    ({"clip_value": 3.0, "clip_norm": 2.1}, [3.0, 400.0], [2.1 / 2**0.5] * 2),
    ({"clip_norm": 1.0, "l2": 0.1}, [3.0, -4.0], [0.8, -1.1]),  # clipped first, as in PyTorch
])
def test_regularization_by_hand(settings, gradients, expected):
    assert moved_by(gradients, **settings) == pytest.approx(expected)


def test_clip_norm_of_float32_that_would_overflow():
    w = Tensor(np.zeros(2, np.float32), requires_grad=True)
    w.grad = np.array([3e30, 4e30], np.float32)
    optim.SGD([w], 1.0, clip_norm=1.0).step()
    np.testing.assert_allclose(w.numpy(), [-0.6, -0.8], rtol=1e-6)


def test_l2_is_the_slope_of_half_the_penalty():
    a, b = parameters(seed=3), parameters(seed=3)
    first, second = optim.SGD(a, 0.1, l1=0.01, l2=0.2), optim.SGD(b, 0.1)
    give_gradients(a)
    give_gradients(b)
    (0.01 * losses.l1(b) + 0.1 * losses.l2(b)).backward()
    first.step()
    second.step()
    for p, q in zip(a, b, strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), atol=1e-14)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("settings", [{}, {"clip_norm": 1.0}])
def test_clipping_hides_no_gradient_that_is_not_a_number(bad, settings):
    sound, spoiled = moved_by([1.0, bad], **settings)
    assert sound == 1 and not np.isfinite(spoiled)


def test_max_norm_shortens_long_rows_of_weights_only():
    w = Tensor(np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]]), requires_grad=True)
    kernel = Tensor(np.full((1, 1, 2, 2), 5.0), requires_grad=True)
    b = Tensor(np.array([7.0]), requires_grad=True)
    optimizer = optim.SGD([w, kernel, b], 1.0, max_norm=1.0)
    for p in (w, kernel, b):
        p.grad = np.zeros(p.shape)
    optimizer.step()
    np.testing.assert_allclose(w.numpy(), [[0.6, 0.8], [0.3, 0.4], [0, 0]])
    assert kernel.numpy().ravel().tolist() == [0.5] * 4 and b.item() == 7


# --- groups and the learning rate -------------------------------------------------------------------------------------


def test_groups_have_their_own_settings():
    w, b, c = parameters(shapes=[(2,), (2,), (2,)])
    before = values([w, b, c])
    optimizer = optim.SGD([{"parameters": [w]}, {"parameters": [b], "lr": 0.01, "clip_value": 0.5},
                           {"parameters": [c], "l2": 1.0}], lr=0.1)
    for p in (w, b, c):
        p.grad = np.ones(2)
    optimizer.step()
    np.testing.assert_allclose(before[0] - w.numpy(), 0.1)
    np.testing.assert_allclose(before[1] - b.numpy(), 0.005)
    np.testing.assert_allclose(before[2] - c.numpy(), 0.1 * (1 + before[2]))


@each_optimizer
def test_groups_move_as_separate_optimizers_would(make):
    together, apart = parameters(), parameters()
    one = make([{"parameters": together[:2]}, {"parameters": together[2:], "lr": 0.03, "l1": 0.2}])
    two = make(apart[:2]), make(apart[2:], lr=0.03, l1=0.2)
    for step in range(3):
        give_gradients(together, step)
        give_gradients(apart, step)
        for optimizer in (one, *two):
            optimizer.step()
    for p, q in zip(together, apart, strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), atol=1e-12)


def test_setting_lr_keeps_the_ratios_of_groups_even_through_zero():
    w, b = parameters(shapes=[(2,), (2,)])
    optimizer = optim.SGD([{"parameters": [w]}, {"parameters": [b], "lr": 0.01}], lr=0.1)
    assert optimizer.lr == 0.1
    optimizer.lr = 0
    optimizer.lr = 1
    before = values([w, b])
    w.grad, b.grad = np.ones(2), np.ones(2)
    optimizer.step()
    np.testing.assert_allclose(before[0] - w.numpy(), 1)
    np.testing.assert_allclose(before[1] - b.numpy(), 0.1)


def test_clip_norm_is_over_all_groups():
    w, b = Tensor(np.zeros(1), requires_grad=True), Tensor(np.zeros(1), requires_grad=True)
    optimizer = optim.SGD([{"parameters": [w]}, {"parameters": [b]}], 1.0, clip_norm=1.0)
    w.grad, b.grad = np.array([3.0]), np.array([4.0])
    optimizer.step()
    np.testing.assert_allclose([w.item(), b.item()], [-0.6, -0.8])


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
