"""Pictures: read from files of every kind, shown as pixels, and prepared for a network that learned from MNIST."""

from byhand.pictures.digits import Digit, find_many, is_mnist, prepare
from byhand.pictures.pixels import as_pixels, is_pictures
from byhand.pictures.reading import SUFFIXES, pictures_in, read_picture

__all__ = ["SUFFIXES", "Digit", "as_pixels", "find_many", "is_mnist", "is_pictures", "pictures_in", "prepare",
           "read_picture"]
