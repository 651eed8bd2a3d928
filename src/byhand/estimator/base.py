"""What the classifier and the regressor have in common: from a table to a trained network, in scikit-learn's manners.

Those are: parameters are only stored when an estimator is made, and looked at when it is fitted; what is learned has
names that end with an underscore; the same `random_state` gives the same network; and whatever comes in, arrays,
frames, sparse matrices, is checked first. The learning itself is `byhand.fit`.
"""

from __future__ import annotations

import math
import pickle
import warnings
from inspect import Parameter, signature
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from byhand import nn, optim
from byhand.callbacks import Callback, Schedule, check_callbacks
from byhand.data import Dataset
from byhand.estimator import network
from byhand.estimator.lbfgs import minimize
from byhand.estimator.rows import held_out, samples
from byhand.estimator.stopping import Progress
from byhand.history import History
from byhand.inference import Answers, Loss, precision, predict
from byhand.nn.layers import BatchNorm
from byhand.train import fit

Array = np.ndarray[Any, Any]
TILE = 64
"""Samples that NumPy is always given at a time to answer: the last bits of a matrix product depend on its size."""
BLOCK = 8192
"""Sparse rows that are written out at a time to be answered."""
UNFELT = 1e-5
"""A pull towards 0, as a part of a parameter's size, that makes no difference to a bias."""
POSITIVE = Interval(Real, 0, None, closed="neither")
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
PART = Interval(Real, 0, 1, closed="left")
COUNT = Interval(Integral, 1, None, closed="left")


def goes_step_by_step(estimator: NeuralNetwork) -> bool:
    """Whether there is a `partial_fit`. Raises AttributeError with the reason, as MLPClassifier does, if not."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
    return True


class NeuralNetwork(BaseEstimator):
    """A network as an estimator of scikit-learn. Parameters that MLPClassifier has mean what they mean there:

    hidden_layer_sizes, activation ("identity", "logistic", "tanh", "relu"), solver ("adam", "sgd", "lbfgs"), alpha,
    batch_size, learning_rate ("constant", and for "sgd" "invscaling" and "adaptive"), learning_rate_init, power_t,
    max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping,
    validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun.

    These can be more:

    activation: also "elu", "gelu", "leaky_relu", "silu", "softplus"; and a list with one for each hidden layer.
    solver: also "adamw", "rmsprop" and "adagrad"; and a function (parameters, lr) that returns an optimizer, such as
    partial(bh.optim.Adam, clip_norm=1.0), which then has no alpha but its own.
    learning_rate: also a schedule of `bh.schedules`, or any function from the progress of the training, 0 at its start
    and 1 after max_iter epochs, to a factor on learning_rate_init.
    early_stopping: True stops by the score of rows that are held out, or of `X_val`; "loss" by their loss.

    And these are new:

    loss: a name, or a function (outputs, targets, sample_weights=None) that returns a Tensor, such as those in
    `bh.losses`.
    dropout: the part of each hidden layer that is left out in a step, 0 to below 1. batch_norm: whether each hidden
    layer is normalized over the batch, before its activation.
    model: a network of byhand, of which a copy is trained from the weights it has; or a function
    (input_shape, n_outputs, rng) that builds one. Then hidden_layer_sizes and activation say nothing.
    image_shape: (H, W) or (C, H, W), if rows are pictures; `X` may also have the shape (n, C, H, W).
    augment: a function (images, rng) that changes the pictures of a batch at random, such as bh.data.Affine().
    callbacks: a list of `bh.callbacks`.
    dtype: "float32", "float64", or "auto": that of X, where float64 cannot be less.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", COUNT],
        "activation": [StrOptions(set(network.ACTIVATIONS)), "array-like"],
        "solver": [StrOptions({"adam", "adamw", "sgd", "rmsprop", "adagrad", "lbfgs"}), callable],
        "alpha": [NOT_NEGATIVE],
        "batch_size": [StrOptions({"auto"}), COUNT],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
        "learning_rate_init": [POSITIVE],
        "power_t": [NOT_NEGATIVE],
        "max_iter": [COUNT],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [NOT_NEGATIVE],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [PART],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean", StrOptions({"score", "loss"})],
        "validation_fraction": [PART],
        "beta_1": [PART],
        "beta_2": [PART],
        "epsilon": [POSITIVE],
        "n_iter_no_change": [COUNT, Options(Real, {math.inf})],
        "max_fun": [COUNT],
        "dropout": [PART],
        "batch_norm": ["boolean"],
        "model": [nn.Module, callable, None],
        "image_shape": ["array-like", None],
        "augment": [callable, None],
        "callbacks": [list, tuple],
        "dtype": [StrOptions({"auto", "float32", "float64"})],
    }
    _numeric: ClassVar[bool]
    """Whether targets are numbers."""

    # --- what a classifier and a regressor do differently -------------------------------------------------------------

    def _targets(self, y: Array, known: bool) -> Array:
        """The targets as numbers; `known` if they have to be like those before."""
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

    def _keep(self, given: dict[str, Any]) -> None:
        """Every argument of __init__ becomes the attribute of its name."""
        for name in self._get_param_names():
            setattr(self, name, given[name])

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None,
            sample_weight_val: Any = None) -> Any:
        """Learn from rows X (n, features) or pictures (n, C, H, W), and their targets y.

        sample_weight: (n,), how much each row counts; 0 is the same as leaving it out. X_val, y_val, sample_weight_val:
        rows to judge by after each epoch, which are not learned from; without them, and with early_stopping, a part
        of X is held out. Raises ValueError for what does not fit. Warns with ConvergenceWarning if max_iter epochs were
        not enough. Ctrl-C ends training with a warning, and what was learned stays.
        """
        return self._learn(X, y, sample_weight, (X_val, y_val, sample_weight_val))

    def _learn(self, X: Any, y: Any, sample_weight: Any, validation: tuple[Any, Any, Any],
               one_epoch: bool = False) -> Any:
        self._validate_params()
        self._check_together(one_epoch, validation)
        first = not (hasattr(self, "model_") and (self.warm_start or one_epoch))
        rows, targets, weights = self._rows(X, y, sample_weight, first, one_epoch or not first)
        if first:
            self._begin(rows)
        train, judge = self._sets(rows, targets, weights, validation)
        if self.solver == "lbfgs":
            self._search(train)
        else:
            self._train(train, judge, one_epoch)
        return self

    # --- what comes in ------------------------------------------------------------------------------------------------

    def _check_together(self, one_epoch: bool, validation: tuple[Any, Any, Any]) -> None:
        """Refuse what cannot be had together."""
        check_callbacks(list(self.callbacks))
        if (validation[0] is None) != (validation[1] is None):
            raise ValueError("X_val and y_val are given together or not at all.")
        if self.model is not None and (self.dropout or self.batch_norm):
            raise ValueError("dropout and batch_norm belong to the layers that hidden_layer_sizes makes; build them "
                             "into the model, or leave model out.")
        if self.augment is not None and not self.shuffle:
            raise ValueError("augment needs shuffle=True, since both are drawn together.")
        if one_epoch and not isinstance(self.learning_rate, str):
            raise ValueError("partial_fit does not know how long training will be, which a schedule has to; give "
                             "learning_rate='constant', or call fit.")
        if self.solver == "lbfgs":
            for name in ("augment", "dropout", "callbacks"):
                if getattr(self, name):
                    raise ValueError(f"solver='lbfgs' looks at all samples in each step, and has no use for {name}; "
                                     "leave it out, or take solver='adam'.")
            if validation[0] is not None:
                raise ValueError("solver='lbfgs' does not stop by a validation set; leave out X_val and y_val, or take "
                                 "solver='adam'.")
        if not isinstance(self.loss, str):
            known = signature(self.loss).parameters
            if "sample_weights" not in known and not any(p.kind is Parameter.VAR_KEYWORD for p in known.values()):
                raise ValueError("loss is a function (outputs, targets, sample_weights=None); this one has no "
                                 "sample_weights.")

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
        X = self._flat(X, first)
        if not first:
            dtype: Any = precision(self.model_)
        elif self.dtype == "auto":
            kind = getattr(X, "dtype", None)
            small = isinstance(kind, np.dtype) and np.can_cast(kind, np.float32)
            dtype = np.float32 if small else [np.float64, np.float32]
        else:
            dtype = np.dtype(self.dtype)
        options = {"accept_sparse": "csr", "order": "C", "dtype": dtype, "reset": first}
        if not y:
            return validate_data(self, X, **options)
        return validate_data(self, X, *y, multi_output=True, y_numeric=self._numeric, **options)

    def _rows(self, X: Any, y: Any, sample_weight: Any, first: bool = False,
              known: bool = True) -> tuple[Any, Array, Array | None]:
        """Checked rows, targets and weights. Rows of weight 0 are gone."""
        X, y = self._checked(X, y, first=first)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
            counts = weights > 0
            if not counts.all():
                X, y, weights = X[counts], y[counts], weights[counts]
        return X, self._targets(y, known), weights

    def _sets(self, rows: Any, targets: Array, weights: Array | None,
              validation: tuple[Any, Any, Any]) -> tuple[Dataset, Dataset | None]:
        """What to learn from, and what to judge by, if anything."""
        judge: tuple[Any, Array, Array | None] | None = None
        if validation[0] is not None:
            judge = self._rows(*validation)
        elif self.early_stopping and self.solver != "lbfgs":
            draw = np.random.default_rng(self._split_seed)  # the same in every partial_fit
            held = held_out(rows, self._strata(targets), weights, self.validation_fraction, draw)
            judge = rows[held], targets[held], None if weights is None else weights[held]
            rows, targets, weights = rows[~held], targets[~held], None if weights is None else weights[~held]
        self._meet(targets, weights)
        weights = self._weighted(targets, weights)
        self._mean_weight = 1.0 if weights is None else float(weights.mean())
        train = self._dataset(rows, targets, weights)
        return train, None if judge is None else self._dataset(*judge[:2], self._weighted(*judge[1:]))

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
        self._optimizer: optim.Optimizer | None = None
        self.n_iter_, self.t_, self.loss_ = 0, 0, math.inf
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = None
        self.history_ = History()
        self.best_loss_: float | None = None
        self.best_validation_score_: float | None = None
        self.stopped_ = ""
        self._watched, self._best_value, self._without_gain = "", -math.inf, 0
        self._best_weights: dict[str, Array] | None = None

    def _train(self, train: Dataset, judge: Dataset | None, one_epoch: bool) -> None:
        """Learn by steps, as long as it is worth it or for one epoch."""
        samples, batch = len(train), self._batch_size(len(train))
        if not one_epoch or self._optimizer is None:
            self._optimizer = self._new_optimizer(self._l2(batch))
        if judge is not None and self.validation_scores_ is None:
            self.validation_scores_, self.best_validation_score_ = [], -math.inf
        progress = Progress(self, judge)
        callbacks: list[Callback] = [progress, *self.callbacks]
        if not isinstance(self.learning_rate, str):
            callbacks.append(Schedule(self.learning_rate))
        lonely = samples > batch and samples % batch == 1  # a batch of one has no variance
        normalizes = any(isinstance(layer, BatchNorm) for _, layer in self.model_.named_modules())
        try:
            run = fit(self.model_, train, loss=self._loss(), optimizer=self._optimizer, rng=self._rng,
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
        if self._best_weights is not None and (run.stopped or not one_epoch):
            self.model_.load_state_dict(self._best_weights)
        if run.epoch == self.max_iter and not (run.stopped or one_epoch) and isinstance(self.learning_rate, str):
            warnings.warn(f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization "
                          "hasn't converged yet.", ConvergenceWarning, stacklevel=4)

    def _search(self, train: Dataset) -> None:
        """Learn from everything at once."""
        self.loss_curve_ += minimize(
            self.model_, self._loss(), train, self._l2(len(train)), self._rng, steps=self.max_iter,
            calls=self.max_fun, tolerance=self.tol, verbose=bool(self.verbose))
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = min(self.loss_curve_)
        self.n_iter_ = len(self.loss_curve_)
        self.t_ += len(train) * self.n_iter_


    def _batch_size(self, samples: int) -> int:
        """Warns, as MLPClassifier does, if it is more than there are samples."""
        if self.batch_size == "auto":
            return min(200, samples)
        if self.batch_size > samples:
            warnings.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
                          stacklevel=5)
        return min(self.batch_size, samples)

    def _l2(self, batch: int) -> float:
        """alpha is shared by the samples of a batch, as MLPClassifier does it: by their weights, so that three equal
        rows and one of weight 3 are the same."""
        return self.alpha / (batch * self._mean_weight)

    def _new_optimizer(self, l2: float) -> optim.Optimizer:
        """The optimizer by its name. alpha keeps matrices small and leaves biases alone; but where biases would not
        feel it, all parameters are one group, which the compiled kernels move along with everything else."""
        parameters, lr = self.model_.parameters(), self.learning_rate_init
        if not isinstance(self.solver, str):
            return self.solver(parameters, lr=lr)
        decay = "weight_decay" if self.solver == "adamw" else "l2"
        matrices, others = ([p for p in parameters if (p.ndim > 1) is wanted] for wanted in (True, False))
        groups: list[dict[str, Any]] = [{"parameters": parameters, decay: l2}]
        if l2 > UNFELT and matrices and others:
            groups = [{"parameters": matrices, decay: l2}, {"parameters": others, decay: 0.0}]
        if self.solver in ("adam", "adamw"):
            adam = optim.Adam if self.solver == "adam" else optim.AdamW
            return adam(groups, lr, betas=(self.beta_1, self.beta_2), eps=self.epsilon)
        if self.solver == "sgd" and self.momentum:
            rolling = optim.Nesterov if self.nesterovs_momentum else optim.Momentum
            return rolling(groups, lr, momentum=self.momentum)
        return {"sgd": optim.SGD, "rmsprop": optim.RMSprop, "adagrad": optim.Adagrad}[self.solver](groups, lr)

    # --- what goes out ------------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> Array:
        """The network's outputs (n, n_outputs_) for rows, each as if it were alone, to the last bit."""
        check_is_fitted(self)
        X = self._checked(X)
        if not hasattr(X, "toarray"):
            return self._answer(X)
        return np.concatenate([self._answer(X[start:start + BLOCK].toarray()) for start in range(0, X.shape[0], BLOCK)])

    def _answer(self, rows: Array) -> Array:
        inputs = rows.reshape(len(rows), *self._sample_shape)
        if self._answers.compiles(self.model_, self._sample_shape):
            return self._answers(self.model_, inputs, None)
        filled = np.zeros((-(-len(rows) // TILE) * TILE, *self._sample_shape), rows.dtype)
        filled[:len(rows)] = inputs
        return predict(self.model_, filled, batch_size=TILE)[:len(rows)]

    @property
    def coefs_(self) -> list[Array]:
        """The weights of each linear layer, (inputs, outputs) as MLPClassifier has them, and of each convolution."""
        return [layer.weight.data.T if isinstance(layer, nn.Linear) else layer.weight.data
                for layer in network.learned_layers(self._fitted_model())]

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of the same layers, (outputs,)."""
        return [np.zeros(len(layer.weight.data)) if layer.bias is None else layer.bias.data
                for layer in network.learned_layers(self._fitted_model())]

    @property
    def n_layers_(self) -> int:
        """The number of layers as MLPClassifier counts them, with that of the inputs."""
        return len(network.learned_layers(self._fitted_model())) + 1

    def _fitted_model(self) -> nn.Module:
        if "model_" not in vars(self):
            raise AttributeError(f"this {type(self).__name__} has not been fitted yet.")
        return self.model_

    def __getstate__(self) -> dict[str, Any]:
        """For a file or another process. Raises PicklingError, naming it, for a parameter that cannot go there."""
        for name in ("callbacks", "augment", "loss", "solver", "learning_rate"):
            value = getattr(self, name)
            for part in value if isinstance(value, list | tuple) else [value]:
                try:
                    pickle.dumps(part)
                except (AttributeError, pickle.PicklingError):  # joblib can pickle more than Python by itself
                    continue
                except TypeError as error:
                    raise pickle.PicklingError(f"{part!r} in {name} can go neither into a file nor to another process "
                                               f"({error}); leave it out, or use n_jobs=1.") from None
        return super().__getstate__()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
