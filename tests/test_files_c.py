"""A network as a C file: what it computes, whatever layers it has; what it says of itself; and what is refused."""

import random
import re

import exported
import numpy as np
import pytest
from c_compiler import Compiled, close, needs_gcc, written
from hypothesis import given
from hypothesis import strategies as st

import byhand as bh
from byhand import nn, scalar
from byhand.data import Normalize
from byhand.files import SavedModel, c, model_json
from byhand.files.architecture import LAYERS
from byhand.files.c.source import in_a_comment, library
from byhand.files.reading import on_arrays

CLASSES = tuple("abcde")


@pytest.fixture
def compiled(tmp_path):
    """Exports a model, and compiles it."""
    def run(saved, **options):
        path = tmp_path / "network.c"
        c.save(saved, path, **options)
        return Compiled(path, saved.model.output_shape(saved.input_shape))
    return run


# --- what it computes -------------------------------------------------------------------------------------------------


def test_every_layer_is_tried():
    tried = set().union(*(exported.layers_of(exported.network(name)) for name in exported.NETWORKS))
    assert tried == {*LAYERS, "Sequential", "Residual"}


@needs_gcc
@pytest.mark.parametrize("name", exported.NETWORKS)
def test_it_answers_as_byhand_does(name, compiled):
    saved, inputs = exported.saved(name), exported.samples(name)
    close(compiled(saved)(inputs), saved.predict(inputs))


@needs_gcc
@pytest.mark.parametrize("name", exported.NETWORKS)
def test_in_eight_bits_it_answers_as_byhand_does_in_eight_bits(name, compiled):
    """One number that is rounded the other way is a step of 1 in 127 in one product, so a few are allowed."""
    saved, inputs = exported.saved(name), exported.samples(name)
    expected = c.quantized(saved).predict(inputs)
    far = np.abs(compiled(saved, int8=True)(inputs) - expected) > 1e-5 * (1 + np.abs(expected))
    assert far.reshape(len(far), -1).any(axis=1).mean() <= 0.2
    scale = np.abs(saved.predict(inputs)).max()
    np.testing.assert_allclose(expected, saved.predict(inputs), atol=0.1 * scale)


@needs_gcc
@pytest.mark.parametrize("normalize", [
    Normalize(), Normalize(0.3, 0.25), Normalize((0.1, 0.2, 0.3), (0.5, 1.0, 2.0)), Normalize(0.5, (0.5, 1.0, 2.0)),
], ids=str)
def test_pictures_are_normalized_within(normalize, compiled, rng):
    saved = exported.saved("odd convolutions", normalize, classes=CLASSES)
    pictures = rng.integers(0, 256, (20, *saved.input_shape)).astype(np.uint8)
    network, expected = compiled(saved), saved.predict(pictures)
    close(network(pictures, "predict_bytes"), expected)
    close(network(pictures), expected)
    assert network.classify(pictures) == expected.argmax(axis=1).tolist()
    assert network.classes(5) == list(CLASSES)


@needs_gcc
def test_tables_are_normalized_by_feature(compiled, rng):
    saved = exported.saved("features", Normalize(tuple(rng.normal(size=6)), tuple(rng.uniform(0.5, 2, 6)), scale=1.0))
    network, inputs = compiled(saved), exported.samples("features")
    close(network(inputs), saved.predict(inputs))
    assert network.classify(inputs) == saved.predict(inputs).argmax(axis=1).tolist()
    assert not hasattr(network.library, "predict_bytes"), "which is for pictures"


@needs_gcc
@pytest.mark.parametrize("int8", [False, True])
def test_yes_or_no(compiled, rng, int8):
    saved = SavedModel(nn.Sequential(nn.Linear(6, 1, rng)), (6,), classes=("no", "yes"))
    network, inputs = compiled(saved, int8=int8), exported.samples("Linear", 50)
    expected = (saved.predict(inputs)[:, 0] > 0).astype(int).tolist()
    assert sum(a != b for a, b in zip(network.classify(inputs), expected, strict=True)) <= 2 * int8
    assert set(expected) == {0, 1}


@needs_gcc
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("after", [[], [nn.Dropout(0.5)]], ids=["Sigmoid", "Sigmoid, Dropout"])
def test_a_probability_is_yes_above_a_half(compiled, after, rng, int8, tmp_path):
    saved = SavedModel(nn.Sequential(nn.Linear(6, 1, rng), nn.Sigmoid(), *after), (6,), classes=("no", "yes"))
    network, inputs = compiled(saved, int8=int8), exported.samples("Linear", 50)
    expected = (saved.predict(inputs)[:, 0] > 0.5).astype(int).tolist()
    assert sum(a != b for a, b in zip(network.classify(inputs), expected, strict=True)) <= 2 * int8
    assert set(expected) == {0, 1}
    assert "Answers   1 number; above 0.5 means the second class." in (tmp_path / "network.c").read_text()


@needs_gcc
def test_a_network_without_classes_does_not_classify(compiled, rng):
    assert not hasattr(compiled(SavedModel(nn.Linear(6, 1, rng), (6,))).library, "byhand_classify")


@needs_gcc
def test_several_answers_of_yes_or_no_are_no_classes_unless_they_have_names(compiled, rng, tmp_path):
    network = nn.Sequential(nn.Linear(6, 3, rng), nn.Sigmoid())
    assert not hasattr(compiled(SavedModel(network, (6,))).library, "byhand_classify")
    assert "Answers   3 numbers.\n" in (tmp_path / "network.c").read_text()
    named, inputs = SavedModel(network, (6,), classes=("a", "b", "c")), exported.samples("Linear")
    assert compiled(named).classify(inputs) == named.predict(inputs).argmax(axis=1).tolist()


@needs_gcc
def test_networks_in_double_precision_are_written_in_single(compiled, rng):
    saved = SavedModel(nn.Sequential(nn.Linear(6, 9, rng), nn.Tanh(), nn.Linear(9, 3, rng)).to(np.float64), (6,))
    inputs = exported.samples("Linear")
    close(compiled(saved)(inputs), saved.predict(inputs.astype(np.float64)))


@needs_gcc
def test_large_and_small_inputs_do_not_overflow(compiled):
    saved = exported.saved("activations")
    layers = [layer for layer in saved.model.layers if not isinstance(layer, nn.Linear)]
    for layer in [*layers, nn.Softmax(), nn.LogSoftmax()]:
        alone = SavedModel(nn.Sequential(layer), (6,))
        inputs = np.array([[-1e4, -100, -1e-4, 0, 90, 1e4]], np.float32)
        close(compiled(alone)(inputs), alone.predict(inputs))


@needs_gcc
def test_inputs_of_nothing_but_zeros_in_eight_bits(compiled):
    saved = exported.saved("convolution")
    close(compiled(saved, int8=True)(np.zeros((1, 1, 8, 8))), c.quantized(saved).predict(np.zeros((1, 1, 8, 8))))


@needs_gcc
def test_a_model_that_does_not_say_what_it_reads_may_begin_with_what_does(tmp_path, rng):
    saved = SavedModel(nn.Sequential(nn.Sequential(nn.Linear(6, 4, rng)), nn.ReLU()))
    inputs = exported.samples("Linear")
    c.save(saved, tmp_path / "network.c")
    close(Compiled(tmp_path / "network.c", (4,))(inputs), saved.predict(inputs))


@needs_gcc
def test_the_scalar_network_becomes_c_too(tmp_path, rng):
    saved = on_arrays(scalar.Net([7, 5, 3], random.Random(0)))
    c.save(saved, tmp_path / "scalar.c")
    inputs = rng.integers(0, 256, (9, 7)).astype(np.float32)
    close(Compiled(tmp_path / "scalar.c", (3,))(inputs), saved.predict(inputs))


# --- what is in the file ----------------------------------------------------------------------------------------------


def test_it_says_what_it_is(tmp_path):
    text = written(tmp_path, exported.saved("convolution", exported.PIXELS, classes=CLASSES, recipe="lenet",
                                            metrics={"test_accuracy": 0.9876}))
    top = " ".join(text[:text.index("*/")].replace(" * ", " ").split())
    for said in ("6 x 6 x 6 Conv2d(in_channels=1, out_channels=6, kernel_size=3)", "5 Linear(in_features=54",
                 "Reads 64 numbers, channel by channel and row by row, as they are in the data; they are normalized",
                 "Answers 5 numbers, one for each class; the largest wins.", "Classes a, b, c, d, e",
                 "Accuracy 98.76 % of its test samples (recipe lenet).", "It needs math.h (link with -lm)",
                 "void predict_bytes(const uint8_t input[64], float logits[5]);"):
        assert said in top
    weights = 4 * (6 * 9 + 6 + 54 * 5 + 5 + 2)
    assert f"{weights:,} bytes for the weights" in top and "1,120 bytes of RAM" in top  # 64 and 216 floats
    assert max(map(len, text.splitlines())) <= 120


def test_several_outputs_without_names_may_be_no_classes(tmp_path, rng):
    top = written(tmp_path, SavedModel(nn.Linear(6, 4, rng), (6,)))
    assert "Answers   4 numbers; if these are classes, the largest wins." in top and "for each class" not in top


@pytest.mark.parametrize("write", [lambda net: c.save(net, "net.c"), lambda net: c.save(net, "net.c", int8=True),
                                   c.quantized, lambda net: model_json.save(net, "net.json")],
                         ids=["c", "int8", "quantized", "json"])
def test_a_network_alone_is_refused_in_a_sentence(write, tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"Linear is no SavedModel; pass what bh.load gives, or bh.files.Sav"):
        write(nn.Linear(6, 4, rng))
    assert not list(tmp_path.iterdir())


def test_only_what_is_used_is_in_it(tmp_path):
    text = written(tmp_path, exported.saved("perceptron"))
    assert set(re.findall(r"^static \w+ (\w+)\(", text, re.MULTILINE)) == {"linear", "relu", "largest_of", "network"}
    assert "window" not in text and "int8" not in text.replace("uint8_t", "")


def test_the_same_model_is_the_same_file(tmp_path):
    assert written(tmp_path, exported.saved("residual")) == written(tmp_path, exported.saved("residual"))


def test_eight_bits_are_a_third_of_the_text_and_a_quarter_of_the_memory(tmp_path, rng):
    saved = SavedModel(nn.Sequential(nn.Linear(400, 100, rng)), (400,), metrics={"test_accuracy": 0.5})
    whole, small = written(tmp_path, saved), written(tmp_path, saved, int8=True)
    assert len(small) < 0.4 * len(whole)
    assert "160,400 bytes for the weights" in whole and "40,800 bytes for the weights" in small
    assert "not measured; 50.00 % with weights in floating point" in " ".join(small.replace(" * ", " ").split())


NAMES = ['"', "\\", "*/ int x;", "/*", "??/", "%s", "\n", "\x1b[2J", "naïve", "数字", "a" * 300, "", "'", "\\n", "//"]


@needs_gcc
def test_names_cannot_become_code(compiled, rng):
    saved = SavedModel(nn.Linear(6, len(NAMES), rng), (6,), classes=tuple(NAMES), recipe="*/ ??/ \\")
    assert compiled(saved).classes(len(NAMES)) == NAMES


@needs_gcc
@pytest.mark.parametrize("name, number", [("a class  with blanks ", 9), ("two  blanks, longer than a line " * 4, 2)])
def test_names_keep_their_blanks(name, number, compiled, rng):
    names = [f"{name}{i}" for i in range(number)]
    saved = SavedModel(nn.Linear(6, len(names), rng), (6,), classes=tuple(names))
    assert compiled(saved).classes(len(names)) == names


@given(st.text())
def test_a_comment_ends_where_it_should(text):
    assert not re.search(r"\*/|/\*|\?\?|\\|[^ -~]", in_a_comment(text))


@needs_gcc
def test_numbers_come_back_to_the_last_bit(compiled):
    odd = np.array([1 / 3, 1e-45, -3.4028235e38, 1e-30, 16777217, 0.1, -0.0, 1e10, 123456.79], np.float32)
    layer = nn.Linear(1, len(odd), np.random.default_rng(0))
    layer.load_state_dict({"weight": np.zeros((len(odd), 1)), "bias": odd})
    assert np.array_equal(compiled(SavedModel(layer, (1,)))(np.ones((1, 1)))[0], odd)


def test_every_function_is_explained():
    for name, block in library().items():
        assert block.startswith("/*"), f"{name} has no comment"


def test_the_front_door_leads_there():
    assert bh.files.c is c
