"""How learning went, and how fast it may go."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from byhand.plots.figure import BLUE, GREY, INK, ORANGE, Picture, paper, quiet

Array = np.ndarray[Any, Any]


def learning_curves(history: Sequence[Mapping[str, float]]) -> Picture:
    """Loss, and accuracy where there is one, after each epoch, of training and validation.

    history: a run's `history`, or the lines of its history.jsonl. Raises ValueError if it is empty or has no losses.
    """
    records = list(history)
    if not records or any("loss" not in record or "epoch" not in record for record in records):
        raise ValueError("learning_curves needs a record an epoch, each with 'epoch' and 'loss', such as run.history.")
    panels = [("loss", 1, "loss")] + [("accuracy", 100, "right, in %")] * any("accuracy" in r for r in records)
    figure = paper(4.2 * len(panels), 3.2)
    epochs = [record["epoch"] for record in records]
    for i, (name, factor, title) in enumerate(panels):
        axes = quiet(figure.add_subplot(1, len(panels), i + 1), title, "epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for key, color, label in ((name, BLUE, "training"), (f"validation_{name}", ORANGE, "validation")):
            values = np.array([np.nan if record.get(key) is None else record[key] for record in records], float)
            if not np.isnan(values).all():
                axes.plot(epochs, factor * values, color=color, label=label, linewidth=1.8,
                          marker="o" if len(records) < 40 else "", markersize=3.5)
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def lr_range(rates: Any, losses: Any, suggested: float | None = None, smoothed: Any = None) -> Picture:
    """The learning-rate range test (Smith 2017): the loss while the rate grows, and the rate it speaks for.

    rates, losses: (steps,). smoothed: the losses without their noise, (steps,).
    """
    x, y = np.asarray(rates, float), np.asarray(losses, float)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2 or not (x > 0).all():
        raise ValueError(f"lr_range needs a loss for each of two or more rates above 0, got shapes {x.shape} and "
                         f"{y.shape}.")
    figure = paper(6.4, 3.6)
    axes = quiet(figure.add_subplot(), "learning-rate range test", "learning rate", "loss")
    axes.set_xscale("log")
    axes.plot(x, y, ".", color=GREY, alpha=0.45, markersize=4, label="a batch")
    line = y if smoothed is None else np.asarray(smoothed, float)
    if smoothed is not None:
        axes.plot(x, line, color=BLUE, linewidth=2, label="smoothed")
    if not (np.isfinite(line).all() and np.isfinite(y).all()):
        raise ValueError("lr_range draws losses that are finite numbers.")
    low, start = min(line.min(), y.min()), line[0]
    axes.set_ylim(low - 0.1 * (start - low) - 1e-9, start + 0.6 * (start - low) + 1e-9)  # what explodes leaves it
    if suggested is not None:
        axes.axvline(suggested, color=ORANGE, linewidth=1.5, label=f"suggested: {suggested:.2g}")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure
