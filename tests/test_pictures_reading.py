"""A picture file becomes an array of bytes: every kind of it, upright, on paper that shows the ink."""

import subprocess
import sys

import numpy as np
import pytest
from picture_files import encoded
from PIL import Image

from byhand.pictures import as_pixels, is_pictures, pictures_in, read_picture
from byhand.pictures.reading import FORMATS

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - {"GIF", "JPEG", "WEBP"}))
@pytest.mark.parametrize("array", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_picture_is_read_as_it_was_written(array, kind):
    np.testing.assert_array_equal(read_picture(encoded(array, kind)), array)


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"lossless": True}), ("GIF", {})])
def test_formats_that_know_only_some_colours_come_near(kind, options):
    array = np.repeat(np.repeat(GREY, 8, 0), 8, 1)
    found = read_picture(encoded(array, kind, **options)).astype(int)
    assert found.dtype == int and np.abs((found if found.ndim == 2 else found[..., 0]) - array).max() <= 12


def test_a_path_and_its_bytes_are_the_same(tmp_path):
    path = tmp_path / "no ending"
    path.write_bytes(encoded(GREY))
    for source in (path, str(path), path.read_bytes()):
        found = read_picture(source)
        assert found.dtype == np.uint8 and found.flags.writeable
        np.testing.assert_array_equal(found, GREY)


SIXTEEN = np.array([[0, 257, 25700], [65535, 32896, 128]], np.uint16)


@pytest.mark.parametrize("content", [
    encoded(SIXTEEN), encoded(SIXTEEN, "TIFF"), encoded(SIXTEEN.astype(np.int32), "TIFF"),
    b"P5 3 2 65535\n" + SIXTEEN.astype(">u2").tobytes(),
], ids=["png", "tiff", "tiff of 32 bits", "pgm"])
def test_sixteen_bits_become_eight(content):
    np.testing.assert_array_equal(read_picture(content), [[0, 1, 100], [255, 128, 0]])


def test_real_numbers_are_stretched():
    numbers = np.array([[0, 0.5], [1, np.nan]], np.float32)
    np.testing.assert_array_equal(read_picture(encoded(numbers, "TIFF")), [[0, 128], [255, 0]])
    assert read_picture(encoded(np.full((2, 2), 7, np.float32), "TIFF")).max() == 0


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr", "LAB"])
def test_other_ways_to_write_colours(mode):
    image = Image.fromarray(np.repeat(np.uint8([[0, 255]]), 2, 0)).convert("RGB")
    if mode == "LAB":  # for which Pillow needs a profile; black and white are these
        image = Image.merge("LAB", [image.getchannel(0), *[Image.new("L", image.size, 128)] * 2])
    content = encoded(image.convert(mode), "JPEG" if mode == "YCbCr" else "TIFF")
    found = read_picture(content).astype(int)
    assert (np.abs(found.reshape(2, 2, -1) - [[[0], [255]]]) < 10).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(orientation):
    upright = np.zeros((4, 6), np.uint8)
    upright[0, :4] = 255
    turn = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose,
            6: lambda a: np.rot90(a), 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1)}
    exif = Image.Exif()
    exif[274] = orientation
    content = encoded(np.ascontiguousarray(turn[orientation](upright)), exif=exif)
    np.testing.assert_array_equal(read_picture(content), upright)


def test_a_broken_note_about_turning_is_no_note():
    content = encoded(GREY, exif=b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xff\x01\x12")
    np.testing.assert_array_equal(read_picture(content), GREY)


# --- transparency -----------------------------------------------------------------------------------------------------

PEN = np.zeros((8, 8), np.uint8)
PEN[2:6, 3] = 255


@pytest.mark.parametrize(("ink", "paper"), [
    ((0, 0, 0), 255), ((40, 60, 160), 255), ((200, 0, 0), 255), ((255, 255, 255), 0), ((250, 240, 90), 0)], ids=str)
def test_ink_without_paper_gets_paper_that_shows_it(ink, paper):
    rgba = np.dstack([np.broadcast_to(np.uint8(ink), (8, 8, 3)), PEN])
    found = read_picture(encoded(rgba))
    assert (found[PEN == 255] == ink).all() and (found[PEN == 0] == paper).all()


def test_half_transparent_is_half_way():
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0, 3] = 51
    np.testing.assert_array_equal(read_picture(encoded(rgba))[..., 0], [[204, 255], [255, 255]])


def test_transparency_in_a_palette_and_in_grey():
    palette = Image.fromarray(PEN // 255).convert("P")
    palette.putpalette([9, 9, 9, 0, 0, 0])
    np.testing.assert_array_equal(read_picture(encoded(palette, transparency=0))[..., 0], 255 - PEN)
    grey = Image.merge("LA", [Image.new("L", (8, 8), 0), Image.fromarray(PEN)])
    np.testing.assert_array_equal(read_picture(encoded(grey)), 255 - PEN)


def test_a_cut_out_card_keeps_its_light_paper():
    rgba = np.full((20, 20, 4), 240, np.uint8)
    rgba[5:15, 10, :3] = 10  # writing on the card
    rgba[..., 3] = 0
    rgba[2:18, 2:18, 3] = 255
    assert read_picture(encoded(rgba))[0, 0, 0] == 255


def test_nothing_to_see_is_white():
    assert (read_picture(encoded(np.zeros((3, 3, 4), np.uint8))) == 255).all()


def test_a_cameras_jpeg_with_a_preview_is_one_picture():
    frames = [Image.new("RGB", (16, 16), "white"), Image.new("RGB", (4, 4), "white")]
    content = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert read_picture(content).shape == (16, 16, 3)


def test_the_pictures_of_a_folder_come_in_order(tmp_path):
    for name in ("b.PNG", "a.jpeg", "notes.txt", ".hidden.png"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in pictures_in(tmp_path)] == ["a.jpeg", "b.PNG"]


LARGEST = """
import resource, sys
from pathlib import Path
from byhand.pictures import read_picture
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, 2**30 * 64))
print(read_picture(sys.argv[1]).shape)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a limit on memory as Linux has it is needed")
def test_the_largest_picture_takes_less_than_a_gigabyte(tmp_path):
    Image.new("RGBA", (8000, 8000), (10, 20, 30, 128)).save(tmp_path / "large.png")
    done = subprocess.run([sys.executable, "-c", LARGEST, tmp_path / "large.png"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("(8000, 8000, 3)\n", "")


@pytest.mark.parametrize(("shape", "whether"), [
    ((2, 1, 5, 4), True), ((2, 3, 5, 4), True), ((2, 4, 5, 4), True), ((2, 2, 5, 4), False), ((2, 5, 4), False),
    ((2, 20), False), ((2, 1, 1, 20), False), ((2, 1, 20, 1), False),
])
def test_which_samples_are_pictures(shape, whether):
    assert is_pictures(np.zeros(shape)) == whether
    if whether:
        pixels = as_pixels(np.arange(np.prod(shape), dtype=float).reshape(shape))
        assert (pixels.dtype, pixels.shape) == (np.uint8, (shape[0], *shape[2:], shape[1]))
        assert pixels[0, 0, 0, 0] == 0 and pixels[-1, -1, -1, -1] == 255
