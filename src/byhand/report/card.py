"""model-card.md: what the model is, what it was measured to do, and who may be harmed where it is wrong.

The headings are those of Mitchell et al., "Model Cards for Model Reporting" (2019). Every figure comes from the run.
What is known beforehand about digits and about clothes is in their datasheets; of somebody's own data only the owner
knows who is in it and whom it leaves out, and the card says where to write that down.
"""

import datetime
import re
from collections.abc import Sequence

from byhand import metrics
from byhand.data.published import datasheet
from byhand.report.outcome import Outcome, duration, interval, percent, sized


def card(outcome: Outcome) -> str:
    """The card of a run, in Markdown."""
    result = outcome.result
    about = datasheet(result["dataset"])
    settings = ", ".join(f"{name} {'all at once' if value is None else value}"
                         for name, value in outcome.configuration.get("settings", {}).items())
    sure = "" if result["test_interval"] is None else f" (95 % interval {interval(result['test_interval'])})"
    parts = {
        "Model details": f"""\
- {plain(outcome.method)}; {result['parameters']:,} parameters.
- Reads a sample of {sized(outcome.shape)} and answers with one of {len(outcome.tested.names)} classes.
- Trained with byhand {outcome.configuration["byhand"]} on {datetime.date.today().isoformat()}, in \
{duration(result['train_seconds'])}: seed {result['seed']}, {result['epochs']} epochs done; settings: {plain(settings)}.
- This repeats it; `report.html` and `config.json` have the circumstances:

      {outcome.command}""",
        "Intended use": about["use"],
        "Factors": f"{about['factors']} {about['people']}",
        "Metrics": grid(("samples", "number", "accuracy"), [
            ("training", f"{result['train_samples']:,}", percent(result["train_accuracy"])),
            ("validation", f"{outcome.validation_samples:,}", percent(result["validation_accuracy"])),
            ("test, looked at once", f"{result['test_samples']:,}", percent(result["test_accuracy"]) + sure),
        ]) + f"\n\n{calibration(outcome)}The interval (Wilson 1927) is for other samples from the same source, not for "
             "other sources; another seed gives another model.",
        "Evaluation data": f"The {result['test_samples']:,} test samples of {plain(result['dataset'])}. Nothing was "
                           "chosen by them.",
        "Training data": f"{about['made']} {result['train_samples']:,} samples were learned from and "
                         f"{outcome.validation_samples:,} were held out to choose by.",
        "Quantitative analyses": by_class(outcome),
        "Ethical considerations": about["harm"],
        "Caveats and recommendations": f"It always answers with one of its classes, also for a sample that belongs to "
                                       f"none of them. {about['limits']}",
    }
    return f"# Model card: {plain(result['recipe'])} on {plain(result['dataset'])}\n\n" + "\n".join(
        f"## {title}\n\n{body}\n" for title, body in parts.items())


def calibration(outcome: Outcome) -> str:
    """How far it can be believed when it says how sure it is."""
    if outcome.probabilities is None:
        return ""
    error = metrics.calibration_error(outcome.probabilities, outcome.test.targets)
    return f"Expected calibration error on the test samples: {percent(error)} (15 bins). "


def by_class(outcome: Outcome) -> str:
    """Precision, recall and F1 of each class on the test samples, recall with its interval."""
    if outcome.probabilities is None:
        return "The targets are not classes, so there are no figures by class."
    scores, right = metrics.per_class(outcome.tested.confusion), outcome.tested.confusion.diagonal().tolist()
    rows = [(plain(name), f"{n:,}", percent(precision, 1),
             f"{percent(recall, 1)} ({interval(metrics.wilson_interval(hits, n))})" if n else "no samples",
             percent(f1, 1))
            for name, n, hits, precision, recall, f1 in zip(outcome.tested.names, scores.support.tolist(), right,
                                                            scores.precision, scores.recall, scores.f1, strict=True)]
    return grid(("class", "test samples", "precision", "recall (95 % interval)", "F1"), rows)


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def plain(name: str) -> str:
    """A name that is nothing but text in Markdown, on one line, whatever its owner has put into it."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", " ".join(name.encode("utf-8", "replace").decode().split()))
