"""`byhand doctor`: what is wrong with a training, and what to try?"""

from pathlib import Path

import click

from byhand.cli.options import PathName, about, answer, common, text_width


@click.command()
@click.argument("run", type=PathName(special=False))
@common
def doctor(run: Path, as_json: bool, quiet: bool, debug: bool) -> None:
    """Say what is wrong with a training, and what to try.

    RUN is the folder that byhand train left, also of a run that was killed, or of several seeds. Finding something is
    no failure of this command: the exit code is 0.

    \b
      byhand doctor runs/mlp-2026-01-31-1
      byhand doctor runs/five --json
    """
    from byhand.doctor import examined, facts, in_words

    with about(run):
        runs = [facts(str(folder), measured) for folder, measured in examined(run).items()]
    answer(as_json, {"version": 1, "runs": runs}, "\n\n".join(in_words(told, text_width()) for told in runs))
