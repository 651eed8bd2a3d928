"""A network as one compiled call: the same numbers as layer by layer, whatever the layers, the batch and the threads."""

import gc
import hashlib
import os
import subprocess
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

pytest.importorskip("numba")

import byhand as bh
from byhand import kernels, losses, nn, optim
from byhand.callbacks import Callback, EarlyStopping, Schedule
from byhand.compiled.learner import learner
from byhand.compiled.predictor import predictor
from byhand.compiled.writing import written
from byhand.data import Dataset, Loader, Normalize
from byhand.kernels.jit import program
from byhand.schedules import OneCycle
from byhand.teaching import Compiled, LayerByLayer, teacher

DIGIT, COLOUR = (1, 12, 12), (3, 9, 10)


def activations(r):
    return [nn.LeakyReLU(0.1), nn.ELU(0.7), nn.GELU(), nn.SiLU(), nn.Softplus(), nn.Tanh(), nn.Sigmoid(), nn.ReLU()]


NETWORKS = {
    "linear": (DIGIT, lambda r: [nn.Flatten(), nn.Linear(144, 5, r)]),
    "perceptron": (DIGIT, lambda r: [nn.Flatten(), nn.Linear(144, 17, r), nn.ReLU(), nn.Linear(17, 5, r)]),
    "no biases": ((40,), lambda r: [nn.Linear(40, 33, r, bias=False), nn.ReLU(), nn.Linear(33, 5, r, bias=False)]),
    "every activation": ((6,), lambda r: [layer for bend in activations(r) for layer in (nn.Linear(6, 6, r), bend)]
                         + [nn.Linear(6, 5, r)]),
    "features": (COLOUR, lambda r: [nn.Flatten(), nn.Linear(270, 20, r), nn.BatchNorm1d(20), nn.ReLU(),
                                    nn.Linear(20, 5, r), nn.BatchNorm1d(5)]),
    "pool, then relu": (DIGIT, lambda r: [nn.Conv2d(1, 6, 3, r), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(),
                                          nn.Linear(150, 5, r)]),
    "relu, then pool": (COLOUR, lambda r: [nn.Conv2d(3, 17, 3, r, padding=1), nn.ReLU(), nn.MaxPool2d(3), nn.Flatten(),
                                           nn.Linear(153, 5, r)]),
    "pool without relu": (DIGIT, lambda r: [nn.Conv2d(1, 4, 3, r), nn.MaxPool2d(2), nn.Flatten(),
                                            nn.Linear(100, 5, r)]),
    "two convolutions": (DIGIT, lambda r: [nn.Conv2d(1, 8, 5, r), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(8, 33, 3, r),
                                           nn.ReLU(), nn.Flatten(), nn.Linear(132, 5, r)]),
    "strides and dilation": (COLOUR, lambda r: [nn.Conv2d(3, 5, 3, r, stride=2, padding=2), nn.ReLU(),
                                                nn.Conv2d(5, 6, (2, 3), r, dilation=(1, 2), padding=(0, 2)),
                                                nn.Tanh(), nn.Flatten(), nn.Linear(6 * 5 * 6, 5, r)]),
    "groups": (COLOUR, lambda r: [nn.Conv2d(3, 6, 3, r), nn.ReLU(), nn.Conv2d(6, 4, 3, r, groups=2), nn.ReLU(),
                                  nn.Conv2d(4, 4, 3, r, groups=4, padding=1), nn.Flatten(),
                                  nn.Linear(4 * 5 * 6, 5, r)]),
    "batch norms": (DIGIT, lambda r: [nn.Conv2d(1, 6, 3, r, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
                                      nn.Conv2d(6, 7, 3, r), nn.MaxPool2d(3), nn.BatchNorm2d(7), nn.ReLU(),
                                      nn.Flatten(), nn.Linear(7, 5, r)]),
    "pools of their own": (COLOUR, lambda r: [nn.MaxPool2d(3, stride=2, padding=1), nn.Conv2d(3, 4, 2, r), nn.Sigmoid(),
                                              nn.AvgPool2d(2, stride=1), nn.MaxPool2d(2, stride=1), nn.GlobalAvgPool2d(),
                                              nn.Linear(4, 5, r)]),
    "nested": (DIGIT, lambda r: [nn.Sequential(nn.Conv2d(1, 4, 3, r), nn.Sequential(nn.ReLU(), nn.Flatten())),
                                 nn.Linear(400, 5, r)]),
    "one pixel": ((2, 1, 1), lambda r: [nn.Conv2d(2, 3, 1, r), nn.ReLU(), nn.Flatten(), nn.Linear(3, 5, r)]),
}
HARDLY = {np.float32: {"rtol": 2e-3, "atol": 2e-4}, np.float64: {"rtol": 1e-9, "atol": 1e-11}}


def network(name, dtype=np.float64, seed=0):
    shape, layers = NETWORKS[name]
    return shape, nn.Sequential(*layers(np.random.default_rng(seed))).to(dtype)


def samples(shape, n, dtype=np.float64, seed=1):
    rng = np.random.default_rng(seed)
    return Dataset(rng.normal(size=(n, *shape)).astype(dtype), rng.integers(0, 5, n))


def compiled(model, data, batch_size, loss=losses.cross_entropy, make=optim.SGD, lr=0.1, dtype=None):
    optimizer = make(model.parameters(), lr=lr)
    loader = Loader(data, batch_size, dtype=dtype or data.inputs.dtype)
    return learner(model, optimizer, loss, loader), optimizer, loader


@pytest.fixture
def two_threads():
    before = kernels.get_num_threads()
    kernels.set_num_threads(2)
    yield
    kernels.set_num_threads(before)


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
    value, right = trained.gradients(x, t, None, np.random.default_rng(0))
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
    value, outputs = trained.gradients(data.inputs, data.targets, cubic, np.random.default_rng(0))
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
    trained, optimizer, _ = compiled(model, data, 64)
    draws = np.random.default_rng(3)
    first, _ = trained.gradients(data.inputs, data.targets, None, draws)
    hidden = model[2].weight.grad.copy()
    second, _ = trained.gradients(data.inputs, data.targets, None, draws)
    assert first != second
    again, _ = trained.gradients(data.inputs, data.targets, None, np.random.default_rng(3))
    assert again == first
    np.testing.assert_array_equal(model[2].weight.grad, hidden)
    slopes = [(p, p.grad.copy()) for p in (model[2].bias, model[0].weight)]

    def loss_moved(parameter, place, by):
        parameter.data[place] += by
        value, _ = trained.gradients(data.inputs, data.targets, None, np.random.default_rng(3))
        parameter.data[place] -= by
        return value

    for parameter, slope in slopes:  # of the loss along a weight: what the loss does when the weight moves a little
        for place in [(0,), (3,)] if parameter.data.ndim == 1 else [(7, 9), (31, 0), (32, 1)]:
            difference = loss_moved(parameter, place, 1e-5) - loss_moved(parameter, place, -1e-5)
            assert difference / 2e-5 == pytest.approx(slope[place], rel=1e-4, abs=1e-9)


# --- a whole training -------------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.05),
    "momentum": lambda p: optim.Momentum(p, lr=0.02, l2=0.001),
    "nesterov": lambda p: optim.Nesterov(p, lr=0.02, l1=0.001),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.02),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.002, clip_value=0.01),
    "adam": lambda p: optim.Adam(p, lr=0.005),
    "adamw": lambda p: optim.AdamW(p, lr=0.005, weight_decay=0.1),
    "groups": lambda p: optim.Adam([{"parameters": p[:2], "lr": 0.001}, {"parameters": p[2:]}], lr=0.005),
    "clipped": lambda p: optim.SGD(p, lr=0.05, clip_norm=0.5),
    "short rows": lambda p: optim.SGD(p, lr=0.05, max_norm=1.0),
}


class Looks(Callback):
    """Wants to see every step."""

    def on_step(self, run):
        assert run.inputs.shape[0] == run.size and all(p.grad is not None for p in run.parameters)


def trained(callbacks=(), name="two convolutions", optimizer="adam", dtype=np.float32, epochs=2, batch_size=16, n=100,
            loss=losses.cross_entropy, shuffle=True):
    shape, model = network(name, dtype)
    rng = np.random.default_rng(4)
    pictures = Dataset(rng.integers(0, 256, (n, *shape), np.uint8), rng.integers(0, 5, n))
    run = bh.fit(model, pictures, loss=loss, optimizer=OPTIMIZERS[optimizer](model.parameters()), rng=rng,
                 epochs=epochs, batch_size=batch_size, shuffle=shuffle, validation=None,
                 normalize=Normalize(0.5, 0.25), callbacks=[Schedule(OneCycle()), *callbacks])
    return model, run


def bits(model):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in model.state_dict().values())).hexdigest()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns_as_with_numpy(optimizer):
    model, run = trained(optimizer=optimizer, dtype=np.float64, name="perceptron")
    with kernels.using("numpy"):
        other, expected = trained(optimizer=optimizer, dtype=np.float64, name="perceptron")
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(mine.data, theirs.data, rtol=1e-6, atol=1e-8)
    for mine, theirs in zip(run.history, expected.history, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"]) and mine["accuracy"] == theirs["accuracy"]


@pytest.mark.parametrize("name", ["two convolutions", "batch norms", "perceptron", "features"])
@pytest.mark.parametrize("batch_size", [1, 3, 16, 300])
def test_looking_changes_nothing(name, batch_size, two_threads):
    if batch_size == 1 and name in ("features", "batch norms"):
        batch_size = 2  # one value has no variance
    model, run = trained(name=name, batch_size=batch_size, n=44)
    looked, seen = trained([Looks()], name=name, batch_size=batch_size, n=44)
    assert bits(model) == bits(looked)
    assert [dict(r) | {"seconds": 0} for r in run.history] == [dict(r) | {"seconds": 0} for r in seen.history]


def test_steps_are_really_taken_together(monkeypatch):
    taken = []
    stretch = Compiled.stretch
    monkeypatch.setattr(Compiled, "stretch", lambda self, run, numbers: taken.append(len(numbers)) or stretch(
        self, run, numbers))
    trained(n=800)
    assert max(taken) > 5 * 16


@pytest.mark.parametrize("name", ["two convolutions", "batch norms"])
def test_any_number_of_threads_learns_the_same_but_for_rounding(name):
    before = kernels.get_num_threads()
    models = []
    try:
        for threads in (1, 2, 3, 5):
            kernels.set_num_threads(threads)
            models.append(trained(name=name, dtype=np.float64)[0])
    finally:
        kernels.set_num_threads(before)
    for model in models[1:]:
        for mine, theirs in zip(model.parameters(), models[0].parameters(), strict=True):
            np.testing.assert_allclose(mine.data, theirs.data, rtol=1e-6, atol=1e-8)


SAME = """
import sys
sys.path.insert(0, {tests!r})
import test_compiled
print(test_compiled.bits(test_compiled.trained(name="batch norms", epochs=3)[0]))
"""


def test_two_processes_come_to_the_same_bits():
    program_text = SAME.format(tests=os.path.dirname(__file__))
    answers = [subprocess.run([sys.executable, "-c", program_text], check=True, capture_output=True, text=True).stdout
               for _ in range(2)]
    assert answers[0] == answers[1] and len(answers[0]) == 65


def test_two_threads_of_python_train_at_once(two_threads):
    alone = [bits(trained(name=name, epochs=4)[0]) for name in ("two convolutions", "batch norms")]
    together = [None, None]

    def train(i, name):
        together[i] = bits(trained(name=name, epochs=4)[0])

    threads = [threading.Thread(target=train, args=(i, name))
               for i, name in enumerate(("two convolutions", "batch norms"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_trains_too(two_threads):
    expected = bits(trained()[0])  # the team has its helper now, which the child will not have
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, bits(trained()[0]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == expected
    os.waitpid(child, 0)


def test_where_it_goes_wrong_is_found_as_step_by_step():
    rng = np.random.default_rng(0)
    messages = []
    for callbacks in ([], [Looks()]):
        model = nn.Sequential(nn.Linear(6, 8, np.random.default_rng(1)), nn.ReLU(),
                              nn.Linear(8, 5, np.random.default_rng(2)))
        data = samples((6,), 200, np.float32)
        data.inputs[150] = 3e38
        run = bh.fit(model, data, loss=losses.cross_entropy, optimizer=optim.SGD(model.parameters(), lr=0.1),
                     rng=np.random.default_rng(0), batch_size=4, shuffle=False, validation=None, callbacks=callbacks)
        assert run.failed and run.step == 37
        messages.append((run.stopped, bits(model)))
    assert messages[0] == messages[1] and "step 38" in messages[0][0], rng


def test_a_callback_that_changes_weights_is_obeyed():
    class Resets(Callback):
        def on_step_end(self, run):
            run.model[1].bias.data = np.full(17, 0.25, np.float32)

    model, _ = trained([Resets()], name="perceptron")
    with kernels.using("numpy"):
        other, _ = trained([Resets()], name="perceptron")
    assert (model[1].bias.data == 0.25).all()
    np.testing.assert_allclose(model[3].weight.data, other[3].weight.data, rtol=1e-3, atol=1e-5)


def test_the_best_weights_come_back():
    shape, model = network("perceptron", np.float32)
    data = samples(shape, 120, np.float32)
    run = bh.fit(model, data, loss=losses.cross_entropy, optimizer=optim.Adam(model.parameters(), lr=0.05),
                 rng=np.random.default_rng(0), epochs=30, callbacks=[EarlyStopping(2, "validation_loss")])
    best = min(r["validation_loss"] for r in run.history)
    assert run.stopped and run.history[-1]["validation_loss"] > best


# --- memory -----------------------------------------------------------------------------------------------------------


def test_a_step_allocates_nothing_large():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Conv2d(1, 24, 5, rng), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(),
                          nn.Linear(24 * 144, 300, rng), nn.ReLU(), nn.Linear(300, 10, rng))
    data = Dataset(rng.integers(0, 256, (2048, 1, 28, 28), np.uint8), rng.integers(0, 10, 2048))
    optimizer = optim.Adam(model.parameters())
    grown = []

    class Measures(Callback):
        def can_wait(self, run):
            return 1 << 30

        def on_step_end(self, run):
            now, peak = tracemalloc.get_traced_memory()
            grown.append(peak - now)
            tracemalloc.reset_peak()

    tracemalloc.start()
    try:
        bh.fit(model, data, loss=losses.cross_entropy, optimizer=optimizer, rng=rng, batch_size=256, epochs=3,
               validation=None, callbacks=[Measures()])
    finally:
        tracemalloc.stop()
    assert len(grown) > 3 and max(grown[2:]) < 1 << 20  # the first ones may still compile something


def test_memory_goes_with_the_model():
    shape, model = network("two convolutions", np.float32)
    data = samples(shape, 64, np.float32)
    trained_by, optimizer, loader = compiled(model, data, 64)
    trained_by.gradients(data.inputs, data.targets, None, np.random.default_rng(0))
    memory = weakref.ref(trained_by.program.memory)
    del trained_by, optimizer, loader, model
    gc.collect()
    assert memory() is None


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
