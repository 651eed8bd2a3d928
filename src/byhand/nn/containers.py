"""Layers made of layers: one after another, or around a shortcut."""

from collections.abc import Iterator
from typing import Any

from byhand import ops
from byhand.nn.module import Module, ShapeError
from byhand.tensor import Tensor


class Sequential(Module):
    """One layer after another. They are named '0', '1', ... as in PyTorch; `net[0]` and `net[:-1]` work."""

    def __init__(self, *layers: Module) -> None:
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential takes layers one by one; number {i} is a {type(layer).__name__}.")
        self.layers = layers

    def children(self) -> Iterator[tuple[str, Module]]:
        return ((str(i), layer) for i, layer in enumerate(self.layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, key: Any) -> Any:
        return Sequential(*self.layers[key]) if isinstance(key, slice) else self.layers[key]

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"


class Residual(Module):
    """y = x + body(x): the layers learn only what to change (He et al. 2016, section 3.1).

    `shortcut`, a layer such as a 1 × 1 convolution, brings x to the body's shape where that differs. Parameters are
    named 'body.0.weight', 'shortcut.weight'.
    """

    def __init__(self, *body: Module, shortcut: Module | None = None) -> None:
        self.body = Sequential(*body)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        around = x if self.shortcut is None else self.shortcut(x)
        if around.shape != y.shape:
            raise ShapeError(self, x.shape, "a body and a shortcut that end in one shape, not "
                                            f"{y.shape} and {around.shape}")
        return ops.add(around, y)

    def __repr__(self) -> str:
        around = "" if self.shortcut is None else f", shortcut={self.shortcut!r}"
        return f"Residual({', '.join(map(repr, self.body.layers))}{around})"
