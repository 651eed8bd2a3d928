"""`byhand bench`: how fast is it here, beside others?"""

from pathlib import Path

import click

import byhand
from byhand.atomic import write_atomically
from byhand.cli.options import PathName, answer, common, kernels, listener, notice, text_width, threads


@click.command()
@click.option("--only", multiple=True, metavar="ROW", help="Measure this row; may be given several times.")
@click.option("--rounds", type=click.IntRange(1, 1000), metavar="N",
              help="Turns of each side that count (default: 5).")
@click.option("--quick", is_flag=True, help="Only show that everything runs: a few batches, one turn.")
@click.option("--check", is_flag=True, help="Exit code 1 if a ratio is below 60 % of what it should be.")
@click.option("--write", "page", type=PathName(exists=True, dir_okay=False), metavar="PAGE",
              help="Also write the table into this page, between its markers.")
@kernels
@threads
@common
def bench(only: tuple[str, ...], rounds: int | None, quick: bool, check: bool, page: Path | None, threads: int | None,
          as_json: bool, quiet: bool, debug: bool) -> int:
    """Measure how fast byhand is here, beside others.

    The others are what is installed of PyTorch, JAX, scikit-learn and ONNX Runtime, and the published programs behind
    the recipes. All do the same work, in turns; "ratio" is how many times as long as byhand the other one takes. The
    whole table takes ten minutes on two cores. Leave the machine alone meanwhile.

    \b
      byhand bench
      byhand bench --only fast --only mlp --rounds 3
      byhand bench --quick --json
      byhand bench --write docs/benchmarks.md
    """
    from byhand.bench.machine import obstacles
    from byhand.bench.report import measure, page_with
    from byhand.bench.rows import rows_named
    from byhand.bench.work import QUICK, Effort

    if page is not None:
        if only or quick:
            raise click.UsageError("--write is for the whole table; leave out --only and --quick.")
        page_with(page.read_text(encoding="utf-8"), "")  # that it cannot be written is known before the work begins
    try:
        rows = rows_named(only)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    tell = notice(listener(quiet))
    for sentence in obstacles():
        tell(sentence)
    effort = QUICK if quick else Effort()
    if rounds is not None:
        effort = Effort(rounds, effort.batches)
    report = measure(rows, effort, byhand.get_num_threads(), tell)
    if page is not None:
        write_atomically(page, page_with(page.read_text(encoding="utf-8"), report.page()).encode())
    if check and all(comparison.ratio is None for comparison in report.comparisons):
        raise click.ClickException("there was nothing to compare with; install torch, jax, scikit-learn or onnxruntime "
                                   "to measure against.")
    answer(as_json, report.facts(), report.text(text_width()))
    if check and report.far_off:
        lost = ", ".join(f"{c.row.name} against {c.peer}" for c in report.far_off)
        click.echo(f"byhand: below 60 % of the ratio that it should be: {lost}.", err=True)
        return 1
    return 0
