"""The forms that data comes in, a file each: what is there is looked at, so nobody has to say which form it is.

    idx_folder   MNIST's own four files, or two
    arrays       NumPy's .npz, as Keras serves MNIST, and folders of .npy
    table        CSV, as Kaggle serves it, and any other table of numbers with a label
    pictures     a folder of pictures for each class

Each reads into `Samples`, of which `samples` makes a training and a test set; `saving` writes them in each form.
"""

from pathlib import Path

from byhand.data.dataset import Splits
from byhand.data.formats.arrays import read_npy_folder, read_npz
from byhand.data.formats.idx_folder import read_idx_folder
from byhand.data.formats.pictures import read_pictures
from byhand.data.formats.samples import Samples, as_splits
from byhand.data.formats.table import is_wide, read_csv
from byhand.data.search import Notify, files_of

ACCEPTED = ("data are a .npz or .csv file, or a folder with IDX files as MNIST's, with x_train.npy and y_train.npy, "
            "with train.csv, or with a folder of pictures for each class")

ONE_OF_SEVERAL = (b"\x93NUMPY", b"\0\0", b"\x1f\x8b")  # how .npy, IDX and gzip files start


def read(place: Path, notify: Notify) -> Splits:
    """The training and the test set in a file or folder, whichever form it has.

    Raises ValueError for what is in none of the forms, or is damaged; OSError for what cannot be read.
    """
    return as_splits(_in_folder(place, notify) if place.is_dir() else _in_file(place, notify), place, notify)


def _in_folder(folder: Path, notify: Notify) -> Samples:
    if files_of(folder):
        return read_idx_folder(folder)
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    files = {suffix: [path for path in entries if path.suffix.lower() == suffix and path.is_file()]
             for suffix in (".npy", ".csv")}
    if files[".npy"]:
        return read_npy_folder(folder)
    train, test = ([path for path in files[".csv"] if path.stem.lower().endswith(part)] for part in ("train", "test"))
    if len(train) == 1 and len(test) <= 1:
        return read_csv(train[0], test[0] if test else None, notify)
    if any(path.is_dir() for path in entries):
        return read_pictures(folder, notify)
    raise ValueError(f"the folder {folder} has no data that can be read; {ACCEPTED}")


def _in_file(path: Path, notify: Notify) -> Samples:
    if not path.is_file():
        raise ValueError(f"{path} is neither a file nor a folder")
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith(b"PK"):
        return read_npz(path)
    if not start:
        raise ValueError(f"{path} is empty")
    if start.startswith(ONE_OF_SEVERAL):
        raise ValueError(f"{path} is one array of a data set, or compressed; give the folder that holds all of it: "
                         f"{ACCEPTED}")
    if b"\0" in start and not is_wide(start):
        raise ValueError(f"{path} is not data of a form that can be read; {ACCEPTED}")
    return read_csv(path, None, notify)
