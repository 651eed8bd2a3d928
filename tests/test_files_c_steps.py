"""A network as steps in C: batch norms that are done beforehand, and the memory that the steps share."""

import exported
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byhand import nn
from byhand.files.c.program import program_of
from byhand.files.folding import without_batch_norm

# --- batch norms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in exported.NETWORKS
                                  if {"BatchNorm1d", "BatchNorm2d"} & exported.layers_of(exported.network(name))])
def test_folding_changes_nothing_but_the_layers(name):
    network, inputs = exported.network(name), exported.samples(name)
    folded = without_batch_norm(network)
    np.testing.assert_allclose(folded(inputs).data, network(inputs).data, rtol=1e-5, atol=1e-5)
    before, after = (sum(type(part).__name__.startswith("BatchNorm") for _, part in net.named_modules())
                     for net in (network, folded))
    left = dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "features", "norm after a pool", "norm of a shared value",
                          "pools", "settings that are whole numbers"), 1)
    assert after == left.get(name, 0) < before + (name in left)


def test_folding_leaves_the_network_itself_alone():
    network = exported.network("features")
    before = network.state_dict()
    without_batch_norm(network)
    assert all(np.array_equal(before[key], value) for key, value in network.state_dict().items())


# --- memory -----------------------------------------------------------------------------------------------------------


def test_a_network_in_a_row_needs_two_buffers():
    layers = [layer for _ in range(10) for layer in (nn.Linear(6, 6, np.random.default_rng(0)), nn.ReLU())]
    assert program_of(nn.Sequential(*layers), (6,), None).buffers == {"buffer_0": 6, "buffer_1": 6}


def test_what_shrinks_shrinks_in_place():
    program = program_of(exported.network("convolution"), exported.PICTURE, None)
    assert program.buffers == {"buffer_0": 64, "buffer_1": 216}


parts = st.recursive(
    st.sampled_from(["relu", "linear", "flatten"]).map(lambda name: (name,)),
    lambda inner: st.tuples(st.sampled_from(["sequential", "residual", "around"]), st.lists(inner, max_size=4)),
    max_leaves=20)


def module_of(part):
    rng = np.random.default_rng(0)
    if part[0] in ("relu", "linear", "flatten"):
        return {"relu": nn.ReLU(), "linear": nn.Linear(3, 3, rng), "flatten": nn.Flatten()}[part[0]]
    inner = [module_of(p) for p in part[1]]
    if part[0] == "sequential":
        return nn.Sequential(*inner)
    return nn.Residual(*inner[1:], shortcut=inner[0] if inner and part[0] == "around" else None)


@given(st.lists(parts, max_size=5))
def test_nothing_is_written_over_that_is_still_to_be_read(some):
    """Goes through the steps and remembers what each buffer holds."""
    program = program_of(nn.Sequential(*map(module_of, some)), (3,), None)
    holds = {program.input.memory.buffer: program.input.memory}
    for step in program.steps:
        assert all(holds[memory.buffer] is memory for memory in step.reads)
        assert step.in_place or step.writes.buffer not in {memory.buffer for memory in step.reads}
        holds[step.writes.buffer] = step.writes
    assert holds["logits"] is program.output.memory and program.input.memory.buffer != "logits"
