"""Named experiments that anybody can repeat: five published networks, and four that the texts recommend as next steps.

`byhand recipes` lists them, `byhand train NAME` runs one. From Python:

    recipe = bh.recipes.find("mlp").having(epochs=3)
    result = bh.recipes.run_recipe(recipe, bh.data.load("mini"), seed=0, folder=Path("runs/try"))
"""

from byhand.recipes.binary_zero_one import BinaryZeroOne
from byhand.recipes.convnet import ConvNet
from byhand.recipes.fast import Fast
from byhand.recipes.lenet import LeNet
from byhand.recipes.mlp import Mlp
from byhand.recipes.numpy_tutorial import NumpyTutorial
from byhand.recipes.recipe import Parts, Recipe, did_you_mean
from byhand.recipes.relu_10 import Relu10
from byhand.recipes.run import TrainingFailed, run_folder, run_recipe
from byhand.recipes.scalar_net import ScalarNet
from byhand.recipes.several import as_text, overview, run_seeds, sentence
from byhand.recipes.sigmoid_72_36 import Sigmoid7236

RECIPES: tuple[type[Recipe], ...] = (
    BinaryZeroOne, Relu10, ScalarNet, Sigmoid7236, NumpyTutorial, Mlp, LeNet, Fast, ConvNet)

__all__ = ["RECIPES", "Parts", "Recipe", "TrainingFailed", "as_text", "find", "overview", "run_folder", "run_recipe",
           "run_seeds", "sentence"]


def find(name: str) -> Recipe:
    """The recipe of this name, with its own settings. Raises ValueError, with the names there are, if there is none."""
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe()
    names = [recipe.name for recipe in RECIPES]
    raise ValueError(f"there is no recipe '{name}'; there are {', '.join(names)}.{did_you_mean(name, names)}")
