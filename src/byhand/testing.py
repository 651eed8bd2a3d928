"""Is the gradient right? Nudge each number a little, see how much the result moves, and compare.

That is a central difference, (f(a + h) - f(a - h)) / 2h: the definition of a slope, nearly taken at its word. It needs
two runs of f for every number, far too slow to train with, but it knows nothing of the gradient's code, so where the
two agree the code is right. A wrong gradient seldom shows in the accuracy (networks learn around it), which is why it
must be looked for.

    >>> from byhand import check_grad, ops
    >>> check_grad(ops.multiply, [1.0, 2.0], [3.0, 4.0])

Everything runs in float64. The result is made one number by adding up its elements with random weights. Besides single
elements, a whole argument is moved along a random direction at once, so that no element goes unseen however many there
are.
"""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from byhand.autodiff import no_grad
from byhand.nn.module import Module, evaluating, training, watch
from byhand.tensor import Tensor

Array = np.ndarray[Any, Any]
STEP = 1e-6


class GradientError(AssertionError):
    """A gradient differs from the central difference."""


def check_grad(f: Callable[..., Any], *args: Any, loss: Callable[..., Any] | None = None, rtol: float = 1e-5,
               atol: float = 1e-7, most: int = 200, in_training: bool = False, seed: int = 0) -> None:
    """Compare the gradients of `f` with central differences in float64.

    f(*args): any function of Tensors that returns a Tensor, such as an operation. Arrays (or lists) of floats are the
    arguments checked; anything else is passed on as it is. Of each argument at most `most` elements are tried one by
    one, chosen by `seed`, and all of them together along a random direction.

    f may be a network: `check_grad(model, x, y, loss=losses.cross_entropy)` checks the gradient of the loss in every
    parameter and in x, and if one is wrong finds the layer to blame. The model is copied, not changed. With
    in_training=True, layers behave as in training, with the same random numbers each time.

    Raises GradientError (an AssertionError), which names the operation or the layer, the argument, the index, and the
    expected and the found value; ValueError if there is nothing to check. Returns nothing if all is well.
    """
    settings: dict[str, Any] = {"rtol": rtol, "atol": atol, "most": most, "seed": seed}
    if isinstance(f, Module):
        check_network(f, *args, loss=loss, in_training=in_training, **settings)
        return
    if loss is not None or in_training:
        raise ValueError("loss and in_training are for networks; put the loss into the function to check.")
    plain = [a.data if isinstance(a, Tensor) else a for a in args]
    values = [np.array(a, dtype=np.float64) if is_floats(a) else a for a in plain]
    variables = [(f"argument {i}", v) for i, v in enumerate(values) if is_floats(v)]
    if not variables:
        raise ValueError("check_grad found no array of floats among the arguments to check; whole numbers are passed "
                         "on as they are, so write [1.0, 2.0] or give dtype=float.")
    tensors = [Tensor(v, requires_grad=True) if is_floats(v) else v for v in values]
    found = [t for t in tensors if isinstance(t, Tensor)]
    name = getattr(f, "__name__", "<lambda>").lstrip("_")
    if name == "<lambda>":  # and for f = partial(...): the operation that its result comes from
        name = getattr(f(*tensors), "op", "") or type(f).__name__
    compare(f"'{name}'", lambda: f(*tensors), variables, found, **settings)


def is_floats(a: Any) -> bool:
    """Whether this is an array (or a list) of floating-point numbers."""
    return isinstance(a, np.ndarray | list) and np.asarray(a).dtype.kind == "f"


def check_network(model: Module, x: Any, targets: Any = None, *, loss: Callable[..., Any] | None, in_training: bool,
                  **settings: Any) -> None:
    """`check_grad` of a whole network; a wrong gradient is traced to the layer, or the loss, that it comes from."""
    network = copy.deepcopy(model).to(np.float64)
    batch = Tensor(np.array(x, dtype=np.float64), requires_grad=True)

    def objective(y: Tensor) -> Any:
        return y if loss is None else loss(y, targets)

    def run(layer: Module, value: Tensor) -> Any:
        with training(np.random.default_rng(settings["seed"])) if in_training else evaluating():
            return layer(value)

    try:
        named = {name: p for name, p in network.named_parameters() if p.requires_grad}
        compare("the network", lambda: objective(run(network, batch)),
                [("x", batch.data), *((n, p.data) for n, p in named.items())], [batch, *named.values()], **settings)
    except GradientError as error:
        with no_grad(), watch() as calls:
            output = run(network, batch)
        paths = {id(module): path for path, module in network.named_modules()}
        for layer, given, _ in calls:
            if any(True for _ in layer.children()):
                continue
            value = Tensor(given.data.copy(), requires_grad=True)
            own = {name: p for name, p in layer.named_parameters() if p.requires_grad}
            compare(f"layer '{paths[id(layer)]}', {layer!r},", partial(run, layer, value),
                    [("its input", value.data), *((n, p.data) for n, p in own.items())], [value, *own.values()],
                    **settings)
        logits = Tensor(output.data.copy(), requires_grad=True)
        compare(f"the loss '{getattr(loss, '__name__', 'loss')}'", lambda: objective(logits),
                [("its input", logits.data)], [logits], **settings)
        raise GradientError(f"{error} Each layer and the loss are right by themselves: the fault is in how the network "
                            "puts them together.") from None


def compare(name: str, run: Callable[[], Any], variables: Sequence[tuple[str, Array]], tensors: Sequence[Tensor], *,
            rtol: float, atol: float, most: int, seed: int) -> None:
    """Hold the gradients that `run().backward()` leaves in `tensors` against differences of `run` as `variables`, the
    arrays of the same tensors, are moved in place."""
    rng = np.random.default_rng(seed)
    for t in tensors:
        t.grad = None
    result = run()
    if not isinstance(result, Tensor):
        raise ValueError("check_grad needs a function that returns a Tensor; "
                         f"{name} returned a {type(result).__name__}.")
    projection = rng.normal(size=result.shape)
    if not result.requires_grad:
        raise GradientError(f"{name} has no gradient: what it returns does not depend on its arguments, or was cut "
                            "off.")
    result.backward(projection)

    def slope(array: Array, direction: Any, where: Any, step: float) -> float:
        kept = array[where].copy()
        ends = []
        for h in (step, -step):
            array[where] = kept + h * direction
            with no_grad():
                ends.append(np.sum(run().data * projection))
        array[where] = kept
        return float((ends[0] - ends[1]) / (2 * step))

    for (argument, array), tensor in zip(variables, tensors, strict=True):
        gradient = np.zeros_like(array) if tensor.grad is None else tensor.grad
        # elements first: their message says where
        chosen = rng.permutation(array.size)[:most]
        trials: list[tuple[Any, Any, str]] = [(np.unravel_index(int(i), array.shape), 1.0, "") for i in chosen]
        trials.append((..., rng.normal(size=array.shape), "a random direction"))
        for where, direction, label in trials:
            found = float(np.sum(gradient[where] * direction))
            expected = slope(array, direction, where, STEP)
            if close(found, expected, rtol, atol):
                continue
            # a kink (as of relu at 0) between the two ends is no mistake: try closer, where rounding shows more
            expected = slope(array, direction, where, STEP / 50)
            if not close(found, expected, rtol, 20 * atol):
                place = label or f"index {tuple(int(i) for i in where)}"
                raise GradientError(f"the gradient of {name} in {argument} at {place} is wrong: expected "
                                    f"{expected:.8g} (by central difference), found {found:.8g}.")


def close(found: float, expected: float, rtol: float, atol: float) -> bool:
    """Whether two slopes agree. Something that is not a number agrees with nothing."""
    return abs(found - expected) <= atol + rtol * max(abs(found), abs(expected))
