"""What may be written to a terminal. Names of files and classes come from strangers, and a terminal obeys: a name can
hold the characters that clear the screen, paint it, or move the cursor over what was said before."""

LONGEST_REASON = 300  # characters
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def counted(n: int, thing: str) -> str:
    """1 epoch, 2,000 epochs."""
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def printable(text: str) -> str:
    """The text with control characters, and bytes of file names that are no text, spelled out: \\x1b."""
    return text.encode(errors="backslashreplace").decode().translate(CONTROLS)


def short(error: Exception | str) -> str:
    """What it says, without the end of its sentence. It may quote the file, in which may be anything, without end."""
    said = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
    if isinstance(error, RecursionError):
        said = "it is nested too deep"
    text = printable(" ".join(said.split()).rstrip("."))
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}..."
