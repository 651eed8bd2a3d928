"""report.html: one file that opens in any browser, today and in ten years.

It needs no script, no server and no other file: the styles are in it, curves are SVG, pictures are PNG inside it, and a
policy in its head forbids the browser to load anything at all. It is read from top to bottom: what came out, what was
noticed, how it learned, where it fails, how far its word can be trusted, what it looks like inside, how to do it again.
"""

import datetime
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from byhand import charts, metrics
from byhand.charts import Child, html, table, tag
from byhand.pictures import as_pixels
from byhand.report.outcome import Outcome, duration, interval, percent, sized

Array = np.ndarray[Any, Any]
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
LARGEST_PICTURE = 64  # pixels a side
LARGEST_FILTER = 48
MOST_FILTERS = 64
MOST_COLUMNS = 8
MOST_CLASSES = 25  # in a table that is open


def page(outcome: Outcome) -> str:
    """The report of one run."""
    result = outcome.result
    parts = [part(outcome) for part in (findings, learning, mistakes, mix_ups, calibration, network, repeat)]
    sections = [part for part in parts if part is not None]
    links = [tag("a", part.get("id"), href=f"#{part.get('id')}") for part in sections]
    return document(f"{result['recipe']} on {result['dataset']}", headline(outcome),
                    tag("nav", *links, aria_label="sections"), *sections)


def overview(result: Mapping[str, Any]) -> str:
    """The report of several runs that differ in their seeds. result: what `run_seeds` returns."""
    runs = result["runs"]
    rows: list[list[Child]] = [[tag("a", f"seed {run['seed']}", href=f"seed-{run['seed']}/report.html"),
             *[percent(run[f"{name}_accuracy"]) for name in ("train", "validation", "test")],
             interval(run["test_interval"]), duration(run["train_seconds"])] for run in runs]
    spread = [percent(mean) if sd is None else f"{100 * mean:.2f} ± {100 * sd:.2f} %" for mean, sd in
              ((result[f"{name}_accuracy"], result[f"{name}_sd"]) for name in ("train", "validation", "test"))]
    head = ("", "training", "validation", "test", "95 % interval of the test", "time")
    return document(
        f"{result['recipe']} on {result['dataset']}, {len(runs)} seeds",
        tag("header", tag("p", "byhand · the same training several times", class_="kicker"),
            tag("h1", result["recipe"], tag("small", f" on {result['dataset']}")),
            score(result["test_accuracy"], f"± {100 * result['test_sd']:.2f} % from seed to seed",
                  f"mean and standard deviation of {len(runs)} runs on {result['test_samples']:,} test samples")),
        section("runs", "The runs", "Only the seed differs: the first weights, the order of the samples, whatever else "
                "is drawn at random. Each has a report of its own.",
                scrolling(table(head, [*rows, ["mean ± sd", *spread, "", duration(result["train_seconds"])]]))))


def document(title: str, *content: Element) -> str:
    """A whole page."""
    style = resources.files("byhand.report").joinpath("style.css").read_text(encoding="utf-8")
    head = tag("head", tag("meta", charset="utf-8"),
               tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
               tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
               tag("meta", name="color-scheme", content="light dark"),
               tag("title", title), tag("style", style))
    return "<!doctype html>\n" + html(tag("html", head, tag("body", tag("main", *content)), lang="en")) + "\n"


def section(name: str, title: str, intro: str, *content: Element | None) -> Element:
    """A part of the page under a heading, that a link can name."""
    return tag("section", tag("h2", title), tag("p", intro, class_="intro"), *content, id=name)


def scrolling(wide: Element) -> Element:
    """Something that may be wider than the screen: it scrolls by itself, also by keyboard."""
    return tag("div", wide, class_="wide", tabindex=0)


def facts(pairs: Mapping[str, Any]) -> Element:
    """Names and values, as many side by side as fit."""
    return tag("dl", *[tag("div", tag("dt", name), tag("dd", str(value))) for name, value in pairs.items()])


def score(accuracy: float | None, *lines: str) -> Element:
    """The one number."""
    figure = tag("b", "—") if accuracy is None else tag("b", f"{100 * accuracy:.2f}", tag("small", " %"))
    return tag("div", figure, tag("p", tag("strong", lines[0]), *[tag("span", line) for line in lines[1:]]),
               class_="score")


# --- what came out ----------------------------------------------------------------------------------------------------


def headline(outcome: Outcome) -> Element:
    """What was trained on what, how good it is, how long it took."""
    result, things, today = outcome.result, outcome.things, datetime.date.today()
    sure = result["test_interval"]
    return tag(
        "header", tag("p", f"byhand · report of a run · {today.day} {today:%B %Y}", class_="kicker"),
        tag("h1", result["recipe"], tag("small", f" on {result['dataset']}")),
        tag("p", outcome.method, class_="method"),
        score(result["test_accuracy"], f"of {result['test_samples']:,} test {things} read right",
              "the test set was looked at once, at the end" if sure is None else
              f"95 % interval {interval(sure)}; the test set was looked at once, at the end"),
        facts({f"training {things}": f"{result['train_samples']:,}", "training accuracy":
               percent(result["train_accuracy"]), "validation accuracy": percent(result["validation_accuracy"]),
               "epochs": f"{result['epochs']:,}", "training time": duration(result["train_seconds"]),
               "parameters": f"{result['parameters']:,}"}))


def findings(outcome: Outcome) -> Element | None:
    """What was noticed while it learned."""
    if not outcome.findings:
        return None
    return section("noticed", "What was noticed", "Seen while the network learned, with what to try.",
                   tag("ul", *[tag("li", finding.sentence, class_=finding.severity) for finding in outcome.findings],
                       class_="findings"))


def learning(outcome: Outcome) -> Element | None:
    """The curves."""
    curves = outcome.history.curves(outcome.batches)
    if not curves:
        return None
    held_out = any("validation_loss" in record or "validation_accuracy" in record for record in outcome.history)
    intro = ("Training and validation together: while both fall it learns; where the validation turns back up it only "
             "memorizes." if held_out else "There was no validation set, so nothing here tells learning from "
             "memorizing; compare the training accuracy with that of the test.")
    stopped = outcome.result.get("stopped")
    return section("learning", "How it learned", intro, tag("div", *[
        tag("figure", curve) for curve in curves], class_="pair"),
        tag("p", f"It stopped early: {stopped}.", class_="note") if stopped else None)


# --- where it fails ---------------------------------------------------------------------------------------------------


def mistakes(outcome: Outcome) -> Element | None:
    """What it got wrong although it was sure."""
    p, targets = outcome.probabilities, outcome.test.targets
    if p is None:
        return None
    wrong, rows = int((p.argmax(axis=1) != targets).sum()), metrics.worst_mistakes(p, targets)
    if not wrong:
        return section("mistakes", "The worst mistakes", "It made none on the test set.")
    intro = (f"{wrong:,} of {len(targets):,} test {outcome.things} were read wrong. "
             + ("These are all of them" if wrong == len(rows) else f"These are the {len(rows)} that it was surest of")
             + ", the surest first, with its reading, the truth, and the probability that it gave to each.")
    inputs = np.asarray(outcome.test.inputs[rows])
    reads = [(row, outcome.tested.names[p[row].argmax()], unbroken(p[row].max()), outcome.tested.names[targets[row]],
              unbroken(p[row, targets[row]])) for row in rows.tolist()]
    if not outcome.pictures:
        values = inputs.reshape(len(inputs), -1)[:, :MOST_COLUMNS]
        head = ("sample", "read", "sure", "is", "gave it", *[f"value {n + 1}" for n in range(values.shape[1])])
        return section("mistakes", "The worst mistakes", intro, scrolling(table(
            head, [[str(row), *rest, *[f"{value:.4g}" for value in line]]
                   for (row, *rest), line in zip(reads, values.tolist(), strict=True)])))
    cards = [tag("figure", charts.image(pixels, LARGEST_PICTURE, alt=f"test picture {row}"), tag(
        "figcaption", tag("span", "read ", tag("b", guess, title=guess), f" · {sure}", class_="wrong"),
        tag("span", "is ", tag("b", truth, title=truth), f" · {given}")))
        for (row, guess, sure, truth, given), pixels in zip(reads, as_pixels(inputs), strict=True)]
    return section("mistakes", "The worst mistakes", intro, tag("div", *cards, class_="mistakes"))


def unbroken(probability: float) -> str:
    """98.9 %, on one line."""
    return percent(probability, 1).replace(" ", "\N{NO-BREAK SPACE}")


def mix_ups(outcome: Outcome) -> Element | None:
    """What is taken for what, and what that means for each class."""
    if outcome.probabilities is None:
        return None
    counts, names = outcome.tested.confusion, outcome.tested.names
    scores = metrics.per_class(counts)
    rows = [[name, f"{n:,}", *[percent(figure, 1) for figure in figures]] for name, n, *figures in
            zip(names, scores.support.tolist(), scores.precision, scores.recall, scores.f1, strict=True)]
    head = ("class", "samples", "precision", "recall", "F1")
    whole, often = scrolling(table(head, rows)), None
    if len(names) > MOST_CLASSES:
        weakest = [n for n in np.argsort(scores.f1, kind="stable") if scores.support[n]][:MOST_CLASSES // 2]
        whole = tag("div", tag("h3", "The weakest classes"), scrolling(table(head, [rows[n] for n in weakest])),
                    tag("details", tag("summary", f"All {len(names)} classes"), whole))
    if len(names) > charts.MOST_NUMBERS:
        often = tag("div", tag("h3", "The most frequent mix-ups"), scrolling(frequent(counts, names)))
    return section("classes", "Class by class", "A row of the matrix is what a class was read as: right in blue, wrong "
                   "in orange. Precision: of all that were read as this class, how many are. Recall: of all that are, "
                   "how many were read so. F1 is the harmonic mean of the two. A dash: there is nothing to count.",
                   tag("div", scrolling(charts.confusion(counts, names)), often or whole,
                       class_="pair" if often or len(names) <= 10 else None), whole if often else None)


def frequent(counts: Array, names: Sequence[str]) -> Element:
    """The pairs of classes that are confused most."""
    return table(("is", "read", "times", "of the class"), [
        [names[i], names[j], f"{times:,}", percent(times / counts[i].sum(), 1)]
        for i, j, times in metrics.commonest_mistakes(counts)])


def calibration(outcome: Outcome) -> Element | None:
    """Can it be believed when it says how sure it is?"""
    p = outcome.probabilities
    if p is None:
        return None
    bins = metrics.calibration_bins(p, outcome.test.targets)
    sure, right = ((bins.counts * figure).sum() / bins.counts.sum() for figure in (bins.confidence, bins.accuracy))
    rows = [[f"{100 * low:.0f} to {100 * high:.0f} %", f"{n:,}", percent(mean, 1), percent(hits, 1)] for
            low, high, n, mean, hits in zip(bins.edges[:-1], bins.edges[1:], *bins[1:], strict=True) if n]
    low, high = metrics.wilson_interval(round(right * len(p)), len(p))
    verdict = "surer than it may be" if sure > high else "more modest than it need be" if sure < low else \
        "as sure as it may be, as far as so many samples tell"
    return section(
        "calibration", "How far its word can be trusted", f"On average it was {percent(sure, 1)} sure and "
        f"{percent(right, 1)} right: {verdict}. Were it right as often as it is sure, each bar would end on the dashed "
        "line; a bar that ends below it was too sure, a pale one stands for few samples.",
        tag("div", tag("figure", charts.reliability(*bins), tag(
            "figcaption", "Right answers by confidence; below, how many samples there were of each.")),
            tag("div", tag("p", "expected calibration error ", tag("strong", percent(bins.error))),
                scrolling(table(("confidence", "samples", "mean", "right"), rows))), class_="pair"))


# --- inside, and again ------------------------------------------------------------------------------------------------


def network(outcome: Outcome) -> Element:
    """The layers, and what the first of them looks for."""
    rows = [[path or "–", repr(layer), sized(shape), f"{count:,}" if count else ""]
            for path, layer, shape, count in outcome.model.layer_rows(outcome.shape)]
    return section("inside", "Inside", f"{outcome.result['parameters']:,} numbers were learned, from a sample of "
                   f"{sized(outcome.shape)} to {len(outcome.tested.names)} classes.",
                   scrolling(table(("", "layer", "output", "parameters"), rows, class_="words")), weights(outcome))


def weights(outcome: Outcome) -> Element | None:
    """The first layer's weights as pictures."""
    first = next((p.data for p in outcome.model.parameters() if p.ndim in (2, 4)), None)
    if first is None:
        return None
    count = len(first)
    if first.ndim == 2 and outcome.pictures and first.shape[1] == math.prod(outcome.shape):
        first = first.reshape(count, *outcome.shape)
    first = first[:MOST_FILTERS] / max(float(np.quantile(np.abs(first), 0.995)), 1e-12)
    each = f"{count} pictures, one" if count == len(first) else f"the first {len(first)} of {count} pictures, one"
    if first.ndim == 2:
        sheet, each = charts.tinted(first.T, max(1, 480 // max(first.shape))), "one picture, a column"
    else:
        step = -(-max(first.shape[2:]) // LARGEST_FILTER)
        first = first[:, :, ::step, ::step]
        filters = [in_colour(f) if len(f) == 3 else charts.tinted(f.sum(axis=0)) for f in first]
        scale = max(1, 64 // first.shape[-1])
        sheet = charts.sheet([f.repeat(scale, axis=0).repeat(scale, axis=1) for f in filters], MOST_COLUMNS)
    inks = "in the colours that it adds up" if first.ndim == 4 and first.shape[1] == 3 else \
        "orange counts for, blue counts against, and nothing does neither"
    return tag("figure", charts.image(sheet, alt=f"weights of the first layer as {each} for each output"),
               tag("figcaption", f"What the first layer looks for: {each} for each of its outputs; {inks}."),
               class_="weights")


def in_colour(values: Array) -> Array:
    """Red, green and blue values (3, H, W) from -1 to 1 as RGBA pixels, 0 as a middle grey."""
    pixels = np.clip(128 + 8 * np.round(16 * np.moveaxis(values, 0, -1)), 0, 255)  # 32 steps, as `tinted`
    return np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 255)], axis=-1).astype(np.uint8)


def repeat(outcome: Outcome) -> Element:
    """How to do it again."""
    plain = {name: value[:12] if name.endswith("sha256") else value
             for name, value in outcome.configuration.items() if not isinstance(value, Mapping)}
    settings = outcome.configuration.get("settings", {})
    return section("again", "Do it again", "The same command, with the same versions on a machine of the same kind, "
                   "gives the same model to the bit.", tag("pre", tag("code", outcome.command)),
                   tag("h3", "Settings"), facts({name: "all at once" if value is None else value
                                                 for name, value in settings.items()}),
                   tag("h3", "Circumstances"), facts(plain))
