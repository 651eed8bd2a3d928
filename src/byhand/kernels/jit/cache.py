"""Machine code is kept: a kernel is compiled once for this machine, which takes seconds, and comes from a file ever
after, which takes milliseconds.

What is kept must never be stale, or somebody would look for a mistake in code that no longer exists. A kernel's code
depends on more than the kernel: it contains the kernels that it calls, from whatever file they come. So all of it lies
in a folder whose name is a hash of everything that it depends on:

- the sources of all kernels together,
- the versions of byhand, Numba, llvmlite, LLVM, NumPy and Python,
- the processor's name and features, as Numba uses them,
- Numba's settings that change what it makes.

When one of them changes, the name does, and what lies under the old one is not even looked at. (Numba's own cache looks
at one thing only, the file that a function stands in.)

In the folder there is a file for each kernel and each combination of types that it was called with. A file is written
whole or not at all, and begins with its SHA-256: a damaged one counts as missing, and is written again. So any number
of processes may compile at once. At worst they do the same work twice; nobody waits, and nobody reads half a file.

The folder is the user's cache folder, or what BYHAND_CACHE names. Machine code is run as it comes: it should be a
folder in which only those can write whom you trust.
"""

import hashlib
import inspect
import os
import pickle
import re
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
import platformdirs
from llvmlite import binding
from numba.core import cgutils, config, event, registry
from numba.core.caching import NullCache
from numba.core.codegen import get_host_cpu_features
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.serialize import dumps
from numba.core.types import Any as Any_
from numba.core.types import VarArg, unliteral
from numba.extending import lower_builtin, type_callable

from byhand import __version__
from byhand.atomic import write_atomically
from byhand.kernels.compiling import watcher

KERNELS = Path(__file__).parents[1]
SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "USING_SVML",
            "LLVM_REFPRUNE_PASS", "LLVM_REFPRUNE_FLAGS", "EXTEND_VARIABLE_LIFETIMES")
MOST_FOLDERS, MOST_DAYS = 8, 30
HASH = 32  # characters of it in a name


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of numbers and arrays, compiled when it is first called with arguments of these types. It lets go of
    Python's global lock, and divides by zero as NumPy does. Kernels may call each other."""
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    compiled._cache = Kept(function)
    return compiled


def unit(function: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that is compiled by itself, and that other kernels call by its name. A plain kernel becomes a part of
    each that calls it, which is right for a few lines in a loop; for long ones it would mean to compile them again and
    again."""
    compiled = kernel(function)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        return compiled(*arguments)

    @type_callable(call)
    def typer(context: Any) -> Callable[..., Any]:
        def signature(*arguments: Any) -> Any:
            plain = tuple(map(unliteral, arguments))
            return code_of(compiled, plain).signature

        vars(signature)["pysig"] = inspect.signature(function)
        return signature

    @lower_builtin(call, VarArg(Any_))
    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = code_of(compiled, signature.args)
        note_need(context, call, signature.args)
        kind = context.call_conv.get_function_type(code.signature.return_type, code.signature.args)
        callee = cgutils.get_or_insert_function(builder.module, kind, known_as(call, code))
        status, result = context.call_conv.call_function(builder, callee, code.signature.return_type,
                                                         code.signature.args, arguments)
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return result

    vars(call)["provide"] = lambda arguments: known_as(call, code_of(compiled, arguments))
    return call


NEEDS = "_byhand_needs"
"""What a library of code calls by name: an attribute of it."""


def note_need(context: Any, provider: Any, what: Any) -> None:
    """The code that is being made calls something by its name. provider.provide(what) makes the name known, which must
    have happened before this code is loaded again."""
    needs = vars(context.active_code_library).setdefault(NEEDS, {})
    needs[provider.__module__, provider.__qualname__, what] = None


def code_of(compiled: Any, types: Any) -> CompileResult:
    """A kernel's code for arguments of these types, compiled or loaded if need be."""
    if types not in compiled.overloads:
        compiled.compile(types)
    return compiled.overloads[types]


def known_as(call: Any, code: CompileResult) -> str:
    """Make a unit known for these types under a name that is the same in every process, and return the name."""
    text = f"{call.__module__} {call.__qualname__} {code.signature}"
    name = f"byhand_{call.__name__}_{hashlib.sha256(text.encode()).hexdigest()[:HASH]}"
    binding.add_symbol(name, code.library.get_pointer_to_function(code.fndesc.mangled_name))
    return name


def needs_of(library: Any) -> dict[Any, None]:
    """What a library calls by name, and the libraries that it consists of."""
    found = dict(vars(library).get(NEEDS, {}))
    for part in library._linking_libraries:
        found |= needs_of(part)
    return found


# --- the folder -------------------------------------------------------------------------------------------------------


def digest(folder: Path) -> str:
    """The SHA-256 of all sources in a folder, with their names."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        found.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()


def surroundings() -> list[str]:
    """What machine code depends on, besides its sources."""
    features = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return [__version__, numba.__version__, llvmlite.__version__, str(binding.llvm_version_info), np.__version__,
            sys.version, binding.get_process_triple(), config.CPU_NAME or binding.get_host_cpu_name(), features,
            *(f"{name}={getattr(config, name, None)}" for name in SETTINGS)]


def stamp(sources: str) -> str:
    """The name of the folder for these sources, here."""
    return hashlib.sha256("\n".join([sources, *surroundings()]).encode()).hexdigest()[:HASH]


SOURCES = digest(KERNELS)  # as they are now, when they are being imported


@cache
def folder() -> Path:
    """Where this process finds and leaves machine code."""
    given = os.environ.get("BYHAND_CACHE", "").strip()
    root = Path(os.path.expanduser(given) if given else os.path.join(platformdirs.user_cache_dir("byhand"), "kernels"))
    return root.absolute() / stamp(SOURCES)


@cache
def trusted() -> bool:
    """Whether what was imported is what the sources say; asked once, when the first kernel is needed. It is not, if
    somebody has changed them in between."""
    with suppress(OSError):
        os.utime(folder())  # in use: what is not will go first
    return digest(KERNELS) == SOURCES


def tidy(root: Path) -> None:
    """Remove the folders that nobody has used for long. Whoever still does has loaded what he needs, or compiles it
    again."""
    with suppress(OSError):  # somebody else tidies up too
        found = [path for path in root.iterdir() if re.fullmatch(f"[0-9a-f]{{{HASH}}}", path.name)]
        used = {path: path.stat().st_mtime for path in found}
        for number, path in enumerate(sorted(found, key=lambda path: -used[path])):
            if number >= MOST_FOLDERS or used[path] < time.time() - MOST_DAYS * 86400:
                shutil.rmtree(path, ignore_errors=True)


# --- the files --------------------------------------------------------------------------------------------------------


class Kept(NullCache):
    """One kernel's machine code in files, a file for each combination of types: what Numba asks a cache for."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.name = function, function.__qualname__
        source = Path(function.__code__.co_filename).read_bytes()  # a kernel in a test stands in no room
        self.identity = f"{function.__module__}.{self.name} {hashlib.sha256(source).hexdigest()}"

    @property
    def cache_path(self) -> str:
        """What Numba shows to those who ask a kernel for its statistics."""
        return str(folder())

    def file(self, types: Any) -> Path:
        """Where its code for arguments of these types lies. What a function got from the one that it stands in is a
        part of its code, as much as what it says itself."""
        inherited = [cell.cell_contents for cell in self.function.__closure__ or ()]
        key = f"{self.identity} {inherited!r} {types!r}"
        if " at 0x" in key:
            raise TypeError(f"the kernel {self.name} is made of, or called with, something that is known by its "
                            f"address, which says nothing in another process: {inherited!r} {types!r}")
        name = re.sub(r"[^\w.]", "", self.name)[-80:]
        return folder() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:HASH]}.bin"

    def load_overload(self, types: Any, context: Any) -> CompileResult | None:
        """The code for these types, or None if it has to be compiled."""
        context.refresh()  # so that it knows everything that the code may be linked with
        content = read(self.file(types)) if trusted() else None
        if content is None:
            return None
        needs, reduced = pickle.loads(content)
        for module, name, what in needs:
            getattr(import_module(module), name).provide(what)
        code = CompileResult._rebuild(context, *reduced)
        vars(code.library)[NEEDS] = dict.fromkeys(needs)  # and so will the kernels that it becomes a part of
        watcher().finds(self.name)
        return code

    def save_overload(self, types: Any, code: CompileResult) -> None:
        """Keep the code for these types, if there is a place for it. Nothing is raised here: the code is good, and
        another thread may be running it already, and wait for this one to join in."""
        if code.library.has_dynamic_globals:
            watcher().loses(self.name, f"the kernel {self.name} has the address of something in it.")
            return
        keep(self.file(types), self.name, lambda: dumps((list(needs_of(code.library)), code._reduce())))


def keep(path: Path, name: str, code: Callable[[], bytes]) -> None:
    """Write machine code to its file, if it is of these sources and there is a place for it."""
    if digest(KERNELS) != SOURCES:  # it is of sources that are no more
        return
    content = code()
    try:
        new = not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(content).digest(), content)
        if new:
            tidy(path.parents[1])
    except OSError as error:
        if read(path) is None:  # else somebody else has just written it, and some systems let only one do so
            reason = f"cannot use {error.filename}: {error.strerror}." if error.filename else str(error)
            watcher().loses(name, f"{reason} Set BYHAND_CACHE to a folder that can be written to.")


def try_to_keep() -> None:
    """Have the watcher told now, and not after all the work, where nothing can be kept."""
    probe = folder() / "probe.bin"
    keep(probe, "probe", lambda: b"")
    with suppress(OSError):
        probe.unlink()


def read(path: Path) -> bytes | None:
    """The content of a file of ours, or None if there is none, or it is damaged."""
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    return whole[size:] if hashlib.sha256(whole[size:]).digest() == whole[:size] else None


# --- what kernels call by name ----------------------------------------------------------------------------------------

def kept_library(name: str, module: Callable[[], Any]) -> Any:
    """Machine code that does not come from Python: from its file, or compiled from this LLVM module."""
    codegen = registry.cpu_target.target_context.codegen()
    path = folder() / f"{name}.bin"
    content = read(path) if trusted() else None
    if content is not None:
        return codegen.unserialize_library(pickle.loads(content))
    library = codegen.create_library(name)
    library.enable_object_caching()
    watcher().begins(name)
    library.add_ir_module(module())
    library.finalize()
    watcher().ends(name)
    keep(path, name, lambda: dumps(library.serialize_using_object_code()))
    return library


# --- what happens meanwhile -------------------------------------------------------------------------------------------


class Compilations(event.Listener):
    """Numba tells when it compiles, whatever it compiles; of kernels, the watcher is told."""

    def on_start(self, event: Any) -> None:
        """It begins."""
        if isinstance(kept := getattr(event.data["dispatcher"], "_cache", None), Kept):
            watcher().begins(kept.name)

    def on_end(self, event: Any) -> None:
        """It is done, or failed."""
        if isinstance(kept := getattr(event.data["dispatcher"], "_cache", None), Kept):
            watcher().ends(kept.name)


event.register("numba:compile", Compilations())

if hasattr(os, "register_at_fork"):
    # Whoever forks while another thread compiles would leave the child with a lock that nobody will ever open. So
    # forking waits until nothing is being compiled.
    os.register_at_fork(before=global_compiler_lock.acquire, after_in_parent=global_compiler_lock.release,
                        after_in_child=global_compiler_lock.release)
