"""`byhand train` in a process that is killed at a chosen moment: by SIGKILL, which nobody can catch.

The processes are forked by a server that has imported everything, so that each begins at once.
"""

import multiprocessing
import os
import signal
from pathlib import Path

PRELOAD = ["byhand.cli", "byhand.callbacks", "byhand.files", "byhand.progress", "byhand.recipes", "byhand.report",
           "byhand.compiled", "killing"]


def server():
    """Where processes come from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def train(words, kind="", number=0, folder=".", said=os.devnull):
    """The command, in the process, in a folder; what it says on standard error goes into a file."""
    from byhand.cli import main

    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    die_at(kind, number)
    main(words)


def save(path, times, kind, number):
    """Checkpoint after checkpoint, numbered from 1; each writes its number into a file of its own when it is done."""
    from byhand.files import save_checkpoint

    die_at(kind, number)
    for time in range(1, times + 1):
        save_checkpoint({"number": time}, path)
        path.with_name("done").write_text(str(time))


def die_at(kind, number):
    """Choose the moment, such as the third time that a step begins."""
    from byhand import scalar

    if kind == "step":  # the gradients are there, the update is not
        replace_steps(in_step(number, before=die))
    elif kind == "update":  # the update is made, and nothing has been counted yet
        replace_steps(in_step(number, after=die))
    elif kind == "image":  # the same for the scalar recipe, which has no optimizer
        scalar.training.step = killing(scalar.training.step, number, before=True)
    elif kind in OBSTACLES:
        replace_steps(in_step(number, before=OBSTACLES[kind]))
    elif kind == "half a file":
        os.fsync = killing(os.fsync, number, before=True, last_act=cut)
    elif kind == "a file without its name":  # or its folder not yet written down
        os.fsync = killing(os.fsync, number)
    elif kind == "before a name is given":
        os.replace = killing(os.replace, number, before=True)
    elif kind == "after a name is given":
        os.replace = killing(os.replace, number)


def killing(function, number, before=False, last_act=lambda *arguments: None):
    """The function, but for the call with this number, which is the last thing that happens."""
    calls = 0

    def deadly(*arguments):
        nonlocal calls
        calls += 1
        try:
            return None if before and calls == number else function(*arguments)
        finally:
            if calls == number:
                last_act(*arguments)
                die()

    return deadly


def die():
    """The last thing that happens."""
    os.kill(os.getpid(), signal.SIGKILL)


RATES = 4  # among the arguments of Learner.stretch, which has a learning rate for each step


def nothing():
    """Happens otherwise."""


def in_step(number, before=nothing, after=nothing):
    """What takes steps, such that something happens in the step with this number, counted from 1: before its update, or
    after it, when nothing has been counted yet. In a stretch of steps, which is one call of compiled kernels, that is
    before or after the whole stretch. Returns classes, names of methods, and what to replace them with."""
    from byhand.kernels.choice import can_compile
    from byhand.optim import Optimizer

    taken = 0

    def acting(function, steps):
        def act(*arguments):
            nonlocal taken
            now = taken < number <= taken + steps(*arguments)
            taken += steps(*arguments)
            if now:
                before()
            result = function(*arguments)
            if now:
                after()
            return result

        return act

    found = [(Optimizer, "step", acting(Optimizer.step, lambda optimizer: 1))]
    if can_compile():
        from byhand.compiled import Learner

        found.append((Learner, "stretch", acting(Learner.stretch, lambda *arguments: len(arguments[RATES]))))
    return found


def replace_steps(found):
    """For good."""
    for owner, name, function in found:
        setattr(owner, name, function)


def limit_files():
    """No file may grow beyond 16 KB: for the one who writes it, as when the disk is full."""
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, 1 << 14))


def fill_disk():
    """Write until there is no room."""
    with open("filler", "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass


def forbid_writing():
    """Take the permission to write into the folder away, and who need not ask for any becomes somebody else."""
    os.chmod("run", 0o555)
    if os.geteuid() == 0:
        os.seteuid(65534)


OBSTACLES = {"limit": limit_files, "full disk": fill_disk, "no permission": forbid_writing}


def cut(descriptor):
    """Only half of the file has come to the disk. (A folder cannot be cut.)"""
    if not os.path.isdir(f"/proc/self/fd/{descriptor}"):
        os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)


def weights(folder):
    """All that a run ends with, but for the time that it took: the file of the model, the history and the result."""
    import json

    history = [json.loads(line) for line in Path(folder, "history.jsonl").read_text().splitlines()]
    result = json.loads(Path(folder, "result.json").read_text())
    timed = {"seconds", "train_seconds", "total_seconds", "samples_per_second", "run", "model", "report", "resumed"}
    return (Path(folder, "model.safetensors").read_bytes(),
            [{name: value for name, value in facts.items() if name not in timed} for facts in [*history, result]])
