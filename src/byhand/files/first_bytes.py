"""What kind of file it is, by its first bytes and its last. Names can be wrong, and a file of the wrong kind deserves a
better answer than that it is damaged."""

from codecs import BOM_UTF8
from pathlib import Path

FIELDS = bytes(number << 3 | wire for number, wire in ((2, 2), (3, 2), (4, 2), (5, 0), (6, 2), (7, 2), (8, 2)))
"""How the fields of an ONNX file begin that may follow the first one, its version."""

MAGIC_NUMBER = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""0x1950a86a20f9469cfc6c, as a pickle writes it: what PyTorch's files begin with that are no archives."""


def kind_of(path: Path) -> str:
    """What a model file is: "onnx"; "torchscript", a ZIP archive with a program in it; "pytorch", one with a pickle, or
    one of PyTorch's older pickles; "pickle", any other; "object" or "list" in JSON; "safetensors"; "empty"; or
    "unknown". Raises FileNotFoundError if there is no file."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}.")
    with path.open("rb") as file:
        start = file.read(256)
        file.seek(max(path.stat().st_size - 2**16, 0))
        end = file.read()  # of a ZIP archive: the names of what is in it
    text = start.removeprefix(BOM_UTF8).lstrip()  # blanks, and a mark that some editors put before it
    if text[:1] in (b"{", b"[") and b"\0" not in start[:8]:  # a length can begin so too, and ends in 0
        return "object" if text[:1] == b"{" else "list"
    if start[8:9] == b"{":  # a length of eight bytes, then JSON
        return "safetensors"
    if path.suffix == ".onnx" or (start[:1] == b"\x08" and len(start) > 2 and start[2] in FIELDS):  # its version
        return "onnx"
    if start.startswith(b"PK") and (b"data.pkl" in start or b"/constants.pkl" in end):
        return "torchscript" if b"/constants.pkl" in end else "pytorch"
    if start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "pytorch" if start[2:14] == MAGIC_NUMBER else "pickle"
    return "unknown" if start else "empty"
