"""Rules about what goes in and what happens inside: the numbers, the samples, the layers."""

import statistics

from byhand.doctor.finding import Told, listed, old_enough, percent
from byhand.doctor.measured import Measured
from byhand.terminal import counted


def not_finite(m: Measured) -> Told:
    """NaN or infinity, as `StopOnNaN` found it."""
    return (f"Training broke off: {m.stopped}", "") if m.failed else None


def inputs_not_scaled(m: Measured) -> Told:
    """Inputs are to be about 1 in size (LeCun et al. 1998, "Efficient BackProp", section 4.3), as first weights expect.
    Ten times that is a fault, and pixels from 0 to 255 are 85 times; so is less than 0.003, as of pixels divided by 255
    twice."""
    size = m.looks[0].inputs if m.looks else None
    if size is None or 0.003 <= size <= 10:
        return None
    return (f"The inputs are not scaled: their root mean square is {size:.3g}, too {'large' if size > 1 else 'small'} "
            "for weights that expect about 1.", "Normalize them: normalize=Normalize.fit(train).")


def class_missing(m: Measured) -> Told:
    """What is never shown cannot be learned."""
    missing = [called(m, k) for k, count in enumerate(m.counts) if count == 0]
    return (f"There is no training sample of {len(missing)} of the {len(m.counts)} classes: {listed(missing)}.",
            "Add some, or leave out their outputs.") if missing else None


def classes_unbalanced(m: Measured) -> Told:
    """Where one class has many more samples than another, the rare one is learned worse (Buda et al. 2018, "A
    systematic study of the class imbalance problem"), and the accuracy hides it. Ten times as many is the limit; in
    MNIST it is 1.2 times."""
    present = sorted((count, k) for k, count in enumerate(m.counts) if count > 0)
    if not present or present[-1][0] < 10 * present[0][0]:
        return None
    (least, rare), (most, common) = present[0], present[-1]
    return (f"The classes are unbalanced, {most / least:.0f} to 1: there are {most:,.0f} training samples of class "
            f"{called(m, common)}, and {least:,.0f} of class {called(m, rare)}.",
            "Give rare ones more weight (the weights of a Dataset) or add some, and look at the recall of each class.")


def called(m: Measured, k: int) -> str:
    """A class by its name, or its number."""
    return m.classes[k] if k < len(m.classes) else str(k)


def gradients_explode(m: Measured) -> Told:
    """On the way back each layer multiplies the gradient; where the factors are above 1 it grows from layer to layer
    (Pascanu et al. 2013, section 2). At the very start, before a step could have spoiled the weights, no gradient
    should be much longer than its weights: in the recipes it is up to three times as long. A hundred is the limit."""
    longest, where = max(((size, name) for look in m.figures("gradient")[:1] for name, size in look.items()),
                         default=(0.0, ""))
    return (f"The gradients explode: at the start that of {where} is {longest:,.4g} times as long as its weights.",
            "Try smaller first weights (he_normal for relu, glorot_uniform for sigmoid and tanh), batch norm, or an "
            "optimizer that clips gradients (clip_norm=1.0).") if longest > 100 else None


def gradients_vanish(m: Measured) -> Told:
    """Where the factors on the way back are below 1 (a sigmoid's slope is at most 1/4), the gradient shrinks from layer
    to layer, and the first layers stand still (Glorot and Bengio 2010, section 4). Compared are gradients as parts of
    their weights. In the recipes they differ up to thirtyfold; ten thousandfold, at half of the looks, is the limit."""
    found = m.figures("gradient")
    differ = [min(look.values()) / max(look.values()) for look in found if max(look.values()) > 0]
    if not differ or statistics.median(differ) > 1e-4 or not old_enough(m):
        return None
    (small, low), (large, high) = (pick((size, name) for name, size in found[-1].items()) for pick in (min, max))
    return (f"The gradients vanish: that of {low} is {small:.3g} of the length of its weights, and that of {high} "
            f"{large:.3g}.", "Try relu in place of sigmoid or tanh, he_normal, batch norm, or shortcuts (Residual).")


def dead_relu(m: Measured) -> Told:
    """A relu that is 0 for every sample has no slope, and its unit learns nothing more. Steps that are too large do
    that: "as much as 40 % of your network can be dead" (Karpathy, CS231n, "Commonly used activation functions"); so do
    biases far below 0. Half of a layer is the limit; a LeNet that did well was seen with two fifths."""
    layers = stuck(m, "dead", 0.5)
    return (f"Dead relus, which are 0 for every sample: {layers}.", "Try a lower learning rate, he_normal as first "
            "weights, biases that begin at 0, or LeakyReLU.") if layers else None


def saturated(m: Measured) -> Told:
    """A sigmoid or tanh that is driven to its ends has next to no slope, and what is before it learns slowly or not at
    all (Glorot and Bengio 2010, section 3). Four fifths of a hidden layer's outputs are the limit: two thirds are usual
    where tanh has learned well."""
    layers = stuck(m, "saturated", 0.8)
    return (f"Saturated outputs, at an end where the curve is flat: {layers}.",
            "Try smaller first weights (glorot_uniform), and inputs of about 1.") if layers else None


def stuck(m: Measured, figure: str, limit: float) -> str:
    """The layers of which so much or more does not react, in the last look and in the one before it."""
    last = m.figures(figure)[-2:] if old_enough(m) else []
    shares = {name: min(look.get(name, 0.0) for look in last) for look in last[-1:] for name in look}
    found = [f"{percent(share)} of {name}" for name, share in shares.items() if share >= limit]
    return listed(found[:4] + [f"{counted(len(found) - 4, 'layer')} more"] * (len(found) > 4))
