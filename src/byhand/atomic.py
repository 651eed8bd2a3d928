"""A file is written whole or not at all.

The bytes go into a temporary file beside the target, are pushed to the disk, and only then take the target's name, in one
step that cannot be seen half done. Whoever reads meanwhile, and whoever finds the folder after the power went, has the old
file or the new one.
"""

import os
import tempfile
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write `content` to `path`, replacing what is there. Raises OSError and leaves what was there as it was if the disk is
    full or the folder cannot be written to."""
    target = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~current_umask())  # mkstemp lets nobody else read
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make a change of names in a folder last; where the system has no such thing (Windows), nothing."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def current_umask() -> int:
    """The permissions that new files of this process do not get. The system tells it only in exchange for a new one."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
