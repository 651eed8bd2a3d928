"""The program that measures how well pictures are read: it counts rightly, and the page shows what it measured."""

import importlib
import json

import numpy as np
import pytest
from digit_pictures import as_png, strokes
from markdown import ROOT
from PIL import Image

import byhand as bh

COUNTS = {"mnist": 12, "strokes": 10, "photographs": 2, "times": 1, "pages": 1, "blank": 4}


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("measure_pictures")


@pytest.fixture
def model(digits_model):
    return bh.load(digits_model)


def test_the_page_has_the_measured_figures(script):
    measured = json.loads(script.MEASURED.read_text(encoding="utf-8"))
    page = script.PAGE.read_text(encoding="utf-8")
    assert script.between(page, script.BEGIN, script.END, script.table(measured["groups"])) == page, (
        "run python scripts/measure_pictures.py")
    (paper,) = (counts for name, counts in measured["groups"].items() if name.startswith("the same on paper"))
    assert measured["recipe"] == "convnet" and paper["pictures"] >= 1000
    assert paper["right"] >= 0.97 * paper["pictures"]
    assert sum(name.startswith("font ") for name in measured["groups"]) >= 10


def test_right_wrong_and_blank_are_counted(script, model, rng):
    pictures = list(strokes(10, rng))
    blank = as_png(np.full((40, 40), 255, np.uint8))
    right = script.count_right(model, pictures)["right"]
    assert right >= 8
    wrong = [(content, (digit + 1) % 10) for content, digit in pictures]
    assert script.count_right(model, wrong)["right"] <= 10 - right
    assert script.count_right(model, [(blank, 3)] * 2) == {"pictures": 2, "right": 0, "without_ink": 2}


@pytest.mark.slow
def test_every_group_is_measured(script, model):
    found = script.measure(model, bh.data.load("mini").test, COUNTS, 3)
    assert [counts["pictures"] for counts in found.values()][:4] == [12, 12, 10, 2]
    assert all(0 <= counts["right"] <= counts["pictures"] for counts in found.values())
    *_, pages, blank = found.values()
    assert pages["right"] > 0 and blank["pictures"] == 4 and blank["right"] >= 3
    text = script.table(found)
    assert len(text.splitlines()) == 2 + sum(not name.startswith("font ") for name in found) + bool(
        sum(name.startswith("font ") for name in found))


def test_steps_are_drawn_for_the_page(script, model, tmp_path):
    (tmp_path / "steps.png").write_bytes(script.examples(model, np.random.default_rng(0)))
    with Image.open(tmp_path / "steps.png") as image:
        assert image.width > 900 and image.height > 500
