"""What may be written to a terminal. Names of files and classes come from strangers, and a terminal obeys: a name can
hold the characters that clear the screen, paint it, or move the cursor over what was said before."""

CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def printable(text: str) -> str:
    """The text with control characters, and bytes of file names that are no text, spelled out: \\x1b."""
    return text.encode(errors="backslashreplace").decode().translate(CONTROLS)
