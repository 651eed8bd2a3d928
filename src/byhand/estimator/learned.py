"""What was learned, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from byhand import kernels, nn
from byhand.estimator import network
from byhand.inference import Answers, predict
from byhand.ops.linear import rows_alone
from byhand.terminal import short

Array = np.ndarray[Any, Any]
BLOCK = 8192
"""Sparse rows that are written out at a time to be answered."""


class Learned:
    """The part of an estimator that is there when it has been fitted."""

    model_: nn.Module
    _answers: Answers
    _sample_shape: tuple[int, ...]

    def _checked(self, X: Any) -> Any:
        """X as scikit-learn checks it."""
        raise NotImplementedError

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
        one_by_one = inputs.ndim > 2 and kernels.in_use() == "numpy"  # NumPy does a few pictures in one product
        with rows_alone():
            return predict(self.model_, inputs, batch_size=1 if one_by_one else 250)

    @property
    def coefs_(self) -> list[Array]:
        """The weights of each linear layer, (inputs, outputs) as MLPClassifier has them, and of each convolution.

        A whole array can be set, or all of them, in the shapes that they have; the numbers in one are to be read only,
        since compiled kernels would not hear of a number that is written into them. Raises ValueError for other shapes,
        and for numbers that are not finite.
        """
        return Arrays([layer.weight.data.T if isinstance(layer, nn.Linear) else layer.weight.data
                       for layer in network.learned_layers(self._fitted_model())],
                      lambda arrays: setattr(self, "coefs_", arrays))

    @coefs_.setter
    def coefs_(self, values: Sequence[Any]) -> None:
        arrays = alike("coefs_", values, self.coefs_)
        for layer, array in zip(network.learned_layers(self.model_), arrays, strict=True):
            layer.load_state_dict({"weight": array.T if isinstance(layer, nn.Linear) else array}, strict=False)

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of the same layers, (outputs,), which are read and set as `coefs_` are."""
        return Arrays([np.zeros(len(layer.weight.data)) if layer.bias is None else layer.bias.data
                       for layer in network.learned_layers(self._fitted_model())],
                      lambda arrays: setattr(self, "intercepts_", arrays))

    @intercepts_.setter
    def intercepts_(self, values: Sequence[Any]) -> None:
        arrays = alike("intercepts_", values, self.intercepts_)
        layers = network.learned_layers(self.model_)
        if any(layer.bias is None and array.any() for layer, array in zip(layers, arrays, strict=True)):
            raise ValueError("a layer of this network has no bias; give zeros for it in intercepts_.")
        for layer, array in zip(layers, arrays, strict=True):
            if layer.bias is not None:
                layer.load_state_dict({"bias": array}, strict=False)

    @property
    def n_layers_(self) -> int:
        """The number of layers as MLPClassifier counts them, with that of the inputs."""
        return len(network.learned_layers(self._fitted_model())) + 1

    def _fitted_model(self) -> nn.Module:
        if "model_" not in vars(self):
            raise AttributeError(f"this {type(self).__name__} has not been fitted yet.")
        return self.model_


class Arrays(list[Array]):
    """The weights of a network, a list of arrays that cannot be written to. One that is set is set in the network."""

    def __init__(self, arrays: Sequence[Array], change: Callable[[list[Array]], None]) -> None:
        super().__init__(read_only(array) for array in arrays)
        self.change = change

    def __setitem__(self, place: Any, value: Any) -> None:
        arrays = list(self)
        arrays[place] = value
        self.change(arrays)
        super().__setitem__(place, arrays[place])

    def __reduce__(self) -> Any:
        """A copy, or what is read from a file, is a plain list, which belongs to no network."""
        return list, (), None, iter(self)


def read_only(array: Array) -> Array:
    """The same numbers, which cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def alike(name: str, values: Any, own: list[Array]) -> list[Array]:
    """The values as arrays. Raises ValueError if they are not finite numbers of the shapes and the precision of those
    there are."""
    try:
        arrays = [np.asarray(value) for value in values]
    except (TypeError, ValueError):  # no list, or rows of different lengths
        raise ValueError(f"{name} are a list of arrays, one a layer, and this is {short(repr(values))}.") from None
    shapes, expected = [array.shape for array in arrays], [array.shape for array in own]
    if len(shapes) != len(expected):
        raise ValueError(f"{name} of this network are {len(expected)} arrays, one a layer, and not {len(shapes)}.")
    if shapes != expected:
        raise ValueError(f"{name} of this network have the shapes {expected}, and these have {shapes}.")
    if any(array.dtype.kind not in "fiub" for array in arrays):
        raise ValueError(f"{name} have to be numbers, and these are {[str(array.dtype) for array in arrays]}.")
    for number, (array, there) in enumerate(zip(arrays, own, strict=True)):
        with np.errstate(over="ignore"):
            if not np.isfinite(array.astype(there.dtype)).all():
                raise ValueError(f"{name}[{number}] has NaN, infinity or a number too large for {there.dtype}; give "
                                 "finite numbers.")
    return arrays
