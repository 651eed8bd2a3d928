"""What is computed number by number: sums and products with constants, and the activations that exporters write out in
several operators, which are found again here.

One function an operator, as in `operators`.
"""

import math
from typing import Any

import numpy as np

from byhand import nn
from byhand.files.onnx.node import Node, Unknown, need
from byhand.files.onnx.steps import Part, Scaling, Step, added, merged, scaled, since

Array = np.ndarray[Any, Any]
LARGE = 15.0  # beyond it, softplus(x) is x in float32


def constant_for(node: Node, x: Step, array: Array) -> Array:
    """A constant as it meets each sample."""
    need(array.dtype.kind == "f", node, f"computes with constants of type {array.dtype}")
    if array.ndim == len(x.shape) + 1 and array.shape[0] == 1:
        return array[0]
    need(array.ndim <= len(x.shape), node, "computes with something different for each sample")
    return array


def plus(node: Node, a: Any, b: Any) -> Step:
    """A bias, or a residual connection."""
    if isinstance(a, Step) and isinstance(b, Step):
        return added(a, b, node)
    x, array = (a, b) if isinstance(a, Step) else (b, a)
    return scaled(x, 1, constant_for(node, x, array), node)


def minus(node: Node, a: Any, b: Any) -> Step:
    """x - constant, or constant - x."""
    need(not (isinstance(a, Step) and isinstance(b, Step)), node, "takes one value from another")
    return scaled(a, 1, -constant_for(node, a, b), node) if isinstance(a, Step) else \
        scaled(b, -1, constant_for(node, b, a), node)


def divided(node: Node, a: Any, b: Any) -> Step:
    """x / constant."""
    need(isinstance(a, Step) and isinstance(b, np.ndarray), node, "divides by a value")
    return scaled(a, 1 / np.asarray(constant_for(node, a, b), np.float64), 0, node)


def times(node: Node, a: Any, b: Any) -> Step:
    """x · constant; or a value times its own gate, which is how SiLU and GELU are written out."""
    if not (isinstance(a, Step) and isinstance(b, Step)):
        x, array = (a, b) if isinstance(a, Step) else (b, a)
        return scaled(x, constant_for(node, x, array), 0, node)
    for x, gate in ((a, b), (b, a)):
        if isinstance(gate.layer, nn.Sigmoid) and gate.before is x:
            return x.then(nn.SiLU())
        factor, start = factor_of(x), x.before
        for base, number in ((x, 1.0), (start, factor)):
            if base is not None and number is not None and (half := gelu_gate(gate, base)) is not None:
                return scaled(base.then(nn.GELU()), 2 * half * number, 0, node)
    raise Unknown(node, "multiplies two values")


def factor_of(x: Step) -> float | None:
    """The number that x was multiplied by to become what it is; None if it came about in another way."""
    if isinstance(x.layer, Scaling) and x.layer.scale.size == 1 and not np.any(x.layer.shift):
        return float(x.layer.scale.reshape(()))
    return None


def gelu_gate(gate: Step, x: Step) -> float | None:
    """c, if the gate is c · (1 + erf(x / √2)), which is 2 c times what GELU multiplies x by; else None."""
    way = merged(since(gate, x))
    if [type(step.layer) for step in way] != [Scaling, Part, Scaling]:
        return None
    inner, bent, outer = way
    number, scale, shift = factor_of(inner), outer.layer.scale, outer.layer.shift
    is_gate = (inner.before is x and bent.layer.node.operator == "Erf" and number is not None
               and math.isclose(number, math.sqrt(0.5), rel_tol=1e-4) and scale.size == shift.size == 1
               and np.all(scale == shift))
    return float(scale.reshape(())) if is_gate else None


def where(node: Node, condition: Any, x: Any, y: Any) -> Step:
    """Softplus as PyTorch writes it: softplus(βx) / β, or x itself where βx is large. A β of 1 may be left out."""
    need(all(isinstance(value, Step) for value in (condition, x, y)), node, "chooses between values")
    way, asked = since(y, x), condition.layer
    kinds, factors = [type(step.layer) for step in way], [factor_of(step) for step in way]
    alone = kinds == [nn.Softplus] and condition.before is x
    sharpened = kinds == [Scaling, nn.Softplus, Scaling] and condition.before is way[0] and \
        math.isclose((factors[0] or 0) * (factors[2] or 0), 1, rel_tol=1e-6)
    need((alone or sharpened) and isinstance(asked, Part) and asked.node.operator == "Greater" and
         asked.number >= LARGE, node, "chooses between values")
    return y


def part(node: Node, x: Step, *others: Any) -> Step:
    """An operator that belongs to others."""
    number = others[0] if others else np.zeros(1)
    need(number is not None and number.size == 1, node, "")
    return x.next(Part(node, float(number.reshape(()))), x.shape)
