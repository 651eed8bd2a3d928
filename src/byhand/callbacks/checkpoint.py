"""Keeping what has been learned."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from byhand.callbacks.run import Callback, Run
from byhand.nn.module import Module


class Checkpoint(Callback):
    """Save the model after each epoch, and within an epoch whenever `seconds` have passed, so that an interrupted run
    keeps what it has learned. `save(model)` does the writing: `lambda model: bh.save(model, "model.safetensors")`. A
    model that is broken, with numbers that are not finite, never takes the place of the last good one."""

    def __init__(self, save: Callable[[Module], None], seconds: float = 10.0) -> None:
        self.save, self.seconds = save, seconds
        self.last = 0.0

    def on_train_begin(self, run: Run) -> None:
        self.last = time.monotonic()

    def on_step(self, run: Run) -> None:
        if time.monotonic() - self.last >= self.seconds:
            self.write(run)

    def on_epoch_end(self, run: Run) -> None:
        # The first, the last, and not a thousand between them where an epoch takes a moment.
        if run.epoch in (1, run.epochs) or time.monotonic() - self.last >= self.seconds / 10:
            self.write(run)

    def write(self, run: Run) -> None:
        """Save now, if there is something worth keeping."""
        sound = math.isfinite(run.loss) and all(np.isfinite(value).all() for value in run.model.state_dict().values())
        if sound and not run.failed:
            self.save(run.model)
        self.last = time.monotonic()
