"""Which body of a kernel runs: `reference`, the readable one in NumPy, or `jit`, the compiled one.

The compiled ones are taken where Numba is installed (the extra `fast`) and not turned off by its own variable
NUMBA_DISABLE_JIT. `with kernels.using("numpy"):`, the option `--kernels numpy` and the environment variable
BYHAND_KERNELS say otherwise.
"""

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeVar, cast

from byhand.kernels import reference

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
CHOICES = ("numpy", "jit")
_chosen: ContextVar[str] = ContextVar("chosen", default="")


@cache
def numba_installed() -> bool:
    """Whether Numba can be imported here; looked up once."""
    return find_spec("numba") is not None


@cache
def can_compile() -> bool:
    """Whether Numba is here and compiles, which NUMBA_DISABLE_JIT=1 forbids; looked up once."""
    try:
        forbidden = int(os.environ.get("NUMBA_DISABLE_JIT", "0"))  # as Numba reads it
    except ValueError:
        forbidden = 0
    return numba_installed() and not forbidden


@cache
def compiled() -> ModuleType | None:
    """The room of compiled kernels, or None where there can be none."""
    return importlib.import_module("byhand.kernels.jit") if can_compile() else None


def check(choice: str) -> str:
    """The choice itself, if it can be had. Raises ValueError if it is unknown, or Numba is missing or turned off."""
    if choice not in CHOICES:
        raise ValueError(f"there are no kernels {choice!r}; choose numpy or jit.")
    if choice == "jit" and not numba_installed():
        raise ValueError("the jit kernels need Numba, which is not installed: pip install 'byhand[fast]', or choose "
                         "numpy.")
    if choice == "jit" and not can_compile():
        raise ValueError("the jit kernels need Numba, which NUMBA_DISABLE_JIT turns off: unset that variable, or "
                         "choose numpy.")
    return choice


def asked() -> str:
    """Which kernels somebody has asked for, by `using` or BYHAND_KERNELS; "" if nobody has."""
    return _chosen.get() or os.environ.get("BYHAND_KERNELS", "").strip()


def in_use() -> str:
    """"jit" or "numpy": which kernels run here, in this thread. Raises ValueError if BYHAND_KERNELS asks for what there
    is not."""
    choice = asked()
    if not choice:
        return "jit" if can_compile() else "numpy"
    try:
        return check(choice)
    except ValueError as error:  # what `using` chose has been checked
        raise ValueError(f"BYHAND_KERNELS is '{choice}': {error}") from None


@contextmanager
def using(choice: str) -> Iterator[None]:
    """Within this context (of this thread only) these kernels run, "numpy" or "jit". Raises ValueError as `check`."""
    token = _chosen.set(check(choice))
    try:
        yield
    finally:
        _chosen.reset(token)


def either(kernel: Kernel) -> Kernel:
    """A kernel that runs the compiled twin of this NumPy one, where those are in use."""

    @wraps(kernel)
    def call(*arguments: Any, **options: Any) -> Any:
        room = compiled() if in_use() == "jit" else None
        return getattr(room, kernel.__name__, kernel)(*arguments, **options)

    return cast(Kernel, call)


__all__ = ["CHOICES", "check", "compiled", "either", "in_use", "reference", "using"]
