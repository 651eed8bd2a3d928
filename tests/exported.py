"""Every layer alone, and small networks of several, for the tests of all formats that a model goes into."""

import numpy as np

from byhand import nn
from byhand.data import Normalize
from byhand.files import SavedModel

PICTURE, COLOUR, CHANNELS, TABLE = (1, 8, 8), (3, 9, 10), (4, 8, 8), (6,)


def trained(norm):
    """A batch norm that has seen something."""
    rng = np.random.default_rng(5)
    n = norm.num_features
    norm.load_state_dict({"weight": rng.normal(1, 0.3, n), "bias": rng.normal(size=n), "num_batches_tracked": 7,
                          "running_mean": rng.normal(size=n), "running_var": rng.uniform(0.2, 3, n)})
    return norm


def shifted(norm):
    """A layer norm that has learned something."""
    rng = np.random.default_rng(6)
    norm.load_state_dict({name: rng.normal(size=norm.normalized_shape) for name in ("weight", "bias")})
    return norm


ALONE = {  # the shape of a sample, and the layer
    "AvgPool2d": (CHANNELS, lambda r: nn.AvgPool2d(3, stride=2, padding=1)),
    "BatchNorm1d": (TABLE, lambda r: trained(nn.BatchNorm1d(6, eps=1e-3, momentum=0.2))),
    "BatchNorm2d": (CHANNELS, lambda r: trained(nn.BatchNorm2d(4))),
    "Conv2d": (CHANNELS, lambda r: nn.Conv2d(4, 6, (3, 2), r, stride=2, padding=(1, 0), dilation=(1, 2), groups=2,
                                             bias=False)),
    "Dropout": (TABLE, lambda r: nn.Dropout(0.25)),
    "ELU": (TABLE, lambda r: nn.ELU(0.5)),
    "Flatten": (CHANNELS, lambda r: nn.Flatten()),
    "GELU": (TABLE, lambda r: nn.GELU()),
    "GlobalAvgPool2d": (CHANNELS, lambda r: nn.GlobalAvgPool2d()),
    "LayerNorm": (CHANNELS, lambda r: shifted(nn.LayerNorm((8, 8), eps=1e-3))),
    "LeakyReLU": (TABLE, lambda r: nn.LeakyReLU(0.2)),
    "Linear": (TABLE, lambda r: nn.Linear(6, 3, r)),
    "LogSoftmax": (TABLE, lambda r: nn.LogSoftmax()),
    "MaxPool2d": (CHANNELS, lambda r: nn.MaxPool2d((2, 3))),
    "ReLU": (TABLE, lambda r: nn.ReLU()),
    "Residual": (TABLE, lambda r: nn.Residual(nn.Linear(6, 3, r), nn.Tanh(), shortcut=nn.Linear(6, 3, r, bias=False))),
    "Sequential": (TABLE, lambda r: nn.Sequential(nn.Sequential(nn.Linear(6, 4, r)), nn.Residual(nn.ReLU()))),
    "SiLU": (TABLE, lambda r: nn.SiLU()),
    "Sigmoid": (TABLE, lambda r: nn.Sigmoid()),
    "Softmax": (TABLE, lambda r: nn.Softmax()),
    "Softplus": (TABLE, lambda r: nn.Softplus()),
    "Tanh": (TABLE, lambda r: nn.Tanh()),
}
TOGETHER = {  # the shape of a sample, and the layers
    "without a bias": (TABLE, lambda r: [nn.Linear(6, 5, r, bias=False), nn.ReLU(), nn.Linear(5, 3, r)]),
    "perceptron": (PICTURE, lambda r: [nn.Flatten(), nn.Linear(64, 17, r), nn.ReLU(), nn.Dropout(0.3),
                                       nn.Linear(17, 5, r)]),
    "activations": (TABLE, lambda r: [layer for bend in (nn.LeakyReLU(0.1), nn.ELU(0.7), nn.GELU(), nn.SiLU(),
                                                         nn.Softplus(), nn.Tanh(), nn.Sigmoid(), nn.ReLU())
                                      for layer in (nn.Linear(6, 6, r), bend)] + [nn.Linear(6, 5, r)]),
    "settings that are whole numbers": (TABLE, lambda r: [nn.ELU(2), nn.LeakyReLU(0), nn.BatchNorm1d(6, eps=1),
                                                          nn.LayerNorm(6, eps=1)]),
    "softmax": (TABLE, lambda r: [nn.Linear(6, 5, r), nn.Softmax()]),
    "log softmax": (TABLE, lambda r: [nn.Linear(6, 5, r), nn.LogSoftmax()]),
    "features": (TABLE, lambda r: [trained(nn.BatchNorm1d(6)), nn.Linear(6, 8, r), trained(nn.BatchNorm1d(8)),
                                   nn.ReLU(), nn.Linear(8, 4, r, bias=False), trained(nn.BatchNorm1d(4))]),
    "layer norm": (TABLE, lambda r: [nn.Linear(6, 8, r), shifted(nn.LayerNorm(8)), nn.Linear(8, 4, r)]),
    "norm of a picture": (COLOUR, lambda r: [shifted(nn.LayerNorm((3, 9, 10))), nn.Flatten(), nn.Linear(270, 4, r)]),
    "along the last axis": (COLOUR, lambda r: [nn.Linear(10, 7, r), shifted(nn.LayerNorm((9, 7))), nn.Softmax(),
                                               nn.LogSoftmax(), nn.Flatten(), nn.Linear(189, 4, r)]),
    "without a bias on pictures": (CHANNELS, lambda r: [nn.Linear(8, 3, r, bias=False)]),
    "sequences": ((5, 8), lambda r: [nn.Linear(8, 8, r), shifted(nn.LayerNorm(8)), nn.Softmax()]),
    "sequences in rows": ((5, 8), lambda r: [nn.Flatten()]),
    "convolution": (PICTURE, lambda r: [nn.Conv2d(1, 6, 3, r), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                                        nn.Linear(54, 5, r)]),
    "odd convolutions": (COLOUR, lambda r: [nn.Conv2d(3, 6, (2, 3), r, stride=(1, 2), padding=(2, 0), dilation=(2, 1)),
                                            nn.Tanh(), nn.Conv2d(6, 4, 3, r, groups=2, padding=1, bias=False),
                                            trained(nn.BatchNorm2d(4)), nn.ReLU(), nn.Flatten(),
                                            nn.Linear(4 * 11 * 4, 5, r)]),
    "windows outside the picture": (PICTURE, lambda r: [
        nn.Conv2d(1, 2, 1, r, padding=2, stride=2), nn.Conv2d(2, 3, 2, r, padding=5, dilation=3),
        nn.Conv2d(3, 2, (1, 3), r, padding=(3, 6), stride=(3, 2), dilation=(1, 4)), nn.Flatten()]),
    "wide padding, two filters a channel": (CHANNELS, lambda r: [nn.Conv2d(4, 8, 3, r, padding=5, groups=4)]),
    "depthwise": (COLOUR, lambda r: [nn.Conv2d(3, 6, 3, r, groups=3, padding=1), nn.Conv2d(6, 5, 1, r),
                                     nn.GlobalAvgPool2d()]),
    "pools": (COLOUR, lambda r: [nn.MaxPool2d((3, 2), stride=(2, 1), padding=(1, 1)),
                                 nn.AvgPool2d(3, stride=2, padding=1), trained(nn.BatchNorm2d(3)), nn.Flatten(),
                                 nn.Linear(54, 4, r)]),
    "overlapping pools": (CHANNELS, lambda r: [nn.MaxPool2d(3, stride=1, padding=1)]),
    "norm after a pool": (PICTURE, lambda r: [nn.Conv2d(1, 4, 3, r), nn.AvgPool2d(2), trained(nn.BatchNorm2d(4)),
                                              nn.GlobalAvgPool2d(), nn.Linear(4, 3, r)]),
    "residual": (PICTURE, lambda r: [nn.Conv2d(1, 4, 3, r), nn.Residual(
        nn.Conv2d(4, 4, 3, r, padding=1), trained(nn.BatchNorm2d(4)), nn.ReLU()), nn.Flatten(), nn.Linear(144, 3, r)]),
    "shortcut": (PICTURE, lambda r: [nn.Residual(
        nn.Conv2d(1, 4, 3, r, stride=2, padding=1), nn.Residual(nn.Tanh(), nn.Residual(nn.SiLU())),
        shortcut=nn.Sequential(nn.Conv2d(1, 4, 1, r, stride=2), trained(nn.BatchNorm2d(4)))), nn.Flatten(),
        nn.Linear(64, 3, r)]),
    "residual first and last": (TABLE, lambda r: [nn.Residual(nn.ReLU()), nn.Residual(), nn.Residual(
        nn.Linear(6, 6, r), trained(nn.BatchNorm1d(6)))]),
    "residuals in residuals": (TABLE, lambda r: [nn.Dropout(0.5), nn.Residual(nn.Residual(nn.SiLU())), nn.SiLU()]),
    "x + x": (TABLE, lambda r: [nn.Residual(shortcut=nn.Dropout(0.5))]),
    "norm of a shared value": (TABLE, lambda r: [nn.Linear(6, 6, r),
                                                 nn.Residual(trained(nn.BatchNorm1d(6)), nn.ReLU())]),
    "within": (TABLE, lambda r: [nn.Sequential(nn.Linear(6, 6, r)), trained(nn.BatchNorm1d(6)), nn.Sequential(),
                                 nn.Sequential(nn.Sequential(nn.Tanh(), nn.Linear(6, 4, r)))]),
    "nothing": (TABLE, lambda r: []),
}
NETWORKS = {name: (shape, lambda r, layers=layers: nn.Sequential(*layers(r)))
            for name, (shape, layers) in TOGETHER.items()} | ALONE


def network(name):
    return NETWORKS[name][1](np.random.default_rng(0))


def saved(name, normalize=None, **options):
    """One of them as a SavedModel."""
    return SavedModel(network(name), NETWORKS[name][0], normalize, **options)


def classes_of(name):
    """A name for each number that it answers with, if it answers with a row of numbers."""
    shape = network(name).output_shape(NETWORKS[name][0])
    return tuple(f"né {i}" for i in range(*shape)) if len(shape) == 1 else ()


def samples(name, n=20, seed=1):
    return np.random.default_rng(seed).normal(size=(n, *NETWORKS[name][0])).astype(np.float32)


def layers_of(module):
    """The names of all kinds of layers in a network."""
    return {type(part).__name__ for _, part in module.named_modules()}


PIXELS = Normalize(0.3, 0.25)
