"""The race as PyTorch runs it: eager, with the fused Adam, from tensors in memory.

Written as PyTorch's own quickstart and its performance tuning guide have it. Convolutions come twice: in PyTorch's
usual layout, and channels-last, which the guide recommends and which on some processors is much faster.
"""

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from byhand.bench.turns import Turn
from byhand.bench.work import RATE, Array, Digits
from byhand.nn import Module

if TYPE_CHECKING:
    import torch

BATCH = 250  # images at a time when it only answers: the fastest of 100, 250, 500, 1,000 and all


def network(name: str) -> "torch.nn.Module":
    """The network of this name, as in `byhand.bench.networks`."""
    from torch.nn import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential

    if name == "fast":
        return Sequential(
            Conv2d(1, 24, 5), MaxPool2d(2), ReLU(),
            Conv2d(24, 32, 3), MaxPool2d(2), ReLU(),
            Flatten(), Linear(800, 256), ReLU(), Linear(256, 10),
        )
    if name == "lenet":
        return Sequential(
            Conv2d(1, 6, 5, padding=2), MaxPool2d(2), ReLU(),
            Conv2d(6, 16, 5), MaxPool2d(2), ReLU(),
            Flatten(), Linear(400, 120), ReLU(), Linear(120, 84), ReLU(), Linear(84, 10),
        )
    if name == "batchnorm":
        return Sequential(
            Conv2d(1, 32, 3, padding=1), BatchNorm2d(32), ReLU(),
            Conv2d(32, 32, 3, padding=1), BatchNorm2d(32), ReLU(), MaxPool2d(2),
            Conv2d(32, 64, 3, padding=1), BatchNorm2d(64), ReLU(),
            Conv2d(64, 64, 3, padding=1), BatchNorm2d(64), ReLU(), MaxPool2d(2),
            Flatten(), Linear(64 * 7 * 7, 10),
        )
    if name == "example":
        return Sequential(
            Conv2d(1, 32, 3), ReLU(),
            Conv2d(32, 64, 3), ReLU(), MaxPool2d(2),
            Flatten(), Linear(9216, 128), ReLU(), Linear(128, 10),
        )
    return Sequential(Flatten(), Linear(784, 128), ReLU(), Linear(128, 64), ReLU(), Linear(64, 10))


def training(name: str, digits: Digits, batch: int, steps: int, threads: int) -> Turn:
    """A part of an epoch."""
    import torch

    torch.set_num_threads(threads)
    model = network(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    images = torch.from_numpy(digits.images[:batch * steps])
    labels = torch.from_numpy(digits.labels[:batch * steps])
    return lambda: epoch(model, optimizer, images, labels, batch)


def training_channels_last(name: str, digits: Digits, batch: int, steps: int, threads: int) -> Turn:
    """The same, with the channels of a pixel side by side in memory. (Pictures of one channel are so already.)"""
    import torch

    torch.set_num_threads(threads)
    model = network(name).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    images = torch.from_numpy(digits.images[:batch * steps]).to(memory_format=torch.channels_last)
    labels = torch.from_numpy(digits.labels[:batch * steps])
    return lambda: epoch(model, optimizer, images, labels, batch)


def epoch(model: Any, optimizer: Any, images: Any, labels: Any, batch: int) -> float:
    """Once through the images, in a new order. Returns the seconds."""
    import torch
    import torch.nn.functional as F

    begun = time.perf_counter()
    for index in torch.randperm(len(images)).split(batch):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images[index]), labels[index])
        loss.backward()
        optimizer.step()
    return time.perf_counter() - begun


def many_images(model: Module, images: Array, threads: int) -> Turn:
    """All answers, with the weights of byhand's network `fast`."""
    import torch

    torch.set_num_threads(threads)
    trained = with_weights(network("fast"), model).eval()
    return lambda: answering(trained, torch.from_numpy(images))


def many_images_channels_last(model: Module, images: Array, threads: int) -> Turn:
    """The same, with the channels of a pixel side by side in memory."""
    import torch

    torch.set_num_threads(threads)
    trained = with_weights(network("fast"), model).eval().to(memory_format=torch.channels_last)
    return lambda: answering(trained, torch.from_numpy(images).to(memory_format=torch.channels_last))


def answering(model: Any, images: Any) -> float:
    """The seconds that all answers take."""
    import torch

    begun = time.perf_counter()
    with torch.inference_mode():
        torch.cat([model(part) for part in images.split(BATCH)])
    return time.perf_counter() - begun


def with_weights(model: "torch.nn.Module", of: Module) -> "torch.nn.Module":
    """The same network with byhand's weights; the names are the same."""
    import torch

    model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in of.state_dict().items()})
    return model
