"""What the classifier and the regressor have in common: from a table to a trained network, in scikit-learn's manners.

Those are: what is learned has names that end with an underscore; the same `random_state` gives the same network; and
whatever comes in, arrays, frames, sparse matrices, is checked first. The learning itself is `byhand.fit`.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, validate_data

from byhand import losses, nn, optim
from byhand.callbacks import Callback, Schedule
from byhand.data import Dataset
from byhand.estimator import network
from byhand.estimator.lbfgs import minimize
from byhand.estimator.learned import Learned
from byhand.estimator.parameters import Parameters
from byhand.estimator.rows import check_frames, fingerprint, fit_float32, held_out, samples
from byhand.estimator.stopping import Progress
from byhand.history import History
from byhand.inference import Answers, Loss, precision
from byhand.nn.layers import BatchNorm, BatchNorm1d
from byhand.tensor import Tensor
from byhand.train import fit

Array = np.ndarray[Any, Any]


def in_one_shape(loss: Loss, outputs: Tensor, targets: Array, **weights: Any) -> Tensor:
    """A loss of numbers: the outputs (n, 1) of a network become (n,) where its targets are. Their difference would be
    a table (n, n) otherwise, and no error."""
    single = targets.ndim == 1 and outputs.shape[1:] == (1,)
    return loss(outputs.reshape(targets.shape) if single else outputs, targets, **weights)


class NeuralNetwork(Learned, Parameters):
    """A network as an estimator of scikit-learn: what classifier and regressor have in common."""

    _optimizer: optim.Optimizer | None
    _yardstick: str

    # --- what a classifier and a regressor do differently -------------------------------------------------------------

    def _targets(self, y: Array, known: bool, name: str = "y") -> Array:
        """The targets as numbers; `known` if they have to be like those before. Messages call them by this name."""
        raise NotImplementedError

    def _validation_score(self, outputs: Array, targets: Array, weights: Array | None) -> float:
        """What `score` gives for samples with these outputs."""
        raise NotImplementedError

    def _allowed_outputs(self) -> tuple[int, ...]:
        """How many numbers a network may answer with, the usual one first."""
        raise NotImplementedError

    def _purpose(self) -> str:
        """What they are needed for, to be said where a network answers with others."""
        raise NotImplementedError

    def _loss(self) -> Loss:
        """The loss by its name."""
        raise NotImplementedError

    def _strata(self, targets: Array) -> Array:
        """The group of each row, of which each is to have its share among those that are held out."""
        return np.zeros(len(targets), np.int64)

    def _meet(self, targets: Array, weights: Array | None) -> None:
        """Look at all that is about to be learned from."""

    def _weighted(self, targets: Array, weights: Array | None) -> Array | None:
        """How much each sample counts."""
        return weights

    # --- what a user calls --------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None,
            sample_weight_val: Any = None) -> Any:
        """Learn from rows X (n, features) or pictures (n, C, H, W), and their targets y.

        sample_weight: (n,), how much each row counts; 0 is the same as leaving it out. X_val, y_val, sample_weight_val:
        rows to judge by after each epoch, which are not learned from; without them, and with early_stopping, a part
        of X is held out. Raises ValueError for what does not fit. Warns with ConvergenceWarning if max_iter epochs were
        not enough. Ctrl-C ends training with a warning, and what was learned stays. Whatever is raised, the estimator
        answers as it did before.
        """
        with self._as_before_if_it_fails():
            return self._learn(X, y, sample_weight, (X_val, y_val, sample_weight_val))

    def _learn(self, X: Any, y: Any, sample_weight: Any, validation: tuple[Any, Any, Any],
               one_epoch: bool = False) -> Any:
        self._validate_params()
        self._check_together(one_epoch, validation)
        check_frames(X=X, y=y, sample_weight=sample_weight, X_val=validation[0], y_val=validation[1],
                     sample_weight_val=validation[2])
        first = not (hasattr(self, "model_") and (self.warm_start or one_epoch))
        rows, targets, weights = self._rows(X, y, sample_weight, first, one_epoch or not first)
        if first:
            self._begin(rows)
        self._check_same_layers()
        train, judge = self._sets(rows, targets, weights, validation)
        if self.solver == "lbfgs":
            self._search(train)
        else:
            self._train(train, judge, one_epoch)
        return self

    @contextmanager
    def _as_before_if_it_fails(self) -> Iterator[None]:
        """What is refused in the middle, or goes wrong in training, takes nothing with it that was learned before."""
        before = {name: copy.copy(value) if name.endswith("_") and isinstance(value, list) else value  # those grow
                  for name, value in vars(self).items()}
        weights = self.model_.state_dict() if hasattr(self, "model_") else {}
        try:
            yield
        except BaseException:
            self.__dict__ = before
            if not all(np.array_equal(array, now) for array, now in zip(
                    weights.values(), self.model_.state_dict().values() if weights else (), strict=True)):
                self.model_.load_state_dict(weights)  # and what the optimizer remembers is of steps that are undone
                self._left, self._optimizer = self._version(), None
            raise

    # --- what comes in ------------------------------------------------------------------------------------------------

    def _flat(self, X: Any, first: bool) -> Any:
        """Pictures (n, C, H, W) as rows, which is how scikit-learn has everything. Their shape is remembered."""
        X = np.asarray(X) if isinstance(X, list | tuple) else X
        shape = tuple(np.shape(X)[1:]) if getattr(X, "ndim", 2) > 2 else None
        if first:
            given = shape if self.image_shape is None else network.picture(self.image_shape)
            self._shape = given if given is None or len(given) != 2 else (1, *given)
        if shape is None:
            return X
        if shape not in (self._shape, (self._shape or ())[1:]):
            raise ValueError(f"pictures of shape {shape} do not fit this network, whose samples have the shape "
                             f"{self._shape or (self.n_features_in_,)}.")
        return X.reshape(len(X), math.prod(shape))

    def _checked(self, X: Any, *y: Any, first: bool = False) -> Any:
        """X, or X and y, as scikit-learn checks them: numbers, none of them NaN, in rows of the length that is known.

        At first dtype="auto" is float32 for whatever fits into it, and else float64; from then on X is as the network.
        """
        check_frames(X=X)
        X = self._flat(X, first)
        if not first:
            dtype: Any = precision(self.model_)
        elif self.dtype == "auto":
            dtype = np.float32 if fit_float32(X) else [np.float64, np.float32]
        else:
            dtype = np.dtype(self.dtype)
        options = {"accept_sparse": "csr", "order": "C", "dtype": dtype, "reset": first}
        if not y:
            return validate_data(self, X, **options)
        return validate_data(self, X, *y, multi_output=True, **options)

    def _rows(self, X: Any, y: Any, sample_weight: Any, first: bool = False,
              known: bool = True, name: str = "y") -> tuple[Any, Array, Array | None]:
        """Checked rows, targets and weights. Rows of weight 0 are gone."""
        X, y = self._checked(X, y, first=first)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
            counts = weights > 0
            X, y, weights = X[counts], y[counts], weights[counts]
        return X, self._targets(y, known, name), weights

    def _sets(self, rows: Any, targets: Array, weights: Array | None,
              validation: tuple[Any, Any, Any]) -> tuple[Dataset, Dataset | None]:
        """What to learn from, and what to judge by, if anything."""
        judge: tuple[Any, Array, Array | None] | None = None
        if validation[0] is not None:
            judge = self._rows(*validation, name="y_val")
        elif self.early_stopping and self.solver != "lbfgs":
            draw = np.random.default_rng(self._split_seed)  # the same in every partial_fit
            held = held_out(rows, self._strata(targets), weights, self.validation_fraction, draw)
            judge = rows[held], targets[held], None if weights is None else weights[held]
            rows, targets, weights = rows[~held], targets[~held], None if weights is None else weights[~held]
        self._meet(targets, weights)
        rows, targets, weights = self._counting(rows, targets, weights, "learn from")
        self._mean_weight = 1.0 if weights is None else float(weights.mean())
        train = self._dataset(rows, targets, weights)
        if judge is None:
            return train, None
        yardstick = fingerprint(*judge)
        if yardstick != self._yardstick:  # a score on other rows is no better and no worse
            self._forget_the_best()
            self._yardstick = yardstick
        return train, self._dataset(*self._counting(*judge, "judge by"))

    def _counting(self, rows: Any, targets: Array, weights: Array | None, why: str) -> tuple[Any, Array, Array | None]:
        """Without the rows of a class that does not count."""
        weights = self._weighted(targets, weights)
        if weights is None or weights.all():
            return rows, targets, weights
        counts = weights > 0
        if not counts.any():
            raise ValueError(f"class_weight leaves no sample with a weight above 0: there is nothing to {why}.")
        return rows[counts], targets[counts], weights[counts]

    def _dataset(self, rows: Any, targets: Array, weights: Array | None) -> Dataset:
        """Weights that are all alike are left out: there is a quicker way without any."""
        if weights is not None and np.ptp(weights) == 0:
            weights = None
        return Dataset(samples(rows, self._sample_shape), targets, weights=weights)

    # --- learning -----------------------------------------------------------------------------------------------------

    def _begin(self, rows: Any) -> None:
        """A new network, and nothing noted yet."""
        features, dtype = rows.shape[1], rows.dtype
        self._sample_shape = shape = self._shape or (features,)
        if math.prod(shape) != features:
            raise ValueError(f"rows of {features} features are no pictures of image_shape={self.image_shape}.")
        if self.augment is not None and len(shape) != 3:
            raise ValueError("augment changes pictures; say how large they are: image_shape=(28, 28).")
        self._rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        self._split_seed = int(self._rng.integers(2**62))
        allowed = self._allowed_outputs()
        if self.model is None:
            hidden = network.widths(self.hidden_layer_sizes)
            activations = network.one_for_each(self.activation, len(hidden))
            model: nn.Module = network.dense(hidden, activations, shape, allowed[0], self.dropout, self.batch_norm,
                                             self._rng, dtype)
        else:
            model = network.given(self.model, shape, allowed[0], self._rng, dtype)
        self.n_outputs_ = network.check_answers(model, shape, allowed, self._purpose())
        self.model_, self._answers = model, Answers()
        self._layers, self._left = self._layers_asked_for(), self._version()
        self._optimizer = None
        self.n_iter_, self.t_, self.loss_ = 0, 0, math.inf
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = None
        self.history_ = History()
        self.best_loss_: float | None = None
        self.best_validation_score_: float | None = None
        self.stopped_, self._yardstick = "", ""
        self._watched, self._best_value, self._best_tie, self._without_gain = "", -math.inf, math.inf, 0
        self._best_weights: dict[str, Array] | None = None

    def _version(self) -> int:
        """A number that grows with every change of the weights."""
        return sum(parameter.version for parameter in self.model_.parameters())

    def _forget_the_best(self) -> None:
        """What was the best of other weights is not what to come back to."""
        self._watched, self._best_weights = "", None
        if self.best_validation_score_ is not None:
            self.best_validation_score_ = -math.inf

    def _train(self, train: Dataset, judge: Dataset | None, one_epoch: bool) -> None:
        """Learn by steps, as long as it is worth it or for one epoch."""
        stands_alone = not (one_epoch or self.early_stopping)  # its losses are compared with each other only
        if stands_alone or self._version() != self._left:  # or somebody has set weights, from which to go on
            self._forget_the_best()
        samples, batch = len(train), self._batch_size(len(train))
        self._check_batch(batch)
        if not one_epoch or self._optimizer is None:
            self._optimizer = self._new_optimizer(self.model_.parameters(), self._l2(batch))
        elif isinstance(self.solver, str):  # alpha may have changed, and so may the number of samples that share it
            matrices = self._optimizer.groups[0].settings
            matrices.update({"weight_decay": self.alpha} if "weight_decay" in matrices else {"l2": self._l2(batch)})
        if judge is not None and self.validation_scores_ is None:
            self.validation_scores_, self.best_validation_score_ = [], -math.inf
        progress = Progress(self, judge, comes_back=bool(self.early_stopping) or not one_epoch)
        callbacks: list[Callback] = [progress, *self.callbacks]
        if not isinstance(self.learning_rate, str):
            callbacks.append(Schedule(self.learning_rate))
        lonely = samples > batch and samples % batch == 1  # a batch of one has no variance
        normalizes = any(isinstance(layer, BatchNorm) for _, layer in self.model_.named_modules())
        try:
            run = fit(self.model_, train, loss=self._own_loss(), optimizer=self._optimizer, rng=self._rng,
                      epochs=1 if one_epoch else self.max_iter, batch_size=batch, shuffle=self.shuffle,
                      drop_last=lonely and normalizes, validation=judge, augment=self.augment, callbacks=callbacks)
        except KeyboardInterrupt:
            if progress.run is None:
                raise
            warnings.warn("Training interrupted by user.", stacklevel=4)
            run = progress.run
        if run.failed:
            raise ValueError(f"training failed: {run.stopped}")
        self.stopped_ = run.stopped
        if progress.comes_back and self._best_weights and (run.stopped or (self.early_stopping and not one_epoch)):
            self.model_.load_state_dict(self._best_weights)
        self._left = self._version()
        if run.epoch == self.max_iter and not (run.stopped or one_epoch) and isinstance(self.learning_rate, str):
            warnings.warn(f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization "
                          "hasn't converged yet.", ConvergenceWarning, stacklevel=4)

    def _search(self, train: Dataset) -> None:
        """Learn from everything at once."""
        self._check_batch(len(train))
        self._forget_the_best()
        self.loss_curve_ += minimize(
            self.model_, self._own_loss(), train, self._l2(len(train)), self._rng, steps=self.max_iter,
            calls=self.max_fun, tolerance=self.tol, verbose=bool(self.verbose))
        self.loss_, self.best_loss_, self.n_iter_ = self.loss_curve_[-1], min(self.loss_curve_), len(self.loss_curve_)
        self.t_ += len(train) * self.n_iter_

    def _own_loss(self) -> Loss:
        """The loss; one of the user's own gets outputs of the shape of its targets, if that can be."""
        loss = self._loss()
        own = isinstance(self.loss, str) or getattr(loss, "func", loss) in vars(losses).values()
        return loss if own else partial(in_one_shape, loss)

    def _check_batch(self, rows: int) -> None:
        """Raises ValueError for batches of one row, if they are to be normalized."""
        if rows == 1 and any(isinstance(layer, BatchNorm1d) for _, layer in self.model_.named_modules()):
            raise ValueError("a batch norm needs batches of two rows or more, since one has no variance; give a larger "
                             "batch_size or more rows, or leave batch norm out.")

    def _l2(self, batch: int) -> float:
        """alpha is shared by the samples of a batch, as MLPClassifier does it: by their weights, so that three equal
        rows and one of weight 3 are the same."""
        return self.alpha / (batch * self._mean_weight)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """From a file or another process. joblib may map arrays from a file that is to be read only, large ones for its
        workers, and all for `joblib.load(path, mmap_mode="r")`: whatever learns becomes a copy, which can go on."""
        super().__setstate__(state)
        if not hasattr(self, "model_"):
            return
        arrays = [np.asarray(array) for _, array in self.model_.named_arrays()]
        if there := self._optimizer:
            arrays += [there.flat, there.gradient, there.spares, *there.memory.values()]
        if not all(array.flags.writeable for array in arrays):
            self.model_, self._optimizer = copy.deepcopy((self.model_, there))  # tied to each other as before

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
