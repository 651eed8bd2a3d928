"""What every layer has in common: it maps an input to an output, and it knows its numbers by name.

A layer is a class with a `forward`. Whatever Tensor it keeps as an attribute is a parameter, which training adjusts; a
NumPy array is a buffer, which is saved but not trained (the running mean of a batch norm); another Module is a part of
it. Tensors and Modules may also stand in lists, tuples and dicts. There is nothing to register.

    class Twice(nn.Module):
        def __init__(self, rng):
            self.inner = nn.Linear(8, 8, rng)
        def forward(self, x):
            return self.inner(self.inner(x))
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from byhand.autodiff import no_grad
from byhand.tensor import Tensor

Array = np.ndarray[Any, Any]
Call = tuple["Module", Tensor, Tensor]

_training: ContextVar[np.random.Generator | None] = ContextVar("training", default=None)
_watched: ContextVar[list[Call] | None] = ContextVar("watched", default=None)


@contextmanager
def training(rng: np.random.Generator) -> Iterator[None]:
    """Within this context (of this thread only) layers behave as in training: dropout drops, drawing from `rng`, and
    batch norm looks at the batch. Outside, they evaluate. Raises TypeError for anything but a generator."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"training needs a generator such as np.random.default_rng(0), got {rng!r}.")
    token = _training.set(rng)
    try:
        yield
    finally:
        _training.reset(token)


@contextmanager
def evaluating() -> Iterator[None]:
    """Within this context (of this thread only) layers evaluate, even where `training` surrounds it."""
    token = _training.set(None)
    try:
        yield
    finally:
        _training.reset(token)


def training_rng() -> np.random.Generator | None:
    """The generator of the `training` context that we are in, or None if the network is only being used."""
    return _training.get()


@contextmanager
def watch() -> Iterator[list[Call]]:
    """Collect every layer that runs in this context, as (layer, input, output), in the order in which they finish."""
    calls: list[Call] = []
    token = _watched.set(calls)
    try:
        yield calls
    finally:
        _watched.reset(token)


def watched() -> bool:
    """Whether somebody collects the layers that run here."""
    return _watched.get() is not None


class ShapeError(ValueError):
    """A layer was given an input that does not fit. The message says which layer, what it got and what it needs."""

    def __init__(self, layer: Module, got: tuple[int, ...], needs: str) -> None:
        self.layer, self.outermost, self.path, self.got, self.needs = layer, layer, "", got, needs
        super().__init__()

    def found_in(self, parent: Module) -> None:
        """On its way up, the error learns the layer's place in the network."""
        for name, child in parent.children():
            if child is self.outermost:
                self.path = f"{name}.{self.path}" if self.path else name
                self.outermost = parent
                return

    def __str__(self) -> str:
        name = f"layer '{self.path}', {self.layer!r}," if self.path else f"{self.layer!r}"
        return f"{name} got an input of shape {self.got}; it needs {self.needs}."


class Module:
    """A part of a network, or a whole one. Calling it runs `forward` on a Tensor (or an array) and returns a Tensor.

    Whole numbers, such as the bytes of a picture, come to `forward` in the precision of the network's parameters, or as
    float32 if there are none; so does a plain array of float64."""

    def __call__(self, x: Any) -> Tensor:
        if not isinstance(x, Tensor) or x.data.dtype.kind != "f":
            x = self._in_precision(x)
        try:
            y = self.forward(x)
        except ShapeError as error:
            error.found_in(self)
            raise
        calls = _watched.get()
        if calls is not None:
            calls.append((self, x, y))
        return y

    def _in_precision(self, x: Any) -> Tensor:
        x = Tensor(x)
        if x.dtype == np.float32:  # what most are, and it goes with everything
            return x
        usual = x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)
        precision = next((p.dtype for _, p in self.named_parameters() if p.dtype.kind == "f"), usual)
        return x if x.dtype == precision else x.astype(precision)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the output. Every layer has its own."""
        raise TypeError(f"{type(self).__name__} needs a method forward(self, x).")

    def config(self) -> dict[str, Any]:
        """The numbers that make another layer like this one: the arguments of its class, except `rng`."""
        return {}

    def __repr__(self) -> str:
        usual = inspect.signature(type(self)).parameters
        told = [f"{k}={v}" for k, v in self.config().items() if v != usual[k].default]
        return f"{type(self).__name__}({', '.join(told)})"

    # --- its parts and numbers, by name -------------------------------------------------------------------------------

    def children(self) -> Iterator[tuple[str, Module]]:
        """The parts directly below, by name. A list of modules counts its elements, 'blocks.0', and a dict names them,
        'heads.digit'."""
        yield from ((name, part) for name, part in contents(vars(self)) if isinstance(part, Module))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module ('' or the prefix) and all below it, by path."""
        yield prefix, self
        for name, child in self.children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_arrays(self) -> Iterator[tuple[str, Tensor | Array]]:
        """Every parameter and buffer, by path ('0.weight'), in PyTorch's order."""
        for path, module in self.named_modules():
            for name, value in contents(vars(module)):
                if isinstance(value, Tensor | np.ndarray):
                    yield f"{path}.{name}" if path else name, value

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter, by path. One that two layers share appears under its first name only."""
        seen: set[int] = set()
        for name, value in self.named_arrays():
            if isinstance(value, Tensor) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def parameters(self) -> list[Tensor]:
        """Every parameter, once."""
        return [p for _, p in self.named_parameters()]

    def freeze(self) -> Module:
        """Leave this module's parameters out of training (until `requires_grad` is set again). Returns the module."""
        for p in self.parameters():
            p.requires_grad, p.grad = False, None
        return self

    def to(self, dtype: Any) -> Module:
        """Convert all floating-point numbers to this dtype, in place. Returns the module."""
        for p in self.parameters():
            if p.dtype.kind == "f":
                p.data, p.grad = p.data.astype(dtype), None
        for _, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                    setattr(module, name, value.astype(dtype))
        return self

    def state_dict(self) -> dict[str, Array]:
        """A copy of every parameter and buffer under PyTorch's name, unbroken in memory in the order of its shape, as
        most who write files take for granted."""
        return {name: np.array(value, order="C") for name, value in self.named_arrays()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> tuple[list[str], list[str]]:
        """Take over numbers saved by `state_dict`, here or from PyTorch. Returns the missing and the unexpected names.

        Raises ValueError, before anything is changed, if a shape differs, if something is not numbers or, when strict,
        if a name is missing or unexpected; the message lists them all.
        """
        own = dict(self.named_arrays())
        missing, unexpected = [k for k in own if k not in state], [k for k in state if k not in own]
        given = {k: np.asarray(state[k]) for k in own if k in state}
        shapes = [f"{k} is {a.shape} instead of {own[k].shape}" for k, a in given.items() if a.shape != own[k].shape]
        kinds = [f"{k} is {a.dtype}" for k, a in given.items() if a.dtype.kind not in "fiub"]
        problems = [f"{what}: {', '.join(names)}" for what, names in
                    (("missing", missing if strict else []), ("unexpected", unexpected if strict else []),
                     ("wrong shape", shapes), ("not numbers", kinds)) if names]
        if problems:
            raise ValueError(f"these weights do not fit this network ({'; '.join(problems)}).")
        for name, array in given.items():
            value = own[name]
            if isinstance(value, np.ndarray):
                value[...] = array
                continue
            if value.data.flags.writeable:
                value.data[...] = array
            else:  # a layer that was built without memory
                value.data = np.array(array, dtype=value.dtype, order="F" if array.ndim == 2 else "C")
            value.version += 1
        return missing, unexpected

    # --- a look at it -------------------------------------------------------------------------------------------------

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the answer to one sample of this shape, both without the batch. Raises ShapeError if the network
        cannot read it."""
        with no_grad(), evaluating():
            return self(np.zeros((1, *input_shape))).shape[1:]

    def layer_rows(self, input_shape: int | tuple[int, ...]) -> list[LayerRow]:
        """Each layer that one sample of this shape, without the batch, (1, 28, 28) or 784 for (784,), passes on its
        way. One that runs twice has two rows, and its parameters are counted in the first."""
        shape = (input_shape,) if isinstance(input_shape, int | np.integer) else tuple(input_shape)
        names = {id(module): path for path, module in reversed(list(self.named_modules()))}  # the first of several
        with no_grad(), evaluating(), watch() as calls, np.errstate(all="ignore"):  # it may be broken
            self(np.zeros((1, *shape)))
        rows = []
        counted: set[int] = set()
        for module, _, y in calls:
            if not any(True for _ in module.children()):
                new = [p for p in module.parameters() if id(p) not in counted]
                counted.update(map(id, new))
                rows.append(LayerRow(names[id(module)], module, y.shape[1:], sum(p.size for p in new)))
        return rows

    def summary(self, input_shape: int | tuple[int, ...]) -> str:
        """`layer_rows` as a table: each layer, the shape of its output and the number of its parameters, with
        totals."""
        shape = (input_shape,) if isinstance(input_shape, int | np.integer) else tuple(input_shape)
        rows = [("", "layer", "output", "parameters"), ("", "input", shape_text(shape), "")]
        rows += [(row.name, type(row.layer).__name__, shape_text(row.output), f"{row.parameters:,}")
                 for row in self.layer_rows(shape)]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}".rstrip()
                 for a, b, c, d in rows]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:], rule, self.totals()])

    def totals(self) -> str:
        """How many parameters it has, and what all its numbers take."""
        total = sum(p.size for p in self.parameters())
        trained = sum(p.size for p in self.parameters() if p.requires_grad)
        size = sum(a.nbytes for a in {id(v): np.asarray(v) for _, v in self.named_arrays()}.values())
        return f"{total:,} parameters, {trained:,} of them trained; {size / 1024:,.0f} KB"

    def _repr_html_(self) -> str:
        """In a notebook: the layers, with no shapes, since they depend on the input."""
        from byhand import charts

        rows = [(name or "–", repr(layer), f"{sum(p.size for p in layer.parameters()):,}")
                for name, layer in self.named_modules() if not any(True for _ in layer.children())]
        return charts.html(charts.tag("div", charts.table(("", "layer", "parameters"), rows),
                                      charts.tag("p", self.totals())))


class LayerRow(NamedTuple):
    """A layer on a sample's way through a network."""

    name: str  # its path in the network, "0" or "blocks.0"
    layer: Module
    output: tuple[int, ...]  # the shape of what it gives, without the batch
    parameters: int


def contents(holder: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Everything that an object's attributes hold, by name, with lists, tuples and dicts opened. An array in one of
    those is not a buffer, which must be an attribute."""
    for name, value in holder.items():
        if isinstance(value, list | tuple):
            value = dict(enumerate(value))
        if isinstance(value, dict):
            inside = contents({f"{name}.{key}": item for key, item in value.items()})
            yield from ((path, item) for path, item in inside if not isinstance(item, np.ndarray))
        else:
            yield name, value


def shape_text(shape: tuple[int, ...]) -> str:
    """(N, 24, 12, 12)."""
    return f"({', '.join(['N', *map(str, shape)])})"
