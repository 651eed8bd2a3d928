"""Kernels in processes of their own, which share nothing but a folder of machine code.

The kernels of these tests are tiny, so that compiling them takes a moment only. They stand in a module beside the test.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import byhand as bh

PACKAGE = Path(bh.__file__).parent
MODULE = """
from byhand.kernels.jit.cache import kernel


@kernel
def double(x):
    for i in range(x.size):
        x[i] *= 2


@kernel
def quadruple(x):
    double(x)
    double(x)
"""

BEGIN = """
import json, os, sys, threading
import numpy as np
from byhand import kernels
from byhand.kernels.compiling import Watcher, watched_by, watcher

def numbers(dtype="float32"):
    return np.arange(5, dtype=dtype)

def tell(*result):
    seen = watcher()
    print(json.dumps({"compiled": seen.compiled, "found": seen.found, "result": result}), flush=True)

kernels.compiled()
from some_kernels import *
"""
USE = BEGIN + """
x, y = numbers(), numbers()
quadruple(y)
double(x)
tell(x.tolist(), y.tolist())
"""
USED = [[0, 2, 4, 6, 8], [0, 4, 8, 12, 16]]


class Processes:
    """Programs that have `some_kernels`, and keep what is compiled in one folder."""

    def __init__(self, home, module=MODULE, package=PACKAGE):
        self.home, self.kept, self.package = home, home / "kept", package
        (home / "some_kernels.py").write_text(module)

    def begin(self, program=USE, **settings):
        """A process with this program."""
        path = os.pathsep.join([str(self.package.parent), str(self.home)])
        environment = os.environ | {"BYHAND_CACHE": str(self.kept), "PYTHONPATH": path, "BYHAND_NUM_THREADS": "1",
                                    "PYTHONDONTWRITEBYTECODE": "1"} | settings
        return subprocess.Popen([sys.executable, "-c", program], env=environment, text=True, cwd=self.home,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, program=USE, **settings):
        """What a process with this program tells, and what it says on standard error."""
        return told(self.begin(program, **settings))

    def files(self):
        """The files of machine code, and whatever else lies there."""
        return sorted(path for path in self.kept.rglob("*") if path.is_file())


def told(process):
    """What a process tells in the end, and what it says on standard error."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1]), err


def whole(path):
    """Whether a file is as it was written."""
    content = path.read_bytes()
    return len(content) > 1000 and hashlib.sha256(content[32:]).digest() == content[:32]
