"""Samples for the tests of `fit`, and a callback that remembers what was made of them."""

import numpy as np

from byhand.callbacks import Callback
from byhand.data import Dataset


def points(n=60, classes=3):
    """Samples that can be told apart by their first number, which counts them; `classes` in turn."""
    rng = np.random.default_rng(7)
    inputs = np.column_stack([np.arange(n), rng.standard_normal((n, 3))]).astype(np.float32)
    return Dataset(inputs, np.arange(n) % classes, tuple("abcdefgh"[:classes]))


class Recorder(Callback):
    """Remembers the inputs of every batch and the gradients that they gave."""

    def __init__(self):
        self.batches, self.gradients = [], []

    def on_step(self, run):
        self.batches.append(run.inputs.copy())
        self.gradients.append({name: p.grad.copy() for name, p in run.model.named_parameters()})
