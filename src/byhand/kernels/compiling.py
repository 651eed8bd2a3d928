"""Compiling takes a while, and whoever waits wants to know why.

What becomes of kernels is told to a watcher: `with watched_by(watcher):`. There is one at a time in a process, not one
in each thread, since machine code belongs to the process: whichever thread needs a kernel first has it compiled for
all. If nobody else watches, a line says on a terminal, once, what is going on.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SENTENCE = "byhand compiles its kernels for this machine; this happens once."


class Watcher:
    """Told what becomes of kernels. It counts, speaks on standard error, and says nothing twice."""

    def __init__(self) -> None:
        self.compiled = self.found = 0
        self.lost = ""
        """Why what was compiled could not be kept."""
        self.explained = False

    def begins(self, kernel: str) -> None:
        """A kernel is being compiled. (Another one that it calls may begin and end before it ends.)"""
        if sys.stderr and sys.stderr.isatty():
            self.explain()

    def ends(self, kernel: str) -> None:
        """It is compiled, or could not be."""
        self.compiled += 1

    def finds(self, kernel: str) -> None:
        """A kernel was there already, in a file."""
        self.found += 1

    def loses(self, kernel: str, reason: str) -> None:
        """It is compiled, but could not be kept in a file."""
        if not self.lost:
            self.lost = reason
            self.say(f"byhand: compiled kernels cannot be kept, so each program compiles them again: {reason}")

    def explain(self) -> None:
        """Say why one has to wait, unless that has been said."""
        if not self.explained:
            self.explained = True
            self.say(SENTENCE)

    def say(self, sentence: str) -> None:
        """To whoever reads standard error, if anybody does."""
        with suppress(AttributeError, OSError, ValueError):  # there is none, or it is full or closed
            print(sentence, file=sys.stderr)


_watchers = [Watcher()]


def watcher() -> Watcher:
    """Who is to be told."""
    return _watchers[-1]


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Within this context it is this one that is told, by all threads."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)
