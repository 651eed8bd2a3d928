"""What it ran on: a figure of speed means nothing without the machine and the versions."""

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from byhand import kernels

PACKAGES = ("byhand", "numpy", "numba", "torch", "jax", "scikit-learn", "onnxruntime")
SLOWER = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""By these the library that multiplies matrices can be told to work as on another processor."""
BUSY = 0.5
"""So many programs at work on average, before this one begins, disturb it."""


def machine() -> dict[str, Any]:
    """The processor, its cores, what multiplies matrices, and the system."""
    return {"processor": processor(), "cores": cores(), "blas": kernels.blas(), "system": platform.platform(terse=True),
            "python": platform.python_version()}


def processor() -> str:
    """Its name, as it tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    with suppress(OSError):
        told = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
        if told.stdout.strip():
            return told.stdout.strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str | None]:
    """Of byhand, of what it stands on, and of its peers; None for what is not installed."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def obstacles() -> list[str]:
    """What may make everything slower here than it could be, as sentences."""
    found = []
    told = [f"{name}={os.environ[name]}" for name in SLOWER if os.environ.get(name)]
    if told:
        unset = " ".join(f"-u {name}" for name in SLOWER)
        found.append(f"{' and '.join(told)} may make matrix products slower than this machine can; without: "
                     f"env {unset} byhand bench")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > BUSY:
        found.append(f"This machine is busy (a load of {load:.1f} in the last minute), and the figures will be rough.")
    return found
