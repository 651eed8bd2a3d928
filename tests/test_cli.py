"""The command: results on one side and notices on the other, and it is well behaved when interrupted or watched."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import command, process, the_object

import byhand as bh
from byhand.progress import KERNELS

PROMISED = {"version", "recipe", "dataset", "train_samples", "seed", "epochs", "parameters", "train_accuracy",
            "validation_accuracy", "test_accuracy", "test_interval", "train_seconds", "total_seconds",
            "samples_per_second", "kernels", "threads", "run", "model"}


# --- train ------------------------------------------------------------------------------------------------------------


def test_results_and_notices_are_kept_apart(away, tiny):
    code, out, err = process("train", "relu-10", "--data", tiny, "--epochs", 2, "--out", "run")
    assert code == 0
    assert re.fullmatch(r"relu-10 reads [\d.]+ % \(95 % interval [\d.]+ to [\d.]+ %\) of the 100 test samples of tiny "
                        r"right, after [\d.]+ s of training\.\nThe model is in run/model\.safetensors, the report in "
                        r"run/report\.html\n", out)
    for said in ("relu-10: 784-10-10", "tiny: 240 training, 60 validation and 100 test samples", "7,960 parameters",
                 f"2 epochs, all samples in one batch, 1 thread, {KERNELS[bh.kernels.in_use()]} kernels",
                 "epoch 1/2  loss", "epoch 2/2  loss",
                 "That makes 2 steps in all, which is little to learn in: try --epochs 100"):
        assert said in err
    assert "\x1b" not in err and "\r" not in err, "there is no terminal, so there is no bar and no color"
    assert max(map(len, err.splitlines())) <= 80
    assert {path.name for path in (away / "run").iterdir()} == {
        "model.safetensors", "config.json", "history.jsonl", "measurements.json", "model-card.md", "report.html",
        "result.json"}


def test_json_is_one_object_and_quiet_is_quiet(away, tiny):
    code, out, err = process("train", "mlp", "--data", tiny, "--epochs", 1, "--seed", 7, "--threads", 1, "--json", "-q")
    result = the_object(out)
    assert (code, err) == (0, "") and result.keys() >= PROMISED
    assert (result["recipe"], result["dataset"], result["seed"], result["epochs"]) == ("mlp", "tiny", 7, 1)
    assert (result["kernels"], result["threads"], result["version"]) == (bh.kernels.in_use(), 1, 1)
    assert len(result["test_interval"]) == 2
    assert re.fullmatch(r"runs/mlp-\d{4}-\d\d-\d\d-1", result["run"]) and Path(result["model"]).is_file()


@pytest.mark.slow
def test_the_default_works_without_a_network(away):
    code, out, err = process("train", "--json")
    result = the_object(out)
    assert code == 0 and (result["recipe"], result["dataset"]) == ("fast", "mini")
    assert "Using the built-in mini set instead" in err
    assert result["test_accuracy"] > 0.8


def test_several_seeds(here, tiny):
    code, out, err = here("train", "relu-10", "--data", tiny, "--epochs", 1, "--seeds", 2, "--seed", 5, "--json")
    result = the_object(out)
    assert code == 0 and [run["seed"] for run in result["runs"]] == [5, 6]
    assert result["test_sd"] >= 0 and {"seed 5", "seed 6"} <= set(err.splitlines())


def test_settings(here, tiny):
    code, out, _ = here("train", "--data", tiny, "--out", "run", "--set", "batch-size=50", "--set", "lr=5e-3", "-q")
    assert code == 0 and out
    settings = json.loads(Path("run/config.json").read_text())["settings"]
    assert (settings["batch_size"], settings["lr"], settings["epochs"]) == (50, 0.005, 1)


def test_long_full_batch_runs_print_some_twenty_lines(here, tiny):
    _, _, err = here("train", "sigmoid-72-36", "--data", tiny)
    assert 20 <= err.count("\nepoch ") <= 22


# --- interrupted, watched, and not listened to ------------------------------------------------------------------------


def interrupted(words):
    """Ctrl-C once the first epoch is over."""
    with subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as training:
        for line in training.stderr:
            if line.startswith("epoch"):
                training.send_signal(signal.SIGINT)
                break
        out, err = training.communicate(timeout=60)
    return training.returncode, out, err


@pytest.mark.skipif(os.name != "posix", reason="signals are needed")
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["", "json"])
def test_ctrl_c_keeps_the_last_checkpoint(options, away, tiny):
    code, out, err = interrupted(["train", "relu-10", "--data", tiny, "--epochs", 1_000_000, "--out", "run", *options])
    assert code == 130
    assert err.splitlines()[-1] == "byhand: interrupted; to go on: byhand train --resume run"
    assert (the_object(out)["exit_code"] == 130) if options else out == ""
    saved = bh.load("run/model.safetensors")
    assert saved.recipe == "relu-10" and saved.predict(np.zeros((1, 1, 28, 28), np.uint8)).shape == (1, 10)
    assert {path.name for path in Path("run").iterdir()} - {"checkpoint-previous.safetensors"} == {
        "model.safetensors", "config.json", "history.jsonl", "measurements.json", "checkpoint.safetensors"}
    assert json.loads(Path("run/history.jsonl").read_text().splitlines()[0])["epoch"] == 1


def in_a_terminal(words, until=None):
    """The command in a terminal of 80 columns, with Ctrl-C when `until` appears: the exit code and all it wrote."""
    import pty
    import struct
    from fcntl import ioctl
    from termios import TIOCSWINSZ

    ours, its = pty.openpty()
    ioctl(its, TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(command(*words), stdin=its, stdout=its, stderr=its, start_new_session=True,
                          env=os.environ | {"TERM": "xterm-256color"}) as running:
        os.close(its)
        written = b""
        while True:
            try:
                written += os.read(ours, 65536)
            except OSError:  # how Linux says that the other side has left
                break
            if until and until in written:
                running.send_signal(signal.SIGINT)
                until = None
    os.close(ours)
    return running.returncode, written.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="a pseudo-terminal as Linux has it is needed")
@pytest.mark.parametrize("no_color", [False, True], ids=["color", "NO_COLOR"])
def test_a_terminal_sees_a_bar_and_is_left_clean(no_color, away, tiny, monkeypatch):
    monkeypatch.delenv("COLUMNS")
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    code, screen = in_a_terminal(["train", "sigmoid-72-36", "--data", tiny, "--epochs", 300, "--out", "run"])
    assert code == 0
    bars = [part for part in re.split(r"\x1b\[2K|\r|\n", screen) if "samples/s" in part]
    assert any("━" in bar and "loss" in bar and "accuracy" in bar and "left" in bar for bar in bars)
    assert all(len(re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", bar)) <= 80 for bar in bars)
    assert bool(re.search(r"\x1b\[[\d;]*3\dm", screen)) != no_color
    assert screen.count("\x1b[?25l") == screen.count("\x1b[?25h") > 0, "the cursor is there again"
    end = screen[screen.rindex("\x1b[?25h"):]
    assert "━" not in end and "sigmoid-72-36 reads" in end


@pytest.mark.skipif(sys.platform != "linux", reason="a pseudo-terminal as Linux has it is needed")
def test_a_terminal_is_left_clean_by_ctrl_c(away, tiny):
    words = ["train", "relu-10", "--data", tiny, "--epochs", 1_000_000, "--out", "run"]
    code, screen = in_a_terminal(words, until=b"epoch       1/1000000")
    assert code == 130
    assert screen.count("\x1b[?25l") == screen.count("\x1b[?25h") == 1
    assert screen.rstrip().endswith("byhand: interrupted; to go on: byhand train --resume run")
