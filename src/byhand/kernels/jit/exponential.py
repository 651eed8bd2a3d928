"""eˣ, many at a time.

The standard library computes one exponential at a time, with branches on the way, and a compiler cannot make vectors of
that. The one in this file is a straight line of multiplications and additions, the same for every number, so eight or
sixteen of them are done at once. It has two ideas.

The first is to split off a power of two (Cody and Waite 1980). With n the whole number nearest to x / ln 2, and r what
is left,

    x = n · ln 2 + r,    so that    eˣ = 2ⁿ · eʳ    with    |r| ≤ ln 2 / 2 = 0.35

and so near to 0 the series of school, 1 + r + r²/2 + r³/6 + ..., needs few terms. The second idea is that a float keeps
its power of two in bits of their own, so that 2ⁿ need not be computed: it is written there. Even n comes for free. A
number as large as 1.5 · 2²³ leaves no room for a fraction in the 23 bits that a float32 has for it; adding it rounds x
to a whole number, and there it stands, in the last bits.

Only what is at most 0 is asked for: activations and losses can always be written so, and then nothing overflows.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

FRACTION = {32: 23, 64: 52}  # bits of a float's fraction; its power of two stands before them
LN2_TOP, LN2_REST = 0.693145751953125, 1.4286068203094172e-06  # ln 2: n times the first part is exact


def inlined(function: Callable[..., Any]) -> Any:
    """A small function of numbers that becomes a part of each kernel that uses it, however long: a loop with a call in
    it would be done one number at a time."""
    return numba.njit(nogil=True, error_model="numpy", forceinline=True)(function)


def polynomial(coefficients: Sequence[float], for_single: int | None = None) -> Any:
    """A compiled function of x: c₀ + x · (c₁ + x · (c₂ + ..., the lowest power first (Horner's scheme).

    As a chain of products and sums, since the compiler makes no vectors where a loop goes through coefficients. For
    float32 the first `for_single` of them are enough.
    """

    @intrinsic
    def chain(typing: Any, x: Any) -> Any:
        known = coefficients[:for_single] if x.bitwidth == 32 else coefficients

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = context.get_constant(x, known[-1])
            for c in reversed(known[:-1]):
                value = builder.fadd(builder.fmul(value, arguments[0]), context.get_constant(x, c))
            return value

        return x(x), generate

    return chain


school_series = polynomial([1 / math.factorial(k) for k in range(1, 14)], for_single=7)  # (eʳ - 1) / r


@intrinsic
def rounder(typing: Any, x: Any) -> Any:
    """1.5 · 2²³, or 1.5 · 2⁵² if x is a float64: added to a smaller number, it rounds that to a whole one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(x, 1.5 * 2.0 ** FRACTION[x.bitwidth])

    return x(x), generate


@intrinsic
def lowest(typing: Any, x: Any) -> Any:
    """Where eˣ becomes too small for numbers of x's kind to hold with all their digits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(x, {32: -87.0, 64: -708.0}[x.bitwidth])

    return x(x), generate


@intrinsic
def two_to_the(typing: Any, x: Any) -> Any:
    """2ⁿ, from n + rounder(n): its last bits go where a float has its power of two."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits, (number,) = ir.IntType(x.bitwidth), arguments
        n = builder.shl(builder.bitcast(number, bits), ir.Constant(bits, FRACTION[x.bitwidth]))
        one = builder.bitcast(context.get_constant(x, 1.0), bits)
        return builder.bitcast(builder.add(n, one), number.type)

    return x(x), generate


@intrinsic
def select(typing: Any, condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b, of which the compiler computes both: where both are long, it would rather
    make two ways of `a if condition else b`, and then no vectors."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return a(types.boolean, a, a), generate


@inlined
def exp(x):
    """eˣ for x ≤ 0 (else it is wrong), to the last digit or two; 0 where only a part of the digits would have room.

    What is not a number stays so.
    """
    power, rest = split(x)
    return type(x)(0) if x < lowest(x) else power + power * rest


@inlined
def expm1(x):
    """eˣ - 1 for x ≤ 0, with all its digits also near 0, where the difference would lose them."""
    number = type(x)
    power, rest = split(x)
    return number(-1) if x < lowest(x) else power - number(1) + power * rest


@inlined
def split(x):
    """2ⁿ and eʳ - 1, whose product with 2ⁿ is what is missing to eˣ."""
    number = type(x)
    shifted = x * number(1 / (LN2_TOP + LN2_REST)) + rounder(x)
    n = shifted - rounder(x)
    r = x - n * number(LN2_TOP) - n * number(LN2_REST)
    return two_to_the(shifted), school_series(r) * r
