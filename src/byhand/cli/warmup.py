"""`byhand warmup`: compile the kernels now, and not when somebody waits for them."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

import byhand
from byhand.cli.options import answer, common, listener, threads

if TYPE_CHECKING:
    from byhand.kernels.compiling import Watcher


@click.command()
@threads
@common
def warmup(threads: int | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Compile the kernels now.

    The recipe fast learns for a moment and is evaluated, which compiles whatever it needs for this machine.
    That is kept in the user's cache folder, or in the one that the variable BYHAND_CACHE names. It takes Numba: pip
    install 'byhand[fast]'.

    \b
      byhand warmup
      BYHAND_CACHE=/opt/kernels byhand warmup
    """
    from byhand.kernels.compiling import watched_by
    from byhand.progress import Spinner

    begun, watcher = time.perf_counter(), Spinner(listener(quiet))
    with byhand.kernels.using("jit"), watched_by(watcher):
        from byhand.kernels.jit.cache import folder, try_to_keep

        try_to_keep()
        be_kept(watcher)
        digits = byhand.data.load("mini")
        some = replace(digits, train=digits.train[:1000], test=digits.test[:200])  # the last batch is a smaller one
        with tempfile.TemporaryDirectory() as run:
            byhand.recipes.run_recipe(byhand.recipes.find("fast"), some, seed=0, folder=Path(run))
    be_kept(watcher)
    seconds = time.perf_counter() - begun
    answer(as_json, {"version": 1, "seconds": round(seconds, 3), "compiled": watcher.compiled, "loaded": watcher.found,
                     "folder": str(folder())},
           f"The kernels are ready after {seconds:.1f} s: {watcher.compiled} compiled, {watcher.found} there already.\n"
           f"They are in {folder()}")


def be_kept(watcher: Watcher) -> None:
    """Raise ClickException if something could not be kept."""
    if watcher.lost:
        raise click.ClickException(f"compiled kernels cannot be kept: {watcher.lost}")
