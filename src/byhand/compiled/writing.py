"""A network written down as a table, a row for each layer, for `kernels.jit.program`.

Layers that follow each other in most networks become one row, so that their numbers are used while they are still
near: a convolution with its relu and pool, a linear layer or a batch norm with its relu. A network that is only used
needs no batch norm either: it multiplies and adds, and the convolution or linear layer before it can do that with its
own weights.

What the table cannot hold (a layer of one's own, a shortcut, parameters that two layers share) is said by returning
None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from byhand import nn
from byhand.kernels import Window
from byhand.kernels.jit import program
from byhand.kernels.jit.activation import KINDS
from byhand.kernels.jit.program import Layer
from byhand.kernels.jit.windows import Shape, shape_of
from byhand.nn.containers import Sequential
from byhand.nn.layers import BatchNorm
from byhand.nn.module import Module
from byhand.tensor import Tensor

Array = np.ndarray[Any, Any]
ALIGNED = 16  # places begin at multiples of so many numbers: at the start of a line of the cache
BENDS: dict[type[Module], Callable[[Any], tuple[str, float]]] = {
    nn.ReLU: lambda layer: ("relu", 0.0),
    nn.LeakyReLU: lambda layer: ("leaky_relu", layer.negative_slope),
    nn.ELU: lambda layer: ("elu", layer.alpha),
    nn.GELU: lambda layer: ("gelu", 0.0),
    nn.SiLU: lambda layer: ("silu", 0.0),
    nn.Softplus: lambda layer: ("softplus", 0.0),
    nn.Tanh: lambda layer: ("tanh", 0.0),
    nn.Sigmoid: lambda layer: ("sigmoid", 0.0),
}


@dataclass
class Row:
    """A layer to be: what it does, and on what. Places in memory come later, when it is known how many samples are done
    at a time."""

    kind: int
    inputs: tuple[int, ...]
    """The shape of a sample: (C, H, W), or (F,)."""
    outputs: tuple[int, ...]
    weight: Any = None
    """A Tensor in training; an array, perhaps with a batch norm in it, in use."""
    bias: Any = None
    relu: bool = False
    shape: Shape | None = None
    bend: int = 0
    settings: tuple[float, ...] = ()
    norm: Any = None
    """The batch norm whose running mean and variance these are."""


def flat_layers(model: Module) -> Iterator[Module]:
    """The layers in the order in which they run, if they run one after the other."""
    if type(model) is Sequential:
        for layer in model.layers:
            yield from flat_layers(layer)
    else:
        yield model


def written(model: Module, picture: tuple[int, ...], learning: bool) -> list[Row] | None:
    """The rows of a network for samples of this shape; None if the table cannot hold it."""
    layers = list(flat_layers(model))
    parameters = [value for _, value in model.named_arrays() if isinstance(value, Tensor)]
    if len({id(layer) for layer in layers}) < len(layers) or len({id(p) for p in parameters}) < len(parameters):
        return None
    if len({p.dtype for p in parameters}) != 1 or parameters[0].dtype not in (np.float32, np.float64):
        return None
    rows: list[Row] = []
    shape = picture
    while layers:
        if type(layers[0]) is nn.Flatten and (len(shape) != 3 or 1 in (shape[0], shape[1] * shape[2])):
            layers.pop(0)  # the numbers lie as they should already
            shape = (math.prod(shape),)
        elif type(layers[0]) is nn.Dropout and not (learning and layers[0].p):
            layers.pop(0)
        else:
            row = row_of(layers, shape, learning)
            if row is None:
                return None
            rows.append(row)
            shape = row.outputs
    return rows if rows and len(shape) == 1 else None


def row_of(layers: list[Module], shape: tuple[int, ...], learning: bool) -> Row | None:
    """The row for the first of the layers, and for those after it that it can take along; they are taken from the
    list. None for a layer that no row can stand for."""
    layer: Any = layers.pop(0)
    if type(layer) is nn.Conv2d and len(shape) == 3 and shape[0] == layer.in_channels:
        return convolution(layer, layers, shape, learning)
    if type(layer) is nn.Linear and shape == (layer.in_features,):
        weight, bias = with_norm(layer, layers, learning)
        return Row(program.LINEAR, shape, (layer.out_features,), weight, bias, relu=taken(layers, nn.ReLU))
    if isinstance(layer, BatchNorm) and layer.needs[0] == len(shape) + 1 and shape[0] == layer.num_features:
        return Row(program.BATCH_NORM, shape, shape, layer.weight, layer.bias, relu=taken(layers, nn.ReLU),
                   settings=(layer.eps, layer.momentum), norm=layer)
    if type(layer) in (nn.MaxPool2d, nn.AvgPool2d) and len(shape) == 3:
        return pooling(program.MAX_POOL if type(layer) is nn.MaxPool2d else program.AVG_POOL, shape, layer.window)
    if type(layer) is nn.GlobalAvgPool2d and len(shape) == 3:
        row = pooling(program.AVG_POOL, shape, Window(shape[1:], (1, 1), (0, 0), (1, 1)))
        return None if row is None else replace(row, outputs=(shape[0],))
    if type(layer) in BENDS:
        name, setting = BENDS[type(layer)](layer)
        return Row(program.ACTIVATION, shape, shape, bend=KINDS.index(name), settings=(setting,))
    if type(layer) is nn.Dropout:
        return Row(program.DROPOUT, shape, shape, settings=(layer.p,))
    if type(layer) is nn.Flatten:
        return Row(program.CHANNELS_FIRST, shape, (math.prod(shape),))
    return None


def pooling(kind: int, shape: tuple[int, ...], window: Window) -> Row | None:
    """A pool of its own. None if it is larger than a byte can count, or than the picture."""
    lies = shape_of(shape, shape[0], window, 1)
    if window.size[0] * window.size[1] > 255 or min(lies.rows, lies.columns) < 1:
        return None
    return Row(kind, shape, (shape[0], lies.rows, lies.columns), shape=lies)


def convolution(layer: nn.Conv2d, layers: list[Module], shape: tuple[int, ...], learning: bool) -> Row | None:
    """A convolution with the batch norm, relu and pool that follow it. Relu and max pooling may change places: the
    largest of some numbers is cut off at 0 just as all of them are."""
    if min(layer.window.output_size(*shape[1:])) < 1:
        return None
    weight, bias = with_norm(layer, layers, learning)
    relu = taken(layers, nn.ReLU)
    pool = 1
    if layers and type(layers[0]) is nn.MaxPool2d:
        size, stride, padding, _ = layers[0].window
        rows, columns = layer.window.output_size(*shape[1:])
        if size == stride and size[0] == size[1] and padding == (0, 0) and size[0] <= min(rows, columns, 15):
            pool = size[0]
            layers.pop(0)
            relu = taken(layers, nn.ReLU) or relu
    lies = shape_of(shape, layer.out_channels, layer.window, layer.groups, pool, int(relu))
    return Row(program.CONV, shape, (layer.out_channels, lies.rows // pool, lies.columns // pool), weight, bias, relu,
               lies)


def taken(layers: list[Module], kind: type[Module]) -> bool:
    """Whether the next layer is of this kind; then it is taken from the list."""
    if layers and type(layers[0]) is kind:
        layers.pop(0)
        return True
    return False


def with_norm(layer: Any, layers: list[Module], learning: bool) -> tuple[Any, Any]:
    """Weights and bias of a layer; where the network is only used, with the batch norm that follows it in them:
    scale · (w x + b) + shift = (scale · w) x + (scale · b + shift)."""
    if learning:
        return layer.weight, layer.bias
    weight, bias = layer.weight.data, None if layer.bias is None else layer.bias.data
    norm: Any = layers[0] if layers else None
    if type(norm) in (nn.BatchNorm1d, nn.BatchNorm2d) and norm.num_features == len(weight):
        layers.pop(0)
        with np.errstate(all="ignore"):  # numbers that are none come out as such, and whoever looks at them says so
            scale = norm.weight.data / np.sqrt(norm.running_var + norm.eps)
            weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1)).astype(weight.dtype)
            bias = ((0 if bias is None else bias) - norm.running_mean) * scale + norm.bias.data
            bias = bias.astype(weight.dtype)
    return weight, bias


# --- places in memory -------------------------------------------------------------------------------------------------


@dataclass
class Memory:
    """Places that are handed out one after the other, aligned."""

    size: int = 0

    def take(self, numbers: int) -> int:
        """The place of so many numbers."""
        place = self.size
        self.size = -(-(place + numbers) // ALIGNED) * ALIGNED
        return place


@dataclass
class Layout:
    """A table, and how much memory it speaks of."""

    table: list[list[int]] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    packed: Memory = field(default_factory=Memory)
    bytes: Memory = field(default_factory=Memory)
    statistics: Memory = field(default_factory=Memory)
    scratch: int = 1


def placed(rows: Sequence[Row], chunk: int, learning: bool, place: Callable[[Any], int]) -> Layout:
    """The table for `chunk` samples at a time in each thread. place(parameter): where it is among all of them."""
    layout = Layout()
    sizes = [math.prod(rows[0].inputs), *(math.prod(row.outputs) for row in rows)]
    if learning:  # every result is needed once more on the way back; slopes only from one layer to the next
        results = [layout.memory.take(chunk * size) for size in sizes]
        turns = [layout.memory.take(chunk * max(sizes[1:])) for _ in range(2)]
        slopes = [-1, *(turns[i % 2] for i in range(1, len(sizes)))]
    else:
        turns = [layout.memory.take(chunk * max(sizes)) for _ in range(2)]
        results, slopes = [turns[i % 2] for i in range(len(sizes))], [-1] * len(sizes)
    for i, row in enumerate(rows):
        numbers = 0 if row.weight is None else math.prod(row.weight.shape)
        own = kept = won = 0
        packed = turned = 0
        if row.kind == program.CONV:
            packed = layout.packed.take(numbers)
            layout.scratch = max(layout.scratch, row.shape.scratch if row.shape else 1)
        if learning and row.kind in (program.CONV, program.LINEAR):
            turned = layout.packed.take(numbers)
        if row.kind == program.BATCH_NORM:
            own, kept = layout.memory.take(4 * row.inputs[0]), layout.statistics.take(2 * row.inputs[0])
        elif learning and row.kind == program.CONV:
            own = layout.memory.take(numbers)
        if row.kind in (program.CONV, program.MAX_POOL):
            won = layout.bytes.take(chunk * sizes[i + 1])
        layout.table.append([*Layer(
            row.kind, results[i], results[i + 1], slopes[i], slopes[i + 1], sizes[i], sizes[i + 1],
            -1 if row.weight is None else place(row.weight), -1 if row.bias is None else place(row.bias),
            packed, turned, own, won, kept, int(row.relu), row.bend, row.inputs[0], math.prod(row.inputs[1:]),
        ), *(row.shape or [0] * len(Shape._fields))])
    return layout


def program_of(rows: Sequence[Row], layout: Layout, threads: int, parameters: Array,
               gradients: Array) -> program.Program:
    """The program, with memory for these threads."""
    kind = parameters.dtype
    channels = max(row.inputs[0] for row in rows)
    settings = [(*row.settings, *[0.0] * (program.SETTINGS - len(row.settings))) for row in rows]
    return program.Program(
        np.array(layout.table, np.int64), np.array(settings, np.float64), parameters,
        np.zeros(max(1, layout.statistics.size), kind), np.zeros(max(1, layout.packed.size), kind),
        np.zeros((threads, layout.memory.size), kind), np.zeros((threads, max(1, layout.bytes.size)), np.uint8),
        gradients, np.zeros((len(rows), 2, threads, 1 + 2 * channels)), np.zeros((threads, layout.scratch), kind),
        np.zeros((threads, 1 + math.prod(rows[0].inputs) * (rows[0].kind == program.LINEAR)), np.int64),
        np.zeros(1, np.int64))
