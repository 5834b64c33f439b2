"""Controllers of the price of the KL: published update rules, the target, and exact resume through JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from agents.losses import KL_CONTROLLERS, FixedKL, RL4LMsKL, ZieglerKL, make_kl_controller

SETTINGS: dict[str, dict[str, Any]] = {
    "fixed": {},
    "ziegler": {"target": 2.0, "horizon": 1000},
    "rl4lms": {"target": 2.0},
}


@pytest.mark.parametrize("kl", [0.0, 1.5, 1.9, 2.0, 2.1, 2.5, 80.0, -1.0])
def test_update_rules(kl: float) -> None:
    """OpenRLHF and verl; RL4LMs."""
    ziegler, rl4lms = ZieglerKL(0.1, 2.0, 1000), RL4LMsKL(0.1, 2.0)
    for controller in (ziegler, rl4lms):
        controller.update(kl, 64)
    error = np.clip(kl / 2.0 - 1, -0.2, 0.2)
    assert ziegler.value == pytest.approx(0.1 * (1 + error * 64 / 1000))
    assert rl4lms.value == pytest.approx(0.1 * (1 + 0.1 * error))


@pytest.mark.parametrize("name", ["ziegler", "rl4lms"])
def test_the_kl_comes_to_its_target(name: str) -> None:
    """A policy whose KL is 1 / price."""
    controller = make_kl_controller(name, 5.0, **SETTINGS[name])
    for _ in range(800):
        controller.update(1 / controller.value, 64)
    assert 1 / controller.value == pytest.approx(2.0, rel=0.01)


def test_a_fixed_price_stays() -> None:
    controller = FixedKL(0.05)
    controller.update(1e9, 64)
    assert controller.value == 0.05


@pytest.mark.parametrize("name", KL_CONTROLLERS)
def test_a_checkpoint_holds_the_price(name: str) -> None:
    one, other = (make_kl_controller(name, value, **SETTINGS[name]) for value in (0.1, 7.0))
    one.update(3.0, 64)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert other.value == one.value
    for controller in (one, other):
        controller.update(0.3, 64)
    assert other == one


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("pid", {}, "controller='pid' is not one of fixed, ziegler, rl4lms"),
        ("fixed", {"target": 1.0}, "controller 'fixed' has no argument 'target'"),
        ("ziegler", {"target": 0.0}, "target=0.0 is not above 0: give the KL to hold"),
        ("ziegler", {"target": 1.0, "horizon": 0}, "horizon=0 is below 1"),
        ("rl4lms", {"value": -0.1, "target": 1.0}, "value=-0.1 is below 0: the price"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, settings: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make_kl_controller(name, **{"value": 0.1, **settings})


@pytest.mark.parametrize("kl", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", KL_CONTROLLERS)
def test_a_kl_that_is_not_finite_is_refused(name: str, kl: float) -> None:
    controller = make_kl_controller(name, 0.1, **SETTINGS[name])
    with pytest.raises(ValueError, match="is not finite: look at the log-probabilities"):
        controller.update(kl, 64)
    assert controller.value == 0.1


def test_an_update_longer_than_the_horizon_is_refused() -> None:
    with pytest.raises(ValueError, match=r"horizon=10 is below 12\.8: make it longer"):
        ZieglerKL(0.1, 2.0, 10).update(0.0, 64)
