"""A C file, compiled and called from Python."""

import ctypes
import secrets
import shutil
import subprocess

import numpy as np
import pytest

from byhand.files import c

GCC = shutil.which("gcc")
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wmissing-prototypes"]

needs_gcc = pytest.mark.skipif(GCC is None, reason="there is no gcc")


def gcc(*words, compiler=GCC):
    done = subprocess.run([compiler, *map(str, words)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


class Compiled:
    """The functions of an exported file, on arrays."""

    def __init__(self, path, outputs):
        library = path.with_name(f"{secrets.token_hex(4)}.so")  # one that was loaded is not read again
        gcc(*STRICT, "-O1", "-shared", "-fPIC", path, "-o", library, "-lm")
        self.library, self.outputs = ctypes.CDLL(str(library.resolve())), outputs

    def __call__(self, samples, function="predict"):
        """The outputs for each sample, one after another."""
        kind = np.uint8 if function == "predict_bytes" else np.float32
        found = np.full((len(samples), *self.outputs), np.nan, np.float32)
        for sample, answer in zip(np.ascontiguousarray(samples, kind), found, strict=True):
            getattr(self.library, function)(address(sample), address(answer))
        return found

    def classify(self, samples):
        return [self.library.byhand_classify(address(np.ascontiguousarray(sample))) for sample in samples]

    def classes(self, count):
        return [name.decode() for name in (ctypes.c_char_p * count).in_dll(self.library, "byhand_classes")]


def address(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def written(tmp_path, saved, **options):
    c.save(saved, tmp_path / "network.c", **options)
    return (tmp_path / "network.c").read_text(encoding="ascii")


def close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
