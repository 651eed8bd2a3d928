"""The story of a training: a record an epoch, which shows as curves in a notebook and as a table in a terminal."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element

from byhand import charts
from byhand.charts import Points

Epoch = dict[str, float]
MOST_ROWS = 20
FEW = 10  # epochs, of which one wants to see more
CURVES = {"loss": ("loss", "validation_loss"), "accuracy": ("accuracy", "validation_accuracy")}


class History(list[Epoch]):
    """A list of records, one an epoch: epoch, loss, accuracy, validation_loss, validation_accuracy, learning_rate,
    seconds. Those that could not be measured are not there."""

    def __repr__(self) -> str:
        head, *rows = self.rows()
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
                         for row in (head, *rows))

    def _repr_html_(self) -> str:
        head, *rows = self.rows()
        return charts.html(charts.tag("div", *self.curves(), charts.table(head, rows)))

    def last(self) -> str:
        """The last record's losses and accuracies: 'loss 0.086, accuracy 97.55 %'."""
        record = self[-1] if self else {}
        return ", ".join(f"{name.replace('_', ' ')} {written(name, value)}" for name, value in record.items()
                         if name.endswith(tuple(CURVES)))

    def rows(self) -> list[list[str]]:
        """The records as a table with a head, those in the middle of a long training left out."""
        names = list(dict.fromkeys(name for record in self for name in record)) or ["epoch"]
        rows = [[written(name, record.get(name)) for name in names] for record in self]
        if len(rows) > MOST_ROWS:
            rows[MOST_ROWS // 2:-MOST_ROWS // 2] = [["…"] * len(names)]
        return [[name.replace("_", " ") for name in names], *rows]

    def curves(self, batches: Points = ()) -> list[Element]:
        """A chart of the losses and one of the accuracies, as far as there is more than one figure to show. `batches`,
        as (epochs done, loss), say more of a short training than the means of its epochs."""
        found = []
        for what, names in CURVES.items():
            lines: dict[str, Points] = {who: [(record["epoch"], record.get(name)) for record in self]
                     for who, name in zip(("training", "validation"), names, strict=True)}
            if what == "loss" and batches and len(self) < FEW:
                lines["training"] = list(batches)
            if any(sum(y is not None and math.isfinite(y) for _, y in points) > 1 for points in lines.values()):
                found.append(charts.curves(lines, what, percent=what == "accuracy"))
        return found


def written(name: str, value: float | None) -> str:
    """A figure of a record as a person reads it."""
    if value is None or name == "epoch":
        return "" if value is None else f"{value:.0f}"
    if name.endswith("accuracy"):
        return f"{100 * value:.2f} %"
    return f"{value:.1f}" if name == "seconds" else f"{value:.4g}"
