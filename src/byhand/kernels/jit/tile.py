"""How a convolution becomes fast: one register tile.

A processor can add up products far faster than it can fetch numbers. So the art is to fetch little and to use what was
fetched often. Look at a table with P rows and V·L columns of sums, where L numbers make a vector, the widest thing that
the processor computes with at once (L is 16 on AVX-512, 8 on AVX2, 4 on NEON and SSE2). To add one more product to
every sum we need P single numbers and V vectors:

                     V vectors of b                       each step fetches P + V things
                   [ b b b b | b b b b ]                  and does P · V fused multiply-adds
        P     a    [ + + + + | + + + + ]
     numbers  a    [ + + + + | + + + + ]                  sums += a ⊗ b
      of a    a    [ + + + + | + + + + ]

The sums never leave the processor's registers until they are done, which is why this is called a register tile (Goto
and van de Geijn 2008). With 28 vectors of sums, 16 fetches feed 28 multiply-adds: the arithmetic is the limit, as it
should be.

Everything heavy in a neural network is this tile, and what differs is only where the numbers lie. So a tile gets two
lists of places in a: `rows` says where the numbers of each row of sums begin, and `steps` how they go on from there.

| what | a row of sums belongs to | a | b | summed over |
| --- | --- | --- | --- | --- |
| convolution | a pixel of the result | the picture | filters | the window |
| gradient of its weights | a number in the window | the picture | slopes | all pixels of the result |
| gradient of its input | a pixel of the picture | slopes | filters, turned round | the window |
| linear layer | a sample | inputs | weights | inputs |
| gradient of its weights | an input | inputs | slopes | samples |
| gradient of its input | a sample | slopes | weights, transposed | outputs |

Look at the first two: the gradient of the weights is the convolution with its two lists exchanged.

So this file has the one thing that does the heavy work, in the words of `vectors.py`: a function that builds the tile
for given P and V.
"""

from functools import cache
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from byhand.kernels.jit.cache import kept_library, note_need
from byhand.kernels.jit.vectors import BIT, INT, MASKS_APART, REGISTERS, VECTOR, Vectors

# Rows of a tile that is three, two or one vectors wide: beside its sums, the vectors of b and a number need room.
BROAD, WIDE, TALL = (REGISTERS - 4) // 3, (REGISTERS - 4) // 2, min(14, REGISTERS - 4)
FLAT = 8  # vectors of a tile of a single row, as for a single sample; or half as many
SHAPES = [(row + 1, width) for width, most in ((3, BROAD), (2, WIDE), (1, TALL)) for row in range(most)]
SHAPES += [(1, width) for width in (FLAT, FLAT // 2)]
FRESH, ADD, BIAS = 0, 1, 2  # what the sums begin with: zeros, what is there already, or a bias


# --- the machine code -------------------------------------------------------------------------------------------------

POINTERS = ("a", "rows", "steps", "b", "c", "bias")
ORDER = ("height", "width", "last", "a", "a0", "rows", "row0", "steps", "step0", "count", "b", "b0", "b_step",
         "c", "c0", "c_row", "tiles", "begin", "bias", "bias0", "relu")
ELEMENTS = {32: ir.FloatType(), 64: ir.DoubleType()}


def symbol(bits: int) -> str:
    """The name under which kernels find the tile for numbers of so many bits."""
    return f"byhand_tile_f{bits}"


def function_type(bits: int) -> Any:
    """The tile as a function in C: pointers and whole numbers."""
    pointer = {name: (INT if name in ("rows", "steps") else ELEMENTS[bits]).as_pointer() for name in POINTERS}
    return ir.FunctionType(ir.VoidType(), [pointer.get(name, INT) for name in ORDER])


def machine_code(bits: int) -> Any:
    """The tile for numbers of so many bits, as LLVM reads it: a jump to the shape that is asked for, each of which is
    one nest of loops."""
    module = ir.Module(symbol(bits))
    function = ir.Function(module, function_type(bits), symbol(bits))
    builder = ir.IRBuilder(function.append_basic_block("begin"))
    done = builder.append_basic_block("done")
    height, width, last, *others = function.args
    whole = builder.icmp_signed(">=", last, ir.Constant(INT, VECTOR * 8 // bits))
    if MASKS_APART:
        whole = ir.Constant(BIT, 0)  # under a mask it is as quick
    shape = builder.add(builder.mul(width, ir.Constant(INT, 64)), height)
    choice = builder.switch(builder.add(builder.add(shape, shape), builder.zext(whole, INT)), done)
    for rows, vectors in SHAPES:
        for is_whole in (0,) if MASKS_APART else (0, 1):
            block = builder.append_basic_block(f"tile_{rows}_{vectors}{'_whole' * is_whole}")
            choice.add_case(ir.Constant(INT, 2 * (64 * vectors + rows) + is_whole), block)
            builder.position_at_end(block)
            sums_of_products(builder, rows, vectors, None if is_whole else last, *others)
            builder.branch(done)
    builder.position_at_end(done)
    builder.ret_void()
    return module


@cache
def provide(bits: int) -> None:
    """See to it that kernels find the tile. It stands in a library of its own: compiled into each of the kernels that
    use it, it would be compiled a dozen times."""
    library = kept_library(symbol(bits), lambda: machine_code(bits))
    binding.add_symbol(symbol(bits), library.get_pointer_to_function(symbol(bits)))


def sums_of_products(builder: Any, height: int, width: int, last: Any | None, a: Any, a0: Any, rows: Any, row0: Any,
                     steps: Any, step0: Any, count: Any, b: Any, b0: Any, b_step: Any, c: Any, c0: Any, c_row: Any,
                     tiles: Any, begin: Any, bias: Any, bias0: Any, relu: Any) -> None:
    """The loops of a tile with `height` · `width` vectors of sums, which are values here and registers later. last: how
    many numbers of the last vector count, None if all do: what is done under a mask takes longer on most processors."""
    words = Vectors(builder, a.type.pointee)
    table = [(row, vector) for row in range(height) for vector in range(width)]
    zero, one, tall = (ir.Constant(INT, n) for n in (0, 1, height))
    masks = [None] * (width - 1) + [None if last is None else words.first(last)]
    counts = None if last is None else words.counts(last)
    before = builder.block
    tile_begin, zeros, there, biased, start, over_steps, finish, after = (
        builder.append_basic_block() for _ in range(8))

    def sums_of(*ways: tuple[Any, dict[Any, Any]]) -> dict[Any, Any]:
        """The sums at the head of a loop or where ways meet."""
        return {at: words.either(*[(block, values[at]) for block, values in ways]) for at in table}

    builder.branch(tile_begin)

    builder.position_at_end(tile_begin)  # for each tile: its rows follow those of the tile before
    number = builder.phi(INT)
    number.add_incoming(zero, before)
    first = builder.mul(number, tall)
    c_here = builder.add(c0, builder.mul(first, c_row))
    row_here = builder.add(row0, first)
    a_rows = [builder.add(a0, builder.load(builder.gep(rows, [builder.add(row_here, ir.Constant(INT, row))])))
              for row in range(height)]
    c_rows = [builder.add(c_here, builder.mul(ir.Constant(INT, row), c_row)) for row in range(height)]
    ways = builder.switch(begin, zeros)
    ways.add_case(ir.Constant(INT, ADD), there)
    ways.add_case(ir.Constant(INT, BIAS), biased)
    builder.position_at_end(zeros)
    builder.branch(start)
    builder.position_at_end(there)
    old = {(row, v): words.load(c, c_rows[row], v, masks[v]) for row, v in table}
    builder.branch(start)
    builder.position_at_end(biased)
    biases = [words.load(bias, bias0, v, masks[v]) for v in range(width)]
    builder.branch(start)

    builder.position_at_end(start)
    sums = sums_of((zeros, dict.fromkeys(table, words.zero)), (there, old),
                     (biased, {(row, v): biases[v] for row, v in table}))
    for row, v in table:  # the sums will be written there: time enough to bring these lines near
        words.expect(c, c_rows[row], v)
    b_end = builder.add(b0, builder.mul(count, b_step))
    builder.branch(over_steps)

    builder.position_at_end(over_steps)  # here the time goes
    step, b_at = builder.phi(INT), builder.phi(INT)
    step.add_incoming(zero, start)
    b_at.add_incoming(b0, start)
    grown = sums_of((start, sums))
    a_step = builder.load(builder.gep(steps, [builder.add(step0, step)]))
    if counts is not None and not MASKS_APART:  # a mask that is kept would be unpacked each time, which takes longer
        masks[-1] = words.below(words.anew(counts))
    b_vectors = [words.load(b, b_at, v, masks[v]) for v in range(width)]
    more = {}
    for row in range(height):
        number_of_a = words.repeated(builder.load(builder.gep(a, [builder.add(a_rows[row], a_step)])))
        for v in range(width):
            more[row, v] = words.done(words.multiply_add(number_of_a, b_vectors[v], grown[row, v]))
    for at in table:
        grown[at].add_incoming(more[at], over_steps)
    step.add_incoming(builder.add(step, one), over_steps)
    b_next = builder.add(b_at, b_step)
    b_at.add_incoming(b_next, over_steps)
    # The end is told by the place in b, from which LLVM cannot see how many steps there are: else it would do two at a
    # time, and the sums of two have no room in the registers.
    builder.cbranch(builder.icmp_signed("!=", b_next, b_end), over_steps, finish)

    builder.position_at_end(finish)
    bent = builder.icmp_signed("!=", relu, zero)
    result = {at: builder.select(bent, words.relu(more[at]), more[at]) for at in table}
    for v in range(width):
        words.store_first(last if v == width - 1 else None, [(result[row, v], c, c_rows[row], v)
                                                             for row in range(height)])
    number.add_incoming(builder.add(number, one), builder.block)
    builder.cbranch(builder.icmp_signed("<", builder.add(number, one), tiles), tile_begin, after)
    builder.position_at_end(after)


class Tile:
    """The name under which the tile is noted by code that calls it."""

    provide = staticmethod(provide)


@intrinsic
def tile(typing: Any, height: Any, width: Any, last: Any, a: Any, a0: Any, rows: Any, row0: Any, steps: Any, step0: Any,
         count: Any, b: Any, b0: Any, b_step: Any, c: Any, c0: Any, c_row: Any, tiles: Any, begin: Any, bias: Any,
         bias0: Any, relu: Any) -> Any:
    """For each row r from 0 up to tiles · height, and each column j of the tile:

        c[c0 + r·c_row + j]  =  begin  +  Σ over k from 0 up to count of
            a[a0 + rows[row0 + r] + steps[step0 + k]]  ·  b[b0 + k·b_step + j]

    height, width: the tile's shape, one of SHAPES, in rows and in vectors; `last`: how many numbers of the last vector
    count. begin: FRESH (zeros), ADD (what is in c) or BIAS (bias[bias0 + j]). relu: whether what is below 0 becomes 0.
    All arrays are flat; nothing but the elements named here is touched. count, tiles and b_step are at
    least 1.
    """
    given = dict(zip(ORDER, (height, width, last, a, a0, rows, row0, steps, step0, count, b, b0, b_step, c, c0, c_row,
                             tiles, begin, bias, bias0, relu), strict=True))
    signature = types.void(*[given[name] if name in POINTERS else types.int64 for name in ORDER])
    bits = a.dtype.bitwidth

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        provide(bits)
        note_need(context, Tile, bits)
        known = builder.module.globals.get(symbol(bits))
        function = known or ir.Function(builder.module, function_type(bits), symbol(bits))
        builder.call(function, [
            context.make_array(kind)(context, builder, value).data if name in POINTERS else value
            for name, kind, value in zip(ORDER, signature.args, arguments, strict=True)])
        return context.get_dummy_value()

    return signature, generate
