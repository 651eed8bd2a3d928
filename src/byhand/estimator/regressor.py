"""How much is it? A network that answers with a number, or with several."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import assert_all_finite, column_or_1d

from byhand import losses
from byhand.data import Dataset
from byhand.estimator.base import Array, NeuralNetwork
from byhand.estimator.parameters import goes_step_by_step
from byhand.inference import Loss

LOSSES: dict[str, Loss] = {
    "squared_error": partial(losses.squared_error, factor=0.5), "poisson": losses.poisson,  # those of MLPRegressor
    "absolute_error": losses.absolute_error, "huber": losses.huber,
}


class NeuralNetworkRegressor(RegressorMixin, NeuralNetwork):
    """A regressor to put in the place of MLPRegressor. `Parameters` has the most of them; this one is its own:

    loss: "squared_error" (half of it, as there), "poisson" for counts, whose network answers with logarithms,
    "absolute_error", "huber"; or a function (outputs, targets, sample_weights=None), whose targets are (n,) or
    (n, outputs).

    Targets of very different size are learned badly by any network; scale them, with TransformedTargetRegressor.

    Attributes: model_, the network; coefs_, intercepts_; loss_, best_loss_, loss_curve_, validation_loss_curve_,
    validation_scores_, best_validation_score_; history_, a record an epoch; n_iter_, t_, n_layers_, n_outputs_,
    out_activation_, n_features_in_, feature_names_in_; stopped_, why it stopped.
    """

    _parameter_constraints = {  # noqa: RUF012 (as scikit-learn has it)
        **NeuralNetwork._parameter_constraints, "loss": [StrOptions(set(LOSSES)), callable]}

    def __init__(self, loss: Any = "squared_error", hidden_layer_sizes: Any = (100,), activation: Any = "relu", *,
                 solver: Any = "adam", alpha: float = 0.0001, batch_size: Any = "auto",
                 learning_rate: Any = "constant", learning_rate_init: float = 0.001, power_t: float = 0.5,
                 max_iter: int = 200, shuffle: bool = True, random_state: Any = None, tol: float = 1e-4,
                 verbose: Any = False, warm_start: bool = False, momentum: float = 0.9,
                 nesterovs_momentum: bool = True, early_stopping: Any = False, validation_fraction: float = 0.1,
                 beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8, n_iter_no_change: Any = 10,
                 max_fun: int = 15000, dropout: float = 0.0, batch_norm: bool = False, model: Any = None,
                 image_shape: Any = None, augment: Any = None, callbacks: Any = (), dtype: str = "auto") -> None:
        self._keep(locals())

    @available_if(goes_step_by_step)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None,
                    sample_weight_val: Any = None) -> Any:
        """One more epoch, on these samples.

        With early_stopping, `stopped_` says when enough is enough: the network then has its best weights back, and
        whoever goes on has a new count. Only what is judged by the same rows is compared; so where each call has other
        ones, it does not stop. Otherwise as `fit`.
        """
        with self._as_before_if_it_fails():
            return self._learn(X, y, sample_weight, (X_val, y_val, sample_weight_val), one_epoch=True)

    def predict(self, X: Any) -> Array:
        """The value of each row, (n,) or (n, outputs)."""
        outputs = self._outputs(X)
        if self.out_activation_ == "exp":
            outputs = np.exp(outputs)
        return outputs if self._columns else outputs[:, 0]

    # --- targets ------------------------------------------------------------------------------------------------------

    def _targets(self, y: Any, known: bool, name: str = "y") -> Array:
        if hasattr(y, "toarray"):
            raise ValueError(f"{name} is a sparse matrix, and a regressor needs all of its numbers: {name}.toarray().")
        y = numbers(y, name)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        columns: int = y.shape[1] if y.ndim == 2 else 0
        if known and hasattr(self, "_columns") and columns != self._columns:
            raise ValueError(f"{name} has the shape {y.shape}, and this regressor was fitted to "
                             f"{f'{self._columns} columns' if self._columns else 'one number a sample'}.")
        self._columns: int = columns
        return np.asarray(y)

    def _sets(self, rows: Any, targets: Array, weights: Array | None,
              validation: tuple[Any, Any, Any]) -> tuple[Dataset, Dataset | None]:
        train, judge = super()._sets(rows, targets, weights, validation)
        if judge is not None and len(judge) < 2 and self.early_stopping in (True, "score"):
            raise ValueError("X_val has one row that counts, and a score (R²) needs two at least; give more, or stop "
                             "by the loss, early_stopping='loss'.")
        return train, judge

    def _allowed_outputs(self) -> tuple[int, ...]:
        return (max(1, self._columns),)

    def _purpose(self) -> str:
        return "as many targets"

    @property
    def out_activation_(self) -> str:
        """What makes values of the outputs: "identity", or "exp" for loss="poisson"."""
        self._fitted_model()
        return str(self._layers["loss"])

    def _layers_asked_for(self) -> dict[str, Any]:
        return {**super()._layers_asked_for(), "loss": "exp" if self.loss == "poisson" else "identity"}

    def _loss(self) -> Loss:
        return LOSSES[self.loss] if isinstance(self.loss, str) else self.loss

    def _validation_score(self, outputs: Array, targets: Array, weights: Array | None) -> float:
        values = np.exp(outputs) if self.out_activation_ == "exp" else outputs
        if len(values) < 2 or not np.isfinite(values).all():
            return float("nan")
        return float(r2_score(targets, values, sample_weight=weights))


def numbers(y: Array, name: str) -> Array:
    """The targets as finite numbers; objects may be some. Raises ValueError, with this name, for what is none."""
    try:
        found = y.astype(np.float64) if y.dtype.kind == "O" else y
    except (TypeError, ValueError):
        found = y
    if found.dtype.kind not in "fiub":
        raise ValueError(f"{name} has to be numbers, and is an array of {y.dtype}; convert it, or take "
                         "NeuralNetworkClassifier if these are classes.")
    assert_all_finite(found, input_name=name)
    return found
