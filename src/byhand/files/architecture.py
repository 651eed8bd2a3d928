"""A network's plan as plain JSON: layer names from a closed list, and numbers. Nothing in it can name code.

    {"type": "Sequential", "layers": [{"type": "Flatten"}, {"type": "Linear", "in_features": 784, ...}, ...]}

Reading one builds layers without memory for their weights (see `init.unallocated`), and adds up what they claim to
need. A plan that claims more than the file holds is refused before anything is set aside for it.
"""

import inspect
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand import nn

LAYERS: dict[str, type[nn.Module]] = {
    layer.__name__: layer for layer in (
        nn.AvgPool2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.Conv2d, nn.Dropout, nn.ELU, nn.Flatten, nn.GELU,
        nn.GlobalAvgPool2d, nn.LayerNorm, nn.LeakyReLU, nn.Linear, nn.LogSoftmax, nn.MaxPool2d, nn.ReLU, nn.SiLU,
        nn.Sigmoid, nn.Softmax, nn.Softplus, nn.Tanh)
}
ARGUMENTS = {name: inspect.signature(layer).parameters for name, layer in LAYERS.items()}
NORMS = {"BatchNorm1d": ("num_features", 4), "BatchNorm2d": ("num_features", 4), "LayerNorm": ("normalized_shape", 2)}
"""Layers that fill their arrays when they are made: the option that tells how large these are, and how many."""
UNALLOCATED: dict[str, Any] = {"rng": np.random.default_rng(0), "weight_init": nn.init.unallocated,
                               "bias_init": nn.init.unallocated}
"""Options of a layer whose weights are not yet in memory."""
MOST_LAYERS = 2_000
DEEPEST = 16


def describe(module: nn.Module) -> dict[str, Any]:
    """The plan of a network. Raises ValueError for a layer that is not on the list, and for weights that stand in it
    twice: a plan has no place for sharing, and when it is built the two would go separate ways."""
    first: dict[int, str] = {}
    for name, array in module.named_arrays():
        if id(array) in first:
            raise ValueError(f"'{name}' and '{first[id(array)]}' are the same numbers, and a model file would part "
                             "them; save its state_dict() instead, and build the network in code.")
        first[id(array)] = name
    return plan_of(module)


def plan_of(module: nn.Module) -> dict[str, Any]:
    """`describe`, for a part."""
    if isinstance(module, nn.Sequential):
        return {"type": "Sequential", "layers": [plan_of(layer) for layer in module.layers]}
    if isinstance(module, nn.Residual):
        return {"type": "Residual", "body": [plan_of(layer) for layer in module.body.layers],
                "shortcut": None if module.shortcut is None else plan_of(module.shortcut)}
    if LAYERS.get(type(module).__name__) is not type(module):
        raise ValueError(f"a model file holds byhand's own layers, and {type(module).__name__} is none of them; save "
                         "its state_dict() instead, and build the network in code.")
    return {"type": type(module).__name__, **module.config()}


def build(plan: Any, size: int) -> nn.Module:
    """The network that a plan in a file of `size` bytes describes, its weights not yet in memory.

    Raises ValueError, with what is wrong, for anything that `describe` would not write.
    """
    return build_part(plan, Budget(MOST_LAYERS, size, max(size, 4096)), DEEPEST)


@dataclass
class Budget:
    """What a plan may still ask for."""

    layers: int
    weight_bytes: int
    largest: int
    """The largest number that may stand in it: no size of anything is larger than the file, but a stride may be."""


def build_part(plan: Any, budget: Budget, depth: int) -> nn.Module:
    """`build`, for a part with `depth` levels of parts below it."""
    budget.layers -= 1
    if depth < 0 or budget.layers < 0:
        raise ValueError(f"it has more than {MOST_LAYERS} layers, or more than {DEEPEST} levels of them")
    if not isinstance(plan, dict) or not isinstance(plan.get("type"), str):
        raise ValueError("a layer is not written as an object with a 'type'")
    options = {name: value for name, value in plan.items() if name != "type"}
    if plan["type"] == "Sequential" and options.keys() == {"layers"}:
        return nn.Sequential(*build_parts(options["layers"], budget, depth - 1))
    if plan["type"] == "Residual" and options.keys() == {"body", "shortcut"}:
        body, around = build_parts(options["body"], budget, depth - 1), options["shortcut"]
        return nn.Residual(*body, shortcut=None if around is None else build_part(around, budget, depth - 1))
    layer = LAYERS.get(plan["type"])
    if layer is None:
        raise ValueError(f"it has no layer called '{plan['type'][:40]}'")
    arguments = ARGUMENTS[plan["type"]]
    allowed = arguments.keys() - {"rng", "weight_init", "bias_init", "dtype"}
    if not options.keys() <= allowed:
        raise ValueError(f"{plan['type']} has no option {', '.join(sorted(options.keys() - allowed))[:80]}")
    values = {name: checked(name, value, budget.largest) for name, value in options.items()}
    if "rng" in arguments:
        values |= UNALLOCATED
    option, arrays = NORMS.get(plan["type"], ("", 0))
    if 4 * arrays * np.prod(values.get(option, 0), dtype=float) > budget.weight_bytes:  # before they are made
        raise ValueError("it claims more weights than the file holds")
    try:
        part = layer(**values)
    except TypeError as error:
        raise ValueError(f"{plan['type']} is written wrongly ({error})") from None
    budget.weight_bytes -= sum(np.asarray(array).nbytes for _, array in part.named_arrays())
    if budget.weight_bytes < 0:
        raise ValueError("it claims more weights than the file holds")
    return part


def build_parts(plans: Any, budget: Budget, depth: int) -> list[nn.Module]:
    """`build_part`, for a list of them."""
    if not isinstance(plans, list):
        raise ValueError("its layers are not written as a list")
    return [build_part(plan, budget, depth) for plan in plans]


def checked(name: str, value: Any, largest: int) -> Any:
    """A number, a truth value, or a short list of whole numbers (as a tuple), none of them absurd."""
    numbers = value if isinstance(value, list) and len(value) <= 8 else [value]
    for n in numbers:
        if not isinstance(n, int | float) or (isinstance(value, list) and type(n) is not int):
            raise ValueError(f"'{name}' is not a number")
    if not all(abs(n) <= largest for n in (*numbers, math.prod(numbers))):  # nor is it a NaN
        raise ValueError(f"'{name}' is {str(value)[:40]}, which does not fit into this file")
    return tuple(value) if isinstance(value, list) else value
