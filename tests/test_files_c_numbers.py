"""An exported C file and numbers that are hard: far from 0, equal ones, infinite ones, and what is no number at all."""

import subprocess

import exported
import numpy as np
import pytest
from c_compiler import GCC, STRICT, Compiled, gcc, needs_gcc

from byhand import nn
from byhand.files import SavedModel, c

pytestmark = needs_gcc


def answers(layer, inputs, tmp_path, **options):
    """What a layer alone answers as C."""
    saved = SavedModel(nn.Sequential(layer), inputs.shape[1:])
    c.save(saved, tmp_path / "network.c", **options)
    return Compiled(tmp_path / "network.c", layer.output_shape(inputs.shape[1:]))(inputs)


# --- far from 0 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "first"), [(1000, 1000), (25_000, 1000), (1000, 1e6)],
                         ids=["a thousand", "many", "an outlier first"])
def test_layer_norm_keeps_the_digits_of_numbers_far_from_zero(n, first, rng, tmp_path):
    """float32 holds 1000 with a step of 6e-5, and the mean of these numbers has to be known much better than that."""
    inputs = (1000 + rng.normal(size=(5, n))).astype(np.float32)
    inputs[:, 0] = first
    exact = inputs.astype(np.float64)
    expected = (exact - exact.mean(axis=1, keepdims=True)) / np.sqrt(exact.var(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(answers(nn.LayerNorm(n), inputs, tmp_path), expected, rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("size", [7, 112])
def test_the_mean_of_a_large_picture_keeps_its_digits(size, rng, tmp_path):
    """To the last bit but one, as good as float32 can."""
    inputs = (1000 + rng.normal(size=(5, 3, size, size))).astype(np.float32)
    expected = inputs.mean(axis=(2, 3), dtype=np.float64)
    np.testing.assert_allclose(answers(nn.GlobalAvgPool2d(), inputs, tmp_path), expected, rtol=1.2e-7)


def test_other_layers_are_as_good_as_byhand_far_from_zero(rng, tmp_path):
    """Their windows are small, and their mean is known beforehand, so nothing is lost on the way."""
    norm = nn.BatchNorm2d(3)
    norm.load_state_dict({"weight": np.ones(3), "bias": np.zeros(3), "running_mean": np.full(3, 1000.0),
                          "running_var": np.ones(3), "num_batches_tracked": 1})
    inputs = (1000 + rng.normal(size=(5, 3, 8, 8))).astype(np.float32)
    for layer in (norm, nn.AvgPool2d(4)):
        expected = SavedModel(nn.Sequential(layer), (3, 8, 8)).predict(inputs)
        np.testing.assert_allclose(answers(layer, inputs, tmp_path), expected, rtol=1.2e-7, atol=6e-5)


# --- not finite -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", exported.ALONE)
def test_what_is_not_a_number_stays_so(name, tmp_path):
    """Nobody takes an answer for one that was made of nothing."""
    layer, inputs = exported.network(name), exported.samples(name, 6)
    inputs.reshape(6, -1)[range(6), range(6)] = np.nan
    with np.errstate(all="ignore"):
        expected = np.isnan(layer(inputs).data)
    assert expected.any() and np.array_equal(np.isnan(answers(layer, inputs, tmp_path)), expected)


ODD = {"not a number": np.nan, "infinite": np.inf, "below all numbers": -np.inf}
STRAIGHT = """
#include <stdio.h>
#include "network.c"
int main(void)
{
    static float input[BYHAND_INPUTS], logits[BYHAND_OUTPUTS];
    while (fread(input, sizeof *input, BYHAND_INPUTS, stdin) == BYHAND_INPUTS) {
        predict(input, logits);
        fwrite(logits, sizeof *logits, BYHAND_OUTPUTS, stdout);
    }
    return 0;
}
"""
WATCHED = ["-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def sanitizer(tmp_path_factory):
    """What makes gcc say where C does not define what happens."""
    source = tmp_path_factory.mktemp("sanitizer") / "main.c"
    source.write_text("int main(void) { return 0; }")
    if subprocess.run([GCC, *WATCHED, source, "-o", source.with_suffix("")], capture_output=True).returncode:
        pytest.skip("gcc has no sanitizer here")
    return WATCHED


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", ["Linear", "Conv2d"])
def test_in_eight_bits_nothing_is_undefined(name, odd, sanitizer, tmp_path):
    """A number that is not finite leaves no step to count the others in. What comes of it is no number either."""
    saved, inputs = exported.saved(name), exported.samples(name, 5)
    inputs.reshape(5, -1)[range(5), [0, 1, 2, 3, 5]] = odd
    inputs[4] = 3e38  # the largest numbers that are some
    c.save(saved, tmp_path / "network.c", int8=True)
    (tmp_path / "main.c").write_text(STRAIGHT)
    gcc(*STRICT, *sanitizer, tmp_path / "main.c", "-o", tmp_path / "main", "-lm")
    done = subprocess.run([tmp_path / "main"], input=inputs.tobytes(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    found = np.frombuffer(done.stdout, np.float32).reshape(5, -1)
    assert np.isnan(found[:4]).all() and not np.isnan(found[4]).any()


# --- equal numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("logits", [[1, 3, 3, 2], [0, 0, 0, 0], [-1, -2, -1, -1], [2, 1, 1, 2], [-0.0, 0.0, 0.0, -0.0],
                                    [np.inf, 1, np.inf, 1], [-np.inf] * 4], ids=str)
def test_of_equal_classes_the_first_wins(logits, tmp_path):
    """As NumPy's argmax has it."""
    inputs = np.array([logits], np.float32)
    c.save(SavedModel(nn.Sequential(nn.Flatten()), (4,)), tmp_path / "network.c")
    assert Compiled(tmp_path / "network.c", (4,)).classify(inputs) == [inputs[0].argmax()]
