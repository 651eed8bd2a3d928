"""Machine code that is kept: never stale, never half a file, and never in the way."""

import os
import shutil
import time

import pytest
from kernel_processes import BEGIN, PACKAGE, USE, USED, Processes, whole

pytest.importorskip("numba")
cache = pytest.importorskip("byhand.kernels.jit.cache")

# --- never stale ------------------------------------------------------------------------------------------------------


def test_any_change_of_any_kernel_is_another_folder(tmp_path):
    copy = tmp_path / "kernels"
    shutil.copytree(cache.KERNELS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = cache.digest(copy)
    sources = sorted(copy.rglob("*.py"))
    assert {"tile.py", "threads.py", "cache.py", "__init__.py"} <= {path.name for path in sources}
    seen = {before}
    for path in sources:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if content else b"#")
        seen.add(cache.digest(copy))
        path.write_bytes(content)
        path.rename(path.with_name("renamed.py"))
        seen.add(cache.digest(copy))
        path.with_name("renamed.py").rename(path)
    assert len(seen) == 1 + 2 * len(sources) and cache.digest(copy) == before
    (copy / "new.py").touch()
    assert cache.digest(copy) not in seen


@pytest.mark.parametrize(("place", "value"), [
    ("byhand.kernels.jit.cache.__version__", "9.9"), ("numba.__version__", "9.9"), ("llvmlite.__version__", "9.9"),
    ("llvmlite.binding.llvm_version_info", (9, 9)), ("numpy.__version__", "9.9"), ("sys.version", "9.9"),
    ("numba.core.config.CPU_NAME", "another"), ("numba.core.config.CPU_FEATURES", "+sse2"),
    ("numba.core.config.OPT", 0), ("numba.core.config.BOUNDSCHECK", 1),
])
def test_so_is_another_version_processor_or_setting(place, value, monkeypatch):
    before = cache.stamp("sources")
    assert cache.stamp("sources") == before != cache.stamp("other sources")
    monkeypatch.setattr(place, value)
    assert cache.stamp("sources") != before


@pytest.fixture
def copied(tmp_path):
    """Processes with a copy of the package, whose kernels may be changed. One there calls one in another file."""
    package = tmp_path / "copy" / "byhand"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    begin = "from byhand.kernels.jit.cache import kernel\n"
    (package / "kernels/jit/inner.py").write_text(f"{begin}\n@kernel\ndef inner(x):\n    x[0] = 1\n")
    (package / "kernels/jit/outer.py").write_text(
        f"{begin}from byhand.kernels.jit.inner import inner\n\n@kernel\ndef outer(x):\n    inner(x)\n")
    return Processes(tmp_path, "from byhand.kernels.jit.outer import outer", package)


CALL = BEGIN + "x = numbers()\nouter(x)\ntell(x[0].item())\n"


def test_a_kernel_changes_with_one_that_it_calls_in_another_file(copied):
    assert copied.run(CALL)[0] == {"compiled": 2, "found": 0, "result": [1]}
    assert copied.run(CALL)[0] == {"compiled": 0, "found": 1, "result": [1]}
    inner = copied.package / "kernels/jit/inner.py"
    before = inner.read_text()
    inner.write_text(before.replace("x[0] = 1", "x[0] = 2"))
    assert copied.run(CALL)[0] == {"compiled": 2, "found": 0, "result": [2]}
    inner.write_text(before)
    assert copied.run(CALL)[0] == {"compiled": 0, "found": 1, "result": [1]}
    assert len({path.parent for path in copied.files()}) == 2


def test_sources_that_change_after_they_were_imported_are_not_taken_for_those(copied):
    change = f"open({str(copied.package / 'kernels/threads.py')!r}, 'a').write('# new')\n"
    assert copied.run(CALL.replace("x = ", f"{change}x = "))[0] == {"compiled": 2, "found": 0, "result": [1]}
    assert copied.files() == []


FACTORY = """
from byhand.kernels.jit.cache import kernel

def times(n):
    @kernel
    def multiply(x):
        for i in range(x.size):
            x[i] *= n
    return multiply

def before(first):
    @kernel
    def both(x):
        first(x)
    return both

two, three = times(2), times(3)
"""


def test_kernels_that_a_function_makes_are_told_apart(tmp_path):
    made = Processes(tmp_path, FACTORY)
    program = BEGIN + "x = numbers()\ntwo(x), three(x)\ntell(x.tolist())\n"
    assert made.run(program)[0] == {"compiled": 2, "found": 0, "result": [[0, 6, 12, 18, 24]]}
    assert made.run(program)[0] == {"compiled": 0, "found": 2, "result": [[0, 6, 12, 18, 24]]}


def test_what_cannot_be_told_apart_is_refused(tmp_path):
    program = BEGIN + ("try:\n    before(two)(numbers())\nexcept TypeError as error:\n    tell(str(error))\n")
    seen, _ = Processes(tmp_path, FACTORY).run(program)
    assert seen["result"][0].startswith("the kernel before.<locals>.both is made of, or called with, something that is")


# --- found again ------------------------------------------------------------------------------------------------------


def test_a_second_process_compiles_nothing(processes):
    assert processes.run() == ({"compiled": 2, "found": 0, "result": USED}, "")
    files = processes.files()
    assert [path.name.partition("-")[0] for path in files] == ["double", "quadruple"] and all(map(whole, files))
    before = {path: path.stat().st_mtime_ns for path in files}
    assert processes.run() == ({"compiled": 0, "found": 2, "result": USED}, "")
    assert {path: path.stat().st_mtime_ns for path in processes.files()} == before


def test_a_kernel_that_is_found_can_be_built_into_one_that_is_not(processes):
    processes.run()
    (lost,) = processes.kept.rglob("quadruple*")
    lost.unlink()
    assert processes.run()[0] == {"compiled": 1, "found": 1, "result": USED}
    assert whole(lost)


UNITS = """
from byhand.kernels.jit.cache import kernel, unit

@unit
def double(x):
    for i in range(x.size):
        x[i] *= 2

@kernel
def twice(x):
    double(x)
    double(x)

@kernel
def four_times(x):
    twice(x)
    twice(x)
"""


def test_what_is_called_by_name_is_found_however_deep_it_lies(tmp_path):
    units = Processes(tmp_path, UNITS)
    for found, (name, n) in enumerate([("double", 2), ("twice", 4), ("four_times", 16)]):
        program = BEGIN + f"x = numbers()\n{name}(x)\ntell(x.tolist())\n"
        right = [[n * i for i in range(5)]]
        assert units.run(program)[0] == {"compiled": 1, "found": found, "result": right}, "it is made of those before"
        assert units.run(program)[0] == {"compiled": 0, "found": min(found, 1) + 1, "result": right}


DAMAGES = {"empty": lambda content: b"", "cut": lambda content: content[:len(content) // 2],
           "short": lambda content: content[:20], "one bit": lambda content: content[:500] + b"\x01" + content[501:],
           "something else": lambda content: b"hello", "zeros": lambda content: bytes(len(content))}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_compiled_again(damage, processes):
    processes.run()
    for path in processes.files():
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
        assert not whole(path)
    assert processes.run() == ({"compiled": 2, "found": 0, "result": USED}, "")
    assert len(processes.files()) == 2 and all(map(whole, processes.files()))


# --- nowhere to keep it -----------------------------------------------------------------------------------------------


def check_one_notice(seen, err):
    assert seen == {"compiled": 2, "found": 0, "result": USED}
    assert err.count("\n") == 1 and err.startswith("byhand: compiled kernels cannot be kept, so each program compiles "
                                                   "them again: ") and "Set BYHAND_CACHE to a folder" in err


@pytest.mark.skipif(os.name != "posix", reason="places are needed that cannot be folders")
@pytest.mark.parametrize("place", ["some_kernels.py/kept", "/dev/null/kept", "x" * 300, "/proc/kept"])
def test_without_a_folder_it_works_in_memory(place, processes):
    check_one_notice(*processes.run(BYHAND_CACHE=place))


FULL = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"


@pytest.mark.skipif(os.name != "posix", reason="a limit on the size of files is needed")
def test_on_a_full_disk_too_and_nothing_is_left_behind(processes):
    check_one_notice(*processes.run(FULL + USE))
    assert processes.files() == []


@pytest.mark.skipif(os.name != "posix", reason="a limit on the size of files is needed")
def test_who_finds_everything_need_not_write(processes):
    processes.run()
    assert processes.run(FULL + USE) == ({"compiled": 0, "found": 2, "result": USED}, "")


def test_the_folder_may_be_said_from_home_or_from_here(processes):
    for place, folder in (("~/at home", processes.home / "at home"), ("here", processes.home / "here")):
        program = BEGIN + "double(numbers())\nos.chdir(os.pardir)\nquadruple(numbers())\ntell()"  # it does not move
        processes.run(program, BYHAND_CACHE=place, HOME=str(processes.home), USERPROFILE=str(processes.home))
        assert [path.name.partition("-")[0] for path in sorted(folder.rglob("*.bin"))] == ["double", "quadruple"]


# --- tidying up -------------------------------------------------------------------------------------------------------


def test_folders_that_nobody_uses_go_and_nothing_else(processes):
    def folder(name, days):
        path = processes.kept / name
        path.mkdir(parents=True)
        (path / "code.bin").write_bytes(b"code")
        os.utime(path, (time.time() - 86400 * days,) * 2)
        return path

    mine = [folder(f"{number:032x}", number) for number in range(1, 13)]
    others = [folder(name, 1000) for name in ("precious", "A" * 32, "0" * 31, ".git")]
    processes.run()
    (new,) = {path.parent for path in processes.files() if whole(path)}
    assert set(processes.kept.iterdir()) == {new, *mine[:7], *others}
    os.utime(new, (0, 0))
    processes.run()
    assert time.time() - new.stat().st_mtime < 600, "what is in use is not old"
    for path in mine[3:7]:
        os.utime(path, (time.time() - 86400 * 31,) * 2)
    shutil.rmtree(new)
    processes.run()
    assert set(processes.kept.iterdir()) == {new, *mine[:3], *others}
