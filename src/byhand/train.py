"""Training: look at a batch, see how wrong the network is, move every weight a little downhill, again.

`fit` is that loop. It fits on one screen, because everything around it (progress, stopping, saving, the learning rate)
is a callback, and everything inside it (slopes, updates, batches) has a room of its own.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, cast

import numpy as np

from byhand import nn
from byhand.callbacks import Callback, Run, State, StopOnNaN, check_callbacks, listening
from byhand.data import Dataset, Loader, Normalize, split
from byhand.data.dataset import as_dataset
from byhand.inference import Evaluation, Loss, evaluate, precision
from byhand.nn.layers import positive
from byhand.optim import Optimizer
from byhand.teaching import teacher

Array = np.ndarray[Any, Any]
Samples = Dataset | tuple[Array, Array]


def fit(model: nn.Module, train: Samples, *, loss: Loss, optimizer: Optimizer,
        rng: np.random.Generator, epochs: int = 1, batch_size: int | None = 32, shuffle: bool = True,
        drop_last: bool = False, validation: Samples | float | None = 0.1, test: Samples | None = None,
        normalize: Normalize | None = None, augment: Callable[[Array, np.random.Generator], Array] | None = None,
        callbacks: Sequence[Callback] = (), resume: State | None = None) -> Run:
    """Train `model` on `train`. This, `validation` and `test` are each a Dataset or a pair of arrays (inputs, targets).

    loss(outputs, targets) returns a Tensor with one number; sample weights of the data set are passed to it as
    `sample_weights`. `optimizer` holds the model's parameters. `batch_size`: 1 is learning from each sample at once,
    None is full-batch gradient descent (one step an epoch). `drop_last` leaves out a last batch that is smaller, and a
    batch whose sample weights are all 0 is passed over. `validation` may also be a fraction to hold out from `train`
    (stratified by class), or None. `test`: evaluated once, after the last step, into the returned run's `test`.
    `normalize` and `augment` are applied a batch at a time (augmentation to training batches only). All that is random
    (the split, the order, dropout, augmentation) comes from `rng`: the same seed gives the same bits. Whatever the
    callbacks, training stops where a number is not finite (`StopOnNaN`).

    `resume`: the state of a run that was interrupted, `bh.files.load_checkpoint(path)`. Called again with the same
    arguments otherwise, a generator with the same seed among them, fit goes on from there, in the middle of an epoch if
    need be, and ends with the same bits as if nothing had happened.

    Returns the Run: its `history` has a record an epoch, `stopped` says why it ended early, and `failed` whether that
    was a failure. Raises ValueError for an optimizer of another model, epochs or a batch size below 1, augmentation
    without shuffling, for data, targets or weights that do not fit, and for the state of another run.
    """
    check(model, optimizer, rng, epochs, shuffle or augment is None)
    check_callbacks(callbacks)
    if not any(isinstance(callback, StopOnNaN) for callback in callbacks):
        callbacks = [StopOnNaN(), *callbacks]
    test = None if test is None else as_dataset(test, "test")
    first_draw = int(copy.deepcopy(rng).integers(2**62))
    train, validation = sets(train, validation, rng)
    whole = batch_size is None and augment is None  # then the order of the samples makes no difference
    loader = Loader(train, batch_size, rng=rng if shuffle and not whole else None, normalize=normalize, augment=augment,
                    drop_last=drop_last, dtype=precision(model))
    run = Run(model, optimizer, epochs, len(loader), len(train), rng=rng, first_draw=first_draw, loader=loader,
              callbacks=callbacks)
    forget_gradients(run)
    teaching = teacher(model, loss, optimizer, loader, rng)
    with listening(callbacks, run), np.errstate(all="ignore"):  # StopOnNaN says more than NumPy's warnings
        if resume is not None:
            run.load_state_dict(resume)
        while run.epoch < epochs and not run.stopped:
            begun = time.perf_counter()
            if not loader.position:  # else an interrupted epoch goes on, with its sums
                run.seen, run.total_loss, run.correct = 0, 0.0, 0.0
            for batch in teaching.batches(run):
                run.inputs, run.targets, run.weights = batch
                run.size = len(run.inputs)
                if run.weights is not None and not run.weights.any():
                    run.step += 1
                    continue
                run.loss, right = teaching.gradients(batch)
                run.seen += run.size
                run.total_loss += run.loss * run.size
                run.correct += right
                for callback in callbacks:
                    callback.on_step(run)
                if run.stopped:
                    break
                optimizer.step()
                forget_gradients(run)
                run.step += 1
                begun = run.lap(begun)
                for callback in callbacks:
                    callback.on_step_end(run)
            run.lap(begun)
            if run.failed:
                break
            run.epoch += 1
            if validation is not None:
                run.validation = evaluate(model, validation, normalize=normalize, loss=loss)
            run.history.append(record(run, run.validation))
            for callback in callbacks:
                callback.on_epoch_end(run)
    if test is not None and not run.failed:
        run.test = evaluate(model, test, normalize=normalize, loss=loss)
    return run


def check(model: nn.Module, optimizer: Optimizer, rng: np.random.Generator, epochs: int, order_is_free: bool) -> None:
    """Refuse what would train nothing, or not as asked."""
    positive("fit", epochs=epochs)
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng is a NumPy generator, for example np.random.default_rng(0), not {rng!r}.")
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"fit needs an optimizer, such as bh.optim.Adam(model.parameters()), not {optimizer!r}.")
    held = {id(parameter) for group in optimizer.groups for parameter in group.parameters}
    if held.isdisjoint(id(parameter) for parameter in model.parameters()):
        raise ValueError("fit got an optimizer that holds no parameter of this model; make it with model.parameters().")
    if not order_is_free:
        raise ValueError("fit cannot augment without shuffling, since both are drawn together; leave one of them out.")


def sets(train: Samples, validation: Samples | float | None,
         rng: np.random.Generator) -> tuple[Dataset, Dataset | None]:
    """The samples to learn from and those to watch."""
    train = as_dataset(train, "train")
    if isinstance(validation, Real):
        train, validation = split(train, cast(float, validation), rng)
    elif validation is not None:
        validation = as_dataset(validation, "validation")
    if train.weights is not None and len(train) and not train.weights.any():
        raise ValueError("all sample weights of the training set are 0: there is nothing to learn from.")
    return train, validation


def forget_gradients(run: Run) -> None:
    """Those that the optimizer steps by, and those of parameters that it does not hold, which would add up unused."""
    run.optimizer.zero_grad()
    for parameter in run.parameters:
        parameter.grad = None


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
