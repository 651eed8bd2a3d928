"""Compiled convolution is NumPy's convolution: any window, any memory, with relu and pool in it, and nothing else.

Most of these pictures and filters hold small whole numbers. Sums of them are exact in any order, so results can be
compared to the last bit, and pools have many equals to choose from.
"""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernel_arrays import arranged, dtypes, layouts, same_bits, seeds, threads
from kernel_memory import SIDES, Canaries, GuardPages, all_placed, on_linux, on_the_edge

pytest.importorskip("numba")

import byhand as bh
from byhand import kernels, losses, nn, ops, optim
from byhand.compiled.learner import ELSEWHERE, flat_samples, learner, no_rule
from byhand.compiled.predictor import predictor
from byhand.data import Dataset, Loader
from byhand.kernels import Window, reference
from byhand.kernels.jit import learning
from byhand.kernels.jit.update import RULES
from kernel_bodies import UNWRITTEN, Convolution, numpys_convolution

jit = kernels.compiled()
DTYPES = [np.float32, np.float64]
ONE, NONE = (1, 1), (0, 0)


def whole(rng, shape, dtype):
    """Small whole numbers."""
    return rng.integers(-2, 3, shape).astype(dtype)


def normal(rng, shape, dtype):
    """Fractions."""
    return rng.normal(size=shape).astype(dtype)


def windowed(size, stride=ONE, padding=NONE, dilation=ONE):
    return Window(size, stride, padding, dilation)


def case(picture, filters, window, groups=1):
    """The shapes of a picture and of the filters, the window, and the groups."""
    return picture, (filters, picture[0] // groups, *window.size), window, groups


UGLY = {
    "one channel": case((1, 9, 8), 1, windowed((3, 3))),
    "17 channels": case((17, 6, 5), 17, windowed((3, 2), padding=ONE)),
    "33 channels": case((33, 4, 3), 34, windowed((2, 2))),
    "as many filters as lanes": case((16, 4, 5), 32, windowed((3, 3), padding=ONE)),
    "many filters": case((2, 3, 4), 131, windowed((2, 3))),
    "one pixel": case((5, 1, 1), 3, windowed(ONE)),
    "one pixel in a frame": case((3, 1, 1), 4, windowed((3, 3), padding=ONE)),
    "a kernel larger than the stride": case((3, 11, 9), 6, windowed((5, 4), stride=(2, 3))),
    "a stride larger than the kernel": case((3, 11, 9), 6, windowed((2, 1), stride=(4, 3))),
    "a stride that leaves rows over": case((2, 8, 8), 5, windowed((3, 3), stride=(2, 4))),
    "dilation": case((3, 9, 10), 6, windowed((3, 2), dilation=(2, 3))),
    "dilation, stride and padding": case((4, 9, 7), 5, windowed((2, 3), (2, 1), (2, 1), (3, 2))),
    "padding larger than the kernel": case((3, 3, 2), 6, windowed((2, 1), padding=(4, 3))),
    "the padding alone": case((2, 1, 1), 3, windowed((3, 3), stride=(3, 3), padding=(4, 4))),
    "groups": case((6, 5, 6), 9, windowed((3, 2), padding=ONE), 3),
    "wide groups": case((34, 4, 4), 38, windowed((2, 2)), 2),
    "groups, dilation and stride": case((4, 8, 7), 6, windowed((2, 2), (2, 1), (1, 0), (2, 2)), 2),
    "depthwise": case((17, 6, 6), 17, windowed((3, 3), padding=ONE), 17),
    "depthwise, stride and dilation": case((6, 9, 8), 6, windowed((2, 3), (2, 2), ONE, (2, 1)), 6),
    "depthwise, two filters a channel": case((5, 6, 5), 10, windowed((3, 3)), 5),
    "a kernel as large as the picture": case((7, 4, 5), 8, windowed((4, 5))),
    "a wide kernel": case((1, 3, 20), 2, windowed((1, 15), padding=(0, 3))),
    "the digits' first layer": case((1, 28, 28), 24, windowed((5, 5))),
}


@st.composite
def cases(draw):
    pair = lambda low, high: (draw(st.integers(low, high)), draw(st.integers(low, high)))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 17]))
    inputs = draw(st.sampled_from([1, 2, 5, 17] if groups < 17 else [1]))
    outputs = draw(st.sampled_from([1, 3, 6, 17, 40] if groups < 17 else [1, 2]))
    size, dilation = pair(1, 4), pair(1, 3)
    stride, padding = pair(1, 4), pair(0, 5)
    window = Window(size, stride, padding, dilation)
    height, width = pair(1, 9)
    assume(min(window.output_size(height, width)) > 0)
    return case((inputs * groups, height, width), outputs * groups, window, groups)


def made(rng, dtype, which, n=2, draw=whole):
    """Pictures, filters, bias, and slopes of the result."""
    picture, filters, window, _ = which
    return (draw(rng, (n, *picture), dtype), draw(rng, filters, dtype), draw(rng, filters[:1], dtype),
            draw(rng, (n, filters[0], *window.output_size(*picture[1:])), dtype))


def three(room, x, weight, bias, g, window, groups):
    """Convolution and its two gradients, as this room of kernels has them."""
    return (room.conv2d(x, weight, bias, window, groups),
            room.conv2d_weight_gradient(g, x, weight.shape, window, groups),
            room.conv2d_input_gradient(g, weight, x.shape, window, groups))


def agree(arrays, window, groups, **close):
    """That both rooms make the same of these arrays, exactly or as close as that."""
    for found, expected in zip(three(jit, *arrays, window, groups), three(reference, *arrays, window, groups),
                               strict=True):
        assert found.dtype == expected.dtype
        if close:
            np.testing.assert_allclose(found, expected, **close)
        else:
            np.testing.assert_array_equal(found, expected)


# --- the same numbers -------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(cases(), st.sampled_from([1, 2, 3]), st.booleans(), dtypes, layouts, layouts, layouts, seeds)
def test_convolution_and_its_gradients(which, n, biased, dtype, of_x, of_weight, of_g, seed):
    x, weight, bias, g = made(np.random.default_rng(seed), dtype, which, n)
    agree((arranged(x, of_x), arranged(weight, of_weight), arranged(bias, of_weight) if biased else None,
           arranged(g, of_g)), *which[2:])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("name", UGLY)
def test_ugly_shapes(name, n, dtype, rng):
    agree(made(rng, dtype, UGLY[name], n), *UGLY[name][2:])


@pytest.mark.parametrize("name", ["one channel", "17 channels", "one pixel", "depthwise", "groups",
                                  "padding larger than the kernel"])
def test_a_batch_of_257(name, rng):
    with threads(2):
        agree(made(rng, np.float32, UGLY[name], 257), *UGLY[name][2:])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UGLY)
def test_fractions(name, dtype, rng):
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    agree(made(rng, dtype, UGLY[name], 3, normal), *UGLY[name][2:], **close)


def spoiled(rng, values):
    """Some of the numbers not finite."""
    values = values.copy()
    for strange in (np.nan, np.inf, -np.inf):
        values[rng.random(values.shape) < 0.02] = strange
    return values


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # what NumPy says to inf - inf
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UGLY)
def test_what_is_not_finite_comes_out_where_it_does_in_numpy(name, dtype, rng):
    x, weight, bias, g = made(rng, dtype, UGLY[name], 3)
    window, groups = UGLY[name][2:]
    for arrays in [(spoiled(rng, x), weight, bias, g), (x, weight, bias, spoiled(rng, g)),
                   (x, weight, spoiled(rng, bias), g), (spoiled(rng, x), weight, bias, spoiled(rng, g))]:
        agree(arrays, window, groups)
    strange = spoiled(rng, weight)
    found, expected = (three(room, x, strange, bias, g, window, groups) for room in (jit, reference))
    np.testing.assert_array_equal(found[0], expected[0])
    # Compiled, a weight also meets the zeros around the slopes; they make NaN of it if it is not finite.
    assert (np.isnan(found[2]) | (found[2] == expected[2])).all()
    assert np.isnan(found[2][np.isnan(expected[2])]).all()


# --- what the compiled loops do not do --------------------------------------------------------------------------------


@pytest.mark.parametrize(("of_x", "of_weight"), [
    (np.float16, np.float16), (np.int64, np.int64), (np.float32, np.float64), (np.float64, np.float32),
    (np.int32, np.float32), (">f4", ">f4")])
def test_other_numbers_are_left_to_numpy(of_x, of_weight, rng):
    x, weight, bias, _ = made(rng, of_x, UGLY["groups"])
    window, groups = UGLY["groups"][2:]
    weight = weight.astype(of_weight)
    y = reference.conv2d(x, weight, bias, window, groups)
    found, expected = (three(room, x, weight, bias, y, window, groups) for room in (jit, reference))
    assert same_bits(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("biased", [True, False])
def test_of_no_pictures_comes_nothing(biased, dtype, rng):
    x, weight, bias, g = made(rng, dtype, UGLY["groups"], 0)
    y, of_weight, of_input = three(jit, x, weight, bias if biased else None, g, *UGLY["groups"][2:])
    assert (y.shape, of_input.shape) == (g.shape, x.shape) and y.dtype == of_input.dtype == dtype
    assert same_bits(of_weight, np.zeros_like(weight))


@pytest.mark.parametrize("choice", ["numpy", "jit"])
@pytest.mark.parametrize(("channels", "filters"), [(0, 3), (3, 0), (0, 0)])
def test_no_channels_or_filters_are_an_error(channels, filters, choice):
    with kernels.using(choice), pytest.raises(ValueError, match="does not fit pictures"):
        ops.conv2d(np.ones((2, channels, 4, 4)), np.ones((filters, channels, 2, 2)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["one channel", "17 channels", "depthwise"])
def test_arrays_may_be_read_only_and_begin_anywhere(name, dtype, rng):
    def odd(values):
        there = np.zeros(values.nbytes + 1, np.uint8)[1:].view(dtype).reshape(values.shape)
        there[...] = values
        return there

    arrays = made(rng, dtype, UGLY[name])
    agree(tuple(map(odd, arrays)), *UGLY[name][2:])
    for values in arrays:
        values.flags.writeable = False
    agree(arrays, *UGLY[name][2:])


@pytest.mark.parametrize("size", [0, 2, 5, 7])
def test_a_bias_of_another_size_is_an_error_and_not_a_crash(size, rng):
    x, weight, _, _ = made(rng, np.float32, UGLY["a kernel larger than the stride"])
    window, groups = UGLY["a kernel larger than the stride"][2:]
    for room in (reference, jit):
        with pytest.raises(ValueError, match="broadcast"):
            room.conv2d(x, weight, np.ones(size, np.float32), window, groups)
    with pytest.raises(ValueError, match=r"needs a bias of shape \(6,\)"):
        ops.conv2d(x, weight, np.ones(size, np.float32), stride=window.stride)


# --- with relu and pool -----------------------------------------------------------------------------------------------

FUSED = [(1, True), (2, False), (2, True), (3, False), (3, True)]
FUSED_UGLY = [(name, pool, relu) for name, (picture, _, window, _) in UGLY.items() for pool, relu in FUSED
              if min(window.output_size(*picture[1:])) >= pool]


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
    trained.gradients(x, labels, None, rng)
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
    numbers = [optimizer.rule.rates(0.01, step, optimizer.groups[0].settings) for step in (1, 2)]
    zeros = np.zeros(optimizer.flat.size, dtype)
    moves = no_rule(zeros)._replace(kind=RULES.index(optimizer.rule.name), memory2=zeros)
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


# --- threads ----------------------------------------------------------------------------------------------------------

SHARED = ["17 channels", "a kernel larger than the stride", "depthwise", "wide groups", "the digits' first layer"]


@pytest.mark.parametrize("name", SHARED)
def test_threads_change_no_bit_of_what_belongs_to_a_sample(name, rng):
    arrays = made(rng, np.float32, UGLY[name], 70, normal)
    results = {}
    for n in (1, 2, 5):
        with threads(n):
            first, again = (three(jit, *arrays, *UGLY[name][2:]) for _ in range(2))
        assert same_bits(first, again)
        results[n] = first
    for n in (2, 5):
        y, of_weight, of_input = results[n]
        assert same_bits((y, of_input), (results[1][0], results[1][2]))
        np.testing.assert_allclose(of_weight, results[1][1], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", SHARED)
def test_no_picture_knows_its_neighbours(name, rng):
    x, weight, bias, g = made(rng, np.float32, UGLY[name], 7, normal)
    window, groups = UGLY[name][2:]
    y, _, of_input = three(jit, x, weight, bias, g, window, groups)
    for n in (0, 4, 6):
        alone = three(jit, x[n:n + 1], weight, bias, g[n:n + 1], window, groups)
        assert same_bits((alone[0], alone[2]), (y[n:n + 1], of_input[n:n + 1]))


# --- the operation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {}, {"stride": 2}, {"padding": 2}, {"dilation": (2, 1)}, {"groups": 2}, {"groups": 4},
    {"stride": (2, 1), "padding": (0, 3), "dilation": (1, 2), "groups": 2}])
def test_gradients(options, rng):
    x, bias = rng.normal(size=(3, 4, 7, 6)), rng.normal(size=8)
    weight = rng.normal(size=(8, 4 // options.get("groups", 1), 3, 2))
    with kernels.using("jit"):
        bh.check_grad(lambda x, weight, bias: ops.conv2d(x, weight, bias, **options), x, weight, bias)
        bh.check_grad(lambda x, weight: ops.conv2d(x, weight, **options), x[:1, :, :5, :4], weight)
