"""The gradient-check table: a row an operation, a call for each way of using it.

Every call is held against central differences in float64. The same calls show that single precision stays single, that
double stays double, and that each row really tests the operation it is named after. To add an operation, add its row.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

from byhand import Tensor, check_grad, losses, ops

WITHOUT_GRADIENT = {"argmax", "equal", "greater", "greater_equal", "less", "less_equal", "not_equal"}


class Call(NamedTuple):
    """f(*arguments): the arrays of floats among the arguments are checked, all else is passed on."""

    f: Callable[..., Any]
    arguments: tuple[Any, ...]


def call(f, *arguments, **options):
    return Call(partial(f, **options) if options else f, arguments)


def table(rng):
    """Operation -> its calls."""
    normal = lambda *shape: rng.normal(size=shape)
    positive = lambda *shape: rng.uniform(0.3, 2.0, shape)

    def bent(*shape):
        """Away from 0, where relu and its kind have a corner."""
        x = rng.normal(size=shape)
        return np.asarray(x + 0.1 * np.sign(x))

    def elementwise(f, draw):
        """One shape, one side repeated, the other side, both sides, and single numbers."""
        shapes = [((3, 4), (3, 4)), ((3, 4), (4,)), ((1, 4), (3, 1)), ((), (2, 3)), ((2, 1, 3), (4, 1)), ((), ())]
        numbers = [call(lambda a: f(a, 1.5), draw(3)), call(lambda b: f(1.5, b), draw(3))]
        return [call(f, draw(*a), draw(*b)) for a, b in shapes] + numbers

    def reduction(f, draw=normal):
        options = [{}, {"axis": 0}, {"axis": -1}, {"axis": 1, "keepdims": True}, {"axis": (0, 2)}, {"keepdims": True},
                   {"axis": (-1, 0), "keepdims": True}, {"axis": (0, 1, 2)}, {"axis": ()}]
        return [call(f, draw(3, 2, 4), **o) for o in options] + [call(f, draw(5)), call(f, draw(1, 1))]

    def bent_everywhere(f, **options):
        return [call(f, bent(3, 4), **options), call(f, bent(5), **options), call(f, bent(), **options)]

    def along_an_axis(f):
        return [call(f, normal(3, 4)), call(f, normal(3, 4), axis=0), call(f, normal(2, 3, 4), axis=1),
                call(f, normal(5)), call(f, normal(2, 1))]

    def conv(x, weight, bias=True, **options):
        arrays = [normal(*x), normal(*weight), *([normal(weight[0])] if bias else [])]
        return call(ops.conv2d, *arrays, **options)

    def pool(f, *shape, **options):
        return call(f, normal(*shape), **options)

    def batch_norm(training):
        def f(x, weight, bias):
            c = x.shape[1]
            return ops.batch_norm(x, weight, bias, running_mean=np.linspace(-1, 1, c, dtype=x.dtype),
                                  running_var=np.linspace(0.5, 2, c, dtype=x.dtype), training=training)
        return [call(f, normal(5, 3), normal(3), normal(3)), call(f, normal(4, 2, 3, 2), normal(2), normal(2))]

    mask = np.array([[True, False, True, False], [False, False, True, True], [True] * 4])
    labels, counts = np.array([0, 2, 1, 2, 0]), np.array([[0, 1, 4]] * 5)
    one_hot = np.eye(3)[labels]
    sample_weights, class_weights = np.array([1.0, 0.5, 2.0, 0.0, 1.0]), np.array([1.0, 2.0, 0.5])

    def loss(f, targets, shape=(5, 3), **options):
        return call(lambda y: f(y, targets, **options), normal(*shape))

    def error(f, **options):
        return [loss(f, normal(5, 3), **options), loss(f, normal(5), (5,), **options),
                loss(f, normal(5, 3), sample_weights=sample_weights, **options),
                *[loss(f, normal(5, 3), reduction=r, **options) for r in ("sum", "none")]]

    return {
        # arithmetic
        "add": elementwise(ops.add, normal),
        "subtract": elementwise(ops.subtract, normal),
        "multiply": elementwise(ops.multiply, normal),
        "divide": elementwise(ops.divide, positive),
        "maximum": elementwise(ops.maximum, normal),
        "minimum": elementwise(ops.minimum, normal),
        "power": [*elementwise(ops.power, positive), call(lambda a: a**2, normal(4)), call(lambda a: a**3, normal(4)),
                  call(lambda a: a**-1, bent(4)), call(lambda a: a**0, normal(4)), call(lambda a: 2.0**a, normal(4)),
                  call(lambda a: a ** np.float32(2), normal(4)),
                  call(lambda a: a ** np.array([0, 1, 2, 3], a.dtype), bent(3, 4))],
        "negative": [call(ops.negative, normal(3, 4))],
        "exp": [call(ops.exp, normal(3, 4)), call(ops.exp, normal())],
        "log": [call(ops.log, positive(3, 4))],
        "sqrt": [call(ops.sqrt, positive(3, 4))],
        "abs": [call(ops.abs, bent(3, 4))],
        "clip": [call(ops.clip, normal(5, 4), low=-0.5, high=0.5), call(ops.clip, normal(5, 4), low=0.1),
                 call(lambda a: ops.clip(a, None, 0.1), normal(5, 4))],
        "where": [call(lambda a, b: ops.where(mask, a, b), normal(3, 4), normal(3, 4)),
                  call(lambda a, b: ops.where(mask, a, b), normal(4), normal(3, 1)),
                  call(lambda a, b: ops.where(Tensor(mask[0]), a, b), normal(3, 4), normal()),
                  call(lambda a: ops.where(mask, a, 1.0), normal(3, 4)),
                  call(lambda b: ops.where(mask, 0, b), normal(3, 4))],
        # matrix products
        "matmul": [call(ops.matmul, normal(*a), normal(*b)) for a, b in [
            ((2, 3), (3, 4)), ((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((5, 2, 3), (5, 3, 4)), ((5, 2, 3), (3, 4)),
            ((2, 3), (5, 3, 4)), ((5, 1, 2, 3), (6, 3, 2)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4)), ((1, 1), (1, 1))]],
        "linear": [call(ops.linear, normal(5, 3), normal(4, 3), normal(4)),
                   call(ops.linear, normal(5, 3), normal(4, 3)),
                   call(ops.linear, normal(3), normal(4, 3), normal(4)),
                   call(ops.linear, normal(2, 5, 3), normal(4, 3), normal(4)),
                   call(lambda x, w: ops.linear(x, w, None), normal(1, 1), normal(1, 1)),
                   call(lambda w, b: ops.linear(np.ones((2, 3), w.dtype), bias=b, weight=w), normal(4, 3), normal(4))],
        # reductions
        "sum": reduction(ops.sum),
        "mean": reduction(ops.mean),
        "var": [*reduction(ops.var), call(ops.var, normal(3, 4), axis=0, ddof=1), call(ops.var, normal(6), ddof=1)],
        "max": reduction(ops.max),
        "min": reduction(ops.min),
        "logsumexp": reduction(ops.logsumexp),
        # shapes
        "reshape": [call(lambda x: x.reshape(3, 4), normal(2, 6)), call(lambda x: x.reshape((2, -1)), normal(3, 2, 2)),
                    call(lambda x: x.reshape(1, 1, 1), normal()), call(lambda x: x.T.reshape(-1), normal(3, 2))],
        "transpose": [call(ops.transpose, normal(2, 3)), call(lambda x: x.transpose(2, 0, 1), normal(2, 3, 4)),
                      call(lambda x: x.transpose((-1, 0, 1)), normal(2, 3, 4)), call(ops.transpose, normal(5))],
        "swapaxes": [call(lambda x: x.swapaxes(0, -1), normal(2, 3, 4))],
        "squeeze": [call(ops.squeeze, normal(1, 3, 1)), call(ops.squeeze, normal(1, 3, 1), axis=-1),
                    call(ops.squeeze, normal(1, 3, 1), axis=(0, 2))],
        "expand_dims": [call(ops.expand_dims, normal(3, 2), axis=-1), call(ops.expand_dims, normal(3, 2), axis=(0, 2))],
        "broadcast_to": [call(lambda x: ops.broadcast_to(x, (4, 2, 3)), normal(2, 1)),
                         call(lambda x: ops.broadcast_to(x, (2, 2)), normal())],
        "index": [call(lambda x, key=key: x[key], normal(4, 3)) for key in [
            1, slice(None, None, -2), (slice(1, 3), 0), ..., None, [0, 0, 3], (np.array([1, 1]), np.array([2, 2])),
            (slice(None), np.array([0, 0, 1])), ((2, 2), 1), np.eye(4, 3, dtype=bool)]],
        "pad": [call(lambda x: ops.pad(x, [(1, 2), (0, 3)]), normal(2, 3)),
                call(lambda x: ops.pad(x, [(0, 0)], value=7.0), normal(3))],
        "concatenate": [call(lambda a, b, c: ops.concatenate([a, b, c]), normal(2, 3), normal(1, 3), normal(4, 3)),
                        call(lambda a, b: ops.concatenate([a, b], axis=-1), normal(2, 3), normal(2, 1)),
                        call(lambda a: ops.concatenate([a, np.ones(2, a.dtype), a]), normal(3))],
        "stack": [call(lambda a, b: ops.stack([a, b]), normal(2, 3), normal(2, 3)),
                  call(lambda a, b: ops.stack([a, b, a], axis=-1), normal(2, 3), normal(2, 3)),
                  call(lambda a, b: ops.stack([a, b]), normal(), normal())],
        # activations
        "relu": bent_everywhere(ops.relu),
        "leaky_relu": bent_everywhere(ops.leaky_relu) + bent_everywhere(ops.leaky_relu, slope=0.2),
        "elu": bent_everywhere(ops.elu) + bent_everywhere(ops.elu, alpha=0.5),
        "gelu": bent_everywhere(ops.gelu),
        "silu": bent_everywhere(ops.silu),
        "softplus": bent_everywhere(ops.softplus),
        "tanh": bent_everywhere(ops.tanh),
        "sigmoid": bent_everywhere(ops.sigmoid),
        "softmax": along_an_axis(ops.softmax),
        "log_softmax": along_an_axis(ops.log_softmax),
        # pictures
        "conv2d": [
            conv((2, 3, 5, 6), (4, 3, 3, 3)), conv((2, 3, 5, 6), (4, 3, 3, 3), bias=False),
            conv((1, 1, 4, 4), (1, 1, 4, 4)), conv((2, 3, 4, 5), (2, 3, 1, 1)), conv((2, 1, 5, 4), (3, 1, 2, 3)),
            conv((2, 2, 7, 5), (3, 2, 3, 2), stride=2), conv((2, 2, 7, 8), (3, 2, 2, 2), stride=(3, 2)),
            conv((2, 2, 4, 4), (3, 2, 3, 3), padding=1), conv((2, 2, 3, 4), (3, 2, 2, 3), padding=(0, 2)),
            conv((1, 1, 2, 2), (2, 1, 2, 2), padding=3), conv((2, 2, 6, 7), (3, 2, 3, 2), dilation=2),
            conv((2, 2, 6, 7), (3, 2, 2, 3), dilation=(2, 3)), conv((2, 4, 4, 5), (6, 2, 2, 3), groups=2),
            conv((2, 3, 4, 4), (6, 1, 3, 3), groups=3),
            conv((2, 4, 9, 8), (4, 2, 3, 2), stride=(2, 1), padding=(2, 1), dilation=(2, 3), groups=2)],
        "max_pool2d": [
            pool(ops.max_pool2d, 2, 3, 4, 6, size=2), pool(ops.max_pool2d, 2, 2, 5, 7, size=(2, 3)),
            pool(ops.max_pool2d, 2, 2, 5, 5, size=3, stride=1), pool(ops.max_pool2d, 2, 2, 5, 6, size=2, stride=(3, 1)),
            pool(ops.max_pool2d, 2, 2, 5, 5, size=3, stride=2, padding=1),
            pool(ops.max_pool2d, 1, 2, 7, 6, size=2, stride=1, dilation=(3, 2))],
        "avg_pool2d": [
            pool(ops.avg_pool2d, 2, 3, 4, 6, size=2), pool(ops.avg_pool2d, 2, 2, 5, 7, size=(2, 3)),
            pool(ops.avg_pool2d, 2, 2, 5, 5, size=3, stride=1), pool(ops.avg_pool2d, 2, 2, 5, 6, size=2, stride=(3, 1)),
            pool(ops.avg_pool2d, 2, 2, 5, 5, size=3, stride=2, padding=1)],
        "global_avg_pool2d": [pool(ops.global_avg_pool2d, 2, 3, 4, 5), pool(ops.global_avg_pool2d, 1, 1, 1, 1)],
        # normalization
        "batch_norm": batch_norm(training=True) + batch_norm(training=False),
        "layer_norm": [call(ops.layer_norm, normal(3, 4), normal(4), normal(4)),
                       call(ops.layer_norm, normal(2, 3, 4), normal(3, 4), normal(3, 4)),
                       call(ops.layer_norm, normal(2, 3, 4), normal(4), normal(4), eps=0.1),
                       call(ops.layer_norm, normal(4), normal(4), normal(4))],
        "dropout": [call(lambda x: ops.dropout(x, 0.4, np.random.default_rng(1)), normal(5, 6))],
        # losses
        "cross_entropy": [
            loss(losses.cross_entropy, labels), loss(losses.cross_entropy, one_hot),
            loss(losses.cross_entropy, labels, label_smoothing=0.1, class_weights=class_weights),
            loss(losses.cross_entropy, one_hot, label_smoothing=0.1, class_weights=class_weights),
            loss(losses.cross_entropy, labels, sample_weights=sample_weights, class_weights=class_weights),
            *[loss(losses.cross_entropy, labels, reduction=r) for r in ("sum", "none")]],
        "binary_cross_entropy": [
            loss(losses.binary_cross_entropy, np.array([0, 1, 1, 0, 1]), (5,)),
            loss(losses.binary_cross_entropy, np.array([0, 1, 1, 0, 1]), (5, 1), sample_weights=sample_weights),
            loss(losses.binary_cross_entropy, rng.uniform(size=(5, 3)), reduction="none")],
        "hinge": [loss(losses.hinge, labels), loss(losses.hinge, labels, margin=0.5, sample_weights=sample_weights)],
        "brier": [loss(losses.brier, labels), loss(losses.brier, labels, factor=0.5, sample_weights=sample_weights)],
        "mean_squared_error": error(losses.mean_squared_error),
        "squared_error": error(losses.squared_error) + error(losses.squared_error, factor=0.5),
        "poisson": [loss(losses.poisson, counts, counts.shape),
                    loss(losses.poisson, counts, counts.shape, sample_weights=sample_weights)],
        "absolute_error": error(losses.absolute_error),
        "huber": error(losses.huber) + error(losses.huber, delta=0.3),
        "sum_of_magnitudes": [call(lambda a, b: losses.l1([a, b]), bent(3, 4), bent(5))],
        "sum_of_squares": [call(lambda a, b: losses.l2([a, b]), normal(3, 4), normal(5))],
    }


TABLE = table(np.random.default_rng(0))
CALLS = [pytest.param(name, *c, id=f"{name}-{i}") for name, row in TABLE.items() for i, c in enumerate(row)]


def test_every_operation_has_a_row():
    differentiable = set(ops.__all__) - WITHOUT_GRADIENT
    of_losses = {name for name, f in vars(losses).items() if hasattr(f, "__wrapped__")}  # what @op has decorated
    assert {"cross_entropy", "mean_squared_error"} <= of_losses
    assert sorted(TABLE) == sorted(differentiable | of_losses)


def test_the_others_are_known_to_have_no_gradient(rng):
    a = Tensor(rng.normal(size=(3, 4)), requires_grad=True)
    for name in WITHOUT_GRADIENT:
        result = ops.argmax(a) if name == "argmax" else getattr(ops, name)(a, 0.0)
        assert not result.requires_grad and result.dtype.kind in "bi", name


@pytest.mark.parametrize(("name", "f", "arguments"), CALLS)
def test_gradients_agree_with_central_differences(name, f, arguments):
    check_grad(f, *arguments)


def is_floats(a):
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("name", "f", "arguments"), CALLS)
def test_precision_and_argument_survive(name, f, arguments, dtype):
    given = [a.astype(dtype) if is_floats(a) else a for a in arguments]
    tensors = [Tensor(a.copy(), requires_grad=True) if is_floats(a) else a for a in given]
    result = f(*tensors)
    assert result.op == name
    assert result.dtype == dtype
    for (_, gradient_of, _) in result.links:  # as the operation returns it, before the engine brings it into line
        assert gradient_of(np.ones(result.shape, dtype)).dtype == dtype
    slopes = np.ones(result.shape, dtype)
    result.backward(slopes)
    assert np.all(slopes == 1), "a gradient function changed what it was given"
    for a, t in zip(given, tensors, strict=True):
        if isinstance(t, Tensor):
            assert t.grad.dtype == dtype and t.grad.shape == t.shape
            np.testing.assert_array_equal(t.data, a, err_msg="an operation changed its argument")


@pytest.mark.parametrize(("name", "f", "arguments"), CALLS)
def test_arrays_alone_give_the_same_plain_array(name, f, arguments):
    tensors = [Tensor(a) if is_floats(a) else a for a in arguments]
    expected = f(*tensors)
    assert not expected.requires_grad
    np.testing.assert_array_equal(f(*arguments), expected.data)
