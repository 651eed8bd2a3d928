"""PyTorch reads byhand's files, and byhand reads PyTorch's weights, layer by layer. Pickles are refused, and what the
sentence says to do works."""

import re

import exported
import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.files import ModelFileError, load_weights

torch = pytest.importorskip("torch")
t = torch.nn


class Residual(t.Module):
    """What PyTorch has no layer for, under the names that byhand has."""

    def __init__(self, *body, shortcut=None):
        super().__init__()
        self.body, self.shortcut = t.Sequential(*body), shortcut

    def forward(self, x):
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


THEIRS = {
    "AvgPool2d": lambda: t.AvgPool2d(3, stride=2, padding=1),
    "BatchNorm1d": lambda: t.BatchNorm1d(6, eps=1e-3, momentum=0.2),
    "BatchNorm2d": lambda: t.BatchNorm2d(4),
    "Conv2d": lambda: t.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), dilation=(1, 2), groups=2, bias=False),
    "Dropout": lambda: t.Dropout(0.25),
    "ELU": lambda: t.ELU(0.5),
    "Flatten": lambda: t.Flatten(),
    "GELU": lambda: t.GELU(),
    "GlobalAvgPool2d": lambda: t.Sequential(t.AdaptiveAvgPool2d(1), t.Flatten()),
    "LayerNorm": lambda: t.LayerNorm((8, 8), eps=1e-3),
    "LeakyReLU": lambda: t.LeakyReLU(0.2),
    "Linear": lambda: t.Linear(6, 3),
    "LogSoftmax": lambda: t.LogSoftmax(dim=-1),
    "MaxPool2d": lambda: t.MaxPool2d((2, 3)),
    "ReLU": lambda: t.ReLU(),
    "Residual": lambda: Residual(t.Linear(6, 3), t.Tanh(), shortcut=t.Linear(6, 3, bias=False)),
    "Sequential": lambda: t.Sequential(t.Sequential(t.Linear(6, 4)), Residual(t.ReLU())),
    "SiLU": lambda: t.SiLU(),
    "Sigmoid": lambda: t.Sigmoid(),
    "Softmax": lambda: t.Softmax(dim=-1),
    "Softplus": lambda: t.Softplus(),
    "Tanh": lambda: t.Tanh(),
}
"""The same layer there as in exported.ALONE here."""


def networks():
    """Pairs of networks, ours and theirs, with a batch: each layer in a Sequential, and a reader of pictures."""
    for name, (shape, make) in exported.ALONE.items():
        yield pytest.param(lambda rng, make=make: nn.Sequential(make(rng)),
                           lambda name=name: t.Sequential(THEIRS[name]()), (5, *shape), id=name)
    yield pytest.param(reader, their_reader, (3, 2, 14, 10), id="a reader")
    yield pytest.param(lambda rng: nn.Sequential(nn.Conv2d(2, 4, 3, rng), nn.GlobalAvgPool2d(), nn.Linear(4, 3, rng)),
                       lambda: t.Sequential(t.Conv2d(2, 4, 3), THEIRS["GlobalAvgPool2d"](), t.Linear(4, 3)),
                       (3, 2, 6, 6), id="layers after a global pool")


def reader(rng):
    return nn.Sequential(nn.Conv2d(2, 4, 5, rng, padding=2, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Residual(nn.Conv2d(4, 4, 3, rng, padding=1), shortcut=nn.Conv2d(4, 4, 1, rng)),
                         nn.Flatten(), nn.Linear(4 * 7 * 5, 6, rng), nn.BatchNorm1d(6), nn.Linear(6, 10, rng))


def their_reader():
    return t.Sequential(t.Conv2d(2, 4, 5, padding=2, bias=False), t.BatchNorm2d(4), t.ReLU(), t.MaxPool2d(2),
                        Residual(t.Conv2d(4, 4, 3, padding=1), shortcut=t.Conv2d(4, 4, 1)),
                        t.Flatten(), t.Linear(4 * 7 * 5, 6), t.BatchNorm1d(6), t.Linear(6, 10))


def test_every_layer_has_a_row():
    assert set(THEIRS) == set(exported.ALONE)


def assert_same_outputs(ours, theirs, x):
    with torch.no_grad():
        np.testing.assert_allclose(ours(x).data, theirs.eval()(torch.from_numpy(x)).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("ours", "theirs", "shape"), list(networks()))
def test_a_saved_file_loads_there_strictly(ours, theirs, shape, rng, tmp_path):
    from safetensors.torch import load_file

    model, their_model = ours(rng), theirs()
    with nn.training(rng):
        for _ in range(3):
            model(rng.normal(2, 3, shape).astype(np.float32))  # running statistics that are not the first ones
    bh.save(model, tmp_path / "model.safetensors")
    their_model.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    assert_same_outputs(model, their_model, rng.standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize(("ours", "theirs", "shape"), list(networks()))
def test_weights_saved_there_load_here_strictly(ours, theirs, shape, rng, tmp_path):
    from safetensors.torch import save_file

    model, their_model = ours(rng), theirs().train()
    for _ in range(3):
        their_model(torch.from_numpy(rng.normal(2, 3, shape).astype(np.float32)))
    save_file(their_model.state_dict(), tmp_path / "theirs.safetensors")
    load_weights(model, tmp_path / "theirs.safetensors")
    assert all(counter == 3 for name, counter in model.state_dict().items() if name.endswith("num_batches_tracked"))
    assert_same_outputs(model, their_model, rng.standard_normal(shape).astype(np.float32))


# --- weights alone ----------------------------------------------------------------------------------------------------


def test_weights_alone_are_no_model(rng, tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "theirs.safetensors"
    save_file(their_reader().state_dict(), path)
    with pytest.raises(ModelFileError, match=r"no byhand network: .* with bh\.files\.load_weights\(model, path\)"):
        bh.load(path)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_the_networks_own(half, rng, tmp_path):
    from safetensors.torch import save_file

    model, theirs = nn.Sequential(nn.Linear(3, 2, rng)), t.Sequential(t.Linear(3, 2)).to(half)
    save_file(theirs.state_dict(), tmp_path / "half.safetensors")
    load_weights(model, tmp_path / "half.safetensors")
    assert model[0].weight.dtype == np.float32
    np.testing.assert_array_equal(model[0].weight.data, theirs[0].weight.detach().float().numpy())


def test_every_bfloat16_is_read_and_whatever_lies_beside_it(tmp_path):
    from byhand.files.tensors import read_tensors
    from safetensors.torch import save_file

    every = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    save_file({"a": torch.ones(3), "every": every.reshape(2, -1), "nothing": torch.ones(0, 3).bfloat16(),
               "one": torch.tensor(1.5).bfloat16(), "z": torch.arange(5)}, tmp_path / "half")
    _, found = read_tensors(tmp_path / "half")
    np.testing.assert_array_equal(found["every"], every.float().numpy().reshape(2, -1))
    assert found["every"].dtype == np.float32 and found["nothing"].shape == (0, 3)
    assert found["one"].shape == () and found["one"] == 1.5
    assert found["a"].tolist() == [1, 1, 1] and found["z"].tolist() == [0, 1, 2, 3, 4]


# --- pickles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False], ids=["as today", "as before PyTorch 1.6"])
def test_a_pickle_is_refused_and_the_two_lines_make_safetensors_of_it(zipped, rng, tmp_path, here):
    theirs, model = their_reader(), reader(rng)
    path = tmp_path / "model.pt"
    torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=zipped)
    for refusing in (lambda: bh.load(path), lambda: load_weights(model, path)):
        with pytest.raises(ModelFileError, match=r"is a pickle, as torch\.save writes, which can run code") as error:
            refusing()
    code, out, err = here("evaluate", path)
    assert (code, out) == (1, "") and "is a pickle" in err and err.count("\n") == 1
    first, second, _ = lines_in(str(error.value))
    follow([first, second])
    load_weights(model, tmp_path / "model-weights.safetensors")
    assert_same_outputs(model, theirs, rng.standard_normal((3, 2, 14, 10)).astype(np.float32))


def lines_in(sentence):
    """The lines that it says to run."""
    return re.search(r"into safetensors: (.*)\.$", sentence)[1].split("; ")


def follow(lines):
    import safetensors.torch

    assert len(lines) == 2
    exec("\n".join(lines), {"torch": torch, "safetensors": safetensors})


@pytest.mark.parametrize("zipped", [True, False], ids=["as today", "as before PyTorch 1.6"])
def test_of_a_whole_module_the_lines_make_safetensors_as_the_sentence_says(zipped, rng, tmp_path):
    theirs = t.Sequential(t.Linear(6, 4), t.BatchNorm1d(4))
    model = nn.Sequential(nn.Linear(6, 4, rng), nn.BatchNorm1d(4))
    torch.save(theirs, tmp_path / "model.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelFileError, match=r"is a pickle, as torch\.save writes, which can run code") as error:
        bh.load(tmp_path / "model.pt")
    first, second, hint = lines_in(str(error.value))
    assert hint.endswith("or weights_only=False and state.state_dict() of a whole module")
    follow([first.replace("weights_only=True", "weights_only=False"), second.replace("state,", "state.state_dict(),")])
    load_weights(model, tmp_path / "model-weights.safetensors")
    assert_same_outputs(model, theirs, rng.standard_normal((3, 6)).astype(np.float32))


def test_of_a_checkpoint_they_make_its_weights_and_never_write_over_it(rng, tmp_path):
    theirs, model = t.Sequential(t.Linear(6, 4)), nn.Sequential(nn.Linear(6, 4, rng))
    path = tmp_path / "model.pt"
    torch.save({"model": theirs.state_dict(), "epoch": 3}, path)
    with pytest.raises(ModelFileError, match=r"is a pickle, as torch\.save writes") as error:
        bh.load(path)
    first, second, hint = lines_in(str(error.value))
    assert hint.startswith("with state['model'] if the weights are there")
    follow([first, second.replace("state,", "state['model'],")])
    load_weights(model, tmp_path / "model-weights.safetensors")
    assert_same_outputs(model, theirs, rng.standard_normal((3, 6)).astype(np.float32))
    path = path.rename(tmp_path / "model.safetensors")  # a name that says something else
    with pytest.raises(ModelFileError, match=r"save_file\(state, '.*model-weights\.safetensors'\)"):
        bh.load(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("how", ["script", "trace"])
@pytest.mark.parametrize("layers", [0, 300])
def test_torchscript_is_refused_and_the_two_lines_make_safetensors_of_it(layers, how, rng, tmp_path):
    theirs = t.Sequential(t.Linear(6, 6), t.ReLU(), *[t.Linear(6, 6) for _ in range(layers)])
    model = nn.Sequential(nn.Linear(6, 6, rng), nn.ReLU(), *[nn.Linear(6, 6, rng) for _ in range(layers)])
    program = torch.jit.script(theirs) if how == "script" else torch.jit.trace(theirs, torch.ones(2, 6))
    torch.jit.save(program, tmp_path / "model.pt")
    for refusing in (lambda: bh.load(tmp_path / "model.pt"), lambda: load_weights(model, tmp_path / "model.pt")):
        with pytest.raises(ModelFileError, match=r"is a program, as torch\.jit\.save writes; if you trust it") as error:
            refusing()
    follow(lines_in(str(error.value)))
    load_weights(model, tmp_path / "model-weights.safetensors")
    assert_same_outputs(model, theirs, rng.standard_normal((3, 6)).astype(np.float32))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_module_without_numbers_is_torchscript_too(tmp_path):
    program = torch.jit.script(t.ReLU())
    torch.jit.save(program, tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match=r"is a program, as torch\.jit\.save writes"):
        bh.load(tmp_path / "model.pt")
