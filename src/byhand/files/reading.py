"""Whatever kind of model file it is, a `SavedModel` comes out of it.

A run folder stands for the model in it. An ONNX file, whoever wrote it, becomes a network of our layers. The JSON
weights of a scalar network become the same network on arrays, which gives the same answers; and a network on arrays
that is like a scalar one can be turned back into it.
"""

import os
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from byhand import nn, scalar
from byhand.data import Normalize
from byhand.files import model, model_json
from byhand.files.first_bytes import kind_of
from byhand.files.folding import in_a_row
from byhand.files.model import SavedModel, model_file
from byhand.files.scalar_json import read_scalar_json
from byhand.nn.module import ShapeError
from byhand.tensor import Tensor


class FirstPixels(nn.Module):
    """The first `count` numbers of each sample, row by row: (N, ...) -> (N, count). The published scalar weights look
    at 728 of a picture's 784 pixels."""

    def __init__(self, count: int) -> None:
        self.count = count

    def config(self) -> dict[str, Any]:
        return {"count": self.count}

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(x.shape[0], -1)
        if flat.shape[1] < self.count:
            raise ShapeError(self, x.shape, f"at least {self.count} numbers a sample")
        return flat[:, :self.count]


def load(path: str | os.PathLike[str]) -> SavedModel:
    """Read a model file: safetensors, ONNX, JSON, or the JSON weights of a scalar network; or that of a run folder.
    Nothing in it is run, imported or unpickled, and nothing is allocated on its word alone.

    Raises ModelFileError, a ValueError, with one sentence about what is wrong with the file; OSError if there is none.
    """
    folder, path = Path(path), model_file(Path(path))
    if folder.is_dir() and not path.is_file():
        seed = min(folder.glob(f"*/{path.name}"), default=None)  # several seeds have a folder each
        hint = f"; there is one in {seed.parent}" if seed else ""
        raise FileNotFoundError(f"the folder {folder} is no run folder: there is no {path.name} in it{hint}.")
    match kind_of(path):
        case "onnx":
            from byhand.files import onnx  # which needs a package that not everybody has

            return onnx.load(path)
        case "list":
            return on_arrays(read_scalar_json(path))
        case "object":
            return model_json.load(path)
    return model.load(path)


def on_arrays(net: scalar.Net) -> SavedModel:
    """A scalar network with relu after each layer, as the same network on arrays, for pixels from 0 to 255."""
    whole = net.sizes[0] == 784  # pixels, which are all of a picture of the tutorial's
    layers: list[nn.Module] = [nn.Flatten() if whole else FirstPixels(net.sizes[0])]
    for inputs, layer in zip(net.sizes, net.layers, strict=False):
        linear = nn.Linear(inputs, len(layer.neurons), np.random.default_rng(0), dtype=np.float64)
        linear.load_state_dict({"weight": [[w.data for w in neuron.weights] for neuron in layer.neurons],
                                "bias": [neuron.bias.data for neuron in layer.neurons]})
        layers += [linear, nn.ReLU()]
    return SavedModel(nn.Sequential(*layers), (1, 28, 28) if whole else (), Normalize(), recipe="scalar network")


def on_numbers(saved: SavedModel) -> scalar.Net:
    """The inverse of `on_arrays`: the scalar network that answers as a network on arrays does.

    Raises ValueError where there is none: its file has place for linear layers with relu after each, on pixels from 0
    to 1, and for nothing else.
    """
    layers = [layer for layer in in_a_row(saved.model) if not isinstance(layer, FirstPixels | nn.Flatten | nn.Dropout)]
    linear = [layer for layer in layers[::2] if isinstance(layer, nn.Linear)]
    bends = [layer for layer in layers[1::2] if isinstance(layer, nn.ReLU)]
    if not linear or len(linear) != len(bends) or len(linear) + len(bends) < len(layers):
        raise ValueError("the layout of scalar networks holds linear layers with relu after each, the last one too, "
                         "and nothing else; byhand's own JSON holds every network.")
    if saved.normalize != Normalize():
        raise ValueError("the layout of scalar networks means pixels divided by 255, and this model normalizes them in "
                         "another way; byhand's own JSON holds every network.")
    return scalar_of(linear)


def scalar_of(layers: list[nn.Linear]) -> scalar.Net:
    """The scalar network with the numbers of these layers, and relu after each."""
    net = scalar.Net([layers[0].in_features, *[layer.out_features for layer in layers]], Random(0))
    for linear, layer in zip(layers, net.layers, strict=True):
        biases = np.zeros(linear.out_features) if linear.bias is None else linear.bias.data
        for neuron, weights, bias in zip(layer.neurons, linear.weight.data.tolist(), biases.tolist(), strict=True):
            neuron.weights, neuron.bias = [scalar.Scalar(w) for w in weights], scalar.Scalar(bias)
    return net
