"""Measure what weights in eight bits cost: train recipes on MNIST, export each to C, and write the table of the page.

    python scripts/measure_formats.py             # two minutes

It runs the commands that the table names, as anybody would, and brings what they say into docs/formats.md. The test
images are used once, here.
"""

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from write_tables import between

PAGE = Path(__file__).resolve().parents[1] / "docs" / "formats.md"
BEGIN, END = "<!-- eight-bits:begin -->", "<!-- eight-bits:end -->"
TRAININGS = ["fast", "lenet --epochs 4", "mlp --epochs 4"]
COLUMNS = ["`byhand train`", "float32", "8 bits", "C file, float32", "C file, 8 bits"]


def byhand(*words: str) -> dict[str, Any]:
    """What a command answers, as --json gives it."""
    done = subprocess.run([sys.executable, "-m", "byhand", *words, "--json", "--quiet"], stdout=subprocess.PIPE,
                          check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def row_of(training: str, data: str = "mnist") -> list[str]:
    """The cells of a training: accuracy on the test images of `data` and size of the C file, without and with int8."""
    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/run"
        byhand("train", *shlex.split(training), "--data", data, "--out", run)
        whole = byhand("export", run, "--to", "c", "--out", f"{folder}/whole.c")
        small = byhand("export", run, "--to", "c", "--out", f"{folder}/small.c", "--int8", "--data", data)
    found = small["int8"]
    return [f"`{training}`", *[f"{100 * found[name]:.2f} %" for name in ("float_test_accuracy", "test_accuracy")],
            *[f"{file['bytes'] / 1000:,.0f} KB" for file in (whole, small)]]


def with_table(page: str, rows: list[list[str]]) -> str:
    """The page with these rows in its table."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return between(page, BEGIN, END, "\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n")


def main() -> None:
    """Measure, and write the table."""
    rows = [row_of(training) for training in TRAININGS]
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")


if __name__ == "__main__":
    main()
