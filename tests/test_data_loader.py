"""Batches: the right rows in the right order and type, no copy that need not be, and nothing larger than the batch."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byhand.data import Affine, Dataset, Loader, Normalize


def images(n=10, weights=None):
    pixels = np.random.default_rng(0).integers(0, 256, (n, 1, 4, 4), dtype=np.uint8)
    return Dataset(pixels, np.arange(n), weights=weights)


@pytest.mark.parametrize("batch_size, drop_last, sizes", [
    (None, False, [10]), (10, False, [10]), (4, False, [4, 4, 2]), (4, True, [4, 4]), (99, False, [10]),
    (1, True, [1] * 10),
])
def test_batches_cover_the_data_in_order(batch_size, drop_last, sizes):
    loader = Loader(images(), batch_size, drop_last=drop_last)
    batches = list(loader)
    assert [len(targets) for _, targets, _ in batches] == sizes and len(loader) == len(sizes)
    assert np.concatenate([targets for _, targets, _ in batches]).tolist() == list(range(sum(sizes)))


def test_inputs_without_normalize_are_converted_as_they_are():
    data = images()
    inputs, targets, weights = next(iter(Loader(data)))
    assert inputs.dtype == np.float32 and targets.dtype.kind == "i" and weights is None
    np.testing.assert_array_equal(inputs, data.inputs)


def test_a_batch_in_order_is_a_view():
    data = Dataset(np.ones((10, 3), np.float32), np.arange(10), weights=np.ones(10, np.float32))
    for batch in Loader(data, 4):
        for got, whole in zip(batch, (data.inputs, data.targets, data.weights), strict=True):
            assert np.shares_memory(got, whole)


def test_shuffling_is_new_every_pass_repeatable_and_keeps_rows_together():
    data = Dataset(np.arange(50.0)[:, None], np.arange(50), weights=np.arange(50.0))

    def two_passes(seed):
        loader = Loader(data, 7, rng=np.random.default_rng(seed))
        return [np.concatenate([np.column_stack([x, y, w]) for x, y, w in loader]) for _ in range(2)]

    first, second = two_passes(0)
    assert np.all(first == first[:, :1])
    assert sorted(first[:, 0]) == list(range(50)) and first.tolist() != second.tolist()
    np.testing.assert_array_equal([first, second], two_passes(0))
    assert first.tolist() != two_passes(1)[0].tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_real_numbers_come_as_the_type_asked_for(dtype):
    data = Dataset(np.zeros((4, 2), np.uint8), np.linspace(0, 1, 4), weights=np.ones(4))
    inputs, targets, weights = next(iter(Loader(data, dtype=dtype, normalize=Normalize(0.5, 0.25))))
    assert inputs.dtype == targets.dtype == weights.dtype == dtype
    assert inputs[0, 0] == -2


def test_augmentation_comes_before_normalization_and_draws_from_the_rng():
    data = images()
    seen = []

    def augment(batch, rng):
        seen.append((batch.dtype, rng))
        return batch // 2

    rng = np.random.default_rng(0)
    (inputs, targets, _), = Loader(data, rng=rng, normalize=Normalize(), augment=augment)
    assert seen == [(np.uint8, rng)]
    np.testing.assert_array_equal(inputs, Normalize()(data.inputs[targets] // 2))


@pytest.mark.parametrize("augment", [
    lambda batch, rng: np.concatenate([batch, batch]), lambda batch, rng: batch[:2], lambda batch, rng: batch[:0],
    lambda batch, rng: np.pad(batch, ((0, 0), (0, 0), (1, 1), (1, 1))), lambda batch, rng: batch.swapaxes(1, 3),
    lambda batch, rng: None, lambda batch, rng: batch.astype(str)])
def test_augmentation_keeps_the_shape(augment):
    with pytest.raises(ValueError, match=r"given images of shape .* and returned .*; it must return as many"):
        next(iter(Loader(images(), 3, rng=np.random.default_rng(0), augment=augment)))


def test_the_same_seed_gives_the_same_bits():
    def one_pass():
        loader = Loader(images(), 3, rng=np.random.default_rng(5), normalize=Normalize(0.1, 0.3), augment=Affine())
        return b"".join(inputs.tobytes() for inputs, _, _ in loader)

    assert one_pass() == one_pass()


def test_data_larger_than_the_memory_used(tmp_path):
    """64 MB on disk pass through a loader, and measured for normalization, in less than 16 MB."""
    big = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.uint8, (1 << 14, 1, 64, 64))
    big[::2] = 255
    data = Dataset(big, np.zeros(len(big), np.int64))
    tracemalloc.start()
    normalize = Normalize.fit(data)
    total = sum(float(inputs.sum(dtype=np.float64)) for inputs, _, _ in
                Loader(data, 256, rng=np.random.default_rng(0), normalize=normalize))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20
    assert (normalize.mean, normalize.std) == (0.5, 0.5) and abs(total) < 1


@pytest.mark.parametrize("arguments, says", [
    ({"dataset": images(0)}, "empty"),
    ({"batch_size": 0}, "whole number of at least 1"),
    ({"batch_size": -3}, "whole number of at least 1"),
    ({"batch_size": 2.5}, "whole number of at least 1"),
    ({"batch_size": True}, "whole number of at least 1"),
    ({"batch_size": 11, "drop_last": True}, "10 samples do not fill one batch of 11"),
    ({"augment": Affine()}, "give the Loader an rng"),
    ({"rng": 7}, r"np.random.default_rng\(0\), not 7"),
    ({"dtype": np.uint8}, "dtype cannot be uint8"),
])
def test_a_loader_that_cannot_work_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        Loader(**{"dataset": images(), **arguments})


# Normalization.


@given(st.floats(-1, 1), st.floats(0.01, 10), st.floats(0.001, 1))
def test_normalize_computes_its_formula(mean, std, scale):
    pixels = np.arange(256, dtype=np.uint8).reshape(4, 1, 8, 8)
    expected = (pixels * scale - mean) / std
    exact = Normalize(mean, std, scale)(pixels, np.float64)
    np.testing.assert_allclose(exact, expected, rtol=1e-12, atol=1e-12)
    single = Normalize(mean, std, scale)(pixels)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-5, atol=1e-5 * (1 + abs(mean)) / std)


def test_the_default_maps_pixels_to_0_to_1_and_raw_pixels_stay_exact():
    pixels = np.arange(256, dtype=np.uint8)
    assert Normalize()(pixels).min() == 0 and Normalize()(pixels).max() == 1
    np.testing.assert_array_equal(Normalize(scale=1)(pixels), pixels)


def test_normalize_by_channel():
    color = np.stack([np.full((2, 2), value) for value in (10.0, 20.0, 30.0)])[None]
    out = Normalize((10, 20, 30), (1, 2, 3), scale=1)(color + 6)
    assert out[0, :, 0, 0].tolist() == [6, 3, 2]
    with pytest.raises(ValueError, match=r"3 channels, and got an array of shape \(2, 1, 4, 4\)"):
        Normalize((0, 0, 0))(np.zeros((2, 1, 4, 4)))


@pytest.mark.parametrize("shape", [(5000, 1, 16, 16), (700, 3, 30, 30), (100, 7), (9,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_fit_gives_mean_0_and_deviation_1(shape, dtype):
    values = np.random.default_rng(0).integers(40, 90, shape).astype(dtype)
    normalize = Normalize.fit(Dataset(values, np.zeros(len(values), int)))
    out = normalize(values, np.float64)
    axes = {4: (0, 2, 3), 2: 0}.get(len(shape))
    np.testing.assert_allclose(out.mean(axis=axes), 0, atol=1e-9)
    np.testing.assert_allclose(out.std(axis=axes), 1, atol=1e-9)
    assert isinstance(normalize.mean, tuple) == (shape[1:2] in ((3,), (7,)))


@pytest.mark.parametrize("normalize", [Normalize(), Normalize(0.1307, 0.3081), Normalize((0.1, 0.2), (1, 2), 1)])
def test_normalize_survives_json(normalize):
    assert Normalize.from_dict(json.loads(json.dumps(normalize.to_dict()))) == normalize


@pytest.mark.parametrize("values, says", [
    ({"mean": 0, "std": 0, "scale": 1}, "std of a Normalize is above 0"),
    ({"mean": 0, "std": -1, "scale": 1}, "std of a Normalize is above 0"),
    ({"mean": 0, "std": [1, 0], "scale": 1}, "std of a Normalize is above 0"),
    ({"mean": 0, "std": 1, "scale": 0}, "scale of a Normalize is above 0"),
    ({"mean": float("nan"), "std": 1, "scale": 1}, "mean of a Normalize is a finite number"),
    ({"mean": "0", "std": 1, "scale": 1}, "mean of a Normalize is a finite number"),
    ({"mean": True, "std": 1, "scale": 1}, "mean of a Normalize is a finite number"),
    ({"mean": [], "std": 1, "scale": 1}, "mean of a Normalize is a finite number"),
    ({"mean": [[0]], "std": 1, "scale": 1}, "mean of a Normalize is a finite number"),
    ({"mean": 0, "std": 1, "scale": [1]}, "scale of a Normalize is a finite number"),
    ({"mean": [0, 1], "std": [1, 2, 3], "scale": 1}, "2 means but 3 standard deviations"),
    ({"mean": 0, "std": 1}, "mean, std and scale"),
    ({"mean": 0, "std": 1, "scale": 1, "more": 0}, "mean, std and scale"),
    ([0, 1], "mean, std and scale"),
])
def test_a_normalize_that_makes_no_sense_is_refused(values, says):
    with pytest.raises(ValueError, match=says):
        Normalize.from_dict(values)


def test_what_cannot_be_fitted():
    with pytest.raises(ValueError, match="every value is the same"):
        Normalize.fit(Dataset(np.full((5, 1, 2, 2), 7), np.zeros(5, int)))
    with pytest.raises(ValueError, match="empty"):
        Normalize.fit(images(0))
