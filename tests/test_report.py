"""The report of a run: well formed, by itself, harmless, and its figures are those of the run."""

import dataclasses
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from outcomes import Noticed, answering, outcome
from pages import Page, pixels, tables

import byhand as bh
from byhand import metrics
from byhand.data import Splits
from byhand.recipes import find, run_recipe, run_seeds, sentence
from byhand.report import command, overview, page

SECTIONS = ["learning", "mistakes", "classes", "calibration", "inside", "again"]
EVIL = ("<script>alert(1)</script>", "\"'>&amp;<img src=http://x>", "\ud800 \x00\x1b[31m\ufffe", "</style></title>")
CASES = {
    "two classes, one output": {"names": ("zero", "one"), "single": True},
    "47 classes": {"names": tuple(map(str, range(47))), "count": 188},
    "200 classes, colour": {"names": [f"species number {i}" for i in range(200)], "shape": (3, 32, 32), "count": 400,
                            "hidden": 64},
    "tabular": {"shape": (30,), "dtype": np.float64, "names": ("yes", "no")},
    "large pictures": {"shape": (3, 150, 200), "count": 10, "names": ("cat", "dog"), "hidden": 2},
    "transparent pictures": {"shape": (4, 6, 6)},
    "no validation": {"validation": None},
    "one epoch": {"epochs": 1},
    "500 epochs": {"epochs": 500, "count": 20},
    "evil names": {"names": EVIL},
    "few numbers": {"shape": (2,)},
}


@pytest.fixture(scope="module", params=CASES.items(), ids=lambda case: case[0])
def case(request):
    told = outcome(**request.param[1])
    return told, Page(page(told))


def test_it_stands_by_itself(case):
    _, read = case
    assert read.declared == "doctype html" and len(read.text) < 1_000_000
    (policy,) = read.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy[1]["content"].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _, _ in read.elements}
    for tag, attributes, _ in read.elements:
        assert attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert attributes.get("href", "#").startswith("#"), f"<{tag}> leads away"
        assert not any(name.startswith("on") or name in ("srcset", "poster", "background") for name in attributes)
        assert "url(" not in attributes.get("style", "")
    style = read.text_of("style")
    assert "@import" not in style and "url(" not in style and "http" not in style


def test_it_tells_everything_and_can_be_heard(case):
    _, read = case
    assert [attributes["id"] for _, attributes, _ in read.all("section")] == SECTIONS
    assert [attributes["href"] for _, attributes, _ in read.all("a")] == [f"#{name}" for name in SECTIONS]
    assert read.all("html")[0][1] == {"lang": "en"} and len(read.all("h1")) == 1
    for kind, needs in (("img", "alt"), ("svg", "aria-label"), ("th", "scope")):
        assert all(attributes.get(needs) for _, attributes, _ in read.all(kind)), f"a <{kind}> without {needs}"
    assert all(len(text) > 3 for _, _, text in read.all("h2"))
    text = read.text_of("body")
    assert "nan" not in re.findall(r"\w+", text.lower()) and "None" not in text and "\x1b" not in text


def test_its_figures_are_those_of_the_run(case):
    told, read = case
    result, p, targets = told.result, told.probabilities, told.test.targets
    header = read.text_of("header")
    assert f"{100 * result['test_accuracy']:.2f} %of {result['test_samples']:,} test" in header
    low, high = result["test_interval"]
    assert f"95 % interval {100 * low:.2f} to {100 * high:.2f} %" in header and f"{result['parameters']:,}" in header
    wrong = int((p.argmax(axis=1) != targets).sum())
    assert (f"{wrong:,} of {len(targets)} test" if wrong else "none") in read.text_of("section", id="mistakes")
    scores = metrics.per_class(told.tested.confusion)
    *weakest, shown = [rows for head, *rows in tables(read.text) if head[:3] == ["class", "samples", "precision"]]
    assert [row[1:] for row in shown] == [
        [f"{n}", *["–" if np.isnan(figure) else f"{100 * figure:.1f} %" for figure in figures]]
        for n, *figures in zip(scores.support, scores.precision, scores.recall, scores.f1, strict=True)]
    assert len(weakest) == (len(told.tested.names) > 25)
    assert all(rows[0][4] == f"{100 * np.nanmin(scores.f1):.1f} %" and len(rows) == 12 for rows in weakest)
    error = metrics.calibration_error(p, targets)
    assert f"calibration error {100 * error:.2f} %" in read.text_of("section", id="calibration")
    bins = read.rows(("confidence", "samples"))
    assert sum(int(row[1].replace(",", "")) for row in bins) == len(targets)


def test_a_class_without_test_samples_is_not_weak():
    told = outcome(names=[f"c{n}" for n in range(30)], count=600)
    kept = told.test.targets > 2
    lonely = answering(dataclasses.replace(told, test=told.test[kept]), told.tested.outputs[kept])
    weakest, whole = [rows for head, *rows in tables(page(lonely)) if head[:2] == ["class", "samples"]]
    assert not {"c0", "c1", "c2"} & {row[0] for row in weakest}
    assert all((row[1], row[3], row[4]) == ("0", "–", "–") for row in whole[:3])
    assert "–" not in [cell for row in whole[3:] for cell in row[3:]]


def test_the_confusion_matrix():
    told = outcome()
    rows = Page(page(told)).rows(("is ↓ read →",))
    assert [[0 if n == "·" else int(n) for n in row[1:]] for row in rows] == told.tested.confusion.tolist()


def test_the_worst_mistakes_are_pictures():
    told = outcome(epochs=1)
    read = Page(page(told))
    rows = metrics.worst_mistakes(told.probabilities, told.test.targets)
    shown = [attributes for _, attributes, _ in read.all("img") if attributes["alt"].startswith("test picture")]
    assert [attributes["alt"] for attributes in shown] == [f"test picture {row}" for row in rows] and len(rows) == 25
    for row, attributes in zip(rows, shown, strict=True):
        np.testing.assert_array_equal(pixels(attributes["src"]), told.test.inputs[row, 0])
    captions = [text for _, _, text in read.all("figcaption") if text.startswith("read")]
    p, targets = told.probabilities, told.test.targets
    for row, text in zip(rows, captions, strict=True):
        assert text.replace("\xa0", " ") == (f"read {p[row].argmax()} · {100 * p[row].max():.1f} %"
                                            f"is {targets[row]} · {100 * p[row, targets[row]]:.1f} %")


def test_of_a_table_the_mistakes_are_rows():
    told = outcome(shape=(30,), dtype=np.float64, epochs=1)
    rows = Page(page(told)).rows(("sample", "read", "sure", "is"))
    first = metrics.worst_mistakes(told.probabilities, told.test.targets)[0]
    assert rows[0][0] == str(first) and len(rows[0]) == 5 + 8
    assert rows[0][5] == f"{told.test.inputs[first, 0]:.4g}"


def test_names_are_never_more_than_text():
    read = Page(page(dataclasses.replace(outcome(names=EVIL), method=EVIL[0], findings=[Noticed(EVIL[1])])))
    assert not read.all("script") and len(read.all("style")) == 1
    names = [row[0] for row in tables(read.text)[-3][1:]]
    assert names[0] == "&lt;script&gt;alert(1)&lt;/script&gt;" and names[2] == "\ufffd \ufffd\ufffd[31m\ufffd"
    assert EVIL[1] in read.text_of("ul", class_="findings") and EVIL[0] in read.text_of("p", class_="method")
    assert read.all("title")[0][2] == "mlp on things"


def test_what_was_noticed_comes_first():
    told = dataclasses.replace(outcome(), findings=[Noticed("It does not learn."),
                                                         Noticed("Try more.", "remark")])
    read = Page(page(told))
    assert [(text, which["class"]) for _, which, text in read.all("li")] == [("It does not learn.", "alarm"),
                                                                            ("Try more.", "remark")]
    assert read.all("section")[0][1]["id"] == "noticed"


def test_what_cannot_be_known_is_left_out():
    told = outcome()
    broken = answering(told, np.full_like(told.tested.outputs, np.nan))
    assert [attributes["id"] for _, attributes, _ in Page(page(broken)).all("section")] == ["learning", "inside",
                                                                                          "again"]
    perfect = answering(told, np.eye(3)[told.test.targets] * 50)
    assert "It made none on the test set" in Page(page(perfect)).text_of("section", id="mistakes")
    early = dataclasses.replace(told, result={**told.result, "stopped": "enough & more"})
    assert "It stopped early: enough & more." in Page(page(early)).text_of("section", id="learning")


def test_confidence_is_judged_by_what_chance_allows():
    told = outcome(names=("a", "b"))
    targets = np.arange(120) % 2
    for right, sure, says in ((110, 0.99, "surer than it may be"), (110, 0.6, "more modest than it need be"),
                              (110, 0.92, "as sure as it may be"), (110, 0.88, "as sure as it may be")):
        answers = np.where(np.arange(120) < right, targets, 1 - targets)
        logits = np.where(np.eye(2, dtype=bool)[answers], np.log(sure / (1 - sure)), 0.0)
        run = answering(dataclasses.replace(told, test=dataclasses.replace(told.test, targets=targets)), logits)
        told_so = Page(page(run)).text_of("section", id="calibration")
        assert f"{100 * sure:.1f} % sure and 91.7 % right: {says}" in told_so


def test_a_single_epoch_is_told_batch_by_batch():
    told = dataclasses.replace(outcome(epochs=1), batches=[(0.25, 2.0), (0.5, 1.5), (0.75, 1.25), (1.0, 1.125)])
    (chart, *_) = Page(page(told)).all("svg")
    assert "training from 2 to 1.125" in chart[1]["aria-label"]


@pytest.mark.parametrize(("changes", "words"), [
    ({}, "byhand train mlp --data 'my data' --set epochs=3 --set batch_size=none --seed 7 --threads 1"),
    ({"dataset": "mini"}, "byhand train mlp --data mini --set epochs=3 --set batch_size=none --seed 7 --threads 1"),
    ({"source": "", "settings": {"epochs": 20, "batch_size": 128, "lr": 1e-05}},
     "byhand train mlp --data things --set lr=1e-05 --seed 7 --threads 1"),
])
def test_the_command_that_repeats_it(changes, words):
    usual = {"epochs": 20, "batch_size": 128, "lr": 0.005}
    assert command({**outcome().configuration, **changes}, usual) == words


# --- in a run folder --------------------------------------------------------------------------------------------------


def test_the_command_does_repeat_it(here, tiny):
    code, out, _ = here("train", "mlp", "--data", tiny, "--set", "lr=0.002", "--epochs", 2, "--seed", 3, "--threads", 1,
                        "--out", "first", "--json")
    result = json.loads(out)
    read = Page(Path("first/report.html").read_text(encoding="utf-8"))
    assert code == 0 and result["report"] == "first/report.html"
    assert f"{100 * result['test_accuracy']:.2f} %" in read.text_of("header")
    program, *words = shlex.split(read.text_of("code"))
    assert program == "byhand" and f"    {read.text_of('code')}\n" in Path("first/model-card.md").read_text()
    code, _, _ = here(*words, "--out", "second", "--quiet")
    first, second = (bh.load(f"{run}/model.safetensors").model.state_dict() for run in ("first", "second"))
    assert code == 0 and all(np.array_equal(first[name], second[name]) for name in first)


def test_where_no_report_can_be_written_the_model_is_there(tmp_path):
    mini = bh.data.load("mini")
    (tmp_path / "report.html").mkdir()
    result = run_recipe(find("relu-10").having(epochs=1), Splits(mini.train[:300], mini.test[:100]), seed=0,
                        folder=tmp_path)
    assert result["report"] is None and "report.html cannot be written" in result["report_missing"]
    assert "no report: " in sentence(result) and bh.load(result["model"]).metrics["test_accuracy"] > 0
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_several_seeds_have_a_page_together(tmp_path):
    mini = bh.data.load("mini")
    result = run_seeds(find("relu-10").having(epochs=1), Splits(mini.train[:300], mini.test[:100], "mini"), seed=4,
                       seeds=2, folder=tmp_path)
    read = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert result["report"] == str(tmp_path / "report.html") and overview(result) == read.text
    for link, run in zip(read.all("a"), result["runs"], strict=True):
        assert (tmp_path / link[1]["href"]) == Path(run["report"]) and Path(run["report"]).is_file()
    *rows, mean = read.rows(("", "training"))
    assert [row[3] for row in rows] == [f"{100 * run['test_accuracy']:.2f} %" for run in result["runs"]]
    assert mean[3] == f"{100 * result['test_accuracy']:.2f} ± {100 * result['test_sd']:.2f} %"
