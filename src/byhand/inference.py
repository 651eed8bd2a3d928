"""Using a network: run it over many samples, and count what it gets right."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand import kernels
from byhand.autodiff import no_grad
from byhand.data import Dataset, Loader, Normalize
from byhand.data.dataset import as_dataset
from byhand.metrics import confusion_matrix, predictions, wilson_interval
from byhand.nn import Module, evaluating
from byhand.nn.module import watched
from byhand.tensor import Tensor

Array = np.ndarray[Any, Any]
Loss = Callable[..., Tensor]
BLOCK = 8192  # inputs that a compiled network is given at a time


@dataclass(frozen=True)
class Evaluation:
    """What a network reached on a set of samples."""

    samples: int
    accuracy: float | None
    """None if the targets are not classes."""
    interval: tuple[float, float] | None
    """95 %, Wilson."""
    loss: float
    """NaN if no loss was asked for, or all samples have weight 0."""
    outputs: Array
    """(N, ...), the logits."""
    targets: Array
    """N rows, what they should have said."""
    classes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        right = "" if self.accuracy is None or self.interval is None else (
            f", {100 * self.accuracy:.2f} % right (95 % interval {100 * self.interval[0]:.2f} to "
            f"{100 * self.interval[1]:.2f} %)")
        loss = "" if math.isnan(self.loss) else f", loss {self.loss:.4g}"
        return f"<Evaluation of {self.samples:,} samples{right}{loss}>"

    def _repr_html_(self) -> str:
        """In a notebook: the same, and what was taken for what."""
        from byhand import charts

        said = charts.tag("p", repr(self).strip("<>"))
        if self.accuracy is None or self.targets.ndim != 1:
            return charts.html(said)
        return charts.html(charts.tag("div", said, charts.confusion(self.confusion, self.names)))

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each class: its number, where the data has none."""
        count = max(2, *self.outputs.shape[1:])
        return self.classes if len(self.classes) >= count else tuple(map(str, range(count)))

    @property
    def confusion(self) -> Array:
        """How often class i (row) was taken for class j (column). Raises ValueError if the targets are not classes."""
        return confusion_matrix(predictions(self.outputs), self.targets, len(self.names))


def predict(model: Module, inputs: Array, *, normalize: Normalize | None = None, batch_size: int = 250) -> Array:
    """The outputs of `model` for `inputs` (N, ...), a batch at a time, without recording anything.

    Raises ValueError if there are no inputs, they do not fit the network, or one of them is NaN or infinite.
    """
    if len(inputs) == 0:
        raise ValueError("there are no samples to run the network on.")
    samples = Dataset(inputs, np.zeros(len(inputs), np.int64))
    answers = compiled_predictor(model, samples.inputs.shape[1:])
    if answers is not None:
        outputs = answer(answers, samples.inputs, normalize)
        if all_finite(outputs):
            return outputs  # else layer by layer says why, or answers the same
    loader = Loader(samples, batch_size, normalize=normalize, dtype=precision(model))
    with no_grad(), evaluating(), np.errstate(all="ignore"):
        return np.concatenate([model(finite(batch, i * loader.batch_size)).data
                               for i, (batch, _, _) in enumerate(loader)])


def compiled_predictor(model: Module, shape: tuple[int, ...]) -> Any:
    """What answers in place of the network for samples of this shape, if the compiled kernels can, and nobody watches
    its layers; else None."""
    if kernels.in_use() != "jit" or watched():
        return None
    from byhand.compiled.predictor import predictor

    return predictor(model, shape)


def answer(answers: Any, inputs: Array, normalize: Normalize | None) -> Array:
    """What a Predictor says, of as many inputs at a time as need not be held in memory twice."""
    outputs = [answers(suitable(inputs[start:start + BLOCK], answers.kind, start), normalize)
               for start in range(0, len(inputs), BLOCK)]
    return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)


def suitable(inputs: Array, kind: Any, first: int) -> Array:
    """The inputs as compiled networks take them: bytes or finite numbers of this kind, unbroken in memory."""
    block = np.asarray(inputs)
    if block.dtype != np.uint8:
        if block.dtype != kind:
            with np.errstate(over="ignore"):  # `finite` says it better
                block = block.astype(kind)
        block = finite(block, first)
    return block if block.flags.c_contiguous else np.ascontiguousarray(block)


class Answers:
    """Predicts again and again with one network, whose compiled form is kept from one time to the next: until an
    optimizer or `load_state_dict` changes its weights, or samples of another shape come."""

    def __init__(self) -> None:
        self.state: Any = None
        self.compiled: Any = None
        self.parameters: list[Tensor] = []
        self.busy = threading.RLock()  # its memory can be used by one thread at a time

    def __call__(self, model: Module, inputs: Array, normalize: Normalize | None) -> Array:
        """As `predict`."""
        with self.busy:
            ready = self.compiles(model, np.shape(inputs)[1:]) and type(inputs) is np.ndarray
            if ready and len(inputs) and inputs.dtype in (np.uint8, np.float32, self.compiled.kind):
                outputs = answer(self.compiled, inputs, normalize)
                if all_finite(outputs):
                    return outputs
        return predict(model, inputs, normalize=normalize)

    def compiles(self, model: Module, shape: tuple[int, ...]) -> bool:
        """Whether samples of this shape are answered by a compiled form of the network, in which no sample's answer
        depends on others beside it."""
        with self.busy:
            if self.state != self.state_of(model, shape):
                self.parameters = model.parameters()
                self.compiled, self.state = compiled_predictor(model, shape), self.state_of(model, shape)
            return self.compiled is not None

    def state_of(self, model: Module, shape: tuple[int, ...]) -> Any:
        """What the compiled form depends on."""
        return (id(model), shape, kernels.in_use(), kernels.get_num_threads(), watched(),
                *[(id(p.data), p.version) for p in self.parameters])

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]


def finite(batch: Array, first: int) -> Array:
    """The batch as it is. Raises ValueError, with the number of the sample, if not all of it are finite numbers."""
    if not all_finite(batch):
        sample = first + int(np.argmin(np.isfinite(batch).reshape(len(batch), -1).all(axis=1)))
        raise ValueError(f"the inputs of sample {sample} (counted from 0) are not all finite numbers; remove it, or "
                         "replace what is NaN or infinite.")
    return batch


def all_finite(numbers: Array) -> bool:
    """Whether all of them are finite numbers. Their squares are added up first, which is quicker than to look at each,
    and says it unless they overflow."""
    flat = numbers.reshape(-1)
    with np.errstate(all="ignore"):
        return math.isfinite(np.dot(flat, flat)) or bool(np.isfinite(flat).all())


def evaluate(model: Module, dataset: Dataset | tuple[Array, Array], *, normalize: Normalize | None = None,
             loss: Loss | None = None, batch_size: int = 250) -> Evaluation:
    """Run `model` over a Dataset or a pair of arrays (inputs, targets), as it is used (not as in training), and measure
    it.

    loss(outputs, targets) counts samples by their weights, where the data set has some; the accuracy does not.
    Raises ValueError if there are no samples, or they do not fit the network.
    """
    dataset = as_dataset(dataset)
    targets = np.asarray(dataset.targets)
    outputs = predict(model, dataset.inputs, normalize=normalize, batch_size=batch_size)
    right = count_correct(outputs, targets)
    known = not np.isnan(right)
    value = float("nan")
    if loss is not None and (dataset.weights is None or dataset.weights.any()):
        with no_grad():
            value = weighted(loss, Tensor(outputs), targets, dataset.weights).item()
    return Evaluation(len(dataset), right / len(dataset) if known else None,
                      wilson_interval(int(right), len(dataset)) if known else None, value, outputs,
                      targets, dataset.classes)


def weighted(loss: Loss, outputs: Tensor, targets: Array, weights: Array | None) -> Tensor:
    """The loss, told the weights of the samples if they have some. Raises ValueError if it is not one number."""
    value = loss(outputs, targets) if weights is None else loss(outputs, targets, sample_weights=weights)
    if not isinstance(value, Tensor) or value.size != 1:
        raise ValueError("a loss returns a Tensor with one number, computed from the outputs by operations on Tensors; "
                         f"this one returned {f'shape {value.shape}' if isinstance(value, Tensor) else repr(value)}.")
    return value


def precision(model: Module) -> Any:
    """The dtype that a network computes in."""
    return next((p.dtype for p in model.parameters()), np.dtype(np.float32))


def count_correct(outputs: Array, targets: Array) -> float:
    """How many samples are answered rightly: by the largest of several outputs, or, between 0 and 1, by the sign of a
    single one. NaN if the targets are neither classes nor one-hot rows."""
    single = outputs.size == len(outputs)
    if targets.shape == outputs.shape and not single and one_hot_rows(targets):
        targets = targets.argmax(axis=1)
    if targets.ndim != 1 or targets.dtype.kind not in "iub" or (single and targets.max() > 1) or outputs.ndim > 2:
        return float("nan")
    return float(np.count_nonzero(predictions(outputs) == targets))


def one_hot_rows(targets: Array) -> bool:
    """Whether every row (N, K) is a class written as a single 1 among zeros."""
    return targets.ndim == 2 and bool(np.all((targets == 0) | (targets == 1)) and np.all(targets.sum(axis=1) == 1))
