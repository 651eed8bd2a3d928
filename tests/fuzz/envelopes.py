"""What is inside a file, behind compression, checksums and lengths: each of these opens a file of its kind, and gives
the inside with a function that puts something else there and closes the file again, so that only the inside is wrong.
Each returns None for a file that it cannot open."""

import gzip
import io
import json
import struct
import zipfile
import zlib
from random import Random

from mutations import Opened
from safetensors.numpy import load as tensors_in

from byhand.files.checkpoint import digest


def inside_gzip(content: bytes, rng: Random) -> Opened | None:
    try:
        return gzip.decompress(content), lambda inner: gzip.compress(inner, rng.choice((1, 9)), mtime=0)
    except (OSError, EOFError, zlib.error):
        return None


def inside_safetensors(content: bytes, rng: Random) -> Opened | None:
    """One of the words of its metadata; now and then the whole header, as JSON, or the numbers."""
    size = int.from_bytes(content[:8], "little")
    header, numbers = content[8:8 + size], content[8 + size:]
    if len(header) < size:
        return None
    if rng.random() < 0.1:
        return numbers, lambda inner: content[:8] + header + inner
    try:
        said = json.loads(header)
        name = rng.choice([name for name, word in said["__metadata__"].items() if isinstance(word, str)])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        name = None
    if name is None or rng.random() < 0.3:
        return header, lambda inner: len(inner).to_bytes(8, "little") + inner + numbers

    def close(inner: bytes) -> bytes:
        said["__metadata__"][name] = inner.decode(errors="replace")
        text = json.dumps(said).encode()
        return len(text).to_bytes(8, "little") + text + numbers

    return said["__metadata__"][name].encode(errors="replace"), close


def inside_zip(content: bytes, rng: Random) -> Opened | None:
    """One of the files in an archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # zipfile raises nearly anything
        return None
    if not members:
        return None
    chosen = rng.choice(list(members))

    def close(inner: bytes) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
            for name, member in members.items():
                archive.writestr(zipfile.ZipInfo(name), inner if name == chosen else member)
        return packed.getvalue()

    return members[chosen], close


def inside_png(content: bytes, rng: Random) -> Opened | None:
    """What is in one of the chunks of a PNG, unpacked if it is the picture itself."""
    if not content.startswith(b"\x89PNG"):
        return None
    chunks, at = [], 8
    while at + 12 <= len(content):
        size = int.from_bytes(content[at:at + 4], "big")
        chunks.append((content[at + 4:at + 8], content[at + 8:at + 8 + size]))
        at += 12 + size
    if not chunks:
        return None
    chosen = rng.randrange(len(chunks))
    kind, inner = chunks[chosen]
    try:
        unpacked = zlib.decompress(inner) if kind == b"IDAT" else None
    except zlib.error:
        unpacked = None

    def close(inner: bytes) -> bytes:
        chunks[chosen] = kind, inner if unpacked is None else zlib.compress(inner)
        return content[:8] + b"".join(struct.pack(">I", len(data)) + name + data +
                                      struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks)

    return inner if unpacked is None else unpacked, close


def inside_checkpoint(content: bytes, rng: Random) -> Opened | None:
    """As in safetensors; closed with the right SHA-256."""
    opened = inside_safetensors(content, rng)
    if opened is None or rng.random() < 0.1:
        return opened
    inner, close = opened

    def sealed(inner: bytes) -> bytes:
        content = close(inner)
        try:
            size = int.from_bytes(content[:8], "little")
            header = json.loads(content[8:8 + size])
            header["__metadata__"]["sha256"] = digest(header["__metadata__"]["state"], tensors_in(content))
            text = json.dumps(header).encode()
        except Exception:  # it is past sealing
            return content
        return len(text).to_bytes(8, "little") + text + content[8 + size:]

    return inner, sealed


def inside_onnx(content: bytes, rng: Random) -> Opened | None:
    """One of the operators or arrays of an ONNX file, its input, or a word of its metadata."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        file = onnx.ModelProto.FromString(content)
        parts = [*file.graph.node, *file.graph.initializer, *file.graph.input, *file.metadata_props]
        chosen = rng.choice(parts)
        inner = chosen.SerializeToString()
    except (DecodeError, IndexError, ValueError):
        return None

    def close(changed: bytes) -> bytes:
        try:
            chosen.ParseFromString(changed)
        except DecodeError:
            return content.replace(inner, changed, 1)  # under a length that is wrong now
        return bytes(file.SerializeToString())

    if chosen in file.metadata_props and isinstance(chosen.value, str) and rng.random() < 0.8:
        def close_word(word: bytes) -> bytes:
            chosen.value = word.decode(errors="replace")
            return bytes(file.SerializeToString())

        return chosen.value.encode(errors="replace"), close_word
    return inner, close
