"""Writes the table of recipes into README.md, from the figures that were measured.

The figures come from `byhand.recipes.overview`, the same that `byhand recipes` prints, so the page and the command
cannot disagree. Run it after `scripts/measure_recipes.py`:

    python scripts/write_tables.py
"""

from pathlib import Path

from byhand.recipes import RECIPES, overview

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- recipes:begin -->", "<!-- recipes:end -->"
COLUMNS = {"recipe": "name", "method": "network and method", "published": "published",
           "as_written": "as written, measured", "here": "byhand"}


def recipes_table() -> str:
    """The recipes as a Markdown table."""
    rows = [list(COLUMNS.values()), ["---"] * len(COLUMNS)]
    for row in overview([recipe() for recipe in RECIPES]):
        cells = [row[column].replace("|", "\\|") for column in COLUMNS]
        rows.append([f"`{cells[0]}`", *cells[1:]])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def with_table(page: str) -> str:
    """The README with the table of recipes."""
    return between(page, BEGIN, END, recipes_table())


def between(page: str, begin: str, end: str, table: str) -> str:
    """The page with this table between its markers. Raises ValueError if it has not exactly one pair of them."""
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"the page needs {begin} and {end}, once each and in this order.")
    return f"{page[:page.index(begin) + len(begin)]}\n{table}\n{page[page.index(end):]}"


def write() -> None:
    """Bring README.md up to date."""
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
