"""How long is the whole thing? Prints the size of each room of src/byhand, and fails if there is too much code.

A stack that is to be read in a weekend must fit into one. What counts against the limit is code: lines that are not
blank, comment or docstring, since a limit on explanations would be met by explaining less.

There are two limits. The stack is what a network needs to learn, and what a student reads. Around it stand the rooms
that read pictures, and show, judge and serve what was learned; nobody needs them to understand a network. Recipes and
web pages are counted apart.

    python scripts/lines.py
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "byhand"
AROUND = ("assess", "charts", "cli", "look", "lr_range", "pictures", "plots", "progress", "reader", "report",
          "sketch", "terminal")
APART = ("recipes", "web")
MOST = {"the stack": 6500, "around it": 3500}
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


def count(package: Path) -> tuple[Counter[str], Counter[str]]:
    """Lines of code, and of everything, by room: a room is a file or a folder directly below the package."""
    code: Counter[str] = Counter()
    everything: Counter[str] = Counter()
    for path in package.rglob("*.py"):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        source = path.read_text(encoding="utf-8")
        code[room] += code_lines(source)
        everything[room] += len(source.splitlines())
    return code, everything


def main() -> None:
    code, everything = count(PACKAGE)
    print(f"{'room':<14}{'code':>7}{'with explanations':>20}")
    for room in sorted(code):
        part = "  (apart)" if room in APART else "  (around)" if room in AROUND else ""
        print(f"{room:<14}{code[room]:>7,}{everything[room]:>20,}{part}")
    over = []
    for part, most in MOST.items():
        rooms = [room for room in code if room not in APART and (room in AROUND) == (part == "around it")]
        total, whole = (sum(lines[room] for room in rooms) for lines in (code, everything))
        print(f"{part:<14}{total:>7,}{whole:>20,}  (at most {most:,} of code)")
        if total > most:
            over.append(f"{part} has {total - most:,} lines too many")
    if over:
        sys.exit(f"{'; '.join(over)}: look for the idea that makes some of them needless.")


if __name__ == "__main__":
    main()
