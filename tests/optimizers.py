"""Every optimizer, for the tests of what they share, and parameters with gradients for them to step by."""

from functools import partial

import numpy as np
import pytest

from byhand import Tensor, optim

ALL = [partial(optim.SGD, lr=0.1), partial(optim.Momentum, lr=0.1), partial(optim.Nesterov, lr=0.1),
       partial(optim.Adagrad, lr=0.1), partial(optim.RMSprop, lr=0.1), partial(optim.Adam, lr=0.1),
       partial(optim.AdamW, lr=0.1)]
each_optimizer = pytest.mark.parametrize("make", ALL, ids=[make.func.__name__ for make in ALL])

SHAPES = [(5, 4), (5,), (), (3, 5, 2, 2), (3,)]


def parameters(dtype=np.float64, shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    return [Tensor(rng.normal(size=shape).astype(dtype), requires_grad=True) for shape in shapes]


def give_gradients(params, step=0):
    rng = np.random.default_rng(100 + step)
    for p in params:
        p.grad = rng.normal(size=p.shape).astype(p.dtype)


def values(params):
    return [p.numpy().copy() for p in params]
