"""`byhand evaluate`: how good is a saved model?"""

from pathlib import Path

import click

import byhand
from byhand.cli.options import answer, common, data, listener, notice, threads


@click.command()
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
