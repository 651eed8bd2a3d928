"""One of every layer, each with the shape of a batch that it reads, for the tests of files."""

from byhand import nn

PICTURES, ROWS = (2, 4, 8, 8), (5, 6)

EXAMPLES = {
    "AvgPool2d": (lambda rng: nn.AvgPool2d(3, stride=2, padding=1), PICTURES),
    "BatchNorm1d": (lambda rng: nn.BatchNorm1d(6, eps=1e-3, momentum=0.2), ROWS),
    "BatchNorm2d": (lambda rng: nn.BatchNorm2d(4), PICTURES),
    "Conv2d": (lambda rng: nn.Conv2d(4, 6, (3, 2), rng, stride=2, padding=(1, 0), dilation=(1, 2), groups=2,
                                     bias=False), PICTURES),
    "Dropout": (lambda rng: nn.Dropout(0.25), ROWS),
    "ELU": (lambda rng: nn.ELU(0.5), ROWS),
    "Flatten": (lambda rng: nn.Flatten(), PICTURES),
    "GELU": (lambda rng: nn.GELU(), ROWS),
    "GlobalAvgPool2d": (lambda rng: nn.GlobalAvgPool2d(), PICTURES),
    "LayerNorm": (lambda rng: nn.LayerNorm((8, 8), eps=1e-3), PICTURES),
    "LeakyReLU": (lambda rng: nn.LeakyReLU(0.2), ROWS),
    "Linear": (lambda rng: nn.Linear(6, 3, rng), ROWS),
    "LogSoftmax": (lambda rng: nn.LogSoftmax(), ROWS),
    "MaxPool2d": (lambda rng: nn.MaxPool2d((2, 3)), PICTURES),
    "ReLU": (lambda rng: nn.ReLU(), ROWS),
    "Residual": (lambda rng: nn.Residual(nn.Linear(6, 3, rng), nn.Tanh(), shortcut=nn.Linear(6, 3, rng, bias=False)),
                 ROWS),
    "Sequential": (lambda rng: nn.Sequential(nn.Sequential(nn.Linear(6, 4, rng)), nn.Residual(nn.ReLU())), ROWS),
    "SiLU": (lambda rng: nn.SiLU(), ROWS),
    "Sigmoid": (lambda rng: nn.Sigmoid(), ROWS),
    "Softmax": (lambda rng: nn.Softmax(), ROWS),
    "Softplus": (lambda rng: nn.Softplus(), ROWS),
    "Tanh": (lambda rng: nn.Tanh(), ROWS),
}
