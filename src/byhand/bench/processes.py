"""What only a process of its own can tell: how long the first use takes, and how much memory a training needs.

Memory is measured where nothing else is: a new process that has MNIST as bytes, makes the network `fast`, learns from
it for an epoch, and says how much memory it had at most. Run it by itself:

    python -m byhand.bench.processes byhand mnist 234
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from byhand.bench.turns import NotMeasured, Turn
from byhand.kernels import in_use

BATCH = 256


def first_use() -> Turn:
    """The seconds that compiling takes where nothing is compiled yet. Raises NotMeasured if nothing can be compiled."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = compiling({"BYHAND_CACHE": folder})
    return lambda: seconds


def later_use() -> Turn:
    """The seconds that it takes to find everything compiled. Raises NotMeasured if nothing can be compiled."""
    compiling({})
    return lambda: compiling({})


def compiling(environment: dict[str, str]) -> float:
    """The seconds that `byhand warmup` says it took."""
    done = subprocess.run([sys.executable, "-m", "byhand", "warmup", "--json", "--quiet"], capture_output=True,
                          text=True, check=False, env=os.environ | environment)
    try:
        said = json.loads(done.stdout)
    except ValueError:
        raise NotMeasured("byhand warmup does not answer") from None
    if "seconds" not in said:
        raise NotMeasured(str(said.get("error", "byhand warmup told no time")).rstrip("."))
    return float(said["seconds"])


def memory(side: str, dataset: str, steps: int, threads: int) -> Turn:
    """The most memory, in MB, that training takes on this side. Raises ImportError if its library is not installed,
    NotMeasured where the system does not tell."""
    if not Path("/proc/self/status").exists():
        raise NotMeasured("this system does not tell how much memory a process had at most")
    if side == "PyTorch":
        import torch  # noqa: F401  so that it is known now whether it is there

    def process(batches: int) -> float:
        done = subprocess.run([sys.executable, "-m", "byhand.bench.processes", side, dataset, str(batches)],
                              capture_output=True, text=True, check=False,
                              env=os.environ | {"BYHAND_NUM_THREADS": str(threads), "BYHAND_KERNELS": in_use()})
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2]
            raise RuntimeError(f"the process that measures the memory of {side} failed: {last}")
        return float(done.stdout)

    process(1)  # what has to be compiled once for this machine is not what training needs
    return lambda: process(steps)


def byhand_learns(dataset: str, steps: int) -> None:
    """The network `fast` with byhand."""
    from byhand.bench.with_byhand import training
    from byhand.bench.work import Digits
    from byhand.data import load
    from byhand.kernels import get_num_threads

    training("fast", Digits(load(dataset), dataset), BATCH, steps, get_num_threads())()


def pytorch_learns(dataset: str, steps: int) -> None:
    """The same with PyTorch at its smallest: images stay bytes until their batch is due, as its data sets have them."""
    import torch
    import torch.nn.functional as F

    from byhand.bench.with_pytorch import network
    from byhand.bench.work import MEAN, RATE, SPREAD
    from byhand.data import load
    from byhand.kernels import get_num_threads

    torch.set_num_threads(get_num_threads())
    train = load(dataset).train
    images, labels = torch.from_numpy(train.inputs), torch.from_numpy(train.targets)
    model = network("fast")
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    for index in torch.randperm(len(images))[:steps * BATCH].split(BATCH):
        pictures = images[index].float().div_(255).sub_(MEAN).div_(SPREAD)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(pictures), labels[index].long())
        loss.backward()
        optimizer.step()


def peak() -> float:
    """The most memory that this process had so far, in MB. (`getrusage` would count what its parent had, too.)"""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    {"byhand": byhand_learns, "PyTorch": pytorch_learns}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
    print(peak())
