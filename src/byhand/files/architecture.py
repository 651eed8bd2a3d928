"""A network's plan as plain JSON: layer names from a closed list, and numbers. Nothing in it can name code.

    {"type": "Sequential", "layers": [{"type": "Flatten"}, {"type": "Linear", "in_features": 784, ...}, ...]}

Reading one builds layers without memory for their weights (see `init.unallocated`), so a plan that claims a trillion
weights costs nothing before its claims have been held against what the file really contains.
"""

import inspect
import math
from typing import Any

import numpy as np

from byhand import nn

LAYERS: dict[str, type[nn.Module]] = {
    layer.__name__: layer for layer in (
        nn.AvgPool2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.Conv2d, nn.Dropout, nn.ELU, nn.Flatten, nn.GELU,
        nn.GlobalAvgPool2d, nn.LayerNorm, nn.LeakyReLU, nn.Linear, nn.LogSoftmax, nn.MaxPool2d, nn.ReLU, nn.SiLU,
        nn.Sigmoid, nn.Softmax, nn.Softplus, nn.Tanh)
}
MOST_LAYERS = 10_000
DEEPEST = 16


def describe(module: nn.Module) -> dict[str, Any]:
    """The plan of a network. Raises ValueError for a layer that is not on the list."""
    if isinstance(module, nn.Sequential):
        return {"type": "Sequential", "layers": [describe(layer) for layer in module.layers]}
    if isinstance(module, nn.Residual):
        return {"type": "Residual", "body": [describe(layer) for layer in module.body.layers],
                "shortcut": None if module.shortcut is None else describe(module.shortcut)}
    if LAYERS.get(type(module).__name__) is not type(module):
        raise ValueError(f"a model file holds byhand's own layers, and {type(module).__name__} is not one of them; save its "
                         "state_dict() instead, and build the network in code.")
    return {"type": type(module).__name__, **module.config()}


def build(plan: Any, largest: int) -> nn.Module:
    """The network that a plan describes, its weights not yet in memory.

    largest: the largest number that may stand for a size; nothing larger fits in the file. Raises ValueError, with what is
    wrong, for anything that `describe` would not write.
    """
    budget = [MOST_LAYERS]
    return build_part(plan, max(largest, 4096), budget, DEEPEST)


def build_part(plan: Any, largest: int, budget: list[int], depth: int) -> nn.Module:
    """`build`, for a part at some depth; `budget` counts the layers that may still come."""
    budget[0] -= 1
    if depth < 0 or budget[0] < 0:
        raise ValueError(f"it has more than {MOST_LAYERS} layers, or more than {DEEPEST} levels of them")
    if not isinstance(plan, dict) or not isinstance(plan.get("type"), str):
        raise ValueError("a layer is not written as an object with a 'type'")
    options = {name: value for name, value in plan.items() if name != "type"}
    parts = lambda layers: [build_part(layer, largest, budget, depth - 1) for layer in expect_list(layers)]
    if plan["type"] == "Sequential" and options.keys() == {"layers"}:
        return nn.Sequential(*parts(options["layers"]))
    if plan["type"] == "Residual" and options.keys() == {"body", "shortcut"}:
        around = options["shortcut"]
        return nn.Residual(*parts(options["body"]), shortcut=None if around is None else parts([around])[0])
    layer = LAYERS.get(plan["type"])
    if layer is None:
        raise ValueError(f"it has no layer called '{plan['type'][:40]}'")
    arguments = inspect.signature(layer).parameters
    allowed = arguments.keys() - {"rng", "weight_init", "bias_init", "dtype"}
    if not options.keys() <= allowed:
        raise ValueError(f"{plan['type']} has no option {', '.join(sorted(options.keys() - allowed))[:80]}")
    values = {name: checked(name, value, largest) for name, value in options.items()}
    if "rng" in arguments:
        values |= {"rng": np.random.default_rng(0), "weight_init": nn.init.unallocated, "bias_init": nn.init.unallocated}
    try:
        return layer(**values)
    except TypeError as error:
        raise ValueError(f"{plan['type']} is written wrongly ({error})") from None


def expect_list(layers: Any) -> list[Any]:
    """A list, or a sentence."""
    if not isinstance(layers, list):
        raise ValueError("its layers are not written as a list")
    return layers


def checked(name: str, value: Any, largest: int) -> Any:
    """A number, a truth value, or a short list of whole numbers (as a tuple), none of them absurd."""
    numbers = value if isinstance(value, list) and len(value) <= 8 else [value]
    for n in numbers:
        if not isinstance(n, int | float) or (isinstance(value, list) and type(n) is not int):
            raise ValueError(f"'{name}' is not a number")
        if not math.isfinite(n) or abs(n) > largest:
            raise ValueError(f"'{name}' is {n}, which does not fit into this file")
    if isinstance(value, list) and abs(math.prod(value)) > largest:
        raise ValueError(f"'{name}' is {value}, which does not fit into this file")
    return tuple(value) if isinstance(value, list) else value
