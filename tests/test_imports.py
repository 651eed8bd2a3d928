"""Imports go downward only, nothing heavy comes along, and everything public says what it is."""

import ast
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import byhand

PACKAGE = Path(byhand.__file__).parent
ROOMS = [  # from the ground floor up: a room may import those above it in this list
    "autodiff", "atomic", "terminal", "charts", "scalar", "kernels", "ops", "tensor", "nn", "testing", "losses",
    "optim", "schedules", "pictures", "data", "compiled", "metrics", "sketch", "plots", "inference", "files", "history",
    "callbacks", "teaching", "train", "lr_range", "estimator", "doctor", "report", "recipes", "progress", "assess",
    "reader", "look", "bench", "cli", "__main__",
]
KERNELS = ["reference", "threads", "compiling", "choice", "jit"]  # and the rooms within that one, in the same order
ONLY = {"autodiff": set(), "atomic": set(), "terminal": set(), "charts": set(), "scalar": {"autodiff"},
        "kernels": {"atomic"}, "pictures": {"atomic"}, "data": {"atomic", "autodiff", "kernels", "pictures"}}
FRONT_DOOR = "byhand"  # the package itself leads everywhere; only the top floors may go through it
SOURCES = sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    """The room that a file belongs to; None for the front door."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return None if first == "__init__" else first


def imported_modules(path):
    """The modules that a file imports, each with its line: also within functions, and in whatever form."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno} imports relatively; say byhand.…, to be found"
            modules = [node.module]
            if node.module == FRONT_DOOR:  # what stands behind the names it offers
                modules = [f"byhand.{byhand._NAMES.get(alias.name, alias.name)}" for alias in node.names]
            elif node.module == f"{FRONT_DOOR}.kernels":
                modules = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((module, node.lineno) for module in modules)


def imported_rooms(path):
    """The rooms that a file imports, each with its line."""
    for module, line in imported_modules(path):
        if module == FRONT_DOOR:
            yield FRONT_DOOR, line
        elif module.startswith(f"{FRONT_DOOR}.") and not module.startswith(f"{FRONT_DOOR}.__"):
            yield module.split(".")[1], line


def test_every_room_has_its_place():
    assert {room_of(path) for path in SOURCES} - {None} <= set(ROOMS)


def test_the_rooms_stand_in_this_order_in_the_design_too():
    page = (Path(__file__).parent.parent / "docs" / "design.md").read_text(encoding="utf-8")
    table = page[page.index("## The rooms"):page.index("## The decisions")]
    rows = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", table, re.MULTILINE)
    assert rows == [room for room in ROOMS if room != "__main__"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_downward(path):
    room = room_of(path)
    if room is None:
        return
    floor = ROOMS.index(room)
    for other, line in imported_rooms(path):
        if other == room:
            continue
        if other == FRONT_DOOR:
            assert floor >= ROOMS.index("recipes"), f"line {line}: {room} imports the whole of byhand"
        else:
            assert ROOMS.index(other) < floor, f"line {line}: {room} imports {other}, which lies above it"
            assert other in ONLY.get(room, ROOMS), f"line {line}: {room} has no business in {other}"


@pytest.mark.parametrize("path", [path for path in SOURCES if room_of(path) == "kernels"],
                         ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_within_the_kernels_too(path):
    inside = path.relative_to(PACKAGE / "kernels").parts[0].removesuffix(".py")
    if inside == "__init__":  # the door of the room
        return
    for module, line in imported_modules(path):
        if module.startswith("byhand.kernels."):
            other = module.split(".")[2]
            assert KERNELS.index(other) <= KERNELS.index(inside), f"line {line}: {inside} imports {other}"


def test_numba_is_needed_in_one_room():
    for path in SOURCES:
        for module, line in imported_modules(path):
            there = path.relative_to(PACKAGE).as_posix()
            if module.split(".")[0] in ("numba", "llvmlite"):
                assert there.startswith("kernels/jit/"), f"{there}, line {line} imports {module}"
            if module.startswith("byhand.kernels.jit"):
                assert there.startswith(("kernels/jit/", "compiled/")) or there == "cli/warmup.py", f"{there}, {line}"


def test_onnx_is_needed_in_one_room():
    for path in SOURCES:
        there = path.relative_to(PACKAGE).as_posix()
        for module, line in imported_modules(path):
            if module.split(".")[0] in ("onnx", "google"):
                assert there in ("files/onnx/library.py", "bench/with_onnxruntime.py"), f"{there}, line {line}"


def test_an_upward_import_would_be_seen(tmp_path):
    file = tmp_path / "ops.py"
    file.write_text("from byhand import kernels, Tensor\n\n\ndef f():\n    from byhand.nn.layers import Linear\n"
                    "    import byhand.data.idx, byhand\n")
    assert list(imported_rooms(file)) == [("kernels", 1), ("tensor", 1), ("nn", 5), ("data", 6), ("byhand", 6)]


# --- what comes along -------------------------------------------------------------------------------------------------


def in_a_fresh_interpreter(source, **variables):
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False,
                          env=os.environ | variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_scalar_engine_needs_no_numpy():
    assert in_a_fresh_interpreter("import byhand.scalar, sys; print('numpy' in sys.modules)") == ["False"]


COMMON = ("import byhand as bh; "
          "bh.Tensor, bh.nn, bh.ops, bh.losses, bh.optim, bh.schedules, bh.check_grad, bh.data, bh.fit")


def test_training_a_network_imports_nothing_heavy():
    heavy = {"numba", "matplotlib", "sklearn", "PIL", "onnx", "torch", "pandas", "scipy", "rich", "click"}
    assert not heavy & set(in_a_fresh_interpreter(f"{COMMON}; import sys; print(*sys.modules)"))


def test_showing_progress_needs_no_recipes():
    source = "import byhand as bh, sys; bh.progress.ProgressBar; print('byhand.recipes' in sys.modules)"
    assert in_a_fresh_interpreter(source) == ["False"]


def seconds_to_import(source, cache):
    """Least of three times, so that Python has written its bytecode, as it does for users (here, only if it is let)."""
    source = f"import numpy, time; start = time.process_time(); {source}; print(time.process_time() - start)"
    bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(cache)}
    return min(float(in_a_fresh_interpreter(source, **bytecode)[0]) for _ in range(3))


def test_importing_takes_little_more_than_numpy(tmp_path):
    assert seconds_to_import(COMMON, tmp_path) < 0.15
    assert seconds_to_import("import byhand", tmp_path) < 0.02


def test_everything_promised_hangs_on_the_front_door():
    pytest.importorskip("sklearn")
    for name in byhand.__all__:
        assert getattr(byhand, name) is not None
    assert set(byhand.__all__) <= set(dir(byhand))
    with pytest.raises(AttributeError, match="module 'byhand' has no attribute 'tensors'"):
        byhand.tensors  # noqa: B018


# --- what it says about itself ----------------------------------------------------------------------------------------

MODULES = [name for _, name, _ in pkgutil.walk_packages(byhand.__path__, "byhand.") if not name.endswith("__main__")]


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_says_what_it_is(name):
    if name.startswith(("byhand.kernels.jit", "byhand.compiled")):
        pytest.importorskip("numba")
    if name.startswith("byhand.files.onnx"):
        pytest.importorskip("onnx")
    if name.startswith("byhand.estimator"):
        pytest.importorskip("sklearn")
    module = importlib.import_module(name)
    assert inspect.getdoc(module)
    silent = []
    for public, thing in vars(module).items():
        if public.startswith("_") or getattr(thing, "__module__", None) != name:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            if not thing.__doc__:
                silent.append(public)
            methods = vars(thing).items() if inspect.isclass(thing) else ()
            silent += [f"{public}.{method}" for method, value in methods
                       if not method.startswith("_") and inspect.isfunction(value)
                       and not inspect.getdoc(getattr(thing, method))]  # what an ancestor has said will do
    assert not silent
