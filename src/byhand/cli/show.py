"""`byhand show`: what is inside a saved model?"""

from pathlib import Path

import click

import byhand
from byhand.cli.normalization import as_trained, normalize, say_what_is_assumed
from byhand.cli.options import SOURCE, PathName, about, answer, common, figure, known_data, listener, notice, text_width


@click.command()
@click.argument("model", type=PathName(special=False))
@click.option("--image", "file", type=PathName(dir_okay=False), metavar="FILE",
              help="Send this picture through it.")
@click.option("--data", "source", type=SOURCE, metavar="NAME|PATH",
              help="Send a test sample of this data set through it (default: the run's own data; mini for a file).")
@click.option("--index", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Which test sample, from 0.")
@normalize
@figure("--out", help="Write all of it as one picture: .png, .svg or .pdf.")
@common
def show(model: Path, file: Path | None, source: str | None, index: int, given: tuple[float, ...] | None,
         out: Path | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Show a saved model from inside.

    Its layers and parameters, the weights of its first layer, and the way of one image through it: if no other is
    given, the first test sample of the data that the run was trained on, or for a file the first digit of mini, if it
    reads such images.

    MODEL is a run folder, or a model file of any kind (byhand's own, ONNX, JSON).

    \b
      byhand show first-run
      byhand show first-run --data mini --index 7 --out seven.png
    """
    from byhand.assess import open_model
    from byhand.files.model import model_file
    from byhand.look import chosen_image, model_facts, model_figure, model_text

    if file is not None and source is not None:
        raise click.UsageError("an image comes from --image or from --data, not from both.")
    name, tell = model_file(model), notice(listener(quiet))
    with about(name):
        opened = open_model(model)
    with known_data(file or source):
        image = chosen_image(as_trained(opened, given, name), model, file, source, index, tell)
    opened = as_trained(opened, given, name, None if image is None else image.dtype)
    facts = model_facts(opened, str(name), image)
    if image is not None:
        say_what_is_assumed(opened, name, tell)
    if out is not None:
        byhand.plots.write(model_figure(opened, facts, image), out)
        facts["picture"] = str(out)
    answer(as_json, facts, model_text(opened, facts, image, text_width()))
