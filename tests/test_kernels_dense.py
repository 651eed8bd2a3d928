"""The compiled linear layer is NumPy's matrix product: any sizes, any part of a batch, and nothing else.

Most numbers are small and whole, so that sums are exact in any order.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_arrays import dtypes, same_bits, seeds, threads
from kernel_memory import SIDES, Canaries, GuardPages, on_linux, on_the_edge

pytest.importorskip("numba")

from compiled_networks import gradients
from kernel_bodies import Linear

from byhand import kernels, losses, nn, optim
from byhand.compiled.learner import learner
from byhand.compiled.predictor import predictor
from byhand.data import Dataset, Loader
from byhand.kernels.jit import dense
from byhand.kernels.jit.dense import PANEL

DTYPES = [np.float32, np.float64]
SIZES = [  # samples, inputs, outputs
    (1, 1, 1), (1, 784, 10), (1, 17, 300), (2, 5, 33), (3, 7, 17), (15, 16, 32), (31, 33, 5), (257, 3, 2),
    (257, 20, 17), (4, PANEL, 3), (3, PANEL + 1, 18), (5, 2 * PANEL + 7, 2), (2, 3, PANEL + 1), (1, 2, 2 * PANEL + 5),
    (13, 12, 8),
]


def made(rng, dtype, samples, inputs, outputs):
    """Samples, weights, bias, and slopes of the result."""
    return tuple(rng.integers(-2, 3, shape).astype(dtype)
                 for shape in [(samples, inputs), (outputs, inputs), outputs, (samples, outputs)])


def numpys(x, weight, bias, g, relu):
    """The result, and the gradients of weight and x."""
    y = x @ weight.T + (0 if bias is None else bias)
    return np.maximum(y, 0) if relu else y, g.T @ x, g @ weight


# --- the same numbers -------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 70), st.booleans(), st.booleans(), st.integers(1, 3),
       dtypes, seeds)
def test_linear_layer_and_its_gradients(samples, inputs, outputs, biased, relu, parts, dtype, seed):
    x, weight, bias, g = made(np.random.default_rng(seed), dtype, samples, inputs, outputs)
    bias = bias if biased else None
    body = Linear(x, weight, bias, relu)
    y, of_weight, of_input = numpys(x, weight, bias, g, relu)
    np.testing.assert_array_equal(body.forward(), y)
    np.testing.assert_array_equal(body.weight_gradient(g, parts=min(parts, samples)), of_weight)
    np.testing.assert_array_equal(body.input_gradient(g), of_input)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_fractions_and_what_is_not_finite(sizes, dtype, rng):
    x, weight, bias, g = (rng.normal(size=a.shape).astype(dtype) for a in made(rng, dtype, *sizes))
    for values in (x, g):
        for strange in (np.nan, np.inf, -np.inf):
            values[rng.random(values.shape) < 0.5 / values.shape[1]] = strange
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-11}
    body = Linear(x, weight, bias, relu=True)
    with np.errstate(invalid="ignore"):
        y, of_weight, of_input = numpys(x, weight, bias, g, relu=True)
    np.testing.assert_allclose(body.forward(), y, **close)
    np.testing.assert_allclose(body.weight_gradient(g), of_weight, **close)
    np.testing.assert_allclose(body.input_gradient(g), of_input, **close)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_no_sample_knows_its_neighbours(sizes, dtype, rng):
    x, weight, bias, g = (rng.normal(size=a.shape).astype(dtype) for a in made(rng, dtype, *sizes))
    together = Linear(x, weight, bias)
    y, of_input = together.forward().copy(), together.input_gradient(g)
    for n in {0, sizes[0] // 2, sizes[0] - 1}:
        alone = Linear(x[n:n + 1], weight, bias)
        assert same_bits((alone.forward(), alone.input_gradient(g[n:n + 1])), (y[n:n + 1], of_input[n:n + 1]))
        assert same_bits(alone.forward(), y[n:n + 1])  # and the same again


@given(st.integers(1, 140), st.integers(1, 70), st.integers(1, 70), st.integers(1, 70), dtypes, seeds)
def test_inputs_that_are_not_used(samples, inputs, outputs, draws, dtype, seed):
    """They are 0, and what is summed is the same without them."""
    rng = np.random.default_rng(seed)
    x, weight, bias, g = made(rng, dtype, samples, inputs, outputs)
    used = np.unique(rng.integers(0, inputs, draws))
    x[:, np.setdiff1d(np.arange(inputs), used)] = 0
    expected_y, expected_dw, _ = numpys(x, weight, bias, g, relu=False)
    y, dw = np.full((samples, outputs), 7, dtype), np.full((inputs, outputs), 7, dtype)
    x, w, bias, g = (np.ascontiguousarray(a).reshape(-1) for a in (x, weight.T, bias, g))
    dense.linear_forward(0, samples, x, w, bias, y.reshape(-1), inputs, outputs, 0, used)
    dense.linear_weight_gradient(0, samples, x, g, dw.reshape(-1), inputs, outputs, True, used)
    np.testing.assert_array_equal(y, expected_y)
    np.testing.assert_array_equal(dw.T, expected_dw)


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_used_inputs(kind, rng):
    samples = rng.integers(0, 3, (9, 31)) * (rng.random((9, 31)) < 0.1)
    for rows in ([0], [3, 3], list(range(9))):
        used = np.zeros(31, np.int64)
        count = dense.used_inputs(31, np.array(rows), samples.astype(kind).reshape(-1), used)
        np.testing.assert_array_equal(used[:count], np.nonzero(samples[rows].any(axis=0))[0])
    assert dense.used_inputs(31, np.array([0]), np.zeros(31, kind), used) == 1  # a sum has at least one step
    assert dense.used_inputs(3, np.array([0]), np.array([0, np.nan, 0]), used) == 1 and used[0] == 1


# --- in a program -----------------------------------------------------------------------------------------------------


def perceptron(sizes, dtype, normal=False):
    """inputs -> outputs -> inputs -> 5, perhaps with batch norm."""
    _, inputs, outputs = sizes
    rng = np.random.default_rng(1)
    norm = [nn.BatchNorm1d(outputs)] * normal
    return nn.Sequential(nn.Linear(inputs, outputs, rng), *norm, nn.ReLU(), nn.Linear(outputs, inputs, rng, bias=False),
                         nn.ReLU(), nn.Linear(inputs, 5, rng)).to(dtype)


def labelled(rng, samples, inputs, dtype):
    return Dataset(rng.normal(size=(samples, inputs)).astype(dtype), rng.integers(0, 5, samples))


def gradients_of_numpy(model, data, loss):
    """The outputs of a network, and the gradient of each parameter."""
    with kernels.using("numpy"), nn.training(np.random.default_rng(0)):
        outputs = model(data.inputs)
        loss(outputs, data.targets).backward()
    return outputs.data, [parameter.grad for parameter in model.parameters()]


def taught(model, data, batch_size, loss=losses.cross_entropy):
    """What trains this network as a program."""
    return learner(model, optim.SGD(model.parameters(), lr=1.0), loss,
                   Loader(data, batch_size, dtype=data.inputs.dtype))


@pytest.mark.parametrize("team", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_layers_in_a_program(sizes, dtype, team, rng):
    data, model = labelled(rng, *sizes[:2], dtype), perceptron(sizes, dtype)
    outputs, expected = gradients_of_numpy(perceptron(sizes, dtype), data, losses.cross_entropy)
    with threads(team):
        first = taught(model, data, sizes[0])
        gradients(first, data.inputs, data.targets, None, rng)
        answers = predictor(model, sizes[1:2])(data.inputs)
    close = {"rtol": 2e-3, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(answers, outputs, **close)
    for parameter, grad in zip(model.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.grad, grad, **close)


def elsewhere(outputs, targets):
    """A loss that a program does not know."""
    return (outputs * outputs).mean()


@pytest.mark.parametrize("team", [1, 2, 3])
@pytest.mark.parametrize(("normal", "loss"), [(True, losses.cross_entropy), (False, elsewhere)])
@pytest.mark.parametrize("batch_size", [2, 4, 5, 6, 9, 14])
def test_a_batch_of_a_program_may_be_smaller_than_the_others(batch_size, normal, loss, team, rng):
    """Then fewer threads share it, and each has more samples to hold."""
    sizes = (batch_size, 7, 6)
    with threads(team):
        model = perceptron(sizes, np.float64, normal)
        trained = taught(model, labelled(rng, *sizes[:2], np.float64), batch_size, loss)
        for samples in range(2, batch_size + 1):
            data = labelled(rng, samples, 7, np.float64)
            _, expected = gradients_of_numpy(perceptron(sizes, np.float64, normal), data, loss)
            gradients(trained, data.inputs, data.targets, lambda outputs: loss(outputs, None), rng)
            for parameter, grad in zip(model.parameters(), expected, strict=True):
                np.testing.assert_allclose(parameter.grad, grad, rtol=1e-9, atol=1e-12)


def test_a_program_keeps_the_threads_that_it_began_with(rng):
    """It has memory for no more."""
    data, bits = labelled(rng, 40, 7, np.float32), []
    with threads(1):
        model = perceptron((40, 7, 6), np.float32)
        trained = taught(model, data, 40)
        for team in (1, 3, 1):
            kernels.set_num_threads(team)
            gradients(trained, data.inputs, data.targets, None, rng)
            bits.append(tuple(parameter.grad.copy() for parameter in model.parameters()))
    assert same_bits(bits[0], bits[1]) and same_bits(bits[0], bits[2])


# --- their own samples, and nothing else ------------------------------------------------------------------------------


def use_bodies(sizes, relu, dtype, place, rng):
    """There and back with all samples but the first and the last, which are NaN, in memory of this place."""
    some, others = slice(1, sizes[0] + 1), [0, -1]
    x, weight, bias, g = made(rng, dtype, sizes[0] + 2, *sizes[1:])
    x[others], g[others] = np.nan, np.nan
    y, of_weight, of_input = numpys(x[some], weight, bias, g[some], relu)
    body = Linear(x, weight, bias, relu, place)
    found, dw, dx = (body.forward(1, sizes[0] + 1), body.weight_gradient(g, 1, sizes[0] + 1),
                     body.input_gradient(g, 1, sizes[0] + 1))
    np.testing.assert_array_equal(found[some], y)
    np.testing.assert_array_equal(dw, of_weight)
    np.testing.assert_array_equal(dx[some], of_input)
    assert np.isnan(found[others]).all() and np.isnan(dx[others]).all()
    without = Linear(x[some], weight, None, relu, place)  # here all samples are at the edge
    np.testing.assert_array_equal(without.forward(), numpys(x[some], weight, None, g[some], relu)[0])
    np.testing.assert_array_equal(without.weight_gradient(g[some]), of_weight)
    np.testing.assert_array_equal(without.input_gradient(g[some]), of_input)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_bodies_do_their_own_samples_and_touch_nothing_else(sizes, dtype, relu, rng):
    canaries = Canaries()
    use_bodies(sizes, relu, dtype, canaries.place, rng)
    assert canaries.untouched()


def bodies_at_the_edge(side):
    """In a process of its own: the bodies, each array on the edge."""
    for dtype in DTYPES:
        for sizes in SIZES:
            print(np.dtype(dtype), *sizes, flush=True)
            for relu in (False, True):
                pages = GuardPages(side)
                use_bodies(sizes, relu, dtype, pages.place, np.random.default_rng(0))
                assert pages.untouched()


@on_linux
@pytest.mark.parametrize("side", SIDES)
def test_bodies_between_guard_pages(side):
    on_the_edge(bodies_at_the_edge, side)
