"""A file is written whole or not at all, and so is a folder.

The bytes go into a temporary file beside the target, are pushed to the disk, and only then take the target's name, in
one step that cannot be seen half done. Whoever reads meanwhile, and whoever finds the folder after the power went, has
the old file or the new one.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], *content: bytes | memoryview,
                     previous: str | os.PathLike[str] | None = None) -> None:
    """Write `content`, one piece after the other, to `path`, replacing what is there. What is there goes on under the
    name `previous`, if one is given: at every moment a whole file has one of the two names.

    Raises OSError and leaves what was there as it was if there is no such folder, it cannot be written to, or the disk
    is full.
    """
    target = Path(path)
    temporary = _beside(target)
    try:
        with temporary.open("xb") as file:
            for piece in content:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None:
            with suppress(FileNotFoundError):  # the first of all has no previous one
                os.replace(target, previous)
        os.replace(temporary, target)
    except OSError as error:
        raise type(error)(f"{target} cannot be written: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)  # once renamed, it is gone
    sync_folder(target.parent)


@contextmanager
def whole_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new folder to write into. It takes the name `path` at the end of the `with`; after an error it is removed.

    Raises OSError if there is something at `path` (other than an empty folder), or no folder to put it in.
    """
    target = Path(path)
    temporary = _beside(target)
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(target.parent)


def _beside(target: Path) -> Path:
    """A name of its own for every writer, in the same folder, because only there a rename is one step."""
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target} cannot be written: there is no folder {target.parent}.")
    return target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")


@contextmanager
def alone_in(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Nobody else who asks is let in during the `with`. The system keeps count, so nothing is left behind even by a
    process that is killed; where the system or the disk knows no such thing (Windows, some networks), all are let in.

    Raises BlockingIOError if somebody is in there already.
    """
    if not hasattr(os, "O_DIRECTORY"):
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BlockingIOError(f"another process is at work in {folder}; let it come to its end first, or stop it.") \
            from None
    except OSError:
        pass  # no locks here
    try:
        yield
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what killed writers left behind. Only where nobody is writing: it would take his file away."""
    for temporary in folder.glob(".*.tmp"):
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a change of names in a folder last; where the system has no such thing (Windows), nothing."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
