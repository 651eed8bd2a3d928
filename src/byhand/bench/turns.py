"""A B A B: how two programs are compared on a machine that does other things too.

A computer is warm or cold, busy or idle, and that changes from minute to minute. Measuring one program for a minute and
then the other for a minute would compare two minutes. In turns, each change hits both. The first round warms up
whatever wants to be warm (caches, threads, compilers) and does not count. Of the others the median is taken, which one
turn that was disturbed cannot move, and the spread tells how far to believe it.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

PAUSE = 0.05
"""Seconds before each turn, in which the threads of whoever had the last one stop waiting for more work and sleep:
they would take the next one's time."""
Turn = Callable[[], float]
"""Does a piece of work and returns what it took: seconds, or whatever is measured. Smaller is better."""


class NotMeasured(Exception):
    """Something cannot be measured here. The message says why, in a few words."""


@dataclass(frozen=True)
class Timing:
    """What the turns of one side took."""

    turns: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.turns)

    @property
    def spread(self) -> float:
        """Half the way from the least to the most, as a share of the median."""
        return (max(self.turns) - min(self.turns)) / 2 / self.median


def in_turns(sides: Mapping[str, Turn], rounds: int, warm_ups: int = 1) -> dict[str, Timing]:
    """Let each side take its turn, in their order, again and again; the first `warm_ups` rounds do not count."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(warm_ups + rounds):
        for name, turn in sides.items():
            time.sleep(PAUSE)
            took = turn()
            if number >= warm_ups:
                taken[name].append(took)
    return {name: Timing(tuple(turns)) for name, turns in taken.items()}


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def median_time(calls: Sequence[Callable[[], object]]) -> float:
    """The median time of these calls in seconds, each timed by itself, after some that do not count."""
    for call in calls[:20]:
        call()
    return statistics.median([seconds(call) for call in calls])
