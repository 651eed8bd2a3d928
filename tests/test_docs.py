"""The pages beside the README are true: their programs run and print what they say, and all links lead somewhere."""

import markdown
import pytest

README, *OTHERS = markdown.PAGES


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.name)
def test_programs_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in markdown.OFFLINE.items():
        monkeypatch.setenv(name, value)
    markdown.run_python(page)


@pytest.mark.parametrize("page", markdown.PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in markdown.links(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        assert not anchor or anchor in markdown.anchors(target), f"{page.name} links to {link}, and has no such heading"


def test_every_page_can_be_found_from_the_readme():
    told = {(markdown.ROOT / link.partition("#")[0]).resolve() for link in markdown.links(README)}
    assert set(OTHERS) <= told


@pytest.mark.parametrize(("found", "expected"), [
    ("loss 0.512\n", "loss 0.509\n"),
    ("94.1% right", "93.8% right"),
    ("[1. 2.]", "[1. 2.]"),
    ("a   b\n", "a b"),
])
def test_outputs_may_differ_by_rounding(found, expected):
    markdown.assert_same(found, expected, "here")


@pytest.mark.parametrize(("found", "expected"), [
    ("loss 0.512\n", "loss 0.409\n"),
    ("9 of 10", "8 of 10"),
    ("1,000", "1,001"),
    ("right: 0.5", "wrong: 0.5"),
    ("-0.5", "0.5"),
    ("something", ""),
    ("", "something"),
])
def test_other_outputs_may_not(found, expected):
    with pytest.raises(AssertionError, match="here promises"):
        markdown.assert_same(found, expected, "here")


def test_blocks_are_found_with_their_lines_and_outputs(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A\n\n```python\nprint(1)\n```\n\nIt prints\n\n```text\n1\n```\n\n## B\n\n```text\nalone\n```\n")
    program, alone = markdown.blocks(page)
    assert program == ("python", "print(1)\n", 4, "1\n")
    assert alone == ("text", "alone\n", 16, None)
    assert markdown.run_python(page) == 1


def test_a_program_that_fails_shows_the_line_of_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A\n\n```python\nx = 1\nx / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as error:
        markdown.run_python(page)
    assert error.traceback[-1].lineno + 1 == 5
