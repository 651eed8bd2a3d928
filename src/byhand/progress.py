"""What a person sees while a network learns: a bar that moves, and a line an epoch.

Everything goes to standard error, so that results on standard output stay clean. Where there is no terminal there is no
bar, and a training of many short epochs prints some twenty lines rather than hundreds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.console import Console
from rich.errors import LiveError
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status

from byhand.callbacks import Callback, Epoch, Run
from byhand.callbacks.run import ENDLESS
from byhand.kernels import get_num_threads, in_use
from byhand.kernels.choice import asked, numba_installed
from byhand.kernels.compiling import SENTENCE, Watcher
from byhand.nn import Module
from byhand.terminal import counted, printable

if TYPE_CHECKING:
    from byhand.recipes import Parts, Recipe

MOST_LINES = 20
FEW_STEPS = 100
KERNELS = {"numpy": "NumPy", "jit": "compiled"}


def announce(console: Console) -> Callable[[Recipe, Module, Parts], None]:
    """Say on `console` what is about to be trained: the recipe, the data, and the network as a table."""

    def say(recipe: Recipe, model: Module, parts: Parts) -> None:
        held_out = 0 if parts.validation is None else len(parts.validation)
        at_once = {None: "all samples in one batch", 1: "one sample at a time"}
        tell(console, f"{recipe.name}: {recipe.method}")
        tell(console, f"{parts.train.name}: {len(parts.train):,} training, {held_out:,} validation and "
                      f"{len(parts.test):,} test samples")
        from byhand.recipes.recipe import is_usual

        shape = parts.train.inputs.shape[1:]
        if not is_usual(parts.train):
            tell(console, f"Its first and last layers are made for this data: {' x '.join(map(str, shape))} numbers a "
                          f"sample, {len(parts.train.classes)} classes.")
        tell(console, f"\n{model.summary(shape)}\n")
        tell(console, f"{counted(recipe.epochs, 'epoch')}, "
                      f"{at_once.get(recipe.batch_size, f'batches of {recipe.batch_size}')}, "
                      f"{counted(get_num_threads(), 'thread')}, {KERNELS[in_use()]} kernels")
        if not asked() and not numba_installed():
            tell(console, "Numba is not installed: training runs on NumPy kernels, several times slower;\n"
                          "pip install 'byhand[fast]' brings it")
        batches = -(-len(parts.train) // (recipe.batch_size or len(parts.train)))
        if batches * recipe.epochs < FEW_STEPS:
            tell(console, f"That makes {counted(batches * recipe.epochs, 'step')} in all, which is little to learn in: "
                          f"try --epochs {-(-FEW_STEPS // batches)}")

    return say


def tell(console: Console, text: str) -> None:
    """Print text as it is: no markup is read into it; only a terminal breaks its lines."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=not console.is_terminal)


def short(loss: float) -> str:
    """A loss in at most ten characters: 0.0860, 9999.1234, 1.234e+07."""
    return f"{loss:.4f}" if abs(loss) < 1e4 else f"{loss:.4g}"


class ProgressBar(Callback):
    """Shows a run on `console` (standard error, if not given), under a title if there is one: loss, accuracy, samples
    per second, time left, and a line an epoch."""

    def __init__(self, console: Console | None = None, title: str = "") -> None:
        self.console, self.title = console or Console(stderr=True), title

    def on_train_begin(self, run: Run) -> None:
        if self.title:
            tell(self.console, self.title)
        self.begun = time.perf_counter()
        self.from_step: int | None = None
        self.told = 0
        self.bar = Progress(TextColumn("{task.description}"), BarColumn(bar_width=None),
                            TextColumn("{task.fields[figures]}"), TimeRemainingColumn(compact=True), TextColumn("left"),
                            console=self.console, transient=True, disable=not self.console.is_terminal)
        self.bar.start()

    def can_wait(self, run: Run) -> int:
        return ENDLESS  # a stretch never takes long

    def on_step(self, run: Run) -> None:
        if self.from_step is None:  # the first step of all, or of those that were left when it was interrupted
            self.from_step = run.step
            self.task = self.bar.add_task("", total=run.epochs * run.batches, completed=run.step, figures="")

    def on_step_taken(self, run: Run) -> None:
        self.on_step(run)

    def on_step_end(self, run: Run) -> None:
        steps = run.step - (self.from_step or 0)
        rate = steps * run.samples / run.batches / (time.perf_counter() - self.begun)
        accuracy = run.correct / run.seen
        right = "" if math.isnan(accuracy) else f"accuracy {100 * accuracy:.2f} %  "
        self.bar.update(self.task, completed=run.step, description=f"epoch {run.epoch + 1}/{run.epochs}",
                        figures=f"loss {short(run.total_loss / run.seen)}  {right}{rate:,.0f} samples/s")
        self.tell_notes(run)

    def on_epoch_end(self, run: Run) -> None:
        every = -(-run.epochs // MOST_LINES)
        if run.epoch % every == 0 or run.epoch in (1, run.epochs) or run.stopped:
            tell(self.console, epoch_line(run.history[-1], run.epochs))

    def tell_notes(self, run: Run) -> None:
        """Print what callbacks have noted since the last time."""
        for note in run.notes[self.told:]:
            tell(self.console, note)
        self.told = len(run.notes)

    def on_train_end(self, run: Run) -> None:
        self.bar.stop()
        self.tell_notes(run)
        if run.stopped and not run.failed:
            tell(self.console, f"Stopped early: {run.stopped}.")
        if run.epoch == run.epochs or (run.stopped and not run.failed):  # not after Ctrl-C
            tell(self.console, "Measuring what it has learned.")


class Spinner(Watcher):
    """On a terminal, the sentence that says why one has to wait, and something that moves while one does."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console, self.status = console, Status(SENTENCE, console=console)
        self.at_work = 0

    def begins(self, kernel: str) -> None:
        """Turn, unless it does already."""
        self.at_work += 1
        if self.at_work == 1 and self.console.is_interactive and not self.console.quiet:
            try:
                self.status.start()
            except LiveError:  # before version 14.1 of rich nothing moves beside a progress bar
                self.explain()

    def ends(self, kernel: str) -> None:
        """Stop, when the last is done."""
        super().ends(kernel)
        self.at_work -= 1
        if not self.at_work:
            self.status.stop()

    def say(self, sentence: str) -> None:
        """Where notices go."""
        with suppress(OSError):
            tell(self.console, sentence)


def epoch_line(record: Epoch, epochs: int) -> str:
    """An epoch's figures in one line: 'epoch 3/20  loss 0.0860, 97.55 % right; validation 0.0613, 98.21 %; 12.0 s'."""
    line = f"epoch {record['epoch']:>{len(str(epochs))}}/{epochs}  loss {short(record['loss'])}"
    if "accuracy" in record:
        line += f", {100 * record['accuracy']:.2f} % right"
    held_out = [short(record["validation_loss"])] if "validation_loss" in record else []
    if "validation_accuracy" in record:
        held_out.append(f"{100 * record['validation_accuracy']:.2f} %")
    if held_out:
        line += f"; validation {', '.join(held_out)}"
    return f"{line}; {record['seconds']:.1f} s"
