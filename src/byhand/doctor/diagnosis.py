"""All rules in their order, and what they say together."""

import textwrap
from dataclasses import asdict
from typing import Any

from byhand.doctor import faults, learning
from byhand.doctor.finding import Finding, Rule, learns, old_enough
from byhand.doctor.measured import Measured
from byhand.terminal import counted

HARMLESS: tuple[Rule, ...] = (faults.inputs_not_scaled, faults.gradients_explode, faults.gradients_vanish,
                              faults.dead_relu, faults.saturated)
"""Only remarks where the network learns all the same."""
RULES: tuple[Rule, ...] = (
    faults.not_finite, faults.class_missing, faults.classes_unbalanced, faults.inputs_not_scaled,
    learning.learning_rate_too_high, learning.learning_rate_too_low, *HARMLESS[1:], learning.labels_shuffled,
    learning.loss_does_not_move, learning.accuracy_at_chance, learning.overfitting)
"""Causes, and then what they lead to."""
SMALL_STEPS = {"learning-rate-too-low", "gradients-vanish", "labels-shuffled"}
EXPLAINS = {
    "not-finite": {"loss-does-not-move", "accuracy-at-chance"},
    "class-missing": {"overfitting"},
    "inputs-not-scaled": {"gradients-explode", "learning-rate-too-high", "labels-shuffled"},
    "learning-rate-too-high": {"labels-shuffled", "loss-does-not-move"},
    "learning-rate-too-low": {"labels-shuffled"},
    "gradients-explode": {"learning-rate-too-high", "labels-shuffled"},
    "gradients-vanish": SMALL_STEPS - {"gradients-vanish"},
    "dead-relu": SMALL_STEPS,
    "saturated": SMALL_STEPS,
    "labels-shuffled": {"overfitting"},
}
"""What need not be told beside its cause."""


def diagnose(m: Measured) -> list[Finding]:
    """All findings, causes first."""
    fine = not m.failed and (learns(m) or not old_enough(m))
    found = [Finding(rule.__name__.replace("_", "-"), *told, "remark" if fine and rule in HARMLESS else "alarm")
             for rule in RULES if (told := rule(m))]
    explained = {name for finding in found if finding.severity == "alarm" for name in EXPLAINS.get(finding.name, ())}
    return [finding for finding in found if finding.name not in explained]


def facts(run: str, m: Measured) -> dict[str, Any]:
    """A run and what is found in it, ready for JSON."""
    return {"run": run, "steps": m.step, "planned": m.epochs * m.batches, "epochs": len(m.history),
            "looks": len(m.looks), "early": not old_enough(m), "findings": [asdict(found) for found in diagnose(m)]}


def in_words(told: dict[str, Any], width: int) -> str:
    """The same for a person, in lines of this width."""
    said = [f"{told['run']}: {told['steps']:,} of {counted(told['planned'], 'step')}, "
            f"{counted(told['epochs'], 'epoch')}, {counted(told['looks'], 'look')} at the network."]
    said += [f"{found['severity']}: {found['seen']} {found['advice']}" for found in told["findings"]]
    if not told["findings"]:
        said.append("I see nothing wrong with the numbers, the inputs, the classes, the gradients, the activations, "
                    "the size of the steps, the labels, the loss and the accuracy.")
    if told["early"]:
        said.append("It is too early to say how well it learns.")
    return "\n".join(textwrap.fill(text, width, subsequent_indent="  ") for text in said)
