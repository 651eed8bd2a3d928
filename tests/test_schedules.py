"""Schedules: known values at known moments, and the same curves as PyTorch's where the definitions coincide."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byhand.schedules import Constant, Cosine, Exponential, OnPlateau, OneCycle, Step, WarmUp

EVERY = [Constant(), Step(0.25, 0.5), Exponential(0.01), Cosine(), Cosine(0.1), WarmUp(0.2), WarmUp(0.1, Cosine()),
         WarmUp(0, Exponential(0.5)), OneCycle(), OneCycle(0.5, 0.1, 0.0), OnPlateau()]


@pytest.mark.parametrize("schedule, expected", [
    (Constant(), {0: 1, 0.5: 1, 1: 1}),
    (Step(0.25, 0.5), {0: 1, 0.24: 1, 0.25: 0.5, 0.5: 0.25, 0.99: 0.125, 1: 0.0625}),
    (Step(0.1, 0.1), {0.3: 1e-3, 0.7: 1e-7}),  # 0.3 / 0.1 is a hair below 3 to a computer
    (Exponential(0.01), {0: 1, 0.5: 0.1, 1: 0.01}),
    (Cosine(), {0: 1, 1 / 3: 0.75, 0.5: 0.5, 1: 0}),
    (Cosine(0.1), {0: 1, 0.5: 0.55, 1: 0.1}),
    (WarmUp(0.2), {0: 0, 0.1: 0.5, 0.2: 1, 1: 1}),
    (WarmUp(0.2, start=0.5), {0: 0.5, 0.1: 0.75, 0.2: 1}),
    (WarmUp(0.2, Exponential(0.01)), {0.1: 0.5, 0.2: 1, 0.6: 0.1, 1: 0.01}),
    (WarmUp(0.0, Cosine()), {0: 1, 0.5: 0.5, 1: 0}),
    (OneCycle(0.4, start=0.1, final=0.0), {0: 0.1, 0.2: 0.55, 0.4: 1, 0.7: 0.5, 1: 0}),
])
def test_known_values(schedule, expected):
    assert {p: schedule(p) for p in expected} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
@given(progress=st.floats(0, 1))
def test_every_factor_is_a_number_from_0_to_1(schedule, progress):
    factor = schedule(progress)
    assert type(factor) is float and 0 <= factor <= 1


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
@pytest.mark.parametrize("progress", [-0.01, 1.01, math.nan, "half", None, True])
def test_progress_outside_the_training_is_refused(schedule, progress):
    with pytest.raises(ValueError, match="progress must be a number from 0 to 1, got"):
        schedule(progress)


# --- on plateau -------------------------------------------------------------------------------------------------------


def test_on_plateau_waits_then_falls_then_waits_again():
    schedule = OnPlateau(factor=0.5, patience=2, min_factor=0.2)
    assert [schedule.update(v) for v in (1.0, 0.9, 0.9, 0.95, 0.9)] == [1, 1, 1, 1, 0.5]
    assert [schedule.update(v) for v in (0.8, 0.8, 0.8, 0.8)] == [0.5, 0.5, 0.5, 0.25]
    assert [schedule.update(math.nan) for _ in range(3)] == [0.25, 0.25, 0.2]
    assert schedule(0.5) == 0.2


def test_on_plateau_goes_on_from_its_state():
    a, b = OnPlateau(patience=1), OnPlateau(patience=1)
    for value in (1.0, 1.0):
        a.update(value)
    b.load_state_dict(json.loads(json.dumps(a.state_dict())))
    assert [a.update(1.0), a.update(0.5)] == [b.update(1.0), b.update(0.5)]
    assert a == b


# --- the same as PyTorch ----------------------------------------------------------------------------------------------

T = 40  # steps


@pytest.mark.parametrize("schedule, last, name, settings", [
    (Step(0.25, 0.5), T, "StepLR", {"step_size": T // 4, "gamma": 0.5}),
    (Exponential(0.9**T), T, "ExponentialLR", {"gamma": 0.9}),
    (Cosine(0.1), T, "CosineAnnealingLR", {"T_max": T, "eta_min": 0.01}),
    (WarmUp(0.25, start=0.2), T, "LinearLR", {"start_factor": 0.2, "total_iters": T // 4}),
    # PyTorch's one cycle counts to the last step, and its peak is a step before its share of them.
    (OneCycle((0.3 * T - 1) / (T - 1)), T - 1, "OneCycleLR",
     {"max_lr": 0.1, "total_steps": T, "final_div_factor": 400, "cycle_momentum": False}),
])
def test_the_curve_is_pytorchs(schedule, last, name, settings):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    theirs = getattr(torch.optim.lr_scheduler, name)(optimizer, **settings)
    for step in range(last + 1):
        assert 0.1 * schedule(step / last) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        if step < last:
            theirs.step()


@pytest.mark.parametrize("settings", [{"patience": 0}, {"patience": 2, "factor": 0.5},
                                      {"patience": 1, "threshold": 0.1}])
def test_on_plateau_as_in_pytorch(settings):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, min_lr=1e-3, **settings)
    mine = OnPlateau(min_factor=1e-3, **settings)
    for value in (1, 0.9, 0.95, 0.85, 0.85, 0.85, 0.849999, 0.9, math.nan, 0.7, 0.7, 0.7, 0.7, 0.65, 0.6, 0.6, 0.6):
        theirs.step(value)
        assert mine.update(value) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call, says", [
    (lambda: Step(0), "every must be a number from"),
    (lambda: Step(1.5), "every must be a number from"),
    (lambda: Step(0.5, -1), "gamma must be a number of 0 or more, got -1"),
    (lambda: Step(0.5, math.inf), "gamma must be a number of 0 or more, got inf"),
    (lambda: Exponential(0), "final must be a number above 0, got 0"),
    (lambda: Exponential("0.1"), "final must be a number above 0, got '0.1'"),
    (lambda: Cosine(-0.1), "final must be a number of 0 or more"),
    (lambda: WarmUp(1.0), "fraction must be a number from 0 to 1"),
    (lambda: WarmUp(0.1, 0.5), "then must be a schedule"),
    (lambda: OneCycle(0), "peak_at must be a number from"),
    (lambda: OneCycle(final=2), "final must be a number from 0 to 1, got 2"),
    (lambda: OnPlateau(factor=1.0), "factor must be a number from 0 to 1"),
    (lambda: OnPlateau(patience=-1), "patience must be a whole number"),
    (lambda: OnPlateau(patience=1.5), "patience must be a whole number"),
    (lambda: OnPlateau().update("low"), "needs a number"),
    (lambda: OnPlateau().load_state_dict({"best": 1}), "not the state of an OnPlateau"),
])
def test_one_clear_sentence(call, says):
    with pytest.raises(ValueError, match=says) as error:
        call()
    assert str(error.value).endswith(".") and "\n" not in str(error.value)
