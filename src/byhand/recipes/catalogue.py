"""Which recipes there are."""

from byhand.recipes.binary_zero_one import BinaryZeroOne
from byhand.recipes.convnet import ConvNet
from byhand.recipes.fast import Fast
from byhand.recipes.fast_2021 import Fast2021
from byhand.recipes.lenet import LeNet
from byhand.recipes.mlp import Mlp
from byhand.recipes.numpy_tutorial import NumpyTutorial
from byhand.recipes.recipe import Recipe, did_you_mean
from byhand.recipes.relu_10 import Relu10
from byhand.recipes.scalar_net import ScalarNet
from byhand.recipes.sigmoid_72_36 import Sigmoid7236

RECIPES: tuple[type[Recipe], ...] = (
    BinaryZeroOne, Relu10, ScalarNet, Sigmoid7236, NumpyTutorial, Mlp, LeNet, Fast2021, Fast, ConvNet)


def find(name: str) -> Recipe:
    """The recipe of this name, with its own settings. Raises ValueError, with the names there are, if there is none."""
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe()
    names = [recipe.name for recipe in RECIPES]
    raise ValueError(f"there is no recipe '{name}'; there are {', '.join(names)}.{did_you_mean(name, names)}")
