"""Numbers that are not finite: training is stopped before they spread, and the place where they began is named."""

from __future__ import annotations

import math

import numpy as np

from byhand.autodiff import no_grad
from byhand.callbacks.run import ENDLESS, Callback, Run
from byhand.nn.module import Module, training, watch
from byhand.tensor import Tensor


class StopOnNaN(Callback):
    """Stop as soon as the loss or a gradient is not a finite number, before the update that would spread it to every
    weight, and say where it began: in the data, in a layer's weights, in a layer's output, in the loss, or on the way
    back. (Steps that are taken together are taken back, and one by one again, where this would have stopped them.)"""

    def can_wait(self, run: Run) -> int:
        return ENDLESS

    def on_step(self, run: Run) -> None:
        if not math.isfinite(run.loss):
            self.stop(run, f"the loss is not a finite number in step {run.step + 1} (epoch {run.epoch + 1})")
        elif not all(np.isfinite(p.grad).all() for p in run.parameters if p.grad is not None):
            self.stop(run, "the loss is finite, but its gradients are not, "
                           f"in step {run.step + 1} (epoch {run.epoch + 1})")

    def on_epoch_end(self, run: Run) -> None:
        if not all(np.isfinite(p.data).all() for p in run.parameters):
            self.stop(run, f"after step {run.step} (epoch {run.epoch}) there are weights that are not finite")

    def stop(self, run: Run, what: str) -> None:
        """End the run, with the reason."""
        run.failed, run.stopped = True, f"{what}. {first_fault(run)}"


def first_fault(run: Run) -> str:
    """Where the first number that is not finite comes from, and what to try. Runs the batch once more, layer by
    layer."""
    if not np.isfinite(run.inputs).all():
        return "It began in the data: this batch of inputs has values that are not finite. Remove or replace them."
    layers = dict(run.model.named_modules())
    parameters = list(run.model.named_parameters())
    for name, p in parameters:
        if not np.isfinite(p.data).all():
            path, _, which = name.rpartition(".")
            return (f"It began in {titled(path, layers[path])}: its {which} is not finite since the update of step "
                    f"{run.step}. {what_to_try(run)}")
    with no_grad(), watch() as calls, training(np.random.default_rng(0)):
        run.model(Tensor(run.inputs))
    paths = {id(layer): path for path, layer in layers.items()}
    for layer, _, output in calls:
        if not np.isfinite(output.data).all():
            where = titled(paths.get(id(layer), ""), layer)
            return f"It began in {where}: its output is not finite. {what_to_try(run)}"
    if not math.isfinite(run.loss):
        largest = float(np.abs(calls[-1][2].data).max())
        advice = what_to_try(run) if largest > 1e6 else "Look at the targets and their weights."
        return f"Every layer's output is finite, the last one's up to {largest:.4g}: it began in the loss. {advice}"
    name = next(name for name, p in reversed(parameters) if p.grad is not None and not np.isfinite(p.grad).all())
    path = name.rpartition(".")[0]
    return f"On the way back they began in {titled(path, layers[path])}, or right after it. {what_to_try(run)}"


def titled(path: str, layer: Module) -> str:
    """A layer as a person finds it."""
    return f"layer '{path}', {layer!r}" if path else repr(layer)


def what_to_try(run: Run) -> str:
    """What usually helps."""
    largest = float(np.abs(run.inputs).max(initial=0))
    scale = f" scaling the inputs, which reach {largest:.4g}, to about 1," if largest > 20 else ""
    return (f"Try{scale} a lower learning rate (it is {run.optimizer.lr:.4g}), or an optimizer that clips gradients "
            "(clip_norm=1.0).")
