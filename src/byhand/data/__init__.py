"""The data room: real handwriting, fetched, checked, and handed to training in batches.

    splits = byhand.data.load("mnist")                            # or "fashion-mnist", "mini", a file or a folder
    rest, validation = byhand.data.split(splits.train, 0.1, rng)
    for inputs, targets, weights in byhand.data.Loader(rest, 128, rng=rng, normalize=byhand.data.Normalize()):
        ...

Everything here is plain NumPy arrays; nothing knows about networks. `published` lists the data sets that have a name,
`search` and `mirrors` find them, `idx` reads and writes their files, `formats` reads and writes data of your own,
`sources` puts them together, `dataset` and `loader` hand them out, `augment` makes more of them.
"""

from typing import TYPE_CHECKING, Any

from byhand.data.augment import Affine, warp
from byhand.data.dataset import Dataset, Splits, split
from byhand.data.fingerprint import fingerprint
from byhand.data.idx import digest, read_idx, write_idx
from byhand.data.loader import Loader, Normalize
from byhand.data.published import FASHION_MNIST, KNOWN, MINI, MNIST, Published, Wheel
from byhand.data.search import DataUnavailable
from byhand.data.sources import UnknownData, fetch, info, load, load_or_mini

if TYPE_CHECKING:
    from byhand.data.formats.saving import FORMS, save

__all__ = [
    "FASHION_MNIST", "FORMS", "KNOWN", "MINI", "MNIST", "Affine", "DataUnavailable", "Dataset", "Loader", "Normalize",
    "Published", "Splits", "UnknownData", "Wheel", "digest", "fetch", "fingerprint", "info", "load", "load_or_mini",
    "read_idx", "save", "split", "warp", "write_idx",
]


def __getattr__(name: str) -> Any:
    if name in ("FORMS", "save"):  # imported when they are first touched, as all that writes files of one's own
        from byhand.data.formats import saving

        return getattr(saving, name)
    raise AttributeError(f"module 'byhand.data' has no attribute '{name}'")
