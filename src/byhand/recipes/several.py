"""One run is an anecdote: the same recipe with several seeds, and what they say together.

Also the table of all recipes beside what was published of them. Its figures are in `measured.json`, which
`scripts/measure_recipes.py` writes from real runs and nobody by hand.
"""

import json
import statistics
import textwrap
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from byhand.callbacks import Callback
from byhand.data import Splits
from byhand.recipes.configuration import CONFIG, RESULT, configuration, write_json
from byhand.report import overview as overview_page
from byhand.report import write_pages
from byhand.recipes.recipe import Recipe
from byhand.recipes.run import Notice, Result, run_recipe

ACCURACIES = ("train_accuracy", "validation_accuracy", "test_accuracy")


def run_seeds(recipe: Recipe, data: Splits, *, seed: int, seeds: int, folder: Path,
              callbacks: Callable[[int], Sequence[Callback]] = lambda seed: [], begin: Notice | None = None,
              one: Callable[..., Result] = run_recipe, **options: Any) -> Result:
    """Run a recipe with `seeds` seeds, from `seed` on; several leave a sub-folder each.

    callbacks(seed) makes new ones for each run. `one` is `run_recipe` or, in a folder where they were interrupted,
    `resume_recipe`; it is given the options. The result of several runs holds them as `runs`; its accuracies,
    seconds and samples per second are their means, and so are the ends of `test_interval`, which says how sure one run
    can be. `test_sd` is the standard deviation of the test accuracy from seed to seed. `model` is the one that did best
    on the validation data, and `seed` is its own; those of all are in `runs`. The whole is also written to
    `result.json` in the folder.
    """
    if seeds == 1:
        return one(recipe, data, seed=seed, folder=folder, callbacks=callbacks(seed), begin=begin, **options)
    if not (folder / CONFIG).exists():  # else it says with what they began
        write_json(folder / CONFIG, configuration(recipe, data, seed) | {"seeds": seeds})
    runs = []
    for s in range(seed, seed + seeds):
        own = folder / f"seed-{s}"
        own.mkdir(exist_ok=True)
        runs.append(one(recipe, data, seed=s, folder=own, callbacks=callbacks(s), begin=begin, **options))
        begin = None  # told once
    best = max(runs, key=lambda r: r["validation_accuracy"] or 0.0)
    together = dict(best)
    for name in (*ACCURACIES, "train_seconds", "total_seconds", "samples_per_second"):
        values = [r[name] for r in runs]
        together[name] = None if None in values else statistics.fmean(values)
    pooled = [r["test_interval"] for r in runs]
    together["test_interval"] = [statistics.fmean(ends) for ends in zip(*pooled, strict=True)]
    together |= {"seeds": seeds, "run": str(folder), "runs": runs,
                 "train_sd": spread(runs, "train_accuracy"), "validation_sd": spread(runs, "validation_accuracy"),
                 "test_sd": spread(runs, "test_accuracy")}
    together |= write_pages(folder, {"report.html": overview_page(together)})
    write_json(folder / RESULT, together)
    return together


def spread(runs: Sequence[Result], name: str) -> float | None:
    """The standard deviation of a figure over runs (n - 1)."""
    values = [r[name] for r in runs]
    return None if None in values else statistics.stdev(values)


def sentence(result: Result) -> str:
    """A result in words."""
    low, high = result["test_interval"]
    percent = f"{100 * result['test_accuracy']:.2f}"
    if "runs" in result:
        seeds = len(result["runs"])
        figure = f"{percent} ± {100 * result['test_sd']:.2f} % (mean and standard deviation of {seeds} seeds)"
    else:
        figure = f"{percent} % (95 % interval {100 * low:.2f} to {100 * high:.2f} %)"
    report = f"the report in {result['report']}" if result["report"] else f"no report: {result['report_missing']}"
    return (f"{result['recipe']} reads {figure} of the {result['test_samples']:,} test samples of {result['dataset']} "
            f"right, after {result['train_seconds']:.1f} s of training.\nThe model is in {result['model']}, {report}")


def overview(recipes: Sequence[Recipe]) -> list[dict[str, Any]]:
    """A row a recipe: what was published, what the published program measured, what it reaches here."""
    measured = json.loads(resources.files("byhand.recipes").joinpath("measured.json").read_text(encoding="utf-8"))
    return [{"recipe": recipe.name, "method": recipe.method, "published": recipe.published,
             "as_written": recipe.as_written, "here": in_words(measured.get(recipe.name)),
             "measured": measured.get(recipe.name)} for recipe in recipes]


def in_words(figures: dict[str, Any] | None) -> str:
    """What was measured of a recipe: '83.30 ± 0.60 % train, 83.00 ± 0.80 % test (5 seeds)'."""
    if figures is None:
        return "not measured yet"
    parts = [f"{100 * figures[f'{name}_accuracy']:.2f} ± {100 * figures[f'{name}_sd']:.2f} % {name}"
             for name in ("train", "validation", "test") if figures[f"{name}_accuracy"] is not None]
    return f"{', '.join(parts)} ({figures['seeds']} seeds)"


def as_text(rows: Sequence[dict[str, Any]], width: int) -> str:
    """The overview for a terminal of this width: a paragraph a recipe, and a line of its own for each figure."""
    margin = max(len(row["recipe"]) for row in rows) + 2
    paragraphs = []
    for row in rows:
        said = [(row["recipe"].ljust(margin), row["method"]), ("published", row["published"]),
                ("as written", row["as_written"]), ("byhand", row["here"])]
        lines = [textwrap.fill(text, width, initial_indent=label.rjust(margin - 2).ljust(margin),
                               subsequent_indent=" " * margin) for label, text in said if text]
        paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs)
