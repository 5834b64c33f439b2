"""Which losses find the KL-regularised optimum p_ref exp(r / beta), and which documented ones do not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from closed_form import bandit, draw, trained
from torch import Tensor

from agents import losses
from agents.losses.advantages import GroupBaseline, Normalisation
from agents.losses.kl import Estimator, Placement

BANDIT = bandit()
GROUPS, K = 32, 8


def policy_gradient(
    baseline: GroupBaseline, normalisation: Normalisation, placement: Placement, estimator: Estimator
) -> Callable[[Tensor], Tensor]:
    """The loss of groups of drawn answers."""
    generator = torch.Generator().manual_seed(0)

    def loss(log_probs: Tensor) -> Tensor:
        drawn = draw(log_probs, GROUPS, K, generator)
        reward, log_prob, reference = (drawn.of(one) for one in (BANDIT.reward, log_probs, BANDIT.reference))
        price = torch.zeros(())
        if placement == "reward":
            reward = reward - BANDIT.beta * losses.KL_ESTIMATORS[estimator](log_prob, reference).detach()
        elif estimator == "exact":
            price = BANDIT.beta * losses.exact_kl(log_probs, BANDIT.reference).mean()
        else:
            price = BANDIT.beta * losses.KL_ESTIMATORS[estimator](log_prob, reference).mean()
        advantage = losses.normalise(losses.GROUP_BASELINES[baseline](reward), reward, normalisation)
        return losses.policy_gradient_loss(log_prob, advantage) + price

    return loss


def ppo(epochs: int = 4) -> Callable[[Tensor], Tensor]:
    """The clipped loss, several times on the same answers, with the KL in the reward."""
    generator = torch.Generator().manual_seed(0)
    calls, kept = 0, None

    def loss(log_probs: Tensor) -> Tensor:
        nonlocal calls, kept
        if kept is None or calls % epochs == 0:
            drawn = draw(log_probs, GROUPS, K, generator)
            old = drawn.of(log_probs).detach()
            price = BANDIT.beta * losses.k1(old, drawn.of(BANDIT.reference))
            reward = drawn.of(BANDIT.reward) - price
            kept = drawn, old, losses.leave_one_out(reward)
        calls += 1
        drawn, old, advantage = kept
        return losses.aggregate(losses.clipped_loss(drawn.of(log_probs), old, advantage), how="token_mean")

    return loss


def expected_reward() -> Callable[[Tensor], Tensor]:
    """All answers at once, without draws."""
    return lambda log_probs: (
        losses.expected_reward_loss(log_probs, BANDIT.reward).mean()
        + BANDIT.beta * losses.exact_kl(log_probs, BANDIT.reference).mean()
    )


def preferences(name: str, labels: str = "soft", **settings: float) -> Callable[[Tensor], Tensor]:
    """All pairs of answers.

    Labels are the chances of a Bradley-Terry annotator ("soft"), the same with one label in five flipped
    ("flipped"), or always the answer of larger reward ("hard").
    """
    first, second = torch.triu_indices(8, 8, offset=1)
    lead = BANDIT.reward[:, first] - BANDIT.reward[:, second]
    soft = lead.sigmoid()
    target = {"soft": soft, "flipped": 0.8 * soft + 0.2 * (1 - soft), "hard": (lead > 0).float()}[labels]

    def loss(log_probs: Tensor) -> Tensor:
        ratio = log_probs - BANDIT.reference
        difference = ratio[:, first] - ratio[:, second]
        return losses.preference_loss(name, difference, target, BANDIT.beta, **settings).mean()

    return loss


PG = policy_gradient
RIGHT: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
    "RLOO, k1 in the reward": partial(PG, "leave_one_out", "none", "reward", "k1"),
    "mean baseline, k1 in the reward": partial(PG, "mean", "none", "reward", "k1"),
    "RLOO, exact KL in the loss": partial(PG, "leave_one_out", "none", "loss", "exact"),
    "RLOO, k2 in the loss": partial(PG, "leave_one_out", "none", "loss", "k2"),
    "RLOO, straight-through k3 in the loss": partial(PG, "leave_one_out", "none", "loss", "k3+"),
    "GRPO std, k1 in the reward": partial(PG, "mean", "std", "reward", "k1"),
    "PPO, k1 in the reward": ppo,
    "expected reward, exact KL": expected_reward,
    "DPO, soft labels": partial(preferences, "dpo"),
    "robust DPO, 20 % flips": partial(preferences, "robust_dpo", "flipped", smoothing=0.2),
}
WRONG: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
    "RLOO, k3 in the loss": partial(PG, "leave_one_out", "none", "loss", "k3"),
    "RLOO, k1 in the loss": partial(PG, "leave_one_out", "none", "loss", "k1"),
    "RLOO, k2 in the reward": partial(PG, "leave_one_out", "none", "reward", "k2"),
    "GRPO std, k3 in the loss": partial(PG, "mean", "std", "loss", "k3"),
    "GRPO std, k2 in the loss": partial(PG, "mean", "std", "loss", "k2"),
    "DPO, hard labels": partial(preferences, "dpo", "hard"),
    "DPO, 20 % flips": partial(preferences, "dpo", "flipped"),
}


def found(loss: Callable[[Tensor], Tensor]) -> float:
    """KL(p* || p) after the training."""
    return BANDIT.divergence(trained(BANDIT.reference, loss))


@pytest.mark.parametrize("name", RIGHT)
def test_right_losses_find_the_optimum(name: str) -> None:
    assert BANDIT.divergence(BANDIT.reference) > 0.5
    assert found(RIGHT[name]()) < 0.005


@pytest.mark.parametrize("name", WRONG)
def test_documented_wrong_ones_do_not(name: str) -> None:
    assert found(WRONG[name]()) > 0.1
