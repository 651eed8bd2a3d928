"""How long is the whole thing? Prints the size of each room of src/byhand, and fails if there is too much code.

A stack that is to be read in a weekend must fit into one. What counts against a limit is code: lines that are not
blank, comment or docstring, since a limit on explanations would be met by explaining less.

There are five parts, each with its own limit. The stack is what a network needs to learn, and what a student reads.
The fast bodies do once more, compiled, what the stack does already; nobody needs them to understand a network, and
without them everything works. Around the stack stand the rooms that read pictures, and show, judge and serve what was
learned. At home elsewhere is what turns networks into the things of other programs, and back. Experiments are recipes
and benchmarks, of which nobody needs more than the one that he repeats.

    python scripts/lines.py
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "byhand"
STACK = "the stack"
PARTS = {  # whatever is in none of them belongs to the stack
    "the fast bodies": ("compiled", "kernels/jit"),
    "around it": ("assess", "charts", "cli", "look", "lr_range", "pictures", "plots", "progress", "reader", "report",
                  "sketch", "terminal"),
    "at home elsewhere": ("estimator", "files/c", "files/onnx"),
    "experiments": ("bench", "recipes"),
}
MOST = {STACK: 6500, "the fast bodies": 3000, "around it": 3500, "at home elsewhere": 2500, "experiments": 2500}
NOT_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def code_lines(source: str) -> int:
    """How many lines of a Python file have code on them."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def room_of(path: Path) -> str:
    """The room of a file, given below the package: a file or folder there, or one within it that is counted apart."""
    within = [room for rooms in PARTS.values() for room in rooms if path.with_suffix("").is_relative_to(room)]
    return within[0] if within else path.parts[0].removesuffix(".py")


def part_of(room: str) -> str:
    """The part that a room belongs to."""
    return next((part for part, rooms in PARTS.items() if room in rooms), STACK)


def count(package: Path) -> tuple[Counter[str], Counter[str]]:
    """Lines of code, and of everything, by room."""
    code: Counter[str] = Counter()
    everything: Counter[str] = Counter()
    for path in package.rglob("*.py"):
        room = room_of(path.relative_to(package))
        source = path.read_text(encoding="utf-8")
        code[room] += code_lines(source)
        everything[room] += len(source.splitlines())
    return code, everything


def main() -> None:
    code, everything = count(PACKAGE)
    print(f"{'room':<18}{'code':>7}{'with explanations':>20}")
    for room in sorted(code):
        part = "" if part_of(room) == STACK else f"  ({part_of(room)})"
        print(f"{room:<18}{code[room]:>7,}{everything[room]:>20,}{part}")
    over = []
    for part, most in MOST.items():
        total, whole = (sum(lines[room] for room in lines if part_of(room) == part) for lines in (code, everything))
        print(f"{part:<18}{total:>7,}{whole:>20,}  (at most {most:,} of code)")
        if total > most:
            over.append(f"{part}: {total - most:,} lines too many")
    if over:
        sys.exit(f"{'; '.join(over)}. Look for the idea that makes some of them needless.")


if __name__ == "__main__":
    main()
