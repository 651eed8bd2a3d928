"""Runs the gallery of broken trainings, and writes what the doctor finds in each into docs/doctor.md.

    python scripts/write_gallery.py

Takes a few seconds. The gallery is tests/broken_trainings.py; a test holds the page to it.
"""

import sys
from pathlib import Path

from write_tables import between

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "doctor.md"
BEGIN, END = "<!-- gallery:begin -->", "<!-- gallery:end -->"


def gallery_table() -> str:
    """A row a training: what was done, and the findings; remarks in brackets."""
    sys.path.insert(0, str(ROOT / "tests"))
    from broken_trainings import GALLERY

    rows = [["what was done wrong", "what the doctor finds"], ["---", "---"]]
    for done, (training, _) in GALLERY.items():
        findings = training.run()[1].findings
        rows.append([done, ", ".join(f"`{finding.name}`" if finding.severity == "alarm" else f"(`{finding.name}`)"
                                     for finding in findings)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write() -> None:
    """Bring the page up to date."""
    PAGE.write_text(between(PAGE.read_text(encoding="utf-8"), BEGIN, END, gallery_table()), encoding="utf-8")


if __name__ == "__main__":
    write()
