"""Which kind of model file is this? And how well does it do?"""

from pathlib import Path
from typing import Any

import numpy as np

from byhand.data import Splits
from byhand.evaluate import wilson_interval
from byhand.files.model import load
from byhand.files.scalar_json import read_scalar_json
from byhand.inference import count_correct
from byhand.scalar import predict as predict_scalar


def evaluate_file(path: Path, data: Splits) -> tuple[dict[str, Any], str]:
    """The accuracy on the test set of `data` of a model file, or of the JSON weights of a scalar network: as facts and as a
    sentence.

    A published scalar network may look at fewer pixels than a picture has: then at the first ones, row by row.
    Raises FileNotFoundError if there is no such file, ValueError if it is not a model or does not fit the data.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}.")
    test = data.test
    with path.open("rb") as file:
        text = file.read(64).lstrip()[:1] in (b"[", b"{")
    note = ""
    if text:
        net = read_scalar_json(path)
        inputs, *_, classes = net.sizes
        pixels = (test.inputs.reshape(len(test), -1) / 255)[:, :inputs]
        if inputs < test.inputs[0].size:
            note = f" It looks at the first {inputs} of {test.inputs[0].size} pixels."
        outputs = np.eye(classes)[predict_scalar(net, pixels.tolist())]
        kind = "scalar network"
    else:
        saved = load(path)
        if saved.input_shape and saved.input_shape != test.inputs.shape[1:]:
            raise ValueError(f"{path} reads inputs of shape {saved.input_shape}, and those of {data.name} have shape "
                             f"{test.inputs.shape[1:]}.")
        if saved.classes and saved.classes != test.classes:
            test = test[np.isin(test.targets, [i for i, name in enumerate(test.classes) if name in saved.classes])]
        outputs = saved.predict(test.inputs)
        kind = saved.recipe or "model"
    correct = int(count_correct(outputs, test.targets))
    low, high = wilson_interval(correct, len(test))
    facts = {"version": 1, "model": str(path), "kind": kind, "dataset": data.name, "test_samples": len(test),
             "correct": correct, "test_accuracy": correct / len(test), "test_interval": [low, high]}
    return facts, (f"{path} ({kind}) reads {100 * correct / len(test):.2f} % of the {len(test):,} test images of "
                   f"{data.name} right (95 % interval {100 * low:.2f} to {100 * high:.2f} %).{note}")
