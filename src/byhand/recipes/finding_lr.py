"""Which learning rate suits a recipe's network on this data? The range test, with everything as in training."""

from pathlib import Path
from typing import Any

import numpy as np

from byhand import sketch
from byhand.data import Splits
from byhand.lr_range import RangeTest, find_lr
from byhand.recipes.configuration import configuration
from byhand.recipes.recipe import Recipe
from byhand.recipes.run import fitting_network, prepared
from byhand.recipes.scalar_net import ScalarNet
from byhand.report import command

STEPS, SAMPLES = 100, 3_000
"""At least so many steps, and where batches are small at least so many samples."""


def range_picture(out: Path) -> Path:
    """The file for the picture of a range test: `out`, or lr-range.png in that folder."""
    from byhand import plots

    return plots.check_file(out) if out.suffix.lower() in plots.SUFFIXES else out / "lr-range.png"


def range_report(recipe: Recipe, data: Splits, seed: int, picture: Path | None,
                 width: int) -> tuple[dict[str, Any], str]:
    """The range test of a recipe, as facts that are ready for JSON and in words, with the curve in small; drawn, if
    there is a file for it."""
    found = range_test(recipe, data, seed)
    rate = float(f"{found.suggested:.2g}")
    again = command(configuration(recipe.having(lr=rate), data, seed), type(recipe)().settings())
    facts = {"version": 1, "recipe": recipe.name, "dataset": data.name, "seed": seed, "lr": recipe.lr,
             "suggested_lr": rate, "command": again, "rates": found.rates.tolist(), "losses": found.losses.tolist(),
             "smoothed": found.smoothed.tolist()}
    seen = np.minimum(found.smoothed, 1.2 * found.smoothed[:len(found.smoothed) // 10 + 1].max())  # what explodes, cut
    low, high = (f"{end:.2g}" for end in found.rates[[0, -1]])
    lines = [f"The loss while the learning rate grows ({recipe.name} on {data.name}, {len(seen)} steps)", "",
             *sketch.curve(seen, width), low + high.rjust(width - len(low)), "",
             f"Suggested: {rate:g} (the recipe's own is {recipe.lr:g}). To train with it:", again]
    if picture is not None:
        from byhand import plots

        picture.parent.mkdir(parents=True, exist_ok=True)
        plots.write(plots.lr_range(found.rates, found.losses, found.suggested, found.smoothed), picture)
        facts["picture"] = str(picture)
        lines.append(f"The picture is {picture}")
    return facts, "\n".join(lines)


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
