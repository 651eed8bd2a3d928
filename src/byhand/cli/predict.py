"""`byhand predict`: what is on these pictures?"""

import json
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from byhand.atomic import write_atomically
from byhand.cli.normalization import as_trained, normalize, say_what_is_assumed
from byhand.cli.options import PathName, about, common, in_a_sentence, kernels, listener, notice, threads
from byhand.terminal import printable

if TYPE_CHECKING:
    from byhand.pictures.show import Row
    from byhand.reader import Array

Facts = dict[str, Any]
STDIN = Path("-")
MOST_DRAWN = 40  # rows


def png_file(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """What could not be written is said before the work begins."""
    if path and path.suffix.lower() != ".png":
        raise click.BadParameter(f"the steps are drawn as a .png file, not as {path}.")
    if path and not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}.")
    return path


@click.command()
@click.argument("model", type=PathName(special=False))
@click.argument("images", type=PathName(allow_dash=True), nargs=-1, required=True, metavar="IMAGE...")
@click.option("--many", is_flag=True, help="Read all the digits on each picture, line by line.")
@click.option("--as-is", is_flag=True, help="Prepare nothing: only bring pictures to the model's size and colours.")
@click.option("--show", "drawing", type=PathName(dir_okay=False), metavar="FILE", callback=png_file,
              help="Draw what was done to each picture before it was read, as .png.")
@normalize
@kernels
@threads
@common
def predict(model: Path, images: tuple[Path, ...], many: bool, as_is: bool, drawing: Path | None,
            given: tuple[float, ...] | None, threads: int | None, as_json: bool, quiet: bool, debug: bool) -> int:
    """Say what is on pictures, and how sure the model is.

    IMAGE is a picture, a folder of pictures, or - for standard input. A model of digits reads scans and photographs of
    pen on paper, dark on light or light on dark: the digit is found, cropped and centred as those of MNIST are. A model
    of something else gets pictures in its own size and colours.

    MODEL is a run folder, or a model file of any kind (byhand's own, ONNX, JSON). A run folder is what byhand train
    wrote.

    \b
      byhand predict first-run digit.jpg
      byhand predict first-run photographs --show steps.png
      byhand predict first-run page.png --many --json
    """
    from byhand import reader
    from byhand.assess import open_model
    from byhand.files.model import model_file
    from byhand.pictures.show import sheet

    if many and as_is:
        raise click.UsageError("--many prepares each digit, and --as-is prepares nothing: choose one.")
    if drawing and drawing.exists() and {drawing.resolve(), drawing.resolve().parent} & {p.resolve() for p in images}:
        raise click.UsageError(f"--show would overwrite {drawing}, one of the pictures to read: choose another file.")
    file, tell = model_file(model), notice(listener(quiet))
    with about(file):
        opened = as_trained(open_model(model), given, file, "uint8")
    (reader.check_reads_digits if many else reader.picture_shape)(opened)  # or say so before any picture is read
    say_what_is_assumed(opened, file, tell)
    told: list[Facts] = []
    rows: list[Row] = []
    drawn = 0
    waiting = deque(images)
    while waiting:
        path = waiting.popleft()
        name = "standard input" if path == STDIN else str(path)
        try:
            if path.is_dir():
                waiting.extendleft(reversed(pictures_of(path)))
                continue
            with about(name):
                picture = picture_of(path, name)
            seen = (reader.read_many(opened, picture, name) if many else
                    reader.read_as_it_is(opened, picture) if as_is else reader.read(opened, picture, name))
        except (ValueError, OSError) as error:
            told.append({"image": name, "error": printable(in_a_sentence(error))})
            click.echo(f"byhand: {told[-1]['error']}", err=True)
            continue
        told.append({"image": name, **seen.facts()})
        text = printable(f"{name}: {seen.in_words()}")
        if drawing:
            steps = seen.rows(text)
            rows, drawn = rows + steps[:MOST_DRAWN - len(rows)], drawn + len(steps)
        if not as_json:
            click.echo(text)
        if not many and seen.digits() > 1:
            tell(f"on {name} there seem to be {seen.digits()} digits; --many reads each of them.")
    result: Facts = {"version": 1, "model": str(file), "recipe": opened.recipe, "images": told,
                     "normalize": None if opened.normalize is None else opened.normalize.to_dict()}
    if drawing and rows:
        write_atomically(drawing, sheet(rows))
        result["show"] = str(drawing)
        if drawn > len(rows):
            tell(f"{drawing} shows the first {len(rows)} of {drawn:,} rows.")
    failed = sum("error" in facts for facts in told)
    if failed:
        result |= {"error": f"{failed:,} of {len(told):,} pictures could not be read.", "exit_code": 1}
    if as_json:
        click.echo(json.dumps(result, indent=2))
    return 1 if failed else 0


def pictures_of(folder: Path) -> list[Path]:
    """The pictures in a folder; an error if there are none."""
    from byhand.pictures import SUFFIXES, pictures_in

    found = pictures_in(folder)
    if not found:
        raise ValueError(f"the folder {folder} has no pictures ({', '.join(SUFFIXES)}).")
    return found


def picture_of(path: Path, name: str) -> "Array":
    """A picture from a file or from standard input, of which no more is read than a picture may have."""
    from byhand.pictures import read_picture
    from byhand.pictures.reading import MOST_BYTES

    if path != STDIN:
        return read_picture(path)
    content = sys.stdin.buffer.read(MOST_BYTES + 1) if sys.stdin else b""  # a closed one is None
    return read_picture(content, name)
