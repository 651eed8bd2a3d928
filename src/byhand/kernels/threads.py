"""One number for all the threads, and the team of threads that compiled kernels share.

`set_num_threads(n)`, `--threads n` and the environment variable BYHAND_NUM_THREADS all say how many cores the
arithmetic may use, matrix products and compiled kernels alike; without them the BLAS library's own choice stands, which
is all cores.

Work is shared by samples: of 100 images and two threads, the first always does images 0 to 49 and the second 50 to 99,
whoever is quicker. So a result never depends on timing. Compiled kernels let go of Python's global lock, which is what
makes threads of Python worth having.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits


class Team:
    """The calling thread and its helpers, which are started when they are first needed.

    One piece of work at a time has the whole team: the shards of one piece may wait for each other, so two that each
    held a part of the helpers would wait for ever. A second caller waits for its turn.
    """

    def __init__(self) -> None:
        self.size = 0
        """How many threads share the work; 0 while nobody has said, or asked."""
        self.helpers: list[tuple[SimpleQueue[Any], SimpleQueue[Any]]] = []
        self.busy = threading.Lock()

    def share(self, threads: int, work: Callable[..., Any], *arguments: Any) -> None:
        """Call work(thread, threads, *arguments) once in each of so many threads, at the same time; return when all
        have."""
        if threads == 1:
            work(0, 1, *arguments)
            return
        with self.busy:
            while len(self.helpers) < threads - 1:
                self.helpers.append(helper())
            helpers = self.helpers[:threads - 1]
            for thread, (tasks, _) in enumerate(helpers, 1):
                tasks.put((work, thread, threads, arguments))
            failures: list[BaseException] = []
            try:
                work(0, threads, *arguments)
            finally:  # nobody may go on while a helper still reads and writes these arrays, not even after Ctrl-C
                for _, answers in helpers:
                    answer = answer_of(answers, failures)
                    failures += [answer] if answer is not None else []
            if failures:
                raise failures[0]


def helper() -> tuple["SimpleQueue[Any]", "SimpleQueue[Any]"]:
    """A new thread that does what it finds in the first queue and says in the second that it is done."""
    tasks: SimpleQueue[Any] = SimpleQueue()
    answers: SimpleQueue[Any] = SimpleQueue()

    def serve() -> None:
        while True:
            work, thread, threads, arguments = tasks.get()
            failure = None
            try:
                work(thread, threads, *arguments)
            except BaseException as error:
                failure = error
            del work, arguments  # what was worked on is the caller's again, and may go
            answers.put(failure)

    threading.Thread(target=serve, name="byhand-helper", daemon=True).start()
    return tasks, answers


def answer_of(answers: "SimpleQueue[Any]", failures: list[BaseException]) -> Any:
    """A helper's answer. A Ctrl-C that comes while it is waited for is kept until the answer is there."""
    while True:
        try:
            return answers.get()
        except KeyboardInterrupt as interrupt:
            failures.append(interrupt)


team = Team()


def forget_helpers() -> None:
    """A process that was forked has none of its parent's threads: its team starts anew."""
    size = team.size
    team.__init__()  # type: ignore[misc]
    team.size = size


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_helpers)


def shard(count: int, thread: int, threads: int) -> tuple[int, int]:
    """Which of `count` samples are this thread's: from the first number up to the second."""
    return count * thread // threads, count * (thread + 1) // threads


def set_num_threads(n: int) -> None:
    """Let the arithmetic use n threads, in this whole process. Raises ValueError unless n is a whole number of at least
    1."""
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        raise ValueError(f"the number of threads must be a whole number of at least 1, got {n!r}.")
    threadpool_limits(limits=int(n), user_api="blas")
    team.size = int(n)


def get_num_threads() -> int:
    """How many threads the arithmetic uses now."""
    if not team.size:
        team.size = max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"),
                        default=os.cpu_count() or 1)
    return team.size


def blas() -> str:
    """What multiplies NumPy's matrices here, with its version and the processor that it works for: the last bits of a
    product depend on it. (SciPy, once it is imported, has one of its own, which nobody here uses.)"""
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    own = [pool for pool in pools if {"numpy", "numpy.libs"} & {*pool["filepath"].replace("\\", "/").split("/")[-3:]}]
    return ", ".join(" ".join(str(pool.get(fact, "")) for fact in ("internal_api", "version", "architecture")).strip()
                     for pool in own or pools)


def follow_environment() -> None:
    """Obey BYHAND_NUM_THREADS, if it is set. Raises ValueError if it is not a whole number of at least 1."""
    text = os.environ.get("BYHAND_NUM_THREADS", "").strip()
    if text:
        number = 0
        with suppress(ValueError):
            number = int(text)
        if number < 1:
            raise ValueError(f"BYHAND_NUM_THREADS must be a whole number of at least 1, got '{text}'.")
        set_num_threads(number)
