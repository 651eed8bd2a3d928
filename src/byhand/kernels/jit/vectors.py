"""The few words that the fastest kernels are written in: vectors of numbers, in the processor's own terms.

A vector is the widest thing that a processor computes with at once: 16 numbers of 32 bits on AVX-512, 8 on AVX2, 4 on
NEON and SSE2. Numba alone cannot be told to keep a table of them in registers, so these words speak the language of
LLVM, the compiler that Numba uses. `tile.py` says most with them, and `runs.py` the rest.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import config
from numba.extending import intrinsic

INT, SHORT, BIT = ir.IntType(64), ir.IntType(32), ir.IntType(1)


ARM = any(name in binding.get_process_triple() for name in ("aarch64", "arm64"))


def host() -> tuple[int, int]:
    """Bytes in a vector of this processor, and how many vectors its registers hold."""
    features = config.CPU_FEATURES
    if features is None:
        features = binding.get_host_cpu_features().flatten()
    if "+avx512f" in features:
        return 64, 32
    if "+avx2" in features and "+fma" in features:
        return 32, 16
    return 16, 32 if ARM else 16


VECTOR, REGISTERS = host()
MASKS_APART = VECTOR == 64  # masks have registers of their own
KEPT_IN = "w" if ARM else "v" if VECTOR == 64 else "x"  # LLVM's letters for the registers that hold vectors


@intrinsic
def lanes(typing: Any, array: Any) -> Any:
    """How many numbers of this array's kind make a vector: a constant for the compiler."""
    count = VECTOR * 8 // array.dtype.bitwidth

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(INT, count)

    return types.int64(array), generate


def halves(lanes: int) -> list[int]:
    """Half of a vector's lanes, a quarter, and so on down to one."""
    return [lanes >> n for n in range(1, lanes.bit_length())]


class Vectors:
    """The few words that a tile is written in, for vectors of one kind of number."""

    def __init__(self, builder: Any, element: Any) -> None:
        self.builder, self.element = builder, element
        self.bytes = 4 if isinstance(element, ir.FloatType) else 8
        self.lanes = VECTOR // self.bytes
        self.type = ir.VectorType(element, self.lanes)
        self.zero = ir.Constant(self.type, [0.0] * self.lanes)
        self.name = f"v{self.lanes}f{8 * self.bytes}"
        self.integers = ir.VectorType(ir.IntType(8 * self.bytes), self.lanes)

    def function(self, name: str, returns: Any, *takes: Any) -> Any:
        """One of LLVM's own functions."""
        known = self.builder.module.globals.get(name)
        return known or ir.Function(self.builder.module, ir.FunctionType(returns, takes), name)

    def repeated(self, number: Any, vector: Any = None) -> Any:
        """A vector that holds the same number in every lane."""
        vector = vector or self.type
        empty = ir.Constant(vector, ir.Undefined)
        first = self.builder.insert_element(empty, number, ir.Constant(SHORT, 0))
        return self.builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(SHORT, self.lanes),
                                                                     [0] * self.lanes))

    def first(self, count: Any) -> Any:
        """A mask: which lanes are among the first `count`."""
        return self.below(self.counts(count))

    def counts(self, count: Any) -> Any:
        """The count in every lane, as whole numbers as long as the vector's own."""
        short = self.builder.trunc(count, self.integers.element) if self.bytes < 8 else count
        return self.repeated(short, self.integers)

    def below(self, counts: Any) -> Any:
        """A mask: in which lanes the lane's number is below this."""
        return self.builder.icmp_signed("<", ir.Constant(self.integers, list(range(self.lanes))), counts)

    def anew(self, counts: Any) -> Any:
        """The same counts, of which the compiler must believe that they are others each time."""
        kind = ir.FunctionType(counts.type, [counts.type])
        return self.builder.asm(kind, "", f"={KEPT_IN},0", [counts], side_effect=True)

    def place(self, base: Any, index: Any, vector: int) -> Any:
        """Where in memory the vector lies that is `vector` vectors after base[index]."""
        at = self.builder.add(index, ir.Constant(INT, vector * self.lanes))
        return self.builder.bitcast(self.builder.gep(base, [at]), self.type.as_pointer())

    def load(self, base: Any, index: Any, vector: int, mask: Any) -> Any:
        """A vector from memory; of the lanes that a mask leaves out, nothing is touched, and they are 0."""
        place = self.place(base, index, vector)
        if mask is None:
            loaded = self.builder.load(place)
            loaded.align = self.bytes
            return loaded
        masks = ir.VectorType(BIT, self.lanes)
        load = self.function(f"llvm.masked.load.{self.name}.p0", self.type, place.type, SHORT, masks, self.type)
        return self.builder.call(load, [place, ir.Constant(SHORT, self.bytes), mask, self.zero])

    def load_first(self, count: Any, base: Any, index: Any, vector: int) -> Any:
        """The first `count` numbers of a vector from memory, the others 0; None for all."""
        return self.load(base, index, vector, None if count is None else self.first(count))

    def store(self, value: Any, base: Any, index: Any, vector: int) -> None:
        """A vector to memory."""
        self.builder.store(value, self.place(base, index, vector)).align = self.bytes

    def store_first(self, count: Any, stores: Sequence[tuple[Any, Any, Any, int]]) -> None:
        """The first `count` numbers of each of these vectors; None for all. Each is given as to `store`."""
        if count is None:
            for store in stores:
                self.store(*store)
        elif MASKS_APART:
            self.store_under_mask(count, stores)
        else:
            self.store_by_halves(count, stores)

    def store_under_mask(self, count: Any, stores: Sequence[tuple[Any, Any, Any, int]]) -> None:
        """`store_first` in one instruction for each."""
        masks, mask = ir.VectorType(BIT, self.lanes), self.first(count)
        for value, *where in stores:
            place = self.place(*where)
            store = self.function(f"llvm.masked.store.{self.name}.p0", ir.VoidType(), self.type, place.type, SHORT,
                                  masks)
            self.builder.call(store, [value, place, ir.Constant(SHORT, self.bytes), mask])

    def store_by_halves(self, count: Any, stores: Sequence[tuple[Any, Any, Any, int]]) -> None:
        """`store_first` where masks take long, of fewer numbers than there are lanes: half a vector, if there is so
        much, then a quarter, and so on. What has gone makes place for what follows."""
        values, gone = [value for value, *_ in stores], ir.Constant(INT, 0)
        for part in halves(self.lanes):
            before, block, after = (self.builder.block, self.builder.append_basic_block(),
                                    self.builder.append_basic_block())
            here = self.builder.and_(count, ir.Constant(INT, part))
            self.builder.cbranch(self.builder.icmp_signed("!=", here, ir.Constant(INT, 0)), block, after)
            self.builder.position_at_end(block)
            for value, (_, base, index, vector) in zip(values, stores, strict=True):
                some = self.lanes_of(value, range(part))
                place = self.place(base, self.builder.add(index, gone), vector)
                self.builder.store(some, self.builder.bitcast(place, some.type.as_pointer())).align = self.bytes
            rest = [self.lanes_of(value, [(lane + part) % self.lanes for lane in range(self.lanes)])
                    for value in values]
            more = self.builder.add(gone, here)
            self.builder.branch(after)
            self.builder.position_at_end(after)
            values = [self.either((before, value), (block, left)) for value, left in zip(values, rest, strict=True)]
            gone = self.either((before, gone), (block, more))

    def lanes_of(self, value: Any, lanes: Any) -> Any:
        """These lanes of a vector, as a vector."""
        numbers = ir.Constant(ir.VectorType(SHORT, len(lanes)), list(lanes))
        return self.builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), numbers)

    def either(self, *ways: tuple[Any, Any]) -> Any:
        """A value where ways meet: what it is on the way taken."""
        value = self.builder.phi(ways[0][1].type)
        for block, there in ways:
            value.add_incoming(there, block)
        return value

    def expect(self, base: Any, index: Any, vector: int) -> None:
        """Begin to bring a place in memory near, to be written soon."""
        place = self.place(base, index, vector)
        prefetch = self.function("llvm.prefetch.p0", ir.VoidType(), place.type, SHORT, SHORT, SHORT)
        self.builder.call(prefetch, [place, *(ir.Constant(SHORT, n) for n in (1, 3, 1))])  # for writing; near; data

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a · b + c, in one instruction where the processor has one."""
        fma = self.function(f"llvm.fmuladd.{self.name}", self.type, self.type, self.type, self.type)
        return self.builder.call(fma, [a, b, c])

    def done(self, value: Any) -> Any:
        """The value, which is in a register before anything is fetched that comes later. (An empty instruction, of
        which the compiler must believe that it needs the value and changes memory. Else it fetches all numbers of a
        step first, and then has no registers left for the sums.)"""
        kind = ir.FunctionType(self.type, [self.type])
        return self.builder.asm(kind, "", f"={KEPT_IN},0,~{{memory}}", [value], side_effect=True)

    def relu(self, value: Any) -> Any:
        """max(value, 0); what is not a number stays so."""
        below = self.builder.fcmp_ordered("<", value, self.zero)
        return self.builder.select(below, self.zero, value)
