"""Which learning rate suits a recipe's network on this data? The range test, with everything as in training."""

from typing import Any

import numpy as np

from byhand import sketch
from byhand.data import Splits
from byhand.lr_range import RangeTest, find_lr
from byhand.recipes.recipe import Recipe
from byhand.recipes.run import fitting_network, prepared
from byhand.recipes.scalar_net import ScalarNet

STEPS, SAMPLES = 100, 3_000
"""At least so many steps, and where batches are small at least so many samples."""


def range_test(recipe: Recipe, data: Splits, seed: int) -> RangeTest:
    """Try learning rates on a recipe's network. Raises ValueError for data that does not fit, for a recipe without a
    learning rate to find, and where no rate makes the loss fall."""
    if isinstance(recipe, ScalarNet):
        raise ValueError("the recipe scalar has no range test: it draws its learning rates from a fixed range.")
    rng = np.random.default_rng(seed)
    parts = prepared(recipe, data, rng)
    model = fitting_network(recipe, parts.train, rng)
    return find_lr(model, parts.train, loss=recipe.loss, optimizer=recipe.optimizer(model), rng=rng,
                   batch_size=recipe.batch_size, normalize=recipe.normalization(parts.train), augment=recipe.augment(),
                   steps=max(STEPS, SAMPLES // (recipe.batch_size or SAMPLES)))


def range_facts(recipe: Recipe, data: Splits, seed: int, found: RangeTest) -> dict[str, Any]:
    """What a range test found, ready for JSON."""
    return {"version": 1, "recipe": recipe.name, "dataset": data.name, "seed": seed, "lr": recipe.lr,
            "suggested_lr": float(f"{found.suggested:.2g}"), "rates": found.rates.tolist(),
            "losses": found.losses.tolist(), "smoothed": found.smoothed.tolist()}


def range_in_words(facts: dict[str, Any], width: int) -> str:
    """The same for a person, with the curve in small. An exploding loss is cut off at the height where it began."""
    smoothed = np.minimum(facts["smoothed"], 1.2 * max(facts["smoothed"][:len(facts["smoothed"]) // 10 + 1]))
    low, high = f"{facts['rates'][0]:.2g}", f"{facts['rates'][-1]:.2g}"
    wide = min(width, 72)
    return "\n".join([
        f"The loss while the learning rate grows ({facts['recipe']} on {facts['dataset']}, {len(smoothed)} steps)", "",
        *sketch.curve(smoothed, wide), low + high.rjust(wide - len(low)), "",
        f"Suggested: {facts['suggested_lr']:g} (the recipe's own is {facts['lr']:g}). To train with it:",
        f"byhand train {facts['recipe']} --set lr={facts['suggested_lr']:g}"])
