"""What is not a picture of a digit: one sentence for each, exit code 1 or 2, no large allocation, and what is good is
read all the same."""

import os
import re
import shutil
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from command_line import command, process, the_object
from picture_files import animated, encoded, png

import byhand as bh
from byhand.pictures import read_picture
from byhand.pictures.reading import MOST_BYTES

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
NOISE = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
TEST = bh.data.load("mini").test
GOOD, DIGIT = 255 - np.pad(TEST.inputs[0, 0], 9), TEST.targets[0]
MEMORY = 2**20

# --- files ------------------------------------------------------------------------------------------------------------

BAD = {
    "empty": (b"", "is empty"),
    "text": (b"hello, I am a text", "is not a picture that can be read; save it as PNG or JPEG"),
    "html": (b"<!doctype html><p>404", "is not a picture that can be read"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a picture that can be read"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture that can be read"),
    "header alone": (encoded(GREY)[:20], "is not a picture that can be read"),
    "cut off": (encoded(NOISE)[:2000], "is damaged or cut off"),
    "cut off jpeg": (encoded(NOISE, "JPEG")[:1500], "is damaged or cut off"),
    "wrong checksum": (encoded(GREY).replace(b"IDAT", b"IDAT\0"), "is not a picture|is damaged"),
    "no pixels": (png(0, 5), "is not a picture that can be read"),
    "50,000 wide": (png(50_000, 1, b"\0" * 50_001), "has 50,000 x 1 pixels; at most"),
    "50,000 square": (png(50_000, 50_000), "has more than 64,000,000 pixels; make it smaller"),
    "9,000 square": (png(9_000, 9_000), "has 9,000 x 9,000 pixels; at most 64,000,000 are read"),
    "12,000 square": (png(12_000, 12_000), "has 12,000 x 12,000 pixels"),  # Pillow itself would warn
    "2 thousand million wide": (png(2**31 - 1, 2**31 - 1), "has more than 64,000,000 pixels|is not a picture"),
    "promises pixels": (png(8_000, 8_000, b"\0" * 100), "is damaged or cut off"),
    "animated gif": (animated("GIF"), "holds 3 pictures"),
    "animated png": (animated("PNG"), "holds 3 pictures"),
    "animated webp": (animated("WEBP"), "holds 3 pictures"),
    "packed tiff": (encoded(GREY, "TIFF", compression="tiff_lzw"), "is a TIFF file with compression, which is not"),
    "pages": (animated("TIFF"), "holds 3 pictures, an animation or pages; save the one that is meant"),
}


@pytest.mark.parametrize(("content", "sentence"), BAD.values(), ids=list(BAD))
def test_a_bad_file_is_refused_in_a_sentence(content, sentence, tmp_path):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=sentence) as error:
        read_picture(path)
    assert tracemalloc.get_traced_memory()[1] < MEMORY
    tracemalloc.stop()
    message = str(error.value)
    assert message.startswith(f"{path} ") and message.endswith(".") and "\n" not in message
    with pytest.raises(ValueError, match=r"^the picture "):
        read_picture(content)
    with pytest.raises(ValueError, match=r"^standard input "):
        read_picture(content, "standard input")


def test_what_is_no_file_is_said(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(ValueError, match="is not a file"):
        read_picture(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that cannot be read is needed")
def test_a_file_that_the_disk_does_not_give_is_named(tmp_path):
    (tmp_path / "1.png").symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match=r"Input/output error: .*1\.png"):
        read_picture(tmp_path / "1.png")


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.write(encoded(GREY))
        file.truncate(2**40)  # a hole: it takes no room on the disk
    with pytest.raises(ValueError, match="is larger than 256 MiB"):
        read_picture(path)


# --- the command ------------------------------------------------------------------------------------------------------

IMAGES = [(name, [f"{name}.png"], f"{name}.png {says}") for name, (_, says) in BAD.items()] + [
    ("missing", ["nowhere.png"], r"cannot use nowhere\.png: No such file or directory"),
    ("folder without pictures", ["empty folder"], r"the folder empty folder has no pictures \(\.png, \.jpg"),
    ("blank", ["blank.png"], r"no ink was found in blank\.png\."),
    ("transparent", ["transparent.png"], r"no ink was found in transparent\.png\."),
    ("one pixel", ["dot.png"], r"no ink was found in dot\.png\."),
]


@pytest.fixture
def there(away, digits_model):
    """A folder with the model, all the bad pictures, and a good one."""
    shutil.copy(digits_model, "model.safetensors")
    for name, (content, _) in BAD.items():
        Path(f"{name}.png").write_bytes(content)
    Path("empty folder").mkdir()
    Path("empty folder/notes.txt").write_text("no picture")
    rgba = np.zeros((20, 20, 4), np.uint8)
    for name, array in {"blank": np.full((90, 60), 250, np.uint8), "transparent": rgba,
                        "dot": GREY[:1, :1], "good": GOOD}.items():
        Path(f"{name}.png").write_bytes(encoded(array))
    return away


@pytest.mark.parametrize("options", [[], ["--many"]], ids=["", "many"])
@pytest.mark.parametrize(("images", "sentence"), [row[1:] for row in IMAGES], ids=[row[0] for row in IMAGES])
def test_a_bad_picture_is_told_and_the_good_ones_are_read(images, sentence, options, there, here):
    code, out, err = here("predict", "model.safetensors", *images, "good.png", *options)
    assert code == 1 and out.startswith(f"good.png: {DIGIT}")
    assert len(err.splitlines()) == 1
    assert err.startswith("byhand: ") and "Traceback" not in err
    assert re.search(sentence, err)
    code, out, err = here("predict", "model.safetensors", *images, "good.png", *options, "--json", "--show", "s.png")
    told = the_object(out)
    assert code == told["exit_code"] == 1 and told["error"] == "1 of 2 pictures could not be read."
    assert told["images"][0]["error"] in err and "class" in str(told["images"][1])
    assert Path("s.png").stat().st_size > 1000


WRONG = [
    ("no model", ["predict", "nowhere", "good.png"], 1, "there is no model file nowhere"),
    ("model is a picture", ["predict", "good.png", "good.png"], 1, "good.png is not a model file that byhand reads"),
    ("no picture", ["predict", "model.safetensors"], 2, "Missing argument 'IMAGE...'"),
    ("two ways", ["predict", "model.safetensors", "good.png", "--many", "--as-is"], 2, "choose one"),
    ("no png", ["predict", "model.safetensors", "good.png", "--show", "steps.jpg"], 2, "as a .png file, not as steps"),
    ("own picture", ["predict", "model.safetensors", "good.png", "--show", "./good.png"], 2, "would overwrite good"),
    ("own folder", ["predict", "model.safetensors", ".", "--show", "good.png"], 2, "would overwrite good.png, one of"),
    ("no folder", ["predict", "model.safetensors", "good.png", "--show", "no/s.png"], 1, "there is no folder no"),
    ("table", ["predict", "table.safetensors", "good.png"], 1, r"reads samples of shape \(3,\), which are not"),
    ("many clothes", ["predict", "clothes.safetensors", "good.png", "--many"], 1, "only a model of digits"),
]


@pytest.mark.parametrize(("words", "code", "sentence"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_wrong_use_is_told_before_any_picture_is_read(words, code, sentence, there, here):
    rng = np.random.default_rng(0)
    bh.save(bh.nn.Linear(3, 2, rng), "table.safetensors", input_shape=(3,), classes=("a", "b"))
    clothes = bh.nn.Sequential(bh.nn.Flatten(), bh.nn.Linear(784, 2, rng))
    bh.save(clothes, "clothes.safetensors", input_shape=(1, 28, 28), classes=("coat", "shirt"))
    found, out, err = here(*words)
    assert (found, out) == (code, "") and re.search(sentence, err)
    found, out, _ = here(*words, "--json")
    assert found == code and the_object(out)["exit_code"] == code
    assert not list(Path().glob("steps*")) and Path("good.png").read_bytes() == encoded(GOOD)


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "standard input is empty."),
    (b"hello", "standard input is not a picture that can be read; save it as PNG or JPEG."),
    (encoded(np.full((50, 50), 200, np.uint8)), "no ink was found in standard input."),
], ids=["empty", "text", "blank"])
def test_bad_standard_input(content, sentence, there):
    done = subprocess.run(command("predict", "model.safetensors", "-"), input=content, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (1, b"", f"byhand: {sentence}\n")


def test_no_standard_input_at_all(there):
    code, out, err = process("predict", "model.safetensors", "-", stdin=subprocess.DEVNULL)
    assert (code, out, err) == (1, "", "byhand: standard input is empty.\n")


def test_endless_standard_input_is_left_alone(there, monkeypatch, here):
    class Endless:
        """Counts what is asked of it."""

        asked = 0

        def read(self, size):
            self.asked += size
            return bytes(size)

    class Standard:
        buffer = Endless()

    monkeypatch.setattr("sys.stdin", Standard)
    monkeypatch.setattr("byhand.pictures.reading.MOST_BYTES", 1000)
    code, _, err = here("predict", "model.safetensors", "-")
    assert code == 1 and "standard input is larger than" in err and Standard.buffer.asked == 1001 < MOST_BYTES


@pytest.mark.skipif(os.name != "posix", reason="there are no such permissions")
def test_what_may_not_be_read_is_named(there, here):
    Path("secret.png").write_bytes(encoded(GOOD))
    Path("locked").mkdir()
    Path("secret.png").chmod(0)
    Path("locked").chmod(0)
    administrator = os.geteuid() == 0
    if administrator:
        os.seteuid(65534)  # nobody; for the administrator there are no limits
    try:
        code, out, err = here("predict", "model.safetensors", "secret.png", "locked")
    finally:
        if administrator:
            os.seteuid(0)
        Path("locked").chmod(0o700)
    assert (code, out) == (1, "")
    assert err.splitlines() == ["byhand: cannot use secret.png: Permission denied.",
                                "byhand: cannot use locked: Permission denied."]


def test_a_name_that_paints_the_terminal_is_spelled_out(there, here):
    Path("\x1b[31mred.png").write_bytes(b"hello")
    Path("\x1b[32mgreen.png").write_bytes(encoded(GOOD))
    code, out, err = here("predict", "model.safetensors", "\x1b[31mred.png", "\x1b[32mgreen.png")
    assert code == 1 and "\x1b" not in out + err and "\\x1b[31mred.png is not a picture" in err
