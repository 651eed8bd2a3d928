"""A run of numbers, a vector at a time: for what happens to neighbours that are too few for a compiler to bother.

Numba turns a loop over thousands of numbers into vectors by itself. A loop over the six or twenty-four channels of a
pixel, repeated for thousands of pixels, it does number by number, and asks each time anew whether two arrays overlap.
So the few things that are done to each pixel are written here in the words of `vectors.py`: whole vectors first, then
what is left.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from byhand.kernels.jit.vectors import BIT, INT, MASKS_APART, Vectors, halves

BYTE = ir.IntType(8)
NOBODY = 255  # of a pool's elements: what came out of it is 0, and no slope goes back


def along(builder: Any, words: Vectors, count: Any, body: Callable[[Any, Any], None]) -> None:
    """body(index, left) for each vector of a run of `count` numbers; left: how many numbers of the last vector count,
    None for a whole one."""
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
    body(whole, builder.sub(count, whole))
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
        self.integers = self.type

    def load_first(self, count: Any, base: Any, index: Any, vector: int) -> Any:
        """As ever; where masks take long, half of them, a quarter and so on, each behind those that are there."""
        if count is None or MASKS_APART:
            return super().load_first(count, base, index, vector)
        together = ir.IntType(8 * self.lanes)
        all_of_them, there = ir.Constant(together, 0), ir.Constant(INT, 0)
        for part in halves(self.lanes):
            before, block, after = (self.builder.block, self.builder.append_basic_block(),
                                    self.builder.append_basic_block())
            here = self.builder.and_(count, ir.Constant(INT, part))
            self.builder.cbranch(self.builder.icmp_signed("!=", here, ir.Constant(INT, 0)), block, after)
            self.builder.position_at_end(block)
            place = self.place(base, self.builder.add(index, there), vector)
            some = self.builder.load(self.builder.bitcast(place, ir.IntType(8 * part).as_pointer()))
            some.align = 1
            shift = self.builder.shl(there, ir.Constant(INT, 3))
            behind = self.builder.shl(self.builder.zext(some, together), sized(self.builder, shift, together))
            both, more = self.builder.or_(all_of_them, behind), self.builder.add(there, here)
            self.builder.branch(after)
            self.builder.position_at_end(after)
            all_of_them = self.either((before, all_of_them), (block, both))
            there = self.either((before, there), (block, more))
        return self.builder.bitcast(all_of_them, self.type)


def sized(builder: Any, number: Any, kind: Any) -> Any:
    """A whole number of 64 bits as one of this kind, which is not longer."""
    return number if kind == INT else builder.trunc(number, kind)


@intrinsic
def copy_run(typing: Any, to: Any, to0: Any, by: Any, by0: Any, count: Any) -> Any:
    """to[to0 + i] = by[by0 + i] for i below `count`."""
    n = types.int64
    signature = types.void(to, n, by, n, n)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, to0, by, by0, count = pointers(context, builder, signature, arguments)
        words = Vectors(builder, to.type.pointee)

        def put(index: Any, left: Any) -> None:
            some = words.load_first(left, by, builder.add(by0, index), 0)
            words.store_first(left, [(some, to, builder.add(to0, index), 0)])

        along(builder, words, count, put)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_run(typing: Any, to: Any, to0: Any, by: Any, by0: Any, count: Any) -> Any:
    """to[to0 + i] += by[by0 + i] for i below `count`."""
    n = types.int64
    signature = types.void(to, n, by, n, n)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, to0, by, by0, count = pointers(context, builder, signature, arguments)
        words = Vectors(builder, to.type.pointee)

        def add(index: Any, left: Any) -> None:
            at = builder.add(to0, index)
            more = words.load_first(left, by, builder.add(by0, index), 0)
            words.store_first(left, [(builder.fadd(words.load_first(left, to, at, 0), more), to, at, 0)])

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

        def pool(index: Any, left: Any) -> None:
            at = builder.add(x0, index)
            places = [at, builder.add(at, across), builder.add(at, down), builder.add(at, builder.add(across, down))]
            best, which = words.load_first(left, x, places[0], 0), some.zero
            for tap, place in enumerate(places[1:], 1):
                new = words.load_first(left, x, place, 0)
                more = builder.fcmp_ordered(">", new, best)
                which = builder.select(more, ir.Constant(some.type, [tap] * some.lanes), which)
                best = builder.select(builder.or_(more, builder.fcmp_unordered("uno", new, new)), new, best)
            positive = builder.fcmp_ordered(">", best, words.zero)
            all_of_them = words.repeated(bent, masks)
            cut = builder.and_(all_of_them, builder.not_(positive))
            which = builder.select(cut, ir.Constant(some.type, [NOBODY] * some.lanes), which)
            best = builder.select(bent, words.relu(best), best)
            to = builder.add(y0, index)
            words.store_first(left, [(best, y, to, 0)])
            some.store_first(left, [(which, winner, to, 0)])

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

        def unpool(index: Any, left: Any) -> None:
            here = builder.add(g0, index)
            slope, which = words.load_first(left, g, here, 0), some.load_first(left, winner, here, 0)
            at = builder.add(x0, index)
            places = [at, builder.add(at, across), builder.add(at, down), builder.add(at, builder.add(across, down))]
            for tap, place in enumerate(places):
                won = builder.icmp_unsigned("==", which, ir.Constant(some.type, [tap] * some.lanes))
                words.store_first(left, [(builder.select(won, slope, words.zero), x, place, 0)])
            with builder.if_then(wanted):
                lost = builder.icmp_unsigned("==", which, ir.Constant(some.type, [NOBODY] * some.lanes))
                more = builder.fadd(words.load_first(left, total, index, 0), builder.select(lost, words.zero, slope))
                words.store_first(left, [(more, total, index, 0)])

        along(builder, words, count, unpool)
        return context.get_dummy_value()

    return signature, generate


