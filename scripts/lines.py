"""How long is the whole thing? Prints the lines of each room of src/byhand, and fails if there are too many.

A stack that is to be read in a weekend must fit into one. Recipes and web pages are not part of the stack and are not
counted against the limit.

    python scripts/lines.py
"""

import sys
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "byhand"
MOST = 6500
APART = ("recipes", "web")


def count(package: Path) -> Counter[str]:
    """Lines of Python by room: a room is a file or a folder directly below the package."""
    lines: Counter[str] = Counter()
    for path in package.rglob("*.py"):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        lines[room] += len(path.read_text(encoding="utf-8").splitlines())
    return lines


def main() -> None:
    lines = count(PACKAGE)
    for room, number in sorted(lines.items()):
        print(f"{room:<14}{number:>6,}{'  (apart)' if room in APART else ''}")
    total = sum(number for room, number in lines.items() if room not in APART)
    print(f"{'the stack':<14}{total:>6,} of at most {MOST:,}")
    if total > MOST:
        sys.exit(f"The stack has {total - MOST:,} lines too many: look for the idea that makes some of them needless.")


if __name__ == "__main__":
    main()
