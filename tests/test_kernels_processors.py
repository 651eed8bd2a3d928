"""The same kernels on lesser processors: with vectors of 16 and 32 bytes, and without fused multiply-add."""

import platform
from pathlib import Path

import pytest
from kernel_memory import beside

pytest.importorskip("numba")

from llvmlite.binding import get_host_cpu_features

HERE = Path(__file__).parent
FILES = [str(HERE / f"test_kernels_{name}.py") for name in ("tile", "convolution", "fused", "dense")]
LESSER = {"": (16, 16), "+avx2,+fma,+avx,+sse4.2": (32, 16)}  # features -> bytes in a vector, registers for vectors


@pytest.mark.slow
@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="these are x86 processors")
@pytest.mark.parametrize("features", LESSER)
def test_kernels_for_a_lesser_processor(features):
    lacking = [name for name in features.replace("+", "").split(",") if name and not get_host_cpu_features()[name]]
    if lacking:
        pytest.skip(f"this processor has no {', '.join(lacking)}")
    processor = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": features}
    host = beside("from byhand.kernels.jit.vectors import REGISTERS, VECTOR; print((VECTOR, REGISTERS))", **processor)
    assert host.stdout.strip() == str(LESSER[features]), host.stderr
    options = [*FILES, "-q", "-k", "not program", "-n", "0", "-p", "no:cacheprovider"]
    tests = beside(f"import pytest, sys; sys.exit(pytest.main({options!r}))", **processor)
    assert tests.returncode == 0 and " passed" in tests.stdout, tests.stdout[-5000:] + tests.stderr[-5000:]
