"""`byhand train --find-lr`: which learning rate to train with?"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import byhand
from byhand.cli.options import known_data, text_width

if TYPE_CHECKING:
    from byhand.recipes import Recipe


def range_test(recipe: "Recipe", source: str, seed: int, out: Path | None,
               tell: Callable[[str], None]) -> tuple[dict[str, Any], str]:
    """The learning-rate range test, as facts and in words; drawn, if `out` is there, in this file, or as lr-range.png
    in this folder, which is made."""
    from byhand.recipes.range_test import range_facts, range_in_words, range_test

    if out is not None:
        if out.suffix.lower() not in byhand.plots.SUFFIXES:
            out.mkdir(parents=True, exist_ok=True)
            out = out / "lr-range.png"
        byhand.plots.check_file(out)
    with known_data():
        splits = byhand.data.load_or_mini(source, tell)
    found = range_test(recipe, splits, seed)
    facts = range_facts(recipe, splits, seed, found)
    said = range_in_words(facts, text_width())
    if out is not None:
        byhand.plots.write(byhand.plots.lr_range(found.rates, found.losses, found.suggested, found.smoothed), out)
        facts["picture"] = str(out)
        said += f"\nThe picture is {out}"
    return facts, said
