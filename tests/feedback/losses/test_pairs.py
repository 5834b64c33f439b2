"""Losses of pairs against closed forms, torch and choix; finite at any difference."""

from __future__ import annotations

from collections.abc import Callable

import choix
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from feedback.losses import pairs as losses
from feedback.preferences import FIRST, SECOND, SKIP, TIE

FAR = torch.tensor([-1e4, -50.0, -1.0, 0.0, 1.0, 50.0, 1e4])
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bradley_terry": losses.bradley_terry,
    "margin": lambda d, p: losses.bradley_terry_with_margin(d, p, 0.5),
    "label_smoothing": lambda d, p: losses.label_smoothing(d, p, 0.1),
    "noise_mix": lambda d, p: losses.noise_mix(d, p, 0.1),
    "noise_mix without noise": lambda d, p: losses.noise_mix(d, p, 0.0),
    "reliability": lambda d, p: losses.reliability(d, p, torch.tensor(0.7)),
    "reliability, adversary": lambda d, p: losses.reliability(d, p, torch.tensor(-30.0)),
    "rao_kupper": lambda d, p: losses.rao_kupper(d, (2 * (p == 0.5) + (p == 0)).long(), 0.3),
    "davidson": lambda d, p: losses.davidson(d, (2 * (p == 0.5) + (p == 0)).long(), -1.0),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("target", [0.0, 0.5, 1.0])
def test_losses_and_gradients_are_finite_at_any_difference(name: str, target: float) -> None:
    difference = FAR.clone().requires_grad_()
    loss = LOSSES[name](difference, torch.full_like(FAR, target))
    (gradient,) = torch.autograd.grad(loss.sum(), difference)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gradient).all()
    assert (loss >= 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_exchanging_the_answers_changes_nothing(name: str) -> None:
    difference, target = torch.randn(50), torch.randint(3, (50,)) / 2
    torch.testing.assert_close(LOSSES[name](difference, target), LOSSES[name](-difference, 1 - target))


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in ("margin", "label_smoothing")])
def test_chances_add_up_to_one(name: str) -> None:
    outcomes = 3 if name in ("rao_kupper", "davidson") else 2
    difference = torch.linspace(-6, 6, 25, dtype=torch.float64)
    chances = [torch.exp(-LOSSES[name](difference, torch.full_like(difference, p))) for p in (1.0, 0.0, 0.5)]
    torch.testing.assert_close(sum(chances[:outcomes]), torch.ones_like(difference), atol=1e-6, rtol=0)


def test_bradley_terry_is_binary_cross_entropy_with_soft_targets() -> None:
    d, p = torch.randn(20, dtype=torch.float64), torch.rand(20, dtype=torch.float64)
    first = d.exp() / (1 + d.exp())
    torch.testing.assert_close(losses.bradley_terry(d, p), -(p * first.log() + (1 - p) * (1 - first).log()))


def test_margin_is_that_of_trl() -> None:
    """``-logsigmoid(chosen - rejected - margin)``, for pairs whose first answer was chosen."""
    d, margin = torch.randn(20), torch.rand(20)
    expected = -functional.logsigmoid(d - margin)
    torch.testing.assert_close(losses.bradley_terry_with_margin(d, torch.ones(20), margin), expected)


def test_noise_mix_is_the_formula_of_imitation() -> None:
    d, p = torch.randn(20, dtype=torch.float64), torch.randint(2, (20,)).double()
    probability = 0.3 * 0.5 + 0.7 * d.sigmoid()
    expected = functional.binary_cross_entropy(probability, p, reduction="none")
    torch.testing.assert_close(losses.noise_mix(d, p, 0.3), expected)


@pytest.mark.parametrize(("name", "gradient"), [("noise_mix", 0.0), ("label_smoothing", 0.9)])
def test_the_gradient_of_a_grossly_contradicted_label(name: str, gradient: float) -> None:
    """Noise mix gives it up, label smoothing never does: they are different losses."""
    difference = torch.tensor([-1e4], requires_grad=True)
    LOSSES[name](difference, torch.ones(1)).backward()
    assert difference.grad is not None
    assert difference.grad.item() == pytest.approx(-gradient, abs=1e-6)


def test_noise_mix_is_reliability_of_one_and_the_same_annotator() -> None:
    d, p, eta = torch.randn(30), torch.randint(2, (30,)).float(), 0.3
    logit = torch.tensor(1 - eta / 2).logit()
    torch.testing.assert_close(losses.noise_mix(d, p, eta), losses.reliability(d, p, logit))


def test_reliability_turns_adversaries_round() -> None:
    d, p, logit = torch.randn(30), torch.rand(30), torch.randn(30)
    torch.testing.assert_close(losses.reliability(d, p, logit), losses.reliability(-d, p, -logit))


def test_rao_kupper_is_the_formula_of_the_paper() -> None:
    first, second = torch.randn(2, 20, dtype=torch.float64).exp()
    theta = 1.7
    won, lost = first / (first + theta * second), second / (second + theta * first)
    choice, d = torch.arange(20) % 3, (first / second).log()
    expected = torch.stack([won, lost, 1 - won - lost])[choice, torch.arange(20)]
    found = torch.exp(-losses.rao_kupper(d, choice, float(np.log(theta))))
    torch.testing.assert_close(found, expected)


def test_davidson_is_the_formula_of_the_paper() -> None:
    first, second = torch.randn(2, 20, dtype=torch.float64).exp()
    nu = 0.6
    tie = nu * (first * second).sqrt()
    choice = torch.arange(20) % 3
    expected = torch.stack([first, second, tie])[choice, torch.arange(20)] / (first + second + tie)
    found = torch.exp(-losses.davidson((first / second).log(), choice, float(np.log(nu))))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["rao_kupper", "davidson"])
def test_ties_become_rare_with_the_difference_and_a_skip_costs_nothing(name: str) -> None:
    d = torch.tensor([0.0, 1.0, 5.0])
    loss = getattr(losses, name)
    assert (loss(d, torch.full((3,), TIE), 0.5).diff() > 0).all()
    assert loss(d, torch.full((3,), SKIP), 0.5).tolist() == [0, 0, 0]


def test_the_best_scores_are_those_of_choix() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=8)
    pairs = [tuple(generator.permutation(8)[:2].tolist()) for _ in range(2000)]
    won = [(i, j) if generator.random() < 1 / (1 + np.exp(truth[j] - truth[i])) else (j, i) for i, j in pairs]
    expected = choix.opt_pairwise(8, won)
    first, second = torch.tensor(won).unbind(1)

    def loss(scores: Tensor) -> Tensor:
        return losses.bradley_terry(scores[first] - scores[second], torch.ones(2000).double()).sum()

    found = minimised(loss, 8)
    np.testing.assert_allclose(found - found.mean(), expected - expected.mean(), atol=1e-4)


def minimised(loss: Callable[[Tensor], Tensor], size: int) -> np.ndarray:
    scores = torch.zeros(size, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([scores], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        value = loss(scores)
        value.backward()
        return float(value)

    optimizer.step(closure)
    return scores.detach().numpy()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda d: losses.label_smoothing(d, d, 0.6), "epsilon=0.6 is not within 0 to 0.5"),
        (lambda d: losses.noise_mix(d, d, 1.0), "eta=1.0 is not within 0 to 1"),
        (lambda d: losses.pair_loss("hinge", d, d, 1.0), "loss='hinge' is not one of bradley_terry, margin"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[Tensor], Tensor], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call(torch.zeros(1))


def test_choices_are_numbered_as_targets_expect() -> None:
    assert (FIRST, SECOND, TIE, SKIP) == (0, 1, 2, 3)
