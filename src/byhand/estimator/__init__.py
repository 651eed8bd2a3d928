"""Networks as scikit-learn has its models: `fit`, `predict`, `score`, and everything that is built on these.

    from byhand.estimator import NeuralNetworkClassifier

    net = NeuralNetworkClassifier(hidden_layer_sizes=(128, 64), dropout=0.2, early_stopping=True)
    net.fit(images, labels).score(more_images, more_labels)

Parameters and attributes have the names of scikit-learn's `MLPClassifier` and `MLPRegressor`, so whoever uses those
need only change the name of the class. What they do not have comes under names of its own: other losses and
activations, dropout, batch norm, class weights, convolutions, a validation set, schedules, callbacks.

Needs scikit-learn, the extra `sklearn`.
"""

from importlib.util import find_spec

if find_spec("sklearn") is None:
    raise ImportError("byhand.estimator needs scikit-learn, which is not installed: pip install 'byhand[sklearn]'.")

from byhand.estimator.classifier import NeuralNetworkClassifier
from byhand.estimator.regressor import NeuralNetworkRegressor

__all__ = ["NeuralNetworkClassifier", "NeuralNetworkRegressor"]
