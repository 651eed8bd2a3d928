"""Charts: every value stands where it should, and every text is only text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import Page, pixels

from byhand import charts
from byhand.charts import BLUE, FAINT, ORANGE, confusion, curves, html, image, reliability, sheet, table, tag, ticks
from byhand.metrics import calibration_bins


def drawn(element):
    return Page(html(element))


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Z", "C", "Cs"])))
def test_any_text_stays_text(words):
    read = drawn(tag("p", words, tag("b", "end"), words, title=words))
    assert [element[0] for element in read.elements] == ["p", "b"]
    shown = charts.text(words).replace("\r\n", "\n").replace("\r", "\n")
    assert read.text_of("p") == f"{shown}end{shown}"
    html(tag("p", words)).encode()  # it can be written


def test_elements():
    assert html(tag("p", "a", tag("b", 1), None, "<", tag("br"), 2.5, class_="x", data_n=1, hidden=None)) == (
        '<p class="x" data-n="1">a<b>1</b>&lt;<br>2.5</p>')
    assert html(table(("", "n"), [("a", "1")])) == (
        '<table><thead><tr><th scope="col"></th><th scope="col">n</th></tr></thead>'
        '<tbody><tr><th scope="row">a</th><td>1</td></tr></tbody></table>')
    assert charts.text(1 / 3) == "0.33" and charts.text(2.0) == "2"


@pytest.mark.parametrize(("low", "high", "expected"), [
    (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 2.3, [0, 0.5, 1, 1.5, 2, 2.5]),
    (0.91, 0.99, [0.9, 0.92, 0.94, 0.96, 0.98, 1]), (0, 500, [0, 100, 200, 300, 400, 500]), (3, 3, [3, 3 + 1e-12]),
    (0, 0, [0, 1e-12]),
])
def test_ticks(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)
    assert ticks(1, 3, least_step=1.0) == [1, 2, 3]


def test_a_curve_goes_through_its_points():
    read = drawn(curves({"training": [(1, 1.0), (2, 0.5), (3, 0.0)], "validation": [(1, 1.0), (2, None), (3, np.nan)]},
                        "loss"))
    circles = [(float(c["cx"]), float(c["cy"])) for _, c, _ in read.all("circle")]
    (x1, top), (x2, middle), (x3, bottom), other = circles
    assert x2 - x1 == pytest.approx(x3 - x2) and middle == pytest.approx((top + bottom) / 2) and other == (x1, top)
    assert [text for _, _, text in read.all("title")][1] == "training, epoch 2: 0.5"
    label = read.all("svg")[0][1]["aria-label"]
    assert label == "loss from epoch 1 to 3: training from 1 to 0; validation from 1 to 1"
    dashes = ["stroke-dasharray" in path["style"] for _, path, _ in read.all("path")]
    assert dashes == [False, False, True, True], "told apart without colour too"


def test_orders_of_magnitude_are_shown_alike():
    read = drawn(curves({"training": [(1, 10.0), (2, 1.0), (3, 0.1)]}, "loss"))
    heights = [float(c["cy"]) for _, c, _ in read.all("circle")]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1])
    assert {"loss (logarithmic)", "10", "1", "0.1"} <= {text for _, _, text in read.all("text")}


@pytest.mark.parametrize("epochs", [1, 2, 500, 100_000])
def test_a_curve_of_any_length_stays_in_its_frame(epochs):
    accuracy = [(n + 1, n / epochs) for n in range(epochs)]
    read = drawn(curves({"training": accuracy}, "accuracy", percent=True))
    assert len(read.text) < 20_000
    line = read.all("path")[1][1]["d"][1:].split("L")
    points = np.array([list(map(float, point.split())) for point in line])
    assert min(epochs, 250) <= len(points) <= 500
    assert (points >= (charts.LEFT, charts.TOP)).all() and (points <= (charts.RIGHT, charts.BOTTOM)).all()
    labels = [text for _, _, text in read.all("text")]
    assert all(float(label[:-2]) <= 100 for label in labels if label.endswith(" %"))


def test_nothing_to_draw():
    with pytest.raises(ValueError, match=r"there is no finite loss to draw\.$"):
        curves({"training": [(1, None), (2, np.inf)]}, "loss")


def test_reliability():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    read = drawn(reliability(*calibration_bins(p, [0, 1, 0, 1], bins=5)))
    bars = [r for _, r, _ in read.all("rect")]
    assert len(bars) == 6, "an accuracy and a count for each of three bins"
    assert [float(bar["height"]) for bar in bars[::2]] == [250, 250, 125]
    assert [text for _, _, text in read.all("text")][-3:] == ["1", "1", "2"]
    assert "2 samples, 90.0 % sure on average, 50.0 % right" in read.all("title")[-1][2]


def test_a_confusion_matrix_is_a_table_or_a_picture():
    counts = np.array([[8, 2], [0, 10]])
    read = drawn(confusion(counts, ["a", "<b>"]))
    cells = read.all("td")
    assert [cell[2] for cell in cells] == ["8", "2", "·", "10"]
    assert read.all("th")[0][2] == "is ↓ read →"
    assert cells[0][1]["style"] == f"background:rgba{(*BLUE, 0.44)}" and f"{ORANGE[0]}" in cells[1][1]["style"]
    many = np.diag(np.full(100, 4))
    many[0, 1] = 12
    (picture,) = drawn(confusion(many, [str(n) for n in range(100)])).all("img")
    shown = pixels(picture[1]["src"])
    assert shown.shape == (400, 400, 4) and "100 classes" in picture[1]["alt"]
    assert tuple(shown[399, 399]) == (*BLUE, 255) and tuple(shown[0, 4, :3]) == ORANGE and shown[8, 0, 3] == 0


def test_pictures():
    values = charts.tinted(np.array([[-1.0, 0.0, 0.5], [2.0, -0.001, -0.5]]), scale=2)
    assert values.shape == (4, 6, 4) and tuple(values[0, 0]) == (*BLUE, 255) and tuple(values[3, 1]) == (*ORANGE, 255)
    assert not values[:2, 2:4].any() and not values[2:, 2:4].any() and 124 <= values[0, 5, 3] <= 132
    whole = sheet([values] * 3, columns=2, gap=1)
    assert whole.shape == (9, 13, 4) and not whole[4].any() and not whole[5:, 7:].any()
    assert tuple(whole[0, 2]) == FAINT and tuple(whole[0, 0]) == (*BLUE, 255)
    grey = np.arange(200, dtype=np.uint8).reshape(10, 20)
    np.testing.assert_array_equal(pixels(drawn(image(grey, alt="a")).all("img")[0][1]["src"]), grey)
    assert pixels(drawn(image(grey, most=10, alt="a")).all("img")[0][1]["src"]).shape == (5, 10)
