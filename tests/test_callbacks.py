"""What listens to training: it is told in order, and what it says or does is right."""

import io
import math

import numpy as np
import pytest
from rich.console import Console
from training import At, Rates, interrupt, network, samples, train

import byhand as bh
from byhand.callbacks import Callback, EarlyStopping, ReduceOnPlateau, Schedule, StopOnNaN
from byhand.optim import SGD, Adam
from byhand.progress import ProgressBar, epoch_line
from byhand.schedules import Cosine, OneCycle, OnPlateau


class Diary(Callback):
    def __init__(self, name, pages):
        self.name, self.pages = name, pages

    def on_train_begin(self, run):
        self.pages.append(f"{self.name} begin")

    def on_step(self, run):
        self.pages.append(f"{self.name} step {run.step + 1}")

    def on_epoch_end(self, run):
        self.pages.append(f"{self.name} epoch {run.epoch}")

    def on_train_end(self, run):
        self.pages.append(f"{self.name} end")


# --- when they are told -----------------------------------------------------------------------------------------------


def test_four_calls_in_order():
    pages = []
    train(network(), Diary("a", pages), Diary("b", pages), batch_size=20, epochs=2)
    assert pages == ["a begin", "b begin",
                     "a step 1", "b step 1", "a step 2", "b step 2", "a epoch 1", "b epoch 1",
                     "a step 3", "b step 3", "a step 4", "b step 4", "a epoch 2", "b epoch 2",
                     "b end", "a end"]


def test_those_that_were_told_of_the_beginning_are_told_of_the_end_even_after_ctrl_c():
    pages = []
    with pytest.raises(KeyboardInterrupt):
        train(network(), Diary("a", pages), At(2, interrupt))
    assert pages == ["a begin", "a step 1", "a step 2", "a end"]


def test_a_step_sees_gradients_before_the_update():
    model, seen = network(), []
    before = model.state_dict()

    def look(run):
        seen.append([p.grad is not None for p in run.model.parameters()])
        assert all(np.array_equal(before[name], p.data) for name, p in run.model.named_parameters())
        assert run.loss > 0 and run.inputs.shape == (10, 3) and run.progress == 0

    train(model, At(1, look), epochs=1)
    assert seen == [[True] * 4]


def test_a_callback_can_end_the_run():
    def stop(run):
        run.stopped = "enough"

    run = train(network(), At(6, stop), epochs=5)  # in the second epoch, before the update
    assert (run.step, run.epoch, run.stopped, run.failed) == (5, 2, "enough", False)
    assert len(run.history) == 2


# --- learning rate ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [Cosine(), OneCycle()])
def test_every_step_uses_the_rate_of_the_schedule(schedule):
    model, seen = network(), Rates()
    optimizer = SGD(model.parameters(), lr=0.5)
    run = train(model, Schedule(schedule), seen, optimizer=optimizer)
    assert seen.rates == [0.5 * schedule(step / 12) for step in range(12)]
    assert run.history[0]["learning_rate"] == seen.rates[3]
    assert optimizer.lr == 0.5  # as it was, for whoever trains on


def test_the_update_really_uses_it():
    model = network()
    before = model.state_dict()
    train(model, Schedule(lambda progress: 0.0), epochs=1)
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("monitor", ["loss", "validation_accuracy"])
def test_the_rate_falls_on_a_plateau(monitor):
    run = train(network(), ReduceOnPlateau(OnPlateau(factor=0.5, patience=1), monitor), lr=1e-9, epochs=5,
                batch_size=None, validation=samples(seed=1))  # nothing improves at such a rate
    rates = [record["learning_rate"] for record in run.history]
    assert rates == [1e-9, 1e-9, 1e-9, 0.5e-9, 0.5e-9]


def test_a_second_run_starts_where_the_first_one_ended_and_not_lower():
    model, watcher = network(), ReduceOnPlateau(OnPlateau(factor=0.5, patience=1), "loss")
    optimizer = SGD(model.parameters(), lr=1e-9)
    options = {"optimizer": optimizer, "epochs": 4, "batch_size": None}
    rates = []
    for _ in range(2):
        rates += [record["learning_rate"] for record in train(model, watcher, **options).history]
        assert optimizer.lr == 1e-9
    assert rates == [1e-9, 1e-9, 1e-9, 0.5e-9, 0.5e-9, 0.25e-9, 0.25e-9, 0.125e-9]


@pytest.mark.parametrize(("schedule", "sentence"), [
    (OnPlateau(), r"use ReduceOnPlateau\(OnPlateau\(\)\) instead"),
    (Cosine, "Schedule needs a schedule"),
    (0.1, "Schedule needs a schedule, such as .*, got 0.1"),
])
def test_what_is_no_schedule(schedule, sentence):
    with pytest.raises(ValueError, match=sentence):
        Schedule(schedule)


# --- early stopping ---------------------------------------------------------------------------------------------------


class Script(Callback):
    """Writes figures of its own into the records, and the epoch into a weight."""

    def __init__(self, name, figures):
        self.name, self.figures = name, figures

    def on_epoch_end(self, run):
        run.history[-1][self.name] = self.figures[run.epoch - 1]
        run.model[0].bias.data[:] = run.epoch


@pytest.mark.parametrize(("monitor", "figures", "options", "best", "epochs"), [
    ("validation_loss", [3, 1, 2, 2, 2, 2, 2], {"patience": 3}, 2, 5),
    ("validation_accuracy", [0.5, 0.7, 0.9, 0.8, 0.6, 0.7], {"patience": 2}, 3, 5),
    ("validation_loss", [3, 2.95, 2.9, 2.85, 2.8], {"patience": 2, "min_delta": 0.5}, 1, 3),
    ("validation_loss", [3, 2, 1, 0.5], {"patience": 1}, 4, 4),
    ("validation_loss", [3, 2, math.nan, math.nan], {"patience": 2}, 2, 4),
])
def test_early_stopping_gives_back_the_best_weights(monitor, figures, options, best, epochs):
    model = network()
    run = train(model, Script(monitor, figures), EarlyStopping(monitor=monitor, **options), epochs=len(figures))
    assert model[0].bias.data.tolist() == [best] * 8
    assert run.epoch == epochs
    stopped_early = epochs < len(figures) or best < epochs
    assert run.stopped == (f"{monitor} has not improved since epoch {best}, whose weights are restored"
                           if stopped_early else "")
    assert not run.failed


def test_early_stopping_gives_back_the_best_weights_after_ctrl_c():
    model = network()
    with pytest.raises(KeyboardInterrupt):
        train(model, Script("loss", [1, 2, 3]), EarlyStopping(monitor="loss"), At(10, interrupt))
    assert model[0].bias.data.tolist() == [1] * 8


@pytest.mark.parametrize("watcher", [EarlyStopping(), ReduceOnPlateau(OnPlateau()), EarlyStopping(monitor="los")])
def test_what_is_not_measured_cannot_be_monitored(watcher):
    with pytest.raises(ValueError, match=r"there is no '.*' to monitor: an epoch's record has epoch, loss, accuracy"):
        train(network(), watcher)


@pytest.mark.parametrize("patience", [0, -1, 2.5, True])
def test_patience_is_a_number_of_epochs(patience):
    with pytest.raises(ValueError, match="EarlyStopping needs patience to be a whole number of at least 1"):
        EarlyStopping(patience)


# --- progress ---------------------------------------------------------------------------------------------------------


def printed(epochs, **options):
    text = io.StringIO()
    train(network(), ProgressBar(Console(file=text, width=80)), epochs=epochs, **options)
    return text.getvalue().splitlines()


def test_a_line_an_epoch():
    lines = printed(3, validation=0.25)
    assert [line[:9] for line in lines[:3]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all("% right; validation" in line for line in lines[:3])
    assert all(len(line) <= 80 for line in lines)


def test_some_twenty_lines_for_many_epochs():
    lines = printed(500, batch_size=None)
    assert 20 <= len(lines) <= 23
    assert lines[0].startswith("epoch   1/500") and lines[-2].startswith("epoch 500/500")


def test_why_it_stopped_is_told():
    assert any(line.startswith("Stopped early: loss has not improved") for line in printed_with_early_stopping())


def printed_with_early_stopping():
    text = io.StringIO()
    train(network(), Script("loss", [1, 2, 2, 2]), EarlyStopping(1, "loss"), ProgressBar(Console(file=text, width=200)),
          epochs=4)
    return text.getvalue().splitlines()


@pytest.mark.parametrize(("record", "line"), [
    ({"epoch": 1, "loss": 0.5, "seconds": 2.04}, "epoch  1/20  loss 0.5000; 2.0 s"),
    ({"epoch": 20, "loss": 0.5, "accuracy": 0.9, "validation_accuracy": 0.875, "seconds": 1},
     "epoch 20/20  loss 0.5000, 90.00 % right; validation 87.50 %; 1.0 s"),
    ({"epoch": 3, "loss": 0.5, "accuracy": 0.9, "validation_loss": 0.25, "validation_accuracy": 1.0, "seconds": 1},
     "epoch  3/20  loss 0.5000, 90.00 % right; validation 0.2500, 100.00 %; 1.0 s"),
    ({"epoch": 3, "loss": 123456789.0, "validation_loss": 1e4, "seconds": 1},
     "epoch  3/20  loss 1.235e+08; validation 1e+04; 1.0 s"),
])
def test_an_epoch_in_a_line(record, line):
    assert epoch_line(record, 20) == line


def test_adam_and_a_schedule_and_a_stop_together():
    model = network()
    run = train(model, Schedule(Cosine()), EarlyStopping(2, "validation_accuracy"), StopOnNaN(),
                validation=samples(seed=1), optimizer=Adam(model.parameters(), lr=0.1), epochs=30)
    best = max(record["validation_accuracy"] for record in run.history)
    assert bh.evaluate(model, samples(seed=1)).accuracy == best > 0.9
