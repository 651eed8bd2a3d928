"""A folder of IDX files, named as MNIST's: images and labels to train with, and perhaps to test with.

IDX has only numbers. The names of the classes, where there are any, lie beside them in a text file, a name a line.
"""

from pathlib import Path

import numpy as np

from byhand.atomic import write_atomically
from byhand.data.dataset import Splits
from byhand.data.formats.samples import Samples, as_inputs
from byhand.data.idx import write_idx
from byhand.data.published import FILES
from byhand.data.search import files_of, read_folder

NAMES = "classes.txt"


def read_idx_folder(folder: Path) -> Samples:
    """The samples in the four files, or in the two of the training set. Raises like `read_folder`."""
    paths = files_of(folder)
    arrays = read_folder(folder, FILES if set(paths) & set(FILES[2:]) else FILES[:2])
    pairs = [(as_inputs(arrays[images], str(paths[images])), arrays[labels].astype(np.int64))
             for images, labels in (FILES[:2], FILES[2:]) if images in arrays]
    path = folder / NAMES
    names = path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []
    return Samples(pairs[0], pairs[1] if pairs[1:] else None, tuple(names))


def write_idx_folder(splits: Splits, folder: Path) -> None:
    """The four files, and the names of the classes if they are not just 0, 1, 2 ... Raises ValueError for tables."""
    if splits.train.inputs.ndim != 4:
        raise ValueError(f"a folder of IDX files holds pictures, and {splits.name} is a table; choose another form")
    for part, (images, labels) in ((splits.train, FILES[:2]), (splits.test, FILES[2:])):
        inputs = part.inputs[:, 0] if part.inputs.shape[1] == 1 else part.inputs
        write_idx(folder / images, inputs)
        write_idx(folder / labels, part.targets.astype(np.uint8 if len(splits.classes) <= 256 else np.int32))
    if splits.classes != tuple(map(str, range(len(splits.classes)))):
        write_atomically(folder / NAMES, "".join(f"{name}\n" for name in splits.classes).encode())
