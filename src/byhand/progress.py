"""What a person sees while a network learns: a bar that moves, and a line an epoch.

Everything goes to standard error, so that results on standard output stay clean. Where there is no terminal there is no
bar, and a training of many short epochs prints some twenty lines rather than hundreds.
"""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from byhand.callbacks import Callback, Epoch, Run
from byhand.kernels import get_num_threads
from byhand.nn import Module
from byhand.recipes import Parts, Recipe

MOST_LINES = 20


def announce(console: Console) -> Callable[[Recipe, Module, Parts], None]:
    """Say on `console` what is about to be trained: the recipe, the data, and the network as a table."""

    def say(recipe: Recipe, model: Module, parts: Parts) -> None:
        batch = "the whole set at once" if recipe.batch_size is None else f"batches of {recipe.batch_size}"
        held_out = 0 if parts.validation is None else len(parts.validation)
        threads = get_num_threads()
        console.print(f"{recipe.name}: {(type(recipe).__doc__ or '').strip()}", style="bold", highlight=False)
        console.print(f"{parts.train.name}: {len(parts.train):,} images to learn from, {held_out:,} to choose by, "
                      f"{len(parts.test):,} for the test at the end", highlight=False)
        console.print(f"\n{model.summary(parts.train.inputs.shape[1:])}\n", highlight=False, markup=False)
        console.print(f"{recipe.epochs} {'epoch' if recipe.epochs == 1 else 'epochs'} in {batch}, "
                      f"{threads} {'thread' if threads == 1 else 'threads'}, NumPy kernels", highlight=False)

    return say


class ProgressBar(Callback):
    """Shows a run on `console`: loss, accuracy, samples per second, time left, and a line an epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def on_train_begin(self, run: Run) -> None:
        self.begun = time.perf_counter()
        self.samples = 0
        self.bar = Progress(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=None),
                            TextColumn("{task.fields[figures]}"), TimeRemainingColumn(compact=True), TextColumn("left"),
                            console=self.console, transient=True, disable=not self.console.is_terminal)
        self.task = self.bar.add_task(f"epoch 1/{run.epochs}", total=run.epochs * run.batches, figures="")
        self.bar.start()

    def on_step(self, run: Run) -> None:
        self.samples += len(run.inputs)
        rate = self.samples / (time.perf_counter() - self.begun)
        accuracy = run.correct / run.seen
        right = "" if accuracy != accuracy else f"accuracy {100 * accuracy:5.2f} %  "
        self.bar.update(self.task, completed=run.step + 1, description=f"epoch {run.epoch + 1}/{run.epochs}",
                        figures=f"loss {run.total_loss / run.seen:.4f}  {right}{rate:,.0f}/s")

    def on_epoch_end(self, run: Run) -> None:
        every = -(-run.epochs // MOST_LINES)
        if run.epoch % every == 0 or run.epoch in (1, run.epochs) or run.stopped:
            self.console.print(epoch_line(run.history[-1], run.epochs), highlight=False, soft_wrap=True)

    def on_train_end(self, run: Run) -> None:
        self.bar.stop()
        if run.stopped and not run.failed:
            self.console.print(f"Stopped early: {run.stopped}.", highlight=False)


def epoch_line(record: Epoch, epochs: int) -> str:
    """An epoch's figures in one line."""
    parts = [f"epoch {record['epoch']:>{len(str(epochs))}}/{epochs}", f"loss {record['loss']:.4f}"]
    if "accuracy" in record:
        parts.append(f"accuracy {100 * record['accuracy']:.2f} %")
    if "validation_loss" in record:
        parts.append(f"validation loss {record['validation_loss']:.4f}")
    if "validation_accuracy" in record:
        parts.append(f"accuracy {100 * record['validation_accuracy']:.2f} %")
    return "  ".join([*parts, f"{record['seconds']:.1f} s"])
