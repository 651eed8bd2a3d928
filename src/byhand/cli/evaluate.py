"""`byhand evaluate`: how good is a saved model?"""

from pathlib import Path

import click

import byhand
from byhand.cli.options import (
    DATA, answer, common, figure, kernels, known_data, listener, notice, tell_of_normalization, text_width, threads
)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", "source", metavar="NAME|PATH",
              help=f"{DATA} (default: the run's own data; mnist for a file).")
@click.option("--confidence", type=click.FloatRange(0, 1), metavar="T",
              help="Also say how well it does if it answers only where its probability is at least T, from 0 to 1.")
@figure("--mistakes", help="Write the worst mistakes as a picture: .png, .svg or .pdf.")
@kernels
@threads
@common
def evaluate(model: Path, source: str | None, confidence: float | None, mistakes: Path | None, threads: int | None,
             as_json: bool, quiet: bool, debug: bool) -> None:
    """Measure a saved model on a test set.

    MODEL is a run folder, or a model file of any kind (byhand's own, ONNX, JSON).

    \b
      byhand evaluate first-run
      byhand evaluate first-run --confidence 0.9 --mistakes worst.png
      byhand evaluate first-run/model.safetensors --data mini --json
    """
    from byhand.assess import assess, in_words
    from byhand.files.reading import model_file, open_model
    from byhand.pictures import is_pictures

    opened = open_model(model)
    with known_data():
        test = byhand.recipes.data_for(model, source, "mnist", notice(listener(quiet))).test
    if mistakes is not None and not is_pictures(test.inputs):
        raise click.UsageError(f"--mistakes draws pictures, and the samples of {test.name} are none; leave it out.")
    tell_of_normalization(opened, model_file(model), listener(quiet))
    found = assess(opened, test, str(model_file(model)))
    facts = found.facts()
    if confidence is not None:
        facts["confidence"] = found.above(confidence)
    if mistakes is not None:
        facts["mistakes"] = str(mistakes) if facts["correct"] < facts["test_samples"] else None
        if facts["mistakes"]:
            byhand.plots.write(found.picture_of_mistakes(), mistakes)
    answer(as_json, facts, in_words(facts, text_width()))
