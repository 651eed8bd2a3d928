"""The project as a whole: one version, nothing in it that only one machine knows, files of a size to be read."""

import importlib.util
import re
import subprocess
import tomllib

import pytest
from markdown import ROOT

import byhand

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LONGEST, LONGEST_TEST = 400, 340
LEFT_OUT = {".git", ".venv", "venv", "build", "dist", "runs", "__pycache__", ".pytest_cache", ".mypy_cache",
            ".ruff_cache", ".hypothesis"}


def files():
    """All files of the project: what git tracks, or everything where this is no clone."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not LEFT_OUT & set(path.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file()]


def texts():
    """Those of them that are text, with their content. (What fuzzing found may be anything.)"""
    for path in files():
        content = path.read_bytes()
        if b"\0" not in content and "corpus" not in path.parts:
            yield path.relative_to(ROOT), content.decode("utf-8")


def test_there_is_one_version():
    assert byhand.__version__ == PYPROJECT["project"]["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(.+?)\]", changes, re.MULTILINE)[0] == byhand.__version__


@pytest.mark.parametrize("unwanted", [
    "pypi" + ".org", "python" + "hosted", "registry." + "npmjs", "anaconda" + ".org",  # where packages come from
    "/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/tm" + "p/", "C:" + "\\Users",  # where its files lie
])
def test_nothing_is_said_that_only_one_machine_knows(unwanted):
    assert [str(path) for path, text in texts() if unwanted in text] == []


def test_files_are_of_a_size_to_be_read():
    lines = {path: len(text.splitlines()) for path, text in texts() if path.suffix == ".py" or path.parts[0] == ".ci"}
    assert len(lines) > 50
    limits = {path: LONGEST_TEST if path.parts[0] == "tests" else LONGEST for path in lines}
    assert [str(path) for path, number in lines.items() if number > limits[path]] == []


def test_every_python_file_opens_with_a_paragraph():
    without = [str(path) for path, text in texts()
               if path.suffix == ".py" and path.name != "__main__.py" and not text.startswith('"""')]
    assert without == []


def requirements():
    """The names of all dependencies, optional ones included."""
    project = PYPROJECT["project"]
    listed = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    return {re.match(r"[\w-]+", requirement)[0] for requirement in listed} - {project["name"]}


@pytest.mark.parametrize("name", sorted(requirements()))
def test_every_dependency_is_justified(name):
    lines = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").splitlines()
    assert any(line.startswith(f"| `{name}` |") for line in lines), f"docs/design.md does not say why there is {name}"


def lines_script():
    spec = importlib.util.spec_from_file_location("lines", ROOT / "scripts" / "lines.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_lines_are_counted_by_room(tmp_path):
    for name, lines in {"engine.py": 3, "room/a.py": 2, "room/deep/b.py": 5, "recipes/c.py": 9, "kernels/a.py": 4,
                        "kernels/jit/deep/b.py": 6}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('"""Explained\nat length."""\n\n# and commented\n' + "x = 1\n" * lines)
    code, everything = lines_script().count(tmp_path)
    assert code == {"engine": 3, "room": 7, "recipes": 9, "kernels": 4, "kernels/jit": 6}
    assert everything == {"engine": 7, "room": 15, "recipes": 13, "kernels": 8, "kernels/jit": 10}


def test_too_much_code_fails_in_each_part(tmp_path, monkeypatch, capsys):
    script = lines_script()
    parts = {"the stack": "engine.py", "the fast bodies": "kernels/jit/tile.py", "around it": "charts.py",
             "at home elsewhere": "estimator/rows.py", "experiments": "bench/rows.py"}
    assert script.MOST.keys() == parts.keys()
    sizes = dict(zip(parts, (5, 4, 3, 6, 2), strict=True))
    for part, name in parts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n" * sizes[part])
    monkeypatch.setattr(script, "PACKAGE", tmp_path)
    monkeypatch.setattr(script, "MOST", dict(sizes))
    script.main()
    shown = [line.rpartition("  (at most")[0].split() for line in capsys.readouterr().out.splitlines()[-5:]]
    assert shown == [[*part.split(), str(size), str(size)] for part, size in sizes.items()]
    for part, size in sizes.items():
        monkeypatch.setattr(script, "MOST", sizes | {part: size - 1})
        with pytest.raises(SystemExit, match=f"^{part}: 1 lines too many"):
            script.main()


def test_the_rooms_counted_beside_the_stack_exist():
    script = lines_script()
    there = {path.relative_to(script.PACKAGE).with_suffix("").as_posix() for path in script.PACKAGE.rglob("*")}
    assert {room for rooms in script.PARTS.values() for room in rooms} <= there
