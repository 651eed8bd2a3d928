"""The gradient checker itself: it must find mistakes, say where they are, and leave everything as it was."""

import re

import numpy as np
import pytest

from byhand import Tensor, check_grad, losses, nn, no_grad, ops
from byhand.autodiff import op
from byhand.testing import GradientError

# --- operations with a mistake ----------------------------------------------------------------------------------------


@op
def swapped(a, b):
    """a · b, whose gradients are exchanged."""
    return a * b, lambda g: g * a, lambda g: g * b


@op
def one_element_off(a):
    """a², wrong in a single element only."""
    def gradient(g):
        slopes = 2 * a * g
        slopes[1, 2] += 0.25
        return slopes

    return a * a, gradient


@op
def leaky_for_ever(a):
    """relu, whose slope is 1 everywhere: a mistake that published programs have made."""
    return np.maximum(a, 0), lambda g: g


@op
def constant(a):
    return a * 2


@op
def nowhere(a):
    """A gradient that is not a number."""
    return a * 2, lambda g: g * np.nan


def test_right_gradients_pass_in_silence(rng):
    assert check_grad(ops.multiply, rng.normal(size=(2, 3)), rng.normal(size=3)) is None
    check_grad(ops.add, [1.0, 2.0], np.ones(2, np.float32))
    check_grad(lambda a: (a * a).sum(), Tensor(rng.normal(size=3)))
    check_grad(ops.exp, np.array(0.5))


def test_the_message_names_operation_argument_index_expected_and_found():
    with pytest.raises(GradientError) as caught:
        check_grad(swapped, np.array([3.0]), np.array([5.0]))
    message = re.fullmatch(r"the gradient of 'swapped' in argument 0 at index \(0,\) is wrong: expected (\S+) \(by "
                           r"central difference\), found (\S+)\.", str(caught.value))
    expected, found = map(float, message.groups())
    assert expected / 5 == pytest.approx(found / 3, rel=1e-6)  # both times the random weight of the result
    assert isinstance(caught.value, AssertionError)


def test_only_the_wrong_argument_and_the_wrong_index_are_named(rng):
    with pytest.raises(GradientError, match=r"'multiply_badly' in argument 1 at index \(\d,\)"):
        @op
        def multiply_badly(a, b):
            return a * b, lambda g: g * b, lambda g: g

        check_grad(multiply_badly, rng.normal(size=3), rng.normal(size=3))
    with pytest.raises(GradientError, match=r"'one_element_off' in argument 0 at index \(1, 2\) is wrong"):
        check_grad(one_element_off, rng.normal(size=(3, 4)))


def test_a_single_wrong_element_among_many_is_seen_by_moving_all_at_once(rng):
    with pytest.raises(GradientError, match="argument 0 at a random direction is wrong"):
        check_grad(one_element_off, rng.normal(size=(40, 50)), most=3)


@pytest.mark.parametrize("f", [leaky_for_ever, lambda a: leaky_for_ever(a)])
def test_a_published_mistake_is_found_also_behind_a_lambda(f):
    with pytest.raises(GradientError, match=r"'leaky_for_ever' .* expected -?0 .* found"):
        check_grad(f, [-1.0, 2.0, -3.0])


def test_a_mistake_in_the_fourth_digit_is_found(rng):
    @op
    def nearly(a):
        return a * a, lambda g: g * a * 2.0002

    with pytest.raises(GradientError, match="'nearly'"):
        check_grad(nearly, rng.normal(size=5))


def test_a_gradient_that_is_not_a_number_agrees_with_nothing():
    with pytest.raises(GradientError, match="found nan"):
        check_grad(nowhere, [1.0])


def test_a_result_that_was_cut_off():
    with pytest.raises(GradientError, match="'constant' has no gradient"):
        check_grad(constant, [1.0])
    with pytest.raises(GradientError, match="has no gradient"):
        check_grad(lambda a: (a * 2).detach(), [1.0])


def test_a_kink_between_the_two_ends_is_no_mistake():
    check_grad(ops.relu, [3e-7, -4e-7, 1.0])


@pytest.mark.parametrize(("arguments", "sentence"), [
    ((ops.exp,), "no array of floats among the arguments"),
    ((ops.exp, np.array([1, 2])), "no array of floats among the arguments"),
    ((ops.multiply, [1, 2], [3, 4]), r"whole numbers are passed on as they are, so write \[1.0, 2.0\]"),
    ((lambda a: a.data, [1.0]), "needs a function that returns a Tensor; 'function' returned a ndarray"),
])
def test_nothing_to_check(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_grad(*arguments)


@pytest.mark.parametrize("options", [{"loss": losses.squared_error}, {"in_training": True}])
def test_what_is_for_networks_is_not_for_functions(options):
    with pytest.raises(ValueError, match="loss and in_training are for networks; put the loss into the function"):
        check_grad(ops.exp, [1.0], **options)


def test_the_arguments_are_not_touched(rng):
    a, t = rng.normal(size=3), Tensor(np.ones(3), requires_grad=True)
    before = a.copy()
    check_grad(ops.multiply, a, t)
    np.testing.assert_array_equal(a, before)
    assert t.grad is None


# --- networks ---------------------------------------------------------------------------------------------------------


@op
def scaled(x, w):
    return x * w, lambda g: g * w, lambda g: g * x


@op
def scaled_with_wrong_input_gradient(x, w):
    return x * w, lambda g: g * w * 1.01, lambda g: g * x


@op
def scaled_with_wrong_weight_gradient(x, w):
    return x * w, lambda g: g * w, lambda g: g * x + 0.01 * g


class Scale(nn.Module):
    """A layer of one's own, with a weight for each feature."""

    def __init__(self, n, f):
        self.weight = Tensor(np.linspace(0.5, 2, n).astype(np.float32), requires_grad=True)
        self.f = f

    def forward(self, x):
        return self.f(x, self.weight)


def network(rng, f=scaled):
    return nn.Sequential(nn.Linear(4, 5, rng), nn.Tanh(), nn.Residual(nn.Linear(5, 5, rng), Scale(5, f)),
                         nn.Linear(5, 3, rng))


def batch(rng):
    return rng.normal(size=(6, 4)), np.array([0, 1, 2, 0, 1, 2])


def test_a_right_network_passes_and_is_not_changed(rng):
    net = network(rng)
    before = net.state_dict()
    check_grad(net, *batch(rng), loss=losses.cross_entropy)
    check_grad(net, batch(rng)[0])  # without a loss: any direction of the outputs
    for name, array in net.state_dict().items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, before[name])
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize(("f", "where"), [
    (scaled_with_wrong_input_gradient, "its input"), (scaled_with_wrong_weight_gradient, "weight"),
])
def test_the_wrong_layer_is_named(f, where, rng):
    with pytest.raises(GradientError, match=rf"^the gradient of layer '2.body.1', Scale\(\), in {where} at index .* is "
                                            r"wrong: expected .* found"):
        check_grad(network(rng, f), *batch(rng), loss=losses.cross_entropy)


def test_a_wrong_loss_is_named(rng):
    @op
    def squares(outputs, targets):
        error = outputs - targets
        return (error * error).sum(), lambda g: g * error  # the 2 is missing

    with pytest.raises(GradientError, match="the gradient of the loss 'squares' in its input at index"):
        check_grad(network(rng), rng.normal(size=(6, 4)), rng.normal(size=(6, 3)), loss=squares)


def test_a_network_that_puts_right_layers_together_wrongly(rng):
    class Cut(nn.Module):
        def __init__(self):
            self.one, self.two = nn.Linear(4, 4, rng), nn.Linear(4, 3, rng)

        def forward(self, x):
            hidden = self.one(x)
            return self.two(hidden + hidden.detach())  # half of the slope is lost

    with pytest.raises(GradientError, match=r"the gradient of the network in .* Each layer and the loss are right by "
                                            r"themselves"):
        check_grad(Cut(), *batch(rng), loss=losses.cross_entropy)


def with_noise(rng):
    return nn.Sequential(nn.Conv2d(1, 3, 3, rng), nn.BatchNorm2d(3), nn.ELU(), nn.AvgPool2d(2), nn.Flatten(),
                         nn.Linear(12, 6, rng), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.LayerNorm(6),
                         nn.Linear(6, 3, rng))


def test_layers_that_behave_otherwise_in_training(rng):
    net, x = with_noise(rng), rng.normal(size=(6, 1, 6, 6))
    before = net.state_dict()
    check_grad(net, x, np.array([0, 1, 2, 0, 1, 2]), loss=losses.cross_entropy, in_training=True)
    check_grad(net, x, np.array([0, 1, 2, 0, 1, 2]), loss=losses.cross_entropy)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_training_around_it_makes_no_difference(rng):
    with nn.training(rng):
        check_grad(with_noise(rng), rng.normal(size=(6, 1, 6, 6)), np.array([0] * 6), loss=losses.cross_entropy)


def test_a_layer_that_is_wrong_only_in_training_is_named(rng):
    class Noisy(nn.Module):
        def forward(self, x):
            return x if nn.training_rng() is None else scaled_with_wrong_input_gradient(x, 3.0)

    net = nn.Sequential(nn.Linear(4, 3, rng), Noisy(), nn.Dropout(0.2))
    check_grad(net, *batch(rng), loss=losses.cross_entropy)
    with pytest.raises(GradientError, match=r"layer '1', Noisy\(\), in its input"):
        check_grad(net, *batch(rng), loss=losses.cross_entropy, in_training=True)


def test_frozen_parameters_are_left_out(rng):
    net = network(rng)
    net[0].freeze()
    check_grad(net, *batch(rng), loss=losses.cross_entropy)
    assert not net[0].weight.requires_grad


def test_whole_number_pictures_are_welcome(rng):
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, rng))
    check_grad(net, rng.integers(0, 255, (5, 1, 2, 2)).astype(np.uint8), np.array([0, 1, 2, 0, 1]),
               loss=losses.cross_entropy, rtol=1e-4)


def test_it_says_so_where_nothing_is_recorded():
    with no_grad(), pytest.raises(GradientError, match="has no gradient"):
        check_grad(ops.exp, [1.0])
