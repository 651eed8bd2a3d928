"""How fast could it be at all? The machine's own matrix product, at its best, doing as much arithmetic.

A matrix product of 2048 × 2048 is the one thing that a processor does near its peak: BLAS libraries have been written
for it by hand, processor by processor. No network can be faster; how close one comes is the share of the peak.
"""

import numpy as np

from byhand.bench.networks import network, training_operations
from byhand.bench.turns import Turn, seconds
from byhand.bench.work import Digits

SIZE = 2048


def training(name: str, digits: Digits, batch: int, steps: int, threads: int) -> Turn:
    """The seconds that as many operations as a part of an epoch has would take in matrix products. Of five, the
    fastest is the peak."""
    rng = np.random.default_rng(0)
    operations = batch * steps * training_operations(network(name, rng))
    a, b = rng.random((2, SIZE, SIZE), np.float32)
    out = np.empty_like(a)
    return lambda: operations / (2 * SIZE**3) * min(seconds(lambda: np.matmul(a, b, out=out)) for _ in range(5))
