"""Bad data of one's own, in every form but IDX (test_bad_idx.py): each is refused in one sentence, from Python and on
the command line, and none makes the readers set memory aside for what is not there."""

import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from command_line import the_object
from PIL import Image

from byhand.data import load

X, Y = np.arange(12 * 9, dtype=np.uint8).reshape(12, 3, 3), np.arange(12) % 3
HUGE = 32 << 30  # bytes
MEMORY = 32 << 20  # bytes that any of these may take


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **({"x_train": X, "y_train": Y} | arrays))
    return file.getvalue()


def header(words, values=b"", version=1):
    """An .npy file whose header says anything."""
    length = struct.pack("<H" if version == 1 else "<I", len(words))
    return b"\x93NUMPY" + bytes((version, 0)) + length + words.encode("latin-1") + values


def saying(descr="'|u1'", order="False", shape="(12, 3, 3)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def archive(content, method=zipfile.ZIP_DEFLATED, name="x_train.npy"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as zipped:
        zipped.writestr(name, content)
        zipped.writestr("y_train.npy", npy(Y))
    return file.getvalue()


def patched(content, sign, offset, value):
    """An archive with another number in each of its headers of a kind."""
    changed, at = bytearray(content), -1
    while (at := content.find(sign, at + 1)) >= 0:
        changed[at + offset:at + offset + len(value)] = value
    return bytes(changed)


def png(shape=(5, 4), value=9):
    file = io.BytesIO()
    Image.fromarray(np.full(shape, value, np.uint8)).save(file, "png")
    return file.getvalue()


def gif(frames):
    file = io.BytesIO()
    first, *rest = [Image.fromarray(np.full((5, 4), 80 * i, np.uint8)) for i in range(frames)]
    first.save(file, "gif", save_all=True, append_images=rest)
    return file.getvalue()


def pictures(cat):
    return {"dog/1.png": png(), "dog/2.png": png(), "cat/1.png": cat, "cat/2.png": png()}


NAMES = b"a,b,label\n"
GOOD = NAMES + b"1,2,cat\n3,4,dog\n" * 6

TABLES = {  # name: (the content of data.csv, words of the sentence)
    "empty": (b"", "data.csv is empty"),
    "empty lines": (b"\n\n  \n", "data.csv is empty"),
    "a mark and no more": (b"\xef\xbb\xbf", "data.csv is empty"),
    "a header and no samples": (NAMES, "a header and no samples"),
    "one column": (b"label\n1\n2\n", "its first line has one column"),
    "prose": (b"Please log in.\nThen try again.\n", "its first line has one column"),
    "a web page": (b"<html>\n<body>Please log in</body>\n</html>\n", "its first line has one column"),
    "not text": (b"a,b,label\n1,2,\0\n", "not data of a form that can be read"),
    "not text, further down": (GOOD * 200 + b"1,\0,cat\n", r"line 14, column 1 \('a'\): 'a' is not a number"),
    "not UTF-8": (GOOD + b"1,2,k\xe4fer\n", "not text in UTF-8, at about line .*; save it as CSV, UTF-8"),
    "UTF-16 without a mark": (GOOD.decode().encode("utf-16-le"), "not data of a form that can be read"),
    "UTF-16, cut off": (GOOD.decode().encode("utf-16")[:-1], "not text in UTF-8, at about line .*; save it as CSV"),
    "UTF-16, a missing value": ((GOOD.decode() + "1,,cat").encode("utf-16"), r"line 14, column 2 .*: the value is"),
    "UTF-32": (GOOD.decode().encode("utf-32"), "line 2, column 1 .* is not a number"),
    "a mark of UTF-16 and no more": (b"\xff\xfe", "data.csv is empty"),
    "a missing value": (GOOD + b"1,,cat\n", r"line 14, column 2 \('b'\): the value is missing"),
    "a missing first value": (b"1,,cat\n1,2,dog\n", "line 1, column 2: the value is missing"),
    "a missing value of blanks": (GOOD + b"1,  ,cat\n", r"line 14, column 2 \('b'\): the value is missing"),
    "a missing label": (GOOD + b"1,2,\n", r"line 14, column 3 \('label'\): the label is missing"),
    "text": (GOOD + b"1,two,cat\n", r"line 14, column 2 \('b'\): 'two' is not a number"),
    "text behind empty lines": (GOOD + b"\n\n1,two,cat\n", r"line 16, column 2 \('b'\): 'two' is not a number"),
    "text without a header": (b"1,2,cat\n1,two,cat\n", "line 2, column 2: 'two' is not a number"),
    "text that would ring": (GOOD + b"1,\x07,cat\n", r"line 14, column 2 \('b'\): '\\x07' is not a number"),
    "NaN": (GOOD + b"1,nan,cat\n", r"line 14, column 2 \('b'\): 'nan' is not a finite number"),
    "infinity": (GOOD + b"1,-inf,cat\n", r"line 14, column 2 \('b'\): '-inf' is not a finite number"),
    "too large a number": (GOOD + b"1,1e39,cat\n", r"line 14, column 2 \('b'\): '1e39' is not a finite number"),
    "decimal commas": (b"a;b;label\n1,5;2,5;cat\n", r"column 1 \('a'\): '1,5' is not a number; write it with a point"),
    "ragged, short": (GOOD + b"1,cat\n", "line 14: the first line has 3 columns, and this one 2"),
    "ragged, long": (GOOD + b"1,2,3,cat\n", "line 14: the first line has 3 columns, and this one 4"),
    "ragged, in the header": (b"a,label\n1,2,cat\n", "line 2: the first line has 2 columns, and this one 3"),
    "an open quote": (GOOD + b'1,2,"cat\n' + b"1,2,dog\n" * 3, "lines 2 to 17: they cannot be read as a table"),
    "a label in two lines": (GOOD + b'1,2,"c\nat"\n', "line 15: the first line has 3 columns, and this one 1"),
    "a label that is no class": (b"a,label\n1,2.5\n", r"line 2, column 2 \('label'\): '2.5' is no label"),
    "a label that is a story": (GOOD + b"1,2," + b"x" * 101 + b"\n", "no label; labels are whole numbers or short"),
    "a label that would ring": (GOOD + b"1,2,c\x07t\n", r"a class with the name 'c\\x07t'"),
    "one class": (NAMES + b"1,2,cat\n" * 9, "of one class, cat; it takes two to tell them apart"),
    "a class for each sample": (b"a,label\n" + b"\n".join(b"0,%d" % i for i in range(10_001)), "10,001 different"),
    "10 million columns": (b"0," * 10_000_000 + b"1\n", "line 1: it has more than 4,194,304 characters, about 2,097"),
    "10 million columns below": (GOOD + b"0," * 10_000_000, "line 14: it has more than 4,194,304 characters"),
}
ARCHIVES = {  # name: (the content of data.npz, words of the sentence)
    "empty": (b"", "data.npz is empty"),
    "another kind of file": (b"\x1f\x8b" + npz(), "is one array of a data set, or compressed"),
    "two bytes": (b"PK", "its archive is damaged, cut short"),
    "truncated": (npz()[:-100], "its archive is damaged, cut short"),
    "cut in front": (b"PK" + npz()[100:], "its archive is damaged, cut short"),
    "no arrays": (b"PK\5\6" + bytes(18), "no arrays x_train and y_train, nor images and labels; it has none"),
    "other arrays": (archive(npy(X), name="a.npy"), "nor images and labels; it has 'a', 'y_train'"),
    "encrypted": (patched(patched(npz(), b"PK\1\2", 8, b"\1"), b"PK\3\4", 6, b"\1"), "not packed as NumPy packs"),
    "another compression": (archive(npy(X), zipfile.ZIP_LZMA), "not packed as NumPy packs"),
    "wrong checksum": (patched(npz(), b"PK\1\2", 16, b"\0\0\0\0"), "its archive is damaged, cut short"),
    "rubbish compressed": (patched(npz(), b"\x93NUMPY", 0, b"")[:40] + b"\xff" * 20 + npz()[60:], "archive is damaged"),
    "claims 4 GiB": (patched(npz(), b"PK\1\2", 24, b"\xfe\xff\xff\xff"), "unpack to 4,294,967,294 bytes, more than"),
    "a bomb": (archive(npy(np.zeros((300, 512, 512), np.uint8))), "unpack to 78,643,328 bytes, more than 100 times"),
    "a bomb behind the values": (archive(npy(X) + bytes(10**7)), "is 108 bytes, and there are 10,000,108"),
    "a header of 32 GiB": (archive(header(saying(shape=f"({HUGE},)"))), "is 34,359,738,368 bytes, and there are 0"),
    "not an array": (archive(b"hello"), "not an .npy file"),
    "pickled objects": (npz(x_train=np.array([None], object)), "holds Python objects, which could run code"),
    "pickled labels": (npz(y_train=np.array(["a"] * 12, object)), "holds Python objects, which could run code"),
    "pickled names": (npz(classes=np.array(["a"] * 3, object)), "holds Python objects, which could run code"),
    "records": (npz(x_train=np.zeros(12, [("a", "f4")])), "its header does not say what it holds"),
    "complex numbers": (npz(x_train=X * 1j), "values of the type '<c16'; data are numbers or text"),
    "dates": (npz(x_train=X.astype("M8[s]")), r"values of the type '<M8\[s\]'; data are numbers or text"),
    "bytes for labels": (npz(y_train=np.array([b"a"] * 12)), r"values of the type '\|S1'; data are numbers or text"),
    "inputs of text": (npz(x_train=X.astype(str)), "x_train of .* does not hold samples: it is <U3 of shape"),
    "inputs in a line": (npz(x_train=Y), "x_train of .* does not hold samples: it is int64 of shape"),
    "inputs of five axes": (npz(x_train=X[None, None]), "which can be neither samples nor labels"),
    "no samples": (npz(x_train=X[:0], y_train=Y[:0]), "which can be neither samples nor labels"),
    "a number": (npz(x_train=np.array(1)), "which can be neither samples nor labels"),
    "NaN": (npz(x_train=np.where(X == 40, np.nan, X)), r"x_train of .*\[4, 1, 1\] is nan; remove or replace"),
    "infinity": (npz(x_train=np.where(X == 40, -np.inf, X)), r"x_train of .*\[4, 1, 1\] is -inf; remove or replace"),
    "more than float32 holds": (npz(x_train=np.where(X == 40, 1e39, X)), r"\[4, 1, 1\] is inf"),
    "fewer labels": (npz(y_train=Y[:-1]), "12 samples with 11 labels"),
    "more labels": (npz(y_train=np.arange(13) % 3), "12 samples with 13 labels"),
    "labels in rows": (npz(y_train=np.eye(12)), r"y_train of .* has the shape \(12, 12\); labels are one number or"),
    "labels with fractions": (npz(y_train=Y / 2), "labels that are not whole numbers"),
    "labels that are NaN": (npz(y_train=Y * np.nan), "labels that are not whole numbers"),
    "labels beyond 2**63": (npz(y_train=Y + 1e300), "labels that are not whole numbers"),
    "labels of no characters": (npz(y_train=(Y.astype("u4") + 0x110000).view("<U1")), "what are no characters"),
    "labels of half characters": (npz(y_train=(Y.astype("u4") + 0xD800).view("<U1")), r"the name '\\ud800'"),
    "one class": (npz(y_train=Y * 0), "of one class, 0; it takes two to tell them apart"),
    "more classes than names": (npz(classes=np.array(["a", "b"])), "names 2 classes, and its labels are not all"),
    "negative classes": (npz(y_train=Y - 1, classes=np.array(list("abc"))), "labels are not all whole numbers from 0"),
    "two classes of one name": (npz(classes=np.array(["a", "b", "a"])), "two classes the same name"),
    "a name in two lines": (npz(classes=np.array(["a", "b", "c\nd"])), r"a class with the name 'c\\nd'"),
    "a test set of another shape": (npz(x_test=X[:, :2], y_test=Y), r"\(1, 3, 3\), but a test sample has \(1, 2, 3\)"),
}
ARRAYS = {  # name: (the content of x_train.npy, words of the sentence)
    "empty": (b"", "not an .npy file"),
    "magic alone": (b"\x93NUMPY", "not an .npy file"),
    "another kind of file": (npz(), "not an .npy file"),
    "no header": (header(""), "its header does not say what it holds"),
    "header cut": (npy(X)[:50], "its header does not say what it holds"),
    "a header of 4 GiB": (b"\x93NUMPY\2\0" + b"\xff" * 4, "its header does not say what it holds"),
    "a header too long": (header(saying() + " " * 20_000, bytes(108)), "its header does not say what it holds"),
    "a header that is a program": (header("__import__('os').abort()"), "its header does not say what it holds"),
    "a shape that is a program": (header(saying(shape="(abort(), 3)")), "its header does not say what it holds"),
    "no shape": (header(saying(shape="()"), b"7"), "which can be neither samples nor labels"),
    "65 axes": (header(saying(shape=f"({'1, ' * 65})"), b"7"), "which can be neither samples nor labels"),
    "no samples, of an absurd size": (header(saying(shape=f"(0, {10**40})")), "which can be neither samples nor"),
    "text of no length": (header(saying("'<U0'", shape=f"({10**40},)")), "which can be neither samples nor labels"),
    "32 GiB": (header(saying(shape=f"({HUGE},)"), bytes(99)), "which is 34,359,738,368 bytes, and there are 99"),
    "32 GiB of text": (header(saying("'<U999999'", shape="(8590,)")), "bytes, and there are 0"),
    "a product of 2**64": (header(saying(shape=f"({2**32}, {2**32})"), bytes(9)), "bytes, and there are 9"),
    "body too short": (npy(X)[:-1], "which is 108 bytes, and there are 107"),
    "body too long": (npy(X) + b"\0", "which is 108 bytes, and there are 109"),
    "an unknown type": (header(saying("'<u3'"), bytes(324)), "values of the type '<u3'"),
    "two byte orders": (header(saying("'<<i4'"), bytes(432)), "values of the type '<<i4'"),
    "objects": (npy(np.array([[None]] * 12, object)), "holds Python objects, which could run code"),
}
PICTURES = {  # name: (the content of cat/1.png, words of the sentence)
    "empty": (b"", "cat/1.png is empty"),
    "not a picture": (b"hello", "cat/1.png is not a picture that can be read"),
    "truncated": (png((50, 40))[:-30], "cat/1.png is damaged or cut off"),
    "50,000 pixels wide": (png((1, 50_000)), "cat/1.png has 50,000 x 1 pixels"),
    "claims 2**31 pixels": (png()[:16] + b"\0\0\xff\xff\0\0\xff\xff" + png()[24:], "cat/1.png (has|is not a picture)"),
    "animated": (gif(3), "cat/1.png holds 3 pictures, an animation or pages"),
}
ONE = {"labels.npy": npy(Y)}
FOLDERS = {  # name: (the files of a folder, words of the sentence)
    "nothing": ({}, "has no data that can be read; data are a .npz or .csv file, or a folder with IDX files"),
    "something else": ({"a.txt": b"hello", "b.csv": GOOD}, "has no data that can be read; data are"),
    "folders of nothing": ({"a/.hidden.png": png(), "b/b.txt": b""}, "the folder .*a has no pictures; each folder in"),
    "a class without pictures": ({"a/1.png": png(), "b/b.txt": b""}, "the folder .*b has no pictures; each folder in"),
    "one class": ({"a/1.png": png(), "a/2.png": png()}, "of one class, a; it takes two to tell them apart"),
    "training without classes": ({"train/1.png": png(), "test/1.png": png()}, "train has no folders of pictures, one"),
    "one array": (ONE, "no arrays x_train and y_train, nor images and labels; it has 'labels'"),
    "other columns to test with": ({"train.csv": GOOD, "test.csv": GOOD.replace(b"b", b"c")}, "other columns than"),
    "more columns to test with": ({"train.csv": GOOD, "test.csv": b"a,b,c,label\n1,2,3,x\n"}, "other columns than"),
    "bad samples to test with": ({"train.csv": GOOD, "test.csv": NAMES + b"1,x,cat\n"}, "test.csv, line 2, column 2"),
}
FILES = {  # name: (the name of a file, its content, words of the sentence)
    "one array": ("x_train.npy", npy(X), "is one array of a data set, or compressed; give the folder"),
    "one IDX file": ("a", b"\0\0\x08\1\0\0\0\1\7", "is one array of a data set, or compressed; give the folder"),
    "a compressed file": ("a.csv.gz", b"\x1f\x8b\x08", "is one array of a data set, or compressed; give the folder"),
    "a picture": ("a.png", png(), "not data of a form that can be read; data are"),
}
BAD = ([("table", name, "data.csv", {"data.csv": content}, says) for name, (content, says) in TABLES.items()]
       + [("archive", name, "data.npz", {"data.npz": content}, says) for name, (content, says) in ARCHIVES.items()]
       + [("array", name, ".", {"x_train.npy": content, "y_train.npy": npy(Y)}, says)
          for name, (content, says) in ARRAYS.items()]
       + [("picture", name, ".", pictures(content), says) for name, (content, says) in PICTURES.items()]
       + [("folder", name, ".", files, says) for name, (files, says) in FOLDERS.items()]
       + [("file", name, file, {file: content}, says) for name, (file, content, says) in FILES.items()])


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(("source", "files", "says"), [row[2:] for row in BAD], ids=[": ".join(row[:2]) for row in BAD])
def test_bad_data_is_refused_in_a_sentence(here, away, source, files, says):
    load("mini")  # so that what is imported for the first time is not counted
    write(away, files)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=says) as error:
            load(away / source)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    sentence = str(error.value)
    assert most < MEMORY, f"{most:,} bytes"
    assert len(sentence) < 600 and sentence.replace("\n", "").isprintable() and "\n" not in sentence
    code, out, err = here("data", "info", source, "--json", "--quiet")
    assert code == 1 and the_object(out)["exit_code"] == 1 and "Traceback" not in err and len(err.splitlines()) == 1
    code, out, err = here("data", "convert", source, "new.npz", "--quiet")
    assert code == 1 and out == "" and not (away / "new.npz").exists()


def test_pictures_that_would_fill_the_memory(tmp_path, monkeypatch):
    write(tmp_path, pictures(png()))
    monkeypatch.setattr("byhand.data.formats.pictures.MOST_BYTES", 79)
    with pytest.raises(ValueError, match="once they are unpacked; make them smaller"):
        load(tmp_path)


def test_what_may_not_be_read_is_named(tmp_path):
    write(tmp_path, {"data.csv": GOOD})
    (tmp_path / "data.csv").chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)  # nobody; for the administrator there are no limits
    try:
        with pytest.raises(PermissionError, match=r"data\.csv"):
            load(tmp_path / "data.csv")
    finally:
        os.seteuid(os.getuid())


def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x_train.npy")
    os.mkfifo(tmp_path / "train.csv")
    with pytest.raises(ValueError, match="is neither a file nor a folder"):
        load(tmp_path / "train.csv")
    with pytest.raises(ValueError, match="has no data that can be read"):
        load(tmp_path)
