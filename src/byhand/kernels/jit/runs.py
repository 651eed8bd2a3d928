"""A run of numbers, a vector at a time: for what happens to neighbours that are too few for a compiler to bother.

Numba turns a loop over thousands of numbers into vectors by itself. A loop over the six or twenty-four channels of a
pixel, repeated for thousands of pixels, it does number by number, and asks each time anew whether two arrays overlap.
So the three things that are done to each pixel are written here in the words of `tile.py`: whole vectors first, then
the rest under a mask.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from byhand.kernels.jit.tile import BIT, INT, Vectors

BYTE = ir.IntType(8)
NOBODY = 255  # of a pool's elements: what came out of it is 0, and no slope goes back


def along(builder: Any, words: Vectors, count: Any, body: Callable[[Any, Any], None]) -> None:
    """body(index, mask) for each vector of a run of `count` numbers; the mask is None for a whole vector."""
    lanes, zero = ir.Constant(INT, words.lanes), ir.Constant(INT, 0)
    whole = builder.sub(count, builder.and_(count, ir.Constant(INT, words.lanes - 1)))
    before = builder.block
    head, vector, rest, cut, done = (builder.append_basic_block() for _ in range(5))
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(INT)
    index.add_incoming(zero, before)
    builder.cbranch(builder.icmp_signed("<", index, whole), vector, rest)
    builder.position_at_end(vector)
    body(index, None)
    index.add_incoming(builder.add(index, lanes), builder.block)
    builder.branch(head)
    builder.position_at_end(rest)
    builder.cbranch(builder.icmp_signed("<", whole, count), cut, done)
    builder.position_at_end(cut)
    body(whole, words.first(builder.sub(count, whole)))
    builder.branch(done)
    builder.position_at_end(done)


def pointers(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """The arguments, arrays as pointers to their first numbers."""
    return [context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, arguments, strict=True)]


class Bytes(Vectors):
    """The same words for as many bytes as the numbers have lanes."""

    def __init__(self, builder: Any, lanes: int) -> None:
        self.builder, self.element, self.bytes, self.lanes = builder, BYTE, 1, lanes
        self.type = ir.VectorType(BYTE, lanes)
        self.zero = ir.Constant(self.type, [0] * lanes)
        self.name = f"v{lanes}i8"


@intrinsic
def add_run(typing: Any, to: Any, to0: Any, by: Any, by0: Any, count: Any) -> Any:
    """to[to0 + i] += by[by0 + i] for i below `count`."""
    n = types.int64
    signature = types.void(to, n, by, n, n)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, to0, by, by0, count = pointers(context, builder, signature, arguments)
        words = Vectors(builder, to.type.pointee)

        def add(index: Any, mask: Any) -> None:
            at = builder.add(to0, index)
            total = builder.fadd(words.load(to, at, 0, mask), words.load(by, builder.add(by0, index), 0, mask))
            words.store(total, to, at, 0, mask)

        along(builder, words, count, add)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def pool_run(typing: Any, x: Any, x0: Any, across: Any, down: Any, y: Any, y0: Any, winner: Any, count: Any,
             relu: Any) -> Any:
    """The largest of four neighbours, for `count` channels: x[x0 + i], and those `across`, `down`, and both further on;
    into y[y0 + i], and which it was into winner[y0 + i]. The first of equals wins; a number that is none beats all.
    relu: what is below 0 becomes 0, and its winner NOBODY."""
    n = types.int64
    signature = types.void(x, n, n, n, y, n, winner, n, n)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, x0, across, down, y, y0, winner, count, relu = pointers(context, builder, signature, arguments)
        words = Vectors(builder, x.type.pointee)
        some = Bytes(builder, words.lanes)
        bent = builder.icmp_signed("!=", relu, ir.Constant(INT, 0))
        masks = ir.VectorType(BIT, words.lanes)

        def pool(index: Any, mask: Any) -> None:
            at = builder.add(x0, index)
            places = [at, builder.add(at, across), builder.add(at, down), builder.add(at, builder.add(across, down))]
            best, which = words.load(x, places[0], 0, mask), some.zero
            for tap, place in enumerate(places[1:], 1):
                new = words.load(x, place, 0, mask)
                more = builder.fcmp_ordered(">", new, best)
                which = builder.select(more, ir.Constant(some.type, [tap] * some.lanes), which)
                best = builder.select(builder.or_(more, builder.fcmp_unordered("uno", new, new)), new, best)
            positive = builder.fcmp_ordered(">", best, words.zero)
            all_of_them = words.repeated(bent, masks)
            cut = builder.and_(all_of_them, builder.not_(positive))
            which = builder.select(cut, ir.Constant(some.type, [NOBODY] * some.lanes), which)
            best = builder.select(bent, words.relu(best), best)
            to = builder.add(y0, index)
            words.store(best, y, to, 0, mask)
            some.store(which, winner, to, 0, mask)

        along(builder, words, count, pool)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def unpool_run(typing: Any, g: Any, g0: Any, winner: Any, x: Any, x0: Any, across: Any, down: Any, total: Any,
               add: Any, count: Any) -> Any:
    """The way back through `pool_run`: of the four neighbours, each of which is written, the winner gets g[g0 + i], the
    others 0. add: whether slopes with a winner are also added to total[i]."""
    n = types.int64
    signature = types.void(g, n, winner, x, n, n, n, total, n, n)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        g, g0, winner, x, x0, across, down, total, add, count = pointers(context, builder, signature, arguments)
        words = Vectors(builder, g.type.pointee)
        some = Bytes(builder, words.lanes)
        wanted = builder.icmp_signed("!=", add, ir.Constant(INT, 0))

        def unpool(index: Any, mask: Any) -> None:
            here = builder.add(g0, index)
            slope, which = words.load(g, here, 0, mask), some.load(winner, here, 0, mask)
            at = builder.add(x0, index)
            places = [at, builder.add(at, across), builder.add(at, down), builder.add(at, builder.add(across, down))]
            for tap, place in enumerate(places):
                won = builder.icmp_unsigned("==", which, ir.Constant(some.type, [tap] * some.lanes))
                words.store(builder.select(won, slope, words.zero), x, place, 0, mask)
            with builder.if_then(wanted):
                lost = builder.icmp_unsigned("==", which, ir.Constant(some.type, [NOBODY] * some.lanes))
                more = builder.fadd(words.load(total, index, 0, mask), builder.select(lost, words.zero, slope))
                words.store(more, total, index, 0, mask)

        along(builder, words, count, unpool)
        return context.get_dummy_value()

    return signature, generate


