"""What kind of file it is, by how it begins. Names can be wrong, and a file of the wrong kind deserves a better answer
than that it is damaged."""

from codecs import BOM_UTF8
from pathlib import Path
from typing import Literal

FIELDS = bytes(number << 3 | wire for number, wire in ((2, 2), (3, 2), (4, 2), (5, 0), (6, 2), (7, 2), (8, 2)))
"""How the fields of an ONNX file begin that may follow the first one, its version."""

MAGIC_NUMBER = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""0x1950a86a20f9469cfc6c, as a pickle writes it: what PyTorch's files begin with that are no archives."""


def kind_of(path: Path) -> Literal["onnx", "pytorch", "pickle", "object", "list", "safetensors"]:
    """What a model file is: ONNX; a ZIP archive with a pickle in it, as PyTorch writes it, or one of its older pickles;
    any other pickle; an object or a list in JSON; or safetensors, which everything else is taken for. Raises
    FileNotFoundError if there is no file."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}.")
    with path.open("rb") as file:
        start = file.read(256)
    safetensors = start[8:9] == b"{"  # a length of eight bytes, then JSON
    onnx = start[:1] == b"\x08" and len(start) > 2 and start[2] in FIELDS  # its version, a small number, in field 1
    if (onnx or path.suffix == ".onnx") and not safetensors:
        return "onnx"
    if start.startswith(b"PK") and b"data.pkl" in start:
        return "pytorch"
    if start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5") and not safetensors:
        return "pytorch" if start[2:14] == MAGIC_NUMBER else "pickle"
    text = start.removeprefix(BOM_UTF8).lstrip()  # blanks, and a mark that some editors put before it
    if text[:1] in (b"{", b"[") and b"\0" not in start[:8]:  # a length can begin so too, and ends in 0
        return "object" if text[:1] == b"{" else "list"
    return "safetensors"
