"""The sides of the benchmark do the same work: the same networks, the same steps, the same answers. And all learn."""

import numpy as np
import pytest

import byhand as bh
from byhand.bench import networks, published, published_scalar, rows, turns, with_byhand, work
from byhand.bench.report import measure
from byhand.inference import predict
from byhand.recipes.binary_zero_one import zeros_and_ones

NAMES = list(networks.PLANS)


@pytest.fixture(scope="module")
def digits():
    return work.digits(True, print)


def after_a_step(model, digits, images):
    """The weights of byhand's network after one step of Adam on the first images."""
    bh.fit(model, digits.train[:images], loss=bh.losses.cross_entropy, optimizer=bh.optim.Adam(model.parameters(),
           lr=work.RATE), rng=np.random.default_rng(0), batch_size=images, validation=None, normalize=work.AROUND_ZERO)
    return model.state_dict()


# --- PyTorch ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_pytorch_has_the_same_networks(name, digits, rng):
    torch, ours = pytest.importorskip("torch"), networks.network(name, rng)
    from byhand.bench.with_pytorch import network, with_weights

    theirs = with_weights(network(name), ours).eval()
    with torch.inference_mode():
        found = theirs(torch.from_numpy(digits.test_images[:20])).numpy()
    np.testing.assert_allclose(found, predict(ours, digits.test_images[:20]), rtol=1e-3, atol=1e-4)


def test_pytorch_takes_the_same_step(digits, rng):
    torch, ours = pytest.importorskip("torch"), networks.network("mlp", rng)
    from byhand.bench.with_pytorch import epoch, network, with_weights

    theirs = with_weights(network("mlp"), ours)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=work.RATE, fused=True)
    assert epoch(theirs, optimizer, torch.from_numpy(digits.images[:64]), torch.from_numpy(digits.labels[:64]), 64) > 0
    expected = after_a_step(ours, digits, 64)
    for name, found in theirs.state_dict().items():
        np.testing.assert_allclose(found.numpy(), expected[name], atol=1e-4)


# --- JAX --------------------------------------------------------------------------------------------------------------


def as_jax(model):
    """byhand's weights as JAX has them: the inputs first, pictures channels last."""
    layers = [layer for _, layer in model.named_modules() if isinstance(layer, bh.nn.Conv2d | bh.nn.Linear)]
    weights, before = [], None
    for layer in layers:
        weight = layer.weight.data
        if weight.ndim == 4:
            weight = weight.transpose(2, 3, 1, 0)
        else:
            if isinstance(before, bh.nn.Conv2d):  # it reads flattened pictures
                size = round((weight.shape[1] / before.out_channels) ** 0.5)
                weight = weight.reshape(-1, before.out_channels, size, size).transpose(0, 2, 3, 1)
            weight = weight.reshape(len(weight), -1).T
        weights.append((weight.copy(), layer.bias.data.copy()))
        before = layer
    return weights


@pytest.mark.parametrize("name", ["mlp", "fast"])
def test_jax_takes_the_same_step_with_the_same_networks(name, digits, rng):
    jax, ours = pytest.importorskip("jax"), networks.network(name, rng)
    from byhand.bench import with_jax

    with with_jax.processor(2):
        pass
    images, labels = with_jax.on_device(digits, 64)
    before = as_jax(ours)
    expected = predict(ours, digits.images[:64])
    after_a_step(ours, digits, 64)
    after = as_jax(ours)
    for pool in (with_jax.pool_by_window, with_jax.pool_by_reshape):
        shapes, forward = with_jax.model_of(name, pool)
        assert [w.shape for w, _ in shapes] == [w.shape for w, _ in before]
        np.testing.assert_allclose(forward(before, images), expected, rtol=1e-3, atol=1e-4)
        found, *_, count = jax.jit(with_jax.updates(forward))(with_jax.first_state(before), images, labels)
        assert count == 1
        for (w, b), (ours_w, ours_b) in zip(found, after, strict=True):
            # Adam's first step is the sign of the slope, whatever its size, and tiny slopes differ by rounding
            assert np.mean(np.abs(w - ours_w) > 1e-4) < 0.01 and np.mean(np.abs(b - ours_b) > 1e-4) < 0.1


def test_the_environment_is_as_it_was_after_jax_woke_up(monkeypatch):
    pytest.importorskip("jax")
    import os

    from byhand.bench.with_jax import processor

    monkeypatch.setenv("XLA_FLAGS", "")
    before = dict(os.environ)
    with processor(1):
        assert os.environ["PJRT_NPROC"] == "1" and "multi_thread_eigen=false" in os.environ["XLA_FLAGS"]
    assert dict(os.environ) == before


# --- ONNX Runtime -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp", "fast", "lenet"])
def test_onnx_runtime_gives_the_same_answers(name, digits, rng):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from byhand.bench.with_onnxruntime import session

    model = networks.network(name, rng)
    (found,) = session(model, 1).run(None, {"x0": digits.test_images[:20]})
    np.testing.assert_allclose(found, predict(model, digits.test_images[:20]), rtol=1e-3, atol=1e-4)


# --- the published programs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("program", "images", "epochs", "least"), [
    (published.relu_10, 1_000, 150, 0.6), (published.sigmoid_72_36, 1_000, 150, 0.6),
    (published.numpy_tutorial, 500, 3, 0.6)], ids=lambda value: getattr(value, "__name__", None))
def test_the_published_programs_learn(program, images, epochs, least, digits):
    run = program(digits.train.inputs[:images], digits.train.targets[:images])
    assert run(1) < run(epochs) > least


def test_the_published_program_tells_0_from_1(digits):
    part = zeros_and_ones(digits.train)
    assert published.binary_zero_one(part.inputs, part.targets)(40) > 0.95


def test_the_other_scalar_engine_finds_the_same_slopes():
    a, b = bh.scalar.Scalar(2.0), bh.scalar.Scalar(-3.0)
    x, y = published_scalar.Value(2.0), published_scalar.Value(-3.0)
    ours = (a * b + 7.0) ** 3 * 0.5 + bh.scalar.relu(a) * bh.scalar.exp(b * 0.1) + a
    theirs = (x * y + 7.0) ** 3 * 0.5 + x.relu() * (y * 0.1).exp() + x
    ours.backward()
    theirs.backward()
    assert theirs.data == pytest.approx(float(ours))
    assert (x.grad, y.grad) == pytest.approx((a.grad, b.grad))


def test_the_other_scalar_engine_learns(digits):
    run = published_scalar.scalar(digits.train.inputs[:2, :, ::4, ::4], digits.train.targets[:2])
    assert run(1) < run(30) == 1


# --- all of them ------------------------------------------------------------------------------------------------------


def test_a_training_that_ends_early_is_no_figure(digits, rng):
    model = networks.network("mlp", rng)
    run = bh.fit(model, digits.train[:16], loss=lambda *pair: bh.losses.cross_entropy(*pair) * float("nan"), rng=rng,
                 optimizer=bh.optim.SGD(model.parameters(), lr=1.0), validation=None)
    with pytest.raises(RuntimeError, match="byhand's training stopped"):
        with_byhand.seconds_of(run)


@pytest.mark.slow
def test_every_row_can_be_measured_with_whoever_is_there(monkeypatch):
    monkeypatch.setattr(turns, "PAUSE", 0)
    timed = [row for row in rows.ROWS if not row.once]
    with bh.kernels.using("numpy"):
        report = measure(timed, work.Effort(rounds=1, batches=1))
    assert {c.row.name for c in report.comparisons} == {row.name for row in timed}
    for comparison in report.comparisons:
        assert comparison.ours.median > 0 and (comparison.left_out or comparison.ratio > 0)
