"""Where data is looked for and in which order. (Bad mirrors and what the cache goes through: test_bad_downloads.py.)

The published sets of these tests are tiny and made here; their mirrors are folders.
"""

import os
from dataclasses import replace

import numpy as np
import pytest
from tiny_set import make_arrays, published, same, write_folder

from byhand.data import DataUnavailable, fetch, info, load, load_or_mini
from byhand.data.published import FILES


@pytest.fixture(autouse=True)
def nothing_preset(monkeypatch):
    monkeypatch.delenv("BYHAND_DATA", raising=False)


@pytest.fixture
def arrays():
    return make_arrays()


@pytest.fixture
def mirror(tmp_path, arrays):
    return write_folder(tmp_path / "mirror", arrays, ".gz")


@pytest.fixture
def tiny(arrays, mirror):
    return published(arrays, mirror.as_uri())


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


# A folder.


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("dot", [False, True])
def test_a_folder_of_four_files(tmp_path, arrays, ending, dot):
    spelled = {file.replace("-idx", ".idx") if dot else file: array for file, array in arrays.items()}
    folder = write_folder(tmp_path / "shapes", spelled, ending)
    for source in (folder, str(folder)):
        splits = load(source)
        assert same(splits, arrays)
        assert (splits.name, splits.classes, splits.source) == ("shapes", ("0", "1", "2"), str(folder))


def test_color_images_keep_their_channels(tmp_path, arrays):
    for images in FILES[::2]:
        arrays[images] = np.stack([arrays[images]] * 3, axis=1)
    assert load(write_folder(tmp_path / "color", arrays)).train.inputs.shape == (8, 3, 5, 4)


def test_a_damaged_file_in_a_folder_is_named(mirror):
    path = mirror / (FILES[0] + ".gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=f"{path} is damaged or cut short"):
        load(mirror)


@pytest.mark.parametrize("source, says", [
    ("mnits", "there is no data set, no file and no folder 'mnits'; the data sets are mnist, fashion-mnist, mini; "
              "did you mean mnist?"),
    ("Fashion_MNIST", "did you mean fashion-mnist?"),
    ("/no/such/place", "no folder '/no/such/place'"),
    (os.devnull, "is neither a file nor a folder"),
])
def test_a_source_that_is_not_there(source, says):
    with pytest.raises(ValueError) as error:
        load(source)
    assert says in str(error.value)


# A published set: BYHAND_DATA, then the cache, then the mirrors.


def test_a_mirror_fills_the_cache_and_the_cache_replaces_the_mirror(tiny, arrays, cache):
    said = []
    assert same(load(tiny, said.append, cache=cache), arrays)
    assert said == [f"getting tiny from {tiny.mirrors[0]}"]
    offline = replace(tiny, mirrors=())
    splits = load(offline, said.append, cache=cache)
    assert same(splits, arrays) and len(said) == 1
    assert (splits.name, splits.classes, splits.source) == ("tiny", ("a", "b", "c"), str(cache / "tiny"))


def test_fetch_gives_the_folder(tiny, arrays, cache):
    folder = fetch(tiny, cache=cache)
    assert folder == cache / "tiny" and same(load(folder), arrays)
    with pytest.raises(ValueError, match="'mnits' is not a data set to fetch; those are mnist, fashion-mnist, mini"):
        fetch("mnits")


def test_the_next_mirror_is_tried_and_what_a_failing_one_gave_is_kept(tiny, tmp_path, arrays, mirror, cache):
    half = write_folder(tmp_path / "half", {file: arrays[file] for file in FILES[:2]}, ".gz")
    rest = write_folder(tmp_path / "rest", {file: arrays[file] for file in FILES[2:]}, ".gz")
    said = []
    broken = replace(tiny, mirrors=("http://127.0.0.1:9/", half.as_uri(), rest.as_uri(), mirror.as_uri()))
    assert same(load(broken, said.append, cache=cache), arrays)
    assert "Connection refused" in said[1] and f"{FILES[2]}.gz: No such file" in said[3]
    assert said[4:] == [f"getting tiny from {rest.as_uri()}"]  # and the last was not needed


@pytest.mark.parametrize("below", ["", "tiny"])
def test_byhand_data_comes_first(tiny, arrays, tmp_path, monkeypatch, cache, below):
    monkeypatch.setenv("BYHAND_DATA", str(tmp_path / "mine"))
    folder = write_folder(tmp_path / "mine" / below, arrays)
    splits = load(replace(tiny, mirrors=()), cache=cache)
    assert same(splits, arrays) and splits.source == str(folder)
    assert fetch(tiny, cache=cache) == folder and not cache.exists()


def test_a_wrong_file_in_byhand_data_is_an_error_that_names_it(tiny, arrays, tmp_path, monkeypatch, cache):
    arrays[FILES[3]][0] += 1
    folder = write_folder(tmp_path / "mine", arrays)
    monkeypatch.setenv("BYHAND_DATA", str(folder))
    with pytest.raises(ValueError, match=f"{FILES[3]} in {folder} is not the published file of tiny"):
        load(tiny, cache=cache)


def test_byhand_data_that_lacks_a_file_or_is_no_folder(tiny, mirror, monkeypatch, cache):
    monkeypatch.setenv("BYHAND_DATA", str(mirror))
    (mirror / (FILES[1] + ".gz")).unlink()
    with pytest.raises(ValueError, match=f"has no {FILES[1]}"):
        load(tiny, cache=cache)
    monkeypatch.setenv("BYHAND_DATA", str(mirror / "nothing"))
    with pytest.raises(ValueError, match=r"BYHAND_DATA is set to .*nothing, which is not a folder"):
        load(tiny, cache=cache)


def test_byhand_data_may_hold_another_set(tiny, arrays, monkeypatch, cache, tmp_path):
    built_in = fetch("mini")
    monkeypatch.setenv("BYHAND_DATA", str(built_in))
    said = []
    assert same(load(tiny, said.append, cache=cache), arrays)
    assert said[0] == f"BYHAND_DATA ({built_in}) does not hold tiny; looking elsewhere"


def test_nothing_takes_the_place_of_another_set(tiny, arrays, cache):
    assert same(load_or_mini(tiny, cache=cache), arrays)
    with pytest.raises(DataUnavailable):
        load_or_mini(replace(tiny, name="other", mirrors=()), cache=cache)


def test_info_about_an_unknown_set(tmp_path, arrays):
    facts = info(load(write_folder(tmp_path / "mine", arrays)))
    assert facts["name"] == "mine" and facts["sha256"] is None and facts["origin"] is None
