"""Measure NeuralNetworkClassifier beside MLPClassifier: both with their defaults, on MNIST, in turns.

    python scripts/measure_estimator.py                          # all 60,000 images, five rounds; a quarter of an hour
    python scripts/measure_estimator.py --samples 10000 --rounds 2

Each round has a seed of its own. Both get the same pixels from 0 to 1, once in float32 and once in float64, in which
they then compute, and are told nothing else; what is timed is `fit`. The figures go into the table in
docs/scikit-learn.md.
"""

import argparse
import platform
import statistics
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import sklearn
from sklearn.neural_network import MLPClassifier

import byhand as bh
from byhand import kernels
from write_tables import between

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scikit-learn.md"
BEGIN, END = "<!-- measured:begin -->", "<!-- measured:end -->"
SIDES = {"NeuralNetworkClassifier": bh.NeuralNetworkClassifier, "MLPClassifier": MLPClassifier}
DTYPES = ("float32", "float64")


class Round(NamedTuple):
    """What one of them took and reached in a round."""

    seconds: float
    epochs: int
    accuracy: float


def pixels(dataset: bh.data.Dataset, dtype: str) -> Any:
    """The images as a table of numbers from 0 to 1."""
    return dataset.inputs.reshape(len(dataset), -1).astype(dtype) / 255


def measure(samples: int, rounds: int, dtype: str) -> dict[str, list[Round]]:
    """What each side took and reached in each round."""
    mnist = bh.data.load("mnist")
    X, y = pixels(mnist.train[:samples], dtype), mnist.train.targets[:samples]
    X_test, y_test = pixels(mnist.test, dtype), mnist.test.targets
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
            print(f"{name} {dtype} {seed}: {seconds:.1f} s, {net.n_iter_} epochs, {found[name][-1].accuracy:.2%}",
                  flush=True)
    return found


def table(found: dict[str, dict[str, list[Round]]], samples: int) -> str:
    """What came out for each dtype, as Markdown."""
    rows = ["| | in | seconds | epochs | an epoch | test accuracy |", "| --- | --- | --- | --- | --- | --- |"]
    faster = []
    for dtype, sides in found.items():
        medians = []
        for name, runs in sides.items():
            seconds, epochs, accuracies = zip(*runs, strict=True)
            right = [100 * accuracy for accuracy in accuracies]
            medians.append(statistics.median(seconds))
            each = statistics.median(run.seconds / run.epochs for run in runs)
            rows.append(f"| `{name}` | {dtype} | {medians[-1]:.1f} | {statistics.median(epochs):.0f} | {each:.3f} s | "
                        f"{statistics.mean(right):.2f} ± {statistics.stdev(right):.2f} % |")
        mine, theirs = medians
        faster.append(f"{theirs / mine:.1f} times as fast in {dtype}")
    said = (f"{' and '.join(faster)}: {samples:,} images of MNIST, {len(runs)} rounds in turns, each with a seed of "
            "its own. Seconds and epochs are medians; accuracy is the mean over the seeds ± its standard deviation. "
            f"{bh.get_num_threads()} threads, {platform.machine()}, scikit-learn {sklearn.__version__}, "
            f"byhand {bh.__version__} with its {kernels.in_use()} kernels.")
    return "\n".join([*rows, "", said])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("one round has no spread: --rounds needs at least 2")
    text = table({dtype: measure(options.samples, options.rounds, dtype) for dtype in DTYPES}, options.samples)
    print(text)
    PAGE.write_text(between(PAGE.read_text(encoding="utf-8"), BEGIN, END, text), encoding="utf-8")


if __name__ == "__main__":
    main()
