"""`byhand warmup`: compile the kernels now, and not when somebody waits for them."""

import time

import click

import byhand
from byhand.cli.options import answer, common, listener, threads


@click.command()
@threads
@common
def warmup(threads: int | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Compile the kernels now.

    The network of the recipe fast learns for a moment and predicts, which compiles whatever it needs for this machine.
    That is kept in the user's cache folder, or in the one that the variable BYHAND_CACHE names. It takes Numba: pip
    install 'byhand[fast]'.

    \b
      byhand warmup
      BYHAND_CACHE=/opt/kernels byhand warmup
    """
    import numpy as np

    from byhand.kernels.compiling import watched_by
    from byhand.progress import Spinner
    from byhand.recipes import Parts

    begun, watcher = time.perf_counter(), Spinner(listener(quiet))
    with byhand.kernels.using("jit"), watched_by(watcher):
        from byhand.kernels.jit.cache import folder

        recipe, digits, rng = byhand.recipes.find("fast"), byhand.data.load("mini"), np.random.default_rng(0)
        batch = recipe.batch_size or 256
        some = Parts(digits.train[:batch + batch // 2], digits.test[:batch], digits.test[:batch])  # and a smaller batch
        model = recipe.network(rng)
        recipe.train(model, some, rng, [])
        for samples in (1, batch):
            byhand.predict(model, digits.test.inputs[:samples], normalize=recipe.normalize)
    if watcher.lost:
        raise click.ClickException(f"compiled kernels cannot be kept: {watcher.lost}")
    seconds = time.perf_counter() - begun
    answer(as_json, {"version": 1, "seconds": round(seconds, 3), "compiled": watcher.compiled, "loaded": watcher.found,
                     "folder": str(folder())},
           f"The kernels are ready after {seconds:.1f} s: {watcher.compiled} compiled, {watcher.found} there already.\n"
           f"They are in {folder()}")
