"""Measures the rows, and tells what came out: as JSON, as a table for the terminal, and as one for a page.

Each peer of a row gives a comparison: the median of byhand's turns, that of the peer's, and how many times as long the
peer took. A peer that is not installed keeps its line, which then says so.
"""

import datetime
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from byhand import kernels
from byhand.bench.machine import machine, versions
from byhand.bench.rows import BYHAND, Row
from byhand.bench.turns import NotMeasured, Timing, Turn, in_turns
from byhand.bench.work import Digits, Effort, digits
from byhand.terminal import counted

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
FAR_OFF = 0.6
"""Machines are noisy; a ratio below this share of its aim is not noise."""
HEAD = ("row", "against", "byhand", "the other", "ratio", "at least", "reached")


@dataclass(frozen=True)
class Comparison:
    """byhand against one peer. `left_out` says why there is nothing to compare, if there is not."""

    row: Row
    peer: str
    ours: Timing | None
    theirs: Timing | None
    remark: str = ""
    left_out: str = ""

    @property
    def aim(self) -> float | None:
        """The ratio to reach at least, if there is one."""
        return self.row.against[self.peer]

    @property
    def ratio(self) -> float | None:
        """How many times as long (or as much) as byhand the other one takes."""
        return self.theirs.median / self.ours.median if self.ours and self.theirs else None

    @property
    def reached(self) -> bool | None:
        """Whether the ratio is what it should be; None if there is nothing to say."""
        return None if self.aim is None or self.ratio is None else self.ratio >= self.aim

    @property
    def far_off(self) -> bool:
        """Whether the ratio is so low that noise is no excuse."""
        return self.aim is not None and self.ratio is not None and self.ratio < FAR_OFF * self.aim

    def facts(self) -> dict[str, Any]:
        """The comparison, ready for JSON."""
        unit = self.row.unit
        return {"row": self.row.name, "work": self.row.work, "against": self.peer, "unit": unit,
                "byhand": timing_facts(self.ours), "peer": timing_facts(self.theirs), "ratio": self.ratio,
                "at_least": self.aim, "reached": self.reached, "remark": self.remark or None,
                "left_out": self.left_out or None}

    def cells(self) -> list[str]:
        """The comparison as the cells of a table."""
        unit = self.row.unit
        reached = {None: "–", True: "yes", False: "no"}[self.reached]
        return [self.row.name, self.peer, figure(self.ours, unit), figure(self.theirs, unit), times(self.ratio),
                times(self.aim), reached]


@dataclass(frozen=True)
class Report:
    """All comparisons, and what they were made on."""

    comparisons: list[Comparison]
    effort: Effort
    threads: int
    data: str
    kernels: str

    @property
    def far_off(self) -> list[Comparison]:
        """Where the ratio is below 60 % of what it should be."""
        return [comparison for comparison in self.comparisons if comparison.far_off]

    def facts(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {"version": 1, "machine": machine(), "versions": versions(), "threads": self.threads,
                "kernels": self.kernels, "dataset": self.data, "rounds": self.effort.rounds, "quick": self.effort.quick,
                "rows": [comparison.facts() for comparison in self.comparisons],
                "far_off": [f"{c.row.name}: {c.peer}" for c in self.far_off]}

    def told(self) -> list[str]:
        """What it was measured on, and what is not told by the figures, as sentences."""
        here, installed = machine(), versions()
        peers = ", ".join(f"{name} {number}" for name, number in installed.items() if number)
        said = [f"{here['processor']}, {counted(here['cores'], 'core')}, {counted(self.threads, 'thread')}; BLAS: "
                f"{here['blas']}; {here['system']}, Python {here['python']}.",
                f"With {peers}; byhand's kernels: {self.kernels}.",
                f"Medians of {counted(self.effort.rounds, 'turn')} each, ± half the way from the least to the most; "
                f"digits: {self.data}." + (" A quick try: its figures mean little." if self.effort.quick else "")]
        missing = sorted({c.left_out for c in self.comparisons if c.left_out})
        return [*said, *(f"Not measured: {reason}." for reason in missing)]

    def text(self, width: int = 100) -> str:
        """The table for a terminal, with sentences of at most this width under it."""
        rows = [list(HEAD), *(comparison.cells() for comparison in self.comparisons)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                 for row in rows]
        remarks = dict.fromkeys(f"{c.row.name}: {c.remark}." for c in self.comparisons if c.remark)
        return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:], "",
                          *(textwrap.fill(sentence, width) for sentence in [*remarks, *self.told()])])

    def page(self) -> str:
        """The table for a page in Markdown, dated, with each row's work in words."""
        rows = [[*HEAD, "remarks"], ["---"] * (len(HEAD) + 1)]
        rows += [[f"`{c.row.name}`", *c.cells()[1:], c.remark] for c in self.comparisons]
        table = [f"| {' | '.join(row)} |" for row in rows]
        works = {c.row.name: c.row.work for c in self.comparisons}
        return "\n\n".join([
            "\n".join(f"- `{name}`: {work}" for name, work in works.items()), "\n".join(table),
            "\n".join([f"Measured on {datetime.date.today().isoformat()}: {self.told()[0]}", *self.told()[1:]])])


def measure(rows: Sequence[Row], effort: Effort = Effort(), threads: int | None = None,  # noqa: B008
            notify: Callable[[str], None] = lambda sentence: None) -> Report:
    """Measure these rows with so many threads (all that byhand uses, if not given), and `notify` of each as its turn
    comes. Raises RuntimeError if a side fails."""
    threads = threads or kernels.get_num_threads()
    data = digits(effort.quick, notify)
    comparisons: list[Comparison] = []
    for number, row in enumerate(rows, 1):
        notify(f"{number} of {len(rows)}: {row.name}, {row.work}")
        comparisons += measured(row, data, effort, threads)
    return Report(comparisons, effort, threads, data.told, kernels.in_use())


def measured(row: Row, data: Digits, effort: Effort, threads: int) -> list[Comparison]:
    """A row, in turns: byhand and all its peers that are there."""
    sides: dict[str, Turn] = {}
    left_out: dict[str, str] = {}
    for name in (BYHAND, *row.against):
        try:
            sides[name] = row.side(name, data, effort, threads)
        except ImportError as error:
            if name == BYHAND:
                raise
            left_out[name] = f"{name}, since {error.name or error} is not installed"
        except NotMeasured as reason:
            left_out[name] = f"{row.name}, since {reason}"
    kernels.set_num_threads(threads)  # again: a peer may have brought a BLAS of its own
    timings = in_turns(sides, 1 if row.once else effort.rounds, 0 if row.once else 1)
    return [compared(row, peer, effort, timings, left_out.get(peer) or left_out.get(BYHAND, ""))
            for peer in row.against]


def compared(row: Row, peer: str, effort: Effort, timings: dict[str, Timing], left_out: str) -> Comparison:
    """byhand and one peer."""
    ours, theirs = timings.get(BYHAND), timings.get(peer)
    remark = row.remark(peer, effort, ours, theirs) if ours and theirs else ""
    return Comparison(row, peer, ours, theirs, remark, left_out)


def timing_facts(timing: Timing | None) -> dict[str, Any] | None:
    """A timing, ready for JSON."""
    return None if timing is None else {
        "median": timing.median, "least": min(timing.turns), "most": max(timing.turns), "turns": list(timing.turns)}


def figure(timing: Timing | None, unit: str) -> str:
    """A median with its unit and its spread, for people: 4.21 s ± 2 %."""
    if timing is None:
        return "–"
    value = timing.median
    if unit == "s":
        scale, unit = (1, "s") if value >= 1 else (1e3, "ms") if value >= 1e-3 else (1e6, "µs")
        value *= scale
    spread = f" ± {100 * timing.spread:.0f} %" if len(timing.turns) > 1 else ""
    return f"{value:.3g} {unit}{spread}" if value < 1000 else f"{value:,.0f} {unit}{spread}"


def times(ratio: float | None) -> str:
    """A ratio for people: 3.02 ×."""
    return "–" if ratio is None else f"{ratio:.2f} ×"


def page_with(page: str, report: str) -> str:
    """The page with this report between its markers. Raises ValueError if it has not exactly one pair of them."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError(f"the page needs the lines {BEGIN} and {END}, once each and in this order.")
    return f"{page[:page.index(BEGIN) + len(BEGIN)]}\n{report}\n{page[page.index(END):]}"
