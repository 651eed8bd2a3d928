"""`byhand evaluate`: how good is a saved model?"""

from pathlib import Path

import click

import byhand
from byhand.cli.normalization import as_trained, normalize, say_what_is_assumed
from byhand.cli.options import (
    DATA, SOURCE, PathName, about, answer, common, figure, kernels, known_data, listener, notice, text_width, threads
)


@click.command()
@click.argument("model", type=PathName(special=False))
@click.option("--data", "source", type=SOURCE, metavar="NAME|PATH",
              help=f"Measure on the test samples of this: {DATA} (default: what the run was trained on; for a file "
                   "mnist).")
@click.option("--confidence", type=click.FloatRange(0, 1), metavar="T",
              help="Also say how often it is right where it is at least this sure, such as 0.9, and how often that is.")
@normalize
@figure("--mistakes", help="Write the worst mistakes as a picture: .png, .svg or .pdf.")
@kernels
@threads
@common
def evaluate(model: Path, source: str | None, confidence: float | None, given: tuple[float, ...] | None,
             mistakes: Path | None, threads: int | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Say how good a saved model is, on a test set.

    How often it is right, within which limits, and for which classes; what it takes for what; and whether it is right
    as often as it says that it is sure.

    MODEL is a run folder, or a model file of any kind (byhand's own, ONNX, JSON). A run folder is what byhand train
    wrote.

    \b
      byhand evaluate first-run
      byhand evaluate first-run --confidence 0.9 --mistakes worst.png
      byhand evaluate first-run/model.safetensors --data mini --json
      byhand evaluate theirs.onnx --normalize 0.1307,0.3081
    """
    from byhand.assess import assess, in_words, open_model
    from byhand.files.model import model_file
    from byhand.pictures import is_pictures

    file, tell = model_file(model), notice(listener(quiet))
    with about(file):
        opened = open_model(model)
    with known_data(source):
        test = byhand.recipes.data_for(model, source, "mnist", tell).test
    opened = as_trained(opened, given, file, test.inputs.dtype)
    if mistakes is not None and not is_pictures(test.inputs):
        raise click.UsageError(f"--mistakes draws pictures, and the samples of {test.name} are none; leave it out.")
    found = assess(opened, test, str(file))
    facts = found.facts() | {"normalize": None if opened.normalize is None else opened.normalize.to_dict()}
    if confidence is not None:
        facts["confidence"] = found.above(confidence)
    if mistakes is not None:
        facts["mistakes"] = str(mistakes) if facts["correct"] < facts["test_samples"] else None
        if facts["mistakes"]:
            byhand.plots.write(found.picture_of_mistakes(), mistakes)
    say_what_is_assumed(opened, file, tell)
    answer(as_json, facts, in_words(facts, text_width()))
