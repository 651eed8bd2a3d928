"""The scalar network's weights as a text that anybody can read: JSON, in the layout of the published scalar tutorial.

    [{"label": "hidden", "ncount": 10, "wcount": 784,
      "neurons": [{"data": [0.1, -0.2, ...], "bias": 0.3, "wcount": 784}, ...]},
     {"label": "output", "ncount": 10, "wcount": 10, "neurons": [...]}]

A list of layers. `ncount` says how many neurons a layer has, `wcount` how many weights each neuron has. So the file
says everything twice, and the reader checks that it says the same. The activation is not in it: it means relu after
each layer. Python writes a float so that it reads back to the last bit: a network comes back exactly as it was.
"""

import json
import os
from pathlib import Path
from random import Random
from typing import Any

from byhand.atomic import write_atomically
from byhand.files.plain_json import is_number, read_json
from byhand.scalar import Net, Scalar, relu


def write_scalar_json(net: Net, path: str | os.PathLike[str]) -> None:
    """Write the weights of `net` to `path`, whole or not at all.

    Raises ValueError for a network with another activation than relu, which the layout has no place for, or with a
    weight that is infinite or not a number, and OSError if the file cannot be written.
    """
    if any(layer.activation is not relu for layer in net.layers):
        raise ValueError("the JSON layout of scalar networks means relu after each layer and has no place for another "
                         "activation; only a Net with relu throughout can be written.")
    layers = []
    for layer in net.layers:
        neurons = [{"data": [w.data for w in neuron.weights], "bias": neuron.bias.data, "wcount": len(neuron.weights)}
                   for neuron in layer.neurons]
        label = "output" if layer is net.layers[-1] else "hidden"
        layers.append({"label": label, "ncount": len(neurons), "wcount": neurons[0]["wcount"], "neurons": neurons})
    if not all(is_number(parameter.data) for parameter in net.parameters()):
        raise ValueError("the network has a weight that is infinite or not a number, which JSON cannot hold.")
    write_atomically(path, json.dumps(layers).encode())


def read_scalar_json(path: str | os.PathLike[str]) -> Net:
    """The network in a file of this layout, with relu after each layer.

    It takes as many inputs as its first layer has weights, `net.sizes[0]`: 784 for whole images of digits, but 728 for
    the weights that the tutorial published, which read the first 728 pixels only. Cutting the image is left to the
    caller, who says so with `byhand.scalar.pixels(image, 728)`.

    Raises ValueError, in a sentence that names the file and the place, for anything but a whole network of this
    layout; FileNotFoundError if there is no file.
    """
    path = Path(path)
    try:
        layers = read_json(path)
        check_layers(layers)
    except ValueError as error:
        raise ValueError(f"{path} is not a scalar network: {error}") from None
    net = Net([layers[0]["wcount"], *[layer["ncount"] for layer in layers]], Random(0))
    for layer, saved in zip(net.layers, layers, strict=True):
        for neuron, values in zip(layer.neurons, saved["neurons"], strict=True):
            neuron.weights = [Scalar(weight) for weight in values["data"]]
            neuron.bias = Scalar(values["bias"])
    return net


def check_layers(layers: Any) -> None:
    """Every list, count and number of a file; nothing is made of it before all of it is known to be right."""
    if not isinstance(layers, list) or not layers:
        raise ValueError("it must be a list of at least one layer.")
    inputs = None
    for i, layer in enumerate(layers):
        name = f"layer {i}"
        check_keys(name, layer, {"label", "ncount", "wcount", "neurons"})
        if not isinstance(layer["label"], str):
            raise ValueError(f"{name} needs a text under 'label', got {shown(layer['label'])}.")
        neurons = layer["neurons"]
        check_count(name, "ncount", layer["ncount"], "neurons", neurons)
        for j, neuron in enumerate(neurons):
            check_keys(f"{name}, neuron {j}", neuron, {"data", "bias", "wcount"})
            check_count(f"{name}, neuron {j}", "wcount", neuron["wcount"], "data", neuron["data"])
            if type(layer["wcount"]) is not int or neuron["wcount"] != layer["wcount"]:
                raise ValueError(f"{name} says wcount {shown(layer['wcount'])}, and its neuron {j} has "
                                 f"{neuron['wcount']} weights.")
            if not all(is_number(value) for value in (*neuron["data"], neuron["bias"])):
                raise ValueError(f"{name}, neuron {j} has a weight or bias that is not a finite number.")
        if inputs not in (None, layer["wcount"]):
            raise ValueError(f"{name} has {layer['wcount']} weights a neuron, and the layer before it has {inputs} "
                             "neurons.")
        inputs = layer["ncount"]


def check_keys(name: str, value: Any, keys: set[str]) -> None:
    """An object with exactly these keys."""
    if not isinstance(value, dict) or value.keys() != keys:
        got = f"has the keys {shown(', '.join(value))}" if isinstance(value, dict) else f"is {shown(value)}"
        raise ValueError(f"{name} must be an object with the keys {', '.join(sorted(keys))}; it {got}.")


def check_count(name: str, key: str, count: Any, list_key: str, values: Any) -> None:
    """A list that is not empty, and a whole number that is its length."""
    if not isinstance(values, list) or not values:
        raise ValueError(f"{name} needs a list of at least one value under '{list_key}'.")
    if type(count) is not int or count != len(values):
        raise ValueError(f"{name} says {key} {shown(count)}, and '{list_key}' holds {len(values)}.")


def shown(value: Any) -> str:
    """A value from the file for a message, which must not become as long as the file."""
    text = repr(value) if isinstance(value, int | float | str | None) else type(value).__name__
    return text if len(text) <= 40 else f"{text[:40]}..."
