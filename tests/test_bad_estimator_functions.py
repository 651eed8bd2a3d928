"""What the scikit-learn estimators say to what they are to call, or to give to others, and cannot: classes in the place
of what is made of them, what belongs to PyTorch, functions that return nothing, callbacks that hold a lock."""

import copy
import ctypes
import pickle
import threading
from functools import partial

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import byhand as bh
from byhand import losses
from byhand.callbacks import Callback
from byhand.estimator import NeuralNetworkClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 4)), RNG.integers(0, 3, 30)
PICTURES = RNG.normal(size=(30, 1, 2, 2))


def net(**options):
    """A classifier that learns for a moment."""
    return NeuralNetworkClassifier(**{"hidden_layer_sizes": 4, "max_iter": 2, **options})


class Own(bh.nn.Module):
    """A network of one's own, which is built when the shapes are known."""

    def __init__(self, inputs, outputs, rng):
        self.layer = bh.nn.Linear(*inputs, outputs, rng)

    def forward(self, x):
        return self.layer(x)


def convolutions(input_shape, n_outputs, rng):
    """What should build a network for pictures."""
    channels, height, width = input_shape
    return bh.nn.Linear(channels * height * width, n_outputs, rng)


@pytest.mark.parametrize("call, says", [
    (lambda: net(model=bh.nn.Sequential).fit(X, Y), r"model is the class Sequential; make one of it, such as bh\.nn\."),
    (lambda: net(model=bh.nn.Linear).fit(X, Y), "model is the class Linear; make one of it, such as"),
    (lambda: net(augment=bh.data.Affine).fit(PICTURES, Y), r"augment is the class Affine; .* bh\.data\.Affine\(\)"),
    (lambda: net(learning_rate=bh.schedules.Cosine).fit(X, Y), "learning_rate is the class Cosine; make one of it"),
    (lambda: net(model=bh.nn.ReLU()).fit(X, RNG.permutation(30) % 4), r"the model has no parameters .*bh\.nn\.Linear"),
    (lambda: net(learning_rate=lambda progress: None).fit(X, Y), "returned None at the progress 0; it must"),
    (lambda: net(learning_rate=lambda progress: "a").fit(X, Y), "returned 'a' at the progress 0; it must"),
    (lambda: net(learning_rate=lambda progress: [1.0]).fit(X, Y), r"returned \[1.0\] at the progress 0; it must"),
    (lambda: net(learning_rate=lambda progress: 1.0 if progress < 0.5 else None).fit(X, Y),
     r"learning_rate is a function that returned None at the progress 0\.99; it must return a number, the factor on"),
])
def test_one_clear_sentence(call, says):
    with pytest.raises(ValueError, match=says) as error:
        call()
    assert "\n" not in str(error.value)


def test_what_belongs_to_pytorch_is_sent_home():
    torch = pytest.importorskip("torch")

    class Theirs(torch.nn.Module):
        """A user's own, that is PyTorch's all the same."""

    for name, value, kind in [("model", torch.nn.Linear(4, 3), "Linear"), ("model", torch.nn.Sequential, "Sequential"),
                              ("model", Theirs(), "Theirs"), ("solver", torch.optim.Adam, "Adam"),
                              ("solver", partial(torch.optim.SGD, momentum=0.9), "SGD"),
                              ("loss", torch.nn.MSELoss(), "MSELoss"), ("augment", torch.nn.Dropout2d(), "Dropout2d")]:
        with pytest.raises(ValueError, match=rf"^{name} is PyTorch's {kind}, .*; give one of byhand, such as bh\."):
            net(**{name: value}).fit(PICTURES, Y)


def test_classes_that_make_what_is_needed_are_functions():
    falling = lambda progress: np.where(progress < 0.5, 1, 0.1)
    own = net(model=Own, solver=bh.optim.Adam, learning_rate=falling).fit(X, Y)
    assert type(own.model_) is Own and own.n_iter_ == 2


def test_a_mistake_in_somebodys_function_comes_with_what_it_was_given():
    with pytest.raises(ValueError, match="unpack") as error:
        net(model=convolutions).fit(X, Y)
    assert error.value.__notes__ == ["model was given input_shape=(4,); of rows that are pictures, give "
                                     "image_shape=(28, 28)."]


# --- what is to be copied, or to go to another process ----------------------------------------------------------------


class Pointing(Callback):
    """A callback with an address, which means nothing in another process."""

    def __init__(self):
        self.pointer = ctypes.pointer(ctypes.c_int(3))


def locked():
    """A callback that no process can give to another, of a class that has no name outside of this function."""
    class Locked(Callback):
        def __init__(self):
            self.lock = threading.Lock()

    return Locked()


def behind_a_lock(function):
    """The same function, which can be copied, and not be given to another process."""
    lock = threading.Lock()

    def alone(*given, **named):
        with lock:
            return function(*given, **named)

    return alone


def search(net, jobs=2):
    """A small search for a better one."""
    return GridSearchCV(net, {"alpha": [0.1, 0.2]}, cv=2, n_jobs=jobs).fit(X, Y)


@pytest.mark.parametrize("callback", [locked, Pointing])
@pytest.mark.parametrize("call, cannot", [(pickle.dumps, "go into a file or to another process"),
                                          (clone, "be copied"), (copy.deepcopy, "be copied"), (search, "be copied")])
def test_what_cannot_be_copied_or_sent_is_named(call, cannot, callback):
    with pytest.raises(pickle.PicklingError, match=rf"(Locked|Pointing).* in callbacks cannot {cannot} .*; leave it"):
        call(net(callbacks=[callback()]))


@pytest.mark.parametrize("name, function", [("loss", losses.cross_entropy), ("model", Own)])
def test_what_can_only_be_copied_is_named_where_it_is_sent(name, function):
    bound = net(**{name: behind_a_lock(function)})
    assert copy.deepcopy(search(bound, jobs=1)).predict(X).shape == clone(bound).fit(X, Y).predict(X).shape
    with pytest.raises(pickle.PicklingError) as error:
        search(bound)
    assert f"in {name} cannot go into a file or to another process" in str(error.value.__cause__)
    fitted = copy.deepcopy(bound.fit(X, Y))
    assert np.array_equal(fitted.predict_proba(X), bound.predict_proba(X))
    assert not np.array_equal(fitted.partial_fit(X, Y).predict_proba(X), bound.predict_proba(X))
