"""The model's card: its figures are the run's, its words those of the data, and nobody's names become Markdown."""

import dataclasses
import json
import re

import numpy as np
import pytest
from outcomes import answering, outcome

from byhand import metrics
from byhand.data.published import datasheet
from byhand.report import card

HEADINGS = ["Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
            "Quantitative analyses", "Ethical considerations", "Caveats and recommendations"]


def parts(text):
    """The sections of a card by their headings."""
    return {title: body.strip() for title, body in re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", text, re.MULTILINE)}


def rows(body):
    """The rows of the table in a section."""
    return [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in body.splitlines() if line.startswith("|")][2:]


@pytest.mark.parametrize(("dataset", "use", "harm"), [
    ("mnist", "Reading single handwritten digits", "amount of money, a dose"),
    ("mini", "Reading single handwritten digits", "amount of money, a dose"),
    ("fashion-mnist", "Comparing methods on small pictures", "the person who wears them"),
    ("things", "Telling apart the classes below", "Ask who is affected by a wrong answer"),
])
def test_it_speaks_of_its_data(dataset, use, harm):
    told = parts(card(outcome(dataset=dataset)))
    assert list(told) == HEADINGS and all(told.values())
    assert told["Intended use"].startswith(use) and harm in told["Ethical considerations"]
    assert dataset in told["Evaluation data"]


def test_its_figures_are_those_of_the_run():
    run = outcome()
    text = card(run)
    told, result = parts(text), run.result
    low, high = result["test_interval"]
    assert text.startswith("# Model card: mlp on things\n")
    assert rows(told["Metrics"]) == [
        ["training", "192", f"{100 * result['train_accuracy']:.2f} %"],
        ["validation", "48", f"{100 * result['validation_accuracy']:.2f} %"],
        ["test, looked at once", "120", f"{100 * result['test_accuracy']:.2f} % "
                                        f"(95 % interval {100 * low:.2f} to {100 * high:.2f} %)"]]
    error = metrics.calibration_error(run.probabilities, run.test.targets)
    assert f"calibration error on the test samples: {100 * error:.2f} %" in told["Metrics"]
    assert f"{result['parameters']:,} parameters" in told["Model details"] and run.command in told["Model details"]
    scores, classes = metrics.per_class(run.tested.confusion), rows(told["Quantitative analyses"])
    for n, (name, support, precision, recall, f1) in enumerate(classes):
        low, high = metrics.wilson_interval(int(run.tested.confusion[n, n]), int(scores.support[n]))
        assert (name, support) == (str(n), str(scores.support[n]))
        assert (precision, f1) == (f"{100 * scores.precision[n]:.1f} %", f"{100 * scores.f1[n]:.1f} %")
        assert recall == f"{100 * scores.recall[n]:.1f} % ({100 * low:.2f} to {100 * high:.2f} %)"
    assert len(classes) == 3


def test_what_was_not_measured_is_not_invented():
    told = parts(card(outcome(validation=None)))
    assert rows(told["Metrics"])[1] == ["validation", "0", "not measured"]
    run = outcome()
    told = parts(card(answering(run, np.full_like(run.tested.outputs, np.inf))))
    assert "calibration" not in told["Metrics"] and "no figures by class" in told["Quantitative analyses"]
    kept = run.test.targets != 1
    lonely = answering(dataclasses.replace(run, test=run.test[kept]), run.tested.outputs[kept])
    assert rows(parts(card(lonely))["Quantitative analyses"])[1][3] == "no samples"


def test_names_are_only_names():
    told = parts(card(outcome(names=("a | b", "<b>\n# c", "\ud800[x](y)"))))
    assert [row[0] for row in rows(told["Quantitative analyses"])] == [r"a \| b", r"\<b\> \# c", r"?\[x\](y)"]


# --- datasheets -------------------------------------------------------------------------------------------------------


def test_what_is_known_of_a_published_set_is_told(here):
    code, out, _ = here("data", "info", "mini", "--json")
    sheet = json.loads(out)["datasheet"]
    assert code == 0 and sheet == datasheet("mnist") == datasheet("mini") != datasheet("fashion-mnist")
    assert sheet.keys() == datasheet("fashion-mnist").keys() == datasheet("tiny").keys() and all(sheet.values())
    told = " ".join(here("data", "info", "mini")[1].split())
    assert all(sheet[name] in told for name in ("made", "people", "limits")) and "docs/datasheets.md" in told


def test_nothing_is_made_up_about_the_data_of_others(here, tiny):
    assert datasheet("tiny")["made"] == "Your own data."
    assert json.loads(here("data", "info", tiny, "--json")[1])["datasheet"] is None
    assert "limits" not in here("data", "info", tiny)[1]
