"""`fit` on all kinds of samples. (What it says to those that do not fit: test_bad_samples.py.)"""

import math
import tracemalloc

import numpy as np
import pytest
from fit_samples import Recorder, points

import byhand as bh
from byhand import losses, nn
from byhand.data import Dataset, Normalize
from byhand.optim import SGD, Adam


def test_sample_weights_count_like_so_many_samples(rng):
    data = points(12)
    weights = np.array([1, 2, 0] * 4, float)
    repeated = data[np.repeat(np.arange(12), weights.astype(int))]
    trained = []
    for samples in (Dataset(data.inputs, data.targets, data.classes, weights=weights), repeated):
        model = nn.Linear(4, 3, np.random.default_rng(3), dtype=np.float64)
        run = bh.fit(model, samples, validation=samples, loss=losses.cross_entropy, rng=rng, batch_size=None, epochs=3,
                     optimizer=SGD(model.parameters(), lr=0.01))
        trained.append((model.weight.data, run.history[-1]["loss"], run.history[-1]["validation_loss"]))
    np.testing.assert_allclose(trained[0][0], trained[1][0], rtol=1e-10)
    assert trained[0][1:] == pytest.approx(trained[1][1:])


def test_numbers_to_hit_have_no_accuracy(rng):
    x = rng.standard_normal((200, 3)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [0.5]], np.float32)
    model = nn.Linear(3, 1, rng)
    run = bh.fit(model, (x, y), test=Dataset(x, y), loss=losses.mean_squared_error, rng=rng, epochs=20,
                 optimizer=SGD(model.parameters(), lr=0.1))
    assert run.test.loss < 1e-6 and run.test.accuracy is None and run.test.interval is None
    assert set(run.history[0]) == {"epoch", "loss", "validation_loss", "learning_rate", "seconds"}
    np.testing.assert_allclose(model.weight.data, [[1, -2, 0.5]], atol=1e-3)


def test_a_single_output_answers_by_its_sign(rng):
    x = rng.standard_normal((200, 2)).astype(np.float32)
    model = nn.Linear(2, 1, rng)
    run = bh.fit(model, (x, (x[:, 0] > 0).astype(np.int64)), loss=losses.binary_cross_entropy, rng=rng, epochs=20,
                 optimizer=SGD(model.parameters(), lr=1.0))
    assert run.history[-1]["accuracy"] > 0.95 and run.history[-1]["validation_accuracy"] > 0.9


@pytest.mark.parametrize("targets", [np.arange(6), np.arange(6) / 6, np.eye(6)], ids=["counts", "reals", "rows"])
def test_what_are_not_classes_is_not_counted(targets, rng):
    assert bh.evaluate(nn.Linear(2, 1, rng), Dataset(np.ones((6, 2)), targets)).accuracy is None


def test_a_network_of_float64_stays_one(rng):
    model = nn.Sequential(nn.Linear(4, 3, rng), nn.BatchNorm1d(3)).to(np.float64)
    recorder = Recorder()
    run = bh.fit(model, points(), test=points(), loss=losses.cross_entropy, rng=rng, callbacks=[recorder],
                 optimizer=Adam(model.parameters()))
    assert {array.dtype for array in recorder.batches} == {np.dtype(np.float64)} == {run.test.outputs.dtype}
    assert all(p.dtype == np.float64 for p in model.parameters())


def test_a_set_larger_than_memory_is_never_read_whole(rng, tmp_path):
    big = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.uint8, (1 << 14, 1, 64, 64))  # 64 MB
    model = nn.Sequential(nn.Flatten(), nn.Linear(4096, 2, rng))
    tracemalloc.start()
    run = bh.fit(model, (big, np.arange(len(big)) % 2), loss=losses.cross_entropy, rng=rng, batch_size=256,
                 optimizer=SGD(model.parameters(), lr=0.1), normalize=Normalize())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20 and "validation_loss" in run.history[0]


def test_validation_and_test_may_be_pairs_of_arrays(rng):
    data, model = points(), nn.Linear(4, 3, rng)
    pair = (data.inputs, data.targets)
    run = bh.fit(model, data, validation=pair, test=pair, loss=losses.cross_entropy, rng=rng,
                 optimizer=SGD(model.parameters(), lr=1e-4))
    assert run.test.accuracy == run.history[0]["validation_accuracy"] == bh.evaluate(model, pair).accuracy


def test_a_smaller_last_batch_can_be_left_out(rng):
    model, recorder = nn.Sequential(nn.Linear(4, 3, rng), nn.BatchNorm1d(3)), Recorder()
    bh.fit(model, points(61), validation=None, loss=losses.cross_entropy, rng=rng, batch_size=20, drop_last=True,
           optimizer=SGD(model.parameters(), lr=1e-4), callbacks=[recorder])
    assert [len(batch) for batch in recorder.batches] == [20, 20, 20]


def test_a_batch_that_does_not_count_is_passed_over(rng):
    data, recorder, model = points(30), Recorder(), nn.Linear(4, 3, rng)
    weights = np.repeat([1.0, 0.0, 2.0], 10)
    run = bh.fit(model, Dataset(data.inputs, data.targets, weights=weights), loss=losses.cross_entropy, rng=rng,
                 validation=Dataset(data.inputs, data.targets, weights=np.zeros(30)), batch_size=10, shuffle=False,
                 optimizer=SGD(model.parameters(), lr=1e-4), callbacks=[recorder])
    assert [batch[0, 0] for batch in recorder.batches] == [0, 20]
    assert run.seen == 20 and run.progress == 1 and math.isnan(run.history[0]["validation_loss"])


def test_one_hot_rows_are_classes_too(rng):
    data, model = points(), nn.Linear(4, 3, rng)
    rows = losses.one_hot(data.targets, 3)
    assert bh.evaluate(model, (data.inputs, rows)).accuracy == bh.evaluate(model, data).accuracy
    assert bh.evaluate(model, (data.inputs, rows / 2)).accuracy is None


def test_gradients_that_nobody_steps_by_do_not_add_up(rng):
    model, recorder = nn.Sequential(nn.Linear(4, 4, rng), nn.Linear(4, 3, rng)), Recorder()
    bh.fit(model, points(), loss=losses.cross_entropy, optimizer=SGD(model[1].parameters(), lr=1e-12), rng=rng,
           epochs=3, batch_size=None, validation=None, callbacks=[recorder])
    first, _, last = (gradients["0.weight"] for gradients in recorder.gradients)
    np.testing.assert_allclose(first, last, rtol=1e-4)
    assert all(p.grad is None for p in model.parameters())


def test_frozen_layers_stay_as_they_are(rng):
    model = nn.Sequential(nn.Linear(4, 4, rng).freeze(), nn.Linear(4, 3, rng))
    before = model.state_dict()
    bh.fit(model, points(), loss=losses.cross_entropy, optimizer=SGD(model[1].parameters(), lr=0.1), rng=rng)
    after = model.state_dict()
    assert [name for name in before if not np.array_equal(before[name], after[name])] == ["1.weight", "1.bias"]
