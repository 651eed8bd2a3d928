"""README.md promises only what works: its programs print what it says, its commands run, its table is as measured."""

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import markdown
import pytest

import byhand

README = markdown.ROOT / "README.md"
CI = markdown.ROOT / ".ci" / "run"
SETUP = ['pip install ".[all]" && byhand train', 'pip install ".[all,test]" && pytest']
VENV = "python3 -m venv .venv && . .venv/bin/activate"
COMMANDS = [line for block in markdown.blocks(README) if block.language == "sh" for line in block.code.splitlines()]


@pytest.fixture
def shell(tmp_path):
    """Runs a line in bash as a reader would, in an empty folder and offline; returns what it said on both outputs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "byhand"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m byhand "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    (programs / "python3").symlink_to(sys.executable)
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = os.environ | markdown.OFFLINE | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(Path(byhand.__file__).parents[1]),
        "XDG_CACHE_HOME": str(tmp_path / "cache"), "COLUMNS": "200", "NO_COLOR": "1"}

    def run(line):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", line], cwd=folder, env=environment, text=True,
                              capture_output=True, timeout=600)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout, done.stderr, folder

    return run


def test_every_block_is_run_by_a_test():
    languages = {block.language for block in markdown.blocks(README)}
    assert languages == {"python", "sh"}, "a block of another language, or a text that is not the output of a program"
    others = [line for line in COMMANDS if line not in [*SETUP, VENV]]
    assert others and all(line.startswith("byhand ") for line in others)


def test_programs_print_what_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in markdown.OFFLINE.items():
        monkeypatch.setenv(name, value)
    assert markdown.run_python(README) >= 5


@pytest.mark.slow
def test_commands_run_one_after_another(shell):
    lines = [line for line in COMMANDS if line.startswith("byhand ")]
    said = {line: shell(line)[0] for line in lines}
    assert all(said.values()), "a command that prints no result"
    for recipe in byhand.recipes.RECIPES:
        assert recipe.name in said[next(line for line in lines if line.startswith("byhand recipes"))]


@pytest.mark.slow
def test_the_main_job_works_without_a_network(shell):
    job = SETUP[0].partition("&& ")[2]
    assert job == "byhand train"
    result, notices, folder = shell(job)
    assert "mini" in notices and "mini" in result
    (model,) = folder.glob("runs/fast-*/model.safetensors")
    assert str(model.relative_to(folder)) in result
    assert byhand.load(model).metrics["test_accuracy"] > 0.85


@pytest.mark.slow
def test_the_virtual_environment_can_be_made(shell):
    said, _, folder = shell(f"{VENV}; command -v pip")
    assert Path(said.strip()) == folder / ".venv" / "bin" / "pip"


def test_the_set_up_is_what_ci_runs():
    assert [line for line in COMMANDS if line.startswith("pip ")] == SETUP
    assert re.findall(r"\$\(from_readme '(.*)'\)", CI.read_text()) == SETUP[::-1]


def test_ci_is_a_script_that_can_be_run():
    assert os.access(CI, os.X_OK)
    subprocess.run([shutil.which("bash"), "-n", str(CI)], check=True)


def test_options_exist():
    from byhand.cli import cli

    commands = [*cli.commands.values(), *cli.commands["data"].commands.values()]
    known = {option for command in commands for parameter in command.params for option in parameter.opts} | {"--help"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", README.read_text(encoding="utf-8")))
    assert len(named) > 5 and named <= known


def script(name):
    """A program of scripts/, as a module."""
    spec = importlib.util.spec_from_file_location(name, markdown.ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_the_measured_one():
    tables, page = script("write_tables"), README.read_text(encoding="utf-8")
    assert tables.with_table(page) == page, "run python scripts/write_tables.py"
    for recipe in byhand.recipes.RECIPES:
        assert f"| `{recipe.name}` |" in page


@pytest.mark.parametrize("page", ["", "<!-- recipes:end --> <!-- recipes:begin -->", "<!-- recipes:begin -->" * 2])
def test_a_page_without_its_markers_is_refused(page):
    with pytest.raises(ValueError, match="once each and in this order"):
        script("write_tables").with_table(page)


def test_the_rooms_are_all_told_of():
    package = Path(byhand.__file__).parent
    there = {path.name + "/" * path.is_dir() for path in package.iterdir()
             if not path.name.startswith("_") and (path.is_dir() or path.suffix == ".py")}
    page = README.read_text(encoding="utf-8")
    told = set(re.findall(r"`(\w+(?:/|\.py))`", page[page.index("## What's where"):]))
    assert there - told == {"atomic.py"}, "a room that the README does not name (atomic.py is too small for it)"
    assert told <= there, "the README names a room that does not exist"
