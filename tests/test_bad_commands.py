"""The command, used wrongly, interrupted at any time, and not listened to: one sentence, the right exit code (2 wrong
use, 1 failed, 130 interrupted), no traceback, nothing lost and nothing half-written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import command, process, the_object

import byhand as bh
from byhand.cli.options import in_a_sentence

# --- wrong use, and failures ------------------------------------------------------------------------------------------

FAILURES = [  # the words, the exit code, words of the sentence
    # names, options and values that there are not: the nearest that there is
    (["trian"], 2, r"No such command 'trian'\. Did you mean 'train'\?"),
    (["data", "inof"], 2, r"No such command 'inof'\. Did you mean 'info'\?"),
    (["train", "fats"], 2, r"there is no recipe 'fats'; there are .* Did you mean fast\?"),
    (["train", "--epoch", "3"], 2, r"No such option '--epoch'\. Did you mean '--epochs'\?"),
    (["evaluate", "full", "--dta", "mini"], 2, r"No such option '--dta'\. Did you mean '--data'\?"),
    (["train", "--nope"], 2, "No such option"),
    (["train", "--kernels", "numpi"], 2, r"'numpi' is not one of 'numpy', 'jit'\. Did you mean numpy\?"),
    (["data", "convert", "mini", "a", "--to", "csvv"], 2, r"'csvv' is not one of .*\. Did you mean csv\?"),
    (["train", "--data", "mini", "--set", "dropuot=1"], 2, "the recipe fast has no setting 'dropuot'; it has epochs"),
    (["train", "mlp", "--data", "mini", "--set", "dropuot=1"], 2, r"no setting 'dropuot'.* Did you mean dropout\?"),
    (["train", "--data", "mnits"], 2, "there is no data set, no file and no folder 'mnits'.* did you mean mnist"),
    (["train", "--data", "."], 1, "the folder full has no pictures"),
    (["train", "--data", "fashion-mnits"], 2, "did you mean fashion-mnist"),
    (["train", "--data", "mini", "--set", "learning_rate=1"], 2, "the recipe fast has no setting 'learning_rate'"),
    (["train", "--data", "mini", "--set", "lr=quick"], 2, "lr needs a number, got 'quick'"),
    (["train", "mlp", "--data", "mini", "--set", "dropout=2"], 1, "Dropout needs a probability"),
    (["train", "convnet", "--data", "mini", "--set", "label_smoothing=1"], 1, "from 0 to below 1, got 1.0"),
    (["train", "--data", "mini", "--set", "lr"], 2, "--set needs KEY=VALUE, got 'lr'"),
    (["train", "--data", "mini", "--set", "=1"], 2, "--set needs KEY=VALUE, got '=1'"),
    (["train", "--data", "mini", "--set", "lr="], 2, "lr needs a number, got ''"),
    (["train", "--data", "mini", "--set", "lr=nan"], 2, "lr needs a number from 0 to 1,000,000,000, got 'nan'"),
    (["train", "--data", "mini", "--set", "lr=-1"], 2, "lr needs a number from 0 to 1,000,000,000, got '-1'"),
    (["train", "--data", "mini", "--set", "batch_size=1.5"], 2, "batch_size needs a whole number, got '1.5'"),
    (["train", "--data", "mini", "--epochs", "9" * 20], 2, "epochs needs a whole number from 1 to 1,000,000,000"),
    # folders to write to
    (["train", "--data", "mini", "--out", "full"], 1, "the run folder full is not empty"),
    (["train", "--data", "mini", "--out", "full/text"], 2, "is a file"),
    (["train", "--data", "mini", "--out", "full/text/run"], 1, "cannot use full/text/run: Not a directory"),
    (["train", "--data", "mini", "--out", "/dev/null/run"], 1, "cannot use /dev/null/run: Not a directory"),
    # numbers, and too much or too little
    (["train", "--epochs", "0"], 2, "'--epochs'"),
    (["train", "--epochs", "many"], 2, "'--epochs'"),
    (["train", "--seeds", "0"], 2, "'--seeds'"),
    (["train", "--seed", "-1"], 2, "'--seed'"),
    (["train", "--threads", "0"], 2, "'--threads'"),
    (["train", "--threads", "two"], 2, "'--threads'"),
    (["train", "fast", "slow"], 2, "unexpected extra argument"),
    (["data"], 2, "Missing command|No such option '--json'"),
    (["evaluate"], 2, "Missing argument 'MODEL'"),
    # files to read
    (["evaluate", "missing.safetensors"], 1, "there is no model file missing.safetensors"),
    (["evaluate", "full"], 1, "the folder full is no run folder: there is no model.safetensors in it"),
    (["evaluate", "full/" + "a" * 300], 1, "File name too long"),
    (["evaluate", "full/\x1b[2Jtext"], 1, r"there is no model file full/\\x1b\[2Jtext"),
    (["evaluate", "full/\udcfftext"], 1, r"there is no model file full/\\udcfftext"),
    (["evaluate", "full/text"], 1, "full/text is not a model file that byhand reads"),
    (["evaluate", "full/list.json"], 1, "full/list.json is not a scalar network"),
    (["doctor", "nowhere"], 1, "there is no run folder nowhere"),
    (["doctor", "full"], 1, "the folder full is no run folder: there is no measurements.json in it"),
    (["doctor", "full/text"], 1, "there is no run folder full/text"),
    (["doctor"], 2, "Missing argument 'RUN'"),
    (["evaluate", "full/list.json", "--confidence", "1.5"], 2, "1.5 is not in the range 0<=x<=1"),
    (["evaluate", "full/list.json", "--confidence", "high"], 2, "'high' is not a valid float"),
    (["show", "full"], 1, "the folder full is no run folder"),
    (["show", "full/text"], 1, "full/text is not a model file that byhand reads"),
    (["show", "full/list.json"], 1, "full/list.json is not a scalar network"),
    (["show", "full/text", "--index", "-1"], 2, "'--index'"),
    (["show", "full/text", "--data", "mini", "--image", "x.png"], 2, "from --image or from --data, not from both"),
    (["data", "show", "nowhere"], 2, "there is no data set, no file and no folder 'nowhere'"),
    (["train", "fats", "--find-lr"], 2, r"there is no recipe 'fats'.* Did you mean fast\?"),
    (["train", "scalar", "--find-lr", "--data", "mini"], 1, "the recipe scalar has no range test"),
    (["train", "--find-lr", "--resume", "full"], 2, "--find-lr begins anew; leave out --resume"),
    (["train", "mlp", "--find-lr", "--data", "mini", "--out", "full/text/run"], 1, "Not a directory"),
    (["train", "--resume", "full"], 1, "full is not a run folder: it has no config.json"),
    (["train", "--resume", "nowhere"], 1, "nowhere is not a run folder"),
    (["train", "--resume", "full/text"], 2, "is a file"),
    # devices, and names that are none
    *(([*words, "/dev/null"], 2, "/dev/null is a device or a pipe; give a file or folder") for words in (
        ["evaluate"], ["doctor"], ["show"], ["export", "--to", "c"], ["data", "info"], ["data", "show"],
        ["train", "--data"], ["train", "--resume"], ["train", "--out"], ["evaluate", "full", "--data"])),
    (["predict", "/dev/null", "full/text"], 2, "/dev/null is a device or a pipe"),
    *(([*words, ""], 2, "a file or folder needs a name, and this one is empty") for words in (
        ["evaluate"], ["evaluate", "full", "--mistakes"], ["doctor"], ["show"], ["show", "full", "--image"],
        ["show", "full", "--out"], ["export", "--to", "c"], ["export", "full", "--to", "c", "--out"], ["predict"],
        ["predict", "full"], ["predict", "full", "full", "--show"], ["data", "info"], ["data", "convert", "mini"],
        ["train", "--data"], ["train", "--out"], ["train", "--resume"], ["bench", "--write"])),
    *(([*words, "-"], 2, "standard input and output, which are written -, have no place here") for words in (
        ["evaluate"], ["show"], ["export", "full", "--to", "c", "--out"], ["data", "convert", "mini"],
        ["train", "--out"], ["predict", "full", "full", "--show"])),
    *((words, 1, "cannot use /proc/self/mem: Input/output error") for words in (  # it opens, and cannot be read
        ["evaluate", "/proc/self/mem"], ["show", "/proc/self/mem"], ["export", "/proc/self/mem", "--to", "c"],
        ["predict", "/proc/self/mem", "full"], ["data", "info", "/proc/self/mem"],
        ["train", "--data", "/proc/self/mem"]) if Path("/proc/self/mem").exists()),
    # figures to write: known before the work begins
    *((words, 1, sentence) for command in (["show", "full/text", "--out"], ["evaluate", "full/text", "--mistakes"],
                                           ["data", "show", "mini", "--out"])
      for words, sentence in (([*command, "picture.bmp"], r"saved as \.png, \.svg, \.pdf; picture\.bmp is none"),
                              ([*command, "no/where.png"], "no/where.png cannot be written: there is no folder no"))),
    # models in another format (test_cli_export.py has all of them)
    (["export", "full/text"], 2, "Missing option '--to'"),
    (["export", "full/text", "--to", "c"], 1, "full/text is not a model file that byhand reads"),
    (["export", "full/list.json", "--to", "onx"], 2, r"'onx' is not one of .*\. Did you mean onnx\?"),
    # data sets to get, look at and convert
    (["data", "fetch", "mini-mnist"], 2, "is not a data set to fetch"),
    (["data", "fetch"], 1, "mnist cannot be had"),
    (["data", "info", "nowhere"], 2, "there is no data set, no file and no folder 'nowhere'"),
    (["data", "convert", "mini", "full"], 1, "full exists already"),
    (["data", "convert", "mini", "no/such/a.npz"], 1, "there is no folder no/such"),
    (["data", "convert", "mini", "a.npz", "--to", "csv"], 1, "a.npz cannot take the form 'csv'"),
    (["data", "convert", "mini", "a", "--to", "png"], 2, "'png' is not one of"),
    (["data", "convert", "full/text", "a.npz"], 1, "full/text is not a table of samples"),
]


@pytest.mark.parametrize("as_json", [False, True], ids=["", "json"])
@pytest.mark.parametrize(("words", "code", "sentence"), FAILURES, ids=lambda value: " ".join(value)
                         if isinstance(value, list) else "")
def test_an_error_is_one_sentence(words, code, sentence, as_json, here):
    Path("full").mkdir()
    Path("full/text").write_text("hello")
    Path("full/list.json").write_text("[1, 2]")
    found, out, err = here(*words, *(["--json", "--quiet"] if as_json else []))
    assert found == code
    last = err.splitlines()[-1]
    assert last.startswith("byhand: ") and re.search(sentence, last), err
    assert ("Usage: byhand" in err) == (code == 2) and "Traceback" not in err
    if as_json:
        assert the_object(out) == {"version": 1, "error": last.removeprefix("byhand: "), "exit_code": code}
    else:
        assert out == ""
    assert not Path("runs").exists() or not any(Path("runs").iterdir()), "a run that did not begin leaves no folder"


@pytest.mark.parametrize(("error", "sentence"), [
    (OSError(5, "Input/output error"), "cannot go on: Input/output error; --debug shows where."),
    (OSError(5, "Input/output error", "a.png"), "cannot use a.png: Input/output error."),
    (ValueError("the shapes differ"), "the shapes differ."), (ValueError("did you mean mnist?"), "did you mean mnist?"),
    (OSError("it is gone. "), "it is gone."),
    (ValueError("to go on: byhand train"), "to go on: byhand train"),
    (MemoryError(), "there is not enough memory for this."),
])
def test_every_error_is_a_whole_sentence(error, sentence):
    assert in_a_sentence(error) == sentence


def test_a_notice_is_a_whole_sentence(away, monkeypatch):
    """What mirrors, and data sets that take another's place, have to say."""
    code, _, err = process("data", "info", "mnist")
    said = err.splitlines()
    assert code == 1 and said and all(line.endswith(".") for line in said)
    code, _, err = process("train", "relu-10", "--epochs", 1, "--set", "lr=0.1", "--out", "run")
    assert code == 0 and "Using the built-in mini set instead" in err
    assert any(line.endswith("expect a lower accuracy.") for line in err.splitlines())


@pytest.mark.parametrize(("words", "number"), [
    (["train"], "0"), (["train", "--threads", "2"], "-1"), (["recipes"], "two"), (["evaluate", "x"], "1.5"),
])
def test_a_bad_number_of_threads_in_the_environment(words, number, away, monkeypatch):
    monkeypatch.setenv("BYHAND_NUM_THREADS", number)
    said = f"byhand: BYHAND_NUM_THREADS must be a whole number of at least 1, got '{number}'.\n"
    assert process(*words) == (1, "", said)


def test_debug_shows_where(away):
    code, _, err = process("evaluate", "nothing", "--debug")
    assert code == 1 and "Traceback" in err and "open_model" in err


def test_training_that_breaks_is_an_error(here, tiny):
    code, out, err = here("train", "numpy-tutorial", "--data", tiny, "--set", "lr=1e9", "--json")
    assert code == 1 and "Try a lower learning rate" in the_object(out)["error"]
    assert "Training stopped: the loss" in err


def test_a_run_folder_that_does_not_exist_is_made_with_its_parents(here, tiny):
    code, _, _ = here("train", "relu-10", "--data", tiny, "--epochs", 1, "--out", "not/there/yet", "-q")
    assert code == 0 and Path("not/there/yet/model.safetensors").is_file()


@pytest.mark.skipif(os.name != "posix", reason="a limit on the size of files is needed")
def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(away, tiny):
    limited = "ulimit -f 1; exec " + " ".join(command("train", "relu-10", "--data", tiny, "--out", "run", "-q"))
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "byhand: run/history.jsonl cannot be written: File too large.\n"
    assert {path.name for path in Path("run").iterdir()} == {"config.json", "history.jsonl", "measurements.json"}
    assert json.loads(Path("run/measurements.json").read_text())["looks"], "the last that had room"
    assert json.loads(Path("run/history.jsonl").read_text().splitlines()[-1])["epoch"] > 1, "each line is a whole one"


# --- Ctrl-C at any time -----------------------------------------------------------------------------------------------

CTRL_C_WHEN = """
import importlib, os, signal, sys
if sys.argv[1] == "byhand.cli":  # while it is imported
    class Impatient:
        def find_spec(self, name, path=None, target=None):
            if name == "click":
                os.kill(os.getpid(), signal.SIGINT)
    sys.meta_path.insert(0, Impatient())
else:
    module, name = sys.argv[1].rsplit(".", 1)
    module = importlib.import_module(module)
    original = getattr(module, name)
    def impatient(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments, **options)
    setattr(module, name, impatient)
del sys.argv[1]
from byhand.__main__ import main
main()
"""

MOMENTS = [  # where it is, the file that is there then, what it says
    ("byhand.cli", None, "interrupted."),
    ("byhand.data.search.read_idx", None, "interrupted."),
    ("byhand.recipes.run.configuration", None, "interrupted; it was too early for a checkpoint."),
    ("byhand.train.evaluate", "model.safetensors", "interrupted; to go on: byhand train --resume run"),
    ("os.fsync", None, "interrupted; it was too early for a checkpoint."),
    ("byhand.recipes.run.evaluate", "model.safetensors", "interrupted; to go on: byhand train --resume run"),
    ("byhand.recipes.run.figures", "model.safetensors", "interrupted; to go on: byhand train --resume run"),
]


def interrupted(moment, *words):
    """The command with Ctrl-C at a moment: its standard output, and the last line of standard error."""
    done = subprocess.run([sys.executable, "-c", CTRL_C_WHEN, moment, *map(str, words)], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 130 and "Traceback" not in done.stderr
    return done.stdout, done.stderr.splitlines()[-1]


@pytest.mark.skipif(os.name != "posix", reason="signals are needed")
@pytest.mark.parametrize(("moment", "left", "sentence"), MOMENTS, ids=[moment for moment, *_ in MOMENTS])
def test_ctrl_c_is_one_sentence_and_nothing_is_half_written(moment, left, sentence, away, tiny):
    words = ["train", "relu-10", "--data", tiny, "--epochs", 2, "--out", "run"]
    assert interrupted(moment, *words) == ("", f"byhand: {sentence}")
    files = {path.name for path in Path("run").iterdir()} if Path("run").is_dir() else set()
    assert (left in files if left else not files) and not any(name.endswith(".tmp") for name in files)
    if left == "model.safetensors":
        assert bh.load("run/model.safetensors").recipe == "relu-10"


@pytest.mark.skipif(os.name != "posix", reason="signals are needed")
@pytest.mark.parametrize("moment", ["byhand.cli", "byhand.data.search.read_idx"])
def test_ctrl_c_is_an_object_for_those_who_asked_for_one(moment, away, tiny):
    out, last = interrupted(moment, "data", "info", tiny, "--json")
    assert the_object(out) == {"version": 1, "error": "interrupted.", "exit_code": 130}
    assert last == "byhand: interrupted."


@pytest.mark.skipif(os.name != "posix", reason="signals are needed")
def test_ctrl_c_while_evaluating(here, tiny):
    here("train", "relu-10", "--data", tiny, "--epochs", 1, "--out", "run", "-q")
    assert interrupted("byhand.assess.assess", "evaluate", "run", "--data", tiny) == ("", "byhand: interrupted.")


# --- nobody listens ---------------------------------------------------------------------------------------------------


def shell(line):
    """A line of bash in which `byhand` is the command: what it wrote, on both sides, and what the line itself said."""
    done = subprocess.run(["bash", "-c", f'byhand() {{ "{sys.executable}" -m byhand "$@"; }}; {line}'],
                          capture_output=True, text=True, timeout=60)
    return done.stdout, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="a shell with pipes is needed")
@pytest.mark.parametrize("words", ["recipes", "recipes --json", "data info mini", "--help"])
def test_nobody_need_listen_to_the_end(words, away):
    out, err = shell(f"byhand {words} | head -c 1; echo ${{PIPESTATUS[0]}}")
    assert err == "" and out[1:] in ("0\n", "1\n")


@pytest.mark.skipif(os.name != "posix", reason="a shell with pipes is needed")
@pytest.mark.parametrize(("line", "said"), [
    ("byhand recipes >&-; echo $?", "0\n"),
    ("byhand recipes 2>&- | head -c 0; echo $?", "0\n"),
    ("exec 3> >(exec true); wait $!; byhand recipes >&3; echo $?", "1\n"),  # the listener has left already
    ("byhand nope 2>&-; echo $?", "2\n"),
    ("byhand nope --json 2>&- | head -c 12; echo ${PIPESTATUS[0]}", '{"version": 2\n'),
    ("byhand nope 2>/dev/full; echo $?", "2\n"),
    ("byhand nope --json >/dev/full 2>&1; echo $?", "2\n"),
    ("byhand recipes 2>&1 >/dev/full; echo $?",
     "byhand: cannot go on: No space left on device; --debug shows where.\n1\n"),
    ("byhand data info mini --json 2>&1 >/dev/full; echo $?",
     "byhand: cannot go on: No space left on device; --debug shows where.\n1\n"),
    ("byhand train relu-10 --data mini --epochs 3 --out run 2>&1 | (head -c 7; echo); echo ${PIPESTATUS[0]}",
     "relu-10\n1\n"),
])
def test_a_closed_or_full_stream_is_no_traceback(line, said, away):
    assert shell(line) == (said, "")
