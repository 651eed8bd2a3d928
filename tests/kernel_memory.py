"""Memory with edges, which tell on a kernel that goes over them.

Compiled code does not check where it reads and writes. So around what it is given there is nothing but NaN, which would
show in its results, and which must still be there afterwards to the last bit (`Canaries`). That cannot tell of a number
that is read and not used, or of one that lies further off. So there are real edges as well (`GuardPages`): pages that
may not be touched, right after the last number or right before the first. The system ends whoever touches one, which is
why programs with such pages run in a process of their own (`on_the_edge`).
"""

import ctypes
import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import byhand as bh

MARGIN = 2048  # bytes on either side: more than any vector, row of channels or strip that these tests go through
NOT_ACCESSIBLE = 0  # PROT_NONE, which Python has no name for
SIDES = ("after", "before")


class Canaries:
    """Hands out memory with canaries around it."""

    def __init__(self):
        self.around = []

    def place(self, values):
        """The same numbers in memory of ours."""
        values = np.ascontiguousarray(values)
        return self.put(values, np.empty(values.nbytes + 2 * MARGIN, np.uint8), MARGIN)

    def put(self, values, room, start):
        """The numbers in these bytes, from `start` on, and canaries in the others."""
        canary = 0xFF if values.dtype.kind == "f" else 0x77  # a float whose bits are all 1 is NaN
        room[:] = canary
        inside = room[start:start + values.nbytes].view(values.dtype).reshape(values.shape)
        inside[...] = values
        self.around += [(room[:start], canary), (room[start + values.nbytes:], canary)]
        return inside

    def untouched(self):
        """Whether all canaries are still there."""
        return all((there == canary).all() for there, canary in self.around)


class GuardPages(Canaries):
    """Hands out memory with a page "after" or "before" it that may not be touched, and canaries on the other side."""

    def __init__(self, side):
        super().__init__()
        self.side = side

    def place(self, values):
        values = np.ascontiguousarray(values)
        page = mmap.PAGESIZE
        size = -(-max(1, values.nbytes) // page) * page
        everything = np.frombuffer(mmap.mmap(-1, size + 2 * page), np.uint8)
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        for start in (0, page + size):
            if protect(ctypes.c_void_p(everything.ctypes.data + start), ctypes.c_size_t(page), NOT_ACCESSIBLE):
                raise OSError(ctypes.get_errno(), "no page can be protected")
        return self.put(values, everything[page:page + size], size - values.nbytes if self.side == "after" else 0)


def all_placed(value, place):
    """A named tuple whose arrays are placed in other memory."""
    return value._replace(**{name: place(field) for name, field in value._asdict().items()
                             if isinstance(field, np.ndarray)})


def on_the_edge(use, side):
    """Call a test module's function in a process of its own, in which it is to do all it can between guard pages on
    this side. It prints what it is about to do."""
    process = beside(f"import {use.__module__} as tests; tests.{use.__name__}({side!r})")
    assert process.returncode == 0, f"ended by {process.returncode} in the last of:\n{process.stdout}{process.stderr}"
    assert process.stdout


def beside(program, **settings):
    """What becomes of a program in a process of its own, which can import test modules."""
    path = os.pathsep.join([str(Path(bh.__file__).parents[1]), str(Path(__file__).parent)])
    return subprocess.run([sys.executable, "-X", "faulthandler", "-c", program], text=True, capture_output=True,
                          timeout=600, env=os.environ | {"PYTHONPATH": path, "PYTHONUTF8": "1"} | settings)


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="guard pages are set up in Linux's way")
