"""The algorithms, from the oldest to the newest; each is a few lines.

All go downhill, against the slope g. They differ in what they remember. Momentum remembers where it was going, like a
ball that rolls. Adagrad, RMSprop and Adam remember how steep each parameter's slope usually is, and take steps of about
the same length along all of them.

Each `update` works in place on flat arrays: w are parameters, g their gradients (free to be overwritten), `spare` is
room for one intermediate result. The formula stands above the code; ← means "becomes". `compiled_as` names the compiled
rule that does the same in one pass (`kernels/jit/update.py`), and the numbers that it needs.
"""

import math
from typing import Unpack

import numpy as np

from byhand.optim.groups import Array, Common, Parameters, Settings
from byhand.optim.optimizer import Optimizer, Rates, compiled_as


class SGD(Optimizer):
    """Gradient descent: w ← w - lr · g. Stochastic where each g comes from a batch (Robbins and Monro 1951)."""

    def __init__(self, parameters: Parameters, lr: float, **common: Unpack[Common]) -> None:
        super().__init__(parameters, lr, **common)

    @compiled_as("sgd", lambda lr, t, own: Rates(lr))
    def update(self, w: Array, g: Array, spare: Array, memory: list[Array], lr: float, t: int, own: Settings) -> None:
        g *= lr
        w -= g


class Momentum(Optimizer):
    """A rolling ball: v ← momentum · v + g, then w ← w - lr · v (Polyak 1964; Sutskever et al. 2013, section 2, with
    the learning rate outside v, as in PyTorch)."""

    remembers = ("velocity",)

    def __init__(self, parameters: Parameters, lr: float, momentum: float = 0.9, **common: Unpack[Common]) -> None:
        super().__init__(parameters, lr, {"momentum": momentum}, **common)

    @compiled_as("momentum", lambda lr, t, own: Rates(lr, own["momentum"]))
    def update(self, w: Array, g: Array, spare: Array, memory: list[Array], lr: float, t: int, own: Settings) -> None:
        (velocity,) = memory
        velocity *= own["momentum"]
        velocity += g
        np.multiply(velocity, lr, out=spare)
        w -= spare


class Nesterov(Momentum):
    """Momentum that looks ahead: v ← momentum · v + g, then w ← w - lr · (g + momentum · v) (Nesterov 1983; Bengio et
    al. 2013, section 3.5, with the learning rate outside v, as in PyTorch)."""

    @compiled_as("nesterov", lambda lr, t, own: Rates(lr, own["momentum"]))
    def update(self, w: Array, g: Array, spare: Array, memory: list[Array], lr: float, t: int, own: Settings) -> None:
        (velocity,) = memory
        velocity *= own["momentum"]
        velocity += g
        np.multiply(velocity, own["momentum"], out=spare)
        g += spare
        g *= lr
        w -= g


class Adagrad(Optimizer):
    """Steps shrink where slopes have been steep: s ← s + g², then w ← w - lr · g / (√s + eps) (Duchi et al. 2011,
    section 1.1, the diagonal form)."""

    remembers = ("squares",)

    def __init__(self, parameters: Parameters, lr: float = 0.01, eps: float = 1e-10, **common: Unpack[Common]) -> None:
        super().__init__(parameters, lr, {"eps": eps}, **common)

    @compiled_as("adagrad", lambda lr, t, own: Rates(lr, eps=own["eps"]))
    def update(self, w: Array, g: Array, spare: Array, memory: list[Array], lr: float, t: int, own: Settings) -> None:
        (squares,) = memory
        np.multiply(g, g, out=spare)
        squares += spare
        step_by_spread(w, g, spare, squares, lr, own["eps"])


class RMSprop(Optimizer):
    """Adagrad that forgets: s ← alpha · s + (1 - alpha) · g², then w ← w - lr · g / (√s + eps) (Tieleman and Hinton
    2012, lecture 6.5 of their course)."""

    remembers = ("squares",)

    def __init__(self, parameters: Parameters, lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-8,
                 **common: Unpack[Common]) -> None:
        super().__init__(parameters, lr, {"alpha": alpha, "eps": eps}, **common)

    @compiled_as("rmsprop", lambda lr, t, own: Rates(lr, own["alpha"], eps=own["eps"]))
    def update(self, w: Array, g: Array, spare: Array, memory: list[Array], lr: float, t: int, own: Settings) -> None:
        (squares,) = memory
        running_mean_of_squares(squares, g, spare, own["alpha"])
        step_by_spread(w, g, spare, squares, lr, own["eps"])


class Adam(Optimizer):
    """RMSprop with momentum (Kingma and Ba 2015, algorithm 1). In step t:

    m ← β₁ · m + (1 - β₁) · g, v ← β₂ · v + (1 - β₂) · g², then w ← w - lr · m̂ / (√v̂ + eps), where m̂ = m / (1 - β₁ᵗ) and
    v̂ = v / (1 - β₂ᵗ) make up for starting at zero. t counts the steps of each parameter by itself.
    """

    remembers = ("mean", "squares")

    def __init__(self, parameters: Parameters, lr: float = 0.001, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, **common: Unpack[Common]) -> None:
        super().__init__(parameters, lr, {"betas": betas, "eps": eps}, **common)

    @compiled_as("adam", lambda *given: corrected(*given))
    def update(self, w: Array, g: Array, spare: Array, memory: list[Array], lr: float, t: int, own: Settings) -> None:
        mean, squares = memory
        beta1, beta2 = own["betas"]
        running_mean_of_squares(squares, g, spare, beta2)
        mean *= beta1
        g *= 1 - beta1
        mean += g
        rates = corrected(lr, t, own)
        step_by_spread(w, mean, spare, squares, rates.lr, rates.eps)


class AdamW(Adam):
    """Adam whose weights also shrink by themselves: w ← (1 - lr · weight_decay) · w before each step (Loshchilov and
    Hutter 2019, algorithm 2). Unlike `l2`, this shrinking is not divided by √v̂."""

    def __init__(self, parameters: Parameters, lr: float = 0.001, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.01, **common: Unpack[Common]) -> None:
        Optimizer.__init__(self, parameters, lr, {"betas": betas, "eps": eps, "weight_decay": weight_decay}, **common)

    @compiled_as("adam", lambda lr, t, own: corrected(lr, t, own)._replace(decay=lr * own["weight_decay"]))
    def update(self, w: Array, g: Array, spare: Array, memory: list[Array], lr: float, t: int, own: Settings) -> None:
        w *= 1 - lr * own["weight_decay"]
        super().update(w, g, spare, memory, lr, t, own)


def corrected(lr: float, t: int, own: Settings) -> Rates:
    """Adam's numbers. As at the end of the paper's section 2, both corrections go into the length of the step, which is
    one pass less."""
    beta1, beta2 = own["betas"]
    correction = math.sqrt(1 - beta2**t)
    return Rates(lr * correction / (1 - beta1**t), beta1, beta2, own["eps"] * correction)


def running_mean_of_squares(squares: Array, g: Array, spare: Array, keep: float) -> None:
    """s ← keep · s + (1 - keep) · g²."""
    squares *= keep
    np.multiply(g, g, out=spare)
    spare *= 1 - keep
    squares += spare


def step_by_spread(w: Array, direction: Array, spare: Array, squares: Array, lr: float, eps: float) -> None:
    """w ← w - lr · direction / (√squares + eps)."""
    np.sqrt(squares, out=spare)
    spare += eps
    np.divide(direction, spare, out=spare)
    spare *= lr
    w -= spare
