"""The benchmark: whose turn it is, what is counted, what is told, and what the command does with it."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from command_line import the_object

from byhand import kernels
from byhand.bench import machine, networks, processes, rows, turns, work
from byhand.bench.report import BEGIN, END, Comparison, Report, figure, measure, measured, page_with
from byhand.bench.turns import NotMeasured, Timing, in_turns, median_time


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    monkeypatch.setattr(turns, "PAUSE", 0)


class Fixed(rows.Row):
    """A row whose sides take what is written here: byhand 2, the others 1, 3 and 7. One of them cannot be had."""

    takes: ClassVar = {"byhand": 2.0, "half": 1.0, "more": 3.0, "most": 7.0}
    work = "nothing"

    def side(self, name, digits, effort, threads):
        if name == "missing":
            import nobody_has_this  # noqa: F401
        if name == "unknowable":
            raise NotMeasured("it cannot be known")
        if name == "broken":
            raise RuntimeError("broken")
        return lambda: self.takes[name]


def compare(**against):
    """A row against such peers, measured."""
    return measured(Fixed("fixed", against), None, work.Effort(rounds=3), kernels.get_num_threads())


# --- turns ------------------------------------------------------------------------------------------------------------


def test_sides_take_turns_and_the_first_round_does_not_count():
    happened = []

    def side(name, times):
        left = iter(times)
        return lambda: happened.append(name) or next(left)

    found = in_turns({"a": side("a", [9, 1, 2, 6]), "b": side("b", [9, 5, 5, 5])}, 3)
    assert happened == ["a", "b"] * 4
    assert found == {"a": Timing((1, 2, 6)), "b": Timing((5, 5, 5))}
    assert found["a"].median == 2 and found["a"].spread == 1.25 and found["b"].spread == 0


def test_without_a_warm_up_every_turn_counts():
    assert in_turns({"a": lambda: 4.0}, 1, warm_ups=0) == {"a": Timing((4.0,))}


def test_the_median_of_many_short_calls(monkeypatch):
    now = iter(np.cumsum([0, 1, 0, 5, 0, 2]))  # they take 1, 5 and 2
    monkeypatch.setattr(turns.time, "perf_counter", lambda: next(now))
    assert median_time([lambda: None] * 3) == 2


# --- what is counted --------------------------------------------------------------------------------------------------


def test_the_arithmetic_is_counted_as_by_hand(rng):
    first, second, linear, last = 24 * 24 * 24 * 25, 32 * 10 * 10 * 24 * 9, 800 * 256, 256 * 10
    assert networks.training_operations(networks.network("fast", rng)) == 4 * first + 6 * (second + linear + last)
    assert networks.training_operations(networks.network("mlp", rng)) == 4 * 784 * 128 + 6 * (128 * 64 + 64 * 10)


@pytest.mark.parametrize(("name", "parameters"), [
    ("fast", 215_194), ("lenet", 61_706), ("batchnorm", 96_746), ("example", 1_199_882), ("mlp", 109_386)])
def test_the_networks_are_those_of_the_table(name, parameters, rng):
    model = networks.network(name, rng)
    assert sum(p.size for p in model.parameters()) == parameters
    assert model.output_shape(networks.IMAGE) == (10,)


def test_too_few_digits_are_taken_again():
    digits = work.digits(True, print)
    more = work.again(digits.train, 12_000)
    assert len(more) == 12_000 and np.array_equal(more.inputs[10_000:], digits.train.inputs[:2_000])
    assert work.again(digits.train, 5_000) is digits.train


def test_peers_get_the_digits_around_zero():
    digits = work.digits(True, print)
    assert digits.images.dtype == np.float32 and digits.images.shape == (5_000, 1, 28, 28)
    assert abs(digits.images.mean()) < 0.02 and abs(digits.images.std() - 1) < 0.02
    assert digits.labels.dtype == np.int64 and len(digits.test_images) == 1_000


# --- what is told -----------------------------------------------------------------------------------------------------


def test_a_ratio_is_how_many_times_as_long_the_other_takes():
    won, lost, far, free = compare(more=1.5, half=0.75, most=6.0, byhand=None)
    assert (won.ratio, won.reached, won.far_off) == (1.5, True, False)
    assert (lost.ratio, lost.reached, lost.far_off) == (0.5, False, False)
    assert (far.ratio, far.reached, far.far_off) == (3.5, False, True)
    assert (free.ratio, free.reached, free.far_off) == (1, None, False)


def test_a_peer_that_is_not_there_keeps_its_line():
    there, missing, unknowable = compare(more=1.0, missing=2.0, unknowable=1.0)
    assert there.ratio == 1.5
    assert missing.left_out == "missing, since nobody_has_this is not installed" and missing.ratio is None
    assert unknowable.left_out == "fixed, since it cannot be known" and unknowable.reached is None
    assert missing.cells() == ["fixed", "missing", "2 s ± 0 %", "–", "–", "2.00 ×", "–"]
    assert missing.facts()["peer"] is None and missing.facts()["byhand"]["turns"] == [2, 2, 2]


def test_a_side_that_fails_is_an_error():
    with pytest.raises(RuntimeError, match="broken"):
        compare(broken=1.0)


@pytest.mark.parametrize(("taken", "unit", "told"), [
    ((4.2, 4.21, 4.3), "s", "4.21 s ± 1 %"), ((0.0123,), "s", "12.3 ms"), ((0.00004,), "s", "40 µs"),
    ((104.4,), "s", "104 s"), ((1234.5,), "MB", "1,234 MB"), ((250.0,), "MB", "250 MB"),
])
def test_figures_are_told_for_people(taken, unit, told):
    assert figure(Timing(taken), unit) == told


def report(**against):
    return Report(compare(**against), work.Effort(rounds=3), 2, "mini", "numpy")


def test_the_table_for_a_page_has_a_line_for_each_comparison_also_a_lost_one():
    lines = report(more=1.0, half=1.0, missing=1.0).page().splitlines()
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert [row[0] for row in table] == ["row", "---"] + ["`fixed`"] * 3 and len({len(row) for row in table}) == 1
    assert [row[6] for row in table[2:]] == ["yes", "no", "–"]
    assert lines[0] == "- `fixed`: nothing"
    assert any(line.startswith("Measured on 20") and machine.processor() in line for line in lines)
    assert "Not measured: missing, since nobody_has_this is not installed." in lines


def test_the_table_for_a_terminal_names_versions_and_the_library_that_multiplies():
    text = report(more=1.0).text(10_000)
    assert " ".join(text.splitlines()[2].split()) == "fixed more 2 s ± 0 % 3 s ± 0 % 1.50 × 1.00 × yes"
    assert f"numpy {np.__version__}" in text and kernels.blas() in text and "2 threads" in text


def test_a_report_goes_between_its_markers_and_again():
    page = f"# Before\n{BEGIN}\nold\n{END}\nafter\n"
    once = page_with(page, "new")
    assert once == f"# Before\n{BEGIN}\nnew\n{END}\nafter\n" and page_with(once, "new") == once


@pytest.mark.parametrize("page", ["", f"{END} {BEGIN}", f"{BEGIN} {END} {END}"])
def test_a_page_without_its_markers_is_refused(page):
    with pytest.raises(ValueError, match="once each and in this order"):
        page_with(page, "new")


def test_a_part_of_an_epoch_is_said_to_be_one():
    (row,) = rows.rows_named(["batchnorm"])
    one = Timing((1.0,))
    assert row.remark("PyTorch", work.QUICK, one, one) == "timed over 4 of its 468 batches"
    giga = 60_000 * networks.training_operations(networks.network("batchnorm", np.random.default_rng(0))) / 1e9
    assert row.remark("the sgemm peak", work.Effort(), one, Timing((0.5,))).startswith(
        f"{giga:.0f} of {2 * giga:.0f} GFLOP/s; timed over 40")
    (whole,) = rows.rows_named(["mlp"])
    assert whole.remark("PyTorch", work.Effort(), one, one) == ""


def test_rows_come_in_the_order_of_the_table():
    assert [row.name for row in rows.rows_named(["mlp", "fast"])] == ["fast", "mlp"]
    assert rows.rows_named([]) == list(rows.ROWS)


# --- in processes of their own ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system must tell what a process had")
def test_memory_is_that_of_the_process(tmp_path):
    least = processes.memory("byhand", "mini", 1, 1)()
    assert 20 < least < 2_000 and processes.peak() > 20


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system must tell what a process had")
def test_a_process_that_fails_is_an_error():
    with pytest.raises(RuntimeError, match=r"the memory of byhand failed: .*nowhere"):
        processes.memory("byhand", "nowhere", 1, 1)()


def test_what_cannot_be_compiled_is_not_measured(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "byhand.py").write_text("print('no JSON')")
    with pytest.raises(NotMeasured, match="does not answer"):
        processes.first_use()
    (tmp_path / "byhand.py").write_text("""print('{"error": "no kernels here."}')""")
    with pytest.raises(NotMeasured, match=r"^no kernels here$"):
        processes.later_use()
    (tmp_path / "byhand.py").write_text("import os; print('{\"seconds\": %d}' % ('BYHAND_CACHE' in os.environ))")
    monkeypatch.delenv("BYHAND_CACHE", raising=False)
    assert (processes.first_use()(), processes.later_use()()) == (1, 0)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def three(monkeypatch):
    """A table of three rows that take no time: far ahead, a little behind, and nobody to compare with."""
    monkeypatch.setattr(rows, "ROWS", (Fixed("won", {"most": 2.0}), Fixed("close", {"more": 2.0}),
                                       Fixed("alone", {"missing": 1.0})))


def test_one_object_of_json(here):
    code, out, err = here("bench", "--quick", "--only", "relu-10", "--kernels", "numpy", "--json")
    found = the_object(out)
    assert code == 0 and "1 of 1: relu-10, the recipe relu-10" in err
    assert (found["version"], found["dataset"], found["rounds"], found["quick"]) == (1, "mini", 1, True)
    assert {"processor", "cores", "blas", "system", "python"} == found["machine"].keys()
    assert found["versions"]["numpy"] == np.__version__ and found["kernels"] == "numpy" and found["threads"] >= 1
    (row,) = found["rows"]
    assert (row["row"], row["against"], row["at_least"], row["unit"]) == ("relu-10", "the published program", 4, "s")
    assert row["ratio"] == pytest.approx(row["peer"]["median"] / row["byhand"]["median"])
    assert row["reached"] == (row["ratio"] >= 4) and len(row["byhand"]["turns"]) == 1


def test_a_table_and_no_notices_when_quiet(here, three):
    code, out, err = here("bench", "--quick", "--rounds", "3", "--quiet")
    assert (code, err) == (0, "") and out.splitlines()[2].startswith("won")
    assert "Medians of 3 turns" in out and "Not measured: missing" in out


@pytest.mark.parametrize(("only", "code", "lost"), [
    (["won"], 0, []), (["won", "close", "alone"], 0, []), (["far"], 1, ["far: half"])])
def test_check_fails_only_where_a_ratio_is_far_off(only, code, lost, here, three, monkeypatch):
    monkeypatch.setattr(rows, "ROWS", (*rows.ROWS, Fixed("far", {"half": 1.0})))
    words = [word for name in only for word in ("--only", name)]
    found, out, err = here("bench", "--quick", "--check", "--json", "--quiet", *words)
    assert found == code and the_object(out)["far_off"] == lost
    assert err == ("byhand: below 60 % of the ratio that it should be: far against half.\n" if code else "")


def test_the_page_gets_the_table_also_from_digits_that_are_repeated(here, three):
    page = Path("page.md")
    page.write_text(f"# Ours\n{BEGIN}\n{END}\n", encoding="utf-8")
    code, _, err = here("bench", "--write", page)
    written = page.read_text(encoding="utf-8")
    assert code == 0 and "Using the built-in mini set" in err and "digits: mini, again and again." in written
    assert written.startswith(f"# Ours\n{BEGIN}\n- `won`: nothing") and written.endswith(f"{END}\n")
    assert "| `close` | more | 2 s ± 0 % | 3 s ± 0 % | 1.50 × | 2.00 × | no |  |" in written


@pytest.mark.parametrize(("words", "code", "sentence"), [
    (["--only", "mpl"], 2, "there is no row 'mpl' to measure; there are fast, .* Did you mean mlp?"),
    (["--only", "mlp", "--write", "page.md"], 2, "--write is for the whole table; leave out --only and --quick."),
    (["--quick", "--write", "page.md"], 2, "--write is for the whole table"),
    (["--write", "nowhere.md"], 2, "File 'nowhere.md' does not exist."),
    (["--write", "page.md"], 1, "the page needs the lines"),
    (["--rounds", "0"], 2, "0 is not in the range"),
    (["--rounds", "many"], 2, "'many' is not a valid int"),
    (["--threads", "0"], 2, "0 is not in the range"),
])
def test_an_error_is_one_sentence(words, code, sentence, here):
    Path("page.md").write_text("no markers")
    found, out, err = here("bench", *words, "--json")
    said = the_object(out)
    assert (found, said["exit_code"]) == (code, code) and err.endswith(f"byhand: {said['error']}\n")
    assert sentence.partition(".*")[0] in said["error"] and sentence.rpartition(".*")[2] in said["error"]


def test_a_check_that_compares_nothing_has_failed(here, three):
    code, out, _ = here("bench", "--quick", "--check", "--only", "alone", "--json")
    assert code == 1 and "there was nothing to compare with" in json.loads(out)["error"]


def test_a_processor_that_is_not_used_as_it_is_is_told_of(here, three, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.delenv("OPENBLAS_L2_SIZE", raising=False)
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (3.0, 0, 0), raising=False)
    said = here("bench", "--quick", "--only", "won")[2]
    assert "OPENBLAS_CORETYPE=Haswell may make matrix products slower" in said
    assert "env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE byhand bench" in said and "busy (a load of 3.0" in said


def test_comparisons_are_made_from_python(three):
    said = []
    found = measure(rows.rows_named(["won"]), work.QUICK, notify=said.append)
    assert isinstance(found.comparisons[0], Comparison) and said == ["1 of 1: won, nothing"]
