"""The published programs behind four of the recipes, as they were written: plain NumPy, in float64.

They come from tutorials and course notes, and are what a beginner runs first. Samples are columns where theirs are, the
cost is computed where they compute it, and nothing is made faster or slower. Each function below prepares the digits,
and returns the program: run(epochs) trains it from the start and returns how many of its images it reads right at the
end, from 0 to 1.
"""

from collections.abc import Callable

import numpy as np

from byhand.bench.work import Array

Program = Callable[[int], float]


def binary_zero_one(images: Array, labels: Array) -> Program:
    """784-128-64-1 on the digits 0 and 1, full batch; the slopes of sigmoid and cross-entropy one after the other."""
    X = (images.reshape(len(images), -1) / 255).T
    Y = labels[None, :].astype(np.float64)
    m = len(images)

    def run(epochs: int) -> float:
        rng = np.random.default_rng(0)
        W1, b1 = rng.standard_normal((128, 784)) / np.sqrt(784), np.zeros((128, 1))
        W2, b2 = rng.standard_normal((64, 128)) / np.sqrt(128), np.zeros((64, 1))
        W3, b3 = rng.standard_normal((1, 64)) / np.sqrt(64), np.zeros((1, 1))
        for _ in range(epochs):
            Z1 = np.dot(W1, X) + b1
            A1 = np.maximum(0, Z1)
            Z2 = np.dot(W2, A1) + b2
            A2 = np.maximum(0, Z2)
            Z3 = np.dot(W3, A2) + b3
            A3 = 1 / (1 + np.exp(-Z3))
            np.squeeze(-np.sum(Y * np.log(A3) + (1 - Y) * np.log(1 - A3)) / m)  # the cost
            dA3 = -(np.divide(Y, A3) - np.divide(1 - Y, 1 - A3))
            dZ3 = dA3 * A3 * (1 - A3)
            dW3 = np.dot(dZ3, A2.T) / m
            db3 = np.sum(dZ3, axis=1, keepdims=True) / m
            dZ2 = np.dot(W3.T, dZ3)
            dZ2[Z2 <= 0] = 0
            dW2 = np.dot(dZ2, A1.T) / m
            db2 = np.sum(dZ2, axis=1, keepdims=True) / m
            dZ1 = np.dot(W2.T, dZ2)
            dZ1[Z1 <= 0] = 0
            dW1 = np.dot(dZ1, X.T) / m
            db1 = np.sum(dZ1, axis=1, keepdims=True) / m
            W1, b1 = W1 - 0.01 * dW1, b1 - 0.01 * db1
            W2, b2 = W2 - 0.01 * dW2, b2 - 0.01 * db2
            W3, b3 = W3 - 0.01 * dW3, b3 - 0.01 * db3
        return float(np.mean((A3 > 0.5) == Y))

    return run


def relu_10(images: Array, labels: Array) -> Program:
    """784-10-10, full batch; the slope of a bias is added up over all classes, which is its mistake."""
    X = (images.reshape(len(images), -1) / 255).T
    m = len(images)

    def one_hot(Y: Array) -> Array:
        rows = np.zeros((Y.size, Y.max() + 1))
        rows[np.arange(Y.size), Y] = 1
        return rows.T

    def run(epochs: int) -> float:
        rng = np.random.default_rng(0)
        W1, b1 = rng.random((10, 784)) - 0.5, rng.random((10, 1)) - 0.5
        W2, b2 = rng.random((10, 10)) - 0.5, rng.random((10, 1)) - 0.5
        for _ in range(epochs):
            Z1 = W1.dot(X) + b1
            A1 = np.maximum(Z1, 0)
            Z2 = W2.dot(A1) + b2
            A2 = np.exp(Z2) / np.sum(np.exp(Z2), axis=0)
            dZ2 = A2 - one_hot(labels)
            dW2 = 1 / m * dZ2.dot(A1.T)
            db2 = 1 / m * np.sum(dZ2)
            dZ1 = W2.T.dot(dZ2) * (Z1 > 0)
            dW1 = 1 / m * dZ1.dot(X.T)
            db1 = 1 / m * np.sum(dZ1)
            W1, b1 = W1 - 0.1 * dW1, b1 - 0.1 * db1
            W2, b2 = W2 - 0.1 * dW2, b2 - 0.1 * db2
        return float(np.mean(np.argmax(A2, 0) == labels))

    return run


def sigmoid_72_36(images: Array, labels: Array) -> Program:
    """784-72-36-10 with sigmoids on raw pixels, full batch. (Its mistake in the slopes of the biases is left out; it
    costs nothing.)"""
    X = images.reshape(len(images), -1).astype(np.float64).T
    Y = np.eye(10)[labels].T
    m = len(images)

    def sigmoid(z: Array) -> Array:
        return 1 / (1 + np.exp(-z))

    def run(epochs: int) -> float:
        rng = np.random.default_rng(0)
        W1, b1 = rng.random((72, 784)) - 0.5, rng.random((72, 1)) - 0.5
        W2, b2 = rng.random((36, 72)) - 0.5, rng.random((36, 1)) - 0.5
        W3, b3 = rng.random((10, 36)) - 0.5, rng.random((10, 1)) - 0.5
        with np.errstate(over="ignore"):  # sums of raw pixels are large, and the published program is warned of them
            for _ in range(epochs):
                A1 = sigmoid(np.dot(W1, X) + b1)
                A2 = sigmoid(np.dot(W2, A1) + b2)
                Z3 = np.dot(W3, A2) + b3
                A3 = np.exp(Z3) / np.sum(np.exp(Z3), axis=0)
                -np.sum(Y * np.log(A3)) / m  # the cost
                dZ3 = A3 - Y
                dW3, db3 = np.dot(dZ3, A2.T) / m, np.sum(dZ3, axis=1, keepdims=True) / m
                dZ2 = np.dot(W3.T, dZ3) * A2 * (1 - A2)
                dW2, db2 = np.dot(dZ2, A1.T) / m, np.sum(dZ2, axis=1, keepdims=True) / m
                dZ1 = np.dot(W2.T, dZ2) * A1 * (1 - A1)
                dW1, db1 = np.dot(dZ1, X.T) / m, np.sum(dZ1, axis=1, keepdims=True) / m
                W1, b1 = W1 - dW1, b1 - db1
                W2, b2 = W2 - dW2, b2 - db2
                W3, b3 = W3 - dW3, b3 - db3
        return float(np.mean(np.argmax(A3, axis=0) == labels))

    return run


def numpy_tutorial(images: Array, labels: Array) -> Program:
    """784-100-10 without biases, one image at a time, with a dropout mask of zeros and ones for each; the doubling of
    the kept units is left out on the way back, which is its mistake."""
    training_images = images.reshape(len(images), -1) / 255
    training_labels = np.eye(10)[labels]

    def run(epochs: int) -> float:
        rng = np.random.default_rng(0)
        weights_1 = 0.2 * rng.random((784, 100)) - 0.1
        weights_2 = 0.2 * rng.random((100, 10)) - 0.1
        for _ in range(epochs):
            training_loss, right = 0.0, 0
            for i in range(len(training_images)):
                layer_0 = training_images[i]
                layer_1 = np.dot(layer_0, weights_1)
                layer_1 = (layer_1 >= 0) * layer_1
                dropout_mask = rng.integers(low=0, high=2, size=layer_1.shape)
                layer_1 *= dropout_mask * 2
                layer_2 = np.dot(layer_1, weights_2)
                training_loss += np.sum((training_labels[i] - layer_2) ** 2)
                right += int(np.argmax(layer_2) == np.argmax(training_labels[i]))
                layer_2_delta = training_labels[i] - layer_2
                layer_1_delta = np.dot(weights_2, layer_2_delta) * (layer_1 >= 0)
                layer_1_delta *= dropout_mask
                weights_1 += 0.005 * np.outer(layer_0, layer_1_delta)
                weights_2 += 0.005 * np.outer(layer_1, layer_2_delta)
        return right / len(training_images)

    return run
