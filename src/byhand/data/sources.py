"""Turns a word into a data set: a name, a file or a folder becomes samples to train on and samples to test with."""

import difflib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byhand.data.dataset import Dataset, Splits, has_classes
from byhand.data.loader import moments
from byhand.data.published import FILES, KNOWN, MINI, MNIST, Published, datasheet
from byhand.data.search import Arrays, DataUnavailable, Notify, files_of, find, recognize, silent


class UnknownData(ValueError):
    """A word that is neither the name of a data set nor a file or folder."""


def load(source: str | Path | Published, notify: Notify = silent, *, cache: str | Path | None = None) -> Splits:
    """The training and the test set of a known name (`mnist`, `fashion-mnist`, `mini`), of a file or folder in one of
    the forms of `formats` (IDX, .npz, .npy, CSV, folders of pictures), or of a `Published` record.

    Images are `(N, C, H, W)`, for the known sets `(N, 1, 28, 28)` uint8; tables are `(N, F)` float32; targets are
    `(N,)` int64. A name comes before a folder of the same name (`./mnist` is the folder). Where there is no test set,
    one sample in six is set aside as one. `notify` gets a sentence for what a user should know: what is fetched from
    where, which mirror failed and why, what was set aside, resized or left out. `cache`: the folder that fetched data
    is kept in, by default the user's cache folder.

    Raises DataUnavailable if a published set cannot be had; UnknownData, a ValueError, for a name that is not there;
    ValueError for what cannot be read as data, and a file in BYHAND_DATA that is not the published one.
    """
    published = _published(source)
    if published:
        arrays, place = find(published, notify, cache)
        return _splits(arrays, published, place)
    from byhand.data.formats import read  # here, so that who trains on a published set need not wait for it

    splits = read(_place(source), notify)
    published = _recognize(splits)
    if published:
        return _named(splits, published.name, published.classes)
    taken = splits.name in {known.name for known in KNOWN}  # other data in a folder of that name
    return _named(splits, f"{splits.name}/", splits.classes) if taken else splits


def load_or_mini(source: str | Path | Published, notify: Notify = silent, *, cache: str | Path | None = None) -> Splits:
    """`load`, but where MNIST cannot be had, `notify` is told so and the built-in `mini` set takes its place."""
    try:
        return load(source, notify, cache=cache)
    except DataUnavailable as error:
        if _published(source) != MNIST:
            raise
        notify(f"{error}. Using the built-in mini set instead, 5,000 training and 1,000 test digits of MNIST: "
               "expect a lower accuracy")
        return load(MINI)


def fetch(source: str | Published, notify: Notify = silent, *, cache: str | Path | None = None) -> Path:
    """Make sure that a published set is on this machine, and return the folder with its four files.

    Raises like `load`, and OSError if the set can be had but not kept.
    """
    published = _published(source)
    if published is None:
        raise UnknownData(f"'{source}' is not a data set to fetch; those are {_names()}")
    _, place = find(published, notify, cache)
    if len(files_of(place)) < len(FILES):
        raise OSError(f"{published.name} was fetched, but cannot be kept in {place}; choose another cache folder")
    return place


def info(splits: Splits) -> dict[str, Any]:
    """Plain facts about a data set, ready for JSON: sizes and types, samples of each class, the training set's pixel
    statistics (in the file's own units), and for a published set its files' SHA-256, its origin and its datasheet,
    otherwise None."""
    train, test = splits.train, splits.test
    mean, std = moments(train.inputs)
    published = _recognize(splits)
    return {
        "name": splits.name,
        "source": splits.source,
        "train_samples": len(train),
        "test_samples": len(test),
        "shape": list(train.inputs.shape[1:]),
        "dtype": str(train.inputs.dtype),
        "classes": list(splits.classes),
        "train_counts": train.counts().tolist() if has_classes(train) else None,
        "test_counts": test.counts().tolist() if has_classes(test) else None,
        "mean": mean.tolist(),
        "std": std.tolist(),
        "min": train.inputs.min().item(),
        "max": train.inputs.max().item(),
        "sha256": dict(published.sha256) if published else None,
        "origin": published.origin if published else None,
        "datasheet": datasheet(published.name) if published else None,
    }


def _published(source: str | Path | Published) -> Published | None:
    if isinstance(source, Published):
        return source
    return next((known for known in KNOWN if known.name == source), None)


def _place(source: str | Path | Published) -> Path:
    path = Path(str(source))
    if path.exists():
        return path
    close = difflib.get_close_matches(str(source).lower(), [known.name for known in KNOWN], n=1)
    raise UnknownData(f"there is no data set, no file and no folder '{source}'; the data sets are {_names()}"
                      + (f"; did you mean {close[0]}?" if close else ""))


def _names() -> str:
    return ", ".join(known.name for known in KNOWN)


def _splits(arrays: Arrays, published: Published, place: Path) -> Splits:
    train, test = (Dataset(_with_channel(arrays[images]), arrays[labels].astype(np.int64), published.classes,
                           published.name) for images, labels in (FILES[:2], FILES[2:]))
    return Splits(train, test, str(place))


def _with_channel(images: NDArray[Any]) -> NDArray[Any]:
    return images[:, np.newaxis] if images.ndim == 3 else images


def _named(splits: Splits, name: str, classes: tuple[str, ...]) -> Splits:
    train, test = (replace(part, name=name, classes=classes) for part in (splits.train, splits.test))
    return Splits(train, test, splits.source)


def _recognize(splits: Splits) -> Published | None:
    """The published set that this is: its files are rebuilt from the arrays, because the content is what counts."""
    train, test = splits.train, splits.test
    if train.inputs.dtype != np.uint8 or train.inputs.shape[1:] != (1, 28, 28) or splits.classes == ():
        return None
    arrays = (train.inputs[:, 0], train.targets.astype(np.uint8), test.inputs[:, 0], test.targets.astype(np.uint8))
    return recognize(dict(zip(FILES, arrays, strict=True)))
