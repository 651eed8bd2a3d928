"""Small tables, and estimators that learn from them for a moment."""

import numpy as np
from sklearn.datasets import load_digits, make_regression

import byhand as bh
from byhand.estimator import NeuralNetworkClassifier, NeuralNetworkRegressor

DIGITS, LABELS = (array[:300] for array in load_digits(return_X_y=True))
DIGITS = (DIGITS / 16).astype(np.float32)
X_NUMBERS, Y_NUMBERS = make_regression(200, 5, noise=5.0, random_state=0)
Y_NUMBERS = Y_NUMBERS / Y_NUMBERS.std()


def classifier(**given):
    """One that learns for a moment."""
    return NeuralNetworkClassifier(**{"hidden_layer_sizes": 16, "max_iter": 3, "random_state": 0, **given})


def regressor(**given):
    """One that learns for a moment."""
    return NeuralNetworkRegressor(**{"hidden_layer_sizes": 16, "max_iter": 3, "random_state": 0, **given})


def convolutions(input_shape, n_outputs, rng):
    """A function that builds a network when the shapes are known."""
    channels, rows, columns = input_shape
    return bh.nn.Sequential(bh.nn.Conv2d(channels, 4, 3, rng), bh.nn.ReLU(), bh.nn.Flatten(),
                            bh.nn.Linear(4 * (rows - 2) * (columns - 2), n_outputs, rng))


def shortcut(input_shape, n_outputs, rng):
    """One that the compiled kernels run layer by layer."""
    around = bh.nn.Residual(bh.nn.Conv2d(1, 1, 3, rng, padding=1), bh.nn.ReLU())
    return bh.nn.Sequential(around, bh.nn.Flatten(), bh.nn.Linear(64, 16, rng), bh.nn.LayerNorm(16), bh.nn.GELU(),
                            bh.nn.Linear(16, n_outputs, rng))


def bends(input_shape, n_outputs, rng):
    """Another one, with all that bends."""
    bent = [bh.nn.Tanh(), bh.nn.Sigmoid(), bh.nn.GELU(), bh.nn.SiLU(), bh.nn.ELU(), bh.nn.Softplus(), bh.nn.LeakyReLU()]
    return bh.nn.Sequential(bh.nn.LayerNorm(input_shape), *bent, bh.nn.Flatten(), bh.nn.Linear(64, n_outputs, rng))


def same_weights(one, other):
    """Whether two networks have the same numbers, to the bit."""
    return all(np.array_equal(a, b) for a, b in zip(one.model_.state_dict().values(),
                                                    other.model_.state_dict().values(), strict=True))
