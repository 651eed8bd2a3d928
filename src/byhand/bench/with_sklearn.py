"""The race as scikit-learn runs it: its MLPClassifier, an epoch at a time.

`partial_fit` is one pass over the samples in mini-batches. (`fit` with max_iter=1 is the same, begins anew each time,
and warns that one pass is few.) The penalty on large weights, which the others do not have, is turned off.
"""

from byhand.bench.turns import Turn, seconds
from byhand.bench.work import RATE, Digits


def training(name: str, digits: Digits, batch: int, steps: int, threads: int) -> Turn:
    """A part of an epoch of 784-128-64-10. Its threads are those of NumPy, which byhand has set."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier((128, 64), activation="relu", solver="adam", alpha=0, batch_size=batch,
                          learning_rate_init=RATE, random_state=0)
    images = digits.images[:batch * steps].reshape(batch * steps, -1)
    labels = digits.labels[:batch * steps]
    return lambda: seconds(lambda: model.partial_fit(images, labels, classes=range(10)))
