"""The race as JAX runs it: a compiled step whose old weights give their memory to the new ones, or a whole epoch in one
call (`lax.scan`).

Written as JAX's own tutorials have it, with the Adam of Kingma and Ba's paper spelled out. Pictures are (N, H, W, C),
which XLA prefers on a CPU. Max pooling comes twice: by `reduce_window`, as the libraries of layers on JAX do it, and as
the maximum over a reshaped array, which learns faster here. (Where two pixels are the same, it shares the slope.)
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from byhand.bench.turns import Turn
from byhand.bench.work import RATE, Digits

Weights = list[tuple[Any, Any]]


@contextmanager
def processor(threads: int) -> Iterator[None]:
    """JAX reads how many threads it may have when it wakes up, from the environment, and never again."""
    settings = {"PJRT_NPROC": str(threads), "JAX_PLATFORMS": "cpu"}
    if threads == 1:
        settings["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        import jax

        jax.devices()
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def first_weights(*shapes: tuple[int, ...]) -> Weights:
    """He-normal weights of these shapes (the outputs last), each with its biases."""
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    return [(jnp.asarray(rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape), jnp.float32), jnp.zeros(shape[-1]))
            for shape in shapes]


def dense(x: Any, layers: Weights) -> Any:
    """Linear layers with relu between them."""
    import jax

    for weight, bias in layers[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = layers[-1]
    return x @ weight + bias


def mlp(weights: Weights, images: Any) -> Any:
    """784-128-64-10."""
    return dense(images.reshape(len(images), -1), weights)


def fast(weights: Weights, images: Any, pool: Callable[[Any], Any]) -> Any:
    """24c5-pool-32c3-pool-256-10."""
    import jax
    from jax import lax

    x = images
    for weight, bias in weights[:2]:
        x = lax.conv_general_dilated(x, weight, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")) + bias
        x = jax.nn.relu(pool(x))
    return dense(x.reshape(len(x), -1), weights[2:])


def pool_by_window(x: Any) -> Any:
    """The largest of each 2 × 2 pixels, as flax.linen.max_pool computes it."""
    import jax.numpy as jnp
    from jax import lax

    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def pool_by_reshape(x: Any) -> Any:
    """The same numbers, by giving the pixels of a window axes of their own."""
    n, rows, columns, channels = x.shape
    return x.reshape(n, rows // 2, 2, columns // 2, 2, channels).max((2, 4))


def updates(forward: Callable[[Weights, Any], Any]) -> Callable[..., Any]:
    """(state, images, labels) -> the state after a step of Adam. A state is weights, both moments and a count."""
    import jax
    import jax.numpy as jnp

    def loss(weights: Weights, images: Any, labels: Any) -> Any:
        logarithms = jax.nn.log_softmax(forward(weights, images))
        return -jnp.take_along_axis(logarithms, labels[:, None], axis=1).mean()

    def update(state: Any, images: Any, labels: Any) -> Any:
        weights, mean, square, count = state
        slopes = jax.grad(loss)(weights, images, labels)
        count += 1
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, slopes)
        square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, square, slopes)
        weights = jax.tree.map(lambda w, m, v: w - RATE * (m / (1 - 0.9**count)) /
                               (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8), weights, mean, square)
        return weights, mean, square, count

    return update


def first_state(weights: Weights) -> Any:
    """Adam before its first step."""
    import jax
    import jax.numpy as jnp

    return weights, jax.tree.map(jnp.zeros_like, weights), jax.tree.map(jnp.zeros_like, weights), jnp.zeros(())


def model_of(name: str, pool: Callable[[Any], Any]) -> tuple[Weights, Callable[[Weights, Any], Any]]:
    """First weights, and the function that they belong to."""
    if name == "fast":
        return (first_weights((5, 5, 1, 24), (3, 3, 24, 32), (800, 256), (256, 10)),
                lambda weights, images: fast(weights, images, pool))
    return first_weights((784, 128), (128, 64), (64, 10)), mlp


def on_device(digits: Digits, count: int) -> tuple[Any, Any]:
    """The first images, channels last, and their labels."""
    import jax.numpy as jnp

    return jnp.asarray(digits.images[:count].transpose(0, 2, 3, 1)), jnp.asarray(digits.labels[:count].astype(np.int32))


def stepping(name: str, digits: Digits, batch: int, steps: int, threads: int,
             pool: Callable[[Any], Any] = pool_by_window) -> Turn:
    """A part of an epoch, one compiled call a batch."""
    with processor(threads):
        import jax
    weights, forward = model_of(name, pool)
    update = updates(forward)
    step = jax.jit(lambda state, images, labels, index: update(state, images[index], labels[index]), donate_argnums=0)
    images, labels = on_device(digits, batch * steps)
    state, rng = first_state(weights), np.random.default_rng(0)

    def turn() -> float:
        nonlocal state
        begun = time.perf_counter()
        for index in rng.permutation(batch * steps).reshape(steps, batch):
            state = step(state, images, labels, index)
        jax.block_until_ready(state)
        return time.perf_counter() - begun

    return turn


def stepping_by_reshape(name: str, digits: Digits, batch: int, steps: int, threads: int) -> Turn:
    """The same with the other pooling."""
    return stepping(name, digits, batch, steps, threads, pool_by_reshape)


def scanning(name: str, digits: Digits, batch: int, steps: int, threads: int) -> Turn:
    """A part of an epoch in one compiled call."""
    with processor(threads):
        import jax
        from jax import lax
    weights, forward = model_of(name, pool_by_window)
    update = updates(forward)

    def whole(state: Any, images: Any, labels: Any, order: Any) -> Any:
        return lax.scan(lambda state, index: (update(state, images[index], labels[index]), None), state, order)[0]

    epoch = jax.jit(whole, donate_argnums=0)
    images, labels = on_device(digits, batch * steps)
    state, rng = first_state(weights), np.random.default_rng(0)

    def turn() -> float:
        nonlocal state
        begun = time.perf_counter()
        order = rng.permutation(batch * steps).reshape(steps, batch)
        state = jax.block_until_ready(epoch(state, images, labels, order))
        return time.perf_counter() - begun

    return turn
