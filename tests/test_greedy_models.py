"""Small model files that ask for much: neither time nor memory is spent on their word."""

import json
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import save as to_bytes

import byhand as bh
from byhand.files import ModelFileError, plain_json


def test_a_key_that_stands_twice_is_found_at_once_among_many():
    keys = [*range(100_000), 99_999]  # to look through all the keys before each would take minutes
    with pytest.raises(ValueError, match="the key '99999' stands twice"):
        plain_json.from_json("{" + ",".join(f'"{key}":0' for key in keys) + "}")


@pytest.mark.parametrize(("norm", "option", "size"), [
    ("BatchNorm1d", "num_features", 1_000_000), ("BatchNorm2d", "num_features", 1_000_000),
    ("LayerNorm", "normalized_shape", 1_000_000), ("LayerNorm", "normalized_shape", [2, 500_000])])
def test_a_norm_sets_nothing_aside_on_the_word_of_a_file(norm, option, size, tmp_path):
    path = tmp_path / "bad.safetensors"
    facts = {"architecture": {"type": norm, option: size}, "input_shape": [4], "preprocessing": None,
             "classes": ["a", "b"], "metrics": {}}
    metadata = {"format": "byhand", "version": "1", "recipe": "", **{key: json.dumps(it) for key, it in facts.items()}}
    path.write_bytes(to_bytes({"weight": np.zeros(275_000, np.float32)}, metadata))
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="it claims more weights than the file holds"):
            bh.load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000, "a norm of this size takes 8 MB or 16 MB"
