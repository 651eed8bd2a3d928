"""Picture files made by hand: good ones of every kind, and ones that claim what they do not hold."""

import io
import struct
import zlib

from PIL import Image


def encoded(image, kind="PNG", **options):
    """The bytes of a picture file, of an array or a Pillow image."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def png(width, height, rows=b"", bits=8, kind=0):
    """A PNG file that claims a size, whatever is in it."""
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def animated(kind):
    """Three pictures in one file."""
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "green")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])
