"""A model in one file: its weights under PyTorch's names, and beside them all it takes to use them.

The format is safetensors: a header that says what lies where, and then the numbers. It cannot hold code. In the
header's metadata stand the network's plan, how inputs are normalized, the names of the classes, and what was measured.
So a saved model needs nothing else, and PyTorch can read the same weights.
"""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from byhand import nn
from byhand.atomic import write_atomically
from byhand.data import Normalize
from byhand.inference import Answers
from byhand.files.architecture import build, describe
from byhand.files.first_bytes import kind_of
from byhand.files.plain_json import as_json, from_json
from byhand.files.shapes import Shape, shape_after
from byhand.files.tensors import ModelFileError, file_of, read_tensors
from byhand.terminal import short

Array = np.ndarray[Any, Any]
VERSION = 1
LARGEST_INPUT = 4096 * 4096  # numbers in one sample
MOST_DIMENSIONS = 8  # of one sample


@dataclass(frozen=True)
class SavedModel:
    """What a model file holds."""

    model: nn.Module
    input_shape: tuple[int, ...] = ()
    """Of one sample: (1, 28, 28)."""
    normalize: Normalize | None = None
    classes: tuple[str, ...] = ()
    recipe: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Measured figures, such as test_accuracy."""
    normalize_known: bool = True
    """Whether `normalize` is as in training: False for another program's file, which does not say."""
    _answers: Answers = field(default_factory=Answers, repr=False, compare=False)

    def __repr__(self) -> str:
        told = [self.recipe, f"reads {self.input_shape}" if self.input_shape else "",
                f"{len(self.classes)} classes" if self.classes else "",
                *[f"{name} {value:.4g}" for name, value in self.metrics.items() if isinstance(value, float)]]
        return f"<SavedModel: {', '.join(part for part in told if part) or repr(self.model)}>"

    def __str__(self) -> str:
        return f"{self!r}\n\n{self.model.summary(self.input_shape)}" if self.input_shape else repr(self)

    def _repr_html_(self) -> str:
        """In a notebook: what it is, and its layers."""
        from byhand import charts

        if not self.input_shape:
            return charts.html(charts.tag("p", repr(self).strip("<>"))) + self.model._repr_html_()
        rows = [(row.name or "–", repr(row.layer), " × ".join(map(str, row.output)), f"{row.parameters:,}")
                for row in self.model.layer_rows(self.input_shape)]
        return charts.html(charts.tag("div", charts.tag("p", repr(self).strip("<>")), charts.table(
            ("", "layer", "output", "parameters"), rows), charts.tag("p", self.model.totals())))

    def predict(self, inputs: Array) -> Array:
        """The network's outputs (logits) for raw inputs (N, ...), normalized as in training.

        Raises ValueError if the inputs do not fit, and where the network does not answer with a number for each class.
        """
        outputs = self._answers(self.model, inputs, self.normalize)
        check_answers(self.classes, outputs.shape[1:])
        if np.isnan(outputs).any():
            raise ValueError("the model answers with NaN, not with numbers: it was saved after training had failed.")
        return outputs


def save(model: nn.Module, path: str | os.PathLike[str], *, input_shape: tuple[int, ...] = (),
         normalize: Normalize | None = None, classes: Sequence[str] = (), recipe: str = "",
         metrics: Mapping[str, Any] | None = None) -> None:
    """Write a model file, whole or not at all.

    What is to be written is read first, by the rules of `load`, so no file is written that could not be read again.
    Raises ValueError if it could not, such as for a layer of your own or one that stands in the network twice; OSError
    if the file cannot be written.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"{type(model).__name__} is no network, which bh.save takes; an estimator has its network in "
                         "model_, and what bh.load gives in model.")
    saved = SavedModel(model, input_shape, normalize, classes, recipe, {} if metrics is None else metrics)  # type: ignore[arg-type]
    metadata = metadata_of(saved)
    tensors = {name: np.asarray(array, order="C") for name, array in model.state_dict().items()}
    content = file_of(tensors, metadata)
    check_readable(path, lambda: read(facts_of(metadata), tensors, len(content)))
    write_atomically(path, content)


def check_answers(classes: Sequence[str], shape: Shape) -> None:
    """Raises ValueError for an answer of this shape that is no number for each class, nor one whose sign tells two."""
    if classes and shape != (len(classes),) and not (len(classes) == 2 and shape in ((), (1,))):
        raise ValueError(f"the model names {len(classes)} classes, and its network answers with an array of shape "
                         f"{shape} instead of a number for each.")


def must_be_saved(saved: Any) -> None:
    """Raises ValueError for what is no SavedModel, such as the network alone."""
    if not isinstance(saved, SavedModel):
        raise ValueError(f"{type(saved).__name__} is no SavedModel; pass what bh.load gives, or "
                         "bh.files.SavedModel(network, input_shape=(1, 28, 28)), or whatever the shape of a sample is.")


def metadata_of(saved: SavedModel) -> dict[str, str]:
    """All that a file says of a model beside its numbers. Raises ValueError for what it cannot say."""
    if not isinstance(saved.normalize, Normalize | None):
        raise ValueError(f"normalize must be a byhand.data.Normalize or None, got {saved.normalize!r}.")
    if not isinstance(saved.recipe, str):
        raise ValueError(f"recipe must be a name, got {saved.recipe!r}.")
    return {
        "format": "byhand",
        "version": str(VERSION),
        "architecture": as_json("a layer's settings", describe(saved.model)),
        "input_shape": as_json("input_shape", saved.input_shape),
        "preprocessing": json.dumps(None if saved.normalize is None else saved.normalize.to_dict()),
        "classes": as_json("classes", saved.classes),
        "recipe": saved.recipe,
        "metrics": as_json("metrics", saved.metrics),
    }


def check_version(version: str) -> None:
    """Raises ValueError for another version of the format, as it is written in the file."""
    if version != str(VERSION):
        raise ValueError(f"it has format version {short(version[:20])}, and this byhand reads version {VERSION}; "
                         "update byhand")


def facts_of(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What the texts of `metadata_of` say."""
    written = ("architecture", "input_shape", "preprocessing", "classes", "metrics")
    return {"recipe": metadata["recipe"], **{name: from_json(metadata[name]) for name in written}}


def check_readable(path: str | os.PathLike[str], read_it: Callable[[], SavedModel]) -> None:
    """Read what is to be written to this path. Raises ValueError if that cannot be done."""
    try:
        read_it()
    except ValueError as error:
        raise ValueError(f"{path} was not written, since it could not be read again: {short(error)}.") from None


def load(path: str | os.PathLike[str]) -> SavedModel:
    """Read a model file. Nothing in it is run, imported or unpickled, and nothing is allocated on its word alone.

    Raises ModelFileError, a ValueError, with one sentence about what is wrong with the file; OSError if there is none.
    """
    path = Path(path)
    metadata, state = tensors_of(path)
    if metadata.get("format") != "byhand":
        raise ModelFileError(f"{path} holds weights but no byhand network: build the network in code, and fill it with "
                             "bh.files.load_weights(model, path).")
    try:
        check_version(metadata.get("version", "?"))
        return read(facts_of(metadata), state, path.stat().st_size)
    except (KeyError, RecursionError, ValueError) as error:
        raise ModelFileError(f"{path} does not describe a network: {short(error)}.") from None


def load_weights(model: nn.Module, path: str | os.PathLike[str], *, strict: bool = True) -> None:
    """Fill a network with the weights of a safetensors file, such as PyTorch saves of the same network.

    The names in the file are those of `model.state_dict()`, which are PyTorch's: '0.weight', '1.running_mean'. Numbers
    of another precision are converted to the network's. strict=False leaves out what only one of the two has.

    Raises ModelFileError, a ValueError, before anything is changed, if the file is none or its weights do not fit;
    ValueError for what is no network, OSError if there is no file.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"load_weights fills a network, such as saved.model of what bh.load gives, not {model!r}.")
    path = model_file(Path(path))
    _, state = tensors_of(path)
    try:
        with np.errstate(all="ignore"):  # numbers that are too large, or none
            check_numbers(model.state_dict(), state)
            model.load_state_dict(state, strict)
    except ValueError as error:
        raise ModelFileError(f"{path} cannot be loaded: {short(error)}.") from None


def check_numbers(own: Mapping[str, Array], state: Mapping[str, Array]) -> None:
    """Raises ValueError for numbers of another kind than the network's own under the same name, or beyond them."""
    for name in [name for name in own if name in state]:
        kind, array = own[name].dtype, state[name]
        if array.dtype.kind != kind.kind:
            raise ValueError(f"its {name} is {array.dtype}, where numbers such as {kind} belong")
        if np.isinf(array.astype(kind)).sum() > np.isinf(array).sum():
            raise ValueError(f"its {name} has numbers that are too large for {kind}")


def model_file(path: Path) -> Path:
    """The model of a run folder; any other path as it is."""
    return path / "model.safetensors" if path.is_dir() else path


NO_TENSORS = {
    "empty": "is empty.",
    "unknown": "is not a model file that byhand reads, which are safetensors, ONNX and JSON.",
    "onnx": "is an ONNX file; read it with bh.files.onnx.load(path).",
    "pickle": "is a pickle, which can run code when it is opened, so byhand opens none; if you trust it, open it in "
              "Python, and write what is in it in another form, such as ONNX (by skl2onnx, if it is scikit-learn's).",
    **dict.fromkeys(("list", "object"), "is JSON; read it with bh.load(path)."),
    "pytorch": "is a pickle, as torch.save writes, which can run code when it is opened; if you trust it, these two "
               "lines turn it into safetensors: state = torch.load({old!r}, weights_only=True); "
               "safetensors.torch.save_file(state, {new!r}); with state['model'] if the weights are there, or "
               "weights_only=False and state.state_dict() of a whole module.",
    "torchscript": "is a program, as torch.jit.save writes; if you trust it, these two lines turn it into safetensors: "
                   "state = torch.jit.load({old!r}).state_dict(); safetensors.torch.save_file(state, {new!r}).",
}
"""What to do with files of other kinds."""


def tensors_of(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    """The metadata and the arrays of a file. Raises ModelFileError, which says what to do with files of other kinds."""
    if sentence := NO_TENSORS.get(kind_of(path)):
        new = path.with_name(f"{path.stem}-weights.safetensors")  # whatever the old one is called
        raise ModelFileError(f"{path} {sentence.format(old=str(path), new=str(new))}")
    return read_tensors(path)


def read(facts: Mapping[str, Any], state: Mapping[str, Array], size: int) -> SavedModel:
    """What a file of this size says and holds, checked."""
    model = build(facts["architecture"], size)
    with np.errstate(all="ignore"):  # numbers that are too large, or none
        model.load_state_dict(state)
    if any(array.dtype == np.float64 for array in state.values()):
        model.to(np.float64).load_state_dict(state)  # again, now in the file's own precision
    check_numbers(model.state_dict(), state)
    names = ("input_shape", "classes", "recipe", "preprocessing", "metrics")
    shape, classes, recipe, preprocessing, metrics = (facts[name] for name in names)
    if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
        raise ValueError("its input_shape is not a list of sizes of at least 1")
    if math.prod(shape) > LARGEST_INPUT or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"its input_shape is beyond {LARGEST_INPUT:,} numbers or {MOST_DIMENSIONS} dimensions")
    if not isinstance(classes, list) or not all(isinstance(c, str) for c in classes):
        raise ValueError("its classes are not a list of names")
    if len(set(classes)) < len(classes):
        raise ValueError("two of its classes have the same name")
    if not isinstance(metrics, dict):
        raise ValueError("its metrics are not figures under names")
    if not isinstance(recipe, str) or not recipe.isprintable() or len(recipe) > 100:
        raise ValueError("its recipe is not a name")
    normalize = None if preprocessing is None else Normalize.from_dict(preprocessing)
    if shape:  # by which the rest can be judged
        check_answers(classes, shape_after(model, tuple(shape)))
        if normalize is not None:
            normalize.factors(np.empty((0, *shape)))
    return SavedModel(model, tuple(shape), normalize, tuple(classes), recipe, metrics)
