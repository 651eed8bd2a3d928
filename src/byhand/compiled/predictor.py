"""Answers by a compiled program: a network that is only used.

Nothing is recorded, batch norms are folded into the weights before them, and everything that can be laid out beforehand
is. One sample takes some millionths of a second; many are shared out over the threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from byhand.compiled.learner import flat_samples
from byhand.compiled.writing import Array, Row, placed, program_of, written
from byhand.data import Normalize
from byhand.kernels import get_num_threads
from byhand.kernels.jit import learning, program
from byhand.kernels.threads import team
from byhand.nn.module import Module

CHUNK = 32  # samples that a thread takes through the network at a time
FEWEST = 8  # samples for which a thread is worth waking


class Predictor:
    """The outputs of a network, whose weights are as they were when this was made."""

    def __init__(self, rows: Sequence[Row], kind: Any) -> None:
        self.width = math.prod(rows[-1].outputs)
        self.kind = np.dtype(kind)
        self.shape = rows[0].inputs
        places: dict[int, int] = {}
        parts: list[Array] = []
        for row in rows:
            for array in (row.weight, row.bias):
                if array is not None:
                    places[id(array)] = sum(part.size for part in parts)
                    columns = row.kind == program.LINEAR and array.ndim == 2
                    parts.append(np.asarray(plain(array), self.kind).ravel("F" if columns else "C"))
        flat = np.concatenate([*parts, np.zeros(1, self.kind)])
        layout = placed(rows, CHUNK, False, lambda array: places[id(array)])
        self.threads = get_num_threads()
        self.program = program_of(rows, layout, self.threads, flat, np.zeros((1, 1), self.kind))
        start = 0
        for norm in (row.norm for row in rows if row.norm is not None):
            for values in (norm.running_mean, norm.running_var):
                self.program.statistics[start:start + values.size] = values
                start += values.size
            start = -(-start // 16) * 16
        program.lay_out_filters(self.program, 0, 1, False)
        self.normalize: Normalize | None = None
        self.samples = flat_samples(np.zeros((1, *self.shape), self.kind), kind=self.kind)
        self.order = np.arange(CHUNK)

    def __call__(self, inputs: Array, normalize: Normalize | None = None) -> Array:
        """inputs: (N, ...), bytes or of this kind, contiguous -> (N, outputs)."""
        count = len(inputs)
        if normalize is not self.normalize:
            factors = () if normalize is None else normalize.factors(inputs, self.kind)
            self.samples, self.normalize = flat_samples(inputs, None, *factors, kind=self.kind), normalize
        if count > len(self.order):
            self.order = np.arange(count)
        samples = self.samples._replace(inputs=inputs.reshape(-1))
        outputs = np.empty((count, self.width), self.kind)
        team.share(min(self.threads, -(-count // FEWEST)), learning.answer, self.program, samples, self.order[:count],
                   CHUNK, outputs.reshape(-1))
        return outputs


def plain(array: Any) -> Array:
    """A Tensor's array, or the array itself."""
    return np.asarray(getattr(array, "data", array)) if not isinstance(array, np.ndarray) else array


def predictor(model: Module, shape: tuple[int, ...]) -> Predictor | None:
    """A Predictor for samples of this shape, or None for a network that cannot be written down."""
    rows = written(model, shape, learning=False)
    return None if rows is None else Predictor(rows, model.parameters()[0].dtype)
