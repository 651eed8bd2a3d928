"""Named experiments that anybody can repeat: five published networks, and five that the texts recommend as next steps.

`byhand recipes` lists them, `byhand train NAME` runs one. From Python:

    recipe = bh.recipes.find("mlp").having(epochs=3)
    result = bh.recipes.run_recipe(recipe, bh.data.load("mini"), seed=0, folder=Path("runs/try"))
"""

from byhand.recipes.catalogue import RECIPES, find
from byhand.recipes.configuration import BegunRun, data_for, open_run
from byhand.recipes.recipe import Parts, Recipe, did_you_mean
from byhand.recipes.run import TrainingFailed, resume_recipe, run_folder, run_recipe
from byhand.recipes.several import as_text, overview, run_seeds, sentence

__all__ = ["RECIPES", "BegunRun", "Parts", "Recipe", "TrainingFailed", "as_text", "data_for", "did_you_mean",
           "find", "open_run", "overview", "resume_recipe", "run_folder", "run_recipe", "run_seeds", "sentence"]
