"""Models in and out of files. Nothing that is read here can run code."""

from byhand.files.model import ModelFileError, SavedModel, load, save

__all__ = ["ModelFileError", "SavedModel", "load", "save"]
