"""Look for the recipe that brings MNIST to 99 % in the shortest time, and write down what was tried.

    python scripts/search_fast.py                  # all candidates, three seeds each; some minutes
    python scripts/search_fast.py --seeds 5

Every candidate learns from 50,000 of the training images and is judged on the other 10,000. The test set takes no part:
what is chosen here is measured there once, by `scripts/measure_recipes.py`. The table goes into docs/speed-log.md,
losers included.

A network is written as in the text around it: `24c6s2` is a convolution with 24 filters of 6 × 6 and stride 2 (`p1`:
padded by 1), `pool` and `pool3` are max pooling, `bn` batch norm, `relu` relu, and a number a linear layer.
"""

import argparse
import re
import statistics
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

import byhand as bh
from byhand import losses, nn
from byhand.callbacks import Schedule
from byhand.nn import init
from byhand.optim import Adam
from byhand.schedules import OneCycle
from write_tables import between

LOG = Path(__file__).resolve().parents[1] / "docs" / "speed-log.md"
BEGIN, END = "<!-- tried:begin -->", "<!-- tried:end -->"
MNIST = bh.data.Normalize(0.1307, 0.3081)


@dataclass(frozen=True)
class Candidate:
    """A network and a way to train it: one-cycle Adam with a short memory, Glorot-uniform weights."""

    network: str
    epochs: int = 1
    batch_size: int = 128
    lr: float = 0.02
    smoothing: float = 0.05
    betas: tuple[float, float] = (0.7, 0.9)


SMALL = Candidate("24c6s2-pool-bn-relu-48c3-bn-relu-10")
CANDIDATES = {
    "The network of 2021": [
        Candidate("24c5-pool-relu-32c3-pool-relu-256-relu-10", batch_size=256, lr=0.01, smoothing=0.0),
        Candidate("24c5-pool-bn-relu-32c3-pool-bn-relu-10", batch_size=256, lr=0.01, smoothing=0.0),
    ],
    "A stride in the first convolution, and pooling at once: a sixth of the work": [
        Candidate("16c5s2-bn-relu-32c3-pool-bn-relu-10", batch_size=256, lr=0.01, smoothing=0.0),
        Candidate("16c5s2-bn-relu-32c3-pool-bn-relu-10", lr=0.01, smoothing=0.0),
        Candidate("16c5s2-bn-relu-32c3-pool-bn-relu-128-bn-relu-10", batch_size=256, lr=0.01, smoothing=0.0),
        Candidate("16c5s2-bn-relu-32c3s2-bn-relu-10", 2, 256, 0.01, 0.0),
        Candidate("32c5s2-bn-relu-64c5s2-bn-relu-10", batch_size=256, lr=0.01, smoothing=0.0),
        Candidate("24c5s2-pool-bn-relu-48c3-bn-relu-10", 2, 256, 0.01, 0.0),
        replace(SMALL, epochs=2, batch_size=256, lr=0.01, smoothing=0.0),
        Candidate("24c7s3-bn-relu-48c3-bn-relu-10", 2, 256, 0.01, 0.0),
        Candidate("16c5-pool4-bn-relu-64c3-bn-relu-10", lr=0.01, smoothing=0.0),
    ],
    "The rate": [replace(SMALL, epochs=2, batch_size=256, lr=lr, smoothing=0.0) for lr in (0.005, 0.02, 0.03)],
    "Softer labels": [replace(SMALL, epochs=2, batch_size=256, lr=0.01, smoothing=smoothing)
                      for smoothing in (0.05, 0.1)],
    "One epoch, with both": [
        SMALL, replace(SMALL, smoothing=0.0), replace(SMALL, smoothing=0.1), replace(SMALL, lr=0.03),
        replace(SMALL, batch_size=64), replace(SMALL, batch_size=256), replace(SMALL, betas=(0.8, 0.98)),
        replace(SMALL, betas=(0.6, 0.9)),
    ],
    "Larger and smaller": [
        replace(SMALL, network=f"{network}-bn-relu-10") for network in (
            "32c6s2-pool-bn-relu-64c3", "24c6s2-pool-bn-relu-64c3", "24c6s2-pool-bn-relu-48c3p1",
            "24c6s2-pool-bn-relu-48c3-bn-relu-64", "16c6s2-pool-bn-relu-64c3", "16c6s2-pool-bn-relu-48c3",
            "16c6s2-pool-bn-relu-32c3", "16c5s2-pool-bn-relu-48c3", "16c7s3-bn-relu-48c3", "32c6s2-pool-bn-relu-32c3",
            "16c6s2-pool-bn-relu-48c4")
    ],
}


def network(text: str, rng: np.random.Generator) -> nn.Sequential:
    """The network that the text describes, for digits."""
    layers: list[nn.Module] = []
    shape: tuple[int, ...] = (1, 28, 28)
    for word in text.split("-"):
        if match := re.fullmatch(r"(\d+)c(\d+)(?:s(\d+))?(?:p(\d+))?", word):
            filters, size, stride, padding = (int(group or 0) for group in match.groups())
            layers.append(nn.Conv2d(shape[0], filters, size, rng, stride=stride or 1, padding=padding,
                                    weight_init=init.glorot_uniform))
        elif match := re.fullmatch(r"pool(\d?)", word):
            layers.append(nn.MaxPool2d(int(match[1] or 2)))
        elif word == "bn":
            layers.append((nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(shape[0]))
        elif word == "relu":
            layers.append(nn.ReLU())
        else:
            layers += [] if len(shape) == 1 else [nn.Flatten()]
            features = nn.Sequential(*layers).output_shape((1, 28, 28))[0]
            layers.append(nn.Linear(features, int(word), rng, weight_init=init.glorot_uniform))
        shape = nn.Sequential(*layers).output_shape((1, 28, 28))
    return nn.Sequential(*layers)


def tried(candidate: Candidate, train: bh.data.Dataset, validation: bh.data.Dataset, seed: int) -> tuple[float, float]:
    """(accuracy on the validation images, seconds of training) of one run."""
    rng = np.random.default_rng(seed)
    model = network(candidate.network, rng)
    run = bh.fit(model, train, loss=partial(losses.cross_entropy, label_smoothing=candidate.smoothing),
                 optimizer=Adam(model.parameters(), lr=candidate.lr, betas=candidate.betas), rng=rng,
                 epochs=candidate.epochs, batch_size=candidate.batch_size, validation=None, normalize=MNIST,
                 callbacks=[Schedule(OneCycle())])
    return bh.evaluate(model, validation, normalize=MNIST).accuracy or 0.0, run.seconds


def main() -> None:
    """Try them all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    if seeds < 2:
        parser.error("one seed has no spread: --seeds needs at least 2")
    digits = bh.data.load("mnist", print).train
    order = np.random.default_rng(12345).permutation(len(digits))
    train, validation = digits[order[:50_000]], digits[order[50_000:]]
    lines = ["| network | epochs | batch | rate | betas | softened | validation, mean ± sd | seconds |",
             "|---" * 8 + "|"]
    for title, candidates in CANDIDATES.items():
        lines.append(f"| **{title}** |" + " |" * 7)
        for c in candidates:
            runs = [tried(c, train, validation, seed) for seed in range(seeds)]
            accuracies = [100 * accuracy for accuracy, _ in runs]
            lines.append(f"| `{c.network}` | {c.epochs} | {c.batch_size} | {c.lr:g} | {c.betas[0]:g}, {c.betas[1]:g} | "
                         f"{c.smoothing:g} | {statistics.mean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f} | "
                         f"{statistics.median(seconds for _, seconds in runs):.2f} |")
            print(lines[-1], flush=True)
    told = f"{seeds} seeds each, {bh.get_num_threads()} threads, 50,000 images an epoch, {bh.kernels.in_use()} kernels."
    page = between(LOG.read_text(encoding="utf-8"), BEGIN, END, "\n".join([told, "", *lines]))
    LOG.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
