"""How a compiled kernel and its team of threads come together.

A body is a compiled function of flat arrays that does the samples from `first` up to `last`: body(first, last, ...). A
twin of a NumPy kernel lays its arrays out flat and shares the samples out. What is small is done by the caller alone,
which depends on its size only, so that results stay the same from run to run.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from byhand.kernels.threads import get_num_threads, shard, team

Array = np.ndarray[Any, Any]
SMALL = 1 << 14  # numbers of work under which waking a thread costs more than it brings


def fast(*arrays: Array | None) -> bool:
    """Whether the compiled kernels do these: all of float32, or all of float64, and not empty."""
    kinds = {a.dtype for a in arrays if a is not None}
    return len(kinds) == 1 and kinds <= {np.dtype(np.float32), np.dtype(np.float64)} and all(
        a.size for a in arrays if a is not None)


def flat(array: Array) -> Array:
    """The numbers of an array as kernels take them: in a row, and where they may be written to."""
    return np.require(array, requirements=["C", "A", "W"]).reshape(-1)


def shards(count: int, numbers: int) -> int:
    """In how many parts `count` samples with so many `numbers` in all are done."""
    return 1 if numbers < SMALL else min(get_num_threads(), count)


def share(body: Callable[..., Any], count: int, numbers: int, *arguments: Any) -> None:
    """Call body(first, last, *arguments) for each shard of `count` samples."""
    parts = shards(count, numbers)
    if parts == 1:
        body(0, count, *arguments)
    else:
        team.share(parts, lambda thread, threads: body(*shard(count, thread, threads), *arguments))


def share_sum(body: Callable[..., Any], count: int, numbers: int, total: Array, *arguments: Any) -> Array:
    """Call body(first, last, part, *arguments) for each shard, each with an array of zeros like `total` to add to, and
    return their sum, added up in the order of the shards."""
    parts = np.zeros((shards(count, numbers), *total.shape), total.dtype)
    if len(parts) == 1:
        body(0, count, parts[0].reshape(-1), *arguments)
    else:
        team.share(len(parts), lambda thread, threads: body(
            *shard(count, thread, threads), parts[thread].reshape(-1), *arguments))
    for part in parts:
        total += part
    return total
