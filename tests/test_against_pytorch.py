"""The same operations, layers and losses in PyTorch, where it is installed: values, gradients, names, and weights that
go from one to the other and back."""

from functools import partial

import numpy as np
import pytest

from byhand import Tensor, losses, nn, ops

torch = pytest.importorskip("torch")
F = torch.nn.functional
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


def positive(*shape):
    return RNG.uniform(0.3, 2, shape)


def compare(ours, theirs, *arrays):
    """Values and gradients of both, in double precision, for the same random slopes."""
    mine = [Tensor(a, requires_grad=True) for a in arrays]
    yours = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*mine), theirs(*yours)
    assert y.shape == tuple(z.shape)
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-9, atol=1e-11)
    slopes = np.random.default_rng(1).normal(size=y.shape)
    y.backward(slopes)
    z.backward(torch.tensor(slopes))
    for m, t in zip(mine, yours, strict=True):
        np.testing.assert_allclose(m.grad, t.grad.numpy(), rtol=1e-9, atol=1e-11)


def same(name, *arrays, theirs=None, **options):
    """An operation that has the same name and arguments there."""
    return pytest.param(lambda *a: getattr(ops, name)(*a, **options),
                        theirs or (lambda *a: getattr(torch, name)(*a, **options)), arrays, id=name)


CONVOLUTIONS = [
    ((2, 3, 7, 8), (4, 3, 3, 3), {}), ((2, 3, 7, 8), (4, 3, 2, 5), {"stride": 2}),
    ((2, 3, 7, 8), (4, 3, 3, 3), {"padding": 1}), ((2, 3, 7, 8), (4, 3, 3, 2), {"stride": (3, 1), "padding": (0, 2)}),
    ((2, 3, 9, 8), (4, 3, 3, 2), {"dilation": (2, 3)}), ((2, 4, 7, 8), (6, 2, 3, 3), {"groups": 2}),
    ((2, 4, 7, 8), (4, 1, 3, 3), {"groups": 4, "padding": 1}), ((2, 3, 7, 8), (4, 3, 1, 1), {}),
    ((2, 4, 9, 10), (6, 2, 3, 3), {"stride": 2, "padding": (2, 1), "dilation": 2, "groups": 2}),
]
POOLS = [((7, 8), 2, {}), ((7, 8), (2, 3), {}), ((7, 8), 3, {"stride": 1}), ((7, 8), 3, {"stride": 2, "padding": 1}),
         ((9, 8), (3, 2), {"stride": (2, 3), "padding": (1, 0)})]

OPERATIONS = [
    *[same(name, normal(3, 4), normal(4)) for name in ("add", "multiply", "maximum", "minimum")],
    same("subtract", normal(3, 1), normal(4)),
    same("divide", normal(3, 4), positive(3, 1)),
    same("power", positive(3, 4), normal(4), theirs=torch.pow),
    *[same(name, positive(3, 4)) for name in ("exp", "log", "sqrt", "abs", "negative")],
    same("clip", normal(5, 4), low=-0.5, high=0.5, theirs=lambda a: torch.clip(a, -0.5, 0.5)),
    same("matmul", normal(2, 1, 3, 4), normal(5, 4, 2)), same("matmul", normal(3), normal(5, 3, 2)),
    same("linear", normal(2, 5, 3), normal(4, 3), normal(4), theirs=F.linear),
    same("sum", normal(2, 3, 4), axis=(0, -1), theirs=lambda a: a.sum(dim=(0, -1))),
    same("mean", normal(2, 3, 4), axis=1, keepdims=True, theirs=lambda a: a.mean(dim=1, keepdim=True)),
    same("var", normal(2, 3, 4), axis=(0, 2), ddof=1, theirs=lambda a: a.var(dim=(0, 2))),
    same("var", normal(2, 3, 4), theirs=lambda a: a.var(unbiased=False)),
    same("max", normal(2, 3, 4), axis=(0, 2), theirs=lambda a: a.amax(dim=(0, 2))),
    same("max", np.array([[1.0, 3, 3], [2, 2, 1]]), axis=1, theirs=lambda a: a.amax(dim=1)),
    same("min", normal(2, 3, 4), axis=1, theirs=lambda a: a.amin(dim=1)),
    same("logsumexp", normal(2, 3, 4), axis=(0, 2), theirs=lambda a: torch.logsumexp(a, dim=(0, 2))),
    *[same(name, normal(5, 4), theirs=getattr(F, name)) for name in ("relu", "elu", "gelu", "silu", "softplus",
                                                                     "leaky_relu", "tanh", "sigmoid")],
    *[same(name, normal(5, 4), axis=axis, theirs=partial(getattr(F, name), dim=axis))
      for name in ("softmax", "log_softmax") for axis in (0, -1)],
    *[same("conv2d", normal(*x), normal(*w), normal(w[0]), theirs=partial(F.conv2d, **o), **o)
      for x, w, o in CONVOLUTIONS],
    *[same(name, normal(2, 3, *x), size=k, theirs=partial(getattr(F, name), kernel_size=k, **o), **o)
      for name in ("max_pool2d", "avg_pool2d") for x, k, o in POOLS],
    same("max_pool2d", normal(2, 3, 9, 8), size=2, stride=2, dilation=3,
         theirs=lambda x: F.max_pool2d(x, 2, stride=2, dilation=3)),
    same("global_avg_pool2d", normal(2, 3, 4, 5), theirs=lambda x: F.adaptive_avg_pool2d(x, 1)[:, :, 0, 0]),
    same("layer_norm", normal(2, 3, 4), normal(3, 4), normal(3, 4),
         theirs=lambda x, w, b: F.layer_norm(x, (3, 4), w, b)),
    same("pad", normal(2, 3), widths=[(1, 2), (0, 3)], value=0.5, theirs=lambda a: F.pad(a, (0, 3, 1, 2), value=0.5)),
    pytest.param(lambda a, b: ops.concatenate([a, b], axis=1), lambda a, b: torch.cat([a, b], dim=1),
                 (normal(2, 3), normal(2, 1)), id="concatenate"),
    pytest.param(lambda a, b: ops.stack([a, b], axis=-1), lambda a, b: torch.stack([a, b], dim=-1),
                 (normal(2, 3), normal(2, 3)), id="stack"),
    pytest.param(lambda a: a[np.array([0, 0, 2]), 1:], lambda a: a[[0, 0, 2], 1:], (normal(3, 4),), id="index"),
    pytest.param(lambda a, b: ops.where(np.eye(3, dtype=bool), a, b), lambda a, b: torch.where(torch.eye(3) > 0, a, b),
                 (normal(3, 3), normal(3)), id="where"),
    pytest.param(lambda a: a.T.reshape(2, -1), lambda a: a.T.reshape(2, -1), (normal(3, 4),), id="reshape, transpose"),
]


@pytest.mark.parametrize(("ours", "theirs", "arrays"), OPERATIONS)
def test_operations(ours, theirs, arrays):
    compare(ours, theirs, *arrays)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_and_its_running_statistics(shape, training):
    x, w, b = normal(*shape), normal(3), normal(3)
    mean, var = normal(3), positive(3)
    mine, yours = (mean.copy(), var.copy()), (torch.tensor(mean), torch.tensor(var))
    compare(lambda x, w, b: ops.batch_norm(x, w, b, running_mean=mine[0], running_var=mine[1], training=training,
                                           momentum=0.3, eps=1e-3),
            lambda x, w, b: F.batch_norm(x, *yours, w, b, training=training, momentum=0.3, eps=1e-3), x, w, b)
    np.testing.assert_allclose(mine, [t.numpy() for t in yours])


LABELS, CLASS_WEIGHTS = np.array([0, 2, 1, 2, 0]), np.array([1.0, 2.0, 0.5])
TARGETS = normal(5, 3)
PROBABILITIES = RNG.dirichlet(np.ones(3), size=5)
CLASS_OPTIONS = [{}, {"label_smoothing": 0.1}, {"weight": CLASS_WEIGHTS},
                 {"weight": CLASS_WEIGHTS, "label_smoothing": 0.2}]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("targets", [LABELS, PROBABILITIES], ids=["indices", "probabilities"])
@pytest.mark.parametrize("options", CLASS_OPTIONS, ids=str)
def test_cross_entropy(options, targets, reduction):
    mine = {("class_weights" if k == "weight" else k): v for k, v in options.items()}
    yours = {k: torch.tensor(v) if k == "weight" else v for k, v in options.items()}
    compare(lambda y: losses.cross_entropy(y, targets, reduction=reduction, **mine),
            lambda y: F.cross_entropy(y, torch.tensor(targets), reduction=reduction, **yours), normal(5, 3))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("ours", "theirs", "targets"), [
    (losses.mean_squared_error, F.mse_loss, TARGETS),
    (losses.absolute_error, F.l1_loss, TARGETS),
    (losses.huber, F.huber_loss, TARGETS),
    (lambda *a, **o: losses.huber(*a, delta=0.3, **o), lambda *a, **o: F.huber_loss(*a, delta=0.3, **o), TARGETS),
    (losses.binary_cross_entropy, F.binary_cross_entropy_with_logits, (TARGETS > 0).astype(float)),
], ids=["squared", "absolute", "huber", "huber 0.3", "binary"])
def test_other_losses(ours, theirs, targets, reduction):
    compare(lambda y: ours(y, targets, reduction=reduction),
            lambda y: theirs(y, torch.tensor(targets), reduction=reduction), normal(5, 3))


def our_network(rng):
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, rng, padding=2, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, (3, 2), rng, stride=(1, 2), groups=2), nn.SiLU(), nn.AvgPool2d(3, stride=1, padding=1),
        nn.Flatten(), nn.Linear(8 * 5 * 3, 12, rng), nn.LayerNorm(12), nn.GELU(), nn.BatchNorm1d(12), nn.Dropout(0.2),
        nn.Linear(12, 10, rng), nn.LogSoftmax())


def their_network():
    t = torch.nn
    return t.Sequential(
        t.Conv2d(1, 6, 5, padding=2, bias=False), t.BatchNorm2d(6), t.ReLU(), t.MaxPool2d(2),
        t.Conv2d(6, 8, (3, 2), stride=(1, 2), groups=2), t.SiLU(), t.AvgPool2d(3, stride=1, padding=1),
        t.Flatten(), t.Linear(8 * 5 * 3, 12), t.LayerNorm(12), t.GELU(), t.BatchNorm1d(12), t.Dropout(0.2),
        t.Linear(12, 10), t.LogSoftmax(dim=-1))


def same_outputs(ours, theirs, x):
    with torch.no_grad():
        np.testing.assert_allclose(ours(x).data, theirs.eval()(torch.tensor(x)).numpy(), rtol=1e-4, atol=1e-5)


def test_our_weights_load_there(rng):
    ours, theirs, x = our_network(rng), their_network(), rng.normal(size=(7, 1, 14, 14)).astype(np.float32)
    with nn.training(rng):
        for _ in range(3):
            ours(x)  # running statistics that are not the first ones
    state = {name: torch.from_numpy(array) for name, array in ours.state_dict().items()}
    assert list(state) == list(theirs.state_dict())  # the order, too
    theirs.load_state_dict(state, strict=True)
    same_outputs(ours, theirs, x)


def test_their_weights_load_here(rng):
    ours, theirs, x = our_network(rng), their_network(), rng.normal(size=(7, 1, 14, 14)).astype(np.float32)
    theirs.train()
    for _ in range(3):
        theirs(torch.tensor(x))
    assert ours.load_state_dict(theirs.state_dict(), strict=True) == ([], [])
    assert ours[1].num_batches_tracked == 3
    same_outputs(ours, theirs, x)


def test_a_training_step_has_the_same_gradients(rng):
    ours, theirs, x = our_network(rng).to(np.float64), their_network().double(), rng.normal(size=(7, 1, 14, 14))
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in ours.state_dict().items()})
    theirs.train()[12].p = 0.0  # dropout draws from generators that differ
    ours[12].p = 0.0
    labels = rng.integers(0, 10, 7)
    with nn.training(rng):
        losses.cross_entropy(ours(x), labels).backward()
    F.cross_entropy(theirs(torch.tensor(x)), torch.tensor(labels)).backward()
    for (name, mine), yours in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad, yours.grad.numpy(), rtol=1e-8, atol=1e-11, err_msg=name)
    for name, array in ours.state_dict().items():
        np.testing.assert_allclose(array, theirs.state_dict()[name].numpy(), err_msg=name)
