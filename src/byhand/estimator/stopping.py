"""When to stop, and what is noted on the way.

Training goes on as long as it is worth it: while the loss falls, or while a score on rows that were held out rises, by
more than `tol`. After `n_iter_no_change` epochs without that it ends. A learning rate that is "adaptive" is divided by
5 first, as often as it takes. Then the weights of the best epoch come back: the last ones need not be good, for Adam
takes a wild step now and then when all slopes are tiny. The best epoch is that with the lowest loss or the best score;
a score on few rows is coarse, so of several with the same one it is that with the lowest loss.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from byhand.callbacks import Callback, Run
from byhand.data import Dataset
from byhand.optim import Optimizer

LEAST_RATE = 1e-6


class Progress(Callback):
    """Notes how an estimator learns, in the attributes that MLPClassifier has, and ends the run when it no longer
    does. It listens to every run of its estimator, so that a warm start and `partial_fit` go on counting. The best
    weights are kept where they are to come back: not where each epoch learns from other rows and is judged by them."""

    def __init__(self, estimator: Any, judge: Dataset | None, comes_back: bool) -> None:
        self.estimator, self.judge, self.comes_back = estimator, judge, comes_back
        self.run: Run | None = None

    def on_train_begin(self, run: Run) -> None:
        self.run = run

    def on_epoch_end(self, run: Run) -> None:
        net, record = self.estimator, run.history[-1]
        net.n_iter_, net.loss_ = run.epoch, record["loss"] + penalty(run.optimizer)
        net.t_ += run.samples
        net.loss_curve_.append(net.loss_)
        net.history_.append({**record, "epoch": len(net.loss_curve_)})
        said = f"Iteration {net.n_iter_}, loss = {net.loss_:.8f}"
        if run.validation is not None and self.judge is not None:
            net.validation_loss_curve_.append(record["validation_loss"])
            net.validation_scores_.append(net._validation_score(run.validation.outputs, run.validation.targets,
                                                                self.judge.weights))
            said += f"\nValidation score: {net.validation_scores_[-1]:.6f}"
        if net.verbose:
            print(said)
        self.decide(run)
        if net.solver == "sgd" and net.learning_rate == "invscaling":
            run.optimizer.lr = net.learning_rate_init / (net.t_ + 1) ** net.power_t

    def decide(self, run: Run) -> None:
        """Is it still worth it?"""
        net = self.estimator
        what, value = self.watched()
        if what != net._watched:
            net._watched, net._best_value, net._best_tie, net._without_gain = what, -math.inf, math.inf, 0
        gained = math.isfinite(value) and value >= net._best_value + net.tol
        net._without_gain = 0 if gained else net._without_gain + 1
        loss = net.validation_loss_curve_[-1] if net.early_stopping else 0.0
        if value > net._best_value or (value == net._best_value and loss < net._best_tie):
            net._best_value, net._best_tie = value, loss
            net._best_weights = run.model.state_dict() if self.comes_back else None
        if not net.early_stopping:
            net.best_loss_ = min(net.loss_curve_)
        if net.validation_scores_:
            net.best_validation_score_ = max(net.best_validation_score_, net.validation_scores_[-1])
        if net._without_gain <= net.n_iter_no_change:
            return
        net._without_gain = 0
        said = f"{what} did not improve more than tol={net.tol:f} for {net.n_iter_no_change} consecutive epochs."
        if net.solver == "sgd" and net.learning_rate == "adaptive" and run.optimizer.lr > LEAST_RATE:
            run.optimizer.lr /= 5
            said += f" Setting learning rate to {run.optimizer.lr:f}"
        else:
            run.stopped = said
            said += " Stopping."
        if net.verbose:
            print(said)

    def watched(self) -> tuple[str, float]:
        """What decides, and its value now, so that more is better. NaN is as bad as can be."""
        net = self.estimator
        if not net.early_stopping:
            what, value = "Training loss", -net.loss_curve_[-1]
        elif net.early_stopping == "loss":
            what, value = "Validation loss", -net.validation_loss_curve_[-1]
        else:
            what, value = "Validation score", net.validation_scores_[-1]
        return what, -math.inf if math.isnan(value) else value


def penalty(optimizer: Optimizer) -> float:
    """What is to be small besides the mean loss: l1 · Σ |w| + l2 / 2 · Σ w², over all groups of parameters."""
    return sum(group.settings["l1"] * float(np.abs(w.data).sum())
               + group.settings["l2"] / 2 * float(np.square(w.data).sum())
               for group in optimizer.groups for w in group.parameters)
