"""Models, and runs that are not yet at their end, in and out of files. Nothing that is read here can run code."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from byhand.files import c, model_json
from byhand.files.checkpoint import DamagedCheckpoint, latest_checkpoint, load_checkpoint, save_checkpoint
from byhand.files.model import SavedModel, load_weights, save
from byhand.files.reading import load
from byhand.files.tensors import ModelFileError

if TYPE_CHECKING:
    from byhand.files import onnx

__all__ = ["DamagedCheckpoint", "ModelFileError", "SavedModel", "c", "latest_checkpoint", "load", "load_checkpoint",
           "load_weights", "model_json", "onnx", "save", "save_checkpoint"]


def __getattr__(name: str) -> Any:
    if name == "onnx":  # which needs a package that not everybody has
        return import_module("byhand.files.onnx")
    raise AttributeError(f"module 'byhand.files' has no attribute '{name}'")
