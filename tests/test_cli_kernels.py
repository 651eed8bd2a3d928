"""Which kernels a command computes with; what it says where there are none, and while they are being compiled."""

import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from command_line import process, the_object
from rich.console import Console
from rich.errors import LiveError
from rich.progress import Progress
from rich.status import Status

import byhand as bh
from byhand.kernels.choice import asked, can_compile
from byhand.kernels.compiling import SENTENCE
from byhand.progress import KERNELS, Spinner

needs_numba = pytest.mark.skipif(not can_compile(), reason="Numba is not here")
BOTH = ["numpy", pytest.param("jit", marks=needs_numba)]
TRAIN = ["train", "mlp", "--epochs", 1, "--out", "run"]


@pytest.fixture(autouse=True)
def nobody_has_asked(monkeypatch):
    monkeypatch.delenv("BYHAND_KERNELS", raising=False)


# --- the choice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernels", BOTH)
def test_a_run_says_with_which_kernels_it_was_made(kernels, here, tiny):
    code, out, err = here(*TRAIN, "--data", tiny, "--kernels", kernels, "--json")
    assert (code, the_object(out)["kernels"]) == (0, kernels) and f", {KERNELS[kernels]} kernels\n" in err
    config = json.loads(Path("run/config.json").read_text())
    assert config["kernels"] == kernels and (config["numba"] == "not in use") == (kernels == "numpy")
    assert asked() == "", "it was for this command only"


@pytest.mark.parametrize("how", ["option", "environment", "option over environment"])
@pytest.mark.parametrize("kernels", BOTH)
@pytest.mark.parametrize(("words", "place"), [
    (["evaluate", "a model"], "byhand.assess.open_model"),
    (["predict", "a model", "a picture"], "byhand.assess.open_model"),
    (["train"], "byhand.data.load_or_mini"), (["train", "--find-lr"], "byhand.data.load_or_mini"),
], ids=["evaluate", "predict", "train", "find-lr"])
def test_commands_that_compute_can_be_told_how(words, place, kernels, how, here, monkeypatch):
    if "option" in how:
        words = [*words, "--kernels", kernels]
    if "environment" in how:
        monkeypatch.setenv("BYHAND_KERNELS", kernels if how == "environment" else "numpy")

    def say(*arguments):
        raise ValueError(f"{bh.kernels.in_use()}.")

    monkeypatch.setattr(place, say)
    assert here(*words) == (1, "", f"byhand: {kernels}.\n")


ANY = ["a model", "a picture"]


@pytest.mark.parametrize(("words", "environment", "code", "sentence"), [
    (["train", "--kernels", "numpi"], "", 2, r"'numpi' is not one of 'numpy', 'jit'\. Did you mean numpy\?"),
    (["evaluate", "a model", "--kernels", "JIT"], "", 2, r"'JIT' is not one of"),
    (["predict", *ANY, "--kernels", ""], "", 2, r"'' is not one of"),
    (["predict", *ANY, "--kernels"], "", 2, r"Option '--kernels' requires an argument\."),
    (["recipes", "--kernels", "numpy"], "", 2, r"No such option"),
    (["train"], "fast", 2, r"BYHAND_KERNELS is 'fast': there are no kernels 'fast'; choose numpy or jit\."),
    (["evaluate", "a model"], "1", 2, r"BYHAND_KERNELS is '1'"),
    (["predict", *ANY], "numpy jit", 2, r"BYHAND_KERNELS is 'numpy jit'"),
    (["show", "digits"], "fast", 1, r"BYHAND_KERNELS is 'fast': there are no kernels 'fast'; choose numpy or jit\."),
    (["warmup", "--threads", "0"], "", 2, "'--threads'"),
    (["warmup", "lenet"], "", 2, "unexpected extra argument"),
])
def test_a_bad_choice_is_one_sentence(words, environment, code, sentence, here, digits_model, monkeypatch):
    monkeypatch.setenv("BYHAND_KERNELS", environment)
    Path("digits").symlink_to(digits_model)
    for options in ([], ["--json"]):
        found, out, err = here(words[0], *options, *words[1:])
        last = err.splitlines()[-1]
        assert (found, last[:8]) == (code, "byhand: ") and re.search(sentence, last) and "Traceback" not in err
        assert the_object(out)["exit_code"] == code if options else not out


@pytest.fixture
def unfinished(here, tiny):
    """A run that began with NumPy kernels and, its result taken away, has not ended yet."""
    assert here(*TRAIN, "--data", tiny, "--kernels", "numpy", "-q")[0] == 0
    Path("run/result.json").unlink()


def test_a_run_goes_on_with_the_kernels_it_began_with(unfinished, here):
    code, out, err = here("train", "--resume", "run", "--json")
    assert (code, the_object(out)["kernels"]) == (0, "numpy") and "since the run" not in err
    assert asked() == ""


@needs_numba
@pytest.mark.parametrize("how", ["option", "environment"])
def test_or_with_others_which_is_named(how, unfinished, here, monkeypatch):
    if how == "environment":
        monkeypatch.setenv("BYHAND_KERNELS", "jit")
    code, out, err = here("train", "--resume", "run", "--json", *(["--kernels", "jit"] if how == "option" else []))
    assert (code, the_object(out)["kernels"]) == (0, "jit")
    assert "kernels was numpy and is jit since the run run began" in err and "numba was not in use and is" in err


@pytest.mark.parametrize("kernels", ["cuda", 7, None, [], {"a": 1}])
def test_or_with_the_usual_ones_where_the_others_are_nowhere(kernels, unfinished, here):
    config = json.loads(Path("run/config.json").read_text())
    Path("run/config.json").write_text(json.dumps(config | {"kernels": kernels}))
    code, out, err = here("train", "--resume", "run", "--json")
    assert (code, the_object(out)["kernels"]) == (0, bh.kernels.in_use())
    assert f"kernels was {kernels} and is {bh.kernels.in_use()} since the run run began" in err


# --- without Numba ----------------------------------------------------------------------------------------------------


def without_numba(*words):
    """The command where Numba is not installed."""
    program = 'import sys; sys.modules["numba"] = None; from byhand.__main__ import main; main()'
    done = subprocess.run([sys.executable, "-c", program, *map(str, words)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


NOTICE = ("Numba is not installed: training runs on NumPy kernels, several times slower;\n"
          "pip install 'byhand[fast]' brings it\n")


def test_one_notice_says_what_numba_would_bring(away, tiny):
    code, out, err = without_numba(*TRAIN, "--data", tiny, "--seeds", 2, "--json")
    assert code == 0 and err.count("Numba") == 1 and NOTICE in err
    assert [run["kernels"] for run in the_object(out)["runs"]] == ["numpy", "numpy"]


@pytest.mark.parametrize("how", ["quiet", "option", "environment"])
def test_who_does_not_want_to_know_is_not_told(how, away, tiny, monkeypatch):
    if how == "environment":
        monkeypatch.setenv("BYHAND_KERNELS", "numpy")
    words = {"quiet": ["-q"], "option": ["--kernels", "numpy"]}.get(how, [])
    code, _, err = without_numba(*TRAIN, "--data", tiny, *words)
    assert code == 0 and "Numba" not in err and (how != "quiet" or err == "")


def test_evaluating_and_predicting_need_no_notice(away, digits_model):
    from PIL import Image

    Image.fromarray(bh.data.load("mini").test.inputs[0, 0]).save("digit.png")
    for words in (["evaluate", digits_model, "--data", "mini"], ["predict", digits_model, "digit.png"]):
        code, _, err = without_numba(*words)
        assert (code, err) == (0, "")


MISSING = "the jit kernels need Numba, which is not installed: pip install 'byhand[fast]', or choose numpy."


@pytest.mark.parametrize(("words", "environment", "code", "sentence"), [
    (["train", "--kernels", "jit"], "", 2, f"Invalid value for '--kernels': {MISSING}"),
    (["evaluate", "a model", "--kernels", "jit"], "", 2, f"Invalid value for '--kernels': {MISSING}"),
    (["predict", *ANY], "jit", 2, f"BYHAND_KERNELS is 'jit': {MISSING}"),
    (["warmup"], "", 1, MISSING),
])
def test_compiled_kernels_are_not_to_be_had(words, environment, code, sentence, away, monkeypatch):
    monkeypatch.setenv("BYHAND_KERNELS", environment)
    found, out, err = without_numba(*words)
    assert (found, out, err.splitlines()[-1]) == (code, "", f"byhand: {sentence}")


def test_a_run_that_began_with_numba_goes_on_without(unfinished):
    config = json.loads(Path("run/config.json").read_text())
    Path("run/config.json").write_text(json.dumps(config | {"kernels": "jit", "numba": "0.99"}))
    code, out, err = without_numba("train", "--resume", "run", "--json")
    assert (code, the_object(out)["kernels"]) == (0, "numpy")
    assert "kernels was jit and is numpy since" in err and "numba was 0.99 and is not in use since" in err


@needs_numba
@pytest.mark.parametrize("value", ["1", "2", "0", "", "no"])
def test_numba_that_is_turned_off_is_as_good_as_none(value, away, tiny, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", value)
    off = value in ("1", "2")  # "no" is no number, and Numba passes over it too
    code, out, err = process(*TRAIN, "--data", tiny, "--json")
    assert (code, the_object(out)["kernels"]) == (0, "numpy" if off else "jit") and "Numba is not" not in err
    if off:
        assert process("train", "--kernels", "jit")[2].endswith(
            "the jit kernels need Numba, which NUMBA_DISABLE_JIT turns off: unset that variable, or choose numpy.\n")


# --- byhand warmup ----------------------------------------------------------------------------------------------------


@needs_numba
@pytest.mark.slow
def test_warming_up(away):
    code, out, err = process("warmup", "--json")
    first = the_object(out)
    assert (code, err) == (0, "") and first["compiled"] + first["loaded"] > 0
    second = the_object(process("warmup", "--json")[1])
    assert second == first | {"compiled": 0, "loaded": second["loaded"], "seconds": second["seconds"], "version": 1}
    assert second["loaded"] > 0 < second["seconds"]
    assert Path(second["folder"]).parent == Path(os.environ["BYHAND_CACHE"]) and any(Path(second["folder"]).iterdir())
    code, out, err = process("warmup")
    assert re.fullmatch(rf"The kernels are ready after [\d.]+ s: 0 compiled, {second['loaded']} there already\.\n"
                        rf"They are in {re.escape(second['folder'])}\n", out)
    code, out, err = process("train", "--data", "mini", "-q", "--json")
    assert (code, err, the_object(out)["kernels"]) == (0, "", "jit")


@needs_numba
@pytest.mark.slow
def test_warming_up_what_cannot_be_kept_is_no_success(away, monkeypatch):
    monkeypatch.setenv("BYHAND_CACHE", os.devnull)
    code, out, err = process("warmup", "-q")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"byhand: compiled kernels cannot be kept: cannot use {os.devnull}")


# --- who waits is told why --------------------------------------------------------------------------------------------


def compile_two(spinner):
    """What it is told when a kernel is compiled that calls another one, and then a third."""
    for moment in ("begins one", "begins two", "ends two", "ends one", "begins three", "ends three"):
        what, kernel = moment.split()
        getattr(spinner, what)(kernel)


def terminal(monkeypatch, **settings):
    monkeypatch.setenv("TERM", "xterm-256color")
    return Console(file=StringIO(), force_terminal=True, width=80, **settings)


@pytest.mark.parametrize("no_color", [False, True], ids=["color", "NO_COLOR"])
def test_on_a_terminal_something_moves_and_is_gone_afterwards(no_color, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1") if no_color else monkeypatch.delenv("NO_COLOR", raising=False)
    console = terminal(monkeypatch)
    spinner = Spinner(console)
    compile_two(spinner)
    screen = console.file.getvalue()
    assert SENTENCE in screen and spinner.compiled == 3
    assert screen.count("\x1b[?25l") == screen.count("\x1b[?25h") == 2, "the cursor is there again"
    assert screen.endswith("\x1b[2K"), "and the line is empty"
    assert bool(re.search(r"\x1b\[[\d;]*3\dm", screen)) != no_color


def test_elsewhere_nothing_is_said(monkeypatch):
    for console in (Console(file=StringIO()), terminal(monkeypatch, quiet=True)):
        compile_two(Spinner(console))
        assert console.file.getvalue() == ""


@pytest.mark.parametrize("old", [False, True], ids=["", "before rich 14.1"])
def test_beside_a_progress_bar(old, monkeypatch):
    def refused(status):
        raise LiveError("Only one live display may be active at once")

    if old:
        monkeypatch.setattr(Status, "start", refused)
    console = terminal(monkeypatch)
    spinner = Spinner(console)
    with Progress(console=console, transient=True) as bar:
        bar.add_task("training")
        spinner.begins("one")
        bar.refresh()
        spinner.ends("one")
        compile_two(spinner)
    screen = console.file.getvalue()
    assert SENTENCE in screen and screen.count("\x1b[?25l") == screen.count("\x1b[?25h") == 1
    assert not old or screen.count(SENTENCE) == 1


def test_that_nothing_could_be_kept_is_a_notice_like_others(monkeypatch):
    for quiet in (False, True):
        console = Console(file=StringIO(), quiet=quiet, width=40)
        spinner = Spinner(console)
        for kernel in ("one", "two"):
            spinner.loses(kernel, f"no room for [{kernel}].")
        said = "byhand: compiled kernels cannot be kept, so each program compiles them again: no room for [one]."
        assert (console.file.getvalue(), spinner.lost) == ("" if quiet else f"{said}\n", "no room for [one].")
