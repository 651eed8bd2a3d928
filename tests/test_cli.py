"""The command: results on one side and notices on the other, an exit code that is right, and errors in one sentence."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import markdown
import numpy as np
import pytest

import byhand as bh
from byhand import scalar
from byhand.cli import main
from byhand.data import write_idx
from byhand.data.published import FILES
from byhand.files.scalar_json import write_scalar_json

PROMISED = {"version", "recipe", "dataset", "train_samples", "seed", "epochs", "parameters", "train_accuracy",
            "validation_accuracy", "test_accuracy", "test_interval", "train_seconds", "total_seconds",
            "samples_per_second", "kernels", "threads", "run", "model"}


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
    """The command in this process: its words to its exit code, standard output and standard error."""
    def run(*words):
        with pytest.raises(SystemExit) as leaving:
            main(list(map(str, words)))
        said = capsys.readouterr()
        return leaving.value.code, said.out, said.err

    return run


def command(*words):
    return [sys.executable, "-m", "byhand", *map(str, words)]


def process(*words, **options):
    """The command in a process of its own, as a shell runs it."""
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=120, **options)
    return done.returncode, done.stdout, done.stderr


def the_object(text):
    """The one JSON object that is all of a text."""
    found, end = json.JSONDecoder().raw_decode(text)
    assert text[end:] == "\n" and isinstance(found, dict)
    return found


# --- train ------------------------------------------------------------------------------------------------------------


def test_results_and_notices_are_kept_apart(away, tiny):
    code, out, err = process("train", "relu-10", "--data", tiny, "--epochs", 2, "--out", "run")
    assert code == 0
    assert re.fullmatch(r"relu-10 reads [\d.]+ % \(95 % interval [\d.]+ to [\d.]+ %\) of the 100 test images of tiny "
                        r"right, after [\d.]+ s of training\.\nThe model is in run/model\.safetensors\n", out)
    for said in ("relu-10: 784-10-10", "tiny: 240 training, 60 validation and 100 test images", "7,960 parameters",
                 "2 epochs, all images in one batch, 1 thread, NumPy kernels", "epoch 1/2  loss", "epoch 2/2  loss"):
        assert said in err
    assert "\x1b" not in err and "\r" not in err, "there is no terminal, so there is no bar and no color"
    assert max(map(len, err.splitlines())) <= 80
    assert {path.name for path in (away / "run").iterdir()} == {"model.safetensors", "config.json", "history.jsonl",
                                                                "model-card.md"}


def test_json_is_one_object_and_quiet_is_quiet(away, tiny):
    code, out, err = process("train", "mlp", "--data", tiny, "--epochs", 1, "--seed", 7, "--threads", 1, "--json", "-q")
    result = the_object(out)
    assert (code, err) == (0, "") and result.keys() >= PROMISED
    assert (result["recipe"], result["dataset"], result["seed"], result["epochs"]) == ("mlp", "tiny", 7, 1)
    assert (result["kernels"], result["threads"], result["version"]) == ("numpy", 1, 1)
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


# --- errors -----------------------------------------------------------------------------------------------------------

FAILURES = [
    (["train", "fats"], 2, "there is no recipe 'fats'; there are .* Did you mean fast?"),
    (["train", "--data", "mnits"], 1, "there is no data set and no folder 'mnits'.* did you mean mnist"),
    (["train", "--data", "."], 1, "the folder . has no train-images-idx3-ubyte"),
    (["train", "--data", "fashion-mnits"], 1, "did you mean fashion-mnist"),
    (["train", "--data", "mini", "--set", "learning_rate=1"], 2, "the recipe fast has no setting 'learning_rate'"),
    (["train", "--data", "mini", "--set", "lr=quick"], 2, "lr needs a number, got 'quick'"),
    (["train", "mlp", "--data", "mini", "--set", "dropout=2"], 1, "Dropout needs a probability"),
    (["train", "--data", "mini", "--set", "lr"], 2, "--set needs KEY=VALUE, got 'lr'"),
    (["train", "--data", "mini", "--set", "=1"], 2, "--set needs KEY=VALUE, got '=1'"),
    (["train", "--data", "mini", "--out", "full"], 1, "the run folder full is not empty"),
    (["train", "--data", "mini", "--out", "full/text"], 2, "is a file"),
    (["train", "--data", "mini", "--out", "full/text/run"], 1, "cannot use full/text/run: Not a directory"),
    (["train", "--epochs", "0"], 2, "'--epochs'"),
    (["train", "--seeds", "0"], 2, "'--seeds'"),
    (["train", "--seed", "-1"], 2, "'--seed'"),
    (["train", "--threads", "0"], 2, "'--threads'"),
    (["train", "--threads", "two"], 2, "'--threads'"),
    (["train", "--kernels", "jit"], 2, "'--kernels'"),
    (["train", "fast", "slow"], 2, "unexpected extra argument"),
    (["train", "--nope"], 2, "No such option"),
    (["trian"], 2, "No such command 'trian'"),
    (["data"], 2, "Missing command|No such option '--json'"),
    (["evaluate"], 2, "Missing argument 'MODEL'"),
    (["evaluate", "missing.safetensors"], 1, "there is no model file missing.safetensors"),
    (["evaluate", "full"], 1, "there is no model file full"),
    (["evaluate", "full/text"], 1, "full/text is not a safetensors file"),
    (["evaluate", "full/list.json"], 1, "full/list.json is not a scalar network"),
    (["data", "fetch", "mini-mnist"], 1, "is not a data set to fetch"),
    (["data", "fetch"], 1, "mnist cannot be had"),
    (["data", "info", "nowhere"], 1, "there is no data set and no folder 'nowhere'"),
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
    assert err.splitlines()[-1] == "byhand: interrupted; the last checkpoint is run/model.safetensors."
    assert (the_object(out)["exit_code"] == 130) if options else out == ""
    saved = bh.load("run/model.safetensors")
    assert saved.recipe == "relu-10" and saved.predict(np.zeros((1, 1, 28, 28), np.uint8)).shape == (1, 10)
    assert {path.name for path in Path("run").iterdir()} == {"model.safetensors", "config.json", "history.jsonl"}
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
    assert screen.rstrip().endswith("byhand: interrupted; the last checkpoint is run/model.safetensors.")


@pytest.mark.skipif(os.name != "posix", reason="a shell with pipes is needed")
@pytest.mark.parametrize("words", ["recipes", "recipes --json", "data info mini", "--help"])
def test_nobody_need_listen_to_the_end(words, away):
    done = subprocess.run(["bash", "-c", f'"{sys.executable}" -m byhand {words} | head -c 1; exit ${{PIPESTATUS[0]}}'],
                          capture_output=True, text=True, timeout=60)
    assert (len(done.stdout), done.stderr) == (1, "") and done.returncode in (0, 1)


# --- the other commands -----------------------------------------------------------------------------------------------


def test_a_saved_model_is_evaluated(here, tiny):
    here("train", "relu-10", "--data", tiny, "--epochs", 1, "--out", "run", "-q")
    trained = json.loads(here("evaluate", "run/model.safetensors", "--data", tiny, "--json")[1])
    saved = bh.load("run/model.safetensors").metrics
    assert trained["test_accuracy"] == saved["test_accuracy"] and trained["test_interval"] == saved["test_interval"]
    assert (trained["kind"], trained["dataset"], trained["test_samples"]) == ("relu-10", "tiny", 100)
    code, out, err = here("evaluate", "run/model.safetensors", "--data", "mini")
    assert code == 0 and err == ""
    assert re.fullmatch(r"run/model\.safetensors \(relu-10\) reads [\d.]+ % of the 1,000 test images of mini right "
                        r"\(95 % interval [\d.]+ to [\d.]+ %\)\.\n", out)


def test_a_model_of_two_classes_is_asked_for_those_only(here, tiny):
    here("train", "binary-zero-one", "--data", tiny, "--epochs", 2, "--out", "run", "-q")
    result = the_object(here("evaluate", "run/model.safetensors", "--data", "mini", "--json")[1])
    assert result["test_samples"] == 200


@pytest.mark.parametrize(("pixels", "note"), [(784, ""), (728, " It looks at the first 728 of 784 pixels.")])
def test_a_scalar_network_is_evaluated(pixels, note, here, tiny):
    net = scalar.Net([pixels, 10, 10], Random(0))
    write_scalar_json(net, "net.wt")
    code, out, _ = here("evaluate", "net.wt", "--data", tiny)
    assert code == 0 and out.startswith("net.wt (scalar network) reads ") and out.endswith(f" %).{note}\n")
    test = bh.data.load(tiny).test
    answers = scalar.predict(net, [scalar.pixels(image, pixels) for image in test.inputs.reshape(100, -1).tolist()])
    facts = the_object(here("evaluate", "net.wt", "--data", tiny, "--json")[1])
    assert facts["correct"] == sum(answers == test.targets)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"classes": ("cat", "dog", *"01234567")}, None),
    ({"classes": tuple("abcdefghij")}, "knows the classes a, b, c, .*, and tiny has none of them"),
    ({"input_shape": (1, 8, 8)}, r"reads inputs of shape \(1, 8, 8\), and those of tiny have shape \(1, 28, 28\)"),
])
def test_a_model_that_does_not_fit_the_data(change, sentence, here, tiny, rng):
    model = bh.nn.Sequential(bh.nn.Flatten(), bh.nn.Linear(784, 10, rng))
    bh.save(model, "model", **{"input_shape": (1, 28, 28), "classes": tuple("0123456789")} | change)
    code, out, err = here("evaluate", "model", "--data", tiny)
    assert code == (1 if sentence else 0)
    if sentence:
        assert out == "" and re.search(sentence, err)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_recipes_and_the_data_can_be_read_in_any_terminal(columns, here, tiny, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    for words in (["recipes"], ["data", "info", "mini"], ["data", "info", tiny]):
        code, out, err = here(*words)
        assert (code, err) == (0, "") and max(map(len, out.splitlines())) <= columns
        assert not re.search(r"[\[\]{}]", out), "no lists, no dicts"


def test_the_recipes_as_data(here):
    rows = the_object(here("recipes", "--json")[1])["recipes"]
    assert [row["recipe"] for row in rows] == [recipe.name for recipe in bh.recipes.RECIPES]


def test_what_is_in_a_data_set(here, tiny):
    code, out, _ = here("data", "info", tiny)
    assert code == 0
    for said in ("tiny\ntraining    300 images\ntest        100 images\n", "1 x 28 x 28", "none of the published sets"):
        assert said in out
    facts = the_object(here("data", "info", "mini", "--json")[1])
    assert (facts["version"], facts["train_samples"], facts["train_counts"]) == (1, 5000, [500] * 10)
    assert len(facts["sha256"]) == 4


def test_a_data_set_is_fetched(here):
    folder = Path(the_object(here("data", "fetch", "mini", "--json")[1])["folder"])
    assert len(list(folder.glob("*.gz"))) == 4
    assert here("data", "fetch", "mini") == (0, f"mini is in {folder}\n", "")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help(words, here):
    code, out, err = here(*words)
    assert (code, err) == (0, "") and out.startswith("Usage: byhand")
    assert all(name in out for name in ("train", "recipes", "evaluate", "data"))
    assert "..." not in out.split("Commands:")[1], "every command is told in a line"


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_help_has_examples(name, here):
    code, out, _ = here(name, "--help")
    assert code == 0 and out.count(f"\n    byhand {name}") >= 2 and max(map(len, out.splitlines())) <= 80


def test_the_version(here):
    assert here("--version") == (0, f"byhand, version {bh.__version__}\n", "")
