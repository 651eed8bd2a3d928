"""The command: an exit code that is right, errors in one sentence, and all that does not train."""

import re
from pathlib import Path

import pytest
from command_line import process, the_object

import byhand as bh

# --- errors -----------------------------------------------------------------------------------------------------------

FAILURES = [
    (["train", "fats"], 2, "there is no recipe 'fats'; there are .* Did you mean fast?"),
    (["train", "--data", "mnits"], 1, "there is no data set and no folder 'mnits'.* did you mean mnist"),
    (["train", "--data", "."], 1, "the folder . has no train-images-idx3-ubyte"),
    (["train", "--data", "fashion-mnits"], 1, "did you mean fashion-mnist"),
    (["train", "--data", "mini", "--set", "learning_rate=1"], 2, "the recipe fast has no setting 'learning_rate'"),
    (["train", "--data", "mini", "--set", "lr=quick"], 2, "lr needs a number, got 'quick'"),
    (["train", "mlp", "--data", "mini", "--set", "dropout=2"], 1, "Dropout needs a probability"),
    (["train", "convnet", "--data", "mini", "--set", "label_smoothing=1"], 1, "from 0 to below 1, got 1.0"),
    (["train", "--data", "mini", "--set", "lr"], 2, "--set needs KEY=VALUE, got 'lr'"),
    (["train", "--data", "mini", "--set", "=1"], 2, "--set needs KEY=VALUE, got '=1'"),
    (["train", "--data", "mini", "--out", "full"], 1, "the run folder full is not empty"),
    (["train", "--data", "mini", "--out", "full/text"], 2, "is a file"),
    (["train", "--data", "mini", "--out", "full/text/run"], 1, "cannot use full/text/run: Not a directory"),
    (["train", "--epochs", "0"], 2, "'--epochs'"),
    (["train", "--seeds", "0"], 2, "'--seeds'"),
    (["train", "--seed", "-1"], 2, "'--seed'"),
    (["train", "--threads", "0"], 2, "'--threads'"),
    (["train", "--threads", "two"], 2, "'--threads'"),
    (["train", "--kernels", "jit"], 2, "'--kernels'"),
    (["train", "fast", "slow"], 2, "unexpected extra argument"),
    (["train", "--nope"], 2, "No such option"),
    (["trian"], 2, "No such command 'trian'"),
    (["data"], 2, "Missing command|No such option '--json'"),
    (["evaluate"], 2, "Missing argument 'MODEL'"),
    (["evaluate", "missing.safetensors"], 1, "there is no model file missing.safetensors"),
    (["evaluate", "full"], 1, "there is no model file full"),
    (["evaluate", "full/text"], 1, "full/text is not a safetensors file"),
    (["evaluate", "full/list.json"], 1, "full/list.json is not a scalar network"),
    (["data", "fetch", "mini-mnist"], 1, "is not a data set to fetch"),
    (["data", "fetch"], 1, "mnist cannot be had"),
    (["data", "info", "nowhere"], 1, "there is no data set and no folder 'nowhere'"),
]


@pytest.mark.parametrize("as_json", [False, True], ids=["", "json"])
@pytest.mark.parametrize(("words", "code", "sentence"), FAILURES, ids=lambda value: " ".join(value)
                         if isinstance(value, list) else "")
def test_an_error_is_one_sentence(words, code, sentence, as_json, here):
    Path("full").mkdir()
    Path("full/text").write_text("hello")
    Path("full/list.json").write_text("[1, 2]")
    found, out, err = here(*words, *(["--json", "--quiet"] if as_json else []))
    assert found == code
    last = err.splitlines()[-1]
    assert last.startswith("byhand: ") and re.search(sentence, last), err
    assert ("Usage: byhand" in err) == (code == 2) and "Traceback" not in err
    if as_json:
        assert the_object(out) == {"version": 1, "error": last.removeprefix("byhand: "), "exit_code": code}
    else:
        assert out == ""
    assert not Path("runs").exists() or not any(Path("runs").iterdir()), "a run that did not begin leaves no folder"


@pytest.mark.parametrize(("words", "number"), [
    (["train"], "0"), (["train", "--threads", "2"], "-1"), (["recipes"], "two"), (["evaluate", "x"], "1.5"),
])
def test_a_bad_number_of_threads_in_the_environment(words, number, away, monkeypatch):
    monkeypatch.setenv("BYHAND_NUM_THREADS", number)
    said = f"byhand: BYHAND_NUM_THREADS must be a whole number of at least 1, got '{number}'.\n"
    assert process(*words) == (1, "", said)


def test_debug_shows_where(away):
    code, _, err = process("evaluate", "nothing", "--debug")
    assert code == 1 and "Traceback" in err and "open_model" in err


def test_training_that_breaks_is_an_error(here, tiny):
    code, out, err = here("train", "numpy-tutorial", "--data", tiny, "--set", "lr=1e9", "--json")
    assert code == 1 and "Try a lower learning rate" in the_object(out)["error"]
    assert "Training stopped: the loss" in err


# --- the other commands -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 120])
def test_the_recipes_and_the_data_can_be_read_in_any_terminal(columns, here, tiny, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    for words in (["recipes"], ["data", "info", "mini"], ["data", "info", tiny]):
        code, out, err = here(*words)
        assert (code, err) == (0, "") and max(map(len, out.splitlines())) <= columns
        assert not re.search(r"[\[\]{}]", out), "no lists, no dicts"


def test_the_recipes_as_data(here):
    rows = the_object(here("recipes", "--json")[1])["recipes"]
    assert [row["recipe"] for row in rows] == [recipe.name for recipe in bh.recipes.RECIPES]


def test_what_is_in_a_data_set(here, tiny):
    code, out, _ = here("data", "info", tiny)
    assert code == 0
    for said in ("tiny\ntraining    300 images\ntest        100 images\n", "1 x 28 x 28", "none of the published sets"):
        assert said in out
    facts = the_object(here("data", "info", "mini", "--json")[1])
    assert (facts["version"], facts["train_samples"], facts["train_counts"]) == (1, 5000, [500] * 10)
    assert len(facts["sha256"]) == 4


def test_a_data_set_is_fetched(here):
    folder = Path(the_object(here("data", "fetch", "mini", "--json")[1])["folder"])
    assert len(list(folder.glob("*.gz"))) == 4
    assert here("data", "fetch", "mini") == (0, f"mini is in {folder}\n", "")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help(words, here):
    code, out, err = here(*words)
    assert (code, err) == (0, "") and out.startswith("Usage: byhand")
    assert all(name in out for name in ("train", "recipes", "evaluate", "data"))
    assert "..." not in out.split("Commands:")[1], "every command is told in a line"


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_help_has_examples(name, here):
    code, out, _ = here(name, "--help")
    assert code == 0 and out.count(f"\n    byhand {name}") >= 2 and max(map(len, out.splitlines())) <= 80


def test_the_version(here):
    assert here("--version") == (0, f"byhand, version {bh.__version__}\n", "")
