"""One experiment from beginning to end: data in, a run folder out.

The test set is looked at once, after the last step, when nothing is left to choose. What was done and what came out is
written down beside the model: `config.json` says how to do it again, `history.jsonl` has a line an epoch,
`model-card.md` says in words what the model is good for.
"""

import datetime
import json
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import byhand
from byhand import kernels
from byhand.atomic import write_atomically
from byhand.callbacks import Callback, Checkpoint, Epoch, Run, StopOnNaN
from byhand.data import Dataset, Splits
from byhand.data.dataset import has_classes
from byhand.inference import Evaluation, evaluate
from byhand.files import save
from byhand.nn import Module
from byhand.nn.module import ShapeError
from byhand.report import Outcome, card, command, page, write_pages
from byhand.recipes.recipe import Parts, Recipe, is_published

Result = dict[str, Any]
Notice = Callable[[Recipe, Module, Parts], None]


class History(Callback):
    """Adds each epoch's record to a file as soon as it is known, so that Ctrl-C loses none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(self, run: Run) -> None:
        self.path.write_bytes(b"")

    def on_epoch_end(self, run: Run) -> None:
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(strict(run.history[-1])) + "\n")


class TrainingFailed(RuntimeError):
    """Training ended without a model worth keeping. The message says why and what to try."""


def run_folder(recipe: Recipe, out: Path | None = None, root: Path = Path("runs")) -> Path:
    """A new, empty run folder: `out`, or runs/<recipe>-<date>-<n> with the first n that is free.

    Raises FileExistsError if `out` has something in it, other OSErrors if it cannot be made.
    """
    if out is not None:
        if out.is_dir() and any(out.iterdir()):
            raise FileExistsError(f"the run folder {out} is not empty; name another with --out, or empty it.")
        out.mkdir(parents=True, exist_ok=True)
        return out
    day = datetime.date.today().isoformat()
    for n in range(1, 1_000_000):
        folder = root / f"{recipe.name}-{day}-{n}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{root} is full of runs of today.")


def run_recipe(recipe: Recipe, data: Splits, *, seed: int, folder: Path, callbacks: Sequence[Callback] = (),
               begin: Notice | None = None) -> Result:
    """Train once, evaluate once, and leave the run folder. Returns what `byhand train --json` prints.

    begin(recipe, model, parts) is told what is about to be trained. Raises ValueError if the data does not fit the
    recipe, TrainingFailed if the loss stopped being a number.
    """
    started = time.perf_counter()
    rng = np.random.default_rng(seed)
    parts = prepared(recipe, data, rng)
    normalize = recipe.normalization(parts.train)
    model = fitting_network(recipe, parts.train, rng)
    if begin is not None:
        begin(recipe, model, parts)
    path = folder / "model.safetensors"
    about: dict[str, Any] = {"input_shape": parts.train.inputs.shape[1:], "normalize": normalize,
                             "classes": parts.train.classes, "recipe": recipe.name}
    checkpoint = Checkpoint(lambda m: save(m, path, **about))
    config = configuration(recipe, data, seed)
    write_json(folder / "config.json", config)
    try:
        run = recipe.train(model, parts, rng, [StopOnNaN(), checkpoint, History(folder / "history.jsonl"), *callbacks])
    except ValueError:  # a setting that does not fit: where nothing was learned, nothing is left behind
        if not path.exists():
            for name in ("config.json", "history.jsonl"):
                (folder / name).unlink(missing_ok=True)
        raise
    if run.failed:
        raise TrainingFailed(f"Training stopped: {run.stopped}")
    measured = {name: evaluate(model, part, normalize=normalize) for name, part in
                (("train", parts.train), ("validation", parts.validation), ("test", parts.test)) if part is not None}
    result = figures(recipe, data, parts, model, run, measured) | {
        "seed": seed, "total_seconds": round(time.perf_counter() - started, 3), "run": str(folder), "model": str(path)}
    save(model, path, metrics={k: v for k, v in result.items() if k.endswith(("accuracy", "interval"))}, **about)
    outcome = Outcome((type(recipe).__doc__ or "").strip(), result, config, command(config, type(recipe)().settings()),
                      run.history, model, parts.train, parts.test, measured["test"].outputs,
                      0 if parts.validation is None else len(parts.validation))
    return result | write_pages(folder, {"model-card.md": card(outcome), "report.html": page(outcome)})


def prepared(recipe: Recipe, data: Splits, rng: np.random.Generator) -> Parts:
    """The recipe's parts of the data. A set that is not one of the published ones may come class by class, and is
    shuffled first. Raises ValueError for what no recipe can learn from."""
    train = data.train
    if not has_classes(train) or len(np.unique(train.targets)) < 2:
        raise ValueError(f"the training samples of {data.name} are not of two classes or more, and the recipes learn "
                         "to tell classes apart.")
    if train.inputs.dtype.kind == "f" and not np.isfinite(train.inputs).all():
        first = int(np.argmin(np.isfinite(train.inputs).reshape(len(train), -1).all(axis=1)))
        raise ValueError(f"{data.name} has values that are not finite numbers, first in training sample {first + 1}; "
                         "remove or replace them.")
    if not is_published(data):
        data = replace(data, train=train[rng.permutation(len(train))])
    return recipe.parts(data, rng)


def fitting_network(recipe: Recipe, train: Dataset, rng: np.random.Generator) -> Module:
    """The recipe's network, with an input and an output that fit these samples. Raises ValueError if none does."""
    shape = train.inputs.shape[1:]
    try:
        model = recipe.network(rng, shape, len(train.classes))
        model.output_shape(shape)
    except (ShapeError, IndexError):
        raise ValueError(f"the recipe {recipe.name} reads pictures, and a sample of {train.name} has the shape "
                         f"{shape}; the recipe mlp reads samples of any shape.") from None
    return model


def configuration(recipe: Recipe, data: Splits, seed: int) -> dict[str, Any]:
    """All it takes to repeat the run."""
    return {"recipe": recipe.name, "settings": recipe.settings(), "dataset": data.name, "source": str(data.source),
            "seed": seed, "threads": kernels.get_num_threads(), "kernels": "numpy", "byhand": byhand.__version__,
            "numpy": np.__version__, "python": platform.python_version(), "machine": platform.machine()}


def figures(recipe: Recipe, data: Splits, parts: Parts, model: Module, run: Run,
            measured: dict[str, Evaluation]) -> Result:
    """The result's figures, under the names that `--json` promises."""
    accuracy = {name: e.accuracy for name, e in measured.items()}
    test = measured["test"]
    return {
        "version": 1, "recipe": recipe.name, "dataset": data.name, "train_samples": len(parts.train),
        "test_samples": len(parts.test), "epochs": run.epoch, "parameters": sum(p.size for p in model.parameters()),
        "train_accuracy": accuracy["train"], "validation_accuracy": accuracy.get("validation"),
        "test_accuracy": accuracy["test"],
        "test_interval": None if test.interval is None else list(test.interval),
        "train_seconds": round(run.seconds, 3),
        "samples_per_second": round(run.step / run.batches * run.samples / max(run.seconds, 1e-9), 1),
        "kernels": "numpy", "threads": kernels.get_num_threads(), "stopped": run.stopped or None,
    }


def strict(record: Epoch) -> dict[str, float | None]:
    """JSON has no word for what is not a finite number."""
    return {name: value if math.isfinite(value) else None for name, value in record.items()}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A JSON file that a person can read."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
