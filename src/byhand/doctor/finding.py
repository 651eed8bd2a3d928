"""What a finding is, and what all rules need to know: how is the training going on the whole?

A rule is a function from what was measured to a sentence and an advice, or to None. Its paragraph says where its
threshold comes from; all of them keep well away from what healthy trainings show, because nobody listens to a doctor
who cries wolf.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from byhand.doctor.measured import Measured

Told = tuple[str, str] | None
Rule = Callable[[Measured], Told]
ACCURACIES = ("accuracy", "validation_accuracy")


@dataclass(frozen=True)
class Finding:
    """One thing that the doctor sees."""

    name: str
    """For programs: dead-relu."""
    seen: str
    """What is the matter, with the figure that shows it."""
    advice: str
    """What to try; empty where there is nothing to add."""
    severity: Literal["alarm", "remark"]
    """An alarm harms this training. A remark is unusual, but the network learns all the same."""

    @property
    def sentence(self) -> str:
        """What is the matter, and what to try."""
        return f"{self.seen} {self.advice}".rstrip()


def old_enough(m: Measured) -> bool:
    """A verdict on the learning needs 50 steps, 1,000 samples, an epoch and a quarter of the way: before that, slow
    starters look like failures."""
    return m.step >= max(50, 1000 * m.batches / max(1, m.samples)) and m.progress >= 0.25 and bool(m.history)


def fallen(m: Measured) -> float:
    """The loss now, as a part of what it was at first; 1 where that says nothing, since it began at 0 or below."""
    return m.looks[-1].loss / m.first if m.looks and m.first and m.first > 0 else 1.0


def chance(m: Measured) -> float | None:
    """The accuracy of always saying the most frequent class; None where that is not known."""
    return max(m.counts) / sum(m.counts) if sum(map(bool, m.counts)) > 1 else None


def skill(m: Measured, name: str) -> float | None:
    """Where an accuracy of the last epoch lies between chance (0) and perfection (1); None where that is not known."""
    level, reached = chance(m), m.history[-1].get(name) if m.history else None
    return None if level is None or level >= 1 or reached is None else (reached - level) / (1 - level)


def best_skill(m: Measured) -> float | None:
    """The better one of training and validation; None where neither is known."""
    return max((found for name in ACCURACIES if (found := skill(m, name)) is not None), default=None)


def guesses(m: Measured) -> bool:
    """Whether the network is hardly better than guessing: less than a tenth of the way from chance to perfection. (Of
    ten classes alike: less than 19 % right.)"""
    found = best_skill(m)
    return found is not None and found < 0.1


def learns(m: Measured) -> bool:
    """Whether the training does its work, whatever else is found: the loss is down by a quarter, and the network does
    more than guess."""
    return fallen(m) < 0.75 and not guesses(m)


def standing(m: Measured) -> bool:
    """Whether the loss was never lower than at first by a tenth, nor has doubled, and the network is not good already
    (half of the way from chance to perfection); or it still guesses, and in the second half of the looks the loss has
    not changed by a fiftieth."""
    losses = [look.loss for look in m.looks[2:]]  # the first two are of a single batch
    if len(losses) < 2 or not old_enough(m) or (best_skill(m) or 0.0) > 0.5:
        return False
    middle = losses[len(losses) // 2]
    flat = guesses(m) and abs(losses[-1] - middle) < 0.02 * middle
    return flat or (fallen(m) < 2 and min(losses) > 0.9 * (m.first or 0.0) > 0)


def course(m: Measured) -> str:
    """From where to where the loss went."""
    return f"went from {m.first or 0.0:.4g} to {m.looks[-1].loss:.4g} in {m.step:,} steps"


def percent(share: float) -> str:
    """0.0012 as 0.12 %."""
    return f"{100 * share:,.0f} %" if 10 < share < 1e6 else f"{100 * share:.3g} %"


def listed(names: list[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
