"""Which kind of model file is this? And how well does it do?"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from byhand import scalar
from byhand.data import Dataset
from byhand.metrics import wilson_interval
from byhand.files.model import SavedModel, load
from byhand.files.scalar_json import read_scalar_json
from byhand.inference import count_correct


def open_model(path: Path) -> SavedModel | scalar.Net:
    """What is in a model file, or in the JSON weights of a scalar network.

    Raises FileNotFoundError if there is no such file, ValueError if it is neither.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}.")
    with path.open("rb") as file:
        start = file.read(8)  # of a safetensors file: a length, whose highest bytes are 0
    return read_scalar_json(path) if start.lstrip()[:1] in (b"[", b"{") and b"\0" not in start else load(path)


def evaluate_on(model: SavedModel | scalar.Net, path: Path, test: Dataset) -> tuple[dict[str, Any], str]:
    """The accuracy of a model that was read from `path`, as facts and as a sentence.

    Only the samples of classes that the model knows are counted. A published scalar network may look at fewer pixels
    than a picture has: then at the first ones, row by row. Raises ValueError if the model does not fit the data.
    """
    kind, note = "scalar network", ""
    if isinstance(model, SavedModel):
        kind = model.recipe or "model"
        if model.input_shape not in ((), test.inputs.shape[1:]):
            raise ValueError(f"{path} reads inputs of shape {model.input_shape}, and those of {test.name} have shape "
                             f"{test.inputs.shape[1:]}.")
        test = of_classes(test, model.classes or test.classes, path)
        right = count_correct(model.predict(test.inputs), test.targets)
    else:
        count, size = model.sizes[0], test.inputs[0].size
        images = test.inputs.reshape(len(test), -1).tolist()
        answers = scalar.predict(model, [scalar.pixels(image, count) for image in images])
        right = float(np.count_nonzero(np.array(answers) == test.targets))
        if count < size:
            note = f" It looks at the first {count} of {size} pixels."
    if math.isnan(right):
        raise ValueError(f"{path} does not answer with one of the classes of {test.name}.")
    low, high = wilson_interval(int(right), len(test))
    facts = {"version": 1, "model": str(path), "kind": kind, "dataset": test.name, "test_samples": len(test),
             "correct": int(right), "test_accuracy": right / len(test), "test_interval": [low, high]}
    return facts, (f"{path} ({kind}) reads {100 * right / len(test):.2f} % of the {len(test):,} test images of "
                   f"{test.name} right (95 % interval {100 * low:.2f} to {100 * high:.2f} %).{note}")


def of_classes(test: Dataset, classes: tuple[str, ...], path: Path) -> Dataset:
    """The samples whose class a model knows, numbered as the model numbers them."""
    places = np.array([classes.index(name) if name in classes else -1 for name in test.classes])
    known = places[test.targets] >= 0
    if not known.any():
        raise ValueError(f"{path} knows the classes {', '.join(classes)}, and {test.name} has none of them.")
    return Dataset(test.inputs[known], places[test.targets[known]], classes, test.name)
