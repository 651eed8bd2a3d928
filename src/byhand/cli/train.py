"""`byhand train`: one recipe, from data to a run folder; or on, where an interrupted run was."""

import os
import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

import byhand
from byhand.atomic import alone_in
from byhand.cli.options import (
    Interrupted, PathName, answer, common, data, kernels, known_data, listener, notice, text_width, threads
)

if TYPE_CHECKING:
    from byhand.data import Splits
    from byhand.recipes import BegunRun, Recipe


def every(context: click.Context, option: click.Parameter, text: str) -> dict[str, Any]:
    """--checkpoint-every: 100 (steps) or 30s."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*s|([1-9]\d{0,8})", text.strip())
    if not found:
        raise click.BadParameter(f"'{text}' is neither a number of steps, such as 100, nor of seconds, such as 30s.")
    return {"steps": int(found[2])} if found[2] else {"seconds": float(found[1])}


@click.command()
@click.argument("recipe", default="fast")
@data
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Where all randomness starts.")
@click.option("--seeds", type=click.IntRange(1), default=1, metavar="K",
              help="K runs, with the seeds N, N + 1, ...; their mean and spread.")
@click.option("--epochs", type=click.IntRange(1), metavar="N",
              help="Times to go through the data (default: the recipe's).")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="Change a setting of the recipe; may be given several times.")
@click.option("--out", type=PathName(special=False), help="The run folder (default: in runs/).")
@click.option("--resume", type=PathName(special=False, file_okay=False), metavar="RUN",
              help="Go on with the run in this folder, from where it was interrupted.")
@click.option("--checkpoint-every", "saving", default="10s", show_default=True, metavar="N|Ns", callback=every,
              help="Save what it takes to go on every N steps, or every N seconds.")
@click.option("--find-lr", is_flag=True,
              help="Find a learning rate instead of training; --out DIR or FILE.png draws it.")
@kernels
@threads
@common
@click.pass_context
def train(context: click.Context, recipe: str, source: str, seed: int, seeds: int, epochs: int | None,
          settings: tuple[str, ...], out: Path | None, resume: Path | None, saving: dict[str, Any], find_lr: bool,
          threads: int | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Train a network.

    RECIPE (default: fast) says which, and how; byhand recipes lists what there is. The network is evaluated once on the
    test set, at the end, and saved in a run folder with what there is to know about it. A run that was interrupted goes
    on with --resume, and ends with the same weights as if it had not been.

    \b
      byhand train
      byhand train lenet --epochs 3 --seed 1
      byhand train mlp --data fashion-mnist --set lr=0.001 --set dropout=0.1
      byhand train relu-10 --data mini --seeds 5 --out runs/five --json
      byhand train --resume runs/five
      byhand train lenet --find-lr
    """
    from byhand.progress import ProgressBar, announce

    if out is not None and out.is_file() and not find_lr:
        raise click.BadParameter(f"'{out}' is a file.", param_hint="'--out'")
    console = listener(quiet)
    tell = notice(console)
    if find_lr:
        if resume is not None:
            raise click.UsageError("--find-lr begins anew; leave out --resume.")
        from byhand.recipes.finding_lr import range_picture, range_report

        chosen, picture = configured(recipe, settings, epochs), out and range_picture(out)
        with known_data(source):
            splits = byhand.data.load_or_mini(source, tell)
        answer(as_json, *range_report(chosen, splits, seed, picture, min(text_width(), 72)))
        return
    one: Callable[..., dict[str, Any]] = byhand.recipes.run_recipe
    if resume is not None:
        begun = byhand.recipes.open_run(resume)
        context.with_resource(alone_in(resume))
        splits = unchanged(begun, context, tell)
        chosen, seed, seeds, folder = begun.recipe, begun.seed, begun.seeds, resume
        one = partial(byhand.recipes.resume_recipe, notify=tell)
    else:
        chosen = configured(recipe, settings, epochs)
        with known_data(source):
            splits = byhand.data.load_or_mini(source, tell)
        folder = byhand.recipes.run_folder(chosen, out)
        context.with_resource(alone_in(folder))
    again = f"byhand train --resume {shlex.quote(str(folder))}"
    try:
        result = byhand.recipes.run_seeds(
            chosen, splits, seed=seed, seeds=seeds, folder=folder, begin=announce(console), one=one,
            callbacks=lambda s: [ProgressBar(console, f"seed {s}" if seeds > 1 else "")],
            checkpoint=partial(byhand.callbacks.Checkpoint, notify=tell, **saving))
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; to go on: {again}" if (folder / "config.json").exists() else
                          "interrupted; it was too early for a checkpoint.") from None
    except OSError as error:
        if any(folder.rglob("checkpoint*.safetensors")):
            raise click.ClickException(f"{error} What was learned until the last checkpoint is there; when it can be "
                                       f"written again: {again}") from None
        raise
    except byhand.recipes.TrainingFailed as error:
        raise click.ClickException(str(error)) from None
    finally:
        with suppress(OSError):  # it has something in it, unless the recipe did not even begin
            folder.rmdir()
    answer(as_json, result, byhand.recipes.sentence(result))


def unchanged(begun: "BegunRun", context: click.Context, tell: Callable[[str], None]) -> "Splits":
    """The data that a run began with, if nothing on the command line says otherwise than it was told then. Other
    versions are named. Raises UsageError for what differs."""
    given = {name: value for name, value in context.params.items()
             if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    was = {"recipe": begun.recipe.name, "seed": begun.seed, "seeds": begun.seeds, "out": begun.folder}
    now = {name: given.get(name, value) for name, value in was.items()}
    if now["out"].resolve() == begun.folder.resolve():
        now["out"] = begun.folder
    if now == was:
        was = begun.recipe.settings()
        try:
            now = begun.recipe.having(**changes(given.get("settings", ()), given.get("epochs"))).settings()
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    for name in was:
        if now[name] != was[name]:
            raise click.UsageError(f"the run {begun.folder} began with {name} {was[name]}, and cannot go on with "
                                   f"{name} {now[name]}; leave that out, or begin another run.")
    if "threads" not in given and "BYHAND_NUM_THREADS" not in os.environ:
        byhand.set_num_threads(begun.threads)
    if not byhand.kernels.choice.asked():
        with suppress(ValueError):  # they cannot be had any more, which is named
            context.with_resource(byhand.kernels.using(begun.config.get("kernels", "")))
    if not begun.finished:
        for change in begun.changes():
            tell(change)
    try:
        return begun.data(given.get("source"), tell)
    except ValueError as error:
        raise click.UsageError(str(error)) if "source" in given else error from None


def configured(recipe: str, settings: tuple[str, ...], epochs: int | None) -> "Recipe":
    """The recipe of this name, with the settings that were asked for."""
    try:
        return byhand.recipes.find(recipe).having(**changes(settings, epochs))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def changes(settings: tuple[str, ...], epochs: int | None) -> dict[str, Any]:
    """What --set and --epochs ask for."""
    asked: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"--set needs KEY=VALUE, got '{setting}'.")
        asked[name.strip().replace("-", "_")] = value
    return asked if epochs is None else asked | {"epochs": epochs}
