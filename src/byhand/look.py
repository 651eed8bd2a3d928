"""A look at a data set, and at a saved model from inside: as facts, as text for a terminal, and as one picture."""

import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from byhand import metrics, nn, reader, sketch
from byhand.autodiff import no_grad
from byhand.data import MINI, Splits, info
from byhand.data.dataset import has_classes
from byhand.data.overview import class_means, feature_statistics, feature_table, first_of_each, values_in_words
from byhand.files import SavedModel
from byhand.inference import precision
from byhand.pictures import is_pictures, read_picture
from byhand.recipes import data_for
from byhand.tensor import Tensor

if TYPE_CHECKING:
    from byhand import plots

Array = np.ndarray[Any, Any]
Facts = dict[str, Any]
Step = tuple[str, Array]
MOST = 20
"""Classes that a terminal is shown."""


# --- a data set -------------------------------------------------------------------------------------------------------


def data_facts(splits: Splits) -> Facts:
    """What `byhand.data.info` says, and for samples that are no pictures the statistics of each feature."""
    inputs = splits.train.inputs
    features = None
    if not is_pictures(inputs):
        features = {name: column.tolist() for name, column in feature_statistics(inputs).items()}
    return {"version": 1, **info(splits), "features": features}


def data_text(splits: Splits, width: int) -> str:
    """Sizes, values, counts, and for each class its first sample and its average."""
    train, test = splits.train, splits.test
    pictures = is_pictures(train.inputs)
    values = [textwrap.fill(values_in_words(train.inputs), width)] if pictures else feature_table(train.inputs)
    parts = [f"{splits.name}: {len(train):,} training and {len(test):,} test samples", "\n".join(values)]
    if has_classes(train):
        counts, names = train.counts(), named(splits.classes, len(train.counts()))
        rows = bars(names, [f"{n:>8,}" for n in counts], counts / counts.max(), width)
        parts.append(f"Training samples of each class\n\n{rows}")
        if pictures:
            there = np.flatnonzero(counts[:MOST])
            first = train.inputs[[rows[0] for rows in first_of_each(train.targets, len(counts), 1)[:MOST] if len(rows)]]
            means = class_means(train.inputs, train.targets, len(counts))[there]
            for title, images in (("The first of each class", first), ("The average of each class", means)):
                drawn = [sketch.picture(image) for image in np.asarray(images)]
                parts.append(f"{title}\n\n" + sketch.gallery(drawn, [names[k] for k in there], width))
    return "\n\n".join(parts)


def named(classes: Sequence[str], count: int) -> list[str]:
    """A name for each of `count` classes: theirs, then their numbers."""
    return [*classes, *map(str, range(len(classes), count))][:count]


def bars(names: Sequence[str], figures: Sequence[str], shares: Array, width: int) -> str:
    """A row a class, of many classes the first: its name, a figure, and a bar whose length is a share of the width."""
    name = max(len(n[:24]) for n in names[:MOST])
    room = width - name - len(figures[0]) - 4
    lines = [f"{n[:24]:<{name}}  {figure}  {'█' * round(share * room)}".rstrip()
             for n, figure, share in list(zip(names, figures, shares.tolist(), strict=True))[:MOST]]
    return "\n".join([*lines, f"and {len(names) - MOST} more classes"] if len(names) > MOST else lines)


# --- a model ----------------------------------------------------------------------------------------------------------


def chosen_image(model: SavedModel, path: Path, file: Path | None, source: str | None, index: int,
                 notify: Callable[[str], None]) -> Array | None:
    """The image to send through the model at `path`: from a picture file, prepared for it, or a test sample of a data
    set, by default the run's own, or for a model file mini. None where none was asked for and the model does not read
    those of mini, or the run's data is not there any more, which `notify` is told.

    Raises ValueError for a sample that there is not, or an image that the model does not read.
    """
    if file is not None:
        return reader.read(model, read_picture(file), str(file)).image
    try:
        test = data_for(path, source, MINI.name, notify).test
    except ValueError as error:
        if source is not None:
            raise
        notify(str(error))
        return None
    if index >= len(test):
        raise ValueError(f"{test.name} has {len(test):,} test samples, and no number {index}; the first is 0.")
    image = np.asarray(test.inputs[index])
    if model.input_shape in ((), image.shape):
        return image
    if source is None:
        return None
    raise ValueError(f"this model reads samples of shape {model.input_shape}, and a sample of {test.name} has "
                     f"{image.shape}.")


def model_facts(model: SavedModel, name: str, image: Array | None) -> Facts:
    """Layers, shapes, parameters, what the file says about itself, and what it reads an image (C, H, W) as."""
    shape = model.input_shape if image is None else batch_of(model, image).shape[1:]
    rows = model.model.layer_rows(shape)
    return {"version": 1, "model": name, "recipe": model.recipe, "input_shape": list(shape),
            "classes": list(model.classes), "parameters": sum(p.size for p in model.model.parameters()),
            "normalize": None if model.normalize is None else model.normalize.to_dict(),
            "metrics": dict(model.metrics),
            "layers": [{"name": row.name, "type": type(row.layer).__name__, "settings": row.layer.config(),
                        "output": list(row.output), "parameters": row.parameters} for row in rows],
            "image": None if image is None else answer_of(model, image)}


def batch_of(model: SavedModel, image: Array) -> Array:
    """A batch of this image alone, in the shape that the model reads: some read pictures as rows of numbers."""
    return image.reshape(1, *(model.input_shape or image.shape))


def way_through(model: SavedModel, image: Array) -> list[Step]:
    """What each layer that changes its input makes of one image (C, H, W): its title, and its output without the
    batch."""
    batch = batch_of(model, image)
    if model.normalize is not None:
        batch = model.normalize(batch, precision(model.model))
    with no_grad(), nn.evaluating(), nn.watch() as calls:
        model.model(Tensor(batch))
    return [(f"{type(layer).__name__} {' x '.join(map(str, y.shape[1:]))}", y.data[0]) for layer, x, y in calls
            if not any(True for _ in layer.children()) and not np.array_equal(x.data.ravel(), y.data.ravel())]


def answer_of(model: SavedModel, image: Array) -> Facts:
    """What the model says the image (C, H, W) is, and how sure it is, of that and of every other class."""
    p = metrics.probabilities(model.predict(batch_of(model, image)))[0]
    classes = named(model.classes, len(p))
    return {"class": classes[int(p.argmax())], "probability": float(p.max()), "classes": classes,
            "probabilities": p.tolist()}


def first_weights(model: SavedModel, shape: tuple[int, ...]) -> tuple[Array, tuple[int, ...]] | None:
    """The weights of the first layer that has some, and how its inputs are laid out; None if they make no pictures."""
    for _, layer in model.model.named_modules():
        if isinstance(layer, nn.Conv2d):
            return layer.weight.data, layer.weight.shape[1:]
        if isinstance(layer, nn.Linear):
            if len(shape) == 3 and layer.in_features == math.prod(shape):
                return layer.weight.data, shape
            whole = len(shape) == 3 and shape[0] == 1 and layer.in_features % shape[2] == 0
            return (layer.weight.data, (1, layer.in_features // shape[2], shape[2])) if whole else None
    return None


def model_title(facts: Facts) -> str:
    """Its name, and how well it did when it was saved."""
    accuracy = facts["metrics"].get("test_accuracy")
    right = f", {100 * accuracy:.2f} % of its test samples right" if isinstance(accuracy, float) else ""
    return f"{facts['model']} ({facts['recipe'] or 'model'}){right}"


def model_text(model: SavedModel, facts: Facts, image: Array | None, width: int) -> str:
    """Its table, the image, and what it says of it."""
    parts = [model_title(facts), model.model.summary(tuple(facts["input_shape"]))]
    if image is not None and image.ndim == 3:
        parts.append("\n".join(sketch.picture(image)))
    if image is not None:
        p = np.array(facts["image"]["probabilities"])
        parts.append(bars(facts["image"]["classes"], [f"{100 * value:>6.2f} %" for value in p], p, width))
    return "\n\n".join(parts)


def model_figure(model: SavedModel, facts: Facts, image: Array | None) -> "plots.Picture":
    """The same as a picture."""
    from byhand import plots

    shape = tuple(facts["input_shape"])
    weights, laid_out = first_weights(model, shape if image is None else image.shape) or (None, None)
    steps = () if image is None else way_through(model, image)
    read = f"; reads this as {facts['image']['class']} ({100 * facts['image']['probability']:.2f} %)" if steps else ""
    return plots.model_sheet(model_title(facts) + read, model.model.summary(shape), weights, laid_out, image, steps,
                             facts["image"]["classes"] if steps else ())
