"""A file is written whole or not at all, whoever else writes, reads, or pulls the plug."""

import os
import stat
import subprocess
import sys

import pytest

from byhand.atomic import whole_folder, write_atomically


def test_the_pieces_are_the_content(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"first, ", memoryview(b"second"))
    assert path.read_bytes() == b"first, second"
    write_atomically(str(path), b"")
    assert path.read_bytes() == b""
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="there are no such permissions")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_others_may_read_what_they_may_usually_read(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "file", b"content")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


def in_a_missing_folder(folder):
    return folder / "missing" / "file", FileNotFoundError, "there is no folder"


def under_a_file(folder):
    (folder / "text").write_text("text")
    return folder / "text" / "file", FileNotFoundError, "there is no folder"


def over_a_folder(folder):
    (folder / "taken").mkdir()
    return folder / "taken", OSError, "cannot be written"


@pytest.mark.parametrize("place", [in_a_missing_folder, under_a_file, over_a_folder])
def test_where_it_cannot_be_written(tmp_path, place):
    path, kind, sentence = place(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(kind, match=sentence) as error:
        write_atomically(path, b"content")
    assert str(path) in str(error.value) and str(error.value).endswith(".")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_mistake_half_way_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_atomically(path, b"new", "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


FULL_DISK = """
import resource, sys
from byhand.atomic import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # no file may grow beyond this
try:
    write_atomically(sys.argv[1], bytes(100_000))
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="a limit on the size of files is needed")
def test_a_full_disk_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path} cannot be written: File too large.\n"
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


WRITER = """
import sys
from byhand.atomic import write_atomically
for _ in range(60):
    write_atomically(sys.argv[1], sys.argv[2].encode() * 200_000)
"""


def test_two_writers_and_a_reader_never_meet_half_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"a" * 200_000)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter]) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add(path.read_bytes())
    assert [writer.wait() for writer in writers] == [0, 0]
    assert seen | {path.read_bytes()} <= {b"a" * 200_000, b"b" * 200_000}
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_takes_its_name_when_it_is_complete(tmp_path):
    with whole_folder(tmp_path / "folder") as folder:
        (folder / "below").mkdir()
        (folder / "below" / "file").write_text("content")
        assert not (tmp_path / "folder").exists()
    assert os.listdir(tmp_path) == ["folder"] and (tmp_path / "folder" / "below" / "file").read_text() == "content"


@pytest.mark.parametrize("mistake", [ValueError, KeyboardInterrupt])
def test_a_folder_that_was_not_finished_is_gone(tmp_path, mistake):
    with pytest.raises(mistake), whole_folder(tmp_path / "folder") as folder:
        (folder / "file").write_text("content")
        raise mistake
    assert os.listdir(tmp_path) == []


def test_a_folder_does_not_replace_what_is_there(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("old")
    with pytest.raises(OSError), whole_folder(tmp_path / "folder") as folder:
        (folder / "file").write_text("new")
    assert os.listdir(tmp_path) == ["folder"] and (tmp_path / "folder" / "file").read_text() == "old"
    with pytest.raises(FileNotFoundError, match="there is no folder"), whole_folder(tmp_path / "no" / "folder"):
        raise AssertionError("not reached")
