"""`byhand recipes`: what there is to train."""

import click

import byhand
from byhand.cli.options import answer, common, text_width


@click.command()
@common
def recipes(as_json: bool, quiet: bool, debug: bool) -> None:
    """List the recipes and what they reach.

    "Published" is what the source claims. "As written" is what the published program itself measured, on this kind of
    machine; figures are means ± standard deviations over seeds.
    """
    rows = byhand.recipes.overview([recipe() for recipe in byhand.recipes.RECIPES])
    answer(as_json, {"version": 1, "recipes": rows}, byhand.recipes.as_text(rows, text_width()))
