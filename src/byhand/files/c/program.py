"""A network as a list of steps in C, and the memory that they need.

Each layer becomes a call of a function of `layers.c`, which reads some numbers and writes others. Layers that only give
another shape to the same numbers (Flatten), or do nothing once a network has learned (Dropout), are no step at all.

Boards have little memory. So once all steps are known, it is shared out: what nobody will read any more makes room for
what comes next. A network in a row gets along with two buffers, however deep it is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from byhand import nn
from byhand.files.c.int8 import Int8Conv2d, Int8Linear, bias_of
from byhand.files.folding import scale_and_shift
from byhand.kernels import Window

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


@dataclass(eq=False)
class Memory:
    """A place for as many numbers."""

    size: int
    buffer: str = ""
    """The array in C that it is a part of."""


class Value(NamedTuple):
    """What is known of one sample at some point of the network."""

    shape: Shape
    memory: Memory

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


class Step(NamedTuple):
    """The call of a function: what it reads and writes, and its other arguments."""

    title: str
    function: str
    reads: tuple[Memory, ...]
    writes: Memory
    arguments: tuple[Any, ...]
    rows: int
    """How often it is called, each time for the numbers that come next."""
    in_place: bool
    """Whether it may write over what it reads."""


class Look(NamedTuple):
    """How a filter or a pool looks at a picture: the picture's shape, the window, the shape of what comes out."""

    picture: Shape
    window: Window
    output: Shape
    groups: int


@dataclass
class Program:
    """A network in C: its `steps` turn the input into the output."""

    input: Value
    output: Value
    steps: list[Step] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    """The weights, by their names in C."""
    looks: dict[str, Look] = field(default_factory=dict)
    buffers: dict[str, int] = field(default_factory=dict)
    """The memory that it works in: how many numbers each array holds."""

    def add(self, title: str, function: str, x: Value, shape: Shape, *arguments: Any, also: Value | None = None,
            rows: int = 1, in_place: bool = False) -> Value:
        """One more step, which makes of x, and perhaps of another value, one of this shape."""
        y = Value(shape, Memory(math.prod(shape)))
        reads = (x.memory,) if also is None else (x.memory, also.memory)
        self.steps.append(Step(title, function, reads, y.memory, arguments, rows, in_place))
        return y

    def keep(self, name: str, **arrays: Array) -> list[str]:
        """The arrays of a layer of this name. Returns what they are called in C."""
        self.arrays |= {f"{name}_{part}": array for part, array in arrays.items()}
        return [f"{name}_{part}" for part in arrays]

    def name(self, kind: str) -> str:
        """What the next layer of this kind is called: linear_1, linear_2."""
        taken = {name.rpartition("_")[0] for name in (*self.arrays, *self.looks)}
        return next(name for n in range(1, len(taken) + 2) if (name := f"{kind}_{n}") not in taken)

    @property
    def eight_bits(self) -> int:
        """How many numbers a step brings into eight bits at most."""
        sizes = [step.reads[0].size // step.rows for step in self.steps if step.function.endswith("_int8")]
        return max(sizes, default=0)


def program_of(network: nn.Module, shape: Shape, factors: tuple[Array, Array] | None) -> Program:
    """The steps of a network for one sample of this shape. `factors` normalize it: x · scale - shift, each one number
    or one a channel.

    Raises ValueError for a layer that has no form in C, or if the network cannot read the shape.
    """
    start = Value(shape, Memory(math.prod(shape)))
    program = Program(start, start)
    x = start
    if factors is not None:
        scale, shift = (np.atleast_1d(numbers) for numbers in factors)
        names = program.keep("input", scale=scale, shift=-shift)
        x = program.add("Normalize", "scale_and_shift", x, shape, scale.size, start.size // scale.size, *names,
                        in_place=True)
    network.output_shape(shape)  # or say which layer it does not fit
    program.output = steps_of(program, network, x)
    if program.output.memory is start.memory:
        program.output = program.add("nothing but another shape", "copy", start, program.output.shape,
                                     program.output.size)
    share_out_memory(program)
    return program


def steps_of(program: Program, module: nn.Module, x: Value) -> Value:
    """What a part of the network makes of x."""
    if isinstance(module, nn.Sequential):
        for layer in module.layers:
            x = steps_of(program, layer, x)
        return x
    if isinstance(module, nn.Residual):
        y = steps_of(program, module.body, x)
        around = x if module.shortcut is None else steps_of(program, module.shortcut, x)
        return program.add("Residual", "add", y, y.shape, y.size, also=around, in_place=True)
    if type(module).__name__ not in WRITERS:
        raise ValueError(f"{type(module).__name__} has no form in C; only byhand's own layers have one.")
    return WRITERS[type(module).__name__](program, module, x)


# --- memory -----------------------------------------------------------------------------------------------------------


def share_out_memory(program: Program) -> None:
    """Give all memory a place in a buffer, which is free for others after the last step that reads it.

    A step that may writes over what nobody reads after it. The network's outputs lie where its caller wants to have
    them, and so does what is turned into them in place.
    """
    last = {id(memory): i for i, step in enumerate(program.steps) for memory in step.reads}
    over: dict[int, Memory] = {}
    for i, step in enumerate(program.steps):
        done = [m for m in step.reads if last[id(m)] == i and m.size == step.writes.size]
        if step.in_place and done:
            over[id(step.writes)] = done[0]
    memory = program.output.memory
    while memory is not program.input.memory:
        memory.buffer = "logits"
        if id(memory) not in over:
            break
        memory = over[id(memory)]
    free: list[str] = []
    find_room(program, program.input.memory, free)
    for i, step in enumerate(program.steps):
        if not step.writes.buffer and id(step.writes) in over:
            step.writes.buffer = over[id(step.writes)].buffer
        elif not step.writes.buffer:
            find_room(program, step.writes, free)
        done_with = {memory.buffer for memory in step.reads if last[id(memory)] == i}
        free += sorted(done_with - {step.writes.buffer, "logits"})


def find_room(program: Program, memory: Memory, free: list[str]) -> None:
    """Put it into the free buffer that fits best, or into a new one if none is free."""
    if not free:
        free.append(f"buffer_{len(program.buffers)}")
    memory.buffer = min(free, key=lambda name: abs(program.buffers.get(name, 0) - memory.size))
    free.remove(memory.buffer)
    program.buffers[memory.buffer] = max(program.buffers.get(memory.buffer, 0), memory.size)


# --- the layers -------------------------------------------------------------------------------------------------------


def linear(program: Program, layer: nn.Linear | Int8Linear, x: Value) -> Value:
    """One call for each row of what may have several axes."""
    inputs, outputs = layer.in_features, layer.out_features
    names = program.keep(program.name("linear"), **weights_of(layer))
    function = "linear_int8" if isinstance(layer, Int8Linear) else "linear"
    return program.add(f"Linear: {inputs} -> {outputs}", function, x, (*x.shape[:-1], outputs), inputs, outputs, *names,
                       rows=math.prod(x.shape[:-1]))


def conv2d(program: Program, layer: nn.Conv2d | Int8Conv2d, x: Value) -> Value:
    """One call."""
    name = program.name("conv2d")
    names = program.keep(name, **weights_of(layer))
    function = "conv2d_int8" if isinstance(layer, Int8Conv2d) else "conv2d"
    return through_a_window(program, "Conv2d", function, name, layer, x, layer.groups, *names)


def weights_of(layer: nn.Linear | nn.Conv2d | Int8Linear | Int8Conv2d) -> dict[str, Array]:
    """The numbers of a layer."""
    if isinstance(layer, Int8Linear | Int8Conv2d):
        return {"weight": layer.weight, "scale": layer.scale, "bias": layer.bias}
    return {"weight": layer.weight.data, "bias": bias_of(layer)}


def max_pool2d(program: Program, layer: nn.MaxPool2d, x: Value) -> Value:
    """One call."""
    return through_a_window(program, "MaxPool2d", "max_pool2d", program.name("max_pool2d"), layer, x)


def avg_pool2d(program: Program, layer: nn.AvgPool2d, x: Value) -> Value:
    """One call."""
    return through_a_window(program, "AvgPool2d", "avg_pool2d", program.name("avg_pool2d"), layer, x)


def through_a_window(program: Program, kind: str, function: str, name: str, layer: Any, x: Value, groups: int = 1,
                     *names: str) -> Value:
    """A layer that looks at a picture through a window."""
    shape = layer.output_shape(x.shape)
    program.looks[f"{name}_window"] = Look(x.shape, layer.window, shape, groups)
    return program.add(f"{kind}: {by(x.shape)} -> {by(shape)}", function, x, shape, f"&{name}_window", *names)


def global_avg_pool2d(program: Program, layer: nn.GlobalAvgPool2d, x: Value) -> Value:
    """One call."""
    channels = x.shape[0]
    return program.add(f"GlobalAvgPool2d: {by(x.shape)} -> {channels}", "global_avg_pool2d", x, (channels,), channels,
                       x.size // channels)


def batch_norm(program: Program, layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Value) -> Value:
    """One that no layer before it could do: a multiplication and an addition."""
    scale, shift = scale_and_shift(layer)
    names = program.keep(program.name("batch_norm"), scale=scale, shift=shift)
    return program.add(type(layer).__name__, "scale_and_shift", x, x.shape, x.shape[0], x.size // x.shape[0], *names,
                       in_place=True)


def layer_norm(program: Program, layer: nn.LayerNorm, x: Value) -> Value:
    """One call for each group of numbers that are normalized together."""
    names = program.keep(program.name("layer_norm"), weight=layer.weight.data, bias=layer.bias.data)
    n = math.prod(layer.normalized_shape)
    return program.add("LayerNorm", "layer_norm", x, x.shape, n, float(layer.eps), *names, rows=x.size // n,
                       in_place=True)


def softmax(program: Program, layer: nn.Softmax | nn.LogSoftmax, x: Value) -> Value:
    """One call for each row."""
    function = "softmax" if isinstance(layer, nn.Softmax) else "log_softmax"
    n = x.shape[-1]
    return program.add(type(layer).__name__, function, x, x.shape, n, rows=x.size // n, in_place=True)


def activation(program: Program, layer: nn.Module, x: Value) -> Value:
    """One call for all numbers, whatever their shape."""
    settings = [float(value) for value in layer.config().values()]
    return program.add(type(layer).__name__, ACTIVATIONS[type(layer).__name__], x, x.shape, x.size, *settings,
                       in_place=True)


def another_shape(program: Program, layer: nn.Module, x: Value) -> Value:
    """No call: the same numbers, or the first of them."""
    return Value(layer.output_shape(x.shape), x.memory)


def by(shape: Shape) -> str:
    """1 x 28 x 28."""
    return " x ".join(map(str, shape))


ACTIVATIONS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu", "GELU": "gelu", "SiLU": "silu",
               "Sigmoid": "sigmoid", "Softplus": "softplus", "Tanh": "hyperbolic_tangent"}
WRITERS: dict[str, Callable[[Program, Any, Value], Value]] = {
    "Linear": linear, "Int8Linear": linear, "Conv2d": conv2d, "Int8Conv2d": conv2d, "MaxPool2d": max_pool2d,
    "AvgPool2d": avg_pool2d, "GlobalAvgPool2d": global_avg_pool2d, "BatchNorm1d": batch_norm, "BatchNorm2d": batch_norm,
    "LayerNorm": layer_norm, "Softmax": softmax, "LogSoftmax": softmax,
    "Flatten": another_shape, "FirstPixels": another_shape, "Dropout": another_shape,
    **dict.fromkeys(ACTIVATIONS, activation),
}
"""How each layer becomes steps, by its class's name."""
