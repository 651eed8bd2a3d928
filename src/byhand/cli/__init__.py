"""The command `byhand`: thin, since everything it does can be done from Python too.

Results go to standard output, progress and notices to standard error; with --json standard output holds exactly one
JSON object, also for an error. Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.
"""

import json
import os
import sys
from contextlib import suppress
from typing import TextIO

import click

import byhand
from byhand.cli.bench import bench
from byhand.cli.data import data_group
from byhand.cli.doctor import doctor
from byhand.cli.evaluate import evaluate
from byhand.cli.export import export
from byhand.cli.options import Interrupted, ended, in_a_sentence
from byhand.cli.predict import predict
from byhand.cli.recipes import recipes
from byhand.cli.show import show
from byhand.cli.train import train
from byhand.cli.warmup import warmup
from byhand.terminal import printable


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(byhand.__version__, prog_name="byhand")
def cli() -> None:
    """Neural networks, written by hand, that read what people write by hand.

    Each command has its own help: byhand train --help.
    """


for command in (train, recipes, evaluate, predict, doctor, show, export, data_group, bench, warmup):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; turn every error into one sentence and an exit code."""
    words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = cli.main(words, prog_name="byhand", standalone_mode=False)  # ends quietly where nobody reads any more
        if sys.stdout:
            sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.UsageError as error:
        usage = f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help'.\n" if error.ctx else ""
        finish(words, error.format_message(), error.exit_code, usage)
    except click.ClickException as error:
        finish(words, error.format_message(), error.exit_code)
    except (Interrupted, KeyboardInterrupt, click.Abort) as error:
        finish(words, str(error) or "interrupted.", 130)
    except Exception as error:
        if "--debug" in words:
            raise
        finish(words, in_a_sentence(error), 1)


def finish(words: list[str], message: str, code: int, usage: str = "") -> None:
    """Say what went wrong, to a person or to a program, and leave."""
    message = printable(ended(" ".join(message.split())))
    content = json.dumps({"version": 1, "error": message, "exit_code": code}) if "--json" in words else ""
    for stream, text in ((sys.stdout, content), (sys.stderr, f"{usage}byhand: {message}")):
        try:
            if text and stream:  # a closed one is None
                print(text, file=stream, flush=True)
        except OSError:  # a full disk, or nobody there
            forget(stream)
    sys.exit(code)


def forget(stream: TextIO | None) -> None:
    """Let what is still to be written to a stream that does not take it go nowhere."""
    with suppress(AttributeError, OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]
