"""Pictures: read from files of every kind, and as pixels to be shown."""

from byhand.pictures.pixels import as_pixels, is_pictures
from byhand.pictures.reading import SUFFIXES, pictures_in, read_picture

__all__ = ["SUFFIXES", "as_pixels", "is_pictures", "pictures_in", "read_picture"]
