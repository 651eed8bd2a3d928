"""Bad downloads: every way in which a mirror, the cache or the disk can fail ends in one sentence and, where another
mirror has the data, in the right data; never in wrong data, and never in half a file.

The servers are real ones, on this machine only.
"""

import gzip
import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from tiny_set import make_arrays, published, same, write_folder

from byhand.data import DataUnavailable, fetch, load, read_idx, write_idx
from byhand.data.mirrors import LARGEST, from_url
from byhand.data.published import FILES

ARRAYS = make_arrays()

# --- what a server may answer -----------------------------------------------------------------------------------------

HABITS = {  # what the server does: words of the sentence
    "gone": "the server answers 404 Not Found",
    "failing": "the server answers 500",
    "circle": "the server answers 302",
    "local": "the server answers 302",
    "login": "not an IDX file: it starts with 3c 68 74 6d",
    "zipped_login": "not an IDX file: it starts with 3c 68 74 6d",
    "empty": "is empty",
    "partial": "cut short",
    "broken_off": "cut short",
    "garbage": "damaged or cut short",
    "bomb": "too long|more values than the file can hold",
    "other": "is not the published file of tiny: its SHA-256 differs",  # a good file, only another one
    "nothing": "closed connection without response",
    "nonsense": "not all the world",
    "endless": f"does not end after {LARGEST:,} bytes",
    "silent": "timed out",
    "drip": "too slow",
}
SLOW = ("silent", "drip")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A web server with good files under /good and a bad habit under each other path; gives its address."""
    folder = write_folder(tmp_path_factory.mktemp("good"), ARRAYS, ".gz")
    others = write_folder(tmp_path_factory.mktemp("other"), make_arrays(seed=1), ".gz")
    good, other = ({path.name: path.read_bytes() for path in place.iterdir()} for place in (folder, others))
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            with suppress(ConnectionError):  # the client may have enough; that is what some of these are for
                habit, self.file = re.fullmatch("/(.*?)/+(.*)", self.path).groups()
                getattr(self, habit)()

        def answer(self, content, length=None, status=200, **headers):
            self.send_response(status)
            for name, value in {"Content-Length": length or len(content), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content)

        def content(self):
            return good[self.file]

        def good(self):
            self.answer(self.content())

        def moved(self):
            self.answer(b"", status=302, Location=f"/good/{self.file}")

        def circle(self):
            self.answer(b"", status=302, Location=self.path)

        def local(self):
            self.answer(b"", status=302, Location="file:///etc/hostname")

        def gone(self):
            self.answer(b"not here", status=404)

        def failing(self):
            self.answer(b"oh dear", status=500)

        def login(self):
            self.answer(b"<html>Please log in</html>")

        def zipped_login(self):
            self.answer(gzip.compress(b"<html>Please log in</html>"))

        def empty(self):
            self.answer(b"")

        def partial(self):
            self.answer(self.content()[:30], length=len(self.content()))

        def broken_off(self):  # without a length nothing tells that there should be more
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.content()[:30])

        def garbage(self):
            self.answer(self.content() + b"garbage")

        def bomb(self):
            self.answer(gzip.compress(gzip.decompress(self.content()) + bytes(10**8), 1))

        def other(self):
            self.answer(other[self.file])

        def nothing(self):
            self.close_connection = True

        def nonsense(self):
            self.wfile.write(b"not all the world speaks HTTP\r\n\r\n")

        def silent(self):
            closing.wait(10)

        def drip(self):
            self.answer(b"", length=10**6)
            while not closing.wait(0.01):
                self.wfile.write(b"\0")

        def endless(self):
            self.answer(b"", length=10**12)
            while not closing.is_set():
                self.wfile.write(bytes(1 << 20))

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    closing.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("BYHAND_DATA", raising=False)
    return tmp_path / "cache"


@pytest.mark.parametrize("path", ["good", "good/", "moved"])
def test_a_good_answer(server, path):
    np.testing.assert_array_equal(from_url(f"{server}/{path}", FILES[0]), ARRAYS[FILES[0]])


@pytest.mark.parametrize("habit", [habit for habit in HABITS if habit != "other"])
def test_a_bad_answer_is_one_sentence_with_the_address(habit, server):
    begun = time.perf_counter()
    with pytest.raises((OSError, ValueError), match=HABITS[habit]) as error:
        from_url(f"{server}/{habit}", FILES[0], patience=0.1 if habit in SLOW else 5)
    assert str(error.value).startswith(f"{server}/{habit}/{FILES[0]}.gz: ") and "\n" not in str(error.value)
    assert "urlopen" not in str(error.value) and time.perf_counter() - begun < 5


@pytest.mark.parametrize("habit", [habit for habit in HABITS if habit not in SLOW])
def test_the_next_mirror_is_asked_and_nothing_is_kept_of_the_bad_one(habit, server, cache):
    said = []
    splits = load(published(ARRAYS, f"{server}/{habit}", f"{server}/good"), said.append, cache=cache)
    assert same(splits, ARRAYS)
    first, sentence, second = said
    assert (first, second) == (f"getting tiny from {server}/{habit}", f"getting tiny from {server}/good")
    assert f"{server}/{habit}" in sentence and re.search(HABITS[habit], sentence) and "\n" not in sentence
    assert sorted(path.name for path in (cache / "tiny").iterdir()) == sorted(FILES)


def test_every_mirror_is_down(server, cache):
    down = ("http://127.0.0.1:9/", f"{server}/gone", f"{server}/login", f"{server}/partial", f"{server}/other",
            "file:///no/such")
    with pytest.raises(DataUnavailable) as error:
        load(published(ARRAYS, *down), cache=cache)
    for part in ("tiny cannot be had", str(cache), "9/train-images-idx3-ubyte.gz: Connection refused", "404 Not Found",
                 "not an IDX file", "cut short", "SHA-256 differs", "No such file", "set BYHAND_DATA"):
        assert part in str(error.value)
    assert "\n" not in str(error.value) and not list(cache.rglob("*.*")), "nothing is kept of what is not right"
    with pytest.raises(DataUnavailable, match="there is none"):
        load(published(ARRAYS), cache=cache)


# --- what the cache may be --------------------------------------------------------------------------------------------


def cut(folder):
    path = folder / FILES[0]
    path.write_bytes(path.read_bytes()[:-1])


def exchange(folder):
    write_idx(folder / FILES[0], ARRAYS[FILES[0]] // 2)


def empty_a_file(folder):
    (folder / FILES[0]).write_bytes(b"")


def replace_by_a_file(folder):
    for file in FILES:
        (folder / file).unlink()
    folder.rmdir()
    folder.write_text("a file where the folder was")


@pytest.mark.parametrize("damage", [cut, exchange, empty_a_file, replace_by_a_file])
def test_a_damaged_cache_is_renewed(damage, server, cache):
    tiny = published(ARRAYS, f"{server}/good")
    load(tiny, cache=cache)
    damage(cache / "tiny")
    said = []
    assert same(load(tiny, said.append, cache=cache), ARRAYS)
    assert said[0].startswith("the cache is damaged and will be renewed: ")
    assert FILES[0] in said[0] and str(cache / "tiny") in said[0]
    if damage is not replace_by_a_file:
        np.testing.assert_array_equal(read_idx(cache / "tiny" / FILES[0]), ARRAYS[FILES[0]])


def test_what_a_killed_process_left_is_no_data(server, cache):
    (cache / "tiny").mkdir(parents=True)
    left = cache / "tiny" / f".{FILES[0]}.0123456789abcdef.tmp"
    left.write_bytes(b"half a fi")
    said = []
    assert same(load(published(ARRAYS, f"{server}/good"), said.append, cache=cache), ARRAYS)
    assert said == [f"getting tiny from {server}/good"]


def test_a_cache_that_cannot_be_written_is_told_and_the_data_comes_all_the_same(server, tmp_path, cache):
    tiny = published(ARRAYS, f"{server}/good")
    (tmp_path / "file").write_text("no folder can be made under a file, not even by root")
    said = []
    assert same(load(tiny, said.append, cache=tmp_path / "file"), ARRAYS)
    assert sum("cannot be kept for the next time" in sentence for sentence in said) == 1
    with pytest.raises(OSError, match="cannot be kept in"):
        fetch(tiny, cache=tmp_path / "file")


@pytest.mark.skipif(os.name != "posix", reason="there are no such permissions")
def test_a_read_only_cache_is_told_and_the_data_comes_all_the_same(server, cache):
    said = []
    with TemporaryDirectory() as folder:  # not below pytest's own, which only its owner may enter
        os.chmod(folder, 0o555)
        if os.geteuid() == 0:
            os.seteuid(65534)  # nobody; for the administrator there are no limits
        try:
            assert same(load(published(ARRAYS, f"{server}/good"), said.append, cache=folder), ARRAYS)
        finally:
            os.seteuid(os.getuid())
        assert os.listdir(folder) == []
    assert said[1:] == [f"what was fetched cannot be kept for the next time: {folder}/tiny: Permission denied"]


LOADING = """
import json, sys
from byhand.data import Published, load
record = json.loads(sys.argv[1])
splits = load(Published(**{**record, "mirrors": tuple(record["mirrors"])}), print, cache=sys.argv[2])
assert len(splits.train) == 8 and len(splits.test) == 4
"""
ON_A_FULL_DISK = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n" + LOADING


def process(program, tiny, cache):
    return subprocess.Popen([sys.executable, "-W", "error", "-c", program, json.dumps(tiny.__dict__), cache],
                            stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name != "posix", reason="a limit on the size of files is needed")
def test_a_full_disk_is_told_and_the_data_comes_all_the_same(server, cache):
    out, _ = (loading := process(ON_A_FULL_DISK, published(ARRAYS, f"{server}/good"), cache)).communicate(timeout=60)
    assert loading.returncode == 0
    assert out.splitlines()[1:] == [f"what was fetched cannot be kept for the next time: {cache / 'tiny' / FILES[0]} "
                                    "cannot be written: File too large."]
    assert list((cache / "tiny").iterdir()) == []


def test_two_processes_fill_one_cache(server, cache):
    tiny = published(ARRAYS, f"{server}/good")
    both = [process(LOADING, tiny, cache) for _ in range(2)]
    for loading in both:
        loading.communicate(timeout=60)
    assert [loading.returncode for loading in both] == [0, 0]
    assert sorted(path.name for path in (cache / "tiny").iterdir()) == sorted(FILES)
    assert same(load(replace(tiny, mirrors=()), cache=cache), ARRAYS)
