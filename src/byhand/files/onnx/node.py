"""One operator of a file: its kind, what it takes and gives, and its settings, of which none can be trusted to be of
the type that it should be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand.files.onnx.library import helper
from byhand.files.plain_json import once_each

DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Node:
    """An operator."""

    operator: str
    """'Gemm', or with its domain where that is not ONNX's own: 'ai.onnx.ml.ZipMap'."""
    name: str
    inputs: tuple[str, ...]
    """Names of values; '' for one that is left out."""
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    opset: int

    def __str__(self) -> str:
        return f"the operator {self.operator[:60]}" + (f" '{self.name[:60]}'" if self.name else "")

    def whole(self, name: str, usual: int) -> int:
        """A setting that is a whole number."""
        return int(self.typed(name, usual, int))

    def number(self, name: str, usual: float) -> float:
        """A setting that is a number. A file has it in float32, which 0.1 is not; what was meant is the shortest number
        that it could be."""
        value = self.typed(name, usual, float)
        return float(str(np.float32(value))) if name in self.attributes else value

    def wholes(self, name: str, usual: Sequence[int]) -> tuple[int, ...]:
        """A setting that is a list of whole numbers."""
        return self.several(name, usual, int)

    def numbers(self, name: str) -> tuple[float, ...]:
        """A setting that is a list of numbers."""
        return self.several(name, (), float)

    def word(self, name: str, usual: str) -> str:
        """A setting that is a word."""
        return str(self.typed(name, usual.encode(), bytes).decode(errors="replace"))

    def several(self, name: str, usual: Sequence[Any], kind: type) -> tuple[Any, ...]:
        """A setting that is a list of this kind."""
        value = self.attributes.get(name, usual)
        if not isinstance(value, list | tuple | range) or any(type(part) is not kind for part in value):
            raise ValueError(f"{self} has something else than a list of numbers as its '{name}'")
        return tuple(value)

    def typed(self, name: str, usual: Any, kind: type) -> Any:
        """A setting that is of this kind."""
        value = self.attributes.get(name, usual)
        if type(value) is not kind:
            raise ValueError(f"{self} has a {type(value).__name__} as its '{name}'")
        return value


class Unknown(ValueError):
    """There is no layer for an operator, or not for what it is told."""

    def __init__(self, node: Node, why: str = "") -> None:
        super().__init__(f"byhand has no layer for {node}{f', which {why}' if why else ''}")


def need(condition: bool, node: Node, why: str) -> None:
    """Refuse an operator that does something which no layer does."""
    if not condition:
        raise Unknown(node, why)


def node_of(proto: Any, opset: int) -> Node:
    """The operator in a NodeProto."""
    domain, operator = text(proto.domain), text(proto.op_type)
    return Node(operator if domain in DOMAINS else f"{domain}.{operator}", text(proto.name),
                tuple(map(text, proto.input)), tuple(map(text, proto.output)),
                once_each((text(a.name), helper.get_attribute_value(a)) for a in proto.attribute), opset)


def text(name: str | bytes) -> str:
    """A name in a file. The library gives one that is no UTF-8 as bytes."""
    return name if isinstance(name, str) else name.decode(errors="backslashreplace")
