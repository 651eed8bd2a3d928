"""Pictures: read from files of every kind."""

from byhand.pictures.reading import SUFFIXES, pictures_in, read_picture

__all__ = ["SUFFIXES", "pictures_in", "read_picture"]
