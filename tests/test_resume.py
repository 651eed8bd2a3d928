"""A run that was interrupted goes on to the same bits: from every step, whatever remembers something."""

import copy
import json
import os
import signal

import numpy as np
import pytest
from training import At, interrupt, network, samples

import byhand as bh
from byhand import losses, nn
from byhand.callbacks import Callback, Checkpoint, EarlyStopping, ReduceOnPlateau, Schedule
from byhand.data import Dataset, Loader
from byhand.files import latest_checkpoint, load_checkpoint, save_checkpoint
from byhand.optim import SGD, Adam, AdamW, Nesterov
from byhand.schedules import Cosine, OnPlateau


def dropping():
    rng = np.random.default_rng(1)
    return nn.Sequential(nn.Linear(3, 8, rng), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2, rng))


def shaken(inputs, rng):
    return inputs + rng.standard_normal(inputs.shape).astype(np.float32)


def weighted():
    data = samples(30)
    return Dataset(data.inputs, data.targets, weights=np.repeat([0, 1, 2], 10).astype(np.float32))


class Averaged(Callback):
    """A callback of one's own with a state: the running mean of the weights."""

    def on_train_begin(self, run):
        self.mean = run.optimizer.flat.copy()

    def on_step_end(self, run):
        self.mean += 0.1 * (run.optimizer.flat - self.mean)

    def state_dict(self):
        return {"mean": self.mean}

    def load_state_dict(self, state):
        self.mean = state["mean"].copy()


RUNS = {  # what makes it, and what it is given
    "batch norm, dropout, augmentation, a schedule": lambda: (
        dropping(), {"augment": shaken, "callbacks": [Schedule(Cosine())]},
        lambda p: AdamW(p, lr=0.05)),
    "early stopping": lambda: (
        network(), {"epochs": 12, "callbacks": [EarlyStopping(2, "validation_loss"), Schedule(Cosine(0.5))]},
        lambda p: Adam(p, lr=0.5)),
    "a rate lowered on a plateau": lambda: (
        network(), {"epochs": 6, "callbacks": [ReduceOnPlateau(OnPlateau(0.5, patience=0, threshold=0.2))]},
        lambda p: Nesterov(p, lr=0.5)),
    "one sample at a time, in order": lambda: (
        dropping(), {"batch_size": 5, "shuffle": False, "epochs": 2}, lambda p: SGD(p, lr=0.05)),
    "full batches": lambda: (network(), {"batch_size": None, "epochs": 6}, lambda p: Adam(p, lr=0.05)),
    "full batches that are augmented": lambda: (
        network(), {"batch_size": None, "augment": shaken, "epochs": 4}, lambda p: SGD(p, lr=0.05)),
    "a last batch left out, and a callback with a state": lambda: (
        network(), {"batch_size": 16, "drop_last": True, "callbacks": [Averaged()]}, lambda p: SGD(p, lr=0.05)),
    "no validation": lambda: (network(), {"validation": None}, lambda p: SGD(p, lr=0.05)),
    "batches without weight": lambda: (
        network(), {"data": weighted(), "validation": None, "shuffle": False}, lambda p: Adam(p, lr=0.05)),
    "groups, and one that is frozen": lambda: (network(), {}, lambda p: Adam(
        [{"parameters": p[:2], "lr": 0.1}, {"parameters": p[2:]}], lr=0.05, clip_norm=1.0)),
    "another generator": lambda: (dropping(), {"bits": np.random.MT19937}, lambda p: SGD(p, lr=0.05)),
}


def train(make, *extra, resume=None):
    """The run, with all that counts of it: no clock."""
    model, options, optimizer = make()
    options = {"epochs": 3, "batch_size": 8, "validation": 0.2, "bits": np.random.PCG64, "callbacks": [],
               "data": samples(40)} | options
    callbacks = [*options.pop("callbacks"), *extra]
    rng = np.random.Generator(options.pop("bits")(5))
    optimizer = optimizer(model.parameters())
    run = bh.fit(model, options.pop("data"), loss=losses.cross_entropy, optimizer=optimizer, rng=rng,
                 callbacks=callbacks, resume=resume, **options)
    state = run.state_dict()
    state["counters"]["seconds"] = 0
    state["history"] = [record | {"seconds": 0} for record in state["history"]]
    return state, run


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b or (a != a and b != b)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("make", RUNS.values(), ids=RUNS)
def test_from_every_step_to_the_same_bits(make):
    states = []
    whole, run = train(make, Checkpoint(lambda run: states.append(copy.deepcopy(run.state_dict())), seconds=0))
    assert len(states) >= run.step > 3
    for number, state in enumerate(states):
        path = f"checkpoint-{number}"
        save_checkpoint(state, path)
        again, _ = train(make, Checkpoint(lambda run: None), resume=load_checkpoint(path))
        assert same(again, whole), f"state {number} of {len(states)}"


def test_these_runs_do_what_they_are_for():
    _, stopped = train(RUNS["early stopping"])
    assert 3 < stopped.epoch < 12 and stopped.stopped
    _, lowered = train(RUNS["a rate lowered on a plateau"])
    assert len({record["learning_rate"] for record in lowered.history}) > 1
    assert all(not same(train(make)[0], train(make, At(3, interfere))[0]) for make in RUNS.values())


def interfere(run):
    run.optimizer.flat[0] += 1e-6


def test_the_clock_and_the_history_go_on():
    states = []
    _, whole = train(RUNS["full batches"], Checkpoint(lambda run: states.append(run.state_dict()), steps=4))
    state = states[1]  # the first is that of the first epoch
    assert state["counters"]["step"] == 4
    state["counters"]["seconds"] = 1000.0
    _, run = train(RUNS["full batches"], resume=state)
    assert [record["epoch"] for record in run.history] == [1, 2, 3, 4, 5, 6]
    assert run.history[2]["seconds"] < 10 and 1000 < run.history[-1]["seconds"] == run.seconds < 1010
    assert whole.seconds < 10


def test_parameters_that_are_not_the_models_are_saved_too(rng):
    def run(resume=None, keep=None):
        model, bias = network(), bh.Tensor(np.zeros(2, np.float32), requires_grad=True)
        bh.fit(model, samples(), loss=lambda out, targets: losses.cross_entropy(out + bias, targets), epochs=2,
               optimizer=SGD([*model.parameters(), bias], lr=0.1), rng=np.random.default_rng(0), resume=resume,
               callbacks=[Checkpoint(keep)] if keep else [])
        return bias.data

    states = []
    whole = run(keep=lambda run: states.append(copy.deepcopy(run.state_dict())))
    assert whole.any() and np.array_equal(run(states[0]), whole)


# --- when it is saved -------------------------------------------------------------------------------------------------


def saved_at(**options):
    steps = []
    train(RUNS["no validation"], Checkpoint(lambda run: steps.append((run.epoch, run.step)), **options))
    return steps


def test_saved_every_so_many_steps_or_seconds():
    assert saved_at(steps=2) == [(0, 2), (0, 4), (1, 5), (1, 6), (1, 8), (1, 10), (2, 12), (2, 14), (3, 15)]
    assert saved_at(seconds=1000) == [(1, 5), (3, 15)]
    assert len(saved_at(seconds=0)) == 15 + 3


@pytest.mark.parametrize(("options", "sentence"), [
    ({"seconds": -1}, "a number of seconds of 0 or more, got -1"), ({"seconds": np.nan}, "got nan"),
    ({"seconds": np.inf}, "got inf"), ({"steps": 0}, "steps"), ({"steps": 1.5}, "steps"),
])
def test_saving_needs_a_sensible_time(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Checkpoint(print, **options)


def test_whoever_has_a_state_comes_before():
    with pytest.raises(ValueError, match=r"would save EarlyStopping before .*; put Checkpoint behind it"):
        train(lambda: (network(), {"callbacks": [Checkpoint(print), EarlyStopping()]}, lambda p: SGD(p, lr=0.1)))


def test_where_it_cannot_be_written_training_goes_on():
    said, tried = [], []

    def save(run):
        tried.append(run.step)
        if run.step not in (4, 5, 6):
            raise OSError(f"step {run.step} cannot be written.")

    train(RUNS["no validation"], Checkpoint(save, steps=1, notify=said.append))
    goes_on = "cannot be written. Training goes on, without a new checkpoint until that can be written."
    assert said == [f"step 1 {goes_on}", f"step 7 {goes_on}"] and len(tried) == 15 + 2
    with pytest.warns(UserWarning, match="cannot be written: .* Training goes on"):
        train(RUNS["no validation"], Checkpoint(lambda run: save_checkpoint(run.state_dict(), "no/such/folder")))


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


def press(run):
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_waits_for_the_end_of_the_step():
    states, usual = [], signal.getsignal(signal.SIGINT)
    make = RUNS["batch norm, dropout, augmentation, a schedule"]
    keep = Checkpoint(lambda run: states.append(copy.deepcopy(run.state_dict())))
    with pytest.raises(KeyboardInterrupt):
        train(make, At(6, press), keep)
    assert signal.getsignal(signal.SIGINT) is usual
    assert states[-1]["counters"]["step"] == 6
    assert same(train(make, resume=states[-1])[0], train(make)[0])


def test_ctrl_c_twice_does_not_wait():
    steps = []
    with pytest.raises(KeyboardInterrupt):
        train(RUNS["no validation"], At(2, press), At(2, press), Checkpoint(lambda run: steps.append(run.step)))
    assert steps == []


class AtTheEnd(Callback):
    def on_train_end(self, run):
        press(run)


def test_ctrl_c_after_the_last_step_is_not_lost():
    with pytest.raises(KeyboardInterrupt):
        train(RUNS["no validation"], Checkpoint(lambda run: None), AtTheEnd())


def test_other_handlers_are_left_alone():
    heard = []
    usual = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        train(RUNS["no validation"], At(2, press), Checkpoint(lambda run: None))
    finally:
        signal.signal(signal.SIGINT, usual)
    assert heard == [signal.SIGINT]


# --- the loader, and files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"batch_size": 7}, {"batch_size": 7, "drop_last": True}, {"batch_size": None},
                                     {"batch_size": 7, "augment": shaken}])
def test_a_loader_starts_in_the_middle(options):
    def loader():
        rng = np.random.default_rng(3)
        return rng, Loader(samples(30), rng=rng, **options)

    for position in range(len(loader()[1]) + 1):
        rng, first = loader()
        batches = iter(first)
        for _ in range(position):
            next(batches)
        state, generator = json.loads(json.dumps(first.state_dict())), rng.bit_generator.state
        rest = [inputs for inputs, _, _ in batches] + [inputs for inputs, _, _ in first]
        rng, second = loader()
        second.load_state_dict(state)
        rng.bit_generator.state = generator
        again = [inputs for inputs, _, _ in second] + [inputs for inputs, _, _ in second]
        if position == 0:  # where nothing had been drawn, the first pass is a whole one
            again = again[:len(rest)]
        assert len(again) == len(rest) and all(map(np.array_equal, rest, again)), position


def test_a_pass_that_was_left_is_not_gone_on_with(rng):
    loader = Loader(samples(30), 7, rng=rng)
    next(iter(loader))
    assert len(list(loader)) == 5


def test_the_checkpoint_before_is_kept():
    for number in range(3):
        save_checkpoint({"number": number, "array": np.arange(number)}, "run.safetensors")
    assert sorted(os.listdir()) == ["run-previous.safetensors", "run.safetensors"]
    assert load_checkpoint("run.safetensors")["number"] == 2
    assert load_checkpoint("run-previous.safetensors")["number"] == 1
    os.remove("run.safetensors")  # as between the two renames
    assert latest_checkpoint("run.safetensors", pytest.fail)["number"] == 1
    assert latest_checkpoint("other.safetensors", pytest.fail) is None


def test_a_state_comes_back_as_it_was():
    state = {"a": {"b": np.arange(6).reshape(2, 3).T, "c": [1, None, "x", np.float64(np.inf)]}, "a/b": np.float32(0.1),
             "": {}, "empty": np.zeros((0, 3)), "a/": {"/b": np.array(True)}, "a//": {"b": np.array(2)},
             "large": 2**127, "tuple": (1.0, -0.0), "nan": float("nan")}
    save_checkpoint(state, "state")
    back = load_checkpoint("state")
    assert same(back, state) and repr(back["tuple"]) == "[1.0, -0.0]"


@pytest.mark.parametrize(("value", "what"), [(print, "JSON"), ({1, 2}, "JSON"), (b"bytes", "JSON"),
                                             (np.array("text"), "safetensors"), (np.array([None]), "safetensors")])
def test_what_no_file_can_hold_is_refused(value, what):
    with pytest.raises(ValueError, match=f"a run's state must be something that {what} can hold"):
        save_checkpoint({"value": value}, "state")
    assert os.listdir() == []


def test_an_interrupted_fit_goes_on(rng):
    """As in the documentation: the same call again, with what was saved."""
    def fit(*callbacks, resume=None):
        model = network()
        bh.fit(model, samples(), loss=losses.cross_entropy, optimizer=Adam(model.parameters()), epochs=3,
               rng=np.random.default_rng(0), callbacks=callbacks, resume=resume)
        return model.state_dict()

    whole = fit()
    with pytest.raises(KeyboardInterrupt):
        fit(At(3, interrupt), Checkpoint(lambda run: save_checkpoint(run.state_dict(), "run.safetensors"), steps=1))
    assert same(fit(resume=latest_checkpoint("run.safetensors", print)), whole)
