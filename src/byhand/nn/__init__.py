"""Networks: layers, the ways to put them together, and their first weights.

    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128, rng), nn.ReLU(), nn.Linear(128, 10, rng))
    logits = model(images)                  # evaluation
    with nn.training(rng):                  # training: dropout and batch norm behave accordingly
        logits = model(images)
"""

from byhand.nn import init
from byhand.nn.containers import Residual, Sequential
from byhand.nn.layers import BatchNorm1d, BatchNorm2d, Conv2d, LayerNorm, Linear
from byhand.nn.module import Module, ShapeError, evaluating, training, training_rng, watch
from byhand.nn.plain import (
    ELU, GELU, AvgPool2d, Dropout, Flatten, GlobalAvgPool2d, LeakyReLU, LogSoftmax, MaxPool2d, ReLU, Sigmoid, SiLU,
    Softmax, Softplus, Tanh
)

__all__ = [
    "ELU", "GELU", "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Conv2d", "Dropout", "Flatten", "GlobalAvgPool2d",
    "LayerNorm", "LeakyReLU", "Linear", "LogSoftmax", "MaxPool2d", "Module", "ReLU", "Residual", "Sequential",
    "ShapeError", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh", "evaluating", "init", "training", "training_rng",
    "watch",
]
