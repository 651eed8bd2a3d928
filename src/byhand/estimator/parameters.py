"""What a user says: the parameters of both estimators, what they may be, and what cannot be had together.

As scikit-learn wants it, nothing is looked at when an estimator is made. It is when it is fitted; so a search can set
parameters one by one, in any order.
"""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from collections.abc import Callable
from inspect import signature
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from joblib import wrap_non_picklable_objects
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, Options, StrOptions

from byhand import nn, optim
from byhand.callbacks import check_callbacks
from byhand.estimator import network
from byhand.tensor import Tensor
from byhand.terminal import short

POSITIVE = Interval(Real, 0, None, closed="neither")
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
PART = Interval(Real, 0, 1, closed="left")
COUNT = Interval(Integral, 1, None, closed="left")
CALLED: dict[str, tuple[list[str], list[str], str]] = {  # what a function is given, by place and by name; an example
    "model": (["input_shape", "n_outputs", "rng"], [], "bh.nn.Sequential(...)"),
    "solver": (["parameters"], ["lr"], "bh.optim.Adam"),
    "loss": (["outputs", "targets"], ["sample_weights"], "bh.losses.cross_entropy"),
    "learning_rate": (["progress"], [], "bh.schedules.Cosine()"),
    "augment": (["images", "rng"], [], "bh.data.Affine()"),
}
PICKLED: set[int] = set()
"""Which estimators are trying to: a callback that remembers its run leads back to where it is tried."""


def goes_step_by_step(estimator: Parameters) -> bool:
    """Whether there is a `partial_fit`. Raises AttributeError with the reason, as MLPClassifier does, if not."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
    return True


def check_call(name: str, value: Any) -> None:
    """Raises ValueError for a function that does not take what it will be given, or is none."""
    if not callable(value) or isinstance(value, nn.Module):
        return
    by_place, by_name, example = CALLED[name]
    given = getattr(value, "func", value)  # what a partial fills in
    kind = given if isinstance(given, type) else type(given)
    if any(base.__module__.split(".")[0] == "torch" for base in kind.__mro__):
        raise ValueError(f"{name} is PyTorch's {kind.__name__}, which knows nothing of byhand's Tensors; give one of "
                         f"byhand, such as {example}.")
    if kind is given and (name not in ("model", "solver") or kind in vars(nn).values()):
        raise ValueError(f"{name} is the class {kind.__name__}; make one of it, such as {example}.")
    try:
        takes = signature(value)
    except ValueError:  # some of those that are written in C do not tell
        return
    try:
        takes.bind(*by_place, **dict.fromkeys(by_name))
    except TypeError:
        raise ValueError(f"{name} is a function of ({', '.join([*by_place, *by_name])}), and this one takes "
                         f"{takes}.") from None


class Parameters(BaseEstimator):
    """Parameters that MLPClassifier has mean what they mean there:

    hidden_layer_sizes, activation ("identity", "logistic", "tanh", "relu"), solver ("adam", "sgd", "lbfgs"), alpha,
    batch_size, learning_rate ("constant", and for "sgd" "invscaling" and "adaptive"), learning_rate_init, power_t,
    max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping,
    validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun.

    These can be more:

    activation: also "elu", "gelu", "leaky_relu", "silu", "softplus"; and a list with one for each hidden layer.
    solver: also "adamw", whose weight decay is alpha, "rmsprop" and "adagrad"; and a function (parameters, lr) that
    returns an optimizer, such as partial(bh.optim.Adam, clip_norm=1.0), which has no alpha but its own.
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
    dtype: "float32", "float64", or "auto": float32 for X of that kind, of bytes and of what else fits into it exactly,
    and float64 for everything else.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", COUNT],
        "activation": [StrOptions(set(network.ACTIVATIONS)), "array-like"],
        "solver": [StrOptions({"adam", "adamw", "sgd", "rmsprop", "adagrad", "lbfgs"}), callable],
        "alpha": [NOT_NEGATIVE],
        "batch_size": [StrOptions({"auto"}), COUNT],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
        "learning_rate_init": [POSITIVE], "power_t": [NOT_NEGATIVE],
        "max_iter": [COUNT],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [NOT_NEGATIVE],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [PART], "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean", StrOptions({"score", "loss"})],
        "validation_fraction": [PART],
        "beta_1": [PART], "beta_2": [PART], "epsilon": [POSITIVE],
        "n_iter_no_change": [COUNT, Options(Real, {math.inf})], "max_fun": [COUNT],
        "dropout": [PART], "batch_norm": ["boolean"],
        "model": [nn.Module, callable, None],
        "image_shape": ["array-like", None],
        "augment": [callable, None],
        "callbacks": [list, tuple],
        "dtype": [StrOptions({"auto", "float32", "float64"})],
    }

    _layers: dict[str, Any]
    """What `_layers_asked_for` said when the network was made."""

    def _keep(self, given: dict[str, Any]) -> None:
        """Every argument of our __init__ becomes the attribute of its name. A subclass may take more of them, or fewer:
        it keeps its own."""
        for name, value in given.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def _check_together(self, one_epoch: bool, validation: tuple[Any, Any, Any]) -> None:
        """Refuse what cannot be had together."""
        check_callbacks(list(self.callbacks))
        if (validation[0] is None) != (validation[1] is None):
            raise ValueError("X_val and y_val are given together or not at all.")
        if validation[0] is None and validation[2] is not None:
            raise ValueError("sample_weight_val are the weights of X_val and y_val; give these too, or leave it out.")
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
        for name in CALLED:
            check_call(name, getattr(self, name))
        for progress in (0.0, 0.99) if callable(self.learning_rate) else ():
            factor = np.asarray(self.learning_rate(progress))
            if factor.ndim or factor.dtype.kind not in "fiub":
                raise ValueError(f"learning_rate is a function that returned {factor.tolist()!r} at the progress "
                                 f"{progress:g}; it must return a number, the factor on learning_rate_init.")

    def _layers_asked_for(self) -> dict[str, Any]:
        """The parameters that say which layers a network has."""
        if self.model is not None:
            return {"model": self.model}
        hidden = network.widths(self.hidden_layer_sizes)
        return {"model": None, "hidden_layer_sizes": hidden, "dropout": self.dropout, "batch_norm": self.batch_norm,
                "activation": network.one_for_each(self.activation, len(hidden))}

    def _check_same_layers(self) -> None:
        """Raises ValueError if others are asked for than the network has that goes on learning."""
        asked = self._layers_asked_for()
        changed = [name for name, value in asked.items() if value != self._layers.get(name)]
        if changed:
            raise ValueError(f"this network goes on learning with the layers that it has, and {changed[0]} has "
                             "changed since; set it back, or call fit with warm_start=False for a new network.")

    def _batch_size(self, samples: int) -> int:
        """Warns, as MLPClassifier does, if it is more than there are samples."""
        if self.batch_size == "auto":
            return min(200, samples)
        if self.batch_size > samples:
            warnings.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
                          stacklevel=5)
        return min(self.batch_size, samples)

    def _new_optimizer(self, parameters: list[Tensor], l2: float) -> optim.Optimizer:
        """The optimizer by its name. alpha keeps matrices small and leaves biases alone."""
        lr = self.learning_rate_init
        if not isinstance(self.solver, str):
            return self.solver(parameters, lr=lr)
        decay, pull = ("weight_decay", self.alpha) if self.solver == "adamw" else ("l2", l2)
        matrices, others = ([p for p in parameters if (p.ndim > 1) is wanted] for wanted in (True, False))
        groups = [{"parameters": matrices, decay: pull}, {"parameters": others, decay: 0.0}]
        if self.solver in ("adam", "adamw"):
            adam = optim.Adam if self.solver == "adam" else optim.AdamW
            return adam(groups, lr, betas=(self.beta_1, self.beta_2), eps=self.epsilon)
        if self.solver == "sgd" and self.momentum:
            rolling = optim.Nesterov if self.nesterovs_momentum else optim.Momentum
            return rolling(groups, lr, momentum=self.momentum)
        return {"sgd": optim.SGD, "rmsprop": optim.RMSprop, "adagrad": optim.Adagrad}[self.solver](groups, lr)

    # --- other processes ----------------------------------------------------------------------------------------------

    def __sklearn_clone__(self) -> Any:
        """Another one with the same parameters, copied: what a search does for each candidate. Raises PicklingError,
        naming it, for a parameter that cannot be copied."""
        self._check_each_can("be copied", copy.deepcopy)
        return super().__sklearn_clone__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """With all that was learned. A function can be copied that cannot go to another process."""
        copied = memo[id(self)] = object.__new__(type(self))  # first, since a callback may lead back here
        self._check_each_can("be copied", lambda part: copy.deepcopy(part, memo))
        copied.__setstate__(copy.deepcopy(super().__getstate__(), memo))
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """For a file or another process. Raises PicklingError as a copy does."""
        if id(self) not in PICKLED:
            PICKLED.add(id(self))
            try:
                self._check_each_can("go into a file or to another process",  # joblib can pickle more than Python alone
                                     lambda part: pickle.dumps(wrap_non_picklable_objects([part])))
            finally:
                PICKLED.remove(id(self))
        return super().__getstate__()

    def _check_each_can(self, do: str, attempt: Callable[[Any], Any]) -> None:
        for name in (*CALLED, "callbacks"):
            value = getattr(self, name)
            for part in value if isinstance(value, list | tuple) else [value]:
                try:
                    attempt(part)
                except Exception as error:  # each kind of object has its own way to refuse
                    raise pickle.PicklingError(f"{short(repr(part))} in {name} cannot {do} ({short(error)}); "
                                               "leave it out.") from None
