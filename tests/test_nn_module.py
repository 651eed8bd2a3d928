"""Networks: names, numbers, and what training changes."""

import threading

import numpy as np
import pytest
from networks import assert_same, numbers_of, small

from byhand import Tensor, nn
from byhand.autodiff import GraphError

# --- names and numbers ------------------------------------------------------------------------------------------------


def test_state_dict_has_the_names_and_shapes_of_pytorch(rng):
    assert {name: array.shape for name, array in small(rng).state_dict().items()} == {
        "0.weight": (4, 1, 3, 3),
        "1.weight": (4,), "1.bias": (4,), "1.running_mean": (4,), "1.running_var": (4,), "1.num_batches_tracked": (),
        "4.body.0.weight": (6, 4, 3, 3), "4.body.0.bias": (6,),
        "4.shortcut.weight": (6, 4, 1, 1), "4.shortcut.bias": (6,),
        "6.weight": (8, 54), "6.bias": (8,), "7.weight": (8,), "7.bias": (8,), "9.weight": (3, 8), "9.bias": (3,),
    }


def test_a_state_dict_is_a_copy_and_goes_back_to_the_same_bits(rng):
    one, other = small(rng), small(rng)
    with nn.training(rng):
        one(rng.normal(size=(8, 1, 6, 6)).astype(np.float32))  # so that the running statistics say something
    state = one.state_dict()
    assert other.load_state_dict(state) == ([], [])
    assert_same(other.state_dict(), state)
    x = rng.normal(size=(8, 1, 6, 6)).astype(np.float32)
    assert one(x).data.tobytes() == other(x).data.tobytes()
    assert all(array.flags.c_contiguous for array in state.values()), "whoever writes a file may rely on it"
    state["0.weight"][:] = 0
    assert one.state_dict()["0.weight"].any() and other.state_dict()["0.weight"].any()


def without(state, *names):
    return {name: array for name, array in state.items() if name not in names}


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda s: without(s, "6.bias", "1.running_var"), "missing: 1.running_var, 6.bias"),
    (lambda s: {**s, "10.weight": np.ones(3)}, "unexpected: 10.weight"),
    (lambda s: {**s, "6.bias": np.ones(9), "9.weight": np.ones((8, 3))},
     r"wrong shape: 6.bias is \(9,\) instead of \(8,\), 9.weight is \(8, 3\) instead of \(3, 8\)"),
    (lambda s: {**s, "9.bias": np.array(["a", "b", "c"])}, "not numbers: 9.bias is <U1"),
    (lambda s: {**without(s, "9.bias"), "last": np.ones(1), "0.weight": np.ones(1)},
     "missing: 9.bias; unexpected: last; wrong shape: 0.weight"),
])
def test_strict_loading_lists_all_that_is_wrong_and_changes_nothing(change, sentence, rng):
    net, state = small(rng), small(rng).state_dict()
    before = numbers_of(net)
    with pytest.raises(ValueError, match=rf"these weights do not fit this network \({sentence}"):
        net.load_state_dict(change(state))
    assert_same(net.state_dict(), before)


def test_loading_that_is_not_strict_takes_what_fits_but_no_wrong_shape(rng):
    net, state = small(rng), small(rng).state_dict()
    kept = net.state_dict()["9.bias"]
    missing, unexpected = net.load_state_dict({**without(state, "9.bias"), "more": np.ones(1)}, strict=False)
    assert (missing, unexpected) == (["9.bias"], ["more"])
    np.testing.assert_array_equal(net.state_dict()["9.bias"], kept)
    np.testing.assert_array_equal(net.state_dict()["0.weight"], state["0.weight"])
    with pytest.raises(ValueError, match="wrong shape"):
        net.load_state_dict({"9.bias": np.ones(5)}, strict=False)


def test_loading_keeps_the_memory_and_the_precision_of_the_parameters(rng):
    net = nn.Linear(3, 2, rng)
    memory = net.weight.data
    net.load_state_dict({"weight": np.full((2, 3), 0.1), "bias": [1, 2]})
    assert net.weight.data is memory and memory.dtype == np.float32
    np.testing.assert_array_equal(net.bias.data, [1, 2])


def test_loading_makes_an_older_graph_stale(rng):
    net = nn.Linear(3, 2, rng)
    loss = net(np.ones((1, 3), np.float32)).sum()
    net.load_state_dict(net.state_dict())
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_a_layer_built_without_memory_gets_it_when_it_is_loaded(rng):
    none = nn.init.unallocated
    net = nn.Linear(3, 2, rng, weight_init=none, bias_init=none)
    net.load_state_dict({"weight": np.ones((2, 3)), "bias": np.ones(2)})
    assert net.weight.data.flags.writeable and net.weight.dtype == np.float32
    np.testing.assert_array_equal(net(np.ones((1, 3), np.float32)).data, [[4, 4]])


def test_parameters_are_found_wherever_they_are_kept(rng):
    class Mine(nn.Module):
        def __init__(self):
            self.scale = Tensor(np.ones(1, np.float32), requires_grad=True)
            self.blocks = [nn.Linear(2, 2, rng), "not a layer", nn.Linear(2, 2, rng, bias=False)]
            self.seen = np.zeros(1)
            self.width = 2

        def forward(self, x):
            return self.blocks[2](self.blocks[0](x)) * self.scale

    mine = nn.Sequential(Mine())
    assert [name for name, _ in mine.named_parameters()] == ["0.scale", "0.blocks.0.weight", "0.blocks.0.bias",
                                                             "0.blocks.2.weight"]
    assert "0.seen" in mine.state_dict()
    assert [path for path, _ in mine.named_modules()] == ["", "0", "0.blocks.0", "0.blocks.2"]
    mine(np.ones((1, 2), np.float32)).sum().backward()
    assert all(p.grad is not None for p in mine.parameters())


def test_parameters_and_parts_may_stand_in_lists_tuples_and_dicts(rng):
    def one(value):
        return Tensor(np.full(1, value), requires_grad=True)

    class Mine(nn.Module):
        def __init__(self):
            self.scales = [one(1.0), (one(2.0), "no number")]
            self.heads = {"digit": nn.Linear(2, 2, rng), "more": {"letter": one(3.0)}, "sizes": [2, np.ones(2)]}

        def forward(self, x):
            return self.heads["digit"](x) * self.scales[0] * self.scales[1][0] * self.heads["more"]["letter"]

    mine = nn.Sequential(Mine())
    names = ["0.scales.0", "0.scales.1.0", "0.heads.more.letter", "0.heads.digit.weight", "0.heads.digit.bias"]
    assert [name for name, _ in mine.named_parameters()] == list(mine.state_dict()) == names
    assert [path for path, _ in mine.named_modules()] == ["", "0", "0.heads.digit"]
    mine.to(np.float64)
    mine(np.ones((1, 2))).sum().backward()
    assert all(p.grad is not None and p.dtype == np.float64 for p in mine.parameters())
    with pytest.raises(nn.ShapeError, match=r"layer '0.heads.digit', Linear"):
        mine(np.ones((1, 3)))


def test_plain_arrays_come_in_the_precision_of_the_network(rng):
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, rng))
    assert net(np.ones((1, 3))).dtype == np.float32  # NumPy's float64 says little
    assert net(Tensor(np.ones((1, 3)))).dtype == np.float64  # a Tensor is what it is
    assert net.to(np.float64)(np.ones((1, 3), np.int8)).dtype == np.float64
    assert nn.ReLU()(np.ones((1, 3))).dtype == np.float64 and nn.ReLU()([[1, 2]]).dtype == np.float32
    x = np.ones((1, 3), np.float32)
    with nn.watch() as calls:
        nn.ReLU()(x)
    assert calls[0][1].data is x  # no copy where none is needed


def test_a_layer_used_twice_is_one_layer(rng):
    shared = nn.Linear(3, 3, rng, dtype=np.float64)
    net = nn.Sequential(shared, nn.Tanh(), shared)
    assert len(net.parameters()) == 2
    assert sorted(net.state_dict()) == ["0.bias", "0.weight", "2.bias", "2.weight"]  # as PyTorch has it
    x = rng.normal(size=(4, 3))
    net(x).sum().backward()
    first, last = (nn.Linear(3, 3, rng, dtype=np.float64) for _ in range(2))
    for twin in (first, last):
        twin.load_state_dict(shared.state_dict())
    nn.Sequential(first, nn.Tanh(), last)(x).sum().backward()
    np.testing.assert_allclose(shared.weight.grad, first.weight.grad + last.weight.grad)


def test_a_conversion_reaches_everything_but_whole_numbers(rng):
    net = small(rng)
    net(rng.normal(size=(2, 1, 6, 6)).astype(np.float32)).sum().backward()
    assert net.to(np.float64) is net
    for name, array in net.state_dict().items():
        assert array.dtype == (np.int64 if name.endswith("tracked") else np.float64), name
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_frozen_parameters_get_no_gradient_and_pass_it_on(rng):
    net = nn.Sequential(nn.Linear(4, 4, rng), nn.ReLU(), nn.Linear(4, 4, rng), nn.Linear(4, 2, rng))
    assert net[2].freeze() is net[2]
    net(rng.normal(size=(8, 4)).astype(np.float32)).sum().backward()
    assert net[2].weight.grad is None and net[2].bias.grad is None
    assert net[0].weight.grad is not None and net[3].weight.grad is not None


def test_first_weights_are_of_the_chosen_kind(rng):
    layer = nn.Linear(400, 300, rng, bias_init=nn.init.uniform(-1, 1), weight_init=nn.init.glorot_uniform)
    assert abs(layer.weight.data.var() * 700 / 2 - 1) < 0.05
    assert layer.bias.data.any()
    default = nn.Conv2d(16, 64, 3, rng)
    assert abs(default.weight.data.var() * 144 / 2 - 1) < 0.1  # He
    assert not default.bias.data.any()
    assert nn.Linear(3, 2, rng, dtype=np.float64).weight.dtype == np.float64
    assert nn.Conv2d(1, 2, 3, rng, bias=False).bias is None


def test_the_seed_decides_the_network():
    one, same, other = (numbers_of(small(np.random.default_rng(seed))) for seed in (3, 3, 4))
    assert_same(one, same)
    assert (one["0.weight"] != other["0.weight"]).any()


# --- training and evaluation ------------------------------------------------------------------------------------------


def test_training_is_a_context_that_ends_whatever_happens(rng):
    assert nn.training_rng() is None
    with nn.training(rng):
        assert nn.training_rng() is rng
        inner = np.random.default_rng(1)
        with nn.training(inner):
            assert nn.training_rng() is inner
        assert nn.training_rng() is rng
        with nn.evaluating():
            assert nn.training_rng() is None
        assert nn.training_rng() is rng
    for context in (nn.training(rng), nn.evaluating()):
        with pytest.raises(KeyError), context:
            raise KeyError
    assert nn.training_rng() is None


def test_training_is_of_one_thread_only(rng):
    answers = []
    with nn.training(rng):
        thread = threading.Thread(target=lambda: answers.append(nn.training_rng()))
        thread.start()
        thread.join()
    assert answers == [None]


@pytest.mark.parametrize("rng", [None, 42, "seed"])
def test_training_needs_a_generator(rng):
    with pytest.raises(TypeError, match="training needs a generator such as"), nn.training(rng):
        pass


def test_dropout_drops_only_in_training(rng):
    x, layer = np.ones((200, 100), np.float32), nn.Dropout(0.4)
    np.testing.assert_array_equal(layer(x).data, x)
    with nn.training(rng):
        dropped = layer(x).data
    assert abs(dropped.mean() - 1) < 0.05 and 0.35 < (dropped == 0).mean() < 0.45
    with nn.training(np.random.default_rng(7)):
        first = layer(x).data
    with nn.training(np.random.default_rng(7)):
        np.testing.assert_array_equal(layer(x).data, first)
    with nn.training(rng):
        np.testing.assert_array_equal(nn.Dropout(0)(x).data, x)


@pytest.mark.parametrize(("layer", "shape", "axes"), [
    (nn.BatchNorm1d(3, momentum=0.2, dtype=np.float64), (16, 3), (0,)),
    (nn.BatchNorm2d(3, momentum=0.2, dtype=np.float64), (16, 3, 4, 5), (0, 2, 3)),
])
def test_batch_norm_learns_its_statistics_in_training_and_uses_them_outside(layer, shape, axes, rng):
    x = rng.normal(5, 3, size=shape)
    with nn.training(rng):
        y = layer(x).data
    np.testing.assert_allclose(y.mean(axis=axes), 0, atol=1e-12)
    np.testing.assert_allclose(y.std(axis=axes), 1, rtol=1e-4)
    np.testing.assert_allclose(layer.running_mean, 0.2 * x.mean(axis=axes))
    np.testing.assert_allclose(layer.running_var, 0.8 + 0.2 * x.var(axis=axes, ddof=1))
    assert layer.num_batches_tracked == 1
    with nn.training(rng):
        for _ in range(100):
            layer(x)
    before = numbers_of(layer)
    y = layer(x).data  # the statistics have come to rest at the batch's own, but for the unbiased variance
    np.testing.assert_allclose(y.mean(axis=axes), 0, atol=1e-8)
    np.testing.assert_allclose(y.std(axis=axes), np.sqrt(1 - len(axes) / x[:, 0].size), rtol=0.02)
    assert_same(layer.state_dict(), before)


def test_watching_sees_every_layer_in_the_order_in_which_it_finishes(rng):
    net = nn.Sequential(nn.Linear(3, 2, rng), nn.Residual(nn.ReLU()))
    x = Tensor(np.ones((1, 3), np.float32))
    with nn.watch() as calls:
        net(x)
    assert [type(layer).__name__ for layer, _, _ in calls] == ["Linear", "ReLU", "Sequential", "Residual", "Sequential"]
    assert calls[0][1] is x and calls[0][2] is calls[1][1]
    net(x)
    assert len(calls) == 5  # the context is over


def test_a_network_learns(rng):
    """The whole stack in ten lines: exclusive or, by gradient descent."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    targets = np.array([[0], [1], [1], [0]], np.float32)
    net = nn.Sequential(nn.Linear(2, 8, rng), nn.Tanh(), nn.Linear(8, 1, rng), nn.Sigmoid())
    for _ in range(500):
        loss = ((net(x) - targets) ** 2).mean()
        loss.backward()
        for p in net.parameters():
            p.data -= p.grad
            p.version += 1
            p.grad = None
    np.testing.assert_allclose(net(x).data, targets, atol=0.2)
