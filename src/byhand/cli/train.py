"""`byhand train`: one recipe, from data to a run folder."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import click

import byhand
from byhand.cli.options import Interrupted, answer, common, data, listener, notice, threads


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
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="The run folder (default: in runs/).")
@click.option("--kernels", type=click.Choice(["numpy"]), default="numpy", show_default=True, help="How to compute.")
@threads
@common
def train(recipe: str, source: str, seed: int, seeds: int, epochs: int | None, settings: tuple[str, ...],
          out: Path | None, kernels: str, threads: int | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Train a network.

    RECIPE (default: fast) says which, and how; byhand recipes lists what there is. The network is evaluated once on the
    test set, at the end, and saved in a run folder with what there is to know about it.

    \b
      byhand train
      byhand train lenet --epochs 3 --seed 1
      byhand train mlp --data fashion-mnist --set lr=0.001 --set dropout=0.1
      byhand train relu-10 --data mini --seeds 5 --out runs/five --json
    """
    from byhand.progress import ProgressBar, announce

    console = listener(quiet)
    try:
        chosen = byhand.recipes.find(recipe).having(**changes(settings, epochs))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    splits = byhand.data.load_or_mini(source, notice(console))
    folder = byhand.recipes.run_folder(chosen, out)
    try:
        result = byhand.recipes.run_seeds(
            chosen, splits, seed=seed, seeds=seeds, folder=folder, begin=announce(console),
            callbacks=lambda s: [ProgressBar(console, f"seed {s}" if seeds > 1 else "")])
    except KeyboardInterrupt:
        kept = max(folder.rglob("model.safetensors"), key=lambda path: path.stat().st_mtime, default=None)
        where = f"the last checkpoint is {kept}" if kept else "it was too early for a checkpoint"
        raise Interrupted(f"interrupted; {where}.") from None
    except byhand.recipes.TrainingFailed as error:
        raise click.ClickException(str(error)) from None
    finally:
        with suppress(OSError):  # it has something in it, unless the recipe did not even begin
            folder.rmdir()
    answer(as_json, result, byhand.recipes.sentence(result))


def changes(settings: tuple[str, ...], epochs: int | None) -> dict[str, Any]:
    """What --set and --epochs ask for."""
    asked: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"--set needs KEY=VALUE, got '{setting}'.")
        asked[name.strip().replace("-", "_")] = value
    return asked if epochs is None else asked | {"epochs": epochs}
