"""`byhand data`: data sets, fetched, described, and turned into other forms."""

import textwrap
from pathlib import Path
from typing import Any

import click

import byhand
from byhand.cli.options import (
    SOURCE, OneOf, PathName, answer, common, figure, known_data, listener, notice, text_width
)


@click.group(name="data", no_args_is_help=False)
def data_group() -> None:
    """Get, check, describe and convert data sets."""


@data_group.command()
@click.argument("name", default="mnist")
@common
def fetch(name: str, as_json: bool, quiet: bool, debug: bool) -> None:
    """Get a data set and keep it for later.

    NAME is mnist (the default) or fashion-mnist. It is looked for in the folder that BYHAND_DATA names, in the cache,
    and on the mirrors.
    """
    with known_data(name):
        folder = byhand.data.fetch(name, notice(listener(quiet)))
    answer(as_json, {"version": 1, "dataset": name, "folder": str(folder)}, f"{name} is in {folder}")


@data_group.command()
@click.argument("source", type=SOURCE, default="mnist")
@common
def info(source: str, as_json: bool, quiet: bool, debug: bool) -> None:
    """Say what is in a data set.

    SOURCE is mnist (the default), fashion-mnist, mini, or a file or folder with data of your own.
    """
    with known_data(source):
        facts = byhand.data.info(byhand.data.load(source, notice(listener(quiet))))
    answer(as_json, {"version": 1, **facts}, data_in_words(facts))


@data_group.command()
@click.argument("source", type=SOURCE)
@click.argument("target", type=PathName())
@click.option("--to", "form", type=OneOf(["idx", "npz", "csv", "npy", "pictures"]),
              help="The form, where the name of TARGET does not say it (default: idx, for tables npy).")
@common
def convert(source: str, target: Path, form: str | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Turn data into another form.

    SOURCE is a data set as in byhand data info. TARGET is new: a file that ends in .npz or .csv, or a folder.

    \b
      byhand data convert mnist mnist.npz
      byhand data convert my-photos my-photos.npz
      byhand data convert fashion-mnist clothes --to pictures
    """
    notify = notice(listener(quiet))
    with known_data(source):
        splits = byhand.data.load(source, notify)
    form = byhand.data.save(splits, target, form, notify)
    counts = {"train_samples": len(splits.train), "test_samples": len(splits.test)}
    answer(as_json, {"version": 1, "source": splits.source, "target": str(target), "form": form, **counts},
           f"{target} ({form}) holds {len(splits.train):,} training and {len(splits.test):,} test samples in "
           f"{len(splits.classes)} classes")


@data_group.command()
@click.argument("source", type=SOURCE, default="mnist")
@figure("--out", help="Write all of it as one picture: .png, .svg or .pdf.")
@common
def show(source: str, out: Path | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Show what a data set looks like.

    Its classes with their counts, its values, and for each class the first sample and the average; of samples that are
    no pictures the statistics of each feature. SOURCE is as in byhand data info.

    \b
      byhand data show mini
      byhand data show fashion-mnist --out clothes.png
    """
    from byhand.look import data_facts, data_text

    with known_data(source):
        splits = byhand.data.load(source, notice(listener(quiet)))
    facts = data_facts(splits)
    if out is not None:
        byhand.plots.write(byhand.plots.data_sheet(splits), out)
        facts["picture"] = str(out)
    answer(as_json, facts, data_text(splits, text_width()))


def data_in_words(facts: dict[str, Any]) -> str:
    """What `byhand.data.info` tells, for a person."""
    mean, std = (", ".join(f"{value:.2f}" for value in facts[name]) if len(facts[name]) <= 4 else
                 f"from {min(facts[name]):.2f} to {max(facts[name]):.2f}" for name in ("mean", "std"))
    what, one, axes = "samples", "a sample", " values"
    if len(facts["shape"]) == 3:
        what, one, axes = "images", "an image", " (channels, rows, columns)"
    rows = [("training", f"{facts['train_samples']:,} {what}"), ("test", f"{facts['test_samples']:,} {what}"),
            (one, f"{' x '.join(map(str, facts['shape']))}{axes}, {facts['dtype']}"),
            ("its values", f"from {facts['min']:g} to {facts['max']:g}, mean {mean}, standard deviation {std}"),
            ("read from", facts["source"]),
            ("content", "the published files, by their SHA-256 (--json shows them)" if facts["sha256"] else
                        "none of the published sets")]
    if facts["origin"]:
        rows.append(("origin", facts["origin"]))
    if facts["datasheet"]:
        rows += [(name, facts["datasheet"][name]) for name in ("made", "people", "limits")]
        rows.append(("more", "docs/datasheets.md; --json has who may be harmed, and what it is for"))
    lines = [facts["name"]]
    for label, value in rows:
        lines += textwrap.wrap(value, text_width(), initial_indent=label.ljust(12), subsequent_indent=" " * 12,
                               break_on_hyphens=False)
    if facts["train_counts"] and facts["test_counts"]:
        widest = max(len("class"), *map(len, facts["classes"]))
        lines += ["", f"{'class':<{widest}}  training    test"]
        counts = zip(facts["classes"], facts["train_counts"], facts["test_counts"], strict=True)
        lines += [f"{name:<{widest}}  {train:>8,}  {test:>6,}" for name, train, test in counts]
    return "\n".join(lines)
