"""A network of one of most things, for the tests of layers, and its numbers."""

import numpy as np

from byhand import nn


def small(rng):
    """One of most things."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, rng, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Residual(nn.Conv2d(4, 6, 3, rng, padding=1), nn.Tanh(), shortcut=nn.Conv2d(4, 6, 1, rng)),
        nn.Flatten(), nn.Linear(54, 8, rng), nn.LayerNorm(8), nn.Dropout(0.25), nn.Linear(8, 3, rng))


def numbers_of(module):
    return {name: array.copy() for name, array in module.state_dict().items()}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)

# A scalar network as its file has it.
TINY = [
    {"label": "hidden", "ncount": 2, "wcount": 3, "neurons": [
        {"data": [0.5, -1.0, 0.25], "bias": 0.5, "wcount": 3},
        {"data": [1, 0, -2e-3], "bias": -1, "wcount": 3}]},
    {"label": "output", "ncount": 1, "wcount": 2, "neurons": [{"data": [2.0, -3.0], "bias": 0.125, "wcount": 2}]},
]
