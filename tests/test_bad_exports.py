"""What has no form in C, or no sensible one: one sentence each, and no file. (What JSON refuses: test_files_json.py)"""

from dataclasses import replace

import exported
import numpy as np
import pytest

from byhand import nn
from byhand.data import Normalize
from byhand.files import SavedModel, c


class Own(nn.Module):
    """A layer of one's own."""

    def forward(self, x):
        return x * 2


def broken(value, dtype=np.float32):
    layer = nn.Linear(2, 2, np.random.default_rng(0), dtype=dtype)
    layer.bias.data[1] = value
    return SavedModel(layer, (2,))


def wild_norm():
    norm = nn.BatchNorm1d(2)
    norm.running_var[:] = -1
    return SavedModel(nn.Sequential(nn.Linear(2, 2, np.random.default_rng(0)), norm), (2,))


def weights_of(value, dtype=np.float32):
    saved = broken(0.0, dtype)
    saved.model.weight.data[0, 0] = value
    return saved


def wide():
    rng = np.random.default_rng(0)
    return SavedModel(nn.Linear(133_145, 1, rng), (133_145,))


BAD = {
    "a layer of one's own": (lambda: SavedModel(Own(), (2,)), {}, "Own has no form in C; only byhand's own layers"),
    "a bias that is NaN": (lambda: broken(np.nan), {}, "linear_1_bias has a number that is infinite or none at all"),
    "infinity": (lambda: broken(np.inf), {}, "linear_1_bias has a number that is infinite or none at all"),
    "a weight that is NaN, in eight bits": (lambda: weights_of(np.nan), {"int8": True}, "infinite or not a number"),
    "a bias that is NaN, in eight bits": (lambda: broken(np.nan), {"int8": True}, "linear_1_bias has a number"),
    "beyond single precision": (lambda: broken(1e300, np.float64), {}, "too large for float32"),
    "beyond single precision, in eight bits": (lambda: weights_of(1e300, np.float64), {"int8": True}, "too large for"),
    "a bias beyond it, in eight bits": (lambda: broken(1e300, np.float64), {"int8": True}, "linear_1_bias has"),
    "a norm of a negative variance": (wild_norm, {}, "linear_1_weight has a number"),
    "a slope beyond single precision": (lambda: SavedModel(nn.LeakyReLU(1e39), (2,)), {}, "is 1e\\+39, which is too"),
    "a normalization beyond it": (lambda: replace(broken(0.0), normalize=Normalize(1e300, 1e-5)), {},
                                  "input_shift has"),
    "as many means as there are not": (lambda: replace(broken(0.0), normalize=Normalize((1.0, 2.0, 3.0))), {},
                                       "knows 3 channels"),
    "nothing said of what it reads": (lambda: SavedModel(nn.Sequential(nn.Flatten(), nn.Linear(
        4, 2, np.random.default_rng(0)))), {}, "does not say what it reads; save it with input_shape="),
    "no layers and nothing said": (lambda: SavedModel(nn.Sequential()), {}, "does not say what it reads"),
    "a shape that it cannot read": (lambda: replace(broken(0.0), input_shape=(3,)), {}, r"it needs \(N, 2\)"),
    **{f"the name {name!r}": (lambda: broken(0.0), {"name": name}, "is no name in C, which is a word like digits or")
       for name in ("", "2nd", "my net", "net-2", "naïve", "_net", "net\n", "int", "while", "a" * 999 + ".", 3, b"a")},
    "a name that paints": (lambda: broken(0.0), {"name": "\x1b[2J"}, r"^'\\x1b\[2J' is no name in C"),
    "more products than 32 bits hold": (wide, {"int8": True}, "133,145 products .* holds 133,144 .* without int8"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_written_is_refused_in_a_sentence(name, tmp_path):
    make, options, sentence = BAD[name]
    with pytest.raises(ValueError, match=sentence) as error:
        c.save(make(), tmp_path / "network.c", **options)
    message = str(error.value)
    assert message.isprintable() and len(message) < 600 and not any(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        c.save(exported.saved("Linear"), tmp_path / "no" / "network.c")
