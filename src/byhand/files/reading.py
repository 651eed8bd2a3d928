"""Whatever kind of model file it is, a `SavedModel` comes out of it.

A run folder stands for the model in it. An ONNX file, whoever wrote it, becomes a network of our layers. The JSON
weights of a scalar network become the same network on arrays, which gives the same answers.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from byhand import nn, scalar
from byhand.data import Normalize
from byhand.files.first_bytes import is_onnx
from byhand.files.model import SavedModel, load
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


def model_file(path: Path) -> Path:
    """The model of a run folder; any other path as it is."""
    return path / "model.safetensors" if path.is_dir() else path


def open_model(path: Path) -> SavedModel:
    """What is in a model file, in a run folder, in an ONNX file, or in the JSON weights of a scalar network.

    Raises FileNotFoundError if there is no such file, ValueError if it is none of these.
    """
    folder, path = path, model_file(path)
    if folder.is_dir() and not path.is_file():
        seed = min(folder.glob(f"*/{path.name}"), default=None)  # several seeds have a folder each
        hint = f"; there is one in {seed.parent}" if seed else ""
        raise FileNotFoundError(f"the folder {folder} is no run folder: there is no {path.name} in it{hint}.")
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}.")
    if is_onnx(path):
        from byhand.files import onnx  # which needs a package that not everybody has

        return with_logits(onnx.load(path))
    with path.open("rb") as file:
        start = file.read(8)  # of a safetensors file: a length, whose highest bytes are 0
    is_json = start.lstrip()[:1] in (b"[", b"{") and b"\0" not in start
    return on_arrays(read_scalar_json(path)) if is_json else load(path)


def with_logits(saved: SavedModel) -> SavedModel:
    """The same model without the last Softmax, or the Sigmoid of a single answer, with which other programs end their
    networks. All that judges a network here takes logits, and makes probabilities of them itself."""
    from byhand.files.onnx.shapes import shape_after  # by arithmetic: whatever the file claims, nothing is run

    network = saved.model
    if isinstance(network, nn.Sequential) and len(network) > 1:
        single = shape_after(network, saved.input_shape) == (1,)
        if isinstance(network[-1], nn.Softmax) or (single and isinstance(network[-1], nn.Sigmoid)):
            return replace(saved, model=network[:-1])
    return saved


def on_arrays(net: scalar.Net) -> SavedModel:
    """A scalar network with relu after each layer, as the same network on arrays, for pixels from 0 to 255."""
    layers: list[nn.Module] = [FirstPixels(net.sizes[0])]
    for inputs, layer in zip(net.sizes, net.layers, strict=False):
        linear = nn.Linear(inputs, len(layer.neurons), np.random.default_rng(0), dtype=np.float64)
        linear.load_state_dict({"weight": [[w.data for w in neuron.weights] for neuron in layer.neurons],
                                "bias": [neuron.bias.data for neuron in layer.neurons]})
        layers += [linear, nn.ReLU()]
    return SavedModel(nn.Sequential(*layers), normalize=Normalize(), recipe="scalar network")
