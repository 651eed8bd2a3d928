"""Compiled convolution with relu and pool in it, and whole programs: NumPy's numbers, and nothing else is touched.

These pictures and filters hold small whole numbers. Sums of them are exact in any order, so results can be compared to
the last bit, and pools have many equals to choose from.
"""

import numpy as np
import pytest
from convolutions import DTYPES, FUSED, FUSED_UGLY, UGLY, cases, made, spoiled, whole
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernel_arrays import dtypes, same_bits, seeds
from kernel_memory import SIDES, Canaries, GuardPages, all_placed, on_linux, on_the_edge

pytest.importorskip("numba")

from compiled_networks import gradients
from kernel_bodies import UNWRITTEN, Convolution, numpys_convolution

from byhand import kernels, losses, nn, optim
from byhand.compiled.learner import ELSEWHERE, flat_samples, learner, no_rule
from byhand.compiled.predictor import predictor
from byhand.data import Dataset, Loader
from byhand.kernels.jit import learning
from byhand.kernels.jit.update import RULES


@settings(max_examples=150)
@given(cases(), st.sampled_from(FUSED), st.booleans(), dtypes, seeds)
def test_relu_and_pool_in_one_with_the_convolution(which, fused, biased, dtype, seed):
    (picture, _, window, groups), (pool, relu) = which, fused
    assume(min(window.output_size(*picture[1:])) >= pool)
    rng = np.random.default_rng(seed)
    x, weight, bias, _ = made(rng, dtype, which)
    bias = bias if biased else None
    body = Convolution(x, weight, bias, window, groups, pool, relu)
    y, winner, backward = numpys_convolution(x, weight, bias, window, groups, pool, relu)
    found, won = body.forward()
    np.testing.assert_array_equal(found, y)
    if pool > 1:
        np.testing.assert_array_equal(won, winner)
    g = whole(rng, y.shape, dtype)
    dw, db, dx = body.backward(g, parts=2)
    of_weight, of_bias, of_input = backward(g)
    np.testing.assert_array_equal(dw.reshape(weight.shape), of_weight)
    np.testing.assert_array_equal(db, of_bias)
    np.testing.assert_array_equal(body.pictures(dx), of_input)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "pool", "relu"), FUSED_UGLY)
def test_what_is_not_a_number_beats_all_in_a_pool_and_passes_a_relu(name, pool, relu, dtype, rng):
    x, weight, bias, _ = made(rng, dtype, UGLY[name])
    x = spoiled(rng, x)
    y, winner, _ = numpys_convolution(x, weight, bias, *UGLY[name][2:], pool, relu)
    found, won = Convolution(x, weight, bias, *UGLY[name][2:], pool, relu).forward()
    np.testing.assert_array_equal(found, y)
    if pool > 1:
        np.testing.assert_array_equal(won[~np.isnan(y)], winner[~np.isnan(y)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("pool", "relu"), [(1, False), *FUSED])
def test_layers_in_a_program(pool, relu, dtype, rng):
    def network():
        r = np.random.default_rng(1)
        after = [nn.ReLU()] * relu + ([nn.MaxPool2d(pool)] if pool > 1 else [])
        side = 7 // pool
        return nn.Sequential(nn.Conv2d(2, 5, 3, r, padding=1), nn.Tanh(), nn.Conv2d(5, 7, 3, r), *after, nn.Flatten(),
                             nn.Linear(7 * side * side, 5, r)).to(dtype)

    x, labels = rng.normal(size=(7, 2, 9, 9)).astype(dtype), rng.integers(0, 5, 7)
    with kernels.using("numpy"):
        plain = network()
        losses.cross_entropy(plain(x), labels).backward()
    compiled = network()
    trained = learner(compiled, optim.SGD(compiled.parameters(), lr=1.0), losses.cross_entropy,
                      Loader(Dataset(x, labels), 7, dtype=dtype))
    gradients(trained, x, labels, None, rng)
    close = {"rtol": 1e-3, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-12}
    for mine, theirs in zip(compiled.parameters(), plain.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad, theirs.grad, **close)


# --- their own samples, and nothing else ------------------------------------------------------------------------------


def use_bodies(name, pool, relu, dtype, place, rng):
    """There and back with samples 1 and 2 of four, in memory of this place; the others are NaN."""
    x, weight, bias, _ = made(rng, dtype, UGLY[name], 4)
    some, others = slice(1, 3), [0, 3]
    x[others] = np.nan
    y, winner, backward = numpys_convolution(x[some], weight, bias, *UGLY[name][2:], pool, relu)
    g = np.full((4, *y.shape[1:]), np.nan, dtype)
    g[some] = whole(rng, y.shape, dtype)
    of_weight, of_bias, of_input = backward(g[some])

    for wanted in [{}, {"of_input": False}, {"of_bias": False}, {"of_weight": False, "of_bias": False}]:
        body = Convolution(x, weight, bias, *UGLY[name][2:], pool, relu, place)
        found, won = body.forward(1, 3)
        np.testing.assert_array_equal(found[some], y)
        assert np.isnan(found[others]).all()
        if pool > 1:
            np.testing.assert_array_equal(won[some], winner)
            assert (won[others] == UNWRITTEN).all()
        dw, db, dx = body.backward(g, 1, 3, **wanted)
        if dw.size:
            np.testing.assert_array_equal(dw.reshape(weight.shape), of_weight)
        if db.size:
            np.testing.assert_array_equal(db, of_bias)
        if dx.size:
            np.testing.assert_array_equal(body.pictures(dx)[some], of_input)
            assert np.isnan(body.pictures(dx)[others]).all()
        nobody = Convolution(x, weight, None, *UGLY[name][2:], pool, relu, place)
        np.testing.assert_array_equal(
            nobody.forward(1, 3)[0][some], numpys_convolution(x[some], weight, None, *UGLY[name][2:], pool, relu)[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "pool", "relu"), FUSED_UGLY)
def test_bodies_do_their_own_samples_and_touch_nothing_else(name, pool, relu, dtype, rng):
    canaries = Canaries()
    use_bodies(name, pool, relu, dtype, canaries.place, rng)
    assert canaries.untouched()


def networks(dtype):
    """A network in which a batch norm must see all samples at once, and one that can take a few at a time."""
    r = np.random.default_rng(0)
    normal = nn.Sequential(
        nn.Conv2d(3, 6, 3, r), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 17, 2, r, padding=1),
        nn.MaxPool2d(2), nn.ReLU(), nn.BatchNorm2d(17), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(17, 20, r),
        nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 5, r))
    plain = nn.Sequential(
        nn.Conv2d(3, 4, 3, r, stride=2, padding=2), nn.Tanh(), nn.Conv2d(4, 4, 2, r, groups=4), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(16, 17, r), nn.ReLU(), nn.Linear(17, 5, r))
    return [(normal.to(dtype), 9), (plain.to(dtype), 2)]


def use_program(model, chunk, dtype, place, rng):
    """Two steps of learning and some answers, all memory being of this place. -> whatever was written."""
    data = Dataset(rng.normal(size=(18, 3, 9, 10)).astype(dtype), rng.integers(0, 5, 18))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    trained = learner(model, optimizer, losses.cross_entropy, Loader(data, 9, dtype=dtype))
    numbers = [[optimizer.rule.rates(0.01, step, optimizer.groups[0].settings)] * 2 for step in (1, 2)]
    zeros = np.zeros(optimizer.flat.size, dtype)
    moves = no_rule(zeros)._replace(kind=RULES.index(optimizer.rule.name), memory2=zeros, ends=np.array(
        [7, zeros.size]), settings=np.array([[0.1, 0, np.inf], [0, 0.1, 1.0]]))
    steps = learning.Steps(rng.permutation(18), 9, chunk, np.array([5, 6]), np.array(numbers), np.zeros(18),
                          np.zeros(18, np.uint8), zeros[:0])
    samples = flat_samples(data.inputs, data.targets, kind=dtype)
    mine, samples, moves, steps = (all_placed(value, place) for value in (trained.program, samples, moves, steps))
    learning.run(0, 1, learning.LEARN, mine, samples, trained.loss or ELSEWHERE, moves, steps)

    answering = predictor(model, (3, 9, 10))
    known, outputs = all_placed(answering.program, place), place(np.zeros(18 * 5, dtype))
    learning.answer(0, 1, known, samples, place(np.arange(18)), 5, outputs)
    return mine.parameters, mine.gradients, moves.memory1, moves.memory2, steps.losses, outputs


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [0, 1])
def test_a_program_keeps_to_its_memory(number, dtype):
    canaries, written = Canaries(), []
    for place in (np.array, canaries.place):
        written.append(use_program(*networks(dtype)[number], dtype, place, np.random.default_rng(1)))
    assert same_bits(*written) and canaries.untouched()
    assert all(np.isfinite(values).all() and values.any() for values in written[0])


def bodies_at_the_edge(side):
    """In a process of its own: the bodies, each array on the edge."""
    for dtype in DTYPES:
        for name, pool, relu in FUSED_UGLY:
            print(np.dtype(dtype), name, pool, relu, flush=True)
            pages = GuardPages(side)
            use_bodies(name, pool, relu, dtype, pages.place, np.random.default_rng(0))
            assert pages.untouched()


def programs_at_the_edge(side):
    """In a process of its own: whole networks, each array on the edge."""
    kernels.set_num_threads(1)
    for dtype in DTYPES:
        for model, chunk in networks(dtype):
            print(np.dtype(dtype), model, flush=True)
            pages = GuardPages(side)
            use_program(model, chunk, dtype, pages.place, np.random.default_rng(1))
            assert pages.untouched()


@on_linux
@pytest.mark.parametrize("side", SIDES)
def test_bodies_between_guard_pages(side):
    on_the_edge(bodies_at_the_edge, side)


@on_linux
@pytest.mark.parametrize("side", SIDES)
def test_programs_between_guard_pages(side):
    on_the_edge(programs_at_the_edge, side)
