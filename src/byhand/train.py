"""Training: look at a batch, see how wrong the network is, move every weight a little downhill, again.

`fit` is that loop. It fits on one screen, because everything around it (progress, stopping, saving, the learning rate)
is a callback, and everything inside it (slopes, updates, batches) has a room of its own.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from byhand import nn
from byhand.callbacks import Callback, Run, StopOnNaN, listening
from byhand.data import Dataset, Loader, Normalize, split
from byhand.inference import Evaluation, Loss, count_correct, evaluate, precision, weighted
from byhand.nn.layers import positive
from byhand.optim import Optimizer

Array = np.ndarray[Any, Any]


def fit(model: nn.Module, train: Dataset | tuple[Array, Array], *, loss: Loss, optimizer: Optimizer,
        rng: np.random.Generator, epochs: int = 1, batch_size: int | None = 32, shuffle: bool = True,
        validation: Dataset | float | None = 0.1, test: Dataset | None = None, normalize: Normalize | None = None,
        augment: Callable[[Array, np.random.Generator], Array] | None = None,
        callbacks: Sequence[Callback] = (StopOnNaN(),)) -> Run:
    """Train `model` on `train`, a Dataset or a pair of arrays (inputs, targets).

    loss(outputs, targets) returns a Tensor with one number; sample weights of the data set are passed to it as
    `sample_weights`. `optimizer` holds the model's parameters. `batch_size`: 1 is learning from each sample at once,
    None is full-batch gradient descent (one step an epoch). `validation`: a Dataset, a fraction to hold out from
    `train` (stratified by class), or None. `test`: evaluated once, after the last step, into the returned run's `test`.
    `normalize` and `augment` are applied a batch at a time (augmentation to training batches only). All that is random
    (the split, the order, dropout, augmentation) comes from `rng`: the same seed gives the same bits.

    Returns the Run: its `history` has a record an epoch, `stopped` says why it ended early, and `failed` whether that
    was a failure. Raises ValueError for an optimizer of another model, epochs or a batch size below 1, augmentation
    without shuffling, and for data, targets or weights that do not fit.
    """
    check(model, optimizer, epochs, shuffle or augment is None)
    train, validation = sets(train, validation, rng)
    whole = batch_size is None and augment is None  # then the order of the samples makes no difference
    loader = Loader(train, batch_size, rng=rng if shuffle and not whole else None, normalize=normalize, augment=augment,
                    dtype=precision(model))
    run = Run(model, optimizer, epochs, len(loader), len(train))
    optimizer.zero_grad()
    with listening(callbacks, run), np.errstate(all="ignore"):  # StopOnNaN says more than NumPy's warnings
        while run.epoch < epochs and not run.stopped:
            begun = time.perf_counter()
            run.seen, run.total_loss, run.correct = 0, 0.0, 0.0
            for inputs, targets, weights in loader:
                with nn.training(rng):
                    outputs = model(inputs)
                value = weighted(loss, outputs, targets, weights)
                value.backward()
                run.inputs, run.loss = inputs, value.item()
                run.seen += len(inputs)
                run.total_loss += run.loss * len(inputs)
                run.correct += count_correct(outputs.data, targets)
                for callback in callbacks:
                    callback.on_step(run)
                if run.stopped:
                    break
                optimizer.step()
                optimizer.zero_grad()
                run.step += 1
            run.seconds += time.perf_counter() - begun
            if run.failed:
                break
            run.epoch += 1
            run.history.append(record(run, None if validation is None else
                                      evaluate(model, validation, normalize=normalize, loss=loss)))
            for callback in callbacks:
                callback.on_epoch_end(run)
    if test is not None and not run.failed:
        run.test = evaluate(model, test, normalize=normalize, loss=loss)
    return run


def check(model: nn.Module, optimizer: Optimizer, epochs: int, order_is_free: bool) -> None:
    """Refuse what would train nothing, or not as asked."""
    positive("fit", epochs=epochs)
    held = {id(parameter) for group in optimizer.groups for parameter in group.parameters}
    if held.isdisjoint(id(parameter) for parameter in model.parameters()):
        raise ValueError("fit got an optimizer that holds no parameter of this model; make it with model.parameters().")
    if not order_is_free:
        raise ValueError("fit cannot augment without shuffling, since both are drawn together; leave one of them out.")


def sets(train: Dataset | tuple[Array, Array], validation: Dataset | float | None,
         rng: np.random.Generator) -> tuple[Dataset, Dataset | None]:
    """The samples to learn from and those to watch."""
    if not isinstance(train, Dataset):
        train = Dataset(np.asarray(train[0]), np.asarray(train[1]))
    if validation is None or isinstance(validation, Dataset):
        return train, validation
    return split(train, validation, rng)


def record(run: Run, held_out: Evaluation | None) -> dict[str, float]:
    """The figures of the epoch that just ended. Loss and accuracy are means over its batches, each as it was seen."""
    figures = {"epoch": run.epoch, "loss": run.total_loss / max(1, run.seen)}
    if not math.isnan(run.correct):
        figures["accuracy"] = run.correct / max(1, run.seen)
    if held_out is not None:
        figures["validation_loss"] = held_out.loss
        if held_out.accuracy is not None:
            figures["validation_accuracy"] = held_out.accuracy
    return figures | {"learning_rate": run.optimizer.lr, "seconds": run.seconds}
