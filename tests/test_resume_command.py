"""`byhand train --resume`: goes on, refuses to go on with something else, and says what it does."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from command_line import command, process, the_object
from killing import in_step, weights

import byhand as bh
import byhand.recipes.run
from byhand.atomic import alone_in

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are needed")
WORDS = ["train", "mlp", "--epochs", 4, "--set", "batch_size=60", "--seed", 3]


@pytest.fixture
def ctrl_c(here, monkeypatch):
    """The command with Ctrl-C in one of its steps, counted from 1."""
    def run(step, *words):
        with monkeypatch.context() as patch:
            for owner, name, function in in_step(step, after=lambda: os.kill(os.getpid(), signal.SIGINT)):
                patch.setattr(owner, name, function)
            code, out, err = here(*words)
        assert (code, out) == (130, "")
        return err.splitlines()[-1]

    return run


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where runs are kept for the next test that wants such ones."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def begun(ctrl_c, here, tiny, kept):
    """A run that was interrupted in its 7th step, which is in the second epoch, and beside it one that was not."""
    if not any(kept.iterdir()):
        said = ctrl_c(7, *WORDS, "--data", tiny, "--out", "run")
        assert said == "byhand: interrupted; to go on: byhand train --resume run"
        assert here(*WORDS, "--data", tiny, "--out", "whole", "-q")[0] == 0
        for name in ("run", "whole"):
            shutil.copytree(name, kept / name)
    shutil.copytree(kept, ".", dirs_exist_ok=True)
    return Path("run")


def test_it_goes_on_to_the_same_end(begun, here):
    assert {path.name for path in begun.glob("checkpoint*")} == {
        "checkpoint.safetensors", "checkpoint-previous.safetensors"}
    code, out, err = here("train", "--resume", "run")
    assert code == 0 and out.startswith("mlp reads ")
    assert "Going on from run/checkpoint.safetensors.\n" in err
    assert re.findall(r"epoch (\d)/4", err) == ["2", "3", "4"]
    assert weights("run") == weights("whole")
    assert {path.name for path in begun.iterdir()} == {path.name for path in Path("whole").iterdir()}
    results = [json.loads(Path(folder, "result.json").read_text()) for folder in ("run", "whole")]
    assert [result["resumed"] for result in results] == [True, False]


def test_a_finished_run_says_so_and_tells_its_result_again(begun, here):
    first = the_object(here("train", "--resume", "run", "--json")[1])
    before = {path: path.stat().st_mtime_ns for path in begun.iterdir()}
    (begun / "checkpoint.safetensors").write_bytes(b"left by a process that was killed after its work was done")
    (begun / ".result.json.0123.tmp").write_bytes(b"half")
    code, out, err = here("train", "--resume", "run", "--json")
    assert (code, err) == (0, "The run run is finished; this is its result.\n") and the_object(out) == first
    assert {path: path.stat().st_mtime_ns for path in begun.iterdir()} == before
    begun.rename("elsewhere")
    moved = the_object(here("train", "--resume", "elsewhere", "--json")[1])
    assert moved == first | {"run": "elsewhere", "model": "elsewhere/model.safetensors",
                             "report": "elsewhere/report.html"}


def test_what_was_said_then_may_be_said_again(begun, here, tiny):
    again = Path("run").absolute()  # a path may be said in several ways
    code, _, err = here(*WORDS, "--data", tiny, "--out", again, "--resume", "run", "--checkpoint-every", "5s")
    assert code == 0 and "since the run" not in err
    assert weights("run") == weights("whole")


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="this system has no locks on folders")
def test_two_do_not_go_on_with_one_run(begun, here):
    before = {path: path.read_bytes() for path in begun.iterdir()}
    with alone_in("run"):
        code, out, err = here("train", "--resume", "run", "--json")
    sentence = "another process is at work in run; let it come to its end first, or stop it."
    assert (code, err) == (1, f"byhand: {sentence}\n") and the_object(out)["error"] == sentence
    assert {path: path.read_bytes() for path in begun.iterdir()} == before
    assert here("train", "--resume", "run", "-q")[0] == 0 and weights("run") == weights("whole")


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="this system has no locks on folders")
def test_nobody_goes_on_with_a_run_that_is_going_on(here, tiny, monkeypatch):
    said, usual = [], byhand.recipes.run.evaluate

    def meanwhile(*arguments, **options):
        said.append(process("train", "--resume", "run"))
        return usual(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(byhand.recipes.run, "evaluate", meanwhile)
        assert here("train", "relu-10", "--data", tiny, "--epochs", 1, "--out", "run", "-q")[0] == 0
    assert said and {code for code, _, _ in said} == {1} and "another process is at work in run" in said[0][2]


def test_before_the_first_checkpoint_it_begins_again(begun, here):
    for name in ("checkpoint.safetensors", "checkpoint-previous.safetensors", "model.safetensors", "history.jsonl"):
        (begun / name).unlink()
    code, _, err = here("train", "--resume", "run")
    assert code == 0 and "run has no checkpoint yet: beginning again.\n" in err
    assert weights("run") == weights("whole")


def test_several_seeds(ctrl_c, here, tiny, capsys):
    words = ["train", "relu-10", "--data", tiny, "--epochs", 6, "--seeds", 3, "--seed", 5]
    whole = the_object(here(*words, "--out", "whole", "--json", "-q")[1])
    assert "to go on: byhand train --resume 'a run'" in ctrl_c(9, *words, "--out", "a run")  # in the second one
    first = Path("a run", "seed-5", "model.safetensors").stat().st_mtime_ns
    assert not Path("a run", "seed-7").exists()
    code, out, err = here("train", "--resume", "a run", "--json")
    assert code == 0 and "The run a run/seed-5 is finished; this is its result.\n" in err
    assert Path("a run", "seed-5", "model.safetensors").stat().st_mtime_ns == first
    result = the_object(out)
    assert [run["resumed"] for run in result["runs"]] == [False, True, False]
    assert result["test_accuracy"] == whole["test_accuracy"] and result["test_sd"] == whole["test_sd"]
    for seed in (5, 6, 7):
        assert weights(f"a run/seed-{seed}") == weights(f"whole/seed-{seed}")


def test_killed_in_a_shell(away, tiny):
    """Not forked and not in this process: the command as people use it."""
    words = ["train", "relu-10", "--data", tiny, "--epochs", 1500, "--seed", 1, "--checkpoint-every", 100, "--out"]
    assert process(*words, "whole")[0] == 0
    with subprocess.Popen(command(*words, "run"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as training:
        next(line for line in training.stderr if line.startswith(b"epoch  225/"))
        training.kill()
    assert training.returncode == -signal.SIGKILL
    code, _, err = process("train", "--resume", "run")
    assert code == 0 and "Going on from run/checkpoint.safetensors." in err and "epoch  150/" not in err
    assert weights("run") == weights("whole")


# --- what has changed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "said"), [
    (["lenet"], "began with recipe mlp, and cannot go on with recipe lenet; leave that out, or begin another run"),
    (["--seed", 4], "began with seed 3, and cannot go on with seed 4"),
    (["--seeds", 2], "began with seeds 1, and cannot go on with seeds 2"),
    (["--epochs", 5], "began with epochs 4, and cannot go on with epochs 5"),
    (["--set", "lr=0.5"], "began with lr 0.002, and cannot go on with lr 0.5"),
    (["--set", "nope=1"], "has no setting 'nope'"),
    (["--out", "other"], "began with out run, and cannot go on with out other"),
    (["--data", "mini"], "began with other data than there is now in .*: its SHA-256 differs"),
    (["--data", "nowhere"], "the data of the run run, tiny, was read from .*nowhere.*say where it is with --data"),
])
def test_another_run_is_not_this_one(words, said, begun, here):
    before = {path: path.read_bytes() for path in begun.iterdir()}
    code, out, err = here("train", *words, "--resume", "run", "-q")
    assert (code, out) == (2, "") and re.search(said, err.splitlines()[-1])
    assert {path: path.read_bytes() for path in begun.iterdir()} == before and not Path("other").exists()


def test_the_data_is_known_by_its_content(begun, here, tiny):
    shutil.copytree(tiny, "copy")
    config = json.loads((begun / "config.json").read_text())
    (begun / "config.json").write_text(json.dumps(config | {"source": str(Path("gone").absolute())}))
    code, _, err = here("train", "--resume", "run", "-q")
    assert code == 1 and re.search("the data of the run run, tiny, was read from .*gone and is needed again .*; say "
                                   "where it is with --data", err)
    assert here("train", "--resume", "run", "--data", "copy", "-q")[0] == 0
    assert weights("run") == weights("whole")


def test_data_that_has_changed_is_refused(begun, here, tiny):
    shutil.copytree(tiny, "copy")
    train = bh.data.load("copy").train
    labels = train.targets.astype("uint8")
    labels[17] = 9 - labels[17]
    (Path("copy") / "train-labels-idx1-ubyte.gz").unlink()
    bh.data.write_idx("copy/train-labels-idx1-ubyte", labels)
    config = json.loads((begun / "config.json").read_text())
    (begun / "config.json").write_text(json.dumps(config | {"source": str(Path("copy").absolute())}))
    code, _, err = here("train", "--resume", "run", "-q")
    assert code == 1 and "the run run began with other data than there is now in" in err


def test_other_versions_are_named(begun, here):
    config = json.loads((begun / "config.json").read_text())
    was = {"numpy": "1.26.4", "byhand": "0.0.9", "code_sha256": "0", "python": "3.9.1", "machine": "vax", "blas": "mkl"}
    (begun / "config.json").write_text(json.dumps(config | was))
    code, _, err = here("train", "--resume", "run")
    assert code == 0 and len(re.findall("since the run", err)) == len(was)
    for said in (r"numpy was 1\.26\.4 and is \S+ since the run run began: it goes on, but may end with other last bits",
                 r"byhand was 0\.0\.9 and is 0\.1\.0 since", "byhand's code has changed since the run run began",
                 "python was 3.9.1 and is", "machine was vax and is", "blas was mkl and is"):
        assert re.search(said, err)
    assert here("train", "--resume", "run")[2] == "The run run is finished; this is its result.\n"


def test_what_several_seeds_began_with_is_not_forgotten(ctrl_c, here, tiny):
    ctrl_c(2, "train", "relu-10", "--data", tiny, "--epochs", 3, "--seeds", 2, "--out", "run")
    path = Path("run", "config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"numpy": "1.26.4"}))
    before = path.read_text()
    for step in (1, 2):
        assert ctrl_c(step, "train", "--resume", "run") == "byhand: interrupted; to go on: byhand train --resume run"
        assert path.read_text() == before
    assert "numpy was 1.26.4" in here("train", "--resume", "run")[2]


def test_it_takes_as_many_threads_as_it_had(begun, here, monkeypatch):
    config = json.loads((begun / "config.json").read_text())
    (begun / "config.json").write_text(json.dumps(config | {"threads": 2}))
    threads = bh.get_num_threads()
    try:
        assert "threads was 2 and is 1 since the run" in here("train", "--resume", "run", "--threads", 1)[2]
        (begun / "result.json").unlink()
        monkeypatch.delenv("BYHAND_NUM_THREADS")
        err = here("train", "--resume", "run")[2]
        assert ", 2 threads, " in err and "since the run" not in err
    finally:
        bh.set_num_threads(threads)


@pytest.mark.parametrize("every", ["0", "-1", "1.5", "s", "30m", "", "1e3", "ten", "99999999999"])
def test_how_often_to_save_needs_a_number(every, here):
    code, _, err = here("train", "--data", "mini", "--checkpoint-every", every)
    assert code == 2 and "is neither a number of steps, such as 100, nor of seconds, such as 30s" in err


# --- what cannot be gone on with --------------------------------------------------------------------------------------


def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(begun, here):
    path = begun / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    code, _, err = here("train", "--resume", "run")
    assert code == 0 and re.search(r"run/checkpoint\.safetensors is not a safetensors file, or is damaged .* The one "
                                   "before it is whole, and takes its place\\.", err)
    assert weights("run") == weights("whole")


def test_where_none_is_whole_nothing_is_changed(begun, here):
    for name in ("checkpoint.safetensors", "checkpoint-previous.safetensors"):
        (begun / name).write_bytes(b"")
    before = {path: path.read_bytes() for path in begun.iterdir()}
    code, out, err = here("train", "--resume", "run", "--json")
    assert code == 1 and the_object(out)["error"].startswith("run/checkpoint.safetensors is not a safetensors file")
    assert {path: path.read_bytes() for path in begun.iterdir()} == before and "Traceback" not in err


def test_the_checkpoint_of_another_run_is_refused(begun, here, tiny, ctrl_c):
    ctrl_c(7, *WORDS, "--data", tiny, "--set", "batch_size=50", "--out", "other")
    shutil.copy("other/checkpoint.safetensors", "run/checkpoint.safetensors")
    before = {path: path.read_bytes() for path in begun.iterdir()}
    code, _, err = here("train", "--resume", "run", "-q")
    assert (code, err) == (1, "byhand: this checkpoint does not fit this run: it is of a run with 6 batches, and this "
                              "one has 5.\n")
    assert {path: path.read_bytes() for path in begun.iterdir()} == before


@pytest.mark.parametrize(("change", "said"), [
    (None, "run is not a run folder: it has no config.json"), ("", "run/config.json does not describe a run"),
    ("{", "Expecting property name"), ("[]", "does not describe a run that could go on"), ("7", "does not describe"),
    ('{"seed": 1, "seed": 2}', "the key 'seed' stands twice"), ("[" * 100_000, "nested too deep"), ("\xff", "utf-8"),
    ({"recipe": "nope"}, "there is no recipe 'nope'"), ({"recipe": 7}, "does not describe a run"),
    ({"settings": []}, "does not describe"), ({"settings": {"nope": 1}}, "has no setting 'nope'"),
    ({"settings": {"lr": "quick"}}, "lr needs a number, got 'quick'"), ({"seed": -1}, "its seed, seeds and threads"),
    ({"seed": 1.5}, "its seed, seeds and threads"), ({"seeds": 0}, "its seed"), ({"threads": 0}, "its seed"),
    ({"threads": None}, "its seed"), ({"data_sha256": None}, "it does not say what data it began with"),
    ({"source": 7}, "it does not say what data"), ({"source": "a\0b"}, "say where it is with --data"),
    ({"dataset": "gone", "source": "gone"}, "was read from gone and is needed again"),
])
def test_a_folder_that_is_no_run_to_go_on_with(change, said, begun, here):
    path = begun / "config.json"
    config = json.loads(path.read_text())
    if isinstance(change, dict):
        path.write_text(json.dumps(config | change))
    elif change is None:
        path.unlink()
    else:
        path.write_text(change, encoding="latin-1")
    before = {path: path.read_bytes() for path in begun.iterdir()}
    code, out, err = here("train", "--resume", "run", "-q")
    assert (code, out) == (1, "") and re.search(said, err) and err.startswith("byhand: ") and err.count("\n") == 1
    assert {path: path.read_bytes() for path in begun.iterdir()} == before


def test_a_run_of_an_older_byhand_is_left_alone(begun, here):
    config = json.loads((begun / "config.json").read_text())
    del config["data_sha256"]
    (begun / "config.json").write_text(json.dumps(config))
    assert "(it lacks 'data_sha256')" in here("train", "--resume", "run")[2]


@pytest.mark.parametrize(("folder", "code", "said"), [("nowhere", 1, "nowhere is not a run folder"),
                                                      ("text", 2, "is a file")])
def test_no_folder(folder, code, said, here):
    Path("text").write_text("text")
    found, _, err = here("train", "--resume", folder)
    assert found == code and said in err and not Path("nowhere").exists()


def test_a_damaged_result_is_named(begun, here):
    (begun / "result.json").write_text("{")
    code, _, err = here("train", "--resume", "run", "-q")
    assert code == 1
    assert re.fullmatch(r"byhand: run/result\.json is damaged .*; without it the run would be made again\.\n", err)
