"""IDX files: what is written is what is read. (What is refused: test_bad_idx.py.)"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from byhand.data import digest, read_idx, write_idx

TYPES = ["u1", "i1", "i2", "i4", "f4", "f8"]
SMALL = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
RAW = bytes.fromhex("00000803 00000002 00000003 00000004") + SMALL.tobytes()  # SMALL, spelled out from the format


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ["plain", "zipped.gz"])
def test_every_type_survives_a_round_trip(tmp_path, dtype, name):
    array = np.array([[0, 1, 127], [2, 3, 100]], dtype)
    write_idx(tmp_path / name, array)
    found = read_idx(tmp_path / name)
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype and found.dtype.isnative and found.flags.writeable


@given(hnp.arrays(st.sampled_from([np.dtype(order + t) for t in TYPES for order in "<>"]),
                  hnp.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=4)))
def test_any_array_survives_a_round_trip(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("idx") / "a"
    write_idx(path, array[::-1])  # not contiguous
    np.testing.assert_array_equal(read_idx(path), array[::-1])


def test_the_bytes_are_those_of_the_format(tmp_path):
    write_idx(tmp_path / "a", SMALL)
    assert (tmp_path / "a").read_bytes() == RAW
    np.testing.assert_array_equal(read_idx(RAW), SMALL)


def test_multi_byte_values_are_big_endian(tmp_path):
    write_idx(tmp_path / "a", np.array([1, 258], np.int16))
    assert (tmp_path / "a").read_bytes() == bytes.fromhex("00000b01 00000002 0001 0102")


def test_a_compressed_file_is_the_same_bytes_every_time(tmp_path):
    write_idx(tmp_path / "a.gz", SMALL)
    write_idx(tmp_path / "other name.gz", SMALL)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "other name.gz").read_bytes()


def test_digest_is_the_sha256_of_the_uncompressed_file():
    assert digest(SMALL) == hashlib.sha256(RAW).hexdigest()
    assert digest(SMALL.astype("i2")) == digest(SMALL.astype(">i2"))


@pytest.mark.parametrize("array, says", [
    (np.zeros(3, np.int64), "not int64"),
    (np.zeros(3, bool), "not bool"),
    (np.array(["a"]), "not <U1"),
    (np.zeros((), np.uint8), "a single number"),
])
def test_what_idx_cannot_hold(tmp_path, array, says):
    with pytest.raises(ValueError, match=says):
        write_idx(tmp_path / "a", array)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_idx(path, SMALL)

    def disk_full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        write_idx(path, SMALL + 1)
    monkeypatch.undo()
    np.testing.assert_array_equal(read_idx(path), SMALL)
    assert list(tmp_path.iterdir()) == [path]


def test_two_processes_write_and_read_the_same_file(tmp_path):
    """Each writes its own array over and over and reads what is there: always one of the two, whole."""
    program = """
import sys
import numpy as np
from byhand.data import read_idx, write_idx
path, mine = sys.argv[1], int(sys.argv[2])
for _ in range(30):
    write_idx(path, np.full((100, 28, 28), mine, np.uint8))
    found = read_idx(path)
    assert found.shape == (100, 28, 28) and found.min() == found.max() and found[0, 0, 0] in (1, 2)
"""
    writers = [subprocess.Popen([sys.executable, "-W", "error", "-c", program, tmp_path / "a", str(mine)])
               for mine in (1, 2)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert [path.name for path in Path(tmp_path).iterdir()] == ["a"]
