"""Neural networks, written by hand, that read what people write by hand.

    import byhand as bh

Everything a user needs hangs on `bh`. The parts are imported when they are first touched, so that `import byhand` is
quick and `byhand.scalar`, the engine on single numbers, runs on the standard library alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_ROOMS = ("autodiff", "callbacks", "data", "doctor", "estimator", "files", "kernels", "losses", "metrics", "nn", "ops",
          "optim", "pictures", "plots", "progress", "reader", "recipes", "scalar", "schedules", "testing")
_NAMES = {
    "NeuralNetworkClassifier": "estimator",
    "NeuralNetworkRegressor": "estimator",
    "Tensor": "tensor",
    "check_grad": "testing",
    "evaluate": "inference",
    "find_lr": "lr_range",
    "fit": "train",
    "get_num_threads": "kernels",
    "load": "files",
    "no_grad": "autodiff",
    "predict": "inference",
    "save": "files",
    "set_num_threads": "kernels",
}

if TYPE_CHECKING:
    from byhand import (
        autodiff, callbacks, data, doctor, estimator, files, kernels, losses, metrics, nn, ops, optim, pictures, plots,
        progress, reader, recipes, scalar, schedules, testing
    )
    from byhand.autodiff import no_grad
    from byhand.estimator import NeuralNetworkClassifier, NeuralNetworkRegressor
    from byhand.files import load, save
    from byhand.inference import evaluate, predict
    from byhand.kernels import get_num_threads, set_num_threads
    from byhand.lr_range import find_lr
    from byhand.tensor import Tensor
    from byhand.testing import check_grad
    from byhand.train import fit

__all__ = [
    "NeuralNetworkClassifier", "NeuralNetworkRegressor", "Tensor", "autodiff", "callbacks", "check_grad", "data",
    "doctor", "estimator", "evaluate", "files", "find_lr", "fit", "get_num_threads", "kernels", "load", "losses",
    "metrics", "nn", "no_grad", "ops", "optim", "pictures", "plots", "predict", "progress", "reader", "recipes", "save",
    "scalar", "schedules", "set_num_threads", "testing",
]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(f"byhand.{_NAMES[name]}"), name)
    if name in _ROOMS:
        return import_module(f"byhand.{name}")
    raise AttributeError(f"module 'byhand' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
