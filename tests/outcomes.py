"""Finished runs of every kind of data, really trained, each in a moment: what reports and cards are made of."""

import dataclasses
import math

import numpy as np

import byhand as bh
from byhand import nn
from byhand.callbacks import BatchLosses
from byhand.data import Dataset
from byhand.report import Outcome, command


class Noticed:
    """A finding, as the page takes it."""

    def __init__(self, sentence, severity="alarm"):
        self.sentence, self.severity = sentence, severity


def samples(shape, names, count, rng, dtype=np.uint8):
    """Samples of this shape around a point for each class, so near to each other that some are taken for others."""
    middles = np.random.default_rng(1).uniform(60, 200, (len(names), *shape))
    targets = np.arange(count) % len(names)
    inputs = np.clip(middles[targets] + rng.normal(0, 150, (count, *shape)), 0, 255).astype(dtype)
    return Dataset(inputs, targets, tuple(names), "things")


def outcome(shape=(1, 6, 6), names=("0", "1", "2"), epochs=3, validation=0.2, count=120, hidden=8, dataset="things",
            dtype=np.uint8, single=False, findings=()):
    """A run on such samples. With `single` the network has one output for two classes."""
    rng = np.random.default_rng(0)
    train, test = (samples(shape, names, n, rng, dtype) for n in (2 * count, count))
    features, answers = math.prod(shape), 1 if single else len(names)
    model = nn.Sequential(nn.Flatten(), nn.Linear(features, hidden, rng), nn.ReLU(), nn.Linear(hidden, answers, rng))
    normalize, batches = bh.data.Normalize.fit(train), BatchLosses()
    run = bh.fit(model, train, epochs=epochs, rng=rng, validation=validation, test=test, normalize=normalize,
                 loss=bh.losses.binary_cross_entropy if single else bh.losses.cross_entropy,
                 optimizer=bh.optim.Adam(model.parameters(), lr=0.01), callbacks=[batches])
    held_out = 0 if validation is None else round(validation * len(train))
    configuration = {"recipe": "mlp", "settings": {"epochs": epochs, "batch_size": None, "lr": 0.005},
                     "dataset": dataset, "source": "my data", "seed": 7, "threads": 1, "kernels": "numpy",
                     "byhand": bh.__version__, "numpy": np.__version__}
    result = {"version": 1, "recipe": "mlp", "dataset": dataset, "train_samples": len(train) - held_out,
              "test_samples": len(test), "epochs": run.epoch, "parameters": sum(p.size for p in model.parameters()),
              "train_accuracy": run.history[-1]["accuracy"],
              "validation_accuracy": run.history[-1].get("validation_accuracy"), "test_accuracy": run.test.accuracy,
              "test_interval": run.test.interval and list(run.test.interval), "train_seconds": run.seconds, "seed": 7,
              "stopped": None}
    usual = {"epochs": 20, "batch_size": 128, "lr": 0.005}
    return Outcome("a layer of eight", result, configuration, command(configuration, usual), run.history, model, train,
                   test, run.test, held_out, findings, batches.points)


def answering(told, outputs):
    """The same run, as if the network had put out these for the test samples."""
    tested = dataclasses.replace(told.tested, outputs=outputs, targets=told.test.targets)
    return dataclasses.replace(told, tested=tested)
