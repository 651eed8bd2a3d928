"""A network as one compiled call: the numbers of its layers, whatever they are, and whatever batch and threads."""

import numpy as np
import pytest

pytest.importorskip("numba")

from compiled_networks import DIGIT, HARDLY, NETWORKS, compiled, gradients, network, samples

import byhand as bh
from byhand import kernels, losses, nn, optim
from byhand.compiled.predictor import predictor
from byhand.compiled.writing import written
from byhand.data import Loader, Normalize
from byhand.kernels.jit import program
from byhand.teaching import Compiled, LayerByLayer, teacher

pytestmark = pytest.mark.usefixtures("compiled_kernels")

# --- the same numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [4, 13, 150])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_the_layers(name, n, dtype, two_threads):
    shape, model = network(name, dtype)
    data = samples(shape, n, dtype)
    x, t = data.inputs, data.targets
    plain = network(name, dtype)[1]
    with kernels.using("numpy"), nn.training(np.random.default_rng(0)):
        loss = losses.cross_entropy(plain(x), t)
        loss.backward()
    trained, _, _ = compiled(model, data, n)
    value, right = gradients(trained, x, t, None, np.random.default_rng(0))
    assert value == pytest.approx(loss.item(), rel=1e-5)
    for (path, mine), (_, theirs) in zip(model.named_parameters(), plain.named_parameters(), strict=True):
        scale = max(1e-2, np.abs(theirs.grad).max())
        np.testing.assert_allclose(mine.grad / scale, theirs.grad / scale, err_msg=path, **HARDLY[dtype])
    for (path, mine), (_, theirs) in zip(model.named_arrays(), plain.named_arrays(), strict=True):
        np.testing.assert_allclose(np.asarray(mine), np.asarray(theirs), err_msg=path, **HARDLY[dtype])
    with kernels.using("numpy"), nn.training(np.random.default_rng(0)):
        outputs = network(name, dtype)[1](x).data
    near = np.sort(outputs, axis=1)  # where two answers are level, either may win
    sure = near[:, -1] - near[:, -2] > 1e-4
    np.testing.assert_array_equal(right[sure], (outputs.argmax(axis=1) == t)[sure])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_loss_that_is_computed_elsewhere(name):
    shape, model = network(name)
    data = samples(shape, 11)
    plain = network(name)[1]

    def cubic(outputs):
        return ((outputs * outputs * outputs).sum() * 0.1 + outputs.mean())

    with kernels.using("numpy"), nn.training(np.random.default_rng(0)):
        loss = cubic(plain(data.inputs))
        loss.backward()
    trained, _, _ = compiled(model, data, 11, loss=cubic)
    value, outputs = gradients(trained, data.inputs, data.targets, cubic, np.random.default_rng(0))
    assert value == pytest.approx(loss.item()) and outputs.shape == (11, 5)
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad, theirs.grad, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_answers_are_those_of_the_layers(name, dtype, two_threads):
    shape, model = network(name, dtype)
    rng = np.random.default_rng(5)
    for _, array in model.named_arrays():  # running means and variances that are not the first ones
        if isinstance(array, np.ndarray) and array.dtype == dtype:
            array += rng.uniform(0.1, 1, array.shape).astype(dtype)
    x = samples(shape, 70, dtype).inputs
    with kernels.using("numpy"):
        expected = bh.predict(model, x)
    answers = predictor(model, shape)
    np.testing.assert_allclose(answers(x), expected, **HARDLY[dtype])
    np.testing.assert_array_equal(answers(x)[3:4], answers(x[3:4]))  # no sample knows its neighbours
    np.testing.assert_array_equal(bh.predict(model, x), answers(x))


def test_bytes_are_normalized_as_everywhere():
    shape, model = network("relu, then pool", np.float32)
    pictures = np.random.default_rng(0).integers(0, 256, (20, *shape), np.uint8)
    scale = Normalize((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    with kernels.using("numpy"):
        expected = bh.predict(model, pictures, normalize=scale)
    np.testing.assert_allclose(bh.predict(model, pictures, normalize=scale), expected, rtol=1e-4, atol=1e-5)


def test_dropout_drops_as_much_there_as_back_and_other_units_each_time():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(50, 400, rng), nn.Dropout(0.25), nn.Linear(400, 5, rng)).to(np.float64)
    data = samples((50,), 64)
    trained, _, _ = compiled(model, data, 64)
    draws = np.random.default_rng(3)
    first, _ = gradients(trained, data.inputs, data.targets, None, draws)
    hidden = model[2].weight.grad.copy()
    second, _ = gradients(trained, data.inputs, data.targets, None, draws)
    assert first != second
    again, _ = gradients(trained, data.inputs, data.targets, None, np.random.default_rng(3))
    assert again == first
    np.testing.assert_array_equal(model[2].weight.grad, hidden)
    slopes = [(p, p.grad.copy()) for p in (model[2].bias, model[0].weight)]

    def loss_moved(parameter, place, by):
        parameter.data[place] += by
        value, _ = gradients(trained, data.inputs, data.targets, None, np.random.default_rng(3))
        parameter.data[place] -= by
        return value

    for parameter, slope in slopes:  # of the loss along a weight: what the loss does when the weight moves a little
        for place in [(0,), (3,)] if parameter.data.ndim == 1 else [(7, 9), (31, 0), (32, 1)]:
            difference = loss_moved(parameter, place, 1e-5) - loss_moved(parameter, place, -1e-5)
            assert difference / 2e-5 == pytest.approx(slope[place], rel=1e-4, abs=1e-9)


# --- what is left to the layers ---------------------------------------------------------------------------------------


class Own(nn.Sequential):
    """A network of somebody's own."""


def shared(rng):
    layer = nn.Linear(6, 6, rng)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.Linear(6, 5, rng))


@pytest.mark.parametrize("model", [
    nn.Sequential(nn.Linear(6, 5, np.random.default_rng(0)), nn.LayerNorm(5)),
    nn.Sequential(nn.Residual(nn.Linear(6, 6, np.random.default_rng(0))), nn.Linear(6, 5, np.random.default_rng(0))),
    nn.Sequential(nn.Linear(6, 5, np.random.default_rng(0)), nn.Softmax()),
    Own(nn.Linear(6, 5, np.random.default_rng(0))),
    shared(np.random.default_rng(0)),
    nn.Sequential(nn.Linear(7, 5, np.random.default_rng(0))),
    nn.Sequential(nn.ReLU()),
], ids=["layer norm", "a shortcut", "softmax", "a class of its own", "shared weights", "wrong shape", "no weights"])
def test_other_networks_run_layer_by_layer(model):
    assert written(model, (6,), learning=True) is None


def test_who_teaches():
    shape, model = network("perceptron", np.float32)
    data = samples(shape, 20, np.float32)
    rng = np.random.default_rng(0)

    def teaches(model=model, parameters=None, dtype=np.float32):
        optimizer = optim.SGD(parameters or model.parameters(), lr=0.1)
        return type(teacher(model, losses.cross_entropy, optimizer, Loader(data, 4, dtype=dtype), rng))

    assert teaches() is Compiled
    with nn.watch():
        assert teaches() is LayerByLayer
    with kernels.using("numpy"):
        assert teaches() is LayerByLayer
    assert teaches(parameters=model.parameters()[:2]) is LayerByLayer
    assert teaches(dtype=np.float64) is LayerByLayer
    model[1].freeze()
    assert teaches(parameters=model.parameters()[2:]) is LayerByLayer


def test_classes_that_do_not_fit_are_refused_as_ever():
    shape, model = network("perceptron", np.float32)
    data = samples(shape, 20, np.float32)
    data.targets[7] = 5
    for kind in ("jit", "numpy"):
        with kernels.using(kind), pytest.raises(ValueError, match="has class 5, but 5 classes are counted"):
            bh.fit(model, data, loss=losses.cross_entropy, optimizer=optim.SGD(model.parameters(), lr=0.1),
                   rng=np.random.default_rng(0), validation=None)


def test_a_single_value_has_no_variance():
    shape, model = network("features", np.float32)
    data = samples(shape, 9, np.float32)
    for kind in ("jit", "numpy"):
        with kernels.using(kind), pytest.raises(ValueError, match="more than one value for each channel"):
            bh.fit(model, data, loss=losses.cross_entropy, optimizer=optim.SGD(model.parameters(), lr=0.1),
                   rng=np.random.default_rng(0), validation=None, batch_size=8)


def test_the_table_has_a_name_for_each_column():
    assert len(program.Layer._fields) == program.FIELDS
    rows = written(network("two convolutions")[1], DIGIT, learning=True)
    assert [row.kind for row in rows] == [program.CONV, program.CONV, program.CHANNELS_FIRST, program.LINEAR]
