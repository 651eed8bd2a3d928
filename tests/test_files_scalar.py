"""The JSON of scalar networks: what is written comes back, and what is not a whole network is refused in a sentence."""

import gzip
import json
import random
from pathlib import Path

import pytest

from byhand import scalar
from byhand.data import read_idx
from byhand.files import scalar_json
from byhand.files.scalar_json import read_scalar_json, write_scalar_json

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
PUBLISHED = SHARED / "scalar-net" / "t1.wt"

TINY = [
    {"label": "hidden", "ncount": 2, "wcount": 3, "neurons": [
        {"data": [0.5, -1.0, 0.25], "bias": 0.5, "wcount": 3},
        {"data": [1, 0, -2e-3], "bias": -1, "wcount": 3}]},
    {"label": "output", "ncount": 1, "wcount": 2, "neurons": [{"data": [2.0, -3.0], "bias": 0.125, "wcount": 2}]},
]


def changed(*keys, to):
    """TINY as text, with one value exchanged."""
    layers = json.loads(json.dumps(TINY))
    place = layers
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    return json.dumps(layers)


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


# --- what is refused --------------------------------------------------------------------------------------------------

NEURON = (0, "neurons", 1)
NOT_FINITE = "layer 0, neuron 1 has a weight or bias that is not a finite number"


@pytest.mark.parametrize(("content", "sentence"), [
    ("", "it is no JSON"),
    ("[{", "it is no JSON"),
    (b"\xff\xfe\xfd", "it is no JSON"),
    (gzip.compress(json.dumps(TINY).encode()), "it is no JSON"),
    ("1" * 5000, "it is no JSON"),
    ("[" * 100_000, "its lists are nested too deeply"),
    ("{}", "it must be a list of at least one layer"),
    ("[]", "it must be a list of at least one layer"),
    ("3", "it must be a list of at least one layer"),
    ("[3]", "layer 0 must be an object with the keys label, ncount, neurons, wcount; it is 3"),
    ("[{}]", "layer 0 must be an object with the keys label, ncount, neurons, wcount; it has the keys ''"),
    (json.dumps([TINY[0] | {"activation": "tanh"}]), "it has the keys 'label, ncount, wcount, neurons, activat..."),
    (changed(0, "label", to=7), "layer 0 needs a text under 'label', got 7"),
    (changed(0, "ncount", to=3), "layer 0 says ncount 3, and 'neurons' holds 2"),
    (changed(0, "ncount", to=10**12), "layer 0 says ncount 1000000000000, and 'neurons' holds 2"),
    (changed(0, "ncount", to=-2), "layer 0 says ncount -2, and 'neurons' holds 2"),
    (changed(0, "ncount", to=2.0), "layer 0 says ncount 2.0, and 'neurons' holds 2"),
    (changed(1, "ncount", to=True), "layer 1 says ncount True, and 'neurons' holds 1"),
    (changed(0, "ncount", to="2" * 100), f"layer 0 says ncount '{'2' * 39}..., and"),
    (changed(0, "neurons", to=[]), "layer 0 needs a list of at least one value under 'neurons'"),
    (changed(0, "neurons", to={"a": 1}), "layer 0 needs a list of at least one value under 'neurons'"),
    (changed(0, "wcount", to=4), "layer 0 says wcount 4, and its neuron 0 has 3 weights"),
    (changed(0, "wcount", to=3.0), "layer 0 says wcount 3.0, and its neuron 0 has 3 weights"),
    (changed(0, "wcount", to=[3]), "layer 0 says wcount list, and its neuron 0 has 3 weights"),
    (changed(*NEURON, to=None), "layer 0, neuron 1 must be an object with the keys bias, data, wcount; it is None"),
    (changed(*NEURON, "data", to=[1.0, 2.0]), "layer 0, neuron 1 says wcount 3, and 'data' holds 2"),
    (changed(*NEURON, "data", to=[]), "layer 0, neuron 1 needs a list of at least one value under 'data'"),
    (changed(*NEURON, "data", to="abc"), "layer 0, neuron 1 needs a list of at least one value under 'data'"),
    (changed(*NEURON, "wcount", to=2), "layer 0, neuron 1 says wcount 2, and 'data' holds 3"),
    (changed(*NEURON, to={"data": [1.0], "bias": 0.0, "wcount": 1}), "says wcount 3, and its neuron 1 has 1 weights"),
    (changed(*NEURON, "data", 0, to=float("nan")), NOT_FINITE),
    (changed(*NEURON, "data", 2, to=float("-inf")), NOT_FINITE),
    (changed(*NEURON, "data", 0, to=10**400), NOT_FINITE),
    (changed(*NEURON, "data", 0, to="0.5"), NOT_FINITE),
    (changed(*NEURON, "data", 0, to=True), NOT_FINITE),
    (changed(*NEURON, "bias", to=None), NOT_FINITE),
    (changed(*NEURON, "bias", to=[0.5]), NOT_FINITE),
    (json.dumps([TINY[1], TINY[0]]), "layer 1 has 3 weights a neuron, and the layer before it has 1 neurons"),
])
def test_a_file_that_is_not_a_whole_network_is_refused_in_a_sentence(tmp_path, content, sentence):
    path = tmp_path / "bad.wt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError) as caught:
        read_scalar_json(path)
    assert str(caught.value).startswith(f"{path} is not a scalar network: ")
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.wt does not exist"):
        read_scalar_json(tmp_path / "none.wt")
    with pytest.raises(ValueError, match="folder"):
        read_scalar_json(tmp_path)


def test_a_file_beyond_all_reason_is_not_even_read(tmp_path):
    path = tmp_path / "huge.wt"
    with path.open("wb") as file:
        file.truncate(scalar_json.LARGEST + 1)  # sparse: takes no room on the disk
    with pytest.raises(ValueError, match="more than the 67,108,864 bytes"):
        read_scalar_json(path)


# --- the published weights --------------------------------------------------------------------------------------------

@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published weights are not beside the repository")
def test_the_published_weights_read_7487_of_10_000_test_images():
    net = read_scalar_json(PUBLISHED)
    assert net.sizes == [728, 10, 10]
    images = read_idx(SHARED / "mnist" / "t10k-images-idx3-ubyte.gz").reshape(-1, 784)
    labels = read_idx(SHARED / "mnist" / "t10k-labels-idx1-ubyte.gz").tolist()
    with pytest.raises(ValueError, match="given 784 inputs where it has weights for 728"):
        net(scalar.pixels(images[0].tobytes(), 784))
    answers = scalar.predict(net, (scalar.pixels(image.tobytes(), 728) for image in images))
    assert sum(answer == label for answer, label in zip(answers, labels, strict=True)) == 7487
