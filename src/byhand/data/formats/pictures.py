"""Folders of pictures: every class has a folder, and its name is the name of the class.

    flowers/train/rose/0001.jpg        flowers/rose/0001.jpg
    flowers/train/tulip/0001.jpg       flowers/tulip/0001.jpg
    flowers/test/rose/0001.jpg

Photographs are seldom all of one size, and an array has only one. The most common size wins, and the others are
resized to it, after photographs have been shrunk to what a network can look at on a processor. The pictures are grey if
all of them are, otherwise all are in colour.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byhand.data.dataset import Splits
from byhand.data.formats.samples import Samples
from byhand.data.search import Notify
from byhand.pictures import SUFFIXES, pictures_in, read_picture

Array = NDArray[Any]

TRAIN, TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")
LONGEST = 128  # the longer side of a picture, in pixels
MOST_BYTES = 2 << 30  # of all pictures together


def read_pictures(folder: Path, notify: Notify) -> Samples:
    """The pictures `(N, C, H, W)` of all classes, sorted by file name. `notify` is told what was resized or left out.

    Raises ValueError if there are no pictures, a class has none, or they are too many to hold; and whatever
    `byhand.pictures.read_picture` raises for one that cannot be read.
    """
    below = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    train = next((below[name] for name in TRAIN if name in below), None)
    test = next((below[name] for name in TEST if name in below), None) if train else None
    files = [_files(train or folder, notify)]
    if test and any(path.is_dir() for path in test.iterdir()):
        files.append(_files(test, notify))
    elif test:
        notify(f"{test} has no folder for each class and cannot be tested with")
    others = sorted(path.name for path in below.values() if path not in (train, test) and path.name[0] != ".")
    if train and others:
        notify(f"{folder} is read from its folder {train.name}{f' and {test.name}' if test else ''}, and not from "
               f"{', '.join(others[:5])}")
    pictures = _alike([path for part in files for path, _ in part], folder, notify)
    labels = np.array([label for part in files for _, label in part])
    first = len(files[0])
    return Samples((pictures[:first], labels[:first]), (pictures[first:], labels[first:]) if files[1:] else None)


def write_pictures(splits: Splits, folder: Path, notify: Notify) -> None:
    """`train/CLASS/00000.png` and `test/CLASS/...`, numbered in the order of the samples.

    In the names of classes, what not every system allows in the name of a folder becomes `_`, and `notify` is told.
    Raises ValueError for what is no picture of bytes, grey or RGB, and for classes that would share a folder.
    """
    from PIL import Image

    inputs = splits.train.inputs
    if inputs.shape[1:2] not in ((1,), (3,)) or inputs.ndim != 4 or inputs.dtype != np.uint8:
        raise ValueError(f"picture files hold bytes, grey or in three colours, and {splits.name} has {inputs.dtype} of "
                         f"shape {inputs.shape[1:]}; choose another form")
    names = [re.sub(r'[<>:"/\\|?*]|^[.]|[. ]$', "_", name) for name in splits.classes]
    if len({name.lower() for name in names}) < len(names):
        raise ValueError(f"the classes of {splits.name} differ only in what the name of a folder cannot hold; choose "
                         "another form")
    changed = [f"{old} is {new}" for old, new in zip(splits.classes, names, strict=True) if old != new]
    if changed:
        more = f", and {len(changed) - 5:,} more" if len(changed) > 5 else ""
        notify("not every class has a name that a folder can have on all systems; among the folders "
               f"{', '.join(changed[:5])}{more}")
    for part, dataset in (("train", splits.train), ("test", splits.test)):
        for target in np.unique(dataset.targets).tolist():
            (folder / part / names[target]).mkdir(parents=True)
        for index, (picture, target) in enumerate(zip(dataset.inputs, dataset.targets.tolist(), strict=True)):
            pixels = picture[0] if len(picture) == 1 else np.ascontiguousarray(np.moveaxis(picture, 0, -1))
            Image.fromarray(pixels).save(folder / part / names[target] / f"{index:05}.png")


def _files(folder: Path, notify: Notify) -> list[tuple[Path, str]]:
    """The pictures in the folders of a folder, each with its class, sorted by their own names: so classes are mixed.
    `notify` is told of what lies there and is not read."""
    found, strange = [], [path for path in folder.iterdir() if path.is_file() and path.name[0] != "."]
    for below in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        pictures = pictures_in(below)
        if not pictures:
            raise ValueError(f"the folder {below} has no pictures; each folder in {folder} is a class and holds its "
                             f"pictures ({', '.join(SUFFIXES)})")
        found += [(path, below.name) for path in pictures]
        strange += [path for path in below.iterdir() if path.name[0] != "." and path not in set(pictures)]
    if not found:
        raise ValueError(f"the folder {folder} has no folders of pictures, one for each class")
    if strange:
        notify(f"{len(strange):,} of what is in {folder} is left out, since it is no picture in the folder of a class, "
               f"{min(strange).relative_to(folder)} for one")
    return sorted(found, key=lambda item: (item[0].name, item[1]))


def _alike(paths: list[Path], folder: Path, notify: Notify) -> Array:
    """All pictures as one array: `(N, 1, H, W)` if all are grey, otherwise `(N, 3, H, W)`."""
    from PIL import Image

    def resized(picture: Array, height: int, width: int) -> Array:
        return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))

    pictures: list[Array] = []
    total = shrunk = 0
    for path in paths:
        picture = read_picture(path)
        height, width = picture.shape[:2]
        if max(height, width) > LONGEST:
            share = LONGEST / max(height, width)
            picture = resized(picture, max(1, round(share * height)), max(1, round(share * width)))
            shrunk += 1
        pictures.append(picture)
        total += picture.nbytes
        if total > MOST_BYTES:
            raise ValueError(f"the pictures in {folder} take more than {MOST_BYTES >> 30} GiB once they are unpacked; "
                             "make them smaller, or take fewer")
    if shrunk:
        notify(f"{shrunk:,} of the {len(pictures):,} pictures in {folder} are larger than {LONGEST} pixels and are "
               "shrunk to that (for larger ones give an .npz file)")
    sizes = Counter(picture.shape[:2] for picture in pictures)
    (height, width), usual = sizes.most_common(1)[0]
    if usual < len(pictures):
        notify(f"the pictures in {folder} are of {len(sizes):,} sizes: {len(pictures) - usual:,} of {len(pictures):,} "
               f"are resized to the most common one, {width} x {height}")
    colours = max(picture.ndim for picture in pictures)
    out = np.empty((len(pictures), 3 if colours == 3 else 1, height, width), np.uint8)
    for row, picture in zip(out, pictures, strict=True):
        if picture.shape[:2] != (height, width):
            picture = resized(picture, height, width)
        row[...] = picture if picture.ndim == 2 else np.moveaxis(picture, -1, 0)
    return out
