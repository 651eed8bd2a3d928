"""Learning from all samples at once, by L-BFGS.

Where the data is small, each step can look at all of it, and then it is worth thinking longer about the step: L-BFGS
guesses from the last slopes how the valley bends (Liu and Nocedal 1989). The search itself is SciPy's; the loss and its
slopes are ours.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from byhand import nn
from byhand.data import Dataset, Loader
from byhand.inference import Loss, precision
from byhand.optim import SGD
from byhand.teaching import LayerByLayer

Array = np.ndarray[Any, Any]


def minimize(model: nn.Module, loss: Loss, data: Dataset, l2: float, rng: np.random.Generator, *, steps: int,
             calls: int, tolerance: float, verbose: bool) -> list[float]:
    """Move the model's parameters to where the loss, and l2 / 2 · Σ w² over all matrices, is least. Returns the loss
    after each step.

    steps, calls: how many steps and looks at the data there may be. tolerance: how flat it must be to stop. Warns with
    scikit-learn's ConvergenceWarning if it was not; raises ValueError if a number is not finite.
    """
    from scipy.optimize import minimize as search
    from sklearn.exceptions import ConvergenceWarning

    optimizer = SGD(model.parameters(), lr=1.0)  # it takes no step: it has all parameters in one row
    loader = Loader(data, None, dtype=precision(model))
    teaching = LayerByLayer(model, loss, loader, rng)
    (batch,) = loader
    curve: list[float] = []

    def value_and_slopes(values: Array) -> tuple[float, Array]:
        optimizer.load_values(values)
        optimizer.zero_grad()
        with np.errstate(all="ignore"):
            value, _ = teaching.gradients(batch)
            slopes = []
            for slot in optimizer.slots:
                slope = np.zeros(slot.shape) if slot.parameter.grad is None else slot.parameter.grad
                if slot.parameter.ndim > 1:
                    value += l2 / 2 * float(np.square(slot.values).sum())
                    slope = slope + l2 * slot.values
                slopes.append(slope.reshape(-1))
        return value, np.concatenate(slopes).astype(np.float64)

    def note(intermediate_result: Any) -> None:
        curve.append(float(intermediate_result.fun))
        if verbose:
            print(f"Iteration {len(curve)}, loss = {curve[-1]:.8f}")

    found = search(value_and_slopes, optimizer.values().astype(np.float64), jac=True, method="L-BFGS-B", callback=note,
                   options={"maxiter": steps, "maxfun": calls, "gtol": tolerance})
    optimizer.load_values(found.x)
    optimizer.zero_grad()
    if not (np.isfinite(found.fun) and np.isfinite(found.x).all()):
        raise ValueError("the loss is not a finite number with solver='lbfgs'; scale the inputs to about 1.")
    if found.status == 1:
        warnings.warn(f"lbfgs failed to converge after {found.nit} iteration(s) and {found.nfev} calls of the loss; "
                      "increase max_iter or max_fun, or scale the inputs to about 1.", ConvergenceWarning, stacklevel=5)
    return curve or [float(found.fun)]
