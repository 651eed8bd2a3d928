"""What an optimizer is given: parameters, perhaps in groups, and settings.

Most networks have one group of parameters that are all treated alike. Sometimes some should be treated differently: a
smaller learning rate for layers that are already trained, no weight decay for biases. Then the parameters come in
groups, each a dict with the settings that are its own.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, TypedDict

import numpy as np

from byhand.tensor import Tensor

Array = np.ndarray[Any, Any]
Parameters = Iterable[Any]  # Tensors, (name, Tensor) pairs, or dicts that describe groups
Settings = dict[str, Any]


class Common(TypedDict, total=False):
    """The settings that every optimizer takes."""

    l1: float
    l2: float
    clip_norm: float | None
    clip_value: float | None
    max_norm: float | None


@dataclass(eq=False)
class Group:
    """Parameters that share their settings, which may be changed between steps.

    "lr_ratio" among the settings is the group's learning rate divided by the optimizer's.
    """

    parameters: list[Tensor]
    settings: Settings


@dataclass(eq=False, slots=True)
class Slot:
    """One parameter's place in the flat array, from `start` to `stop`, and how many steps it has taken.

    columns: whether it is a matrix that lies in memory column by column (Fortran order), which it goes on doing.
    """

    name: str
    parameter: Tensor
    group: Group
    start: int
    stop: int
    shape: tuple[int, ...]
    columns: bool
    steps: int = 0
    values: Array = field(init=False)  # views of the flat arrays, in the parameter's shape
    gradient: Array = field(init=False)

    def part(self, flat: Array) -> Array:
        """This parameter's part of a flat array, in its shape: a view."""
        part = flat[self.start:self.stop]
        return part.reshape(self.shape[::-1]).T if self.columns else part.reshape(self.shape)


def lay_out(parameters: Parameters, lr: float, defaults: Settings) -> tuple[list[Group], list[Slot]]:
    """The groups, and a place for each of their parameters, one after the other."""
    groups: list[Group] = []
    slots: list[Slot] = []
    home: dict[int, Group] = {}
    for given in described(parameters):
        group = Group([], group_settings(given, lr, defaults))
        groups.append(group)
        for name, parameter in named(given["parameters"]):
            if home.get(id(parameter)) is group:
                continue  # two layers share it
            if home.setdefault(id(parameter), group) is not group:
                raise ValueError(f"parameter {name} is in two groups; leave it in one.")
            start = slots[-1].stop if slots else 0
            columns = parameter.ndim == 2 and np.isfortran(parameter.data)
            slots.append(Slot(name, parameter, group, start, start + parameter.size, parameter.shape, columns))
            group.parameters.append(parameter)
    if not slots:
        raise ValueError("an optimizer needs at least one parameter, got none.")
    dtypes = sorted({str(slot.parameter.dtype) for slot in slots})
    if len(dtypes) > 1:
        raise ValueError(f"an optimizer needs parameters of one dtype, not {' and '.join(dtypes)}; convert them.")
    return groups, slots


def described(parameters: Parameters) -> list[Mapping[str, Any]]:
    """The groups as they were given; parameters without groups are one."""
    if isinstance(parameters, Tensor | Mapping | str) or not isinstance(parameters, Iterable):
        raise ValueError("an optimizer needs a list of parameters, such as model.parameters(), or a list of groups; "
                         f"got one {type(parameters).__name__}.")
    given = list(parameters)
    if not any(isinstance(item, Mapping) for item in given):
        return [{"parameters": given}]
    if not all(isinstance(item, Mapping) and "parameters" in item for item in given):
        raise ValueError('parameter groups must all be dicts with a "parameters" key, such as '
                         '{"parameters": layer.parameters(), "lr": 0.01}.')
    return given


def named(parameters: Parameters) -> Iterator[tuple[str, Tensor]]:
    """Each parameter with its name, or its number where it has none."""
    if isinstance(parameters, Tensor):
        parameters = [parameters]
    for i, item in enumerate(parameters):
        name, parameter = item if isinstance(item, tuple) and len(item) == 2 else (str(i), item)
        if not isinstance(parameter, Tensor):
            raise ValueError(f"parameter {name} must be a Tensor, got {type(parameter).__name__}; wrap it: "
                             "Tensor(values, requires_grad=True).")
        if parameter.dtype.kind != "f":
            raise ValueError(f"parameter {name} must hold floats, got {parameter.dtype}.")
        if parameter.op:
            raise ValueError(f"parameter {name} is a result of '{parameter.op}'; give what it was computed from.")
        yield name, parameter


def group_settings(given: Mapping[str, Any], lr: float, defaults: Settings) -> Settings:
    """The defaults, and in their place what the group sets for itself."""
    own = {name: value for name, value in given.items() if name not in ("parameters", "lr")}
    for name in own:
        if name not in defaults:
            raise ValueError(f"a group has no setting {name!r} here; it may set lr, {', '.join(defaults)}.")
    own_lr = checked("lr", given.get("lr", lr))
    if own_lr != lr and lr == 0:
        raise ValueError("a group's lr keeps its ratio to the optimizer's, so the optimizer's may not be 0.")
    settings = {name: checked(name, value) for name, value in {**defaults, **own}.items()}
    return {"lr_ratio": own_lr / lr if lr else 1.0, **settings}


def checked(name: str, value: Any) -> Any:
    """A setting as a plain number, if it is in its range."""
    if name == "betas":
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise ValueError(f"betas must be two numbers, got {value!r}.")
        return checked("the first of betas", value[0]), checked("the second of betas", value[1])
    if value is None and name in ("clip_norm", "clip_value", "max_norm"):
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}.")
    value = float(value)
    if value < 0:
        raise ValueError(f"{name} must not be negative, got {value!r}.")
    if value == 0 and name in ("eps", "clip_norm", "clip_value", "max_norm"):
        raise ValueError(f"{name} must be above 0, got {value!r}.")
    if value >= 1 and name in ("momentum", "alpha", "the first of betas", "the second of betas"):
        raise ValueError(f"{name} must be below 1, got {value!r}.")
    return value
