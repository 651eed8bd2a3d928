"""The command: all that does not train. (What it says to those who use it wrongly: test_bad_commands.py.)"""

import re
from pathlib import Path

import pytest
from command_line import the_object

import byhand as bh


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
