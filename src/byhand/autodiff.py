"""The engine: how a program learns the slope of everything it computes.

Write a calculation as a chain of small steps. Each step knows one fact of school calculus: how much its result moves
when one of its inputs moves. The chain rule says that slopes along a chain multiply, and that slopes arriving by
several ways add up. So it is enough to remember, for every value, which values it came from and the slope of that one
step; then walk back from the result, once, in the right order, multiplying and adding. That walk is called reverse-mode
automatic differentiation, or backpropagation (Linnainmaa 1970; Rumelhart, Hinton and Williams 1986), and it is all of
this file.

The engine does not know what a value is. `byhand.scalar` puts single numbers in, `byhand.tensor` puts arrays in.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ClassVar

Gradient = Callable[[Any], Any]
"""How a step passes a slope back: from the gradient of its result to the gradient of one of its arguments."""


class GraphError(RuntimeError):
    """`backward()` was asked for something that the recorded graph cannot give."""


class Node:
    """A value that remembers where it came from.

    data: the value itself, a number or an array.
    grad: after `backward()`, the slope of the result with respect to this value, in the shape of `data`; before, None.
    requires_grad: whether anybody wants that slope. What does not need one is not recorded.
    links: one (parent, gradient function, version of the parent) for each differentiable argument; empty for a leaf.
    op: the name of the operation that made it, "" for a leaf.
    version: counts changes in place, so that a graph recorded before such a change can tell. Optimizers' steps and
        `load_state_dict` count; whoever changes `data` by hand adds 1, or `backward()` cannot see it.
    """

    __slots__ = ("__weakref__", "data", "grad", "links", "op", "requires_grad", "version")

    kind: ClassVar[type[Node]]
    """What an operation on such nodes returns. Each granularity sets it to its own class."""

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.data: Any = data
        self.grad: Any = None
        self.requires_grad = requires_grad
        self.links: tuple[tuple[Node, Gradient, int], ...] | None = ()
        self.op = ""
        self.version = 0

    def backward(self, gradient: Any = 1.0, retain_graph: bool = False) -> None:
        """Fill `grad` of every node that this one was computed from and that requires it.

        Gradients of leaves add up over several calls, as gradients of a sum do; set `grad` to None to start afresh.
        The graph is released on the way, so that its memory is free again when this returns; `retain_graph=True` keeps
        it for another call.

        Raises GraphError if nothing was recorded, if an earlier call released a part of the graph, or if the `version`
        of a value went on after the graph had used it: it was changed in place by an optimizer's step or by
        `load_state_dict`, and the gradients would be those of another calculation.
        """
        if not self.requires_grad:
            raise GraphError("backward() found nothing to differentiate: no value in this calculation has "
                             "requires_grad=True, or it was computed under no_grad().")
        order = topological(self)
        for node in order:
            check_links(node)
        for node in order:
            if node.links:  # an inner value; only leaves add up over calls
                node.grad = None
        self.grad = gradient if self.grad is None else self.grad + gradient
        while order:
            node = order.pop()
            received = node.grad
            for parent, gradient_of, _ in node.links or ():
                g = unbroadcast(gradient_of(received), parent.data)
                if parent.grad is not None:
                    g = parent.grad + g
                parent.grad = g if parent.links else own(g, received)
            if node.links and not retain_graph:
                node.links = None

    def detach(self) -> Node:
        """The same value, cut off from its history: a constant to everything computed from it."""
        return self.kind(self.data)


def topological(root: Node) -> list[Node]:
    """Every inner node below `root`, each after all the nodes that it came from; `root` is the last.

    Depth first, with a stack of our own: Python's call stack would end at a chain of a thousand steps. Leaves need no
    place in the order, since they pass nothing on.
    """
    order: list[Node] = []
    seen: set[int] = set()
    stack = [(root, False)]
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((parent, False) for parent, _, _ in node.links or () if parent.links != ())
    return order


def check_links(node: Node) -> None:
    """Refuse, before any gradient is touched, a graph that would give wrong ones."""
    if node.links is None:
        raise GraphError(f"backward() came to a result of '{node.op}' whose graph an earlier backward() released. "
                         "Compute it again, or call the earlier backward() with retain_graph=True.")
    for parent, _, version in node.links:
        if parent.version != version:
            raise GraphError(f"a value used by '{node.op}' was changed in place (by an optimizer's step or "
                             "load_state_dict) after the forward pass; compute the result again before backward().")


def unbroadcast(g: Any, like: Any) -> Any:
    """Bring a gradient to the shape and dtype of its value.

    Where an operation repeated `like` along an axis, every copy has sent its own slope back, and slopes add: the
    gradient is the sum over that axis. Plain numbers pass through. Raises GraphError for a shape that no repeating of
    `like` gives: a mistake in an operation's gradient.
    """
    shape = getattr(like, "shape", None)
    if shape is None:
        return g
    if g.shape != shape:
        extra = g.ndim - len(shape)
        if extra < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[extra:], strict=True)):
            raise GraphError(f"an operation gave a gradient of shape {g.shape} for an argument of shape {shape}.")
        repeated = tuple(i for i in range(g.ndim) if i < extra or g.shape[i] != shape[i - extra])
        g = g.sum(axis=repeated, keepdims=True).reshape(shape)
    return g if g.dtype == like.dtype else g.astype(like.dtype)


def own(g: Any, received: Any) -> Any:
    """A leaf's gradient is its own: copied where the array also belongs to somebody else (as in a + b), and an array
    even where NumPy's arithmetic has made a bare number of it."""
    if hasattr(g, "reshape") and (g is received or g.base is not None or not g.shape):
        return g[...].copy()
    return g


# --- recording --------------------------------------------------------------------------------------------------------

_recording: ContextVar[bool] = ContextVar("recording", default=True)


@contextmanager
def no_grad() -> Iterator[None]:
    """Within this context (of this thread only) nothing is recorded: results are constants and memory is not held.

    Also a decorator: `@no_grad()`.
    """
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


def op(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a function on plain values, written with its gradients, into an operation on nodes.

    `function(*arguments, **options)` returns its value followed by one gradient function for each argument, in order;
    None where an argument has no gradient. It returns the bare value if it has no gradient at all (a comparison). The
    engine asks only for those gradients that somebody needs. A gradient function must not change what it is given.

    If no argument is a node, the plain value comes back.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def apply(*arguments: Any, **options: Any) -> Any:
        for option in options.values():
            if isinstance(option, Node):  # f(x, weight=w): put w in its place
                bound = signature.bind(*arguments, **options)
                bound.apply_defaults()
                arguments, options = bound.args, bound.kwargs
                break
        node = None
        needed = False
        plain = []
        for a in arguments:
            if isinstance(a, Node):
                node = a
                needed = needed or a.requires_grad
                plain.append(a.data)
            else:
                plain.append(a)
        result = function(*plain, **options)
        if not isinstance(result, tuple):
            return result if node is None else node.kind(result)
        if node is None:
            return result[0]
        value = node.kind(result[0])
        if needed and _recording.get():
            value.op = function.__name__.lstrip("_")
            gradients = result[1:]
            value.links = tuple([(a, gradient, a.version) for a, gradient in zip(arguments, gradients, strict=False)
                                 if isinstance(a, Node) and a.requires_grad and gradient is not None])
            value.requires_grad = bool(value.links)
            for i, a in enumerate(arguments[len(gradients):], len(gradients)):
                if isinstance(a, Node) and a.requires_grad:
                    raise GraphError(f"'{value.op}' has no gradient for its argument {i}, which requires one; give a "
                                     "plain value, or detach() it.")
        return value

    return apply


def once(function: Gradient) -> Gradient:
    """Remember the last answer: for work that several gradients of one operation share."""
    last_g: Any = None
    last_answer: Any = None

    def remembered(g: Any) -> Any:
        nonlocal last_g, last_answer
        if last_g is not g:
            last_g, last_answer = g, function(g)
        return last_answer

    return remembered
