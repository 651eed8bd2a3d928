"""Measure NeuralNetworkClassifier beside MLPClassifier: both with their defaults, on MNIST, in turns.

    python scripts/measure_estimator.py                          # all 60,000 images, five rounds; five minutes
    python scripts/measure_estimator.py --samples 10000 --rounds 2

Each round has a seed of its own. Both get the same float32 pixels from 0 to 1, and are told nothing else; what is timed
is `fit`. The figures go into the table in docs/scikit-learn.md.
"""

import argparse
import platform
import statistics
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier

import byhand as bh
from byhand import kernels
from write_tables import between

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scikit-learn.md"
BEGIN, END = "<!-- measured:begin -->", "<!-- measured:end -->"
SIDES = {"NeuralNetworkClassifier": bh.NeuralNetworkClassifier, "MLPClassifier": MLPClassifier}


class Round(NamedTuple):
    """What one of them took and reached in a round."""

    seconds: float
    epochs: int
    accuracy: float


def pixels(dataset: bh.data.Dataset) -> Any:
    """The images as a table of numbers from 0 to 1."""
    return dataset.inputs.reshape(len(dataset), -1).astype(np.float32) / 255


def measure(samples: int, rounds: int) -> dict[str, list[Round]]:
    """What each side took and reached in each round."""
    mnist = bh.data.load("mnist")
    X, y = pixels(mnist.train[:samples]), mnist.train.targets[:samples]
    X_test, y_test = pixels(mnist.test), mnist.test.targets
    found: dict[str, list[Round]] = {name: [] for name in SIDES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few epochs, while both warm up
        for side in SIDES.values():
            side(max_iter=2).fit(X[:2000], y[:2000])
    for seed in range(rounds):
        for name, side in SIDES.items():
            begun = time.perf_counter()
            net = side(random_state=seed).fit(X, y)
            seconds = time.perf_counter() - begun
            found[name].append(Round(seconds, net.n_iter_, net.score(X_test, y_test)))
            print(f"{name} {seed}: {seconds:.1f} s, {net.n_iter_} epochs, {found[name][-1].accuracy:.2%}", flush=True)
    return found


def table(found: dict[str, list[Round]], samples: int) -> str:
    """What came out, as Markdown."""
    rows = ["| | seconds | epochs | test accuracy |", "| --- | --- | --- | --- |"]
    medians = []
    for name, runs in found.items():
        seconds, epochs, accuracies = zip(*runs, strict=True)
        right = [100 * accuracy for accuracy in accuracies]
        medians.append(statistics.median(seconds))
        rows.append(f"| `{name}` | {medians[-1]:.1f} | {statistics.median(epochs):.0f} | "
                    f"{statistics.mean(right):.2f} ± {statistics.stdev(right):.2f} % |")
    mine, theirs = medians
    said = (f"{theirs / mine:.1f} times as fast: {samples:,} images of MNIST, {len(runs)} rounds in turns, each with a "
            "seed of its own. Seconds and epochs are medians; accuracy is the mean over the seeds ± its standard "
            f"deviation. {bh.get_num_threads()} threads, {platform.machine()}, scikit-learn {sklearn.__version__}, "
            f"byhand {bh.__version__} with its {kernels.in_use()} kernels.")
    return "\n".join([*rows, "", said])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("one round has no spread: --rounds needs at least 2")
    text = table(measure(options.samples, options.rounds), options.samples)
    print(text)
    PAGE.write_text(between(PAGE.read_text(encoding="utf-8"), BEGIN, END, text), encoding="utf-8")


if __name__ == "__main__":
    main()
