"""Measure the recipes: run each with several seeds on full MNIST, and write what came out where the table is read from.

    python scripts/measure_recipes.py                     # all of them, 5 seeds each; takes an hour or two
    python scripts/measure_recipes.py fast mlp --seeds 3

The figures go into src/byhand/recipes/measured.json (a recipe measured before is replaced), and from there
`scripts/write_tables.py` brings them into the README. Nobody writes them by hand.
"""

import argparse
import datetime
import json
import platform
import tempfile
from pathlib import Path

import byhand as bh
from write_tables import write as write_tables

MEASURED = Path(__file__).resolve().parents[1] / "src" / "byhand" / "recipes" / "measured.json"
KEPT = ("train_accuracy", "train_sd", "validation_accuracy", "validation_sd", "test_accuracy", "test_sd",
        "train_seconds", "train_samples", "test_samples", "epochs", "parameters", "threads", "kernels", "seeds")


def main() -> None:
    """Measure the recipes named on the command line."""
    names = [recipe.name for recipe in bh.recipes.RECIPES]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"which (default: all): {', '.join(names)}")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("one seed has no spread: --seeds needs at least 2")
    data = bh.data.load("mnist", print)
    for name in options.recipes or names:
        with tempfile.TemporaryDirectory() as folder:
            result = bh.recipes.run_seeds(bh.recipes.find(name), data, seed=0, seeds=options.seeds, folder=Path(folder))
        measured = json.loads(MEASURED.read_text(encoding="utf-8"))
        measured[name] = {key: result[key] for key in KEPT} | {
            "dataset": data.name, "date": datetime.date.today().isoformat(), "machine": platform.machine(),
            "byhand": bh.__version__, "test_of_each_seed": [run["test_accuracy"] for run in result["runs"]]}
        order = {name: measured[name] for name in names if name in measured}
        MEASURED.write_text(json.dumps(order, indent=2) + "\n", encoding="utf-8")
        write_tables()
        print(bh.recipes.sentence(result).split("\n")[0], flush=True)


if __name__ == "__main__":
    main()
