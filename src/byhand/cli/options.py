"""What the commands share: the options that all of them have, and the ways in which they speak."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console

import byhand
from byhand.terminal import printable

Command = Callable[..., Any]


def common(command: Command) -> Command:
    """The options that every command has."""
    command = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")(command)
    command = click.option("--quiet", "-q", is_flag=True, help="No progress and no notices.")(command)
    return click.option("--debug", is_flag=True, help="Show the traceback of an error.")(command)


class PathName(click.Path):
    """A file or folder by its name, as a path. No name at all would be the folder that one is in, and `-` a file of
    that name, where others write to standard output. With `special=False` it is no device and no pipe either, which
    would be read to its end, if it has one."""

    def __init__(self, special: bool = True, path_type: type = Path, **options: Any) -> None:
        super().__init__(path_type=path_type, **options)
        self.special = special

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name = str(value)
        if not name:
            self.fail("a file or folder needs a name, and this one is empty.", param, ctx)
        if name == "-" and not self.allow_dash:
            self.fail("standard input and output, which are written -, have no place here; give a file or folder.",
                      param, ctx)
        path = Path(name)
        if not self.special and path.exists() and not path.is_file() and not path.is_dir():
            self.fail(f"{name} is a device or a pipe; give a file or folder.", param, ctx)
        return super().convert(value, param, ctx)


class OneOf(click.Choice[str]):
    """A word from a list; for any other, the nearest."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        near = byhand.recipes.did_you_mean(str(value), self.choices)
        return f"{super().get_invalid_choice_message(value, ctx).rstrip('.')}.{near}"


def set_threads(context: click.Context, option: click.Parameter, number: int | None) -> int | None:
    """--threads n, at once."""
    if number is not None:
        byhand.set_num_threads(number)
    return number


threads = click.option("--threads", type=click.IntRange(1), metavar="N", callback=set_threads, is_eager=True,
                       help="Cores to use (default: all).")
DATA = "mnist, fashion-mnist, mini, or a file or folder with data of your own"
SOURCE = PathName(special=False, path_type=str)
"""A data set's name, or where there is one."""
data = click.option("--data", "source", type=SOURCE, default="mnist", show_default=True, metavar="NAME|PATH",
                    help=f"{DATA}.")


def check_kernels(context: click.Context, option: click.Parameter, choice: str | None) -> str | None:
    """--kernels jit needs Numba."""
    try:
        return choice and byhand.kernels.choice.check(choice)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def kernels(command: Command) -> Command:
    """The option --kernels of commands that compute. Who has to wait for kernels to be compiled is told why."""

    @wraps(command)
    def run(*arguments: Any, kernels: str | None, quiet: bool, **options: Any) -> Any:
        from byhand.kernels.compiling import watched_by
        from byhand.progress import Spinner

        with byhand.kernels.using(kernels) if kernels else nullcontext(), watched_by(Spinner(listener(quiet))):
            try:
                byhand.kernels.in_use()
            except ValueError as error:  # the environment asks for others
                raise click.UsageError(str(error)) from None
            return command(*arguments, quiet=quiet, **options)

    return click.option("--kernels", type=OneOf(["numpy", "jit"]), callback=check_kernels,
                        help="How to compute (default: jit where Numba is installed).")(run)


@contextmanager
def known_data(source: str | Path | None = None) -> Iterator[None]:
    """A word that is no data set, no file and no folder is wrong use."""
    try:
        with about(source):
            yield
    except byhand.data.UnknownData as error:
        raise click.UsageError(str(error)) from None


@contextmanager
def about(path: str | Path | None) -> Iterator[None]:
    """An error of the system in here that names no file is about this one: it could be opened, and not be read."""
    try:
        yield
    except OSError as error:
        if error.strerror and error.filename is None and path is not None:
            error.filename = str(path)
        raise


def figure(name: str, help: str) -> Callable[[Command], Command]:
    """An option for the file of a figure. That it could not be drawn or written is said before the work begins."""
    return click.option(name, type=PathName(dir_okay=False), metavar="FILE", help=help,
                        callback=lambda context, option, path: path and byhand.plots.check_file(path))


def listener(quiet: bool) -> Console:
    """Where notices go: standard error, or nowhere. There is one for a command, since two that draw on the same
    terminal would draw over each other."""
    about: dict[str, Any] = click.get_current_context().meta
    console: Console = about.setdefault(__name__, Console(stderr=True, quiet=quiet))
    return console


def notice(console: Console) -> Callable[[str], None]:
    """Print a sentence as it is, without reading markup into it."""
    return lambda sentence: console.print(printable(ended(sentence)), markup=False, highlight=False, soft_wrap=True)


def answer(as_json: bool, content: dict[str, Any], text: str) -> None:
    """The result, once, on standard output."""
    click.echo(json.dumps(content, indent=2) if as_json else printable(text))


def text_width() -> int:
    """The columns of the terminal (or of the variable COLUMNS; 80 where there is neither), but no more than one likes
    to read."""
    return min(shutil.get_terminal_size().columns, 100)


def ended(sentence: str) -> str:
    """With a full stop, which errors in Python are often raised without. A command at the end has none, since people
    copy it."""
    sentence = sentence.rstrip()
    return sentence if sentence.endswith((".", "?", "!")) or ": byhand " in sentence else f"{sentence}."


def in_a_sentence(error: Exception) -> str:
    """What went wrong: the system's errors with their file, ours in their own words."""
    if isinstance(error, OSError) and error.strerror:
        what = "cannot go on" if error.filename is None else f"cannot use {error.filename}"
        return f"{what}: {error.strerror}{'; --debug shows where' if error.filename is None else ''}."
    if isinstance(error, ValueError | OSError):
        return ended(str(error))
    if isinstance(error, MemoryError):
        return "there is not enough memory for this."
    return f"something went wrong that should not have ({type(error).__name__}: {error}); --debug shows where."


class Interrupted(Exception):
    """Ctrl-C, with what is left of the work."""
