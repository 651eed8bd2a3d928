"""The JSON of scalar networks: what is written comes back. (What is refused: test_bad_models.py.)"""

import json
import os
import random
from pathlib import Path

import pytest
from networks import TINY

from byhand import scalar
from byhand.data import read_idx
from byhand.files.scalar_json import read_scalar_json, write_scalar_json

SHARED = Path(os.environ.get("BYHAND_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PUBLISHED = SHARED / "scalar-net" / "t1.wt"

# --- reading and writing ----------------------------------------------------------------------------------------------

def test_a_file_of_the_published_layout_is_read(tmp_path):
    (tmp_path / "tiny.wt").write_text(json.dumps(TINY))
    net = read_scalar_json(tmp_path / "tiny.wt")
    assert net.sizes == [3, 2, 1]
    first, second = max(0.5 + 0.5 * 1 - 1.0 * 2 + 0.25 * 8, 0), max(-1 + 1 * 1 - 2e-3 * 8, 0)
    assert [float(y) for y in net([1.0, 2.0, 8.0])] == pytest.approx([max(0.125 + 2 * first - 3 * second, 0)])
    assert all(p.requires_grad for p in net.parameters()), "it can go on learning"


def test_what_is_written_has_the_published_layout(tmp_path):
    (tmp_path / "tiny.wt").write_text(json.dumps(TINY))
    write_scalar_json(read_scalar_json(str(tmp_path / "tiny.wt")), str(tmp_path / "again.wt"))
    assert json.loads((tmp_path / "again.wt").read_text()) == TINY


def test_every_bit_comes_back(tmp_path):
    net = scalar.Net([5, 4, 3, 2], random.Random(7))
    write_scalar_json(net, tmp_path / "net.wt")
    again = read_scalar_json(tmp_path / "net.wt")
    assert again.sizes == net.sizes
    assert [p.data for p in again.parameters()] == [p.data for p in net.parameters()]


def test_a_file_is_replaced_whole_or_left_alone(tmp_path):
    path = tmp_path / "net.wt"
    write_scalar_json(scalar.Net([2, 1], random.Random(0)), path)
    before = path.read_bytes()
    broken = scalar.Net([2, 1], random.Random(1))
    broken.parameters()[0].data = float("inf")
    with pytest.raises(ValueError, match="infinite or not a number"):
        write_scalar_json(broken, path)
    assert path.read_bytes() == before
    write_scalar_json(scalar.Net([2, 1], random.Random(2)), path)
    assert path.read_bytes() != before
    assert [p.name for p in tmp_path.iterdir()] == ["net.wt"], "no temporary file stays behind"


def test_only_relu_can_be_written_for_the_layout_says_nothing_of_others(tmp_path):
    net = scalar.Net([2, 1], random.Random(0), [scalar.tanh])
    with pytest.raises(ValueError, match="means relu after each layer"):
        write_scalar_json(net, tmp_path / "net.wt")
    assert not any(tmp_path.iterdir())


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        write_scalar_json(scalar.Net([2, 1], random.Random(0)), tmp_path / "nowhere" / "net.wt")


# --- the published weights --------------------------------------------------------------------------------------------

@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published weights are not there")
def test_the_published_weights_read_7487_of_10_000_test_images():
    net = read_scalar_json(PUBLISHED)
    assert net.sizes == [728, 10, 10]
    images = read_idx(SHARED / "mnist" / "t10k-images-idx3-ubyte.gz").reshape(-1, 784)
    labels = read_idx(SHARED / "mnist" / "t10k-labels-idx1-ubyte.gz").tolist()
    with pytest.raises(ValueError, match="given 784 inputs where it has weights for 728"):
        net(scalar.pixels(images[0].tobytes(), 784))
    answers = scalar.predict(net, (scalar.pixels(image.tobytes(), 728) for image in images))
    assert sum(answer == label for answer, label in zip(answers, labels, strict=True)) == 7487
