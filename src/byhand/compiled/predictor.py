"""Answers by a compiled program: a network that is only used.

Nothing is recorded, batch norms are folded into the weights before them, and everything that can be laid out beforehand
is. One sample takes some millionths of a second; many are shared out over the threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from byhand.compiled.learner import ELSEWHERE, NO_BYTES, NO_NUMBERS, NO_RATES, flat_samples, no_rule
from byhand.compiled.writing import Array, Row, placed, program_of, written
from byhand.data import Normalize
from byhand.kernels import get_num_threads
from byhand.kernels.jit import program
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
        nothing = flat[:0]
        self.rule = no_rule(nothing)
        empty = program.Samples(nothing, np.zeros(0, np.int64), nothing, nothing, 1, 1)
        self.run(1, program.PREPARE, empty, np.zeros(0, np.int64), nothing)

    def __call__(self, inputs: Array, normalize: Normalize | None = None) -> Array:
        """inputs: (N, ...), bytes or floats, contiguous -> (N, outputs)."""
        factors = () if normalize is None else normalize.factors(inputs, self.kind)
        samples = flat_samples(inputs, None, *factors, kind=self.kind)
        outputs = np.empty(len(inputs) * self.width, self.kind)
        threads = min(self.threads, -(-len(inputs) // FEWEST))
        self.run(threads, program.ANSWER, samples, np.arange(len(inputs)), outputs)
        return outputs.reshape(len(inputs), self.width)

    def run(self, threads: int, task: int, samples: program.Samples, order: Array, outputs: Array) -> None:
        """One call of the program."""
        steps = program.Steps(order, 1, CHUNK, order[:0], NO_RATES, NO_NUMBERS, NO_BYTES, outputs)
        team.share(threads, program.run, task, self.program, samples, ELSEWHERE, self.rule, steps)


def plain(array: Any) -> Array:
    """A Tensor's array, or the array itself."""
    return np.asarray(getattr(array, "data", array)) if not isinstance(array, np.ndarray) else array


def predictor(model: Module, shape: tuple[int, ...]) -> Predictor | None:
    """A Predictor for samples of this shape, or None for a network that cannot be written down."""
    rows = written(model, shape, learning=False)
    return None if rows is None else Predictor(rows, model.parameters()[0].dtype)
