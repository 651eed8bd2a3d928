"""The network for the data at hand.

A user of scikit-learn says how many hidden units a network has, and nothing of its first and last layers: the data
says how wide these are. Whoever wants another network gives one, or a function that builds one when the shapes are
known.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from byhand import nn
from byhand.nn import init

ACTIVATIONS: dict[str, Callable[[], nn.Module] | None] = {
    "identity": None, "logistic": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU,  # those of MLPClassifier
    "elu": nn.ELU, "gelu": nn.GELU, "leaky_relu": nn.LeakyReLU, "silu": nn.SiLU, "softplus": nn.Softplus,
}


def dense(hidden: Sequence[int], activations: Sequence[str], inputs: tuple[int, ...], outputs: int, dropout: float,
          batch_norm: bool, rng: np.random.Generator, dtype: Any) -> nn.Sequential:
    """Linear layers, each hidden one with its activation; pictures are made flat first.

    hidden: the width of each hidden layer. inputs: the shape of a sample.
    """
    layers: list[nn.Module] = [nn.Flatten()] if len(inputs) > 1 else []
    width = int(np.prod(inputs))
    name = "identity"
    for units, name in zip(hidden, activations, strict=True):
        layers.append(nn.Linear(width, units, rng, weight_init=first_weights(name), dtype=dtype))
        if batch_norm:
            layers.append(nn.BatchNorm1d(units, dtype=dtype))
        activation = ACTIVATIONS[name]
        layers += [activation()] if activation else []
        layers += [nn.Dropout(dropout)] if dropout else []
        width = units
    layers.append(nn.Linear(width, outputs, rng, weight_init=first_weights(name), dtype=dtype))
    return nn.Sequential(*layers)


def first_weights(activation: str) -> Callable[[tuple[int, ...], np.random.Generator], Any]:
    """Glorot's uniform weights, of a third of their variance around "logistic", as MLPClassifier has them: a user's
    learning rates and numbers of epochs are chosen for these."""
    size = math.sqrt(1 / 3) if activation == "logistic" else 1.0
    return lambda shape, rng: size * init.glorot_uniform(shape, rng)


def widths(hidden_layer_sizes: Any) -> list[int]:
    """The widths of the hidden layers; a single number is a single layer. Raises ValueError for what is none."""
    single = not np.iterable(hidden_layer_sizes)
    sizes = [hidden_layer_sizes] if single else list(hidden_layer_sizes)
    if not all(is_count(size) for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, whole numbers such as (128, 64), got {sizes}.")
    return [int(size) for size in sizes]


def picture(image_shape: Any) -> tuple[int, ...]:
    """The shape of a picture. Raises ValueError for what is none."""
    shape = tuple(image_shape)
    if len(shape) not in (2, 3) or not all(is_count(size) for size in shape):
        raise ValueError(f"image_shape is (H, W) or (C, H, W), whole numbers such as (28, 28), got {image_shape}.")
    return shape


def is_count(value: Any) -> bool:
    """Whether this is a whole number of at least 1."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value > 0)


def one_for_each(activation: str | Sequence[str], hidden: int) -> list[str]:
    """The activation of each hidden layer. Raises ValueError for one that there is not, or another number of them."""
    names = [activation] * hidden if isinstance(activation, str) else list(activation)
    for name in names:
        if name not in ACTIVATIONS:
            raise ValueError(f"activation {name!r} is none of {', '.join(ACTIVATIONS)}.")
    if len(names) != hidden:
        raise ValueError(f"activation has {len(names)} names for {hidden} hidden layers; give one for each, or a "
                         "single one for all.")
    return names


def given(model: Any, inputs: tuple[int, ...], outputs: int, rng: np.random.Generator, dtype: Any) -> nn.Module:
    """A copy of somebody's model, or what somebody's function (inputs, outputs, rng) makes of the shapes. Raises
    ValueError for what cannot learn."""
    try:
        made = copy.deepcopy(model) if isinstance(model, nn.Module) else model(inputs, outputs, rng)
    except Exception as error:
        error.add_note(f"model was given input_shape={inputs}; of rows that are pictures, give image_shape=(28, 28).")
        raise
    if not isinstance(made, nn.Module):
        raise ValueError(f"model is a function that returned {made!r}; it must return a network, such as "
                         "bh.nn.Sequential(...).")
    if not made.parameters():
        raise ValueError("the model has no parameters that could learn; give one with layers such as bh.nn.Linear.")
    return made.to(dtype)


def check_answers(model: nn.Module, inputs: tuple[int, ...], allowed: tuple[int, ...], why: str) -> int:
    """How many numbers the model answers a sample with. Raises ValueError if that is not one of the `allowed`."""
    shape = model.output_shape(inputs)
    if len(shape) != 1 or shape[0] not in allowed:
        raise ValueError(f"the model answers a sample of shape {inputs} with an array of shape {shape}, and needs "
                         f"{' or '.join(f'({n},)' for n in allowed)} for {why}.")
    return int(shape[0])


def learned_layers(model: nn.Module) -> list[Any]:
    """The linear layers and convolutions, in order."""
    return [layer for _, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
