"""The command `byhand`: thin, since everything it does can be done from Python too.

Results go to standard output, progress and notices to standard error; with --json standard output holds exactly one
JSON object, also for an error. Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.
"""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from rich.console import Console

import byhand

Command = Callable[..., Any]


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(byhand.__version__, prog_name="byhand")
def cli() -> None:
    """Neural networks, written by hand, that read what people write by hand.

    Each command has its own help: byhand train --help.
    """


def common(command: Command) -> Command:
    """The options that every command has."""
    command = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")(command)
    command = click.option("--quiet", "-q", is_flag=True, help="No progress and no notices.")(command)
    return click.option("--debug", is_flag=True, help="Show the traceback of an error.")(command)


def set_threads(context: click.Context, option: click.Parameter, number: int | None) -> int | None:
    """--threads n, at once."""
    if number is not None:
        byhand.set_num_threads(number)
    return number


threads = click.option("--threads", type=click.IntRange(1), metavar="N", callback=set_threads, is_eager=True,
                       help="Cores to use (default: all).")
data = click.option("--data", "source", default="mnist", show_default=True, metavar="NAME|PATH",
                    help="mnist, fashion-mnist, mini, or a folder with IDX files.")


def listener(quiet: bool) -> Console:
    """Where notices go: standard error, or nowhere."""
    return Console(stderr=True, quiet=quiet)


def notice(console: Console) -> Callable[[str], None]:
    """Print a sentence as it is, without reading markup into it."""
    return lambda sentence: console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def answer(as_json: bool, content: dict[str, Any], text: str) -> None:
    """The result, once, on standard output."""
    click.echo(json.dumps(content, indent=2) if as_json else text)


@cli.command()
@click.argument("recipe", default="fast")
@data
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Where all randomness starts.")
@click.option("--seeds", type=click.IntRange(1), default=1, metavar="K",
              help="K runs, with the seeds N, N + 1, ...; their mean and spread.")
@click.option("--epochs", type=click.IntRange(1), metavar="N",
              help="Times to go through the data (default: the recipe's).")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="Change a setting of the recipe; may be given several times.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="The run folder (default: in runs/).")
@click.option("--kernels", type=click.Choice(["numpy"]), default="numpy", show_default=True, help="How to compute.")
@threads
@common
def train(recipe: str, source: str, seed: int, seeds: int, epochs: int | None, settings: tuple[str, ...],
          out: Path | None, kernels: str, threads: int | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Train a network.

    RECIPE (default: fast) says which, and how; byhand recipes lists what there is. The network is evaluated once on the
    test set, at the end, and saved in a run folder with what there is to know about it.

    \b
      byhand train
      byhand train lenet --epochs 3 --seed 1
      byhand train mlp --data fashion-mnist --set lr=0.001 --set dropout=0.1
      byhand train relu-10 --data mini --seeds 5 --out runs/five --json
    """
    from byhand.progress import ProgressBar, announce

    console = listener(quiet)
    try:
        chosen = byhand.recipes.find(recipe).having(**changes(settings, epochs))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    splits = byhand.data.load_or_mini(source, notice(console))
    folder = byhand.recipes.run_folder(chosen, out)
    try:
        result = byhand.recipes.run_seeds(
            chosen, splits, seed=seed, seeds=seeds, folder=folder, begin=announce(console),
            callbacks=lambda s: [ProgressBar(console, f"seed {s}" if seeds > 1 else "")])
    except KeyboardInterrupt:
        kept = max(folder.rglob("model.safetensors"), key=lambda path: path.stat().st_mtime, default=None)
        where = f"the last checkpoint is {kept}" if kept else "it was too early for a checkpoint"
        raise Interrupted(f"interrupted; {where}.") from None
    except byhand.recipes.TrainingFailed as error:
        raise click.ClickException(str(error)) from None
    finally:
        with suppress(OSError):  # it has something in it, unless the recipe did not even begin
            folder.rmdir()
    answer(as_json, result, byhand.recipes.sentence(result))


def changes(settings: tuple[str, ...], epochs: int | None) -> dict[str, Any]:
    """What --set and --epochs ask for."""
    asked: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"--set needs KEY=VALUE, got '{setting}'.")
        asked[name.strip().replace("-", "_")] = value
    return asked if epochs is None else asked | {"epochs": epochs}


@cli.command()
@common
def recipes(as_json: bool, quiet: bool, debug: bool) -> None:
    """List the recipes and what they reach.

    "Published" is what the source claims. "As written" is what the published program itself measured, on this kind of
    machine; figures are means ± standard deviations over seeds.
    """
    rows = byhand.recipes.overview([recipe() for recipe in byhand.recipes.RECIPES])
    answer(as_json, {"version": 1, "recipes": rows}, byhand.recipes.as_text(rows, text_width()))


def text_width() -> int:
    """The columns of the terminal (or of the variable COLUMNS; 80 where there is neither), but no more than one likes
    to read."""
    return min(shutil.get_terminal_size().columns, 100)


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@data
@threads
@common
def evaluate(model: Path, source: str, threads: int | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Measure a saved model on a test set.

    MODEL is a file that byhand train saved, or the JSON weights of a scalar network.

    \b
      byhand evaluate runs/five/model.safetensors
      byhand evaluate runs/five/model.safetensors --data mini --json
    """
    from byhand.files.reading import evaluate_on, open_model

    opened = open_model(model)
    result, text = evaluate_on(opened, model, byhand.data.load_or_mini(source, notice(listener(quiet))).test)
    answer(as_json, result, text)


@cli.group(name="data", no_args_is_help=False)
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


class Interrupted(Exception):
    """Ctrl-C, with what is left of the work."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command; turn every error into one sentence and an exit code."""
    words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = cli.main(words, prog_name="byhand", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.UsageError as error:
        usage = f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help'.\n" if error.ctx else ""
        finish(words, error.format_message(), error.exit_code, usage)
    except click.ClickException as error:
        finish(words, error.format_message(), error.exit_code)
    except (Interrupted, KeyboardInterrupt, click.Abort) as error:
        finish(words, str(error) or "interrupted.", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read our output has left
        sys.exit(1)
    except Exception as error:
        if "--debug" in words:
            raise
        finish(words, in_a_sentence(error), 1)


def in_a_sentence(error: Exception) -> str:
    """What went wrong: the system's errors with their file, ours in their own words."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot use {error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    if isinstance(error, ValueError | OSError):
        return str(error)
    return f"something went wrong that should not have ({type(error).__name__}: {error}); --debug shows where."


def finish(words: list[str], message: str, code: int, usage: str = "") -> None:
    """Say what went wrong, to a person or to a program, and leave."""
    message = " ".join(message.split())
    if "--json" in words:
        click.echo(json.dumps({"version": 1, "error": message, "exit_code": code}))
    click.echo(f"{usage}byhand: {message}", err=True)
    sys.exit(code)
