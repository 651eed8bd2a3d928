"""Rules about how the learning goes: the size of the steps, the loss, the accuracy, learning by heart."""

import math
import statistics

from byhand.doctor.finding import (
    ACCURACIES, Told, best_skill, chance, course, fallen, guesses, learns, listed, old_enough, percent, skill, standing
)
from byhand.doctor.measured import Measured
from byhand.terminal import counted


def learning_rate_too_high(m: Measured) -> Told:
    """A step should move the weights by about a thousandth of their size (Karpathy, CS231n, "Ratio of
    weights:updates"); at the height of their schedules some recipes move them by a tenth. Larger steps are too large
    where training breaks off, the loss trebles, rises to twice its best, or does not come down by a quarter."""
    largest = max(m.updates, default=0.0)
    if largest < 0.1:
        return None
    rose = m.looks[-1].loss > 2 * min(look.loss for look in m.looks) and fallen(m) > 0.5
    if not (m.failed or (m.step >= 10 and fallen(m) > 3) or (old_enough(m) and (rose or not learns(m)))):
        return None
    return (f"The learning rate is too high: a step moved the weights by {percent(largest)} of their size (0.1 % is "
            f"usual), and {'training broke off' if m.failed else f'the loss {course(m)}'}.",
            "Divide it by 10 until the loss falls.")


def learning_rate_too_low(m: Measured) -> Told:
    """The same from the other side: steps of less than a tenth of the usual size, and a loss that stands still."""
    usual = statistics.median(m.updates or [0.0])
    return (f"The learning rate is too low: a step moves the weights by {percent(usual)} of their size (0.1 % is "
            f"usual), and the loss {course(m)}.",
            "Multiply it by 10 until the loss falls.") if 0 < usual < 1e-4 and standing(m) else None


def loss_does_not_move(m: Measured) -> Told:
    """After a quarter of the way the loss stands still."""
    if not standing(m):
        return None
    moved = (m.figures("update") or [{}])[-1]
    still = [name for name, update in moved.items() if update == 0]
    if not still:
        return (f"The loss does not move: it {course(m)}.",
                "Let it learn 20 samples by heart; if it cannot, look at the loss function.")
    return (f"The loss does not move: it {course(m)}. The weights stand still in {len(still)} of "
            f"{counted(len(moved), 'layer')}, first {still[0]}.",
            "See that the optimizer holds them, that its learning rate is not 0, and whether their gradients are 0.")


def accuracy_at_chance(m: Measured) -> Told:
    """The network is no better than always saying the most frequent class."""
    level, reached = chance(m), best_skill(m)
    if level is None or reached is None or not guesses(m) or not old_enough(m):
        return None
    return (f"The accuracy is at chance level: {percent(level + reached * (1 - level))} are right, and always saying "
            f"the most frequent class would be right for {percent(level)}.",
            "Look at the confusion matrix: one answer for all is a network that stands still, or one class that is so "
            "frequent; where the loss falls all the same, see that it is the right loss.")


def labels_shuffled(m: Measured) -> Told:
    """Half of the way and a hundred steps of a healthy size, and of samples that it does not learn from the network
    knows nothing, whether it has learned the others by heart or not: then inputs and labels have nothing to do with
    each other (Zhang et al. 2017, "Understanding deep learning requires rethinking generalization"). It counts where no
    other cause is found, and not where the loss knows better than the accuracies: where it fell by a quarter without an
    answer getting right, one class may be so frequent that always saying it is wise; where it is below 0, it is none of
    those that measure how wrong answers are."""
    found, usual = [skill(m, name) for name in ACCURACIES], statistics.median(m.updates or [0.0])
    known, new = found[0], found[0] if found[1] is None else found[1]
    if known is None or new is None or new > 0.1 or usual < 1e-4 or m.step < 100 or m.progress < 0.5:
        return None
    if known <= 0.1 and (fallen(m) < 0.75 or (m.now or 0.0) < 0):
        return None
    right = [f"{percent(m.history[-1][name])} of the {what} samples" for name, what in
             zip(ACCURACIES, ("training", "validation"), strict=True) if name in m.history[-1]]
    return (f"The labels look shuffled: after {m.step:,} steps of a healthy size ({percent(usual)} of the weights) "
            f"{listed(right)} are right, where guessing would be right for {percent(chance(m) or 0.0)}.",
            "See that each target belongs to its input: often only one of the two was shuffled, sorted or cut.")


def overfitting(m: Measured) -> Told:
    """The validation loss has been rising for three epochs and is a quarter above its best, while the training loss
    halved and the accuracies came to lie ten points apart; or these lie twenty points apart. (A first rise alone says
    little: Prechelt 1998, "Early stopping, but when?". With 5,000 images the recipes show gaps of up to 7 points.)
    Where there are no accuracies, a validation loss that is ten times the training loss, and still above a quarter of
    what it was at first, stands for twenty points."""
    watched = [record for record in m.history if {"epoch", "loss", "validation_loss"} <= record.keys()]
    if not watched or not old_enough(m):
        return None
    best, last = min(watched, key=lambda record: record["validation_loss"]), watched[-1]
    rose, shrank = last["validation_loss"] / (best["validation_loss"] or 1.0), last["loss"] / (best["loss"] or 1.0)
    rising = last["epoch"] - best["epoch"] >= 3 and rose > 1.25 and shrank < 0.5
    known = set(ACCURACIES) <= last.keys()
    by_heart = last["validation_loss"] > max(10 * last["loss"], 0.25 * (m.first or math.inf))
    gap = last["accuracy"] - last["validation_accuracy"] if known else 0.2 if by_heart else 0.1
    if gap < (0.1 if rising else 0.2):
        return None
    right = (f"{percent(last['accuracy'])} of the training samples are right and "
             f"{percent(last['validation_accuracy'])} of the validation samples; " if known else
             f"the training loss is {last['loss']:.4g}; ")
    return (f"It overfits: {right}the validation loss, least after epoch {best['epoch']:.0f} with "
            f"{best['validation_loss']:.4g}, is now {last['validation_loss']:.4g}.",
            "Stop early (EarlyStopping), use more samples or augmentation, dropout, or a smaller network.")
