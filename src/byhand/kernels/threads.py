"""One number for all the threads: how many cores the matrix products may use.

`set_num_threads(n)`, `--threads n` and the environment variable BYHAND_NUM_THREADS all say it; without them the BLAS
library's own choice stands, which is all cores.
"""

import os

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits


def set_num_threads(n: int) -> None:
    """Let the arithmetic use n threads, in this whole process. Raises ValueError unless n is a whole number of at least
    1."""
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        raise ValueError(f"the number of threads must be a whole number of at least 1, got {n!r}.")
    threadpool_limits(limits=int(n), user_api="blas")


def get_num_threads() -> int:
    """How many threads the matrix products use now."""
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)


def blas() -> str:
    """What multiplies matrices here, with its version and the processor that it works for: the last bits of a product
    depend on it."""
    return ", ".join(" ".join(str(pool.get(fact, "")) for fact in ("internal_api", "version", "architecture")).strip()
                     for pool in threadpool_info() if pool["user_api"] == "blas")


def follow_environment() -> None:
    """Obey BYHAND_NUM_THREADS, if it is set. Raises ValueError if it is not a whole number of at least 1."""
    text = os.environ.get("BYHAND_NUM_THREADS", "").strip()
    if text:
        try:
            number = int(text)
        except ValueError:
            number = 0
        if number < 1:
            raise ValueError(f"BYHAND_NUM_THREADS must be a whole number of at least 1, got '{text}'.")
        set_num_threads(number)
