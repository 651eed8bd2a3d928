"""What a notebook and a terminal show of a model, a history, an evaluation, a Tensor and a saved model."""

import numpy as np
import pytest
from outcomes import outcome
from pages import Page, pixels

import byhand as bh
from byhand import Tensor, nn
from byhand.callbacks import BatchLosses, History, Run
from byhand.files import SavedModel


@pytest.fixture(scope="module")
def run():
    return outcome(epochs=3)


def shown(thing):
    return Page(thing._repr_html_())


def test_a_model(run):
    read = shown(run.model)
    assert read.rows(("", "layer")) == [
        ["0", "Flatten()", "0"], ["1", "Linear(in_features=36, out_features=8)", "296"], ["2", "ReLU()", "0"],
        ["3", "Linear(in_features=8, out_features=3)", "27"]]
    assert read.text_of("p") == run.model.totals() == "323 parameters, 323 of them trained; 1 KB"
    assert shown(nn.ReLU()).rows(("", "layer")) == [["–", "ReLU()", "0"]]


def test_a_history(run):
    history = run.history
    assert isinstance(history, list) and type(history) is History
    head, *lines = repr(history).splitlines()
    assert head.split()[:3] == ["epoch", "loss", "accuracy"] and len(lines) == 3
    assert lines[2].split()[:2] == ["3", f"{history[2]['loss']:.4g}"] and len({len(line) for line in lines}) == 1
    read = shown(history)
    assert len(read.all("svg")) == 2 and [row[0] for row in read.rows(("epoch", "loss"))] == ["1", "2", "3"]
    assert repr(History()) == "epoch" and shown(History()).all("svg") == []
    long = History({"epoch": n + 1, "loss": 1 / (n + 1)} for n in range(1000))
    assert [line.split()[0] for line in repr(long).splitlines()] == [
        "epoch", *map(str, range(1, 11)), "…", *map(str, range(991, 1001))]


def test_fit_returns_one(rng):
    model = nn.Sequential(nn.Linear(2, 2, rng))
    done = bh.fit(model, (rng.normal(size=(20, 2)).astype(np.float32), np.arange(20) % 2), rng=rng,
                  loss=bh.losses.cross_entropy, optimizer=bh.optim.SGD(model.parameters(), lr=0.1))
    assert type(done.history) is History and "validation accuracy" in repr(done.history)


def test_a_run(rng):
    model = nn.Sequential(nn.Linear(2, 2, rng))
    data = rng.normal(size=(20, 2)).astype(np.float32), np.arange(20) % 2
    done = bh.fit(model, data, test=data, rng=rng, epochs=2, batch_size=5, loss=bh.losses.cross_entropy,
                  optimizer=bh.optim.SGD(model.parameters(), lr=0.1))
    last = done.history[-1]
    said = (f"Run at epoch 2 of 2, step {done.step}: loss {last['loss']:.4g}, accuracy {100 * last['accuracy']:.2f} %, "
            f"validation loss {last['validation_loss']:.4g}, validation accuracy "
            f"{100 * last['validation_accuracy']:.2f} %")
    assert repr(done) == f"<{said}>" and done.step > 4
    read = shown(done)
    assert [text for _, _, text in read.all("p")] == [said, repr(done.test).strip("<>")]
    assert len(read.all("svg")) == 2 and len(read.rows(("epoch", "loss"))) == 2
    assert len(read.rows(("is ↓ read →", "0", "1"))) == 2
    failed = bh.fit(model, (data[0] * np.float32(1e30), data[1]), rng=rng, loss=bh.losses.cross_entropy,
                    optimizer=bh.optim.SGD(model.parameters(), lr=1e30), epochs=9)
    assert repr(failed).startswith("<Run at epoch 1 of 9, step 1: ")
    assert failed.failed and repr(failed).endswith(f"; stopped: {failed.stopped.rstrip('.')}>")
    assert shown(failed).all("svg") == []


def test_an_evaluation(run):
    found = bh.evaluate(run.model, run.test, loss=bh.losses.cross_entropy)
    low, high = found.interval
    said = (f"Evaluation of 120 samples, {100 * found.accuracy:.2f} % right (95 % interval {100 * low:.2f} to "
            f"{100 * high:.2f} %), loss {found.loss:.4g}")
    assert repr(found) == f"<{said}>" and shown(found).text_of("p") == said
    rows = shown(found).rows(("is ↓ read →", "0", "1", "2"))
    right = sum(int(row[n + 1].replace("·", "0")) for n, row in enumerate(rows))
    assert right == round(found.accuracy * 120)
    assert found.targets is run.test.targets and found.classes == ("0", "1", "2")


def test_an_evaluation_of_one_output_and_of_none_that_are_classes(rng):
    model = nn.Sequential(nn.Linear(2, 1, rng))
    inputs = rng.normal(size=(6, 2)).astype(np.float32)
    assert len(shown(bh.evaluate(model, (inputs, np.arange(6) % 2))).rows(("is ↓ read →", "0", "1"))) == 2
    real = bh.evaluate(model, (inputs, inputs[:, :1]))
    assert repr(real) == "<Evaluation of 6 samples>" == f"<{shown(real).text_of('p')}>"


def test_a_tensor():
    read = shown(Tensor(np.array([[1.0, -2.0], [0.5, np.nan]], np.float32)))
    assert read.text_of("p") == "Tensor of shape (2, 2), float32, from -2 to 1, mean -0.1667, 1 not finite"
    picture = pixels(read.all("img")[0][1]["src"])
    assert picture.shape == (240, 240, 4) and picture[0, 239, 3] == 255 and picture[239, 239, 3] == 0
    assert shown(Tensor([1.0, 2.0])).text_of("pre") == "Tensor([1., 2.])"
    for odd in (np.zeros((0, 3)), np.full((2, 2), np.inf), np.zeros((600, 2)), np.zeros((2, 2, 2)), np.array(True)):
        assert shown(Tensor(odd)).all("img") == []
    assert shown(Tensor(np.zeros((2, 3), np.uint8))).all("img")


def test_a_saved_model(run, tmp_path):
    bh.save(run.model, tmp_path / "a.safetensors", input_shape=(1, 6, 6), classes=("<i>", "b", "c"), recipe="mlp",
            metrics={"test_accuracy": 0.98765, "test_interval": [0.9, 1.0]})
    saved = bh.load(tmp_path / "a.safetensors")
    assert repr(saved) == "<SavedModel: mlp, reads (1, 6, 6), 3 classes, test_accuracy 0.9877>"
    assert str(saved) == f"{saved!r}\n\n{run.model.summary((1, 6, 6))}"
    read = shown(saved)
    assert read.rows(("", "layer", "output"))[1] == ["1", "Linear(in_features=36, out_features=8)", "8", "296"]
    bare = SavedModel(nn.Sequential(nn.ReLU()))
    assert repr(bare) == str(bare) == "<SavedModel: Sequential(ReLU())>" and shown(bare).rows(("", "layer"))


# --- the losses of the batches ----------------------------------------------------------------------------------------


def stepped(losses, batches, callback):
    """A run of these losses, seen by the callback."""
    run = Run(nn.ReLU(), bh.optim.SGD([Tensor([1.0], requires_grad=True)], lr=0.1), 1, batches, batches)
    callback.on_train_begin(run)
    for run.step, run.loss in enumerate(losses):
        callback.on_step(run)
    return callback


def test_batch_losses_take_no_more_room_in_a_long_run():
    assert stepped([3.0, 2.0, 1.0], 2, BatchLosses()).points == [(0.5, 3.0), (1.0, 2.0), (1.5, 1.0)]
    long = stepped(range(100_000), 1000, BatchLosses())
    assert 200 <= len(long.points) < 400 and long.every == 256
    assert long.points[0] == (0.256, 127.5) and long.points[-1] == (99.84, 99_711.5)
    np.testing.assert_allclose(np.diff([y for _, y in long.points]), 256)


def test_batch_losses_go_on_where_they_were():
    losses = np.arange(1000.0)
    whole, part, rest = stepped(losses, 100, BatchLosses()), stepped(losses[:777], 100, BatchLosses()), BatchLosses()
    rest.load_state_dict(part.state_dict())
    run = Run(nn.ReLU(), bh.optim.SGD([Tensor([1.0], requires_grad=True)], lr=0.1), 1, 100, 100)
    for run.step, run.loss in enumerate(losses[777:].tolist(), 777):
        rest.on_step(run)
    assert rest.points == whole.points
