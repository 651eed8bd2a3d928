"""A full disk, or a folder that must not be written to, in the middle of a run: the old checkpoint stays, one sentence
says what is wrong, and when there is room again the run goes on to the same end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from killing import server, train, weights

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")
REASONS = {"limit": "File too large", "full disk": "No space left on device", "no permission": "Permission denied"}


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of one megabyte, and how it is filled; where mounting is not allowed, files are limited."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    yield folder, "full disk" if mounted else "limit"
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


def run(words, *moment):
    process = server().Process(target=train, args=([*map(str, words)], *moment))
    process.start()
    process.join()
    return process.exitcode


def goes_on(folder, obstacle, data):
    """Train in a folder where from the 12th step on nothing can be written; then remove what is in the way."""
    said = folder.parent / "said"
    words = ["train", "relu-10", "--data", data, "--epochs", 30, "--threads", 1, "--checkpoint-every", 5, "--out"]
    assert run([*words, folder.parent / "whole"]) == 0
    assert run([*words, "run"], obstacle, 12, folder, said) == 1
    text = " ".join(said.read_text().split())
    assert text.count("Training goes on") == 1
    assert (f"run/model.safetensors cannot be written: {REASONS[obstacle]}. Training goes on, without a new checkpoint "
            "until that can be written.") in text
    file = "model.safetensors" if obstacle == "limit" else "history.jsonl"  # the first that is in the way
    assert text.endswith(f"byhand: run/{file} cannot be written: {REASONS[obstacle]}. What was learned until the last "
                         "checkpoint is there; when it can be written again: byhand train --resume run")
    left = {path.name for path in Path(folder, "run").iterdir()}
    assert left >= {"config.json", "history.jsonl", "model.safetensors", "checkpoint.safetensors",
                    "checkpoint-previous.safetensors"}
    assert not any(name.endswith(".tmp") for name in left)

    os.chmod(folder / "run", 0o755)
    (folder / "filler").unlink(missing_ok=True)
    assert run(["train", "--resume", "run"], "", 0, folder, said) == 0
    assert "Going on from run/checkpoint.safetensors." in said.read_text()
    assert weights(folder / "run") == weights(folder.parent / "whole")


def test_a_full_disk(small_disk, tiny):
    goes_on(*small_disk, tiny)


@pytest.mark.parametrize("obstacle", ["limit", "no permission"])
def test_files_that_cannot_be_written(obstacle, tmp_path, tiny):
    (tmp_path / "here").mkdir()
    goes_on(tmp_path / "here", obstacle, tiny)
