"""A gallery of broken trainings: each is a real one, of a small network on a thousand digits, with one thing done wrong
on purpose. The tests show that the doctor finds it, and `scripts/write_gallery.py` writes down what it says."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

import byhand as bh
from byhand import losses, nn
from byhand.data import Dataset, Normalize
from byhand.doctor import Doctor
from byhand.nn import init
from byhand.optim import SGD, Adam

SCALED = Normalize(0.1307, 0.3081)


@cache
def digits():
    """1,000 to learn from, 400 to watch, of the built-in set."""
    chosen = np.random.default_rng(0).permutation(5000)[:1400]
    samples = bh.data.load("mini").train[chosen]
    return samples[:1000], samples[1000:]


def network(rng, activation=nn.ReLU, hidden=1, width=32, weights=init.he_normal, outputs=10):
    """784-32-10, or with more hidden layers."""
    layers = [nn.Flatten()]
    for inputs in [784, *[width] * (hidden - 1)]:
        layers += [nn.Linear(inputs, width, rng, weight_init=weights), activation()]
    return nn.Sequential(*layers, nn.Linear(width, outputs, rng))


def times(factor, initializer):
    """An initializer whose weights are too large."""
    return lambda shape, rng: factor * initializer(shape, rng)


@dataclass(frozen=True)
class Training:
    """What a healthy one is: every broken one changes a field."""

    model: object = network
    optimizer: object = lambda model: Adam(model.parameters(), lr=0.003)
    train: object = lambda: digits()[0]
    validation: object = lambda: digits()[1]
    normalize: Normalize | None = SCALED
    epochs: int = 5
    batch_size: int = 20
    loss: object = losses.cross_entropy

    def run(self, seed=0, doctor=None):
        """The run and the doctor who watched it."""
        rng = np.random.default_rng(seed)
        model, doctor = self.model(rng), doctor or Doctor()
        run = bh.fit(model, self.train(), loss=self.loss, optimizer=self.optimizer(model), rng=rng,
                     epochs=self.epochs, batch_size=self.batch_size, validation=self.validation(),
                     normalize=self.normalize, callbacks=[doctor])
        return run, doctor


def sgd(lr):
    return lambda model: SGD(model.parameters(), lr=lr)


def adam(lr):
    return lambda model: Adam(model.parameters(), lr=lr)


def with_biases(value):
    """A network whose hidden biases begin there."""
    def make(rng):
        model = network(rng)
        model[1].bias.data[...] = value
        return model
    return make


def shuffled(samples=1000):
    """The labels dealt out anew."""
    train = digits()[0][:samples]
    return Dataset(train.inputs, np.random.default_rng(1).permutation(train.targets), train.classes)


def without(digit):
    train = digits()[0]
    return train[train.targets != digit]


def unbalanced(digit, part):
    """Of one digit only every so many."""
    train = digits()[0]
    of_it = np.flatnonzero(train.targets == digit)
    return train[np.setdiff1d(np.arange(len(train)), of_it[np.arange(len(of_it)) % part > 0])]


def with_nan():
    train = digits()[0]
    inputs = train.inputs.astype(np.float32)
    inputs[300, 0, 14, 14] = np.nan
    return Dataset(inputs, train.targets, train.classes)


HEALTHY = Training()
GALLERY = {  # what was done: the training, the finding
    "a learning rate of 1,000": (replace(HEALTHY, optimizer=sgd(1e3)), "learning-rate-too-high"),
    "Adam with a learning rate of 1": (replace(HEALTHY, optimizer=adam(1.0)), "learning-rate-too-high"),
    "a learning rate of 1e-7": (replace(HEALTHY, optimizer=sgd(1e-7)), "learning-rate-too-low"),
    "Adam with a learning rate of 1e-6": (replace(HEALTHY, optimizer=adam(1e-6)), "learning-rate-too-low"),
    "hidden biases of -100": (replace(HEALTHY, model=with_biases(-100.0)), "dead-relu"),
    "sigmoids with weights 30 times too large": (replace(HEALTHY, model=lambda rng: network(
        rng, nn.Sigmoid, 3, weights=times(30, init.glorot_uniform)), optimizer=sgd(0.01)), "saturated"),
    "tanh with weights 30 times too large": (replace(HEALTHY, model=lambda rng: network(
        rng, nn.Tanh, 3, weights=times(30, init.glorot_uniform)), optimizer=sgd(0.01)), "saturated"),
    "20 layers of sigmoids": (replace(HEALTHY, model=lambda rng: network(
        rng, nn.Sigmoid, 20, weights=init.glorot_uniform)), "gradients-vanish"),
    "10 layers of relu, weights 5 times too large": (replace(HEALTHY, model=lambda rng: network(
        rng, nn.ReLU, 10, weights=times(5, init.he_normal)), optimizer=sgd(1e-4)), "gradients-explode"),
    "labels shuffled, learned by heart": (replace(HEALTHY, train=lambda: shuffled(200), epochs=40), "labels-shuffled"),
    "labels shuffled, not learned": (replace(HEALTHY, train=shuffled, epochs=4, optimizer=adam(0.0005)),
                                     "labels-shuffled"),
    "pixels from 0 to 255": (replace(HEALTHY, normalize=None, optimizer=sgd(0.1)), "inputs-not-scaled"),
    "pixels divided by 255 twice": (replace(HEALTHY, normalize=Normalize(scale=1 / 255**2), optimizer=sgd(0.1)),
                                    "inputs-not-scaled"),
    "no 7 among the samples": (replace(HEALTHY, train=lambda: without(7)), "class-missing"),
    "few 7s among the samples": (replace(HEALTHY, train=lambda: unbalanced(7, 50)), "classes-unbalanced"),
    "100 samples, 60 epochs": (replace(HEALTHY, train=lambda: digits()[0][:100], epochs=60), "overfitting"),
    "a NaN among the pixels": (replace(HEALTHY, train=with_nan), "not-finite"),
    "a learning rate of 1e30": (replace(HEALTHY, optimizer=sgd(1e30)), "not-finite"),
    "an optimizer that holds one bias": (replace(HEALTHY, optimizer=lambda model: SGD([model[3].bias], lr=0.1)),
                                         "loss-does-not-move"),
    "all weights 0": (replace(HEALTHY, model=lambda rng: network(rng, weights=init.zeros)), "loss-does-not-move"),
    "empty pictures": (replace(HEALTHY, train=lambda: Dataset(np.zeros((1000, 1, 28, 28), np.uint8),
                       digits()[0].targets)), "accuracy-at-chance"),
    "a loss with the wrong sign": (replace(HEALTHY, loss=lambda outputs, targets: -losses.cross_entropy(
        outputs, targets)), "accuracy-at-chance"),
}
