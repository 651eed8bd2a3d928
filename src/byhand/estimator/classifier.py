"""Which class is it? A network that answers with probabilities, and labels of any kind around it.

Several classes have an output each, which a softmax makes probabilities of. Two classes have a single one, for the
second of them, as in MLPClassifier, unless the loss needs one for each; and where a sample may have several labels at
once, each label has one.
"""

from __future__ import annotations

import math
import warnings
from numbers import Real
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from byhand import losses, ops
from byhand.estimator.base import Array, NeuralNetwork
from byhand.estimator.parameters import goes_step_by_step
from byhand.estimator.rows import check_frames
from byhand.inference import Loss
from byhand.metrics import predictions, probabilities

FITTING: dict[str, tuple[str, list[Any]]] = {
    "softmax": ("a logit for each class, and the number of the right one as the target",
                [losses.cross_entropy, losses.hinge, losses.brier]),
    "logistic": ("logits, each with a target of 0 or 1", [losses.binary_cross_entropy]),
}
"""By what makes probabilities of the outputs: what a loss is given, and which of ours are for that."""


def of_all_labels(logits: Any, targets: Any, *, sample_weights: Any = None) -> Any:
    """The binary cross-entropy, summed over the labels of a sample and averaged over the samples, as MLPClassifier has
    it."""
    return losses.binary_cross_entropy(logits, targets, sample_weights=sample_weights) * targets.shape[1]


class NeuralNetworkClassifier(ClassifierMixin, NeuralNetwork):
    """A classifier to put in the place of MLPClassifier. `Parameters` has the most of them; these are its own:

    loss: "log_loss", or a function (outputs, targets, sample_weights=None), whose targets are the numbers of the
    classes, (n,), or with several labels 0 and 1, (n, labels). Two classes have one output, and two with the losses
    of `bh.losses` that need one for each class.
    class_weight: {class: weight}, or "balanced": as much for each class, however many samples it has. The samples that
    decide when to stop count by it too; else those of a common class would decide alone.

    Attributes: classes_, (classes,), in order; model_, the network; coefs_, intercepts_; loss_, best_loss_,
    loss_curve_, validation_loss_curve_, validation_scores_, best_validation_score_; history_, a record an epoch;
    n_iter_, t_, n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_; stopped_, why it stopped.
    """

    _parameter_constraints = {  # noqa: RUF012 (as scikit-learn has it)
        **NeuralNetwork._parameter_constraints, "loss": [StrOptions({"log_loss"}), callable],
        "class_weight": [dict, StrOptions({"balanced"}), None]}

    def __init__(self, hidden_layer_sizes: Any = (100,), activation: Any = "relu", *, solver: Any = "adam",
                 alpha: float = 0.0001, batch_size: Any = "auto", learning_rate: Any = "constant",
                 learning_rate_init: float = 0.001, power_t: float = 0.5, max_iter: int = 200, shuffle: bool = True,
                 random_state: Any = None, tol: float = 1e-4, verbose: Any = False, warm_start: bool = False,
                 momentum: float = 0.9, nesterovs_momentum: bool = True, early_stopping: Any = False,
                 validation_fraction: float = 0.1, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8,
                 n_iter_no_change: Any = 10, max_fun: int = 15000, loss: Any = "log_loss", class_weight: Any = None,
                 dropout: float = 0.0, batch_norm: bool = False, model: Any = None, image_shape: Any = None,
                 augment: Any = None, callbacks: Any = (), dtype: str = "auto") -> None:
        self._keep(locals())

    @available_if(goes_step_by_step)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None, *, X_val: Any = None,
                    y_val: Any = None, sample_weight_val: Any = None) -> Any:
        """One more epoch, on these samples. classes: all that there will ever be, needed the first time.

        With early_stopping, `stopped_` says when enough is enough: the network then has its best weights back, and
        whoever goes on has a new count. Only what is judged by the same rows is compared; so where each call has other
        ones, it does not stop. Otherwise as `fit`.
        """
        self._validate_params()
        check_frames(y=y)
        if self.class_weight == "balanced":
            raise ValueError("partial_fit does not know how many samples each class will have, which "
                             "class_weight='balanced' has to; give the weights as a dict.")
        with self._as_before_if_it_fails():
            if _check_partial_fit_first_call(self, classes):
                self._several = np.ndim(y) == 2 and np.shape(y)[1] > 1
                self._sparse_labels = False
                if self._several:
                    self.classes_ = np.arange(np.shape(y)[1])
            return self._learn(X, y, sample_weight, (X_val, y_val, sample_weight_val), one_epoch=True)

    # --- labels and numbers -------------------------------------------------------------------------------------------

    def _targets(self, y: Any, known: bool, name: str = "y") -> Array:
        y = labels(y, name)
        check_classification_targets(y)
        kind = type_of_target(y, input_name=name)
        if kind == "multiclass-multioutput":
            raise ValueError(f"{name} has several columns with more in them than 0 and 1, which would be labels; fit a "
                             "classifier for each column.")
        several, sparse = kind == "multilabel-indicator", hasattr(y, "toarray")
        if several:
            y = np.asarray(y.toarray() if sparse else y)
            found = np.arange(y.shape[1])
        else:
            y = column_or_1d(y, warn=True)
            found = np.unique(y)
        if not known:
            self.classes_, self._several, self._sparse_labels = found, several, sparse
        if several != self._several or (several and len(found) != len(self.classes_)):
            expected = f"{len(self.classes_)} columns of labels" if self._several else "one class a sample"
            raise ValueError(f"{name} has the shape {y.shape}, and this classifier was fitted to {expected}.")
        unknown = [label for label in found.tolist() if label not in self.classes_.tolist()]
        if unknown:
            advice = ("partial_fit needs all classes the first time, and warm_start the same ones each time"
                      if name == "y" else "leave their rows out")
            raise ValueError(f"{name} has classes that this classifier does not know: {unknown}. It knows "
                             f"{self.classes_.tolist()}; {advice}.")
        return y.astype(np.float32) if several else np.searchsorted(self.classes_, y)

    def _allowed_outputs(self) -> tuple[int, ...]:
        count = len(self.classes_)
        if self._several or count > 2:
            return (count,)
        if getattr(self.loss, "func", self.loss) in FITTING["softmax"][1]:  # a partial's function counts
            return (2,)
        return (1, 2) if count == 2 else (1,)

    def _purpose(self) -> str:
        return f"{len(self.classes_)} {'labels' if self._several else 'classes'}"

    @property
    def out_activation_(self) -> str:
        """What makes probabilities of the outputs: "softmax" or "logistic"."""
        self._fitted_model()
        return "logistic" if self._several or self.n_outputs_ == 1 else "softmax"

    def _loss(self) -> Loss:
        given, fitting = FITTING[self.out_activation_]
        if isinstance(self.loss, str):
            return of_all_labels if self._several else fitting[0]
        function: Any = getattr(self.loss, "func", self.loss)
        if function in vars(losses).values() and function not in fitting:
            raise ValueError(f"loss={function.__name__} does not fit {self._purpose()}: it would be given {given}; "
                             f"take losses.{' or losses.'.join(one.__name__ for one in fitting)}.")
        return self.loss

    def _strata(self, targets: Array) -> Array:
        return super()._strata(targets) if self._several else targets

    def _meet(self, targets: Array, weights: Array | None) -> None:
        if self.class_weight is None:
            return
        if self._several:
            raise ValueError("class_weight is for classes, of which each sample has one; where samples have several "
                             "labels, give sample_weight.")
        balanced = self.class_weight == "balanced"
        if not (balanced or all(isinstance(w, Real) and 0 <= float(w) < math.inf for w in self.class_weight.values())):
            raise ValueError(f"class_weight has a finite number of at least 0 for each class, got {self.class_weight}.")
        there = np.unique(targets) if balanced else np.arange(len(self.classes_))  # a warm start may see fewer classes
        self._by_class = np.ones(len(self.classes_))
        self._by_class[there] = compute_class_weight(self.class_weight, classes=self.classes_[there],
                                                     y=self.classes_[targets], sample_weight=weights)

    def _weighted(self, targets: Array, weights: Array | None) -> Array | None:
        if self.class_weight is None:
            return weights
        return np.asarray(self._by_class[targets] * (1 if weights is None else weights))

    def _validation_score(self, outputs: Array, targets: Array, weights: Array | None) -> float:
        right = ((outputs > 0) == targets).all(axis=1) if self._several else predictions(outputs) == targets
        return float(np.average(right, weights=weights))

    # --- answers ------------------------------------------------------------------------------------------------------

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The part of the rows whose class, or all of whose labels, it says rightly. Warns of classes that it does not
        know: of these it can say none."""
        check_frames(y=y)
        y = y if hasattr(y, "toarray") else labels(np.asarray(y), "y")
        right = float(super().score(X, y, sample_weight))
        if not self._several:
            counted = y if sample_weight is None else y[np.asarray(sample_weight) > 0]
            unknown = np.setdiff1d(counted, self.classes_).tolist()
            if unknown:
                warnings.warn("y has classes that this classifier does not know, whose rows count as wrong: "
                              f"{unknown}.", stacklevel=2)
        return right

    def predict(self, X: Any) -> Any:
        """The most probable class of each row (n,); or which labels it has (n, labels), 0 and 1, in a sparse matrix if
        those that it was fitted to were in one."""
        likely = self.predict_proba(X)
        if not self._several:
            return self.classes_[likely.argmax(axis=1)]
        labels = (likely > 0.5).astype(np.int64)
        return csr_matrix(labels) if self._sparse_labels else labels

    def decision_function(self, X: Any) -> Array:
        """The logits, which say how sure the network is: of the second of two classes (n,), of each of several
        (n, classes), or of each label (n, labels)."""
        scores = self._outputs(X)
        if self._several or len(self.classes_) > 2:
            return scores
        return scores[:, 0] if scores.shape[1] == 1 else scores[:, 1] - scores[:, 0]

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class (n, classes), in float64, where every row sums to 1; or of each label, which
        do not."""
        outputs = self._outputs(X)
        if self._several:
            return np.asarray(ops.sigmoid(outputs.astype(np.float64)))
        return np.ones((len(outputs), 1)) if len(self.classes_) == 1 else probabilities(outputs)

    def predict_log_proba(self, X: Any) -> Array:
        """Their logarithms, which are finite where a probability is too small for a number."""
        scores = self._outputs(X).astype(np.float64)
        if self._several:
            return -np.logaddexp(0, -scores)
        if len(self.classes_) == 1:
            return np.zeros((len(scores), 1))
        if scores.shape[1] == 1:
            scores = np.hstack([np.zeros_like(scores), scores])
        return np.asarray(ops.log_softmax(scores))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def labels(y: Any, name: str) -> Any:
    """The labels, numbers among objects as numbers. Raises ValueError, with this name, for those that have no order."""
    kinds = {type(label) for label in y.flat} if y.dtype.kind == "O" else {str}
    if all(issubclass(kind, str) for kind in kinds):
        return y
    if not all(issubclass(kind, Real | np.bool_) for kind in kinds):
        raise ValueError(f"{name} holds {' and '.join(sorted(kind.__name__ for kind in kinds))}, and labels are all "
                         "text or all whole numbers; convert them, and leave out rows without one.")
    return np.array(y.tolist())
