"""The recipes: each is the network and the data that it says, and leaves behind what it promises."""

import json
from importlib import resources

import numpy as np
import pytest

import byhand as bh
from byhand.callbacks import Callback
from byhand.data import Dataset, Normalize, Splits
from byhand.recipes import (
    RECIPES, TrainingFailed, as_text, find, overview, run_folder, run_recipe, run_seeds, sentence
)
from byhand.recipes.several import in_words

NAMES = [recipe.name for recipe in RECIPES]
QUICK = {"scalar": {"images": 20}, "numpy-tutorial": {"epochs": 1}, "binary-zero-one": {"epochs": 2}}
PROMISED = {"version", "recipe", "dataset", "train_samples", "seed", "epochs", "parameters", "train_accuracy",
            "validation_accuracy", "test_accuracy", "test_interval", "train_seconds", "total_seconds",
            "samples_per_second", "kernels", "threads", "run", "model"}
RUN_FOLDER = {"model.safetensors", "config.json", "history.jsonl", "measurements.json", "model-card.md", "report.html",
              "result.json"}


def quick(name):
    """The recipe, made short."""
    return find(name).having(**QUICK.get(name, {"epochs": 1}))


@pytest.fixture(scope="module")
def tiny():
    mini = bh.data.load("mini")
    return Splits(mini.train[:300], mini.test[:100], mini.source)


@pytest.fixture(scope="module")
def numbered():
    """As large as MNIST; the first four bytes of each picture say which it is."""
    def part(n, start):
        pictures = np.zeros((n, 1, 28, 28), np.uint8)
        pictures[:, 0, 0, :4] = np.arange(start, start + n, dtype=np.uint32).view(np.uint8).reshape(n, 4)
        return Dataset(pictures, np.arange(n) % 10, tuple("0123456789"), "numbered")

    return Splits(part(60_000, 0), part(10_000, 60_000))


def numbers(dataset):
    return np.ascontiguousarray(dataset.inputs[:, 0, 0, :4]).view(np.uint32).reshape(-1)


# --- each is what it says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "parameters"), [
    ("binary-zero-one", 784 * 128 + 128 + 128 * 64 + 64 + 64 + 1), ("relu-10", 784 * 10 + 10 + 10 * 10 + 10),
    ("scalar", 784 * 10 + 10 + 10 * 10 + 10), ("sigmoid-72-36", 784 * 72 + 72 + 72 * 36 + 36 + 36 * 10 + 10),
    ("numpy-tutorial", 784 * 100 + 100 * 10), ("mlp", 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10),
    ("lenet", 61_706), ("fast-2021", 24 * 25 + 24 + 32 * 24 * 9 + 32 + 800 * 256 + 256 + 256 * 10 + 10),
    ("fast", 24 * 36 + 2 * 24 + 48 * 24 * 9 + 2 * 48 + 768 * 10 + 10),
])
def test_networks_have_their_published_size(name, parameters, rng):
    assert sum(p.size for p in find(name).network(rng).parameters()) == parameters


@pytest.mark.parametrize(("name", "train", "validation", "test"), [
    ("binary-zero-one", [n for n in range(60_000) if n % 10 < 2], None,
     [n for n in range(60_000, 70_000) if n % 10 < 2]),
    ("sigmoid-72-36", range(10_000), range(10_000, 11_000), range(60_000, 70_000)),
    ("numpy-tutorial", range(1_000), range(1_000, 2_000), range(60_000, 61_000)),
])
def test_some_look_at_the_first_samples(name, train, validation, test, numbered, rng):
    parts = find(name).parts(numbered, rng)
    assert numbers(parts.train).tolist() == list(train)
    assert numbers(parts.test).tolist() == list(test)
    assert parts.validation is None if validation is None else numbers(parts.validation).tolist() == list(validation)


@pytest.mark.parametrize(("name", "train", "validation"), [
    ("relu-10", 41_000, 1_000), ("scalar", 3_000, 500), ("mlp", 55_000, 5_000), ("lenet", 55_000, 5_000),
    ("fast", 55_000, 5_000), ("convnet", 55_000, 5_000),
])
def test_others_draw_theirs_and_none_sees_the_test_set(name, train, validation, numbered):
    parts = find(name).parts(numbered, np.random.default_rng(0))
    learned, watched, tested = (numbers(part) for part in (parts.train, parts.validation, parts.test))
    assert (len(learned), len(watched)) == (train, validation)
    assert len(np.unique(np.concatenate([learned, watched]))) == train + validation
    assert max(learned.max(), watched.max()) < 60_000 and tested.tolist() == list(range(60_000, 70_000))
    again, other = (find(name).parts(numbered, np.random.default_rng(seed)) for seed in (0, 1))
    assert np.array_equal(numbers(again.train), learned) and not np.array_equal(numbers(other.train), learned)
    if validation == 5_000:
        assert parts.validation.counts().tolist() == [500] * 10


@pytest.mark.parametrize(("name", "settings"), [
    ("binary-zero-one", {"epochs": 250, "batch_size": None, "lr": 0.01}),
    ("relu-10", {"epochs": 500, "batch_size": None, "lr": 0.1}),
    ("sigmoid-72-36", {"epochs": 500, "batch_size": None, "lr": 1.0}),
    ("numpy-tutorial", {"epochs": 20, "batch_size": 1, "lr": 0.005}),
])
def test_published_settings_are_kept(name, settings):
    assert find(name).settings() == settings


@pytest.mark.parametrize(("name", "low", "high"), [("relu-10", -0.5, 0.5), ("sigmoid-72-36", -0.5, 0.5),
                                                   ("numpy-tutorial", -0.1, 0.1)])
def test_published_first_weights_are_kept(name, low, high, rng):
    values = np.concatenate([p.data.reshape(-1) for p in find(name).network(rng).parameters()])
    assert low <= values.min() < 0.99 * low and 0.99 * high < values.max() <= high


def test_pixels_go_in_as_published():
    assert find("sigmoid-72-36").normalize == Normalize(scale=1.0)
    for name in ("binary-zero-one", "relu-10", "scalar", "numpy-tutorial"):
        assert find(name).normalize == Normalize()


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "value"), [
    ({"lr": "1e-3"}, 0.001), ({"lr": 1}, 1.0), ({"epochs": "7"}, 7), ({"batch_size": " 64 "}, 64),
    ({"batch_size": "none"}, None), ({"batch_size": None}, None), ({"beta1": "0"}, 0.0),
])
def test_settings_can_be_changed(given, value):
    changed = find("fast").having(**given)
    (name,) = given
    assert changed.settings()[name] == value and type(changed.settings()[name]) is type(value)
    assert find("fast").settings()["lr"] != 0.001, "the recipe itself stays as it is"


@pytest.mark.parametrize(("given", "said"), [
    ({"lrr": 1}, "the recipe fast has no setting 'lrr'; it has epochs, batch_size, lr, .*Did you mean lr?"),
    ({"name": "x"}, "the recipe fast has no setting 'name'"),
    ({"lr": "fast"}, "lr needs a number, got 'fast'"),
    ({"lr": ""}, "lr needs a number, got ''"),
    ({"lr": "nan"}, "lr needs a number from 0 to 1,000,000,000, got 'nan'"),
    ({"lr": "inf"}, "lr needs a number from 0 to 1,000,000,000, got 'inf'"),
    ({"lr": "-0.1"}, "lr needs a number from 0 to"),
    ({"lr": None}, "lr needs a number, got 'None'"),
    ({"epochs": "1.5"}, "epochs needs a whole number, got '1.5'"),
    ({"epochs": 2.5}, "epochs needs a whole number, got '2.5'"),
    ({"epochs": True}, "epochs needs a whole number, got 'True'"),
    ({"epochs": 0}, "epochs needs a whole number from 1 to 1,000,000,000, got '0'"),
    ({"epochs": "9" * 400}, "epochs needs a whole number from 1 to"),
    ({"batch_size": "-1"}, "batch_size needs a whole number from 1 to"),
    ({"batch_size": "all"}, "batch_size needs a whole number, got 'all'"),
])
def test_bad_settings(given, said):
    with pytest.raises(ValueError, match=said):
        find("fast").having(**given)


@pytest.mark.parametrize("given", [{"epochs": 2}, {"batch_size": 8}, {"lr": 0.1}])
def test_what_the_scalar_recipe_keeps_fixed_is_not_silently_ignored(given):
    with pytest.raises(ValueError, match="only its setting 'images' can be changed"):
        find("scalar").having(**given)


@pytest.mark.parametrize("failed", [False, True])
def test_the_scalar_recipe_stops_when_told(failed, tiny, tmp_path):
    class Enough(Callback):
        def on_step(self, run):
            self.run = run
            if run.step + 1 == 3:
                run.stopped, run.failed = "enough", failed

    enough, recipe = Enough(), find("scalar").having(images=20)
    if failed:
        with pytest.raises(TrainingFailed, match="enough"):
            run_recipe(recipe, tiny, seed=0, folder=tmp_path, callbacks=[enough])
    else:
        assert run_recipe(recipe, tiny, seed=0, folder=tmp_path, callbacks=[enough])["stopped"] == "enough"
    assert enough.run.step == 3 and len(enough.run.history) == (0 if failed else 1)


def test_unknown_recipes():
    assert find("fast").name == "fast"
    with pytest.raises(ValueError, match=r"there is no recipe 'lennet'; there are .*convnet\. Did you mean lenet\?"):
        find("lennet")
    with pytest.raises(ValueError, match=r"there is no recipe 'x'.*convnet\.$"):
        find("x")


# --- a run and its folder ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_runs_and_leaves_what_it_promises(name, tiny, tmp_path):
    recipe, told = quick(name), []
    result = run_recipe(recipe, tiny, seed=3, folder=tmp_path, begin=lambda *what: told.append(what))

    assert result.keys() >= PROMISED
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["version"], result["recipe"], result["dataset"], result["seed"]) == (1, name, "mini", 3)
    assert result["run"] == str(tmp_path) and result["model"] == str(tmp_path / "model.safetensors")
    ((_, model, parts),) = told
    assert result["train_samples"] == len(parts.train) and result["test_samples"] == len(parts.test)
    assert result["parameters"] == sum(p.size for p in model.parameters())
    assert result["test_interval"][0] <= result["test_accuracy"] <= result["test_interval"][1]
    assert 0 < result["train_seconds"] <= result["total_seconds"] and result["samples_per_second"] > 0

    assert {path.name for path in tmp_path.iterdir()} == RUN_FOLDER
    saved = bh.load(tmp_path / "model.safetensors")
    assert (saved.recipe, saved.input_shape, saved.classes) == (name, (1, 28, 28), parts.train.classes)
    assert saved.metrics["test_accuracy"] == result["test_accuracy"]
    assert bh.evaluate(saved.model, parts.test, normalize=saved.normalize).accuracy == result["test_accuracy"]
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["recipe"], config["settings"]) == (name, recipe.settings())
    assert (config["dataset"], config["seed"]) == ("mini", 3)
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == list(range(1, result["epochs"] + 1))
    card = (tmp_path / "model-card.md").read_text(encoding="utf-8")
    assert card.startswith(f"# Model card: {name} on mini\n") and f"{100 * result['test_accuracy']:.2f} %" in card


def test_a_run_can_be_repeated_to_the_bit(tiny, tmp_path):
    runs = {}
    for run, seed in (("one", 5), ("two", 5), ("other", 6)):
        (tmp_path / run).mkdir()
        run_recipe(quick("convnet"), tiny, seed=seed, folder=tmp_path / run)
        state = bh.load(tmp_path / run / "model.safetensors").model.state_dict()
        runs[run] = b"".join(array.tobytes() for array in state.values())
    assert runs["one"] == runs["two"] != runs["other"]


def test_several_seeds(tiny, tmp_path):
    asked = []
    result = run_seeds(quick("mlp"), tiny, seed=4, seeds=3, folder=tmp_path,
                       callbacks=lambda seed: asked.append(seed) or [])
    runs = result["runs"]
    assert [run["seed"] for run in runs] == [4, 5, 6] == asked
    assert {path.name for path in tmp_path.iterdir()} == {"seed-4", "seed-5", "seed-6", "config.json", "result.json",
                                                          "report.html"}
    assert json.loads((tmp_path / "result.json").read_text()) == result
    accuracies = [run["test_accuracy"] for run in runs]
    assert result["test_accuracy"] == pytest.approx(np.mean(accuracies))
    assert result["test_sd"] == pytest.approx(np.std(accuracies, ddof=1))
    best = max(runs, key=lambda run: run["validation_accuracy"])
    assert (result["model"], result["seed"]) == (best["model"], best["seed"]) and result["run"] == str(tmp_path)
    assert result.keys() >= PROMISED and result["seeds"] == 3
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_run_that_breaks_says_so_and_keeps_its_history(tiny, tmp_path):
    with pytest.raises(TrainingFailed, match=r"Training stopped: .*layer '\d', Linear.*Try a lower learning rate"):
        run_recipe(find("numpy-tutorial").having(lr=1e9), tiny, seed=0, folder=tmp_path)
    assert {"config.json", "history.jsonl"} <= {path.name for path in tmp_path.iterdir()}
    for line in (tmp_path / "history.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_run_folders_are_new_or_empty(tmp_path):
    first, second = (run_folder(find("fast"), root=tmp_path / "runs") for _ in range(2))
    assert first.name.startswith("fast-") and first.name.endswith("-1") and second.name.endswith("-2")
    assert run_folder(find("fast"), tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert run_folder(find("fast"), tmp_path / "a" / "b").is_dir()
    with pytest.raises(FileExistsError, match=r"the run folder .* is not empty; name another with --out, or empty it"):
        run_folder(find("fast"), tmp_path / "a")


# --- in words ---------------------------------------------------------------------------------------------------------


def test_a_result_in_a_sentence():
    result = {"recipe": "fast", "test_accuracy": 0.9895, "test_interval": [0.9873, 0.9913], "test_samples": 10_000,
              "dataset": "mnist", "train_seconds": 61.04, "model": "runs/fast/model.safetensors",
              "report": "runs/fast/report.html"}
    assert sentence(result) == ("fast reads 98.95 % (95 % interval 98.73 to 99.13 %) of the 10,000 test samples of "
                                "mnist right, after 61.0 s of training.\nThe model is in runs/fast/model.safetensors, "
                                "the report in runs/fast/report.html")
    missing = result | {"report": None, "report_missing": "the disk is full"}
    assert sentence(missing).endswith("The model is in runs/fast/model.safetensors, no report: the disk is full")
    several = result | {"runs": [result, result], "test_sd": 0.0005}
    assert "reads 98.95 ± 0.05 % (mean and standard deviation of 2 seeds) of the" in sentence(several)


def test_figures_in_words():
    figures = {"train_accuracy": 0.833, "train_sd": 0.006, "validation_accuracy": None, "validation_sd": None,
               "test_accuracy": 0.83, "test_sd": 0.008, "seeds": 5, "train_seconds": 39.6}
    assert in_words(figures) == "83.30 ± 0.60 % train, 83.00 ± 0.80 % test (5 seeds)"
    assert in_words(None) == "not measured yet"


@pytest.mark.parametrize(("name", "least"), [  # as written, less its spread, and what was asked of the others; in %
    ("binary-zero-one", 99.8), ("relu-10", 82.0), ("scalar", 75.0), ("sigmoid-72-36", 88.4), ("numpy-tutorial", 78.4),
    ("mlp", 98.0), ("lenet", 98.9), ("fast", 98.9), ("convnet", 99.4),
])
def test_what_was_measured_is_what_was_asked_for(name, least):
    measured = json.loads(resources.files("byhand.recipes").joinpath("measured.json").read_text(encoding="utf-8"))
    assert round(100 * measured[name]["test_accuracy"], 1) >= least
    assert measured[name]["seeds"] >= 3 and measured[name]["dataset"] == "mnist"


def test_measured_figures_are_well_formed():
    measured = json.loads(resources.files("byhand.recipes").joinpath("measured.json").read_text(encoding="utf-8"))
    assert list(measured) == NAMES, "every recipe has been measured"
    for name, figures in measured.items():
        assert figures["dataset"] == "mnist" and figures["seeds"] == len(figures["test_of_each_seed"]) >= 3
        assert figures["test_accuracy"] == pytest.approx(np.mean(figures["test_of_each_seed"]))
        assert figures["test_sd"] == pytest.approx(np.std(figures["test_of_each_seed"], ddof=1))
        network = find(name).network(np.random.default_rng(0))
        assert figures["parameters"] == sum(p.size for p in network.parameters()), f"measure {name} again"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_overview_fits_the_terminal(width):
    rows = overview([find(name) for name in NAMES])
    text = as_text(rows, width)
    paragraphs = text.split("\n\n")
    assert [paragraph.split()[0] for paragraph in paragraphs] == NAMES
    assert all(len(line) <= width for line in text.splitlines())
    for row, paragraph in zip(rows, paragraphs, strict=True):
        words = " ".join(paragraph.split())
        assert all(row[name] in words for name in ("method", "published", "as_written", "here"))
