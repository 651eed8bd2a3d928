"""What all tests share: one seed, Hypothesis without a stopwatch, the same examples every time, the command, and the
kernels that have been compiled."""

import os
import re
import signal
from pathlib import Path

import digit_model
import markdown
import numpy as np
import platformdirs
import pytest
from hypothesis import settings
from kernel_arrays import threads
from kernel_processes import Processes

import byhand as bh
from byhand.cli import main
from byhand.data import write_idx
from byhand.data.published import FILES

settings.register_profile("byhand", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("byhand")
# Most tests of the command are far from the user's cache. From the one with compiled kernels they need not be far.
os.environ.setdefault("BYHAND_CACHE", str(Path(platformdirs.user_cache_dir("byhand"), "kernels")))
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background deaf to Ctrl-C, and the commands that tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of its own for each test, with the same seed."""
    return np.random.default_rng(0)


@pytest.fixture
def two_threads():
    """Two threads for the arithmetic."""
    with threads(2):
        yield


@pytest.fixture
def compiled_kernels(monkeypatch):
    """The compiled kernels, whatever the environment says: in other threads and processes too."""
    monkeypatch.setenv("BYHAND_KERNELS", "jit")


@pytest.fixture
def processes(tmp_path):
    """Processes with small kernels of their own, and an empty folder for what they compile."""
    return Processes(tmp_path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a small data set: 300 + 100 digits."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    folder.mkdir()
    mini = bh.data.load("mini")
    arrays = (mini.train.inputs[:300, 0], mini.train.targets[:300].astype(np.uint8),
              mini.test.inputs[:100, 0], mini.test.targets[:100].astype(np.uint8))
    for file, array in zip(FILES, arrays, strict=True):
        write_idx(folder / f"{file}.gz", array)
    return str(folder)


@pytest.fixture(scope="session")
def digits_model(tmp_path_factory):
    """The file of a small model that reads digits."""
    path = tmp_path_factory.mktemp("model") / "digits.safetensors"
    digit_model.train_and_save(path)
    return path


@pytest.fixture
def away(tmp_path, monkeypatch):
    """An empty folder, offline, with an empty cache, 80 columns and one thread."""
    settings = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "COLUMNS": "80", "BYHAND_NUM_THREADS": "1",
                "PYTHONPATH": str(Path(bh.__file__).parents[1]), "PYTHONUTF8": "1"}
    for name, value in (markdown.OFFLINE | settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def here(away, capsys):
    """The command in this process: its words to its exit code, standard output and standard error. Whatever it says
    when it fails, and that is all the tables of bad input, is a whole sentence, or ends in a command to copy."""
    def run(*words):
        with pytest.raises(SystemExit) as leaving:
            main(list(map(str, words)))
        said = capsys.readouterr()
        if leaving.value.code:
            assert re.search(r"^byhand: .*([.?]|: byhand .*)\n\Z", said.err, re.MULTILINE), said.err
        return leaving.value.code, said.out, said.err

    return run
