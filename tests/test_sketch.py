"""Pictures made of characters: every dot is where the pixel is."""

import numpy as np

from byhand import sketch


def test_dots_are_where_the_pixels_are():
    raster = np.zeros((8, 4), bool)
    raster[0, 0] = raster[3, 1] = raster[6, 2] = raster[7, 3] = True
    assert sketch.dots(raster) == [chr(0x2800 + 0x01 + 0x80) + chr(0x2800), chr(0x2800) + chr(0x2800 + 0x04 + 0x80)]
    assert sketch.dots(np.ones((5, 3), bool)) == ["⣿⡇", "⠉⠁"], "what does not fill a character is filled up"


def test_a_digit_takes_fourteen_columns_and_seven_lines(rng):
    lines = sketch.picture(rng.random((1, 28, 28)))
    assert len(lines) == 7 and {len(line) for line in lines} == {14}
    assert max(len(line) for line in sketch.picture(rng.random((3, 500, 900)))) <= 16


def test_grey_is_told_by_the_number_of_dots():
    def set_dots(grey):
        return sum(bin(ord(c)).count("1") - bin(0x2800).count("1")
                   for line in sketch.picture(np.full((8, 8), grey), 0, 1) for c in line)

    assert [set_dots(grey) for grey in (0, 0.25, 0.5, 1)] == [0, 16, 32, 64]
    assert sketch.picture(np.zeros((4, 2))) == sketch.picture(np.full((4, 2), 9.0)) == ["⠀"], "nothing stands out"


def test_a_gallery_keeps_to_its_width():
    text = sketch.gallery([["ab", "cd"]] * 3, ["one", "2", "3"], 8)
    assert text == "ab   ab\ncd   cd\none  2\n\nab\ncd\n3", "a small picture leaves its name room"
    assert sketch.gallery([["ab"]], ["a name as long as that"], 80) == "ab\na name as lo"


def test_a_curve_goes_from_its_highest_to_its_lowest():
    assert sketch.curve([1, 0], 2, 1) == ["⠙⢦"]
    falling = sketch.curve(np.linspace(5, -5, 50), 20, 4)
    assert len(falling) == 4 and {len(line) for line in falling} == {20}
    assert falling[0][0] != "⠀" and falling[-1][-1] != "⠀" and falling[0][-1] == falling[-1][0] == "⠀"
    assert "".join(sketch.curve([2, 2, 2], 3, 1)) == "⣀⣀⣀", "a flat line"
