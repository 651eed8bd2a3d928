"""An optimizer's step in one pass.

In NumPy a step of Adam is a dozen operations, each of which goes through all the parameters. The processor then mostly
waits for memory. Here every number is fetched once, changed completely, and put back, so that the step takes as long as
reading and writing the arrays does.

The rules are those of `optim/algorithms.py`, where each has its formula, its source and its name. Every operation is
done in the same order and rounded in the same way as there, so the results are the same to the last bit.
"""

from collections.abc import Mapping

import numpy as np

from byhand.kernels.jit.cache import unit
from byhand.kernels.jit.exponential import inlined
from byhand.kernels.jit.sharing import Array, share

RULES = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
SGD, MOMENTUM, NESTEROV, ADAGRAD, RMSPROP, ADAM = range(6)
WORTH = 16  # so little is done with each number that many of them are needed before a thread is worth waking


@unit
def update(first, last, kind, w, g, m, s, lr, setting1, setting2, eps, decay, l1, l2, clip, factor):
    """One step of the parameters w[first:last], by the slopes g (only read).

    kind: one of the rules above; AdamW is ADAM with a `decay`. m, s: what the rule remembers, which is changed too: the
    velocity (MOMENTUM, NESTEROV) or the mean slope (ADAM) in m, and the squares (ADAGRAD, RMSPROP, ADAM) in s; what it
    does not use may be any array of the same kind. lr, eps: with Adam's corrections already in them. setting1:
    momentum, or RMSprop's alpha, or Adam's β₁; setting2: Adam's β₂. decay: which part of w goes before the step.
    clip: the largest size of a slope, inf for any; factor: what it is multiplied by then, to make all of them shorter;
    l1, l2: how much of the weight's sign and of the weight is added to it.
    """
    number = w.dtype.type
    rate, small, kept, setting = number(lr), number(eps), number(1 - decay), number(setting1)
    w, slopes, m, s = w[first:last], g[first:last], m[first:last], s[first:last]
    if l1 != 0 or l2 != 0 or clip != np.inf or factor != 1:
        slopes = penalized(w, slopes, number(l1), number(l2), number(clip), number(factor))
    if kind == SGD:
        for i in range(len(w)):
            w[i] -= rate * slopes[i]
    elif kind == MOMENTUM:
        for i in range(len(w)):
            m[i] = m[i] * setting + slopes[i]
            w[i] -= m[i] * rate
    elif kind == NESTEROV:
        for i in range(len(w)):
            m[i] = m[i] * setting + slopes[i]
            w[i] -= (slopes[i] + m[i] * setting) * rate
    elif kind == ADAGRAD:
        for i in range(len(w)):
            s[i] += slopes[i] * slopes[i]
            w[i] -= slopes[i] / (np.sqrt(s[i]) + small) * rate
    elif kind == RMSPROP:
        rest = number(1 - setting1)
        for i in range(len(w)):
            s[i] = s[i] * setting + slopes[i] * slopes[i] * rest
            w[i] -= slopes[i] / (np.sqrt(s[i]) + small) * rate
    elif kind == ADAM:
        rest, setting_of_squares, rest_of_squares = number(1 - setting1), number(setting2), number(1 - setting2)
        for i in range(len(w)):
            s[i] = s[i] * setting_of_squares + slopes[i] * slopes[i] * rest_of_squares
            m[i] = m[i] * setting + slopes[i] * rest
            w[i] = w[i] * kept - m[i] / (np.sqrt(s[i]) + small) * rate
    tiny = np.finfo(w.dtype).tiny
    for numbers in (w, m, s):  # below it are the subnormal ones, with which many processors are far slower
        for i in range(len(numbers)):
            numbers[i] = number(0) if abs(numbers[i]) < tiny else numbers[i]


@inlined
def penalized(w, g, l1, l2, clip, factor):
    """The slopes at the parameters w: clipped, shortened, and with what the penalties add. NaN stays NaN.

    Each in a loop of its own, which is done by the vector; in one with all of them, or with an optimizer's rule, too
    much would have to be decided about each number for that.
    """
    number = w.dtype.type
    slopes = np.empty(len(w), w.dtype)
    for i in range(len(w)):
        slopes[i] = (clip if g[i] > clip else -clip if g[i] < -clip else g[i]) * factor
    if l1 != 0:
        for i in range(len(w)):  # times the sign; that of 0 is 0, that of NaN is NaN
            slopes[i] += l1 * (number(1) if w[i] > 0 else number(-1) if w[i] < 0 else w[i])
    if l2 != 0:
        for i in range(len(w)):
            slopes[i] += l2 * w[i]
    return slopes


def step(rule: str, w: Array, g: Array, memory: Mapping[str, Array], rates: tuple[float, float, float, float, float],
         l1: float, l2: float, clip: float, factor: float) -> None:
    """One step of all the parameters w. rule: one of RULES. memory: what the rule remembers, under the names that it
    has in `optim/algorithms.py`. rates: lr, setting1, setting2, eps and decay; for them and the rest see `update`."""
    m, s = memory.get("velocity", memory.get("mean", w)), memory.get("squares", w)
    share(update, w.size, w.size // WORTH, RULES.index(rule), w, g, m, s, *rates, l1, l2, clip, factor)
