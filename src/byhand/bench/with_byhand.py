"""The race as byhand runs it: by the same calls that anybody makes."""

import random
from collections.abc import Callable

import numpy as np

from byhand import losses, scalar
from byhand.bench.networks import network
from byhand.bench.turns import Turn, median_time, seconds
from byhand.bench.work import AROUND_ZERO, RATE, Array, Digits
from byhand.callbacks import Run
from byhand.files import SavedModel
from byhand.inference import predict
from byhand.nn import Module
from byhand.optim import Adam
from byhand.recipes import Recipe
from byhand.recipes.scalar_net import scalar_samples
from byhand.train import fit


def training(name: str, digits: Digits, batch: int, steps: int, threads: int) -> Turn:
    """A part of an epoch, from images as bytes."""
    rng = np.random.default_rng(0)
    model = network(name, rng)
    optimizer = Adam(model.parameters(), lr=RATE)
    part = digits.train[:batch * steps]
    return lambda: seconds_of(fit(model, part, loss=losses.cross_entropy, optimizer=optimizer, rng=rng, epochs=1,
                                  batch_size=batch, validation=None, normalize=AROUND_ZERO))


def recipe(recipe: Recipe, digits: Digits, epochs: int) -> Turn:
    """One epoch of a recipe, from a few of them; a recipe of single images takes them in their order."""
    rng = np.random.default_rng(0)
    parts = recipe.parts(digits.splits, rng)
    model = recipe.network(rng, classes=len(parts.train.classes))
    optimizer = recipe.optimizer(model)
    return lambda: seconds_of(fit(model, parts.train, loss=recipe.loss, optimizer=optimizer, rng=rng, epochs=epochs,
                                  batch_size=recipe.batch_size, shuffle=False, validation=None,
                                  normalize=recipe.normalize)) / epochs


def single_numbers(recipe: Recipe, digits: Digits, images: int) -> Turn:
    """An image on the scalar engine, from a few of them."""
    samples = scalar_samples(digits.train[:images], recipe.normalize)
    dice = random.Random(0)
    net = scalar.digits_net(dice)

    return lambda: seconds(lambda: scalar.train(net, samples, samples[:1], dice)) / images


def one_image(model: Module, images: Array, threads: int) -> Turn:
    """The time from one image to its answer."""
    saved = SavedModel(model)  # keeps what it needs from one prediction to the next
    calls: list[Callable[[], object]] = [lambda image=images[i:i + 1]: saved.predict(image)  # type: ignore[misc]
                                         for i in range(len(images))]
    return lambda: median_time(calls)


def many_images(model: Module, images: Array, threads: int) -> Turn:
    """All answers at once."""
    return lambda: seconds(lambda: predict(model, images))


def seconds_of(run: Run) -> float:
    """What the training loop took. Raises RuntimeError if it ended early: a time for less work is none."""
    if run.stopped:
        raise RuntimeError(f"byhand's training stopped: {run.stopped}")
    return run.seconds
