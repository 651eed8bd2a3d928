"""A graph of operators, followed from its input on, as steps of which each is a layer.

Every value in the graph is a `Step`: the step before it, and the layer that leads from there to here. So a value knows
the whole way that led to it. Where two ways meet again in an Add, what they have in common lies before a residual
connection, and where they differ are its two branches.

Some operators are only a part of what is a layer here: of a bias that is added, of a GELU that is written out. They are
steps for a while, as a `Scaling` or a `Part`, until what they belong to is known. No step has memory for weights, only
views of the file, until `modules` makes the network.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from byhand import nn
from byhand.files.architecture import DEEPEST, MOST_LAYERS, UNALLOCATED
from byhand.files.model import LARGEST_INPUT, MOST_DIMENSIONS
from byhand.files.onnx.node import Node
from byhand.files.shapes import Shape, shape_after

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Scaling:
    """x · scale + shift, by numbers that go together with the shape of a sample."""

    scale: Array
    shift: Array
    node: Node


@dataclass(frozen=True)
class Part:
    """An operator that is no layer of its own."""

    node: Node
    number: float = 0.0


@dataclass(frozen=True)
class Branches:
    """What two ways do that part and are added up again."""

    body: Sequence["Step"]
    shortcut: Sequence["Step"]


@dataclass(frozen=True, eq=False)
class Step:
    """A value, by the way that leads to it."""

    before: "Step | None"
    layer: Any
    """A layer without memory, a Scaling, a Part, or Branches; None for the input."""
    shape: Shape
    """Of a sample."""
    arrays: Mapping[str, Array] = field(default_factory=dict)
    """The layer's numbers, by their names in it."""
    depth: int = 0
    """How many steps are before it."""
    layers: int = 0
    """How many layers it is made of."""
    levels: int = 0
    """How many Branches lie within each other in it."""

    def then(self, layer: nn.Module, **arrays: Array) -> "Step":
        """The next step, by a layer. Raises ValueError if the layer cannot read what is here."""
        shape = shape_after(layer, self.shape)
        check_size(shape)
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):  # what has a window pads its pictures
            check_size((self.shape[0], *(n + 2 * p for n, p in zip(self.shape[1:], layer.window.padding, strict=True))))
        return self.next(layer, shape, arrays)

    def next(self, layer: Any, shape: Shape, arrays: Mapping[str, Array] | None = None, layers: int = 1,
             levels: int = 0) -> "Step":
        """The next step, by anything."""
        if self.depth >= MOST_LAYERS or layers > MOST_LAYERS or levels > DEEPEST - 2:
            raise ValueError(f"it has more than {MOST_LAYERS} layers, or more than {DEEPEST} levels of them")
        return Step(self, layer, shape, arrays or {}, self.depth + 1, layers, levels)


def check_size(shape: Shape) -> None:
    """Refuse samples of a size that only a mistake or a prank can have."""
    if math.prod(shape) > LARGEST_INPUT or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"a sample of shape {shape} is beyond {LARGEST_INPUT:,} numbers or {MOST_DIMENSIONS} "
                         "dimensions")


def since(here: Step, then: Step) -> list[Step]:
    """The steps that lead from `then` to `here`."""
    way: list[Step] = []
    step: Step | None = here
    while step is not None and step is not then:
        way.append(step)
        step = step.before
    return way[::-1]


def meeting(a: Step, b: Step) -> Step:
    """The last step that is on the way to both."""
    while a is not b:
        if a.depth < b.depth:
            a, b = b, a
        assert a.before is not None, "all ways begin at the input"
        a = a.before
    return a


def scaled(step: Step, scale: Any, shift: Any, node: Node) -> Step:
    """step · scale + shift."""
    scale, shift = np.asarray(scale, np.float64), np.asarray(shift, np.float64)
    if np.broadcast_shapes(step.shape, scale.shape, shift.shape) != step.shape:
        raise ValueError(f"{node} has constants of shape {(scale * shift).shape} and samples of shape {step.shape}, "
                         "which do not go together")
    return step.next(Scaling(scale, shift, node), step.shape)


def added(a: Step, b: Step, node: Node) -> Step:
    """Two ways that meet: a residual connection."""
    if a.shape != b.shape:
        raise ValueError(f"{node} adds samples of shape {a.shape} and {b.shape}, and a residual connection needs one "
                         "shape")
    start = meeting(a, b)
    longer, shorter = sorted((since(a, start), since(b, start)), key=len, reverse=True)
    parts = [*longer, *shorter]
    return start.next(Branches(longer, shorter), a.shape, layers=1 + sum(part.layers for part in parts),
                      levels=1 + max((part.levels for part in parts), default=0))


def merged(steps: Sequence[Step]) -> list[Step]:
    """The steps, with what is scaled twice scaled once, and nothing scaled by 1."""
    result: list[Step] = []
    for step in steps:
        last = result[-1].layer if result else None
        if isinstance(step.layer, Scaling) and isinstance(last, Scaling):
            now = step.layer
            step = replace(step, layer=Scaling(last.scale * now.scale, last.shift * now.scale + now.shift, now.node))
            result.pop()
        result.append(step)
    return [step for step in result if not (isinstance(step.layer, Scaling) and np.all(step.layer.scale == 1)
                                            and not np.any(step.layer.shift))]


def by_channel(array: Array, shape: Shape, axis: int) -> Array | None:
    """A number for each channel, where numbers that go together with samples of this shape differ along this axis
    alone; else None. (Axis 0, counted from the end, is none.)"""
    wide = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    alone = all(n == 1 for i, n in enumerate(wide.shape) if i - len(shape) != axis)
    return np.broadcast_to(wide.reshape(-1), shape[axis]) if alone and axis else None


# --- from steps to layers ---------------------------------------------------------------------------------------------

CHANNEL = {nn.Linear: -1, nn.Conv2d: -3}
"""The layers that can take a scaling along, and the axis of their channels."""
NORMS = {1: (nn.BatchNorm1d, -1), 3: (nn.BatchNorm2d, -3)}
"""The batch norm of samples of so many dimensions, and the axis of its channels."""


@dataclass
class Maker:
    """Makes layers of steps, in memory that is counted."""

    bytes_left: int
    dtype: Any
    used: set[int] = field(default_factory=set)

    def modules(self, steps: Sequence[Step]) -> list[nn.Module]:
        """The layers of these steps. Raises ValueError for steps that are no layers, or stand in the network twice."""
        layers: list[nn.Module] = []
        steps = merged(steps)
        for i, step in enumerate(steps):
            if isinstance(step.layer, Scaling):
                last = steps[i - 1] if i and type(steps[i - 1].layer) in CHANNEL else None
                if last is not None and (taken := self.with_scaling(last, step.layer)) is not None:
                    layers[-1] = taken
                else:
                    layers.append(self.norm_of(step))
            elif isinstance(step.layer, Branches):
                around = self.modules(step.layer.shortcut)
                shortcut = nn.Sequential(*around) if len(around) > 1 else around[0] if around else None
                layers.append(nn.Residual(*self.modules(step.layer.body), shortcut=shortcut))
            elif isinstance(step.layer, Part):
                raise ValueError(f"byhand has no layer for {step.layer.node}")
            else:
                layers.append(self.filled(step))
        return layers

    def filled(self, step: Step) -> nn.Module:
        """A step's layer, with its numbers."""
        if step.arrays and id(step) in self.used:
            raise ValueError("weights are used in two places, which a network of byhand's layers cannot say")
        self.used.add(id(step))
        return self.with_arrays(step.layer, step.arrays)

    def with_arrays(self, layer: Any, arrays: Mapping[str, Array]) -> Any:
        """A layer with these numbers in it."""
        self.claim(sum(array.size for array in arrays.values()))
        if arrays:
            layer.load_state_dict(arrays, strict=False)  # a file does not say how many batches a norm has seen
            if self.dtype == np.float64:
                layer.to(np.float64).load_state_dict(arrays, strict=False)  # again, now in the file's own precision
        return layer

    def claim(self, numbers: int) -> None:
        """Count memory. Raises ValueError if it is more than the file can be worth."""
        self.bytes_left -= numbers * np.dtype(self.dtype).itemsize
        if self.bytes_left < 0:
            raise ValueError("it claims more weights than the file holds")

    def with_scaling(self, step: Step, scaling: Scaling) -> Any:
        """The layer of a step that scales its results too: what is added goes into its bias, what is multiplied into
        its weights. None if it does not work channel by channel."""
        axis = CHANNEL[type(step.layer)]
        scale, shift = (by_channel(array, step.shape, axis) for array in (scaling.scale, scaling.shift))
        if scale is None or shift is None:
            return None
        weight, bias = step.arrays["weight"], step.arrays.get("bias", 0)
        if np.any(scale != 1):
            self.claim(weight.size)
            weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        layer = type(step.layer)(**step.layer.config() | UNALLOCATED | {"bias": True})
        return self.with_arrays(layer, {"weight": weight, "bias": bias * scale + shift})

    def norm_of(self, step: Step) -> nn.Module:
        """A scaling that no layer can take along is a batch norm, of mean 0 and variance 1."""
        norm, axis = NORMS.get(len(step.shape), (None, 0))
        scale, shift = (by_channel(array, step.shape, axis) for array in (step.layer.scale, step.layer.shift))
        if norm is None or scale is None or shift is None:
            constants = np.broadcast_shapes(step.layer.scale.shape, step.layer.shift.shape)
            raise ValueError(f"byhand has no layer for {step.layer.node}, with constants of shape {constants} on "
                             f"samples of shape {step.shape}")
        self.claim(4 * len(scale))
        layer = norm(len(scale))
        return self.with_arrays(layer, {"weight": scale, "bias": shift, "running_mean": np.zeros(len(scale)),
                                        "running_var": np.full(len(scale), 1 - layer.eps)})
