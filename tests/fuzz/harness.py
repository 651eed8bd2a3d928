"""Fuzzing: files that were spoiled at random, thousands a second, and what reads them must not mind.

A reader may succeed, or raise ValueError or OSError with one sentence that names the file. Anything else is a finding:
another exception, a warning, a remark of some library on standard error, more than 5 seconds, more than 1 GB of memory,
the end of the process. The readers run in a process of their own, so that whatever happens can be told.

    python tests/fuzz/harness.py                                  each kind of file for 20 seconds
    python tests/fuzz/harness.py idx model --seconds 600          these, for longer
    python tests/fuzz/harness.py idx --seed 3 --first 1234 --inputs 1     one input again

Which inputs are made depends only on the seed and on the corpus: good files, and files that were findings once. New
findings are saved to it, to be read again by every test run.
"""

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from kinds import KINDS, Kind
from mutations import spoiled

CORPUS = Path(__file__).parent / "corpus"
MOST_SECONDS = 5.0
MOST_BYTES = 1 << 30
LONGEST_SENTENCE = 1000  # characters
ENOUGH = 10  # findings of one kind


@dataclass
class Report:
    """What came of fuzzing a kind of file."""

    kind: str
    inputs: int = 0
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)


def corpus_of(kind: Kind) -> list[Path]:
    """The committed files of a kind, in an order that is the same everywhere."""
    return sorted((CORPUS / kind.name).iterdir())


def made(kind: Kind, files: Sequence[bytes], seed: int, number: int) -> bytes:
    """Input `number`: a file of the corpus, spoiled."""
    rng = Random(f"{kind.name} {seed} {number}")
    return spoiled(rng.choice(files), list(files), kind.envelope, rng)


def complaint(kind: Kind, path: Path) -> str:
    """What is wrong with how this file is read; nothing, if all is as it should be."""
    try:
        kind.read(path)
    except (ValueError, OSError) as error:
        sentence = str(error)
        if "\n" in sentence or not 10 < len(sentence) < LONGEST_SENTENCE:
            return f"this is no sentence: {sentence[:200]!r}"
        if str(path) not in sentence:
            return f"this does not name the file: {sentence}"
    except MemoryError as error:
        return f"it asks for more memory than {MOST_BYTES:,} bytes: {error}"
    except BaseException as error:  # a panic of Rust is no Exception
        place = error.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else "?"
        return f"{type(error).__name__} in {where}: {str(error)[:200]}"
    return ""


# --- the process that reads -------------------------------------------------------------------------------------------


def work(kind: Kind, seed: int, first: int, inputs: int, seconds: float, folder: Path) -> None:
    """Read one input after the other, and print a line of JSON about each that is a finding. Before each, its number is
    written down, for whoever looks after this process has died."""
    warnings.simplefilter("error")
    files = [path.read_bytes() for path in corpus_of(kind)]
    limit_memory()
    path = folder / kind.file
    notes = os.open(folder / "number", os.O_CREAT | os.O_WRONLY)
    os.dup2(os.open(folder / "remarks", os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_APPEND), 2)
    begun = time.monotonic()
    for number in count(first) if inputs == 0 else range(first, first + inputs):
        if time.monotonic() - begun > seconds:
            break
        path.unlink(missing_ok=True)  # to write over a file makes some file systems wait for the disk
        path.write_bytes(made(kind, files, seed, number))
        os.pwrite(notes, b"%20d" % number, 0)
        signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)  # whose end is the end of the process
        found = complaint(kind, path)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if os.fstat(2).st_size:
            remark = os.pread(2, 200, 0).decode(errors="replace").strip()
            os.ftruncate(2, 0)
            found = found or f"there are remarks on standard error: {remark}"
        if found:
            print(json.dumps({"number": number, "complaint": found}), flush=True)


def limit_memory() -> None:
    """From here on, not more than MOST_BYTES beyond what is used already."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


# --- the process that looks after it ----------------------------------------------------------------------------------


def fuzz(kind: Kind, seed: int = 0, seconds: float = 20.0, first: int = 0, inputs: int = 0,
         keep: Path | None = CORPUS) -> Report:
    """Fuzz one kind of file. New findings go to `keep`, a folder like the corpus. `inputs`: 0 is as many as there is
    time for."""
    report, number, seen = Report(kind.name), first, set()
    files = [path.read_bytes() for path in corpus_of(kind)]
    begun = time.monotonic()
    with TemporaryDirectory() as name:
        while (left := seconds - (time.monotonic() - begun)) > 0 and len(report.findings) < ENOUGH:
            worker = subprocess.run(
                [sys.executable, __file__, kind.name, "--worker", name, "--seed", str(seed), "--first", str(number),
                 "--inputs", str(inputs and first + inputs - number), "--seconds", str(left)],
                stdout=subprocess.PIPE, text=True, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"})
            number = int(Path(name, "number").read_bytes())
            found = [json.loads(line) for line in worker.stdout.splitlines()]
            if worker.returncode:
                remarks = Path(name, "remarks").read_text(errors="replace")[-1000:]
                found.append({"number": number, "complaint": f"{how_it_ended(worker.returncode)} {remarks}".strip()})
            for finding in found:
                alike = re.sub(r"\d+|'.*?'", "", finding["complaint"])[:40]
                if alike in seen:
                    continue
                seen.add(alike)
                content = made(kind, files, seed, finding["number"])
                report.findings.append(f"{kind.name}, seed {seed}, input {finding['number']}"
                                       f"{saved(kind, content, keep)}: {finding['complaint']}")
            number += 1
            if worker.returncode == 0 or (inputs and number >= first + inputs):
                break
    report.inputs, report.seconds = number - first, time.monotonic() - begun
    return report


def how_it_ended(code: int) -> str:
    """The death of the process that reads."""
    if code == -signal.SIGALRM:
        return f"it takes more than {MOST_SECONDS:g} seconds"
    return f"the process ends with {signal.Signals(-code).name if code < 0 else f'exit code {code}'}"


def saved(kind: Kind, content: bytes, folder: Path | None) -> str:
    """Put a finding into the corpus, for ever to be tried again; says where."""
    if folder is None:
        return ""
    path = folder / kind.name / f"found-{sha256(content).hexdigest()[:12]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return f" (saved as {path.name})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz what reads files.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; default: all")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each kind (default: 20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the number of the first input")
    parser.add_argument("--inputs", type=int, default=0, metavar="N", help="how many (default: as time allows)")
    parser.add_argument("--seeds", action="store_true", help="only write the good files of the corpus anew")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    kinds = [KINDS[name] for name in asked.kinds or KINDS]
    if asked.worker:
        return work(kinds[0], asked.seed, asked.first, asked.inputs, asked.seconds, asked.worker)
    if asked.seeds:
        for kind in kinds:
            (CORPUS / kind.name).mkdir(parents=True, exist_ok=True)
            for name, content in kind.seeds():
                (CORPUS / kind.name / name).write_bytes(content)
        return None
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reports = list(pool.map(lambda kind: fuzz(kind, asked.seed, asked.seconds, asked.first, asked.inputs), kinds))
    for report in reports:
        print(f"{report.kind:<12}{report.inputs:>10,} inputs in {report.seconds:>6.1f} s, "
              f"{len(report.findings)} findings (seed {asked.seed})")
    findings = [finding for report in reports for finding in report.findings]
    print(*findings, sep="\n")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
