"""Keeping what has been learned, so that it can be gone on with after Ctrl-C, or after the power went."""

from __future__ import annotations

import math
import signal
import threading
import time
import warnings
from collections.abc import Callable
from types import FrameType

import numpy as np

from byhand.callbacks.run import ENDLESS, Callback, Run, remembering
from byhand.nn.layers import positive


class Checkpoint(Callback):
    """Save the run every `seconds`, or every `steps` steps if that is given, and after the first and the last epoch.

        Checkpoint(lambda run: bh.files.save_checkpoint(run.state_dict(), "run.safetensors"))

    `save(run)` is called between two steps. Where it cannot write (OSError), `notify(sentence)` is told once, training
    goes on, and the next time it is tried again. A model with numbers that are not finite never takes the place of the
    last good one. While it listens, a first Ctrl-C waits for the end of the step at hand and is saved too; a second one
    does not wait. It stands behind every callback that has a state, since it saves them as well.
    """

    def __init__(self, save: Callable[[Run], None], seconds: float = 10.0, steps: int | None = None,
                 notify: Callable[[str], None] = warnings.warn) -> None:
        if not 0 <= seconds < math.inf:
            raise ValueError(f"Checkpoint needs a number of seconds of 0 or more, got {seconds!r}.")
        if steps is not None:
            positive("Checkpoint", steps=steps)
        self.save, self.seconds, self.steps, self.notify = save, seconds, steps, notify
        self.last = 0.0
        self.in_trouble = self.asked = False
        self.before: signal.Handlers | Callable[[int, FrameType | None], object] | int | None = None

    def on_train_begin(self, run: Run) -> None:
        listed = list(run.callbacks)
        for late in remembering(listed[listed.index(self):] if self in listed else []):
            raise ValueError(f"Checkpoint would save {type(late).__name__} before it is told that an epoch has ended; "
                             "put Checkpoint behind it in the list of callbacks.")
        self.last, self.asked = time.monotonic(), False
        ours = threading.current_thread() is threading.main_thread()  # Python tells no other thread of Ctrl-C
        if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self.before = signal.signal(signal.SIGINT, self.wait)

    def wait(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C: the first time, let the step be finished."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def can_wait(self, run: Run) -> int:
        if self.steps:
            return self.steps - run.step % self.steps
        return ENDLESS if self.seconds >= 1 else 1  # a stretch of steps never takes long

    def on_step_end(self, run: Run) -> None:
        if self.asked or (run.step % self.steps == 0 if self.steps else self.waited_enough()):
            self.write(run)

    def on_epoch_end(self, run: Run) -> None:
        if self.asked or run.stopped or run.epoch in (1, run.epochs) or (not self.steps and self.waited_enough()):
            self.write(run)

    def waited_enough(self) -> bool:
        """Whether the last time to save was so many seconds ago."""
        return time.monotonic() - self.last >= self.seconds

    def on_train_end(self, run: Run) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)
            self.before = None
        if self.asked:
            raise KeyboardInterrupt

    def write(self, run: Run) -> None:
        """Save now, if there is something worth keeping; and let Ctrl-C have its way, if it waits."""
        sound = math.isfinite(run.loss) and all(np.isfinite(value).all() for value in run.model.state_dict().values())
        if sound and not run.failed:
            try:
                self.save(run)
                self.in_trouble = False
            except OSError as error:
                if not self.in_trouble:
                    self.notify(f"{error} Training goes on, without a new checkpoint until that can be written.")
                self.in_trouble = True
        self.last = time.monotonic()
        if self.asked:
            self.asked = False
            raise KeyboardInterrupt
