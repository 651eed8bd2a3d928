"""Small networks with every layer that a compiled program knows, and what trains them. (This module needs Numba.)"""

import numpy as np

from byhand import losses, nn, optim
from byhand.compiled.learner import learner
from byhand.data import Dataset, Loader

DIGIT, COLOUR = (1, 12, 12), (3, 9, 10)


def activations(r):
    return [nn.LeakyReLU(0.1), nn.ELU(0.7), nn.GELU(), nn.SiLU(), nn.Softplus(), nn.Tanh(), nn.Sigmoid(), nn.ReLU()]


NETWORKS = {
    "linear": (DIGIT, lambda r: [nn.Flatten(), nn.Linear(144, 5, r)]),
    "perceptron": (DIGIT, lambda r: [nn.Flatten(), nn.Linear(144, 17, r), nn.ReLU(), nn.Linear(17, 5, r)]),
    "no biases": ((40,), lambda r: [nn.Linear(40, 33, r, bias=False), nn.ReLU(), nn.Linear(33, 5, r, bias=False)]),
    "every activation": ((6,), lambda r: [layer for bend in activations(r) for layer in (nn.Linear(6, 6, r), bend)]
                         + [nn.Linear(6, 5, r)]),
    "features": (COLOUR, lambda r: [nn.Flatten(), nn.Linear(270, 20, r), nn.BatchNorm1d(20), nn.ReLU(),
                                    nn.Linear(20, 5, r), nn.BatchNorm1d(5)]),
    "pool, then relu": (DIGIT, lambda r: [nn.Conv2d(1, 6, 3, r), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(),
                                          nn.Linear(150, 5, r)]),
    "relu, then pool": (COLOUR, lambda r: [nn.Conv2d(3, 17, 3, r, padding=1), nn.ReLU(), nn.MaxPool2d(3), nn.Flatten(),
                                           nn.Linear(153, 5, r)]),
    "pool without relu": (DIGIT, lambda r: [nn.Conv2d(1, 4, 3, r), nn.MaxPool2d(2), nn.Flatten(),
                                            nn.Linear(100, 5, r)]),
    "two convolutions": (DIGIT, lambda r: [nn.Conv2d(1, 8, 5, r), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(8, 33, 3, r),
                                           nn.ReLU(), nn.Flatten(), nn.Linear(132, 5, r)]),
    "strides and dilation": (COLOUR, lambda r: [nn.Conv2d(3, 5, 3, r, stride=2, padding=2), nn.ReLU(),
                                                nn.Conv2d(5, 6, (2, 3), r, dilation=(1, 2), padding=(0, 2)),
                                                nn.Tanh(), nn.Flatten(), nn.Linear(6 * 5 * 6, 5, r)]),
    "groups": (COLOUR, lambda r: [nn.Conv2d(3, 6, 3, r), nn.ReLU(), nn.Conv2d(6, 4, 3, r, groups=2), nn.ReLU(),
                                  nn.Conv2d(4, 4, 3, r, groups=4, padding=1), nn.Flatten(),
                                  nn.Linear(4 * 5 * 6, 5, r)]),
    "batch norms": (DIGIT, lambda r: [nn.Conv2d(1, 6, 3, r, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
                                      nn.Conv2d(6, 7, 3, r), nn.MaxPool2d(3), nn.BatchNorm2d(7), nn.ReLU(),
                                      nn.Flatten(), nn.Linear(7, 5, r)]),
    "pools of their own": (COLOUR, lambda r: [nn.MaxPool2d(3, stride=2, padding=1), nn.Conv2d(3, 4, 2, r), nn.Sigmoid(),
                                              nn.AvgPool2d(2, stride=1), nn.MaxPool2d(2, stride=1),
                                              nn.GlobalAvgPool2d(), nn.Linear(4, 5, r)]),
    "nested": (DIGIT, lambda r: [nn.Sequential(nn.Conv2d(1, 4, 3, r), nn.Sequential(nn.ReLU(), nn.Flatten())),
                                 nn.Linear(400, 5, r)]),
    "one pixel": ((2, 1, 1), lambda r: [nn.Conv2d(2, 3, 1, r), nn.ReLU(), nn.Flatten(), nn.Linear(3, 5, r)]),
}
HARDLY = {np.float32: {"rtol": 2e-3, "atol": 2e-4}, np.float64: {"rtol": 1e-9, "atol": 1e-11}}


def network(name, dtype=np.float64, seed=0):
    shape, layers = NETWORKS[name]
    return shape, nn.Sequential(*layers(np.random.default_rng(seed))).to(dtype)


def samples(shape, n, dtype=np.float64, seed=1):
    rng = np.random.default_rng(seed)
    return Dataset(rng.normal(size=(n, *shape)).astype(dtype), rng.integers(0, 5, n))


def compiled(model, data, batch_size, loss=losses.cross_entropy, make=optim.SGD, lr=0.1, dtype=None):
    optimizer = make(model.parameters(), lr=lr)
    loader = Loader(data, batch_size, dtype=dtype or data.inputs.dtype)
    return learner(model, optimizer, loss, loader), optimizer, loader


def gradients(trained, inputs, targets, loss, rng):
    """One batch, there and back."""
    return trained.gradients(trained.samples_of(inputs, targets), np.arange(len(inputs)), loss, rng)
