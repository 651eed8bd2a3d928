"""What a person sees of a run: `report.html`, a page with pictures, and `model-card.md`, what the model is good for.

Neither knows of recipes or of files: an `Outcome` holds what there is to tell, in plain things, and a page and a card
are two ways to tell it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from byhand.atomic import write_atomically
from byhand.report.card import card
from byhand.report.outcome import Outcome, command
from byhand.report.page import overview, page

__all__ = ["Outcome", "card", "command", "overview", "page", "write_pages"]


def write_pages(folder: Path, pages: Mapping[str, str]) -> dict[str, Any]:
    """Write pages into a run folder, by name, `report.html` among them. Returns what the result says of it: `report`,
    its path. A full disk must not cost the figures of a long training: where a page cannot be written, `report` is None
    and `report_missing` says why."""
    try:
        for name, content in pages.items():
            write_atomically(folder / name, content.encode())
    except OSError as error:
        return {"report": None, "report_missing": str(error)}
    return {"report": str(folder / "report.html")}
