"""Machine code that many processes and threads want at once, and who is told that it is being made."""

import os
import sys
from io import StringIO

import pytest
from kernel_processes import BEGIN, USED, told, whole

from byhand.kernels.compiling import SENTENCE, Watcher, watched_by

numba = pytest.importorskip("numba")

# --- many at once -----------------------------------------------------------------------------------------------------

READY = BEGIN + """
print("ready", flush=True)
sys.stdin.readline()
x = numbers(os.environ["KIND"])
quadruple(x)
tell(x.tolist(), str(x.dtype))
"""


def test_processes_that_compile_at_once_do_not_hurt_each_other(processes):
    kinds = ["float32", "float64", "float32", "float64"]
    begun = [processes.begin(READY, KIND=kind) for kind in kinds]
    for process in begun:
        assert process.stdout.readline() == "ready\n"
    for process in begun:
        process.stdin.write("go\n")
        process.stdin.flush()
    for kind, process in zip(kinds, begun, strict=True):
        seen, err = told(process)
        assert seen["result"] == [USED[1], kind] and err == ""
    files = processes.files()
    assert len(files) == 4 and all(map(whole, files)), "two kernels for two kinds, and nothing half done"
    for kind in ("float32", "float64"):
        program = READY.replace("sys.stdin", "import io; io.StringIO()")
        assert processes.run(program, KIND=kind)[0] == {"compiled": 0, "found": 1, "result": [USED[1], kind]}


THREADS = BEGIN + """
arrays = [numbers(("float32", "float64")[i % 2]) for i in range(8)]
together = threading.Barrier(8)
def work(x):
    together.wait()
    for _ in range(100):
        quadruple(x)
        x /= 4
    double(x)
begun = [threading.Thread(target=work, args=[x]) for x in arrays]
for thread in begun: thread.start()
for thread in begun: thread.join()
tell(*(x.tolist() for x in arrays))
"""


def test_threads_may_call_kernels_at_once(processes):
    assert processes.run(THREADS)[0] == {"compiled": 4, "found": 0, "result": [USED[0]] * 8}
    assert processes.run(THREADS)[0] == {"compiled": 0, "found": 4, "result": [USED[0]] * 8}


FORK = BEGIN + """
import multiprocessing
from byhand.kernels.threads import team

def in_two_threads(kind):
    arrays = [numbers(kind), numbers(kind)]
    team.share(2, lambda thread, threads: quadruple(arrays[thread]))
    return [x.tolist() for x in arrays]

here = in_two_threads("float32")
with multiprocessing.get_context("fork").Pool(3) as pool:
    there = pool.map(in_two_threads, ["float32", "float64"] * 3)
tell(here, *there)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_after_a_fork_the_child_has_kernels_and_threads(processes):
    assert processes.run(FORK, BYHAND_NUM_THREADS="2")[0]["result"] == [[USED[1]] * 2] * 7
    assert all(map(whole, processes.files()))


FORK_MEANWHILE = BEGIN + """
class Signal(Watcher):
    def begins(self, kernel):
        compiling.set()

compiling = threading.Event()
with watched_by(Signal()):
    thread = threading.Thread(target=quadruple, args=[numbers("float64")])
    thread.start()
    compiling.wait()
    child = os.fork()
    if not child:
        x = numbers()
        double(x)
        os._exit(x.tolist() != [0, 2, 4, 6, 8])
    thread.join()
    tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_while_another_thread_compiles(processes):
    assert processes.run(FORK_MEANWHILE)[0]["result"] == [0]


# --- who is told ------------------------------------------------------------------------------------------------------


class Terminal(StringIO):
    """Somebody looks at it."""

    def isatty(self):
        return True


def test_on_a_terminal_one_line_says_why_one_waits(monkeypatch):
    for stream, said in ((Terminal(), f"{SENTENCE}\n"), (StringIO(), "")):
        monkeypatch.setattr(sys, "stderr", stream)
        watcher = Watcher()
        for kernel in ("one", "another"):
            watcher.begins(kernel)
            watcher.ends(kernel)
        assert stream.getvalue() == said and watcher.compiled == 2


def test_nobody_need_be_there_to_be_told(monkeypatch):
    closed = Terminal()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stderr", stream)
        watcher = Watcher()
        watcher.loses("a kernel", "there is no room.")
        assert watcher.lost == "there is no room."


def test_what_others_compile_is_their_business():
    watcher = Watcher()
    with watched_by(watcher):
        assert numba.njit(lambda x: x + 1)(1) == 2
    assert (watcher.compiled, watcher.found) == (0, 0)


def test_only_the_innermost_watcher_is_told(processes):
    program = BEGIN + """
first, second = Watcher(), Watcher()
with watched_by(first):
    with watched_by(second):
        double(numbers())
    double(numbers("float64"))
double(numbers("int64"))
tell(first.compiled, second.compiled)
"""
    assert processes.run(program)[0] == {"compiled": 1, "found": 0, "result": [1, 1]}
