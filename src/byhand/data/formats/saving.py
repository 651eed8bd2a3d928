"""A data set written in whichever form another program wants, complete or not at all; nothing there is overwritten."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from byhand.atomic import whole_folder
from byhand.data.dataset import Splits
from byhand.data.formats.arrays import write_npy_folder, write_npz
from byhand.data.formats.idx_folder import write_idx_folder
from byhand.data.formats.pictures import write_pictures
from byhand.data.formats.table import write_csv
from byhand.data.search import Notify, silent

FORMS = ("idx", "npz", "csv", "npy", "pictures")


def save(splits: Splits, target: str | os.PathLike[str], form: str | None = None, notify: Notify = silent) -> str:
    """Write a data set to `target` in one of FORMS, and return which.

    A name that ends in `.npz` or `.csv` says the form; otherwise it is `form`, or without one `idx` for pictures and
    `npy` for tables. What is neither such a file nor `npz` is a folder, of form `csv` with a table for each part.
    `notify` is told that a single table cannot hold the split, and which classes got another name as folders.

    Raises FileExistsError if there is something at `target`, ValueError for data that cannot take the form and for a
    form that the name contradicts, OSError if it cannot be written.
    """
    path = Path(target)
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists already; choose another name")
    named = path.suffix.lower()[1:] if path.suffix.lower() in (".npz", ".csv") else None
    form = form or named or ("idx" if splits.train.inputs.ndim == 4 else "npy")
    if form not in FORMS or form != (named or form):
        raise ValueError(f"{path} cannot take the form '{form}': a name in .npz or .csv says what it is, and the forms "
                         f"are {', '.join(FORMS)}")
    if form == "npz":
        write_npz(splits, path)
    elif named == "csv":
        write_csv(path, splits.train, splits.test)
        notify(f"{path} is one table, of the training samples and then the test samples; a folder of the form csv "
               "keeps them apart")
    else:
        writers: dict[str, Callable[[Splits, Path], None]] = {
            "idx": write_idx_folder, "csv": _write_tables, "npy": write_npy_folder,
            "pictures": partial(write_pictures, notify=notify)}
        with whole_folder(path) as folder:
            writers[form](splits, folder)
    return form


def _write_tables(splits: Splits, folder: Path) -> None:
    write_csv(folder / "train.csv", splits.train)
    write_csv(folder / "test.csv", splits.test)

