"""`byhand data`: data sets, fetched and described."""

import textwrap
from typing import Any

import click

import byhand
from byhand.cli.options import answer, common, listener, notice, text_width


@click.group(name="data", no_args_is_help=False)
def data_group() -> None:
    """Get, check and describe data sets."""


@data_group.command()
@click.argument("name", default="mnist")
@common
def fetch(name: str, as_json: bool, quiet: bool, debug: bool) -> None:
    """Get a data set and keep it for later.

    NAME is mnist (the default) or fashion-mnist. It is looked for in the folder that BYHAND_DATA names, in the cache,
    and on the mirrors.
    """
    folder = byhand.data.fetch(name, notice(listener(quiet)))
    answer(as_json, {"version": 1, "dataset": name, "folder": str(folder)}, f"{name} is in {folder}")


@data_group.command()
@click.argument("source", default="mnist")
@common
def info(source: str, as_json: bool, quiet: bool, debug: bool) -> None:
    """Say what is in a data set.

    SOURCE is mnist (the default), fashion-mnist, mini, or a folder with IDX files.
    """
    facts = byhand.data.info(byhand.data.load(source, notice(listener(quiet))))
    answer(as_json, {"version": 1, **facts}, data_in_words(facts))


def data_in_words(facts: dict[str, Any]) -> str:
    """What `byhand.data.info` tells, for a person."""
    mean, std = (", ".join(f"{value:.2f}" for value in facts[name]) for name in ("mean", "std"))
    rows = [("training", f"{facts['train_samples']:,} images"), ("test", f"{facts['test_samples']:,} images"),
            ("an image", f"{' x '.join(map(str, facts['shape']))} (channels, rows, columns), {facts['dtype']}"),
            ("its values", f"from {facts['min']:g} to {facts['max']:g}, mean {mean}, standard deviation {std}"),
            ("read from", facts["source"]),
            ("content", "the published files, by their SHA-256 (--json shows them)" if facts["sha256"] else
                        "none of the published sets")]
    if facts["origin"]:
        rows.append(("origin", facts["origin"]))
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
