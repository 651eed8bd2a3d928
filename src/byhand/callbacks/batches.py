"""The losses of the batches, for a curve: what happens within an epoch, where a history has a single record."""

from __future__ import annotations

from typing import Any

import numpy as np

from byhand.callbacks.run import ENDLESS, Callback, Run, State

MOST = 400


class BatchLosses(Callback):
    """Keeps the loss of each batch in `points`, as (epochs done, loss). When there are `MOST` of them, each two
    neighbours become their mean, so that a long training takes no more room than a short one."""

    def on_train_begin(self, run: Run) -> None:
        self.points: list[tuple[float, float]] = []
        self.every, self.count, self.total = 1, 0, 0.0

    def can_wait(self, run: Run) -> int:
        return ENDLESS

    def on_step_taken(self, run: Run) -> None:
        self.on_step(run)

    def on_step(self, run: Run) -> None:
        self.count, self.total = self.count + 1, self.total + run.loss
        if self.count == self.every:
            self.points.append(((run.step + 1) / run.batches, self.total / self.count))
            self.count, self.total = 0, 0.0
        if len(self.points) == MOST:
            self.points = [(x, (a + b) / 2) for (_, a), (x, b) in zip(self.points[::2], self.points[1::2], strict=True)]
            self.every *= 2

    def state_dict(self) -> dict[str, Any]:
        return {"points": np.array(self.points, np.float64).reshape(-1, 2), "every": self.every, "count": self.count,
                "total": self.total}

    def load_state_dict(self, state: State) -> None:
        points = np.asarray(state["points"], np.float64)
        if points.ndim != 2 or len(points) >= MOST:
            raise ValueError(f"the losses of its batches have shape {points.shape}")
        self.points = [(x, y) for x, y in points.tolist()]
        self.every, self.count, self.total = int(state["every"]), int(state["count"]), float(state["total"])
