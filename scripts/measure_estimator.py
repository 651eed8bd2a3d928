"""Measure NeuralNetworkClassifier beside MLPClassifier: both with their defaults, on MNIST, in turns.

    python scripts/measure_estimator.py                          # all 60,000 images, three rounds; a few minutes
    python scripts/measure_estimator.py --samples 10000 --rounds 1

Each round has a seed of its own. Both get the same float32 pixels from 0 to 1, and are told nothing else; what is timed
is `fit`. The figures go into the table in docs/scikit-learn.md.
"""

import argparse
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier

import byhand as bh
from write_tables import between

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scikit-learn.md"
BEGIN, END = "<!-- measured:begin -->", "<!-- measured:end -->"
SIDES = {"NeuralNetworkClassifier": bh.NeuralNetworkClassifier, "MLPClassifier": MLPClassifier}


def pixels(dataset: bh.data.Dataset) -> Any:
    """The images as a table of numbers from 0 to 1."""
    return dataset.inputs.reshape(len(dataset), -1).astype(np.float32) / 255


def measure(samples: int, rounds: int) -> dict[str, list[tuple[float, float, int]]]:
    """For each side: seconds of `fit`, accuracy on the test set, and epochs, in each round."""
    mnist = bh.data.load("mnist")
    X, y = pixels(mnist.train[:samples]), mnist.train.targets[:samples]
    X_test, y_test = pixels(mnist.test), mnist.test.targets
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in SIDES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few epochs, while both warm up
        for side in SIDES.values():
            side(max_iter=2).fit(X[:2000], y[:2000])
    for seed in range(rounds):
        for name, side in SIDES.items():
            begun = time.perf_counter()
            net = side(random_state=seed).fit(X, y)
            seconds = time.perf_counter() - begun
            found[name].append((seconds, net.score(X_test, y_test), net.n_iter_))
            print(f"{name} {seed}: {seconds:.1f} s, {net.n_iter_} epochs, {found[name][-1][1]:.2%}", flush=True)
    return found


def table(found: dict[str, list[tuple[float, float, int]]], samples: int) -> str:
    """The medians as Markdown."""
    rounds = len(next(iter(found.values())))
    rows = ["| | seconds | epochs | test accuracy |", "| --- | --- | --- | --- |"]
    medians = {}
    for name, runs in found.items():
        seconds, accuracy, epochs = (statistics.median(values) for values in zip(*runs, strict=True))
        medians[name] = seconds
        rows.append(f"| `{name}` | {seconds:.1f} | {epochs:.0f} | {accuracy:.2%} |")
    mine, theirs = medians.values()
    return "\n".join([*rows, "", f"{samples:,} images of MNIST, medians of {rounds} rounds in turns, {os.cpu_count()} "
                                 f"cores, scikit-learn {sklearn.__version__}: {theirs / mine:.1f} times as fast."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    text = table(measure(options.samples, options.rounds), options.samples)
    print(text)
    PAGE.write_text(between(PAGE.read_text(encoding="utf-8"), BEGIN, END, text), encoding="utf-8")


if __name__ == "__main__":
    main()
