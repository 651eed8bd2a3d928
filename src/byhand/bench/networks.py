"""The five networks of the race, as byhand writes them, and how much arithmetic each of them is.

The arithmetic is counted, not measured. A weight of a layer multiplies once for every place where it is used; a product
and the sum that it goes into are two operations. Learning does it three times: once forward, once for the slopes of the
weights, and once for those of the inputs, which the first layer is not asked for. All else (biases, activations,
pooling, normalization, the optimizer) is not counted, so a share of the machine's peak is rather told too small.
"""

import math

import numpy as np

from byhand.nn import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential

IMAGE = (1, 28, 28)
PLANS = {
    "fast": "24c5-pool-32c3-pool-256-10",
    "lenet": "LeNet-5: 6c5-pool-16c5-pool-120-84-10",
    "batchnorm": "32c3-32c3-pool-64c3-64c3-pool-10 with batch norm",
    "example": "32c3-64c3-pool-128-10",
    "mlp": "784-128-64-10",
}
"""The networks in short: 24c5 is a convolution with 24 filters of 5 × 5, 256 a linear layer."""


def network(name: str, rng: np.random.Generator) -> Module:
    """One of them, with its first weights."""
    return {"fast": fast, "lenet": lenet, "batchnorm": batchnorm, "example": example, "mlp": mlp}[name](rng)


def fast(rng: np.random.Generator) -> Module:
    """The network of the fastest training to 99 % that is published, in 2021; pooling before relu gives the same, and
    leaves the relu a quarter of the work."""
    return Sequential(
        Conv2d(1, 24, 5, rng), MaxPool2d(2), ReLU(),
        Conv2d(24, 32, 3, rng), MaxPool2d(2), ReLU(),
        Flatten(), Linear(800, 256, rng), ReLU(), Linear(256, 10, rng),
    )


def lenet(rng: np.random.Generator) -> Module:
    """LeNet-5 (LeCun et al. 1998) with relu and max pooling."""
    return Sequential(
        Conv2d(1, 6, 5, rng, padding=2), MaxPool2d(2), ReLU(),
        Conv2d(6, 16, 5, rng), MaxPool2d(2), ReLU(),
        Flatten(), Linear(400, 120, rng), ReLU(), Linear(120, 84, rng), ReLU(), Linear(84, 10, rng),
    )


def batchnorm(rng: np.random.Generator) -> Module:
    """Four convolutions as today's networks have them."""
    return Sequential(
        Conv2d(1, 32, 3, rng, padding=1), BatchNorm2d(32), ReLU(),
        Conv2d(32, 32, 3, rng, padding=1), BatchNorm2d(32), ReLU(), MaxPool2d(2),
        Conv2d(32, 64, 3, rng, padding=1), BatchNorm2d(64), ReLU(),
        Conv2d(64, 64, 3, rng, padding=1), BatchNorm2d(64), ReLU(), MaxPool2d(2),
        Flatten(), Linear(64 * 7 * 7, 10, rng),
    )


def example(rng: np.random.Generator) -> Module:
    """The network of PyTorch's own MNIST example, without its dropout."""
    return Sequential(
        Conv2d(1, 32, 3, rng), ReLU(),
        Conv2d(32, 64, 3, rng), ReLU(), MaxPool2d(2),
        Flatten(), Linear(9216, 128, rng), ReLU(), Linear(128, 10, rng),
    )


def mlp(rng: np.random.Generator) -> Module:
    """Linear layers only."""
    return Sequential(Flatten(), Linear(784, 128, rng), ReLU(), Linear(128, 64, rng), ReLU(), Linear(64, 10, rng))


def training_operations(model: Module, input_shape: tuple[int, ...] = IMAGE) -> int:
    """The floating-point operations of learning from one sample: forward, and the slopes of weights and inputs."""
    products = [math.prod(row.output[1:]) * row.layer.weight.size if isinstance(row.layer, Conv2d) else
                row.layer.weight.size
                for row in model.layer_rows(input_shape) if isinstance(row.layer, Conv2d | Linear)]
    return 6 * sum(products) - 2 * products[0]
