"""Losses of preferences: formulas of TRL and OpenRLHF, symmetry, gradients far out, flipped labels, KTO."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from agents.losses import (
    PREFERENCE_LOSSES,
    cdpo,
    dpo,
    ipo,
    kto,
    log_ratio_difference,
    preference_loss,
    robust_dpo,
)

FAR = torch.tensor([-1e4, -50.0, -1.0, 0.0, 1.0, 50.0, 1e4])
BETA, E = 0.3, 0.1


def trl(name: str, h: Tensor) -> Tensor:
    """``dpo_trainer.py``: loss types sigmoid (with and without smoothing), robust, ipo and hinge."""
    match name:
        case "dpo":
            return -logsigmoid(BETA * h)
        case "cdpo":
            return -logsigmoid(BETA * h) * (1 - E) - logsigmoid(-BETA * h) * E
        case "robust_dpo":
            return (-logsigmoid(BETA * h) * (1 - E) + logsigmoid(-BETA * h) * E) / (1 - 2 * E)
        case "ipo":
            return (h - 1 / (2 * BETA)) ** 2
    return torch.relu(1 - BETA * h)


@pytest.mark.parametrize("name", PREFERENCE_LOSSES)
def test_formulas_of_trl_and_openrlhf(name: str) -> None:
    h = 4 * torch.randn(50, dtype=torch.float64)
    torch.testing.assert_close(preference_loss(name, h, beta=BETA), trl(name, h))


@pytest.mark.parametrize("name", PREFERENCE_LOSSES)
def test_soft_labels_are_mixtures_and_exchange_changes_nothing(name: str) -> None:
    h, p = torch.randn(2, 50, dtype=torch.float64)
    p = p.sigmoid()
    mixture = p * trl(name, h) + (1 - p) * trl(name, -h)
    torch.testing.assert_close(preference_loss(name, h, p, BETA), mixture)
    torch.testing.assert_close(preference_loss(name, -h, 1 - p, BETA), mixture)


@pytest.mark.parametrize("name", PREFERENCE_LOSSES)
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_losses_and_gradients_are_finite_at_any_difference(name: str, target: float) -> None:
    h = FAR.clone().requires_grad_()
    loss = preference_loss(name, h, target)
    assert loss.isfinite().all()
    assert torch.autograd.grad(loss.sum(), h)[0].isfinite().all()


@pytest.mark.parametrize("name", PREFERENCE_LOSSES)
def test_a_tie_at_the_reference_has_no_gradient(name: str) -> None:
    h = torch.zeros(1, requires_grad=True)
    assert torch.autograd.grad(preference_loss(name, h, 0.5).sum(), h)[0].abs() < 1e-6


@pytest.mark.parametrize(
    ("name", "contradicted", "agreed"),
    [
        ("dpo", -1.0, 0.0),
        ("cdpo", -(1 - E), E),
        ("robust_dpo", -(1 - E) / (1 - 2 * E), -E / (1 - 2 * E)),
        ("hinge", -1.0, 0.0),
        ("ipo", -torch.inf, torch.inf),
    ],
)
def test_gradients_far_out(name: str, contradicted: float, agreed: float) -> None:
    """Over beta, with a hard label. None re-descends where the policy contradicts a label, so one wrong label
    is never given up; cDPO and IPO come back where it agrees too much, robust DPO goes on."""
    h = torch.tensor([-1e6, 1e6], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(preference_loss(name, h, beta=1.0).sum(), h)
    expected = torch.tensor([contradicted, agreed], dtype=torch.float64)
    torch.testing.assert_close(gradient.clamp(-1e3, 1e3), expected.clamp(-1e3, 1e3))


@pytest.mark.parametrize(
    ("name", "goal"), [("cdpo", float(torch.tensor((1 - E) / E).log()) / BETA), ("ipo", 1 / (2 * BETA))]
)
def test_hard_labels_have_a_finite_goal(name: str, goal: float) -> None:
    h = torch.tensor([goal], requires_grad=True)
    (gradient,) = torch.autograd.grad(preference_loss(name, h, beta=BETA).sum(), h)
    assert gradient.abs() < 1e-6


@pytest.mark.parametrize("e", [0.0, 0.1, 0.4])
def test_robust_dpo_is_dpo_on_the_true_labels_when_the_share_e_is_flipped(e: float) -> None:
    h = torch.randn(50, dtype=torch.float64)
    flipped = (1 - e) * robust_dpo(h, 1.0, BETA, e) + e * robust_dpo(h, 0.0, BETA, e)
    torch.testing.assert_close(flipped, dpo(h, 1.0, BETA))


def test_cdpo_is_dpo_with_smoothed_labels() -> None:
    h = torch.randn(50, dtype=torch.float64)
    torch.testing.assert_close(cdpo(h, 1.0, BETA, 0.2), dpo(h, 0.8, BETA))


def test_the_difference_is_that_of_summed_log_ratios() -> None:
    first, second, reference_first, reference_second = torch.randn(4, 6)
    expected = (first - second) - (reference_first - reference_second)
    found = log_ratio_difference(first, second, reference_first, reference_second)
    torch.testing.assert_close(found, expected)
    assert not log_ratio_difference(first, second, first, second).any()


@pytest.mark.parametrize("mean", [0.7, -0.7])
def test_kto_is_the_formula_of_trl_and_openrlhf(mean: float) -> None:
    ratio, mismatched = torch.randn(2, 8, dtype=torch.float64)
    mismatched = mismatched - mismatched.mean() + mean
    good = torch.arange(8) % 3 > 0
    kl = mismatched.mean().clamp(min=0)
    chosen = 1 - torch.sigmoid(BETA * (ratio[good] - kl))
    rejected = 1 - torch.sigmoid(BETA * (kl - ratio[~good]))
    found = kto(ratio, good, mismatched, BETA, 1.5, 0.5)
    torch.testing.assert_close(found[good], 1.5 * chosen)
    torch.testing.assert_close(found[~good], 0.5 * rejected)


def test_kto_gives_up_what_is_far_out_and_z_has_no_gradient() -> None:
    """Unlike losses of pairs its gradient re-descends on both sides."""
    ratio = torch.tensor([-1e3, 0.0, 1e3], requires_grad=True)
    mismatched = torch.ones(3, requires_grad=True)
    loss = kto(ratio, torch.ones(3).bool(), mismatched)
    (gradient,) = torch.autograd.grad(loss.sum(), ratio)
    assert gradient[1] < -0.02
    assert gradient[[0, 2]].abs().max() < 1e-6
    assert torch.autograd.grad(
        kto(ratio, torch.ones(3), mismatched).sum(), mismatched, allow_unused=True
    ) == (None,)


def test_kto_takes_soft_labels() -> None:
    ratio, mismatched = torch.randn(2, 6)
    ends = [kto(ratio, torch.full((6,), p), mismatched) for p in (0.0, 0.3, 1.0)]
    torch.testing.assert_close(ends[1], 0.7 * ends[0] + 0.3 * ends[2])


@pytest.mark.parametrize("name", PREFERENCE_LOSSES)
def test_a_batch_of_eight_is_eight_batches_of_one(name: str) -> None:
    h, p = torch.randn(8), torch.rand(8)
    alone = torch.cat([preference_loss(name, h[i : i + 1], p[i : i + 1]) for i in range(8)])
    torch.testing.assert_close(preference_loss(name, h, p), alone)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda h: preference_loss("sigmoid", h), "loss='sigmoid' is not one of dpo, cdpo, robust_dpo"),
        (lambda h: preference_loss("dpo", h, smoothing=0.1), "loss 'dpo' has no argument 'smoothing'"),
        (lambda h: robust_dpo(h, smoothing=0.5), "smoothing=0.5 is not within 0 to 0.5"),
        (lambda h: cdpo(h, smoothing=-0.1), "smoothing=-0.1 is not within 0 to 0.5"),
        (lambda h: dpo(h, beta=0.0), "beta=0.0 is not above 0"),
        (lambda h: ipo(h, beta=-1.0), "beta=-1.0 is not above 0"),
        (lambda h: kto(h, h, h), "answers=1 is below 2: z is estimated from answers to other contexts"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[Tensor], Tensor], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call(torch.zeros(1))
