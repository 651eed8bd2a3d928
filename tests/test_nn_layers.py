"""Layers: shapes, what they look like, and the sentence for everything that does not fit."""

import copy

import numpy as np
import pytest
from networks import assert_same, numbers_of, small

from byhand import Tensor, nn, ops

RNG = np.random.default_rng(0)


# --- shapes -----------------------------------------------------------------------------------------------------------

SHAPES = [
    (lambda r: nn.Linear(5, 3, r), (7, 5), (7, 3)),
    (lambda r: nn.Linear(5, 3, r, bias=False), (2, 7, 5), (2, 7, 3)),
    (lambda r: nn.Conv2d(2, 4, 3, r), (7, 2, 6, 8), (7, 4, 4, 6)),
    (lambda r: nn.Conv2d(2, 4, (3, 5), r, stride=(2, 1), padding=(0, 2), dilation=(1, 2)), (7, 2, 9, 9), (7, 4, 4, 5)),
    (lambda r: nn.Conv2d(4, 8, 3, r, groups=4, padding=1), (7, 4, 5, 5), (7, 8, 5, 5)),
    (lambda r: nn.MaxPool2d(2), (7, 2, 6, 9), (7, 2, 3, 4)),
    (lambda r: nn.MaxPool2d(3, stride=2, padding=1), (7, 2, 6, 9), (7, 2, 3, 5)),
    (lambda r: nn.AvgPool2d((2, 3)), (7, 2, 6, 9), (7, 2, 3, 3)),
    (lambda r: nn.GlobalAvgPool2d(), (7, 2, 6, 9), (7, 2)),
    (lambda r: nn.BatchNorm1d(5), (7, 5), (7, 5)),
    (lambda r: nn.BatchNorm2d(2), (7, 2, 6, 9), (7, 2, 6, 9)),
    (lambda r: nn.LayerNorm(9), (7, 2, 9), (7, 2, 9)),
    (lambda r: nn.LayerNorm((2, 9)), (7, 2, 9), (7, 2, 9)),
    (lambda r: nn.Flatten(), (7, 2, 6, 9), (7, 108)),
    (lambda r: nn.Flatten(), (7,), (7, 1)),
    (lambda r: nn.Dropout(), (7, 5), (7, 5)),
    *[(lambda r, layer=layer: layer(), (7, 5), (7, 5)) for layer in (
        nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Tanh, nn.Sigmoid, nn.Softmax, nn.LogSoftmax)],
    (lambda r: nn.Residual(nn.Linear(5, 5, r), nn.ReLU()), (7, 5), (7, 5)),
    (lambda r: nn.Residual(nn.Linear(5, 3, r), shortcut=nn.Linear(5, 3, r)), (7, 5), (7, 3)),
    (lambda r: nn.Sequential(), (7, 5), (7, 5)),
    (small, (7, 1, 6, 6), (7, 3)),
]


@pytest.mark.parametrize(("make", "given", "expected"), SHAPES)
def test_every_layer_gives_the_shape_it_promises_in_single_precision(make, given, expected, rng):
    layer, x = make(rng), rng.normal(size=given).astype(np.float32)
    with nn.training(rng):
        y = layer(x)
        assert y.shape == expected and y.dtype == np.float32
    y = layer(x)
    assert isinstance(y, Tensor) and y.shape == expected and y.dtype == np.float32
    assert layer(Tensor(x[:0])).shape == (0, *expected[1:])  # an empty batch
    pixels = rng.integers(0, 256, given).astype(np.uint8)
    for batch in (pixels, Tensor(pixels)):  # the bytes of a picture, as they come
        for context in (nn.evaluating, lambda: nn.training(np.random.default_rng(5))):
            one, same = copy.deepcopy(layer), copy.deepcopy(layer)
            with context():
                y_of_bytes = one(batch)
            with context():
                np.testing.assert_array_equal(y_of_bytes.data, same(pixels.astype(np.float32)).data)
            assert y_of_bytes.dtype == np.float32
    double = layer.to(np.float64)(x.astype(np.float64))
    assert double.dtype == np.float64
    np.testing.assert_allclose(double.data, y.data, rtol=1e-4, atol=1e-5)


def test_every_layer_is_in_the_table():
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    layers = classes - {"Module", "ShapeError"}
    assert layers == {name for name in layers if any(name + "(" in repr(make(RNG)) for make, _, _ in SHAPES)}


@pytest.mark.parametrize(("layer", "f"), [
    (nn.LeakyReLU(0.3), lambda x: ops.leaky_relu(x, 0.3)), (nn.ELU(0.5), lambda x: ops.elu(x, 0.5)),
    *[(getattr(nn, name)(), getattr(ops, f)) for name, f in [
        ("ReLU", "relu"), ("LeakyReLU", "leaky_relu"), ("ELU", "elu"), ("GELU", "gelu"), ("SiLU", "silu"),
        ("Softplus", "softplus"), ("Tanh", "tanh"), ("Sigmoid", "sigmoid"), ("Softmax", "softmax"),
        ("LogSoftmax", "log_softmax"), ("GlobalAvgPool2d", "global_avg_pool2d")]],
])
def test_layers_leave_the_arithmetic_to_their_operation(layer, f, rng):
    x = rng.normal(size=(2, 3, 4, 4))
    np.testing.assert_array_equal(layer(x).data, f(x))


def test_a_residual_adds_its_body_to_what_goes_around_it(rng):
    x = rng.normal(size=(4, 3)).astype(np.float32)
    body, shortcut = nn.Linear(3, 3, rng), nn.Linear(3, 3, rng)
    np.testing.assert_allclose(nn.Residual(body)(x).data, x + body(x).data)
    np.testing.assert_allclose(nn.Residual(body, shortcut=shortcut)(x).data, shortcut(x).data + body(x).data)


# --- what it looks like -----------------------------------------------------------------------------------------------


def test_summary(rng):
    net = small(rng)
    net[0].freeze()
    assert net.summary((1, 6, 6)) == """\
            layer        output        parameters
-------------------------------------------------
            input        (N, 1, 6, 6)
0           Conv2d       (N, 4, 6, 6)          36
1           BatchNorm2d  (N, 4, 6, 6)           8
2           ReLU         (N, 4, 6, 6)           0
3           MaxPool2d    (N, 4, 3, 3)           0
4.body.0    Conv2d       (N, 6, 3, 3)         222
4.body.1    Tanh         (N, 6, 3, 3)           0
4.shortcut  Conv2d       (N, 6, 3, 3)          30
5           Flatten      (N, 54)                0
6           Linear       (N, 8)               440
7           LayerNorm    (N, 8)                16
8           Dropout      (N, 8)                 0
9           Linear       (N, 3)                27
-------------------------------------------------
779 parameters, 743 of them trained; 3 KB"""


def test_summary_of_one_layer_and_of_large_numbers(rng):
    text = nn.Linear(784, 1000, rng).summary((784,))
    assert "Linear" in text and "(N, 1000)" in text and "785,000 parameters, 785,000 of them trained; 3,066 KB" in text


def test_summary_leaves_no_trace(rng):
    net = small(rng)
    before = numbers_of(net)
    with nn.training(rng):  # not even when called while training
        net.summary((1, 6, 6))
    assert_same(net.state_dict(), before)


def test_summary_counts_a_shared_layer_once(rng):
    shared = nn.Linear(99, 99, rng)
    assert nn.Sequential(shared, nn.ReLU(), shared).summary(99) == """\
   layer   output   parameters
------------------------------
   input   (N, 99)
0  Linear  (N, 99)       9,900
1  ReLU    (N, 99)           0
0  Linear  (N, 99)           0
------------------------------
9,900 parameters, 9,900 of them trained; 39 KB"""


@pytest.mark.parametrize(("make", "text"), [
    (lambda r: nn.Linear(3, 2, r), "Linear(in_features=3, out_features=2)"),
    (lambda r: nn.Linear(3, 2, r, bias=False), "Linear(in_features=3, out_features=2, bias=False)"),
    (lambda r: nn.Conv2d(1, 2, 3, r, stride=2), "Conv2d(in_channels=1, out_channels=2, kernel_size=3, stride=2)"),
    (lambda r: nn.Conv2d(1, 2, (3, 5), r, bias=False),
     "Conv2d(in_channels=1, out_channels=2, kernel_size=(3, 5), bias=False)"),
    (lambda r: nn.MaxPool2d(2), "MaxPool2d(kernel_size=2, stride=2)"),
    (lambda r: nn.Dropout(0.1), "Dropout(p=0.1)"),
    (lambda r: nn.BatchNorm1d(4), "BatchNorm1d(num_features=4)"),
    (lambda r: nn.Sequential(nn.Flatten(), nn.ReLU()), "Sequential(Flatten(), ReLU())"),
    (lambda r: nn.Residual(nn.ReLU(), shortcut=nn.Flatten()), "Residual(ReLU(), shortcut=Flatten())"),
])
def test_repr_is_what_one_would_write(make, text, rng):
    assert repr(make(rng)) == text


def test_configuration_makes_another_layer_like_it(rng):
    for layer in (nn.Conv2d(2, 4, (3, 5), rng, stride=2, padding=(0, 2), groups=2, bias=False), nn.Linear(3, 2, rng),
                  nn.MaxPool2d(3, stride=2, padding=1), nn.BatchNorm2d(3, eps=0.1, momentum=0.2), nn.LayerNorm((2, 3)),
                  nn.LeakyReLU(0.3), nn.ELU(0.5), nn.Dropout(0.1), nn.GELU()):
        extra = {"rng": rng} if isinstance(layer, nn.Conv2d | nn.Linear) else {}
        assert repr(type(layer)(**layer.config(), **extra)) == repr(layer)


def test_containers_are_sequences(rng):
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, rng), nn.ReLU())
    assert len(net) == 3 and net[1] is net.layers[1] and net[-1] is net.layers[2]
    assert [type(layer) for layer in net[:2]] == [nn.Flatten, nn.Linear]
    assert net[:2][1] is net[1]  # the same layers, not copies


# --- what does not fit ------------------------------------------------------------------------------------------------

MISFITS = [
    (lambda r: nn.Linear(5, 3, r), (7, 4),
     "Linear(in_features=5, out_features=3) got an input of shape (7, 4); it needs (N, 5)."),
    (lambda r: nn.Linear(5, 3, r), (), "shape (); it needs (N, 5)."),
    (lambda r: nn.Conv2d(2, 4, 3, r), (7, 3, 6, 6), "shape (7, 3, 6, 6); it needs (N, 2, H, W)."),
    (lambda r: nn.Conv2d(2, 4, 3, r), (2, 6, 6), "shape (2, 6, 6); it needs (N, 2, H, W)."),
    (lambda r: nn.Conv2d(2, 4, (3, 5), r, padding=(0, 1)), (7, 2, 6, 2),
     "it needs (N, 2, H, W) with H of at least 3 and W of at least 3."),
    (lambda r: nn.MaxPool2d(3), (7, 2, 2, 9), "it needs (N, C, H, W) with H of at least 3 and W of at least 3."),
    (lambda r: nn.AvgPool2d(2), (7, 9), "AvgPool2d(kernel_size=2, stride=2) got an input of shape (7, 9); it needs "
                                        "(N, C, H, W)."),
    (lambda r: nn.GlobalAvgPool2d(), (7, 9), "GlobalAvgPool2d() got an input of shape (7, 9); it needs (N, C, H, W)."),
    (lambda r: nn.BatchNorm1d(5), (7, 4), "BatchNorm1d(num_features=5) got an input of shape (7, 4); it needs (N, 5)."),
    (lambda r: nn.BatchNorm1d(5), (7, 5, 5), "shape (7, 5, 5); it needs (N, 5)."),
    (lambda r: nn.BatchNorm2d(5), (7, 5), "shape (7, 5); it needs (N, 5, H, W)."),
    (lambda r: nn.LayerNorm((2, 9)), (7, 9), "it needs (N, ..., 2, 9)."),
    (lambda r: nn.Flatten(), (), "Flatten() got an input of shape (); it needs (N, ...)."),
    (lambda r: nn.Residual(nn.Linear(5, 3, r)), (7, 5),
     "it needs a body and a shortcut that end in one shape, not (7, 3) and (7, 5)."),
]


@pytest.mark.parametrize(("make", "given", "sentence"), MISFITS)
def test_a_wrong_shape_says_what_came_and_what_is_needed(make, given, sentence, rng):
    with pytest.raises(nn.ShapeError) as caught:
        make(rng)(np.zeros(given, np.float32))
    assert str(caught.value).endswith(sentence)
    assert caught.value.got == given


def test_a_wrong_shape_says_where(rng):
    net = nn.Sequential(nn.Flatten(), nn.Residual(nn.Sequential(nn.ReLU(), nn.Linear(5, 4, rng))))
    with pytest.raises(nn.ShapeError) as caught:
        net(np.zeros((2, 6), np.float32))
    assert str(caught.value) == ("layer '1.body.0.1', Linear(in_features=5, out_features=4), got an input of shape "
                                 "(2, 6); it needs (N, 5).")


def test_one_value_has_no_variance(rng):
    layer = nn.BatchNorm1d(3)
    x = np.ones((1, 3), np.float32)
    layer(x)  # evaluation needs none
    with nn.training(rng), pytest.raises(nn.ShapeError, match=r"more than one value for each channel in training.*"
                                                              "use a larger batch, or drop_last=True"):
        layer(x)
    assert layer.num_batches_tracked == 0
    with nn.training(rng):
        nn.BatchNorm2d(3)(np.ones((1, 3, 2, 1), np.float32))  # two places are enough


@pytest.mark.parametrize(("make", "error", "sentence"), [
    (lambda: nn.Linear(0, 3, RNG), ValueError, "Linear needs in_features to be a whole number of at least 1, got 0"),
    (lambda: nn.Linear(3, 2.0, RNG), ValueError, "Linear needs out_features to be a whole number .*, got 2.0"),
    (lambda: nn.Linear(3, True, RNG), ValueError, "out_features .* got True"),
    (lambda: nn.Linear(3, 2, 42), TypeError, r"draws its first weights from a generator such as .*, got 42"),
    (lambda: nn.Linear(3, 2, RNG, weight_init=lambda shape, rng: np.ones(3)), ValueError,
     r"the initializer returned shape \(3,\) instead of \(2, 3\)"),
    (lambda: nn.Linear(3, 2, RNG, bias_init=nn.init.he_normal), ValueError, "needs a weight of shape"),
    (lambda: nn.Linear(3, 2, RNG, dtype=np.int32), TypeError, "needs an array of floats"),
    (lambda: nn.Conv2d(-1, 2, 3, RNG), ValueError, "Conv2d needs in_channels"),
    (lambda: nn.Conv2d(1, 2, 0, RNG), ValueError, "Conv2d needs its size to be a whole number of at least 1, .* got 0"),
    (lambda: nn.Conv2d(1, 2, (3, 3, 3), RNG), ValueError, r"or a pair of them, got \(3, 3, 3\)"),
    (lambda: nn.Conv2d(1, 2, 3, RNG, stride="2"), ValueError, "its stride to be .* got '2'"),
    (lambda: nn.Conv2d(1, 2, 3, RNG, padding=-1), ValueError, "its padding to be a whole number of at least 0"),
    (lambda: nn.Conv2d(1, 2, 3, RNG, dilation=(1, 0)), ValueError, "its dilation to be"),
    (lambda: nn.Conv2d(3, 4, 3, RNG, groups=2), ValueError, "split 3 channels and 4 filters into 2 equal groups"),
    (lambda: nn.Conv2d(4, 3, 3, RNG, groups=2), ValueError, "split 4 channels and 3 filters into 2 equal groups"),
    (lambda: nn.MaxPool2d(0), ValueError, "MaxPool2d needs its size"),
    (lambda: nn.MaxPool2d(2, padding=2), ValueError, "MaxPool2d needs a padding of at most half the window 2, got 2"),
    (lambda: nn.AvgPool2d(2, stride=0), ValueError, "AvgPool2d needs its stride"),
    (lambda: nn.BatchNorm1d(0), ValueError, "BatchNorm1d needs num_features"),
    (lambda: nn.BatchNorm2d(3, eps=0), ValueError, "BatchNorm2d needs eps above 0 and a momentum from 0 to 1, got 0"),
    (lambda: nn.BatchNorm2d(3, momentum=1.5), ValueError, "got 1e-05 and 1.5"),
    (lambda: nn.LayerNorm(()), ValueError, "LayerNorm needs normalized_shape"),
    (lambda: nn.LayerNorm(2.5), ValueError, "LayerNorm needs normalized_shape .* got 2.5"),
    (lambda: nn.LayerNorm(3, eps=-1), ValueError, "LayerNorm needs eps above 0, got -1"),
    (lambda: nn.LeakyReLU("steep"), ValueError, "LeakyReLU needs negative_slope to be a finite number, got 'steep'"),
    (lambda: nn.LeakyReLU(np.nan), ValueError, "LeakyReLU needs negative_slope to be a finite number, got nan"),
    (lambda: nn.ELU(np.inf), ValueError, "ELU needs alpha to be a finite number, got inf"),
    (lambda: nn.ELU(None), ValueError, "ELU needs alpha to be a finite number, got None"),
    (lambda: nn.Linear(3, 2, RNG, weight_init=0.1), ValueError,
     r"an initializer is a function \(shape, rng\) .* got 0.1"),
    (lambda: nn.Linear(3, 2, RNG, weight_init=np.ones((2, 3))), ValueError, "an initializer is a function"),
    (lambda: nn.Linear(3, 2, RNG, bias_init=lambda shape, rng: 0.0), ValueError, "an initializer is a function"),
    (lambda: nn.Linear(3, 2, RNG, weight_init=nn.init.uniform), ValueError,
     r"uniform needs two numbers, .* weight_init=uniform\(-0.1, 0.1\); got \(2, 3\) and Generator"),
    (lambda: nn.Conv2d(1, 2, 3, RNG, weight_init=nn.init.normal), ValueError, "normal needs a spread of at least 0"),
    (lambda: nn.init.uniform(1, 0), ValueError, "the smaller first, .* got 1 and 0"),
    (lambda: nn.init.uniform(0, np.inf), ValueError, "uniform needs two numbers"),
    (lambda: nn.init.normal(-1), ValueError, "normal needs a spread of at least 0 .* got -1 and 0.0"),
    (lambda: nn.init.normal(mean="0"), ValueError, "normal needs a spread .* got 1.0 and '0'"),
    (lambda: nn.Dropout(1.0), ValueError, "Dropout needs a probability of at least 0 and less than 1, got 1.0"),
    (lambda: nn.Dropout(-0.1), ValueError, "Dropout needs a probability"),
    (lambda: nn.Sequential([nn.ReLU()]), TypeError, "Sequential takes layers one by one; number 0 is a list"),
    (lambda: nn.Sequential(nn.ReLU(), nn.ReLU), TypeError, "number 1 is a type"),
    (lambda: nn.Module()(np.ones(2)), TypeError, r"Module needs a method forward\(self, x\)"),
])
def test_wrong_arguments_get_a_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()
