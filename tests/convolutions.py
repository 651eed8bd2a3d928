"""Convolutions of every kind for the tests of compiled ones: their shapes, and arrays for them."""

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from byhand.kernels import Window

DTYPES = [np.float32, np.float64]
ONE, NONE = (1, 1), (0, 0)


def whole(rng, shape, dtype):
    """Small whole numbers."""
    return rng.integers(-2, 3, shape).astype(dtype)


def normal(rng, shape, dtype):
    """Fractions."""
    return rng.normal(size=shape).astype(dtype)


def windowed(size, stride=ONE, padding=NONE, dilation=ONE):
    return Window(size, stride, padding, dilation)


def case(picture, filters, window, groups=1):
    """The shapes of a picture and of the filters, the window, and the groups."""
    return picture, (filters, picture[0] // groups, *window.size), window, groups


UGLY = {
    "one channel": case((1, 9, 8), 1, windowed((3, 3))),
    "17 channels": case((17, 6, 5), 17, windowed((3, 2), padding=ONE)),
    "33 channels": case((33, 4, 3), 34, windowed((2, 2))),
    "as many filters as lanes": case((16, 4, 5), 32, windowed((3, 3), padding=ONE)),
    "many filters": case((2, 3, 4), 131, windowed((2, 3))),
    "one pixel": case((5, 1, 1), 3, windowed(ONE)),
    "one pixel in a frame": case((3, 1, 1), 4, windowed((3, 3), padding=ONE)),
    "a kernel larger than the stride": case((3, 11, 9), 6, windowed((5, 4), stride=(2, 3))),
    "a stride larger than the kernel": case((3, 11, 9), 6, windowed((2, 1), stride=(4, 3))),
    "a stride that leaves rows over": case((2, 8, 8), 5, windowed((3, 3), stride=(2, 4))),
    "dilation": case((3, 9, 10), 6, windowed((3, 2), dilation=(2, 3))),
    "dilation, stride and padding": case((4, 9, 7), 5, windowed((2, 3), (2, 1), (2, 1), (3, 2))),
    "padding larger than the kernel": case((3, 3, 2), 6, windowed((2, 1), padding=(4, 3))),
    "the padding alone": case((2, 1, 1), 3, windowed((3, 3), stride=(3, 3), padding=(4, 4))),
    "groups": case((6, 5, 6), 9, windowed((3, 2), padding=ONE), 3),
    "wide groups": case((34, 4, 4), 38, windowed((2, 2)), 2),
    "groups, dilation and stride": case((4, 8, 7), 6, windowed((2, 2), (2, 1), (1, 0), (2, 2)), 2),
    "depthwise": case((17, 6, 6), 17, windowed((3, 3), padding=ONE), 17),
    "depthwise, stride and dilation": case((6, 9, 8), 6, windowed((2, 3), (2, 2), ONE, (2, 1)), 6),
    "depthwise, two filters a channel": case((5, 6, 5), 10, windowed((3, 3)), 5),
    "a kernel as large as the picture": case((7, 4, 5), 8, windowed((4, 5))),
    "a wide kernel": case((1, 3, 20), 2, windowed((1, 15), padding=(0, 3))),
    "the digits' first layer": case((1, 28, 28), 24, windowed((5, 5))),
}


@st.composite
def cases(draw):
    pair = lambda low, high: (draw(st.integers(low, high)), draw(st.integers(low, high)))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 17]))
    inputs = draw(st.sampled_from([1, 2, 5, 17] if groups < 17 else [1]))
    outputs = draw(st.sampled_from([1, 3, 6, 17, 40] if groups < 17 else [1, 2]))
    size, dilation = pair(1, 4), pair(1, 3)
    stride, padding = pair(1, 4), pair(0, 5)
    window = Window(size, stride, padding, dilation)
    height, width = pair(1, 9)
    assume(min(window.output_size(height, width)) > 0)
    return case((inputs * groups, height, width), outputs * groups, window, groups)


def made(rng, dtype, which, n=2, draw=whole):
    """Pictures, filters, bias, and slopes of the result."""
    picture, filters, window, _ = which
    return (draw(rng, (n, *picture), dtype), draw(rng, filters, dtype), draw(rng, filters[:1], dtype),
            draw(rng, (n, filters[0], *window.output_size(*picture[1:])), dtype))


def spoiled(rng, values):
    """Some of the numbers not finite."""
    values = values.copy()
    for strange in (np.nan, np.inf, -np.inf):
        values[rng.random(values.shape) < 0.02] = strange
    return values


FUSED = [(1, True), (2, False), (2, True), (3, False), (3, True)]
FUSED_UGLY = [(name, pool, relu) for name, (picture, _, window, _) in UGLY.items() for pool, relu in FUSED
              if min(window.output_size(*picture[1:])) >= pool]
