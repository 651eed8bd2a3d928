"""Every recipe on data that it was not written for: other sizes, colours, tables, numbers of classes, orders."""

import numpy as np
import pytest

import byhand as bh
from byhand.data import Dataset, Normalize, Splits
from byhand.recipes import RECIPES, find, run_recipe
from byhand.recipes.recipe import frame

NAMES = [recipe.name for recipe in RECIPES]
FOR_PICTURES = {"lenet", "fast-2021", "fast", "convnet"}
SHAPES = {"digits": (1, 28, 28), "small": (1, 8, 8), "colour": (3, 20, 30), "a dot": (1, 1, 1), "table": (12,)}
SHORT = {"binary-zero-one": {"epochs": 40}, "relu-10": {"epochs": 40}, "sigmoid-72-36": {"epochs": 40},
         "numpy-tutorial": {"epochs": 3}, "scalar": {"images": 60}, "mlp": {"epochs": 4}, "lenet": {"epochs": 2}}


def splits(shape, classes, n=60, name="own", dtype=np.uint8):
    """Classes one after the other, each with a mean of its own at every place."""
    rng = np.random.default_rng(0)
    means = rng.integers(0, 200, (classes, *shape))

    def part(count):
        targets = np.sort(np.arange(count) % classes)
        inputs = means[targets] + rng.integers(0, 40, (count, *shape))
        return Dataset(inputs.astype(dtype), targets, tuple(f"class {k}" for k in range(classes)), name)

    return Splits(part(n), part(20), "made here")


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_fits_its_first_and_last_layers_to_the_data(name, kind, tmp_path):
    shape, recipe = SHAPES[kind], find(name).having(**SHORT.get(name, {}))
    if name == "scalar" and kind == "colour":
        recipe = recipe.having(images=10)
    data = splits(shape, 3)
    if name in FOR_PICTURES and len(shape) == 1:
        with pytest.raises(ValueError, match=rf"the recipe {name} reads pictures, and a sample of own has the shape"):
            run_recipe(recipe, data, seed=0, folder=tmp_path)
        assert list(tmp_path.iterdir()) == []
        return
    result = run_recipe(recipe, data, seed=0, folder=tmp_path)
    saved = bh.load(tmp_path / "model.safetensors")
    assert saved.input_shape == shape
    assert saved.classes == (data.classes[:2] if name == "binary-zero-one" else data.classes)
    outputs = saved.predict(data.test.inputs)
    assert outputs.shape == (20, 1 if name == "binary-zero-one" else 3)
    seen = data.test.targets < len(saved.classes)
    assert bh.metrics.accuracy(outputs[seen], data.test.targets[seen]) == result["test_accuracy"]


@pytest.mark.parametrize("name", ["mlp", "numpy-tutorial", "relu-10"])
def test_samples_that_come_class_by_class_are_shuffled(name, tmp_path):
    """Else the last classes would all be held out, or the first be forgotten before the last are seen."""
    result = run_recipe(find(name).having(epochs=20), splits((1, 8, 8), 4, n=200), seed=0, folder=tmp_path)
    assert result["test_accuracy"] > 0.8


def test_the_published_sets_keep_their_order(rng):
    mini = bh.data.load("mini")
    parts = bh.recipes.run.prepared(find("numpy-tutorial"), mini, rng)
    assert np.array_equal(parts.train.inputs, mini.train.inputs[:1000])


@pytest.mark.parametrize("name", NAMES)
def test_fashion_fits_every_recipe_as_it_is(name, rng):
    digits = bh.data.load("mini")
    fashion = Splits(*(Dataset(part.inputs, part.targets, bh.data.FASHION_MNIST.classes, "fashion-mnist")
                       for part in (digits.train, digits.test)))
    recipe = find(name)
    parts = bh.recipes.run.prepared(recipe, fashion, rng)
    assert recipe.normalization(parts.train) == recipe.normalize
    model = bh.recipes.run.fitting_network(recipe, parts.train, rng)
    assert model.output_shape((1, 28, 28)) == ((1,) if name == "binary-zero-one" else (10,))


def test_other_data_is_measured():
    table = splits((3,), 2, dtype=np.float32).train
    table.inputs[:, 1] = 5  # a feature that never varies
    found = find("mlp").normalization(table)(table.inputs)
    assert np.allclose(found.mean(axis=0), 0, atol=1e-5) and np.allclose(found.std(axis=0), [1, 0, 1], atol=1e-5)
    colour = splits((3, 4, 4), 2).train
    assert find("fast").normalization(colour) == Normalize.fit(colour) != find("fast").normalize
    assert find("relu-10").normalization(colour) == Normalize(), "pixels from 0 to 1, whatever they show"


@pytest.mark.parametrize(("spoil", "sentence"), [
    (lambda x, t: (x, np.zeros_like(t)), "not of two classes or more"),
    (lambda x, t: (x, t.astype(np.float64)), "not of two classes or more"),
    (lambda x, t: (np.where(np.arange(60)[:, None] == 7, np.nan, x), t), "first in training sample 8; remove"),
    (lambda x, t: (np.where(np.arange(60)[:, None] == 0, np.inf, x), t), "first in training sample 1; remove"),
    (lambda x, t: (np.full_like(x, 3), t), "every value is the same"),
])
def test_what_no_recipe_can_learn_from(spoil, sentence, tmp_path):
    data = splits((5,), 3, dtype=np.float32)
    inputs, targets = spoil(data.train.inputs, data.train.targets)
    data = Splits(Dataset(inputs, targets, data.classes, "own"), data.test)
    with pytest.raises(ValueError, match=sentence):
        run_recipe(find("mlp"), data, seed=0, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("shape", "least", "usual", "padding"), [
    ((1, 28, 28), 12, 0, (0, 0)), ((1, 28, 28), 12, 2, (2, 2)), ((3, 8, 20), 12, 0, (2, 0)), ((1, 1, 7), 8, 0, (4, 1)),
    ((12,), 12, 0, (0, 0)),
])
def test_a_frame_makes_small_pictures_large_enough(shape, least, usual, padding):
    assert frame(shape, least, usual) == padding
    if len(shape) == 3:
        assert all(size + 2 * pad >= least for size, pad in zip(shape[1:], padding, strict=True))
