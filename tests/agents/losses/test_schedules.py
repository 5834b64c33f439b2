"""Schedules: ends, monotony, torch's own, and adaptive rates that find their target."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.losses import SCHEDULES, adaptive_entropy, adaptive_rate, schedule

SHARES = [step / 100 for step in range(101)]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warm", [0.0, 0.1])
def test_schedules_rise_to_1_and_fall_to_the_last(name: str, warm: float) -> None:
    found = [schedule(name, share, warm, 0.2) for share in SHARES]
    top = round(100 * warm)
    assert found[top] == pytest.approx(1)
    assert found[0] == pytest.approx(0 if warm else 1)
    assert found[-1] == pytest.approx(1 if name == "constant" else 0.2)
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)


@settings(deadline=None)
@given(st.sampled_from([*SCHEDULES]), st.floats(-1, 2), st.floats(0, 0.99), st.floats(0, 1))
def test_factors_are_within_0_and_1(name: str, share: float, warm: float, last: float) -> None:
    assert -1e-12 <= schedule(name, share, warm, last) <= 1 + 1e-12


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [
        ("linear", lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.1, 50)),
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 50, 0.1)),
    ],
)
def test_schedules_are_those_of_torch(
    name: str, scheduler: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]
) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    theirs = scheduler(optimizer)
    for step in range(50):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(schedule(name, step / 50, last=0.1))
        optimizer.step()
        theirs.step()


def test_the_rate_halves_and_doubles_within_bounds() -> None:
    """``factor=1.5`` is rsl_rl."""
    assert adaptive_rate(1e-3, kl=0.021, target=0.01) == 5e-4
    assert adaptive_rate(1e-3, kl=0.019, target=0.01) == 1e-3
    assert adaptive_rate(1e-3, kl=0.0051, target=0.01) == 1e-3
    assert adaptive_rate(1e-3, kl=0.0049, target=0.01) == 2e-3
    assert adaptive_rate(1e-3, kl=0.0, target=0.01, factor=1.5) == pytest.approx(1.5e-3)
    assert adaptive_rate(1e-5, kl=1.0, target=0.01) == 1e-5
    assert adaptive_rate(1e-2, kl=0.0, target=0.01) == 1e-2
    assert adaptive_rate(1e-3, kl=math.nan, target=0.01) == 5e-4


@pytest.mark.parametrize("start", [1e-5, 1e-2])
def test_the_rate_finds_the_target(start: float) -> None:
    """A policy whose KL is quadratic in its rate."""
    rate = start
    for _ in range(20):
        rate = adaptive_rate(rate, kl=1e4 * rate**2, target=0.01)
    assert 0.005 <= 1e4 * rate**2 <= 0.02


@pytest.mark.parametrize("start", [1e-5, 1.0])
def test_the_entropy_finds_its_target(start: float) -> None:
    """A policy whose entropy grows with the coefficient."""
    coefficient = start
    for _ in range(500):
        coefficient = adaptive_entropy(coefficient, 3 + 0.3 * math.log(coefficient), target=1.5)
    assert 3 + 0.3 * math.log(coefficient) == pytest.approx(1.5, abs=0.01)


def test_the_coefficient_stays_within_bounds() -> None:
    assert adaptive_entropy(0.5, entropy=0.0, target=100.0) == 1.0
    assert adaptive_entropy(0.5, entropy=500.0, target=0.0) == 1e-5


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: schedule("step", 0.5), "schedule='step' is not one of constant, linear, cosine"),
        (lambda: schedule("linear", 0.5, warm=1.0), "warm=1.0 is not within 0 to 1"),
        (lambda: adaptive_rate(1e-3, 0.1, target=0.0), "target=0.0 is not above 0"),
        (
            lambda: adaptive_rate(1e-3, 0.1, 0.01, lowest=1.0),
            "highest=0.01 is below 1.0: give bounds in order",
        ),
        (lambda: adaptive_rate(1e-3, 0.1, 0.01, factor=0.5), "factor=0.5 is below 1"),
        (
            lambda: adaptive_entropy(0.1, 1.0, 1.0, lowest=0.0),
            "lowest=0.0 is not above 0: a coefficient of 0",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
