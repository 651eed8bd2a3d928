"""What all optimizers share: one long row of numbers.

A network keeps its parameters in many arrays of many shapes. To an optimizer they are all alike: a number, its slope,
and a little memory. So it lays all of them end to end in one flat array, and lets each parameter look at its own
stretch of it: a view, which costs no copy. A step is then a few operations on long arrays, however many layers there
are.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

import numpy as np

from byhand import kernels
from byhand.optim.groups import Array, Group, Parameters, Settings, Slot, checked, lay_out

BLOCK = 1 << 17  # numbers updated at a time: few enough for the processor's cache, many enough to hide Python's cost
ELSEWHERE = {  # where a setting that people look for is to be found
    "momentum": "; take Momentum or Nesterov.",
    "nesterov": "; take Nesterov.",
    "weight_decay": ": it is AdamW's. What other frameworks call weight_decay here is l2.",
}


class Rates(NamedTuple):
    """The numbers in a compiled rule; `kernels/jit/update.py` says what they are in each."""

    lr: float
    setting1: float = 0.0
    setting2: float = 0.0
    eps: float = 0.0
    decay: float = 0.0


class Rule(NamedTuple):
    """The name of a compiled rule, and what its numbers are, given lr, t and the group's settings."""

    name: str
    rates: Callable[[float, int, Settings], Rates]


Update = TypeVar("Update", bound=Callable[..., None])


def compiled_as(name: str, rates: Callable[[float, int, Settings], Rates]) -> Callable[[Update], Update]:
    """Marks an `update` that has a compiled rule which gives the same numbers. The mark is on the formula, so whoever
    overrides the formula is rid of the rule."""

    def mark(update: Update) -> Update:
        update.rule = Rule(name, rates)  # type: ignore[attr-defined]
        return update

    return mark


@dataclass(eq=False, slots=True)
class Run:
    """Neighbouring parameters that take the same step, updated as one."""

    group: Group
    start: int
    stop: int
    steps: int


class Optimizer(ABC):
    """The base of all optimizers.

    parameters: Tensors, or (name, Tensor) pairs, or dicts {"parameters": [...], "lr": ..., ...} as groups with settings
    of their own (any but clip_norm). A parameter given twice counts once. Their `data` become views of `flat`, one
    array that holds them all, with the values they had. A parameter whose `grad` is None when `step` is called is left
    alone, and so is what is remembered of it.

    lr: the learning rate, how far to go for a slope of 1.
    l1, l2: add l1 · sign(w) and l2 · w to the gradients, which keeps weights small. PyTorch's `weight_decay` of SGD and
    Adam is this l2.
    clip_value: the largest size of an element of a gradient. clip_norm: the largest length of all gradients taken as
    one vector; longer ones are scaled down to it (Pascanu et al. 2013, section 3.2). They apply in this order, before
    l1 and l2 are added. A gradient that is not a number stays so.
    max_norm: the largest length of a row (everything but the first axis) of a parameter with two axes or more, restored
    after each step (Srivastava et al. 2014, section 5.1).

    Raises ValueError for parameters that are none, not Tensors of floats, of several dtypes, computed from others, or
    in two groups; and for a setting outside its range, or one that the algorithm does not have.
    """

    remembers: ClassVar[tuple[str, ...]] = ()
    """The names of what the algorithm remembers of each parameter, all zero at first."""

    def __init__(self, parameters: Parameters, lr: float, own: Settings | None = None, *, l1: float = 0.0,
                 l2: float = 0.0, clip_norm: float | None = None, clip_value: float | None = None,
                 max_norm: float | None = None, **unknown: Any) -> None:
        for name in unknown:
            raise ValueError(f"{type(self).__name__} has no setting {name!r}{ELSEWHERE.get(name, '.')}")
        self._lr: float = checked("lr", lr)
        self.clip_norm: float | None = checked("clip_norm", clip_norm)
        settings = {"l1": l1, "l2": l2, "clip_value": clip_value, "max_norm": max_norm, **(own or {})}
        self.groups, self.slots = lay_out(parameters, self._lr, settings)
        self.flat: Array = np.concatenate([slot.parameter.data.ravel("F" if slot.columns else "C")
                                           for slot in self.slots])
        self.gradient: Array = np.zeros_like(self.flat)
        self.memory: dict[str, Array] = {name: np.zeros_like(self.flat) for name in self.remembers}
        self.spares: Array = np.empty((2, min(BLOCK, self.flat.size)), self.flat.dtype)
        self._bind()

    @abstractmethod
    def update(self, w: Array, g: Array, spare: Array, memory: list[Array], lr: float, t: int, own: Settings) -> None:
        """The algorithm: change the parameters w in place, given their gradients g.

        All arrays are flat and of the same length; g (a copy) and spare may be overwritten. memory: what is remembered
        of these parameters, in the order of `remembers`. t: which step of theirs this is, from 1. own: the group's
        settings. `compiled_as` marks one that the compiled kernels know too.
        """

    def step(self) -> None:
        """Change every parameter that has a gradient. Where `data` was replaced, the new values are taken in first.

        Raises ValueError, before anything is changed, if a replaced `data` or a gradient has the wrong shape or dtype.
        """
        moving = self._gather()
        runs = joined(moving)
        with np.errstate(over="ignore", invalid="ignore"):  # whoever watches the loss says it better, and once
            factor = self._shortening(runs)
            for run in runs:
                self._update(run, factor)
            for slot in moving:
                if slot.group.settings["max_norm"] is not None:
                    shorten_rows(slot.values, slot.group.settings["max_norm"])
                slot.parameter.version += 1

    def zero_grad(self) -> None:
        """Forget the gradients: set each parameter's `grad` to None."""
        for slot in self.slots:
            slot.parameter.grad = None

    @property
    def rule(self) -> Rule | None:
        """The compiled rule that does what `update` does, if there is one."""
        return getattr(self.update, "rule", None)

    @property
    def lr(self) -> float:
        """The learning rate. A group with one of its own keeps its ratio to this: halving `lr` halves them all."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = checked("lr", value)

    def values(self) -> Array:
        """A copy of all parameters in one row, each in the order of its shape."""
        return np.concatenate([slot.values.reshape(-1) for slot in self.slots])

    def load_values(self, values: Array) -> None:
        """The inverse of `values`."""
        for slot in self.slots:
            slot.values[...] = values[slot.start:slot.stop].reshape(slot.shape)

    def state_dict(self) -> dict[str, Any]:
        """All that it takes, besides the parameters, to go on as if nothing had happened, to the bit.

        "arrays" holds copies of the memory, with each parameter's numbers in the order of its shape, and each
        parameter's count of steps; the rest are names, numbers and None, ready for JSON.
        """
        arrays = {name: np.concatenate([slot.part(array).reshape(-1) for slot in self.slots])
                  for name, array in self.memory.items()}
        return {"algorithm": type(self).__name__, "lr": self.lr, "clip_norm": self.clip_norm,
                "groups": [dict(group.settings) for group in self.groups],
                "arrays": {"steps": np.array([slot.steps for slot in self.slots]), **arrays}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned, settings included.

        Raises ValueError, before anything is changed, for the state of another algorithm or of other parameters.
        """
        mine = self.state_dict()
        if state.keys() != mine.keys() or state["algorithm"] != mine["algorithm"]:
            raise ValueError(f"this is not the state of {mine['algorithm']}, but of "
                             f"{state.get('algorithm', 'something else')}.")
        shapes = [{name: np.shape(array) for name, array in s["arrays"].items()} for s in (state, mine)]
        names = [[settings.keys() for settings in s["groups"]] for s in (state, mine)]
        if shapes[0] != shapes[1] or names[0] != names[1]:
            raise ValueError("this is the state of an optimizer with other parameters or groups; give this one the "
                             "same parameters, in the same order and groups.")
        lr, clip_norm = checked("lr", state["lr"]), checked("clip_norm", state["clip_norm"])
        groups = [{name: checked(name, value) for name, value in settings.items()} for settings in state["groups"]]
        self._lr, self.clip_norm = lr, clip_norm
        for group, settings in zip(self.groups, groups, strict=True):
            group.settings = settings
        for slot, steps in zip(self.slots, state["arrays"]["steps"], strict=True):
            slot.steps = int(steps)
            for name, array in self.memory.items():
                slot.part(array)[...] = state["arrays"][name][slot.start:slot.stop].reshape(slot.shape)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copied or unpickled view is an array of its own: tie the parameters to the flat array again."""
        self.__dict__.update(state)
        self._bind()

    def _bind(self) -> None:
        for slot in self.slots:
            slot.values = slot.parameter.data = slot.part(self.flat)
            slot.gradient = slot.part(self.gradient)

    def _gather(self) -> list[Slot]:
        """Put the gradients next to each other; return the places of the parameters that have one."""
        moving = []
        for slot in self.slots:
            data, grad = slot.parameter.data, slot.parameter.grad
            if data is not slot.values:
                if data.shape != slot.values.shape or data.dtype != slot.values.dtype:
                    raise ValueError(f"parameter {slot.name} is now {data.dtype} of shape {data.shape}; its optimizer "
                                     f"was made for {slot.values.dtype} of shape {slot.values.shape}: make a new one.")
                slot.values[...] = data
                slot.parameter.data = slot.values
            if grad is not None:
                if grad.shape != slot.values.shape:
                    raise ValueError(f"the gradient of parameter {slot.name} has shape {grad.shape}; it needs "
                                     f"{slot.values.shape}.")
                if grad is not slot.gradient:  # unless it was put there in the first place
                    slot.gradient[...] = grad
                moving.append(slot)
        for slot in moving:
            slot.steps += 1
        return moving

    def _shortening(self, runs: list[Run]) -> float:
        """What the gradients are to be multiplied by, to be no longer than clip_norm."""
        if self.clip_norm is None:
            return 1.0
        squares = 0.0
        for run in runs:
            for part in blocks(run):
                g = clipped(self.gradient[part], run.group, self.spares[0])
                squares += float(np.square(g, dtype=np.float64).sum())  # there any float32's square has room
        length = math.sqrt(squares)
        return self.clip_norm / length if self.clip_norm < length < math.inf else 1.0

    def _update(self, run: Run, factor: float) -> None:
        own = run.group.settings
        lr, l1, l2 = self._lr * own["lr_ratio"], own["l1"], own["l2"]
        if (rule := self.rule) and kernels.in_use() == "jit" and self.flat.dtype in (np.float32, np.float64):
            part = slice(run.start, run.stop)
            memory = {name: array[part] for name, array in self.memory.items()}
            cast(Any, kernels.compiled()).step(
                rule.name, self.flat[part], self.gradient[part], memory, rule.rates(lr, run.steps, own), l1, l2,
                own["clip_value"] or math.inf, factor)
            return
        for part in blocks(run):
            w, g = self.flat[part], clipped(self.gradient[part], run.group, self.spares[0])
            spare = self.spares[1, :len(w)]
            g *= factor
            if l1:
                g += np.multiply(np.sign(w, out=spare), l1, out=spare)
            if l2:
                g += np.multiply(w, l2, out=spare)
            parts = [array[part] for array in self.memory.values()]
            self.update(w, g, spare, parts, lr, run.steps, own)
            for numbers in (w, *parts):  # weights that nothing pulls at would get lost among numbers that are slow
                numbers[np.abs(numbers, out=spare) < np.finfo(np.result_type(w, np.float32)).tiny] = 0


def blocks(run: Run) -> Iterator[slice]:
    """A run in parts that are small enough for the processor's cache."""
    for start in range(run.start, run.stop, BLOCK):
        yield slice(start, min(start + BLOCK, run.stop))


def clipped(gradient: Array, group: Group, room: Array) -> Array:
    """A copy of a gradient, in `room`, with no element larger than clip_value."""
    g, limit = room[:len(gradient)], group.settings["clip_value"]
    g[...] = gradient
    if limit is not None:
        np.clip(g, -limit, limit, out=g)
    return g


def joined(slots: list[Slot]) -> list[Run]:
    """Join what lies side by side and takes the same step."""
    runs: list[Run] = []
    for slot in slots:
        last = runs[-1] if runs else None
        if last and last.stop == slot.start and last.group is slot.group and last.steps == slot.steps:
            last.stop = slot.stop
        else:
            runs.append(Run(slot.group, slot.start, slot.stop, slot.steps))
    return runs


def shorten_rows(values: Array, limit: float) -> None:
    """Scale rows longer than `limit` down to it, in place. What has one axis only, such as a bias, is left alone."""
    if values.ndim >= 2:
        rows = values.reshape(len(values), -1)
        rows *= limit / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), limit)
