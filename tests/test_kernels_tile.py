"""The register tile is the formula in its docstring: every shape, any place of its numbers, and nothing but those."""

import numpy as np
import pytest
from kernel_arrays import same_bits
from kernel_memory import SIDES, Canaries, GuardPages, beside, on_linux, on_the_edge

pytest.importorskip("numba")

from byhand.kernels.jit.cache import kernel
from byhand.kernels.jit.tile import ADD, BIAS, FRESH, SHAPES, tile
from byhand.kernels.jit.vectors import VECTOR, lanes

DTYPES = [np.float32, np.float64]


@kernel
def call(height, width, last, a, a0, rows, row0, steps, step0, count, b, b0, b_step, c, c0, c_row, tiles, begin, bias,
         bias0, relu):
    """The tile by itself."""
    tile(height, width, last, a, a0, rows, row0, steps, step0, count, b, b0, b_step, c, c0, c_row, tiles, begin, bias,
         bias0, relu)


@kernel
def lanes_of(array):
    return lanes(array)


class Task:
    """What a tile is to do, with random places for everything, in arrays that are no longer than it takes.

    With `whole` numbers in it all sums are exact, whatever the order; else some of the numbers are not finite.
    """

    def __init__(self, rng, dtype, height, width, last, begin, relu, whole=True):
        self.lanes = VECTOR // np.dtype(dtype).itemsize
        self.begin, self.relu, self.columns = begin, relu, (width - 1) * self.lanes + last
        draw = lambda low, high: int(rng.integers(low, high + 1))
        tiles, row0, step0, bias0, count, b_step = (
            draw(1, 3), draw(0, 2), draw(0, 2), draw(0, 3), draw(1, 9), draw(1, 40))
        rows = rng.integers(-30, 30, row0 + tiles * height)
        steps = rng.integers(-30, 30, step0 + count)
        c_row = self.columns + draw(0, 9)

        of_a = rows[row0:, None] + steps[step0:]  # (row of sums, step)
        a0, b0, c0 = draw(0, 5) - of_a.min(), draw(0, 5), draw(0, 5)
        self.of_a, self.of_b = of_a + a0, b0 + np.arange(count)[:, None] * b_step + np.arange(self.columns)
        self.of_c = c0 + np.arange(tiles * height)[:, None] * c_row + np.arange(self.columns)
        self.of_bias = bias0 + np.arange(self.columns)

        def numbers(size):
            if whole:
                return rng.integers(-3, 4, size).astype(dtype)
            drawn = rng.normal(size=size).astype(dtype)
            for strange in (np.nan, np.inf, -np.inf):
                drawn[rng.random(size) < 0.01] = strange
            return drawn

        self.a, self.b, self.c, self.bias = (numbers(places.max() + 1) for places in (
            self.of_a, self.of_b, self.of_c, self.of_bias))
        self.rows, self.steps, self.shape = rows, steps, (height, width, last)
        self.numbers = {"a0": a0, "row0": row0, "step0": step0, "count": count, "b0": b0, "b_step": b_step, "c0": c0,
                        "c_row": c_row, "tiles": tiles, "bias0": bias0}

    def slowly(self):
        """What c should be afterwards."""
        c = self.c.copy()
        start = {FRESH: 0, ADD: c[self.of_c], BIAS: self.bias[self.of_bias]}[self.begin]
        with np.errstate(invalid="ignore"):
            sums = (self.a[self.of_a][..., None] * self.b[self.of_b]).sum(axis=1) + start
            c[self.of_c] = np.where(sums < 0, 0, sums) if self.relu else sums
        return c

    def quickly(self, place=np.array):
        """What the tile makes of c."""
        a, b, c, bias, rows, steps = map(place, (self.a, self.b, self.c, self.bias, self.rows, self.steps))
        n = self.numbers
        call(*self.shape, a, n["a0"], rows, n["row0"], steps, n["step0"], n["count"], b, n["b0"], n["b_step"], c,
             n["c0"], n["c_row"], n["tiles"], self.begin, bias, n["bias0"], self.relu)
        return c


def tasks(dtype, height, width, seed=0, **options):
    """A task for every number of lanes in the last vector."""
    rng = np.random.default_rng([seed, height, width])
    for last in range(1, VECTOR // np.dtype(dtype).itemsize + 1):
        yield Task(rng, dtype, height, width, last, int(rng.choice([FRESH, ADD, BIAS])), int(rng.integers(2)),
                   **options)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_vector_has_as_many_lanes_as_fit(dtype):
    assert lanes_of(np.zeros(0, dtype)) * np.dtype(dtype).itemsize == VECTOR


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_every_shape_is_the_formula_and_touches_nothing_else(height, width, dtype):
    for seed in range(3):
        for task in tasks(dtype, height, width, seed):
            canaries = Canaries()
            np.testing.assert_array_equal(task.quickly(canaries.place), task.slowly())
            assert canaries.untouched()


@pytest.mark.parametrize("relu", [0, 1])
@pytest.mark.parametrize("begin", [FRESH, ADD, BIAS])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_beginning_and_end(dtype, begin, relu, rng):
    for height, width in [SHAPES[0], *SHAPES[-3:]]:
        for last in (1, VECTOR // np.dtype(dtype).itemsize):
            task = Task(rng, dtype, height, width, last, begin, relu)
            np.testing.assert_array_equal(task.quickly(), task.slowly())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_fractions_and_what_is_not_finite(height, width, dtype):
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-13, "atol": 1e-13}
    for task in tasks(dtype, height, width, whole=False):
        np.testing.assert_allclose(task.quickly(), task.slowly(), **close)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_is_the_same_to_the_last_bit_in_tiles_of_every_shape(dtype, rng):
    """So what a network says of a sample does not depend on how many samples it is given."""
    depth, columns = 37, VECTOR // np.dtype(dtype).itemsize
    a, b = rng.normal(size=depth).astype(dtype), rng.normal(size=(depth, columns)).astype(dtype)
    found = []
    for height, width in SHAPES:
        wide = np.tile(b, (1, width))
        c = np.empty((height, width * columns), dtype)
        call(height, width, columns, a, 0, np.zeros(height, np.int64), 0, np.arange(depth), 0, depth,
             wide.reshape(-1), 0, width * columns, c.reshape(-1), 0, width * columns, 1, FRESH, a, 0, 0)
        found += [row for sums in c for row in sums.reshape(width, columns)]
    assert all(same_bits(found[0], other) for other in found)
    np.testing.assert_allclose(found[0], a @ b, rtol=1e-4)


@on_linux
@pytest.mark.parametrize("name", ["b", "c"])
def test_guard_pages_end_who_touches_them(name):
    process = beside(f"import {__name__} as tests; tests.with_an_array_too_short({name!r}); print('still there')")
    assert process.returncode < 0 and not process.stdout and "Fatal" in process.stderr


def with_an_array_too_short(name):
    """In a process of its own: a tile that needs one number more than there is."""
    task = Task(np.random.default_rng(0), np.float32, 1, 1, 1, ADD, 0)
    setattr(task, name, getattr(task, name)[:-1])
    task.quickly(GuardPages("after").place)


def tiles_at_the_edge(side):
    """In a process of its own: every tile, each of its arrays on the edge."""
    for dtype in DTYPES:
        for height, width in SHAPES:
            print(np.dtype(dtype), height, width, flush=True)
            for task in tasks(dtype, height, width):
                pages = GuardPages(side)
                np.testing.assert_array_equal(task.quickly(pages.place), task.slowly())
                assert pages.untouched()


@on_linux
@pytest.mark.parametrize("side", SIDES)
def test_between_guard_pages(side):
    on_the_edge(tiles_at_the_edge, side)
