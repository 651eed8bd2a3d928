"""How a file is spoiled: bits are flipped, bytes cut and copied, numbers exchanged for those at which programs stumble.
A file in an envelope (compressed, or with checksums and lengths around it) is opened first, spoiled inside, and closed
again, or nothing would ever get past the envelope. JSON is changed as what it means, too, not only as text."""

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

LARGEST = 1 << 16  # bytes
NUMBERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 1000, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1,
           2**32, 2**48, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (b"-1", b"1e400", b"-0", b"NaN", b"Infinity", b"null", b"true", b'"', b"'", b"{", b"}", b"[", b"]", b",", b";",
         b"\n", b"\r\n", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\u0000", b"\\ud800", b" ", b"../",
         b"1" * 400, b"[" * 2000, b"os.system")
VALUES: tuple[Any, ...] = (None, True, -1, 0, 1.5, 1e308, float("nan"), float("inf"), 2**31, 10**30, 10**400, "", "x",
                           "Linear", "F64", "\x1b[2J\n", "\ud800", "9" * 300, [], {}, [[]], [0, 4], [2**40, 2**40])

Opened = tuple[bytes, Callable[[bytes], bytes]]
"""What is inside a file, and a function that puts something else inside and closes it."""
Open = Callable[[bytes, Random], Opened | None]
"""Opens a file; None for one without inside."""


def spoiled(content: bytes, others: list[bytes], envelope: Open | None, rng: Random) -> bytes:
    """The file with one to six things changed. `others`: files to take parts from."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        inside = envelope(content, rng) if envelope and rng.random() < 0.7 else None
        if inside is None:
            content = edited(content, others, rng)[:LARGEST]
        else:
            text, close = inside
            content = close(edited(text, others, rng)[:LARGEST])
    return content


def edited(content: bytes, others: list[bytes], rng: Random) -> bytes:
    """One thing changed."""
    if content[:1] in (b"{", b"[") and rng.random() < 0.7 and (changed := changed_json(content, rng)) is not None:
        return changed
    return rng.choice(EDITS)(content, others, rng)


# --- bytes ------------------------------------------------------------------------------------------------------------


def flip(content: bytes, others: list[bytes], rng: Random) -> bytes:
    if not content:
        return b"\0"
    spoilt = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 16))):
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def put_number(content: bytes, others: list[bytes], rng: Random) -> bytes:
    """A number of one to eight bytes, of either order, over what stands there; mostly near the beginning."""
    size = rng.choice((1, 2, 4, 8))
    number = (rng.choice(NUMBERS) % 256**size).to_bytes(size, rng.choice(("big", "little")))
    at = min(rng.randrange(len(content) + 1), rng.choice((40, 400, 10**9)))
    return content[:at] + number + content[at + size:]


def put_word(content: bytes, others: list[bytes], rng: Random) -> bytes:
    at, end = span(content, rng)
    return content[:at] + rng.choice(WORDS) + content[rng.choice((at, end)):]


def change_digits(content: bytes, others: list[bytes], rng: Random) -> bytes:
    """A number that is written in digits becomes another."""
    found = list(re.finditer(rb"\d+", content[:20_000]))
    if not found:
        return flip(content, others, rng)
    start, end = rng.choice(found).span()
    return content[:start] + str(rng.choice((-1, 1)) * rng.choice(NUMBERS)).encode() + content[end:]


def cut(content: bytes, others: list[bytes], rng: Random) -> bytes:
    at, end = span(content, rng)
    return rng.choice((content[:at], content[at:], content[:at] + content[end:]))


def repeat(content: bytes, others: list[bytes], rng: Random) -> bytes:
    at, end = span(content, rng)
    return content[:end] + content[at:end] * rng.choice((1, 1, 2, 50)) + content[end:]


def splice(content: bytes, others: list[bytes], rng: Random) -> bytes:
    other = rng.choice(others)
    at, end = span(other, rng)
    start, stop = span(content, rng)
    return content[:start] + other[at:end] + content[rng.choice((start, stop)):]


def fill(content: bytes, others: list[bytes], rng: Random) -> bytes:
    at, end = span(content, rng)
    return content[:at] + rng.choice((b"\0", b"\xff", b"0", b"A")) * (end - at) + content[end:]


def span(content: bytes, rng: Random) -> tuple[int, int]:
    """The beginning and end of a part, mostly a short one."""
    at = rng.randrange(len(content) + 1)
    return at, min(len(content), at + rng.choice((1, 2, 4, 8, 64, 1000)))


EDITS = (flip, put_number, put_word, change_digits, cut, repeat, splice, fill)


# --- JSON -------------------------------------------------------------------------------------------------------------


def changed_json(content: bytes, rng: Random) -> bytes | None:
    """The JSON with one value, key or element changed; None if it is no JSON."""
    try:
        value = json.loads(content)
        text = json.dumps(changed_value(value, rng))
    except (ValueError, RecursionError):
        return None
    if rng.random() < 0.1:  # a key that stands twice, which no dict can hold
        text = re.sub(r'("\w+"): ', r"\1: 1, \1: ", text, count=1)
    return text.encode(errors="surrogatepass")


def changed_value(value: Any, rng: Random) -> Any:
    """Somewhere in it, something else. A text that is itself JSON is changed within."""
    if isinstance(value, str) and value[:1] in ("{", "[") and rng.random() < 0.9:
        inner = changed_json(value.encode(errors="replace"), rng)
        return rng.choice(VALUES) if inner is None else inner.decode(errors="replace")
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return rng.choice(VALUES)
    key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
    changed: Any = value.copy()
    match rng.randrange(10):
        case 0:
            del changed[key]
        case 1 if isinstance(changed, list):
            changed += [changed[key]] * (1 if isinstance(changed[key], dict | list) else rng.choice((1, 3000)))
        case 1:
            changed[rng.choice(("type", "x", "__class__", key + " "))] = changed[key]
        case 2:
            changed[key] = value
        case _:
            changed[key] = changed_value(value[key], rng)
    return changed
