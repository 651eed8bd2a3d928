"""A short training that the tests of callbacks listen to, and callbacks that meddle with it."""

import numpy as np

import byhand as bh
from byhand import losses, nn
from byhand.callbacks import Callback
from byhand.data import Dataset
from byhand.optim import SGD


def samples(n=40, seed=0):
    """Two classes that a line separates."""
    x = np.random.default_rng(seed).standard_normal((n, 3)).astype(np.float32)
    return Dataset(x, (x.sum(axis=1) > 0).astype(np.int64))


def network(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(3, 8, rng), nn.ReLU(), nn.Linear(8, 2, rng))


def train(model, *callbacks, lr=0.1, data=None, optimizer=None, **options):
    options = {"epochs": 3, "batch_size": 10, "validation": None, "loss": losses.cross_entropy} | options
    return bh.fit(model, data or samples(), optimizer=optimizer or SGD(model.parameters(), lr=lr),
                  rng=np.random.default_rng(0), callbacks=callbacks, **options)


class At(Callback):
    """Does something to the run in one step, counted from 1."""

    def __init__(self, step, act):
        self.step, self.act = step, act

    def on_step(self, run):
        if run.step + 1 == self.step:
            self.act(run)


def interrupt(run):
    raise KeyboardInterrupt


class Rates(Callback):
    def __init__(self):
        self.rates = []

    def on_step(self, run):
        self.rates.append(run.optimizer.lr)
