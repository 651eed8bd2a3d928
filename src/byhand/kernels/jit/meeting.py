"""How threads in compiled code wait for each other: a meeting, at which nobody goes on before all have come.

Waking a sleeping thread takes longer than a small layer takes to compute, so those who wait look again and again, and
after a while let others use the processor in between. The counter is changed by instructions that no other thread can
interrupt.
"""

import sys
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from byhand.kernels.jit.cache import kernel

PATIENCE = 4000  # looks before the processor is offered to somebody else
YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
INT = ir.IntType(64)


@intrinsic
def count_up(typing: Any, counter: Any, place: Any) -> Any:
    """Add 1 to counter[place], as one instruction, and return what was there before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [arguments[1]]), ir.Constant(INT, 1), "seq_cst")

    return types.int64(counter, types.int64), generate


@intrinsic
def look(typing: Any, counter: Any, place: Any) -> Any:
    """counter[place] as it is now, in memory that others write."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "seq_cst", 8)

    return types.int64(counter, types.int64), generate


@intrinsic
def let_others_run(typing: Any) -> Any:
    """Offer the processor to another thread."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        name = builder.module.globals.get(YIELD) or ir.Function(
            builder.module, ir.FunctionType(ir.IntType(32), []), YIELD)
        builder.call(name, [])
        return context.get_dummy_value()

    return types.void(), generate


@kernel
def meet(counter, threads):
    """Return when all threads have called this. counter: an array of one int64, 0 at first, for the same threads."""
    if threads == 1:
        return
    before = count_up(counter, 0)
    full = (before // threads + 1) * threads  # what it says when everybody has come to this meeting
    looks = 0
    while look(counter, 0) < full:
        looks += 1
        if looks > PATIENCE:
            let_others_run()
