"""One experiment from beginning to end: data in, a run folder out.

The test set is looked at once, after the last step, when nothing is left to choose. What was done and what came out is
written down beside the model: `config.json` says how to do it again, `history.jsonl` has a line an epoch,
`report.html` shows what came out, `model-card.md` says in words what the model is good for, and `result.json` holds the
figures. It comes last: a run without it is not finished, and goes on from its checkpoint.
"""

import datetime
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from byhand import kernels
from byhand.atomic import sweep, write_atomically
from byhand.callbacks import BatchLosses, Callback, Checkpoint, Epoch, Run, State, StopOnNaN
from byhand.data import Dataset, Splits
from byhand.data.dataset import has_classes
from byhand.doctor import MEASUREMENTS, Doctor
from byhand.files import latest_checkpoint, save, save_checkpoint
from byhand.files.checkpoint import remove_checkpoints
from byhand.files.plain_json import from_json
from byhand.inference import Evaluation, evaluate
from byhand.nn import Module
from byhand.nn.module import ShapeError
from byhand.recipes.configuration import CONFIG, RESULT, Notify, configuration, write_json
from byhand.report import Outcome, card, command, page, write_pages
from byhand.recipes.recipe import Parts, Recipe, is_published, is_usual
from byhand.terminal import short

Result = dict[str, Any]
Notice = Callable[[Recipe, Module, Parts], None]
FIGURES = ("train_samples", "test_samples", "epochs", "parameters", "test_accuracy", "train_seconds", "total_seconds",
           "samples_per_second", "seed")
CHECKPOINT, HISTORY = "checkpoint.safetensors", "history.jsonl"


class HistoryFile(Callback):
    """Adds each epoch's record to a file as soon as it is known. Where that fails, the next record comes with those
    before it, as in a run that goes on."""

    def __init__(self, path: Path) -> None:
        self.path, self.whole = path, False

    def on_epoch_end(self, run: Run) -> None:
        whole, self.whole = self.whole, False
        with suppress(OSError):  # the checkpoint says so, and has them all
            if whole:
                add(self.path, json_lines(run.history[-1:]))
            else:
                write_atomically(self.path, json_lines(run.history))
            self.whole = True


def add(path: Path, line: bytes) -> None:
    """Add a line to a file, or nothing of it."""
    with path.open("ab", buffering=0) as file:
        end = file.tell()
        try:
            if file.write(line) < len(line):
                raise OSError(f"{path} cannot be written: there is no room for a line.")
        except OSError:
            file.truncate(end)
            raise


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
               begin: Notice | None = None, checkpoint: Callable[[Callable[[Run], None]], Checkpoint] = Checkpoint,
               resume: State | None = None) -> Result:
    """Train once, evaluate once, and leave the run folder. Returns what `byhand train --json` prints.

    begin(recipe, model, parts) is told what is about to be trained. checkpoint(save) makes the callback that decides
    when to save. `resume`: the state of a run with this recipe, data and seed that was interrupted. Raises ValueError
    if the data or the state does not fit the recipe, TrainingFailed if the loss stopped being a number.
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

    def keep(run: Run) -> None:
        save(run.model, path, **about)
        save_checkpoint(run.state_dict(), folder / CHECKPOINT)

    config, batches = configuration(recipe, data, seed), BatchLosses()
    if resume is None:
        write_json(folder / CONFIG, config)
    doctor = Doctor(folder / MEASUREMENTS, parts.train.classes)
    listeners = [StopOnNaN(), HistoryFile(folder / HISTORY), batches, *callbacks, doctor, checkpoint(keep)]
    try:
        run = recipe.train(model, parts, rng, listeners, resume)
    except ValueError:  # a setting that does not fit: where nothing was learned, nothing is left behind
        if not path.exists():
            for name in (CONFIG, HISTORY, MEASUREMENTS):
                (folder / name).unlink(missing_ok=True)
        raise
    write_atomically(folder / HISTORY, json_lines(run.history))
    if run.failed:
        raise TrainingFailed(f"Training stopped: {run.stopped}")
    measured = {name: evaluate(model, part, normalize=normalize) for name, part in
                (("train", parts.train), ("validation", parts.validation), ("test", parts.test)) if part is not None}
    before = resume["counters"]["seconds"] if resume else 0.0
    result = figures(recipe, data, parts, model, run, measured) | {
        "seed": seed, "total_seconds": round(before + time.perf_counter() - started, 3), "run": str(folder),
        "model": str(path), "resumed": resume is not None}
    save(model, path, metrics={k: v for k, v in result.items() if k.endswith(("accuracy", "interval"))}, **about)
    adapted = "" if is_usual(parts.train) else "; its first and last layers made for this data"
    outcome = Outcome(recipe.method + adapted, result, config, command(config, type(recipe)().settings()),
                      run.history, model, parts.train, parts.test, measured["test"],
                      0 if parts.validation is None else len(parts.validation), doctor.findings, batches.points)
    result |= write_pages(folder, {"model-card.md": card(outcome), "report.html": page(outcome)})
    write_json(folder / RESULT, result)
    remove_checkpoints(folder / CHECKPOINT)
    return result


def resume_recipe(recipe: Recipe, data: Splits, *, seed: int, folder: Path, notify: Notify, **options: Any) -> Result:
    """`run_recipe` from the last checkpoint in its folder, or from the start if there is none; nothing but the result
    if it is finished. notify(sentence) is told which. Raises ValueError for a checkpoint that is damaged or does not
    fit, and what `run_recipe` raises."""
    sweep(folder)
    if (folder / RESULT).is_file():
        remove_checkpoints(folder / CHECKPOINT)
        notify(f"The run {folder} is finished; this is its result.")
        return read_result(folder)
    state = latest_checkpoint(folder / CHECKPOINT, notify)
    notify(f"Going on from {folder / CHECKPOINT}." if state else f"{folder} has no checkpoint yet: beginning again.")
    return run_recipe(recipe, data, seed=seed, folder=folder, resume=state, **options)


def read_result(folder: Path) -> Result:
    """What `run_recipe` returned, with the folder where it is now. Raises ValueError if it is damaged."""
    path = folder / RESULT
    try:
        result = dict(from_json(path.read_bytes())) | {"run": str(folder), "model": str(folder / "model.safetensors")}
        low, high = result["test_interval"]
        figures = (low, high, *(result[name] for name in FIGURES))
        if "runs" in result or not all(type(n) in (int, float) and abs(n) <= sys.float_info.max for n in figures):
            raise ValueError("its figures are not those of one run")
        if not all(isinstance(result[name], str) for name in ("recipe", "dataset")):
            raise ValueError("it does not say what was trained")
        missing = {} if result["report"] else {"report_missing": str(result["report_missing"])}
        return result | ({"report": str(folder / "report.html")} if result["report"] else missing)
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({short(error)}); without it the run would be made again.") from None


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
        "kernels": kernels.in_use(), "threads": kernels.get_num_threads(), "stopped": run.stopped or None,
    }


def json_lines(history: Sequence[Epoch]) -> bytes:
    """A line of JSON for each record. JSON has no word for what is not a finite number: there it says null."""
    strict = ({name: value if math.isfinite(value) else None for name, value in record.items()} for record in history)
    return "".join(json.dumps(record) + "\n" for record in strict).encode()
