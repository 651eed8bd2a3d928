"""Measure how well pictures of digits are read: each group of tests/digit_pictures.py, prepared and read by a network.

    python scripts/measure_pictures.py                   # trains the recipe convnet on MNIST first; 20 minutes
    python scripts/measure_pictures.py --model RUN       # with a model that is there; 10 minutes

The figures go into docs/pictures.json, and from there into the table in docs/pictures.md, together with a sheet of
steps, docs/steps.png. MNIST's own test images are used once, here; what the preparation does was chosen on training
images, with other seeds. Fonts that are not installed are left out, and the table says how many there were.
"""

import argparse
import datetime
import io
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import byhand as bh
from byhand.files import SavedModel
from byhand.assess import open_model
from byhand.metrics import wilson_interval
from byhand.pictures import read_picture
from byhand.pictures.show import sheet
from byhand.reader import read, read_many
from write_tables import between

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
import digit_pictures  # noqa: E402

MEASURED, PAGE, STEPS = (ROOT / "docs" / name for name in ("pictures.json", "pictures.md", "steps.png"))
BEGIN, END = "<!-- pictures:begin -->", "<!-- pictures:end -->"
COUNTS = {"mnist": 2000, "strokes": 1000, "photographs": 600, "times": 10, "pages": 200, "blank": 300}
SEED = 1998
Picture = tuple[bytes, int]


def groups(test: bh.data.Dataset, counts: dict[str, int], seed: int) -> Iterator[tuple[str, Iterable[Picture]]]:
    """The name of each group, and its pictures with their digits."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(test), counts["mnist"], replace=False)
    images, labels = test.inputs[rows, 0], test.targets[rows]
    yield "MNIST's test images as they are", zip(map(digit_pictures.as_png, images), labels.tolist(), strict=True)
    yield ("the same on paper: scaled, inverted, shifted, uneven light, noise, JPEG",
           digit_pictures.on_paper(images, labels, rng))
    yield "strokes drawn with pens of 2 to 14 % of the height, coloured", digit_pictures.strokes(counts["strokes"], rng)
    yield ("photographs of thin pens (1 to 4 %), every third on ruled paper",
           digit_pictures.photographed(counts["photographs"], rng))
    for name, face in digit_pictures.faces().items():
        yield f"font {name}", digit_pictures.typeset(face, rng, counts["times"])


def count_right(model: SavedModel, pictures: Iterable[Picture]) -> dict[str, int]:
    """How many of these pictures are read right, and on how many no ink was found."""
    right = count = blank = 0
    for content, digit in pictures:
        count += 1
        try:
            right += read(model, read_picture(content)).best == str(digit)
        except ValueError:
            blank += 1
    return {"pictures": count, "right": right, "without_ink": blank}


def count_many(model: SavedModel, count: int, rng: np.random.Generator) -> dict[str, int]:
    """How many digits of pages are found and read right, in their order; of a page where others are found, none is."""
    right = digits = 0
    for content, wanted in digit_pictures.pages(count, rng):
        found = [reading.best for line in read_many(model, read_picture(content)).lines for _, reading in line]
        digits += len(wanted)
        right += sum(map(str.__eq__, found, map(str, wanted))) if len(found) == len(wanted) else 0
    return {"pictures": digits, "right": right, "without_ink": 0}


def count_blank(model: SavedModel, count: int, rng: np.random.Generator) -> dict[str, int]:
    """On how many empty sheets in uneven light no ink is found, as is right."""
    pictures = []
    for _ in range(count):
        empty = np.zeros(rng.integers(40, 800, 2), np.float32)
        pictures.append((digit_pictures.as_jpeg(digit_pictures.photograph(empty, rng), rng), -1))
    found = count_right(model, pictures)
    return {"pictures": count, "right": found["without_ink"], "without_ink": found["without_ink"]}


def measure(model: SavedModel, test: bh.data.Dataset, counts: dict[str, int], seed: int) -> dict[str, dict[str, int]]:
    """The counts of every group by its name."""
    found = {name: count_right(model, pictures) for name, pictures in groups(test, counts, seed)}
    rng = np.random.default_rng(seed + 1)
    found["digits on photographed pages, found and read in order"] = count_many(model, counts["pages"], rng)
    found["empty sheets in uneven light, seen to be empty"] = count_blank(model, counts["blank"], rng)
    return found


def table(found: dict[str, dict[str, int]]) -> str:
    """The groups as a Markdown table, all fonts as one row."""
    fonts = [counts for name, counts in found.items() if name.startswith("font ")]
    rows = {name: counts for name, counts in found.items() if not name.startswith("font ")}
    if fonts:
        name = f"digits in {len(fonts)} handwriting-like fonts, dark on light or light on dark"
        rows[name] = {key: sum(counts[key] for counts in fonts) for key in fonts[0]}
    lines = ["| group | pictures | read right | 95 % interval |", "| --- | --- | --- | --- |"]
    for name, counts in rows.items():
        right, count = counts["right"], counts["pictures"]
        low, high = wilson_interval(right, count)
        lines.append(f"| {name} | {count:,} | {100 * right / count:.2f} % | {100 * low:.2f} to {100 * high:.2f} % |")
    return "\n".join(lines)


def examples(model: SavedModel, rng: np.random.Generator) -> bytes:
    """Three pictures and their steps, as a PNG file of a size for a page."""
    def photograph(digit: int, pen: float, **options: Any) -> np.ndarray[Any, Any]:
        ink = digit_pictures.placed(digit_pictures.drawn(digit, 300, pen, rng), rng, room=(0.3, 0.8))
        return digit_pictures.photograph(ink, rng, **options)

    pictures = {"a ballpoint on ruled paper": photograph(4, 6, colours=((20, 40, 130), (235, 230, 215)), ruled=True),
                "a marker in the shadow of a hand": photograph(5, 34, colours=((170, 40, 30), (240, 238, 230))),
                "chalk": photograph(7, 14, colours=((235, 235, 225), (30, 70, 50)))}
    marker = pictures["a marker in the shadow of a hand"]
    y, x = np.indices(marker.shape[:2])
    marker[2 * x + y > 1.4 * len(marker)] //= 2
    rows = []
    for name, picture in pictures.items():
        reading = read(model, picture)
        rows += reading.rows(f"{name}: {reading.in_words()}")
    image = Image.open(io.BytesIO(sheet(rows)))
    content = io.BytesIO()
    image.reduce(2).quantize(96).save(content, "PNG", optimize=True)
    return content.getvalue()


def train() -> SavedModel:
    """The recipe convnet on MNIST, seed 0."""
    with tempfile.TemporaryDirectory() as folder:
        result: dict[str, Any] = bh.recipes.run_recipe(bh.recipes.find("convnet"), bh.data.load("mnist"), seed=0,
                                                       folder=Path(folder))
        return bh.load(result["model"])


def main() -> None:
    """Measure, print, and bring the page up to date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", type=Path, help="a run folder or a model file (default: train convnet on MNIST)")
    options = parser.parse_args()
    model = open_model(options.model) if options.model else train()
    found = measure(model, bh.data.load("mnist", print).test, COUNTS, SEED)
    written = {"recipe": model.recipe, "test_accuracy": model.metrics.get("test_accuracy"), "seed": SEED,
               "date": datetime.date.today().isoformat(), "byhand": bh.__version__, "groups": found}
    MEASURED.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(between(page, BEGIN, END, table(found)), encoding="utf-8")
    STEPS.write_bytes(examples(model, np.random.default_rng(SEED)))
    for name, counts in found.items():
        print(f"{counts['right']:>6,} of {counts['pictures']:>6,} ({counts['right'] / counts['pictures']:.2%})  {name}")


if __name__ == "__main__":
    main()
