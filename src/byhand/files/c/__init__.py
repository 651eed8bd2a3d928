"""A network as C that a small board can run: one file, with the weights in it.

    bh.files.c.save(bh.load("digits.safetensors"), "digits.c")

The file needs a C99 compiler and math.h, and nothing else: it allocates nothing and is told what it needs to know. It
is also meant to be read, from the first line, which says what the network is, to the last, which answers.
"""

import os
from dataclasses import replace

import numpy as np

from byhand import nn
from byhand.atomic import write_atomically
from byhand.files.c.int8 import in_eight_bits
from byhand.files.c.program import program_of
from byhand.files.c.source import check_name, declarations, source, under
from byhand.files.folding import in_a_row, without_batch_norm
from byhand.files.model import SavedModel, must_be_saved

__all__ = ["check_name", "quantized", "save"]


def save(saved: SavedModel, path: str | os.PathLike[str], *, int8: bool = False, name: str | None = None) -> list[str]:
    """Write a network as one C99 file, whole or not at all.

    `predict(input, logits)` in it gives what `saved.predict` gives for one sample, in float32, batch norms folded and
    normalization included. With `int8` the weights are stored in eight bits (see `quantized`). With name="digits" it is
    `digits_predict`, and all other names in the file begin so too: networks under different names fit into one
    program. Returns what another C file declares to use this one, a line each.

    Raises ValueError for a network alone, a model that does not say what it reads, a layer of your own, weights that
    are not finite, or a name that C cannot have; OSError if the file cannot be written.
    """
    must_be_saved(saved)
    check_name(name)
    if int8:
        saved = quantized(saved)
    shape = input_shape(saved)
    factors = None if saved.normalize is None else saved.normalize.factors(np.zeros((1, *shape), np.float32))
    saved = replace(saved, model=without_batch_norm(saved.model))
    with np.errstate(all="ignore"):  # numbers from a file, which need not make sense
        program = program_of(saved.model, shape, factors)
    write_atomically(path, source(saved, program, name).encode())
    return [under(name, line, program) for line in declarations(saved, program)]


def quantized(saved: SavedModel) -> SavedModel:
    """The same model with the weights of its linear layers and convolutions in eight bits (`files/c/int8.py` says how).

    It answers in Python as the C will, so its accuracy can be measured: that which was measured before is
    `float_test_accuracy` among its metrics. Raises ValueError for a network alone, and for weights that are not
    finite.
    """
    must_be_saved(saved)
    metrics = {"float_" * (name == "test_accuracy") + name: value for name, value in saved.metrics.items()}
    return replace(saved, model=in_eight_bits(saved.model), metrics=metrics)


def input_shape(saved: SavedModel) -> tuple[int, ...]:
    """The shape of a sample: what the file says, or else what the first layer needs."""
    if saved.input_shape:
        return saved.input_shape
    for first in in_a_row(saved.model)[:1]:
        if isinstance(first, nn.Linear):
            return (first.in_features,)
        if type(first).__name__ == "FirstPixels":
            return (first.config()["count"],)
    raise ValueError("the model does not say what it reads; save it with input_shape=(1, 28, 28), or whatever the "
                     "shape of a sample is.")
