"""Optimizers: each against its formula, with what keeps gradients and weights small, and in groups."""

import numpy as np
import pytest
from optimizers import ALL, each_optimizer, give_gradients, parameters, values

from byhand import Tensor, kernels, losses, optim


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("body", ["numpy", "jit"])
@each_optimizer
def test_numbers_that_fade_away_end_at_0_and_not_among_the_slow_ones(make, body, dtype):
    """Below the smallest normal number, many processors are far slower."""
    if body == "jit":
        pytest.importorskip("numba")
    smallest = np.finfo(dtype).tiny
    w = Tensor(np.array([smallest / 2, -smallest / 2, 2 * smallest, 0.5, np.nan], dtype), requires_grad=True)
    optimizer = make([w])
    for array in optimizer.memory.values():
        array[...] = smallest / 4
    w.grad = np.zeros(5, dtype)
    with kernels.using(body):
        optimizer.step()
    for numbers in (w.numpy(), *optimizer.memory.values()):
        assert not ((numbers != 0) & (np.abs(numbers) < smallest)).any()
    assert w.numpy()[3] == pytest.approx(0.5, rel=0.01) and np.isnan(w.numpy()[4])


def test_half_precision_needs_its_subnormal_numbers():
    w = Tensor(np.zeros(1, np.float16), requires_grad=True)
    optimizer = optim.SGD([w], 0.01)
    for _ in range(100):
        w.grad = np.full(1, 1e-3, np.float16)
        optimizer.step()
    assert w.item() == pytest.approx(-1e-3, rel=0.05)


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
