"""Models, and runs that are not yet at their end, in and out of files. Nothing that is read here can run code."""

from byhand.files import c
from byhand.files.checkpoint import DamagedCheckpoint, latest_checkpoint, load_checkpoint, save_checkpoint
from byhand.files.model import ModelFileError, SavedModel, load, save

__all__ = ["DamagedCheckpoint", "ModelFileError", "SavedModel", "c", "latest_checkpoint", "load", "load_checkpoint",
           "save", "save_checkpoint"]
