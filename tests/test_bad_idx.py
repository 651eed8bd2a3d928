"""Bad IDX files, plain and compressed: each is refused in one sentence, from Python and on the command line, and none
makes the reader set memory aside for what is not there. A last table has files that look odd and are good."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byhand.data import load, read_idx, write_idx
from byhand.data.published import FILES

MOST = 2**32 - 1
NOISE = np.random.default_rng(0).bytes(500_000)  # which does not compress


def idx(*shape, values=b"", code=0x08):
    """An IDX file, spelled out: two zero bytes, the type, the number of dimensions, each of them, the values."""
    return bytes((0, 0, code, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + values


GOOD = idx(2, 3, 4, values=bytes(range(24)))
ZIPPED = gzip.compress(GOOD, mtime=0)
BOMB = gzip.compress(idx(2, 3, 4, values=bytes(10**8)), 1, mtime=0)

# --- the files --------------------------------------------------------------------------------------------------------

BAD = {  # name: (the file's content, words of the sentence)
    "empty": (b"", "is empty"),
    "1 byte": (b"\0", "not an IDX file"),
    "3 bytes": (b"\0\0\x08", "not an IDX file"),
    "wrong magic": (b"\x01" + GOOD[1:], "not an IDX file: it starts with 01 00 08 03"),
    "a web page": (b"<html>Please log in", "not an IDX file: it starts with 3c 68 74 6d"),
    "unknown type": (idx(2, 3, 4, code=0x0A, values=bytes(24)), "unknown type code 0x0a"),
    "type 0": (idx(2, 3, 4, code=0, values=bytes(24)), "unknown type code 0x00"),
    "0 dimensions": (idx(values=b"7"), "claims 0 dimensions"),
    "1 dimension, cut": (idx(5, values=bytes(4)), "cut short"),
    "2 dimensions, cut": (idx(5, 5, values=bytes(24)), "cut short"),
    "4 dimensions, cut": (idx(1, 2, 3, 4, values=bytes(23)), "cut short"),
    "33 dimensions": (idx(*[1] * 33, values=b"7"), "claims 33 dimensions; an IDX array has 1 to 32"),
    "255 dimensions": (idx(*[1] * 255, values=b"7"), "claims 255 dimensions; an IDX array has 1 to 32"),
    "255 dimensions, cut": (GOOD[:3] + b"\xff" + GOOD[4:], "claims 255 dimensions"),
    "header cut before the sizes": (GOOD[:4], "cut short inside its header"),
    "header cut within a size": (GOOD[:13], "cut short inside its header"),
    "body missing": (GOOD[:16], "2 x 3 x 4, more values than the file can hold"),
    "body too short": (GOOD[:-1], "cut short"),
    "body too long": (GOOD + b"\0", "too long: values go on after the 24 bytes"),
    "values after none": (idx(0, 3, 4, values=b"7"), "too long: values go on after the 0 bytes"),
    "half a value": (idx(3, code=0x0C, values=bytes(11)), "cut short"),
    "2**32-1": (idx(MOST), "4,294,967,295, more values than the file can hold"),
    "2**32-1 each way": (idx(MOST, MOST, MOST, values=bytes(99)), "more values than the file can hold"),
    "a product of 2**32": (idx(2**16, 2**16, values=bytes(9)), "more values than the file can hold"),
    "a product of 2**64": (idx(2**16, 2**16, 2**16, 2**16, values=bytes(9)), "more values than the file can hold"),
    "a product of 2**1024": (idx(*[MOST] * 32, code=0x0E), r"\(32 dimensions\), more values than the file can"),
    "none, of an impossible size": (idx(0, MOST, MOST), "0 x 4,294,967,295 x 4,294,967,295, and no array has such"),
    "none, of an absurd size": (idx(0, *[MOST] * 31, code=0x0E), r"\(32 dimensions\), and no array has such a shape"),
    "gzip: empty": (gzip.compress(b""), "is empty"),
    "gzip: header only": (ZIPPED[:10], "damaged or cut short"),
    "gzip: two bytes": (ZIPPED[:2], "damaged or cut short"),
    "gzip: truncated": (ZIPPED[:-12], "damaged or cut short"),
    "gzip: checksum cut": (ZIPPED[:-3], "damaged or cut short"),
    "gzip: wrong checksum": (ZIPPED[:-8] + bytes(4) + ZIPPED[-4:], r"damaged or cut short.*\(CRC check failed"),
    "gzip: wrong length": (ZIPPED[:-4] + bytes(4), r"damaged or cut short.*\(Incorrect length"),
    "gzip: rubbish": (ZIPPED[:10] + b"\xff" * 50, "damaged or cut short"),
    "gzip: unknown method": (b"\x1f\x8b\x07" + ZIPPED[3:], "damaged or cut short.*Unknown compression method"),
    "gzip: trailing garbage": (ZIPPED + b"garbage", "damaged or cut short.*Not a gzipped file"),
    "gzip: two members": (ZIPPED + ZIPPED, "too long"),
    "gzip: second member cut": (ZIPPED + ZIPPED[:-9], "damaged or cut short|too long"),
    "gzip: twice": (gzip.compress(ZIPPED), "not an IDX file: it starts with 1f 8b 08"),
    "gzip: body too short": (gzip.compress(GOOD[:-1]), "23 of the 24 bytes"),
    "gzip: body too long": (gzip.compress(GOOD + b"\0"), "too long"),
    "gzip: a bomb after the values": (BOMB, "too long"),
    "gzip: a bomb in place of values": (gzip.compress(idx(10**9, values=bytes(10**6))), "more values than the file"),
    "gzip: a header that promises": (gzip.compress(idx(10**8, values=NOISE)), "500,000 of the 100,000,000 bytes"),
    "gzip: 2**32-1": (gzip.compress(idx(MOST, MOST, MOST)), "more values than the file can hold"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_one_sentence_that_names_it(name, tmp_path):
    content, words = BAD[name]
    path = tmp_path / "digits-idx3-ubyte"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=words) as error:
            read_idx(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(error.value).startswith(f"{path} ") and "\n" not in str(error.value) and len(str(error.value)) < 400
    assert peak < 3_000_000, "memory grows with what is there, not with what is claimed"
    with pytest.raises(ValueError, match=words):
        read_idx(content)  # the same from memory


@given(cut=st.integers(0, len(GOOD) - 1), zipped=st.booleans())
def test_no_cut_goes_unnoticed(cut, zipped):
    with pytest.raises(ValueError):
        read_idx(gzip.compress(GOOD[:cut]) if zipped else GOOD[:cut])


class Counted:
    """A gzip file, and how many bytes were unpacked from it."""

    def __init__(self, fileobj, original=gzip.GzipFile):
        self.stream, self.count = original(fileobj=fileobj), 0
        Counted.last = self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()

    def read(self, size):
        data = self.stream.read(size)
        self.count += len(data)
        return data


def test_of_a_bomb_one_byte_more_than_expected_is_read(monkeypatch):
    monkeypatch.setattr("gzip.GzipFile", Counted)
    with pytest.raises(ValueError, match="too long"):
        read_idx(BOMB)
    assert Counted.last.count == len(GOOD) + 1


def test_a_folder_and_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        read_idx(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_idx(tmp_path / "nothing")


# --- four files that do not belong together ---------------------------------------------------------------------------

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = FILES
ARRAYS = {IMAGES: np.zeros((8, 5, 4), np.uint8), LABELS: np.arange(8, dtype=np.uint8) % 3,
          TEST_IMAGES: np.zeros((4, 5, 4), np.uint8), TEST_LABELS: np.arange(4, dtype=np.uint8) % 3}

MISFITS = {  # name: (the files that are other than usual, words of the sentence)
    "a file missing": ({IMAGES: None}, f"has no {IMAGES}"),
    "three files missing": ({IMAGES: None, LABELS: None, TEST_LABELS: None}, f"has no {IMAGES} and no {LABELS} and no"),
    "images and labels exchanged": ({IMAGES: ARRAYS[LABELS], LABELS: ARRAYS[IMAGES]},
                                    f"{IMAGES} holds labels and .*{LABELS} holds images; exchange their names"),
    "test labels for test images": ({TEST_IMAGES: ARRAYS[TEST_LABELS]}, f"{TEST_IMAGES} does not hold images"),
    "images of 2 dimensions": ({IMAGES: np.zeros((8, 20), np.uint8)}, f"{IMAGES} does not hold images.*N x height x"),
    "images of 5 dimensions": ({IMAGES: np.zeros((8, 1, 1, 5, 4), np.uint8)}, f"{IMAGES} does not hold images"),
    "no images": ({TEST_IMAGES: np.zeros((0, 5, 4), np.uint8)}, f"{TEST_IMAGES} does not hold images"),
    "images without pixels": ({IMAGES: np.zeros((8, 0, 4), np.uint8)}, f"{IMAGES} does not hold images"),
    "more images than labels": ({LABELS: np.zeros(7, np.uint8)}, f"has 8 images, but .*{LABELS} has 7 labels"),
    "more labels than images": ({IMAGES: np.zeros((7, 5, 4), np.uint8)}, f"has 7 images, but .*{LABELS} has 8 labels"),
    "another size of test images": ({TEST_IMAGES: np.zeros((4, 9, 9), np.uint8)},
                                    r"shape \(1, 5, 4\), but a test sample has \(1, 9, 9\)"),
    "labels of 2 dimensions": ({LABELS: np.zeros((8, 3), np.uint8)}, f"{LABELS} does not hold labels"),
    "labels that are fractions": ({LABELS: np.zeros(8, np.float32)}, f"{LABELS} does not hold labels"),
    "labels below 0": ({TEST_LABELS: np.full(4, -1, np.int8)}, f"{TEST_LABELS} does not hold labels"),
    "labels out of range": ({LABELS: np.full(8, 2**31 - 1, np.int32)},
                            "they reach 2,147,483,647, and there can be no more than 10,000 classes"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_files_that_do_not_fit_together_get_one_sentence(name, tmp_path):
    changes, words = MISFITS[name]
    for file, array in (ARRAYS | changes).items():
        if array is not None:
            write_idx(tmp_path / file, array)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=words) as error:
            load(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "\n" not in str(error.value) and peak < 1_000_000


@pytest.mark.parametrize("name", ["empty", "wrong magic", "body too short", "gzip: truncated", "gzip: wrong checksum"])
def test_the_command_names_the_file_and_fails(name, here):
    for file, array in ARRAYS.items():
        write_idx(file, array)
    with open(TEST_LABELS, "wb") as file:
        file.write(BAD[name][0])
    code, out, err = here("data", "info", ".")
    assert (code, out) == (1, "") and err.startswith(f"byhand: {TEST_LABELS} is ") and err.count("\n") == 1


# --- odd, and good ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "shape"), [
    (idx(0), (0,)),
    (idx(0, 28, 28), (0, 28, 28)),
    (idx(28, 0, 0), (28, 0, 0)),
    (idx(*[1] * 32, values=b"7"), (1,) * 32),
    (gzip.compress(GOOD[:9]) + gzip.compress(GOOD[9:]), (2, 3, 4)),  # members that are one file, as RFC 1952 has it
    (ZIPPED + bytes(512), (2, 3, 4)),  # filled up with zeros, as tapes do; `gzip -d` takes it too
], ids=["none", "no images", "no pixels", "32 dimensions", "gzip: two members that are one file", "gzip: padded"])
def test_odd_files_that_are_good(content, shape):
    assert read_idx(content).shape == shape


def test_gzip_is_recognized_by_content_whatever_the_name(tmp_path):
    (tmp_path / "zipped").write_bytes(ZIPPED)
    (tmp_path / "plain.gz").write_bytes(GOOD)
    for name in ("zipped", "plain.gz"):
        np.testing.assert_array_equal(read_idx(tmp_path / name), np.arange(24).reshape(2, 3, 4))
