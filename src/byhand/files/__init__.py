"""Models, and runs that are not yet at their end, in and out of files. Nothing that is read here can run code."""

from byhand.files import c, model_json
from byhand.files.checkpoint import DamagedCheckpoint, latest_checkpoint, load_checkpoint, save_checkpoint
from byhand.files.model import ModelFileError, SavedModel, save
from byhand.files.reading import load

__all__ = ["DamagedCheckpoint", "ModelFileError", "SavedModel", "c", "latest_checkpoint", "load", "load_checkpoint",
           "model_json", "save", "save_checkpoint"]
