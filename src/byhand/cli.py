"""The command `byhand`: thin, since everything it does can be done from Python too.

Results go to standard output, progress and notices to standard error; with --json standard output holds exactly one JSON
object, also for an error. Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

import byhand

Command = Callable[..., Any]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(byhand.__version__, prog_name="byhand")
def cli() -> None:
    """Neural networks, written by hand, that read what people write by hand."""


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


threads = click.option("--threads", type=click.IntRange(1), callback=set_threads, is_eager=True,
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
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Where all randomness starts.")
@click.option("--seeds", type=click.IntRange(1), default=1, metavar="K", help="K runs, with seeds SEED, SEED + 1, ...")
@click.option("--epochs", type=click.IntRange(1), help="Times to go through the data (default: the recipe's).")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting of the recipe.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="The run folder (default: in runs/).")
@click.option("--kernels", type=click.Choice(["numpy"]), default="numpy", show_default=True, help="How to compute.")
@threads
@common
def train(recipe: str, source: str, seed: int, seeds: int, epochs: int | None, settings: tuple[str, ...],
          out: Path | None, kernels: str, threads: int | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Train RECIPE (default: fast), evaluate it once on the test set, and save it.

    `byhand recipes` lists what there is.
    """
    from byhand.progress import ProgressBar, announce

    console = listener(quiet)
    chosen = byhand.recipes.find(recipe).having(**changes(settings, epochs))
    splits = byhand.data.load_or_mini(source, notice(console))
    folder = byhand.recipes.run_folder(chosen, out)
    try:
        result = byhand.recipes.run_seeds(chosen, splits, seed=seed, seeds=seeds, folder=folder,
                                          callbacks=lambda: [ProgressBar(console)], begin=announce(console))
    except KeyboardInterrupt:
        kept = sorted(folder.rglob("model.safetensors"))
        where = f"the last checkpoint is {kept[-1]}" if kept else "it was too early for a checkpoint"
        raise Interrupted(f"Interrupted; {where}.") from None
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
    """The recipes, what was published of them, and what they reach here."""
    rows = byhand.recipes.overview([recipe() for recipe in byhand.recipes.RECIPES])
    if as_json:
        answer(True, {"version": 1, "recipes": rows}, "")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("recipe", "network and method", "published", "as written, measured", "byhand"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(row["recipe"], row["method"], row["published"], row["as_written"], row["here"])
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@data
@threads
@common
def evaluate(model: Path, source: str, threads: int | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """The accuracy of a saved MODEL on the test set of a data set.

    MODEL is a file that `byhand train` saved, or the JSON weights of a scalar network.
    """
    from byhand.files.reading import evaluate_file

    result, text = evaluate_file(model, byhand.data.load_or_mini(source, notice(listener(quiet))))
    answer(as_json, result, text)


@cli.group(name="data")
def data_group() -> None:
    """Get, check and describe data sets."""


@data_group.command()
@click.argument("name", default="mnist")
@common
def fetch(name: str, as_json: bool, quiet: bool, debug: bool) -> None:
    """Get the data set NAME (default: mnist) and keep it for later."""
    folder = byhand.data.fetch(name, notice(listener(quiet)))
    answer(as_json, {"version": 1, "dataset": name, "folder": str(folder)}, f"{name} is in {folder}")


@data_group.command()
@click.argument("source", default="mnist")
@common
def info(source: str, as_json: bool, quiet: bool, debug: bool) -> None:
    """What is in a data set (default: mnist)."""
    facts = byhand.data.info(byhand.data.load(source, notice(listener(quiet))))
    answer(as_json, {"version": 1, **facts}, "\n".join(f"{name:<16}{value}" for name, value in facts.items()))


class Interrupted(Exception):
    """Ctrl-C, with what is left of the work."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command; turn every error into one sentence and an exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(words, prog_name="byhand", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        usage = error.ctx.get_usage() + "\n" if isinstance(error, click.UsageError) and error.ctx else ""
        finish(words, error.format_message(), error.exit_code, usage)
    except (Interrupted, KeyboardInterrupt, click.Abort) as error:
        finish(words, str(error) or "Interrupted.", 130)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has left; there is nobody to tell
        sys.exit(1)
    except Exception as error:
        if "--debug" in words:
            raise
        expected = isinstance(error, ValueError | OSError | byhand.recipes.TrainingFailed)
        message = str(error) if expected else (f"something went wrong that should not have ({type(error).__name__}: {error}); "
                                               "--debug shows where.")
        finish(words, message, 1)


def finish(words: list[str], message: str, code: int, usage: str = "") -> None:
    """Say what went wrong, to a person or to a program, and leave."""
    message = " ".join(message.split())
    if "--json" in words:
        click.echo(json.dumps({"version": 1, "error": message, "exit_code": code}))
    click.echo(f"{usage}byhand: {message}", err=True)
    sys.exit(code)
