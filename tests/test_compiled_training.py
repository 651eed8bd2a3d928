"""A whole training by a compiled program: the same as step by step, to the bit, and no more memory than it needs."""

import gc
import hashlib
import os
import subprocess
import sys
import threading
import tracemalloc
import weakref
from functools import partial

import numpy as np
import pytest

pytest.importorskip("numba")

from compiled_networks import compiled, gradients, network, samples
from kernel_arrays import threads

import byhand as bh
from byhand import kernels, losses, nn, optim
from byhand.callbacks import Callback, EarlyStopping, Schedule
from byhand.data import Dataset, Normalize
from byhand.schedules import OneCycle
from byhand.teaching import Compiled

pytestmark = pytest.mark.usefixtures("compiled_kernels")
OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.05),
    "momentum": lambda p: optim.Momentum(p, lr=0.02, l2=0.001),
    "nesterov": lambda p: optim.Nesterov(p, lr=0.02, l1=0.001),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.02),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.002, clip_value=0.01),
    "adam": lambda p: optim.Adam(p, lr=0.005),
    "adamw": lambda p: optim.AdamW(p, lr=0.005, weight_decay=0.1),
    "groups": lambda p: optim.Adam([{"parameters": p[:2], "lr": 0.001}, {"parameters": p[2:]}], lr=0.005),
    "decay for matrices": lambda p: optim.AdamW([{"parameters": [w for w in p if w.ndim > 1], "l1": 0.01, "l2": 0.1},
                                                 {"parameters": [b for b in p if b.ndim == 1], "weight_decay": 0.0,
                                                  "clip_value": 0.01, "lr": 0.1}], lr=0.005, weight_decay=0.1),
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


@pytest.mark.parametrize("loss, outputs", [(losses.binary_cross_entropy, 1), (losses.brier, 2),
                                           (partial(losses.brier, factor=0.5), 2),
                                           (partial(losses.cross_entropy, label_smoothing=0.2), 2),
                                           (lambda outputs, targets: losses.cross_entropy(outputs * 2, targets), 2)])
@pytest.mark.parametrize("batch_size", [None, 300, 7])
def test_every_loss_teaches_as_with_numpy(loss, outputs, batch_size):
    rng = np.random.default_rng(0)
    data = Dataset(rng.integers(0, 256, (601, 40), np.uint8), rng.integers(0, 2, 601))
    taught = []
    for kind in ("jit", "numpy"):
        model = nn.Sequential(nn.Linear(40, 9, np.random.default_rng(1)), nn.ReLU(),
                              nn.Linear(9, outputs, np.random.default_rng(2))).to(np.float64)
        with kernels.using(kind):
            run = bh.fit(model, data, loss=loss, optimizer=optim.SGD(model.parameters(), lr=0.02), epochs=3,
                         batch_size=batch_size, validation=None, normalize=Normalize(0.5, 0.25),
                         rng=np.random.default_rng(3))
        taught.append((model, run))
    (model, run), (other, expected) = taught
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(mine.data, theirs.data, rtol=1e-7, atol=1e-9)
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


@pytest.mark.parametrize("name", ["features", "batch norms"])
def test_one_value_a_channel_has_no_variance(name):
    with pytest.raises(ValueError, match="more than one value for each channel in training"):
        trained(name=name, batch_size=1)


@pytest.mark.parametrize("optimizer", ["groups", "decay for matrices"])
def test_looking_changes_nothing_of_what_groups_do(optimizer):
    assert bits(trained(optimizer=optimizer)[0]) == bits(trained([Looks()], optimizer=optimizer)[0])


@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if name not in ("clipped", "short rows")])
def test_steps_are_really_taken_together(optimizer, monkeypatch):
    taken = []
    stretch = Compiled.stretch
    monkeypatch.setattr(Compiled, "stretch", lambda self, run, numbers: taken.append(len(numbers)) or stretch(
        self, run, numbers))
    trained(n=800, optimizer=optimizer)
    assert max(taken) > 5 * 16


@pytest.mark.parametrize("name", ["two convolutions", "batch norms"])
def test_any_number_of_threads_learns_the_same_but_for_rounding(name):
    models = []
    for n in (1, 2, 3, 5):
        with threads(n):
            models.append(trained(name=name, dtype=np.float64)[0])
    for model in models[1:]:
        for mine, theirs in zip(model.parameters(), models[0].parameters(), strict=True):
            np.testing.assert_allclose(mine.data, theirs.data, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("batch_size", [1, 7, 30, 100])
def test_black_borders_are_left_out_of_the_sums(batch_size):
    """Inputs that are 0 in all samples at hand, in some and in none."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (100, 40), np.uint8)
    pictures[:, [0, 1, 2, 17, 39]] = 0
    pictures[rng.random((100, 40)) < 0.7] = 0
    pictures[33] = 0
    data, taught = Dataset(pictures, rng.integers(0, 5, 100)), []
    for kind in ("jit", "numpy"):
        model = nn.Sequential(nn.Linear(40, 33, np.random.default_rng(1)), nn.ReLU(),
                              nn.Linear(33, 5, np.random.default_rng(2))).to(np.float64)
        before = model[0].weight.data.copy()
        with kernels.using(kind):
            bh.fit(model, data, loss=losses.cross_entropy, optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=2,
                   batch_size=batch_size, validation=None, normalize=Normalize(0, 1), rng=np.random.default_rng(3))
        np.testing.assert_array_equal(model[0].weight.data[:, [0, 1, 2, 17, 39]], before[:, [0, 1, 2, 17, 39]])
        taught.append(model)
    for mine, theirs in zip(taught[0].parameters(), taught[1].parameters(), strict=True):
        np.testing.assert_allclose(mine.data, theirs.data, rtol=1e-7, atol=1e-9)


SAME = """
import sys
sys.path.insert(0, {tests!r})
from test_compiled_training import bits, trained
print(bits(trained(name="batch norms", epochs=3)[0]))
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

    begun = [threading.Thread(target=train, args=(i, name))
             for i, name in enumerate(("two convolutions", "batch norms"))]
    for thread in begun:
        thread.start()
    for thread in begun:
        thread.join()
    assert together == alone


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork.* was called:RuntimeWarning")  # by JAX, where another test has imported it
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
        bh.fit(model, data, loss=losses.cross_entropy, optimizer=optimizer, rng=rng, batch_size=256, epochs=6,
               validation=None, callbacks=[Measures()])
    finally:
        tracemalloc.stop()
    assert len(grown) > 3 and max(grown[2:]) < 1 << 20  # the first ones may still compile something


def test_memory_goes_with_the_model():
    shape, model = network("two convolutions", np.float32)
    data = samples(shape, 64, np.float32)
    trained_by, optimizer, loader = compiled(model, data, 64)
    gradients(trained_by, data.inputs, data.targets, None, np.random.default_rng(0))
    memory = weakref.ref(trained_by.program.memory)
    del trained_by, optimizer, loader, model
    gc.collect()
    assert memory() is None
