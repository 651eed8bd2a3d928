"""Fifty runs are killed, some of them over and over, and each ends with the same bits as if nothing had happened."""

import os
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from killing import save, server, train, weights

from byhand.files import latest_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")]

LOOPS = ["step", "update", "time"]
SAVES = ["half a file", "a file without its name", "before a name is given", "after a name is given"]
RECIPES = {  # what is trained, how often it is saved, about how many steps it takes, how often and where it is killed
    "convnet": (["--epochs", "2", "--set", "batch_size=32"], "2", 18, 12, LOOPS + SAVES),
    "mlp": (["--set", "patience=2", "--set", "lr=0.02", "--set", "batch_size=60"], "5", 30, 12, LOOPS + SAVES),
    "numpy-tutorial": (["--epochs", "2"], "80", 480, 10, LOOPS + SAVES),
    "relu-10": (["--epochs", "40"], "4", 40, 10, LOOPS + SAVES),
    "scalar": (["--set", "images=40"], "3", 40, 6, ["image", "time", *SAVES]),
}


@pytest.fixture(scope="module")
def forked():
    """Starts the command in a process of its own."""
    before = dict(os.environ)
    os.environ |= {"BYHAND_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    context = server()

    def start(what, *moment):
        process = context.Process(target=what, args=moment)
        process.start()
        return process

    yield start
    os.environ.clear()
    os.environ.update(before)


def test_fifty_kills():
    assert sum(kills for _, _, _, kills, _ in RECIPES.values()) == 50


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_killed_run_ends_with_the_same_bits(recipe, forked, tiny, tmp_path, record_property):
    settings, every, steps, kills, kinds = RECIPES[recipe]
    words = ["train", recipe, "--data", tiny, "--seed", "5", *settings, "-q", "--checkpoint-every", every, "--out"]
    for name in ("first", "whole"):  # the first may have to compile its kernels, and takes no usual time
        begun = time.perf_counter()
        whole = forked(train, [*words, str(tmp_path / name)])
        whole.join()
        seconds = time.perf_counter() - begun
        assert whole.exitcode == 0
    expected = weights(tmp_path / "whole")
    assert weights(tmp_path / "first") == expected
    assert bool(expected[1][-1]["stopped"]) == (recipe == "mlp"), "which stops early"

    dice, killed, runs = Random(recipe), Counter(), 0
    while killed.total() < kills:
        runs += 1
        folder, before = tmp_path / f"run-{runs}", 0
        for _ in range(min(dice.randint(2, 5), kills - killed.total())):  # that often, one after the other
            kind = kinds[killed.total() % len(kinds)]
            last = seconds if kind == "time" else 14 if kind in SAVES else steps // 2
            moment = dice.uniform(0, last) if kind == "time" else dice.randint(1, last)
            died = kill(forked, kind, moment, command(words, folder))
            killed[kind] += died
            assert not died or before <= reached(folder), f"what was saved before {kind} {moment} is lost"
            before = reached(folder)
        finish(forked, words, folder)
        assert weights(folder) == expected, f"run {runs} after {killed}"
        left = {path.name for path in folder.iterdir()}
        assert not any("checkpoint" in name or name.endswith(".tmp") for name in left)
    record_property("killed", dict(killed))
    print(f"{recipe}: {killed.total()} kills in {runs} runs: {dict(killed)}")


def command(words, folder):
    """To begin, or to go on; again from the start where not even `config.json` was written."""
    if Path(folder, "config.json").exists():
        return ["train", "--resume", str(folder), "-q", *words[words.index("--checkpoint-every"):-1]]
    for left in folder.glob(".*") if folder.exists() else ():
        left.unlink()
    return [*words, str(folder)]


def reached(folder):
    """The step that the folder's last checkpoint knows, all steps if it is finished."""
    state = latest_checkpoint(folder / "checkpoint.safetensors", pytest.fail)
    return state["counters"]["step"] if state else 1e9 * (folder / "result.json").exists()


def kill(forked, kind, moment, words):
    """1 if it was still there to be killed."""
    if kind == "time":
        process = forked(train, words)
        process.join(moment)
        process.kill()
    else:
        process = forked(train, words, kind, moment)
    process.join()
    assert process.exitcode in (0, -9)
    return int(process.exitcode == -9)


def finish(forked, words, folder):
    process = forked(train, command(words, folder))
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize("kind", SAVES)
def test_at_every_moment_of_saving_a_whole_checkpoint_is_there(kind, forked, tmp_path):
    for moment in range(1, 9):
        folder = tmp_path / str(moment)
        folder.mkdir()
        process = forked(save, folder / "checkpoint", 5, kind, moment)
        process.join()
        assert process.exitcode == -9
        done = int((folder / "done").read_text()) if (folder / "done").exists() else 0
        state = latest_checkpoint(folder / "checkpoint", pytest.fail)
        assert (state["number"] if state else 0) in (done, done + 1), f"{kind} {moment}"
