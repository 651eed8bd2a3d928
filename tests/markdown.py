"""The pages of the project, read as something that can be run: their code blocks, their links, their headings."""

import contextlib
import io
import os
import re
from pathlib import Path
from typing import NamedTuple

from byhand import kernels

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

OFFLINE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9") | {
    "NO_PROXY": "", "no_proxy": "", "BYHAND_DATA": "",
    "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
"""An environment from which nothing outside this machine can be reached, and in which no data set has been put."""

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?")
TOLERANCE = 0.02 if kernels.in_use() == "jit" else 0.05
"""By which part a number may differ from that on a page, which is what the compiled kernels give. NumPy's drop other
units where there is dropout."""


class Block(NamedTuple):
    """A fenced block: its language, its text, the line it begins in, and the text of the output block behind it."""

    language: str
    code: str
    line: int
    output: str | None


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page. A block of `text` is what the program before it prints, under the same heading."""
    found: list[Block] = []
    text = page.read_text(encoding="utf-8")
    for fence in re.finditer(r"^```(\w*)\n(.*?)^```$|^#+ [^\n]*$", text, re.MULTILINE | re.DOTALL):
        language, code = fence[1], fence[2]
        if code is None:
            found.append(Block("heading", fence[0], 0, None))
        elif language == "text" and found and found[-1].output is None and found[-1].language == "python":
            found[-1] = found[-1]._replace(output=code)
        else:
            found.append(Block(language, code, text[:fence.start()].count("\n") + 2, None))
    return [block for block in found if block.language != "heading"]


def run_python(page: Path) -> int:
    """Run all Python blocks of a page, one after another as a reader would, and compare what each prints with the block
    of text behind it. Returns how many there were."""
    namespace = {"__name__": "__main__"}
    code = [block for block in blocks(page) if block.language == "python"]
    for block in code:
        above = "\n" * (block.line - 1)  # so that tracebacks show the page's own lines
        program = compile(above + block.code, str(page), "exec")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(program, namespace)
        assert_same(printed.getvalue(), block.output or "", f"{page.name}, line {block.line}")
    return len(code)


def assert_same(found: str, expected: str, where: str) -> None:
    """The same words and the same whole numbers; other numbers within 2 % and one unit of their last digit, since not
    every machine rounds alike."""
    message = f"{where} promises\n{expected}\nbut what it prints is\n{found}"
    assert NUMBER.sub("#", found).split() == NUMBER.sub("#", expected).split(), message
    for a, b in zip(NUMBER.findall(found), NUMBER.findall(expected), strict=True):
        unit = 10.0 ** -len(b.partition(".")[2])
        assert abs(float(a) - float(b)) <= ("." in b) * (TOLERANCE * abs(float(b)) + unit), message


def links(page: Path) -> list[str]:
    """Where the links of a page point, those to other sites left out."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """What a link can name in a page: its headings, in the way that code-hosting sites spell them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
