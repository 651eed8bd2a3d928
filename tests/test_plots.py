"""Pictures: what is drawn is what was given, to the pixel where it is a picture, and everything says what it is."""

import re
import subprocess
import sys
import warnings
import xml.dom.minidom

import numpy as np
import pytest

import byhand as bh
from byhand import plots
from byhand.plots.figure import as_rgb, corner, mosaic, named

DIGITS = bh.data.load("mini")
NAMES = tuple(f"class {k}" for k in range(10))


def words(figure):
    """Everything that a figure says."""
    figure.canvas.draw()
    said = [text for axes in figure.axes for text in (*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label,
                                                       axes.get_legend_handles_labels()[1])]
    ticks = [label for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    flat = [piece for text in (*said, *ticks, *figure.texts) for piece in (text if isinstance(text, list) else [text])]
    own = [axes.get_title("left") for axes in figure.axes]
    return "\n".join([*own, *(text if isinstance(text, str) else text.get_text() for text in flat)])


def lines(figure, label):
    """The values of the line with this label, in each of the figure's axes that has one."""
    return [line.get_ydata() for axes in figure.axes for line in axes.lines if line.get_label() == label]


def sheet(figure, which=0):
    """The pixels of a picture in a figure."""
    return np.ma.filled(np.ma.asarray([i for axes in figure.axes for i in axes.images][which].get_array()), np.nan)


@pytest.fixture(scope="module")
def answers():
    """Of 300 test digits: the probabilities that a made-up network gives, some of them wrong."""
    rng = np.random.default_rng(3)
    targets = DIGITS.test.targets[:300]
    logits = 3 * np.eye(10)[targets] + rng.normal(size=(300, 10))
    return bh.metrics.probabilities(logits), targets


def test_learning_curves_show_every_epoch():
    history = [{"epoch": k, "loss": 1 / k, "validation_loss": 1.5 / k, "accuracy": 1 - 0.5 / k} for k in (1, 2, 3)]
    history[1]["validation_loss"] = None  # as a file says what was no finite number
    figure = plots.learning_curves(history)
    loss, accuracy = lines(figure, "training")
    np.testing.assert_allclose(loss, [1, 1 / 2, 1 / 3])
    np.testing.assert_allclose(accuracy, [50, 75, 100 * (1 - 0.5 / 3)])
    np.testing.assert_array_equal(lines(figure, "validation")[0], [1.5, np.nan, 0.5])
    assert all(word in words(figure) for word in ("loss", "right, in %", "epoch"))
    assert len(plots.learning_curves([{"epoch": 1, "loss": 2.0}]).axes) == 1, "no accuracy, no panel for it"


def test_a_confusion_matrix_shows_its_counts():
    matrix = np.array([[90, 10, 0], [0, 50, 0], [1, 0, 99]])
    figure = plots.confusion_matrix(matrix, ("cat", "dog", "$a^b$"))
    (axes,) = figure.axes
    assert {(t.get_position(), t.get_text()) for t in axes.texts} == {
        ((j + 0.5, i + 0.5), str(matrix[i, j])) for i, j in np.argwhere(matrix)}
    assert [t.get_text() for t in axes.get_yticklabels()] == ["cat", "dog", r"\$a^b\$"]
    assert axes.get_xlabel() == "taken for" and axes.get_ylabel() == "is" and axes.yaxis_inverted()
    colors = 255 * axes.collections[0].get_array()
    np.testing.assert_allclose(colors[1, 1], (0x00, 0x72, 0xb2), atol=1e-9, err_msg="all right: full blue")
    np.testing.assert_allclose(colors[0, 1], (0xd5, 0x5e, 0x00), atol=1e-9, err_msg="a tenth mistaken: full orange")
    np.testing.assert_allclose(colors[0, 2], (255, 255, 255))
    assert not plots.confusion_matrix(np.eye(30, dtype=int)).axes[0].texts, "too many for numbers"


def test_precision_and_recall_of_each_class(answers):
    p, targets = answers
    matrix = bh.metrics.confusion_matrix(p.argmax(axis=1), targets, 10)
    figure = plots.per_class(matrix, NAMES)
    found = bh.metrics.per_class(matrix)
    precision, recall = (line.get_xdata() for line in figure.axes[0].lines)
    np.testing.assert_allclose(precision, 100 * found.precision)
    np.testing.assert_allclose(recall, 100 * found.recall)
    assert f"class 3   (F1 {100 * found.f1[3]:.1f}, {found.support[3]} samples)" in words(figure)
    assert "class 2   (no samples)" in words(plots.per_class([[8, 2, 0], [4, 6, 1], [0, 0, 0]], NAMES))
    worst = np.diag(np.arange(60)) + np.eye(60, k=1, dtype=int)
    assert "59   (" not in words(plots.per_class(worst)) and "\n1   (" in words(plots.per_class(worst))


def test_calibration(answers):
    p, targets = answers
    figure = plots.calibration(p, targets, 10)
    bins = bh.metrics.calibration_bins(p, targets, 10)
    np.testing.assert_allclose(lines(figure, "this network")[0], 100 * bins.accuracy[bins.counts > 0])
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    np.testing.assert_allclose(heights, 100 * bins.counts / 300)
    assert f"expected calibration error {100 * bins.error:.2f} %" in words(figure)


def test_mistakes_are_the_worst_ones_pixel_by_pixel(answers):
    p, targets = answers
    images = DIGITS.test.inputs[:300]
    figure = plots.mistakes(images, p.argmax(axis=1), targets, p, NAMES, 4)
    worst = bh.metrics.worst_mistakes(p, targets, 4)
    picture = sheet(figure)
    for i, row in enumerate(worst):
        left = i * (28 + 4)
        np.testing.assert_array_equal(picture[:28, left:left + 28], np.repeat(images[row, 0, :, :, None], 3, axis=2))
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said == [line for row in worst for line in (
        f"is class {targets[row]}", f"said class {p[row].argmax()}, {100 * p[row].max():.0f} %")]
    alone = plots.mistakes(images, p.argmax(axis=1), targets)
    assert "%" not in words(alone) and len(alone.axes[0].texts) == 2 * 25


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 12)])
def test_samples_are_the_first_of_each_class(shape, rng):
    images = rng.integers(0, 256, (60, *shape)).astype(np.uint8)
    targets = np.arange(60) % 4
    targets[targets == 3] = 2
    figure = plots.samples(images, targets, ("a", "b", "c"), per_class=6)
    picture, (height, width) = sheet(figure), shape[1:]
    for k in range(3):
        for n, row in enumerate(np.flatnonzero(targets == k)[:6]):
            top, left = k * (height + 2), n * (width + 2)
            tile = picture[top:top + height, left:left + width]
            np.testing.assert_array_equal(tile, np.broadcast_to(images[row].transpose(1, 2, 0), (height, width, 3)))
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "b", "c"]


def test_class_counts():
    figure = plots.class_counts([3, 1200], ("few", "many"), [1, 300])
    assert [bar.get_width() for bar in figure.axes[0].patches] == [3, 1200, 1, 300]
    assert {"few", "many", "1,200", "300"} <= set(words(figure).splitlines())
    assert "the first 20 of 45" in words(plots.class_counts(range(45)))


def test_mean_images():
    figure = plots.mean_images(DIGITS.train.inputs, DIGITS.train.targets, NAMES)
    seven = DIGITS.train.inputs[DIGITS.train.targets == 7, 0].mean(axis=0).round()
    top, left = 28 + 2 + 8, 2 * 30
    np.testing.assert_array_equal(sheet(figure)[top:top + 28, left:left + 28, 0], seven)
    assert [text.get_text() for text in figure.axes[0].texts] == list(NAMES)


@pytest.mark.parametrize(("shape", "laid_out", "first"), [
    ((16, 784), (1, 28, 28), (28, 28)), ((16, 784), None, (28, 28)), ((3, 728), (1, 26, 28), (26, 28)),
    ((8, 3 * 6 * 5), (3, 6, 5), (6, 5)), ((4, 2, 5, 3), None, (5, 3)), ((100, 1, 3, 3), None, (3, 3)),
])
def test_weights_are_laid_out_as_the_image_is(shape, laid_out, first, rng):
    array = rng.normal(size=shape)
    figure = plots.weights(array, laid_out)
    height, width = first
    np.testing.assert_array_equal(sheet(figure)[:height, :width], array.reshape(-1, height, width)[0])
    most = f"{np.abs(array.reshape(-1, height, width)[:64]).max():.2g} (orange)"
    assert most in words(figure) and ("of 100 units" in words(figure)) == (shape[0] == 100)


def test_the_way_of_an_image(rng):
    steps = [("Conv2d", rng.normal(size=(3, 6, 6))), ("Linear", rng.normal(size=130)), ("last", np.arange(4.0))]
    image = DIGITS.test.inputs[0]
    figure = plots.activations(image, steps, ("a", "b", "c", "d"))
    np.testing.assert_array_equal(sheet(figure, 0)[..., 0], image[0])
    np.testing.assert_array_equal(sheet(figure, 1)[:6, :6], steps[0][1][0])
    np.testing.assert_array_equal(sheet(figure, 2).ravel()[:130], steps[1][1])
    assert np.isnan(sheet(figure, 2).ravel()[130:]).all()
    np.testing.assert_array_equal(sheet(figure, 3), [[0, 1, 2, 3]])
    assert {"the input", "Conv2d", "Linear", "last", "a", "d"} <= set(words(figure).splitlines())
    assert len(plots.activations(image, steps * 20).axes) == 2 * 24


def test_a_range_test():
    rates, losses = np.geomspace(1e-3, 1, 4), np.array([2.0, 1.5, 1.0, 90.0])
    figure = plots.lr_range(rates, losses, 0.0123, losses - 0.1)
    np.testing.assert_array_equal(lines(figure, "a batch")[0], losses)
    np.testing.assert_array_equal(lines(figure, "smoothed")[0], losses - 0.1)
    (suggested,) = [line.get_xdata() for line in figure.axes[0].lines if line.get_label() == "suggested: 0.012"]
    assert suggested[0] == 0.0123 and figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].get_ylim()[1] < 3, "what explodes does not flatten the rest"


def test_a_data_set_on_one_page():
    figure = plots.data_sheet(DIGITS)
    said = words(figure)
    for part in ("mini: 5,000 training and 1,000 test samples", "28 x 28 pixels, 1 channel; from 0 to 255, mean 33.5",
                 "the average of each class", "samples of each class", "500", "100"):
        assert part in said
    table = bh.data.Dataset(np.arange(20.0).reshape(10, 2), np.arange(10) / 7, name="houses")
    said = words(plots.data_sheet(bh.data.Splits(table, table)))
    assert "houses" in said and re.search(r"2 +10 +5\.745 +1 +19", said), "a row for each feature"


# --- what they have in common -----------------------------------------------------------------------------------------


def test_what_is_said_of_pictures_in_color_stays_above_them(rng):
    images = rng.integers(0, 256, (4, 3, 9, 9), dtype=np.uint8)
    title = plots.samples(images, [0, 1, 0, 1], ("a", "b")).axes[0].get_title(loc="left")
    assert "\n" in title and max(map(len, title.splitlines())) <= 70


def test_pictures_of_all_kinds_become_bytes():
    grey = np.array([[[[-1.0, 0.0, 1.0]]]])
    assert as_rgb(grey).tolist() == [[[[0, 0, 0], [128, 128, 128], [255, 255, 255]]]]
    assert as_rgb(np.full((1, 1, 2, 2), 7, np.uint8)).max() == 7, "bytes stay as they are"
    clear = np.arange(16, dtype=np.uint8).reshape(1, 4, 2, 2)
    assert as_rgb(clear).tolist() == as_rgb(clear[:, :3]).tolist() and as_rgb(clear)[0, 0, 1].tolist() == [1, 5, 9]
    assert max(as_rgb(np.zeros((1, 3, 900, 1200), np.uint8)).shape) <= 112
    tiles = np.arange(5, dtype=np.uint8)[:, None, None]
    assert mosaic(tiles, 3, 1).tolist() == [[0, 255, 1, 255, 2], [255] * 5, [3, 255, 4, 255, 255]]
    assert corner(4, tiles, 3, 1) == (2, 2)


def test_names_from_strangers_are_drawn_as_they_are():
    assert named(["$\\frac$", "a\nb\x1b", "x" * 99], 4) == [r"\$\frac\$", "a b ", "x" * 15 + "…", "3"]
    plots.class_counts([1, 2], ("$\\frac{", "猫")).to_bytes("png")  # no formula, and no warning about the font


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_a_figure_is_the_same_file_each_time(kind, tmp_path):
    path = tmp_path / f"counts.{kind}"
    plots.write(plots.class_counts([1, 2]), path)
    first = path.read_bytes()
    assert first[:4] == {"png": b"\x89PNG", "svg": b"<?xm", "pdf": b"%PDF"}[kind]
    if kind == "svg":
        xml.dom.minidom.parseString(first)
    else:  # in an SVG, clip paths have names drawn by lot
        plots.write(plots.class_counts([1, 2]), path)
        assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_notebook_shows_it_and_nothing_is_global():
    before = set(sys.modules)
    assert plots.class_counts([1, 2])._repr_png_().startswith(b"\x89PNG")
    assert "matplotlib.pyplot" not in set(sys.modules) - before


IMAGES = np.zeros((3, 1, 4, 4), np.uint8)
BAD = [
    (lambda: plots.learning_curves([]), "a record an epoch"),
    (lambda: plots.learning_curves([{"epoch": 1}]), "'epoch' and 'loss'"),
    (lambda: plots.confusion_matrix([[1.0, 0.5]]), "a square matrix of counts"),
    (lambda: plots.per_class(np.zeros((2, 3), int)), "a square matrix of counts"),
    (lambda: plots.calibration([[0.5, 0.9]], [0]), "needs probabilities"),
    (lambda: plots.mistakes(IMAGES, [0, 1], [0, 1, 2]), "for each sample, got 3"),
    (lambda: plots.mistakes(IMAGES, [0, 1, 2], [0, 1, 2]), "there is no mistake to show"),
    (lambda: plots.mistakes(np.zeros((3, 5)), [0, 1, 2], [0, 1, 1]), r"pictures have the shape .* these have \(1, 5\)"),
    (lambda: plots.samples(IMAGES, [0, 1]), r"shapes \(3, 1, 4, 4\) and \(2,\)"),
    (lambda: plots.samples(IMAGES, [0.0, 1.0, 2.0]), "whole numbers from 0"),
    (lambda: plots.samples(IMAGES, [0, 1, -1]), "whole numbers from 0"),
    (lambda: plots.samples(IMAGES, [0, 1, 2], per_class=0), "per_class to be a whole number of at least 1"),
    (lambda: plots.samples(np.zeros((3, 2, 4, 4)), [0, 1, 2]), "pictures have the shape"),
    (lambda: plots.mean_images(np.full((3, 1, 4, 4), np.inf), [0, 1, 2]), "values that are not finite"),
    (lambda: plots.class_counts([[1]]), "a number for each class"),
    (lambda: plots.class_counts([1, 2], (), [1]), "a number for each class"),
    (lambda: plots.weights(np.zeros((4, 10))), "cannot be laid out as pictures of 3 x 3"),
    (lambda: plots.weights(np.zeros((4, 10)), (1, 28, 28)), "cannot be laid out as pictures of 28 x 28"),
    (lambda: plots.weights(np.zeros((4, 10)), ()), "give the shape of a sample"),
    (lambda: plots.weights(np.zeros(5)), r"these have \(5,\)"),
    (lambda: plots.weights(np.full((1, 4), np.nan)), "finite numbers"),
    (lambda: plots.lr_range([1, 2], [1]), "a loss for each"),
    (lambda: plots.lr_range([0, 1], [1, 1]), "rates above 0"),
    (lambda: plots.lr_range([0.1, 1], [1, np.inf]), "finite numbers"),
    (lambda: plots.check_file("curves.bmp"), "curves.bmp is none of these"),
    (lambda: plots.check_file("curves"), r"\.png, \.svg, \.pdf"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD, ids=[sentence for _, sentence in BAD])
def test_what_cannot_be_drawn_is_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence), warnings.catch_warnings():
        call()


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        plots.write(plots.class_counts([1, 2]), tmp_path / "nowhere" / "counts.png")


def test_without_matplotlib_one_sentence_says_how_to_get_it():
    source = ("import sys; sys.modules['matplotlib'] = None\nimport byhand as bh\n"
              "try:\n    bh.plots\nexcept ValueError as error:\n    print(type(error).__name__, error)")
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == "MissingMatplotlib drawing needs matplotlib; pip install 'byhand[plots]'.\n"
