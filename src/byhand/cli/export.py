"""`byhand export`: a saved model in another format."""

import textwrap
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import byhand
from byhand.cli.normalization import as_trained, normalize, say_what_is_assumed
from byhand.cli.options import (
    DATA, SOURCE, OneOf, PathName, about, answer, common, kernels, known_data, listener, notice, text_width, threads
)

if TYPE_CHECKING:
    from byhand.files import SavedModel

MOST_NUMBERS = 4  # in a line, of those that a model's inputs are normalized by
ENDINGS = {"onnx": ".onnx", "c": ".c", "json": ".json", "scalar-json": ".json", "safetensors": ".safetensors"}


@click.command()
@click.argument("model", type=PathName(special=False))
@click.option("--to", "form", type=OneOf(list(ENDINGS)), required=True, help="What to write.")
@click.option("--out", type=PathName(), metavar="FILE",
              help="The file to write, a new one (default: beside the model).")
@click.option("--name", metavar="NAME",
              help="With c: what all names in the file begin with, so that several networks fit into one program.")
@click.option("--int8", is_flag=True, help="With c: weights in eight bits; says how many more answers are wrong.")
@click.option("--data", "source", type=SOURCE, metavar="NAME|PATH",
              help=f"With --int8: measure on the test samples of this: {DATA} (default: what the run was trained on; "
                   "for a file mnist).")
@click.option("--preprocessing", is_flag=True,
              help="With onnx: put the normalization in, so that it takes raw samples, such as pixels in bytes.")
@click.option("--fold-batch-norm", "fold", is_flag=True,
              help="With onnx: work batch norms into the weights before them, which is quicker.")
@normalize
@kernels
@threads
@common
def export(model: Path, form: str, out: Path | None, name: str | None, int8: bool, source: str | None,
           preprocessing: bool, fold: bool, given: tuple[float, ...] | None, threads: int | None, as_json: bool,
           quiet: bool, debug: bool) -> None:
    """Write a saved model in another format.

    \b
      onnx         for ONNX Runtime, phones, browsers, and most other programs
      c            one file of C99 that needs nothing else, for small boards too
      json         a text that people can read and change, and bh.load reads
      scalar-json  the layout of the scalar tutorial: linear layers and relu
      safetensors  byhand's own, for models that came as ONNX or JSON

    Not every layer goes into every format; what does not is named.

    MODEL is a run folder, or a model file of any kind (byhand's own, ONNX, JSON). A run folder is what byhand train
    wrote.

    \b
      byhand export first-run --to onnx --preprocessing
      byhand export first-run --to c --out digits.c --name digits --int8
      byhand export digits.safetensors --to json
    """
    from byhand.files.model import model_file
    from byhand.files.reading import load

    for asked, option, owner in ((name is not None, "--name", "c"), (int8, "--int8", "c"),
                                 (preprocessing, "--preprocessing", "onnx"), (fold, "--fold-batch-norm", "onnx")):
        if asked and form != owner:
            raise click.UsageError(f"{option} is for --to {owner}; leave it out.")
    if source is not None and not int8:
        raise click.UsageError("--data says what to measure --int8 on; leave it out.")
    byhand.files.c.check_name(name)  # before eight bits are measured, which takes a while
    file = model_file(model)
    with about(file):
        loaded = load(model)
        saved = as_trained(loaded, given, file)
    out = out or file.with_suffix(ENDINGS[form])
    if out.exists():
        raise FileExistsError(f"{out} exists already; choose another name with --out.")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out} cannot be written: there is no folder {out.parent}.")
    check_ending(out, form)
    if form in ("json", "onnx", "safetensors"):
        check_place_for(saved, form, file)
    facts: dict[str, Any] = {"version": 1, "model": str(file), "format": form, "file": str(out), "int8": None}
    if int8:
        facts["int8"], saved = in_eight_bits(loaded, given, model, file, source, quiet)
    use = write(saved, file, out, form, name, preprocessing, fold)
    say_what_is_assumed(saved, file, notice(listener(quiet)))
    if not saved.normalize_known and saved.normalize is not None and saved.normalize.scale == 1:
        notice(listener(quiet))(f"{file} normalizes its inputs itself, and rows go in as they are: they have to be "
                                "what they were in its training, pixels from 0 to 1 for instance, and not from 0 to "
                                "255.")
    facts |= {"normalize": None if saved.normalize is None else saved.normalize.to_dict(),
              "bytes": out.stat().st_size, "use": use}
    answer(as_json, facts, in_words(facts))


def check_ending(out: Path, form: str) -> None:
    """Raises UsageError for a name that says something else than what is in the file: compilers go by it, and bh.load
    does where it is .onnx."""
    asked, right = out.suffix.lower(), ENDINGS[form]
    if asked != right and (form == "c" or asked in ENDINGS.values()):
        raise click.BadParameter(f"with --to {form} a file's name ends in {right}, as in {out.with_suffix(right)}; "
                                 f"{out} would be taken for something else.", param_hint="'--out'")


def check_place_for(saved: "SavedModel", form: str, file: Path) -> None:
    """Raises ValueError for a model that this format has no place for, in the words of the command."""
    from byhand.files.reading import FirstPixels

    if any(isinstance(layer, FirstPixels) for _, layer in saved.model.named_modules()):
        raise ValueError(f"{file} is a scalar network that does not read whole pictures of 784 pixels, and such a one "
                         "can be exported as c or scalar-json.")
    if form == "onnx" and not saved.input_shape:
        raise ValueError(f"{file} does not say the shape of a sample, which an ONNX file needs; write it again with "
                         "bh.save(model, path, input_shape=(1, 28, 28)), or whatever the shape is, and export that.")


def in_eight_bits(loaded: "SavedModel", given: tuple[float, ...] | None, model: Path, file: Path, source: str | None,
                  quiet: bool) -> tuple[dict[str, Any], "SavedModel"]:
    """What it costs to have the weights in eight bits, and the model that has them. It reads what it was measured on:
    if rows turn out to be bytes, it has them divided by 255 as they were."""
    from byhand.assess import assess

    with known_data(source):
        test = byhand.recipes.data_for(model, source, "mnist", notice(listener(quiet))).test
    saved = as_trained(loaded, given, file, test.inputs.dtype)
    small = byhand.files.c.quantized(saved)
    before, after = (assess(form, test, str(model)).facts() for form in (saved, small))
    measured = {"float_test_accuracy": before["test_accuracy"], "test_accuracy": after["test_accuracy"]}
    facts = {"dataset": after["dataset"], "test_samples": after["test_samples"], **measured}
    return facts, replace(small, metrics={**small.metrics, **measured})


def write(saved: "SavedModel", file: Path, out: Path, form: str, name: str | None, preprocessing: bool,
          fold: bool) -> list[str]:
    """Write what was read from `file` to `out`. Returns the lines that use it."""
    if form == "c":
        declared = byhand.files.c.save(saved, out, name=name)
        return [f"gcc -O2 your_program.c {out} -lm", *declared]
    if form == "onnx":
        onnx = import_module("byhand.files.onnx")  # which needs a package that not everybody has
        onnx.save(saved, out, preprocessing=preprocessing, fold_batch_norm=fold)
        start = f"session = onnxruntime.InferenceSession({str(out)!r})"
        if preprocessing or saved.normalize is None:
            return [start, 'logits = session.run(None, {"input": samples})[0]']
        return [start, normalizing(saved, file), 'logits = session.run(None, {"input": normalized})[0]']
    if form in ("json", "safetensors"):
        if form == "json":
            byhand.files.model_json.save(saved, out)
        else:
            byhand.save(saved.model, out, input_shape=saved.input_shape, normalize=saved.normalize,
                        classes=saved.classes, recipe=saved.recipe, metrics=saved.metrics)
        return [f"saved = bh.load({str(out)!r})", "logits = saved.predict(samples)"]
    from byhand.files.reading import on_numbers
    from byhand.files.scalar_json import write_scalar_json

    try:
        write_scalar_json(on_numbers(saved), out)
    except ValueError as error:
        raise ValueError(f"{file} cannot be exported as scalar-json: {error}") from None
    return [f"net = byhand.files.scalar_json.read_scalar_json({str(out)!r})",
            "classes = byhand.scalar.predict(net, [byhand.scalar.pixels(image, net.sizes[0]) for image in images])"]


def normalizing(saved: "SavedModel", file: Path) -> str:
    """The line that makes of raw samples what a network takes, as `Normalize` does it: with its numbers, or where these
    are many, with the file that has them."""
    from byhand.files.onnx.writing import precision_of

    assert saved.normalize is not None
    if np.size(saved.normalize.mean) > MOST_NUMBERS or np.size(saved.normalize.std) > MOST_NUMBERS:
        return f"normalized = bh.load({str(file)!r}).normalize(samples, '{precision_of(saved.model)}')"
    shape = (-1, *[1] * (len(saved.input_shape) - 1))
    mean, std = (f"np.reshape({value}, {shape})" if isinstance(value, tuple) else str(value)
                 for value in (saved.normalize.mean, saved.normalize.std))
    return f"normalized = ((samples * {saved.normalize.scale} - {mean}) / {std}).astype('{precision_of(saved.model)}')"


def in_words(facts: dict[str, Any]) -> str:
    """What was written, what it cost, and how it is used."""
    said = f"{facts['file']} ({facts['format']}, {facts['bytes']:,} bytes) has the network of {facts['model']}."
    if facts["int8"]:
        said += f" {cost(facts['int8'])}"
    return "\n".join([textwrap.fill(said, text_width(), break_on_hyphens=False, break_long_words=False), "",
                      *[f"    {line}" for line in facts["use"]]])


def cost(found: dict[str, Any]) -> str:
    """What weights in eight bits cost."""
    points = 100 * (found["test_accuracy"] - found["float_test_accuracy"])
    return (f"With weights in eight bits it reads {100 * found['test_accuracy']:.2f} % of the "
            f"{found['test_samples']:,} test samples of {found['dataset']} right, in floating point "
            f"{100 * found['float_test_accuracy']:.2f} %: {abs(points):.2f} points {'lost' if points <= 0 else 'won'}.")
