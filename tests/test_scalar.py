"""The engine on single numbers: every slope is what nudging says it is."""

import math
import subprocess
import sys

import pytest

from byhand import scalar
from byhand.autodiff import GraphError, no_grad
from byhand.scalar import Scalar


def nudged(f, arguments, i, h=1e-6):
    """The central difference of f in its argument i."""
    up, down = ([a + s * h if k == i else a for k, a in enumerate(arguments)] for s in (1, -1))
    return (float(f(*up)) - float(f(*down))) / (2 * h)


def assert_slopes(f, *arguments):
    """f's gradient in every argument is its central difference."""
    scalars = [Scalar(a) for a in arguments]
    f(*scalars).backward()
    for i, s in enumerate(scalars):
        assert s.grad == pytest.approx(nudged(f, arguments, i), rel=1e-6, abs=1e-8), f"argument {i}"


# --- operations -------------------------------------------------------------------------------------------------------

OPERATIONS = {
    "add": (scalar.add, [(1.5, -2.0), (0.0, 0.0)]),
    "subtract": (scalar.subtract, [(1.5, -2.0), (0.0, 3.0)]),
    "multiply": (scalar.multiply, [(1.5, -2.0), (0.0, 3.0)]),
    "divide": (scalar.divide, [(1.5, -2.0), (0.0, 3.0)]),
    "negative": (scalar.negative, [(1.5,), (0.0,)]),
    "power": (scalar.power, [(1.5, 2.5), (2.0, -3.0), (0.5, 0.0), (3.0, 1.0)]),
    "exp": (scalar.exp, [(1.5,), (-2.0,), (0.0,)]),
    "log": (scalar.log, [(1.5,), (0.2,)]),
    "tanh": (scalar.tanh, [(0.7,), (-2.0,), (0.0,)]),
    "sigmoid": (scalar.sigmoid, [(0.7,), (-2.0,), (0.0,)]),
    "relu": (scalar.relu, [(0.7,), (-2.0,)]),
    "linear": (scalar.linear, [(0.7,), (-2.0,)]),
    "weighted_sum": (scalar.weighted_sum, [(0.5, 1.0, -2.0, 3.0, 4.0), (0.5,)]),
    "mean_squared_error": (lambda a, b: scalar.mean_squared_error([a, b], [0.5, 1.0]), [(0.3, -2.0)]),
    "softmax": (lambda a, b, c: scalar.softmax([a, b, c])[1], [(0.3, -1.0, 2.0)]),
    "cross_entropy": (lambda a, b, c: scalar.cross_entropy([a, b, c], 2), [(0.3, -1.0, 2.0)]),
}
POINTS = [(name, point) for name, (_, points) in OPERATIONS.items() for point in points]


@pytest.mark.parametrize(("name", "point"), POINTS)
def test_every_operation_has_the_slopes_that_nudging_finds(name, point):
    assert_slopes(OPERATIONS[name][0], *point)


def test_no_operation_is_left_out_of_the_table():
    without_slopes = {"Layer", "Net", "Neuron", "Scalar", "accuracy", "digits_net", "one_hot", "pixels", "predict",
                      "step", "train"}
    assert set(OPERATIONS) == set(scalar.__all__) - without_slopes


@pytest.mark.parametrize("f", [
    lambda x: x + 2, lambda x: 2 + x, lambda x: x - 2, lambda x: 2 - x, lambda x: x * 2, lambda x: 2 * x,
    lambda x: x / 2, lambda x: 2 / x, lambda x: x**2, lambda x: 2**x, lambda x: -x, lambda x: sum([x, x, 1]),
    lambda x: x * x + x / x - x**x,
])
def test_operators_work_with_plain_numbers_on_either_side(f):
    assert float(f(Scalar(1.5))) == pytest.approx(f(1.5))
    assert_slopes(f, 1.5)


@pytest.mark.parametrize(("base", "exponent", "slope"), [(-2.0, 3, 12.0), (0.0, 1, 1.0), (0.0, 2, 0.0), (0.0, 0, 0.0)])
def test_a_power_has_a_slope_wherever_it_has_a_value(base, exponent, slope):
    x = Scalar(base)
    (x**exponent).backward()
    assert x.grad == slope


def test_the_slope_of_an_exponent_is_zero_over_zero_and_not_a_number_over_less():
    zero, negative = Scalar(2.0), Scalar(2.0)
    (0.0**zero).backward()
    ((-2.0) ** negative).backward()
    assert zero.grad == 0
    assert math.isnan(negative.grad)


def test_relu_has_slope_zero_at_zero():
    x = Scalar(0.0)
    scalar.relu(x).backward()
    assert x.grad == 0


@pytest.mark.parametrize("x", [-1e4, 1e4])
def test_large_inputs_overflow_nowhere(x):
    a, b = Scalar(x), Scalar(0.0)
    assert float(scalar.sigmoid(a)) == float(scalar.softmax([a, b])[0]) == (x > 0)
    assert float(scalar.tanh(a)) == math.copysign(1, x)
    loss = scalar.cross_entropy([a, b], 0)
    assert float(loss) == max(-x, 0)
    (loss + scalar.sigmoid(a) + scalar.softmax([a, b])[0]).backward()
    assert a.grad == (0 if x > 0 else -1)


def test_softmax_sums_to_one_and_cross_entropy_is_its_logarithm():
    outputs = [Scalar(v) for v in (0.3, -1.0, 2.0)]
    probabilities = scalar.softmax(outputs)
    assert sum(map(float, probabilities)) == pytest.approx(1)
    assert float(scalar.cross_entropy(outputs, 1)) == pytest.approx(-math.log(float(probabilities[1])))


# --- Scalars ----------------------------------------------------------------------------------------------------------

def test_a_scalar_is_a_float_that_shows_itself_and_can_be_compared():
    a = Scalar(2)
    assert float(a) == 2.0
    assert type(a.data) is float
    assert repr(a) == "Scalar(2)"
    assert repr(a * 0.5) == "Scalar(1, from multiply)"
    assert a > 1 and a >= 2 and a < Scalar(3) and a <= 2.0 and not a > 2
    assert max([Scalar(1.0), a, Scalar(-3.0)]) is a
    assert a != Scalar(2), "two weights of the same size are two weights"


def test_results_are_scalars_and_plain_numbers_stay_plain():
    assert isinstance(Scalar(1.0) + 1, Scalar)
    assert scalar.add(1.0, 2.0) == 3.0
    assert type(scalar.relu(1.0)) is float


def test_a_value_used_twice_collects_both_slopes():
    x = Scalar(3.0)
    y = x * x
    (y + y * x).backward()  # x² + x³
    assert x.grad == 2 * 3 + 3 * 9


def test_a_shared_value_is_gone_through_once():
    """Sixty doublings have 2⁶⁰ ways back; whoever walked each would never arrive."""
    x = y = Scalar(1.0)
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad == 2**60


def test_a_chain_of_fifty_thousand_operations():
    x = y = Scalar(1.0)
    for _ in range(50_000):
        y = y + 1.0
    y.backward()
    assert float(y) == 50_001
    assert x.grad == 1


def test_a_second_backward_says_why_it_cannot():
    x = Scalar(2.0)
    y = x * x
    y.backward()
    with pytest.raises(GraphError, match="earlier backward"):
        y.backward()
    assert x.grad == 4


def test_slopes_of_several_results_add_up():
    x = Scalar(2.0)
    for _ in range(2):
        (x * x).backward()
    assert x.grad == 8


def test_nothing_is_recorded_under_no_grad():
    x = Scalar(2.0)
    with no_grad():
        y = x * x
    assert not y.requires_grad
    with pytest.raises(GraphError, match="nothing to differentiate"):
        y.backward()


def test_constants_and_detached_values_get_no_slope():
    x, constant = Scalar(2.0), Scalar(3.0, requires_grad=False)
    (x * constant * x.detach()).backward()
    assert x.grad == 6
    assert constant.grad is None
    assert not (constant * 2).requires_grad


def test_importing_it_needs_the_standard_library_only():
    program = "import sys, byhand.scalar; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_numpy_numbers_are_numbers():
    numpy = pytest.importorskip("numpy")
    x = Scalar(numpy.float32(1.5))
    for y in (numpy.float64(2.0) * x, x * numpy.float32(2.0)):
        assert type(y.data) is float
        x.grad = None
        y.backward()
        assert x.grad == 2
    with pytest.raises(TypeError, match="one real number"):
        numpy.ones(3) * x
