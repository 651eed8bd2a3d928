"""What kind of file it is, by how it begins. Names can be wrong, and a file of the wrong kind deserves a better answer
than that it is damaged."""

from codecs import BOM_UTF8
from pathlib import Path

FIELDS = bytes(number << 3 | wire for number, wire in ((2, 2), (3, 2), (4, 2), (5, 0), (6, 2), (7, 2), (8, 2)))
"""How the fields of an ONNX file begin that may follow the first one, its version."""


def is_onnx(path: Path) -> bool:
    """Whether this is an ONNX file: its version, a small number in field 1, comes first wherever it is written."""
    start = beginning(path)
    begins = start[:1] == b"\x08" and len(start) > 2 and start[2] in FIELDS
    return (begins or path.suffix == ".onnx") and not is_safetensors(start)


def is_pickle(path: Path) -> bool:
    """Whether this is a pickle, or the ZIP archive with one in it that PyTorch writes: `.pt`, `.pth`, `.bin`."""
    start = beginning(path)
    zipped = start.startswith(b"PK") and b"data.pkl" in start
    return zipped or (start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5") and not is_safetensors(start))


def is_pytorch(path: Path) -> bool:
    """Whether a pickle is PyTorch's: in a ZIP archive, or, before that, behind the magic number 0x1950a86a20f9469cfc6c.
    """
    start = beginning(path)
    return start.startswith(b"PK") or start[2:14] == b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"


def json_bracket(path: Path) -> bytes:
    """What JSON begins with, b"{" or b"[", whatever blanks or mark some editors put before it; b"" for all that is no
    JSON. (A safetensors file can begin so too, with a length, whose highest bytes are 0.)"""
    start = beginning(path)
    first = start.removeprefix(BOM_UTF8).lstrip()[:1]
    return first if first in (b"{", b"[") and b"\0" not in start[:8] else b""


def is_safetensors(start: bytes) -> bool:
    """Whether a file begins as safetensors: a length of eight bytes, then JSON."""
    return start[8:9] == b"{"


def beginning(path: Path) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(256)
