"""Make the built-in data set `mini` from MNIST: 500 training and 100 test images of every digit, 1.0 MB in all.

    python scripts/make_mini.py FOLDER [OUTPUT]

FOLDER holds MNIST's four IDX files. OUTPUT is by default the package's own src/byhand/data/mini. Which images are
chosen is drawn with a fixed seed; they keep the order that they have in MNIST. Running it again gives the same files.
It prints the SHA-256 of their uncompressed content, which src/byhand/data/published.py knows them by.
"""

import sys
from pathlib import Path

import numpy as np

from byhand.data import digest, load, write_idx
from byhand.data.published import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS

SEED = 20
PER_CLASS = {"train": 500, "test": 100}


def choose(labels: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """The positions of `per_class` samples of each digit, in ascending order."""
    return np.sort(np.concatenate([rng.choice(np.flatnonzero(labels == digit), per_class, replace=False)
                                   for digit in range(10)]))


def main(folder: str, output: str = str(Path(__file__).parents[1] / "src/byhand/data/mini")) -> None:
    mnist = load(Path(folder))
    rng = np.random.default_rng(SEED)
    Path(output).mkdir(parents=True, exist_ok=True)
    for part, images, labels, count in (
        (mnist.train, TRAIN_IMAGES, TRAIN_LABELS, PER_CLASS["train"]),
        (mnist.test, TEST_IMAGES, TEST_LABELS, PER_CLASS["test"]),
    ):
        chosen = part[choose(part.targets, count, rng)]
        for file, array in ((images, chosen.inputs[:, 0]), (labels, chosen.targets.astype(np.uint8))):
            write_idx(Path(output, file + ".gz"), array)
            print(file, digest(array))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
