"""How good is a saved model? Not one figure, but all that one should know before relying on it.

An accuracy with its interval; for each class how often it is found and how often it is claimed wrongly; which classes
are mistaken for which; whether the probabilities can be believed; and, if it may decline to answer, how well it does on
what it is sure of.
"""

import math
import platform
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import byhand
from byhand import metrics, nn
from byhand.data import Dataset
from byhand.data.dataset import has_classes
from byhand.files import SavedModel
from byhand.files.folding import in_a_row
from byhand.files.reading import FirstPixels, load
from byhand.files.shapes import shape_after
from byhand.terminal import short

if TYPE_CHECKING:
    from byhand import plots

Array = np.ndarray[Any, Any]
Facts = dict[str, Any]
WORST = 10
"""Rows that are shown of a table that would be too long."""


@dataclass(frozen=True)
class Assessment:
    """What a model said about a test set. Everything else follows from it."""

    model: str
    """Its name: the file that it came from."""
    kind: str
    test: Dataset
    """Of the classes that the model knows, numbered as it numbers them."""
    classes: tuple[str, ...]
    """A name for each of the model's answers."""
    probabilities: Array
    """(N, classes)."""
    note: str = ""
    """What else should be known about how it was done."""

    @property
    def predicted(self) -> Array:
        """The class of each sample, (N,), as the model sees it."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def confusion(self) -> Array:
        """How often class i (row) was taken for class j (column)."""
        return metrics.confusion_matrix(self.predicted, self.test.targets, len(self.classes))

    def picture_of_mistakes(self) -> "plots.Picture":
        """The worst mistakes. Raises ValueError if there are none, or the samples are no pictures."""
        from byhand import plots

        rows = metrics.worst_mistakes(self.probabilities, self.test.targets)
        return plots.mistakes(self.test.inputs[rows], self.predicted[rows], self.test.targets[rows],
                              self.probabilities[rows], self.classes)

    def above(self, threshold: float) -> Facts:
        """If it answers only where the probability of its answer is at least `threshold`: what share it answers, and
        how well. Accuracy and interval are None if there is nothing that it answers."""
        answered = self.probabilities.max(axis=1) >= threshold
        count = int(np.count_nonzero(answered))
        right = int(np.count_nonzero((self.predicted == self.test.targets) & answered))
        return {"threshold": threshold, "answered": count, "share": count / len(answered), "correct": right,
                "accuracy": right / count if count else None,
                "interval": list(metrics.wilson_interval(right, count)) if count else None}

    def facts(self) -> Facts:
        """All figures, ready for JSON."""
        confusion, samples = self.confusion, len(self.test)
        right = int(confusion.trace())
        rows = zip(self.classes, *([None if math.isnan(figure) else figure for figure in column.tolist()]
                                     for column in metrics.per_class(confusion)), strict=True)
        return {"version": 1, "model": self.model, "kind": self.kind, "dataset": self.test.name,
                "test_samples": samples, "correct": right, "test_accuracy": right / samples,
                "test_interval": list(metrics.wilson_interval(right, samples)), "classes": list(self.classes),
                "per_class": [dict(zip(("class", *metrics.PerClass._fields), row, strict=True)) for row in rows],
                "confusion_matrix": confusion.tolist(),
                "calibration_error": metrics.calibration_error(self.probabilities, self.test.targets),
                "note": self.note, "byhand": byhand.__version__, "numpy": np.__version__,
                "python": platform.python_version()}


def assess(model: SavedModel, test: Dataset, name: str) -> Assessment:
    """Run a model, which was read from the file `name`, over a test set.

    Only the samples of classes that the model knows are looked at. Grey pictures are laid out row by row for a model
    that reads as many numbers, as scikit-learn's do. Raises ValueError if model and data do not fit.
    """
    sample = test.inputs.shape[1:]
    in_rows = len(sample) == 3 and sample[0] == 1 and model.input_shape == (math.prod(sample),)
    if model.input_shape not in ((), sample) and not in_rows:
        raise ValueError(f"{name} reads inputs of shape {model.input_shape}, and those of {test.name} have shape "
                         f"{sample}; name data that fits with --data.")
    if not has_classes(test):
        raise ValueError(f"the targets of {test.name} are not classes, and {name} answers with a class.")
    test, whole = of_classes(test, model.classes or test.classes, name), len(test)
    outputs = model.predict(np.asarray(test.inputs).reshape(len(test), -1) if in_rows else test.inputs)
    check_one_of(model, outputs, name)
    if outputs.ndim > 2:
        raise ValueError(f"{name} does not answer with a class: for each sample it gives numbers of shape "
                         f"{outputs.shape[1:]}.")
    probabilities = metrics.probabilities(outputs)
    answers = probabilities.shape[1]
    if test.targets.max() >= answers:
        raise ValueError(f"{name} tells {answers} classes apart, and {test.name} has {test.targets.max() + 1}.")
    classes = (*test.classes, *map(str, range(len(test.classes), answers)))[:answers]
    return Assessment(name, model.recipe or "model", test, classes, probabilities, left_out(model, test, whole))


def open_model(path: Path) -> SavedModel:
    """What is in a model file of any kind, or in a run folder, for all that judges a network: it answers with logits.

    Raises FileNotFoundError if there is no such file, ValueError if it is none of these.
    """
    return with_logits(load(path))


def with_logits(saved: SavedModel) -> SavedModel:
    """The same model without a last Softmax, or the Sigmoid of a single answer, with which many networks end. All that
    judges a network here takes logits, and makes probabilities of them itself."""
    layers = in_a_row(saved.model)
    if len(layers) > 1 and (
            isinstance(layers[-1], nn.Softmax) or (isinstance(layers[-1], nn.Sigmoid) and has_one_answer(saved))):
        return replace(saved, model=nn.Sequential(*layers[:-1]))
    return saved


def has_one_answer(saved: SavedModel) -> bool:
    """Whether a single number comes of a sample; by the last linear layer, if the file does not say what one is."""
    if not saved.input_shape:
        linear = [layer for layer in in_a_row(saved.model) if isinstance(layer, nn.Linear)]
        return bool(linear) and linear[-1].out_features == 1
    try:  # by arithmetic: whatever the file claims, nothing is run
        return shape_after(saved.model, saved.input_shape) == (1,)
    except ValueError:  # which is said where samples go in
        return False


def check_one_of(model: SavedModel, outputs: Array, name: str) -> None:
    """Raises ValueError for outputs that are each a yes or no by itself, as those of scikit-learn for several labels:
    several sigmoids, and no names of classes."""
    sigmoids = any(isinstance(last, nn.Sigmoid) for last in in_a_row(model.model)[-1:])
    if sigmoids and not model.classes and outputs[0].size > 1:
        raise ValueError(f"{name} ends in Sigmoid, so each of its {outputs[0].size} answers may be yes or no by "
                         "itself; if the largest is to win, save it with names of classes, as in bh.save(..., "
                         "classes=[...]).")


def left_out(model: SavedModel, test: Dataset, whole: int) -> str:
    """A sentence about the samples of classes that the model does not know, `whole` being all that there were, and one
    about the pixels that a published scalar network does not look at, if there are any."""
    strange = whole - len(test)
    samples = f"{strange:,} more are of classes that it does not know. " if strange else ""
    size = test.inputs[0].size
    counts = [layer.count for _, layer in model.model.named_modules() if isinstance(layer, FirstPixels)]
    pixels = f"It looks at the first {counts[0]} of {size} pixels." if counts and counts[0] < size else ""
    return f"{samples}{pixels}".strip()


def of_classes(test: Dataset, classes: tuple[str, ...], name: str) -> Dataset:
    """The samples whose class a model knows, numbered as the model numbers them."""
    places = np.array([classes.index(c) if c in classes else -1 for c in test.classes])
    known = places[test.targets] >= 0
    if not known.any():
        raise ValueError(f"{name} knows the classes {short(', '.join(classes))}, and {test.name} has none of them.")
    return Dataset(test.inputs[known], places[test.targets[known]], classes, test.name)


# --- in words ---------------------------------------------------------------------------------------------------------


def in_words(facts: Facts, width: int) -> str:
    """What `Assessment.facts` tells, for a terminal of this width."""
    low, high = facts["test_interval"]
    parts = [f"{facts['model']} ({facts['kind']}) reads {100 * facts['test_accuracy']:.2f} % of the "
             f"{facts['test_samples']:,} test samples of {facts['dataset']} right (95 % interval {100 * low:.2f} to "
             f"{100 * high:.2f} %). {facts['note']}",
             class_table(facts["per_class"]), confusions(np.array(facts["confusion_matrix"]), facts["classes"], width),
             "How sure it says it is, and how often it is right, differ by "
             f"{100 * facts['calibration_error']:.2f} % on average (expected calibration error, 15 bins)."]
    if "mistakes" in facts:
        parts.append(f"The worst mistakes are in {facts['mistakes']}" if facts["mistakes"] else
                     "There is no mistake to draw.")
    if "confidence" in facts:
        parts.append(selective(facts["confidence"], facts["test_samples"]))
    return "\n\n".join(part if "\n" in part else textwrap.fill(part, width, break_on_hyphens=False) for part in parts)


def class_table(rows: list[Facts]) -> str:
    """Precision, recall, F1 and support of each class; where there are many, of the worst that have samples."""
    known = [row for row in rows if row["f1"] is not None]
    shown = rows if len(rows) <= 2 * WORST else sorted(known, key=lambda row: row["f1"])[:WORST]
    name = max(5, *(len(clipped(row["class"])) for row in shown))
    lines = [f"{'class':<{name}}  precision   recall       F1  samples"]
    lines += [f"{clipped(row['class']):<{name}}  {percent(row['precision'])}{percent(row['recall'])}"
              f"{percent(row['f1'])}{row['support']:>9,}" for row in shown]
    if len(shown) < len(rows):
        lines.append(f"({len(shown)} of {len(rows)} classes, those with the lowest F1; --json has all)")
    return "\n".join(lines)


def percent(figure: float | None) -> str:
    """A cell of the table; a dash for what nothing tells."""
    return f"{100 * figure:>7.2f} %" if figure is not None else f"{'–':>9}"


def confusions(matrix: Array, classes: list[str], width: int) -> str:
    """The confusion matrix, if it fits into the width; else which classes are mistaken for which most often."""
    name, digits, longest = max(5, *(len(clipped(c)) for c in classes)), len(str(matrix.max())), max(map(len, classes))
    column = min((width - name) // len(classes), 2 + max(digits, longest))
    if column >= 2 + max(digits, min(3, longest)):
        lines = [f"{'':<{name}}  taken for",
                 f"{'class':<{name}}" + "".join(clipped(c, column - 2).rjust(column) for c in classes)]
        return "\n".join(lines + [
            f"{clipped(c):<{name}}" + "".join((str(count) if count else "·").rjust(column) for count in row)
            for c, row in zip(classes, matrix, strict=True)])
    lines = [f"{clipped(classes[i])} is taken for {clipped(classes[j])}: {times:,} of {matrix[i].sum():,}"
             for i, j, times in metrics.commonest_mistakes(matrix, WORST)]
    return "\n".join(["The commonest mistakes", *(lines or ["none"])])


def selective(facts: Facts, samples: int) -> str:
    """`Assessment.above` in a sentence."""
    said = (f"Where it is at least {100 * facts['threshold']:g} % sure, it answers {100 * facts['share']:.2f} % "
            f"({facts['answered']:,} of {samples:,})")
    if facts["interval"] is None:
        return f"{said}."
    low, high = facts["interval"]
    return (f"{said}, and {100 * facts['accuracy']:.2f} % of these answers are right (95 % interval {100 * low:.2f} to "
            f"{100 * high:.2f} %).")


def clipped(name: str, most: int = 24) -> str:
    """A name that does not push a table over the edge."""
    return name if len(name) <= most else f"{name[:most - 1]}…"
