"""Pictures of data, of learning, of answers and of networks: one call on plain arrays, one matplotlib figure.

    figure = bh.plots.learning_curves(run.history)
    figure.savefig("curves.png")

A notebook shows a figure that stands last in its cell. Nothing here touches matplotlib's global state: no window opens,
no style is changed. Blue and orange, which everybody can tell apart, carry the meaning; grey carries the rest.
"""

from byhand.plots.figure import SUFFIXES, MissingMatplotlib, Picture, check_file, write  # first, for its sentence
from byhand.plots.answers import calibration, confusion_matrix, mistakes, per_class
from byhand.plots.learning import learning_curves, lr_range
from byhand.plots.networks import activations, model_sheet, weights
from byhand.plots.samples import class_counts, data_sheet, mean_images, samples

__all__ = [
    "SUFFIXES", "MissingMatplotlib", "Picture", "activations", "calibration", "check_file", "class_counts",
    "confusion_matrix", "data_sheet", "learning_curves", "lr_range", "mean_images", "mistakes", "model_sheet",
    "per_class", "samples", "weights", "write",
]
