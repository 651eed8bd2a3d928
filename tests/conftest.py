"""What all tests share: one seed, and Hypothesis without a stopwatch, trying the same examples every time."""

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("byhand", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("byhand")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of its own for each test, with the same seed."""
    return np.random.default_rng(0)
