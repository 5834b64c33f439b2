"""Advantages of answers over other answers to the same context: baselines and normalisation.

Groups are rows: rewards are (m, k) of k answers to each of m contexts, or (m, k, parts) of dense credit,
where a part is compared with the same part of the other answers (``agents.losses.returns.dense_returns``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from torch import Tensor

from mm_envs.names import at_least, check_one_of

Normalisation: TypeAlias = Literal["none", "std", "mean"]
"""How advantages are scaled by the rewards of their group; see ``normalise``."""

_GRPO_EPSILON = 1e-4


def leave_one_out(rewards: Tensor) -> Tensor:
    """The advantage of each answer over the mean of the other answers to the same context.

    ``A_i = r_i - sum over j != i of r_j / (k - 1)`` (Kool, van Hoof and Welling, "Buy 4 REINFORCE samples,
    get a baseline for free", 2019; as RLOO: Ahmadian et al., 2024, arXiv 2402.14740). The baseline does not
    depend on the answer, so the gradient is unbiased.

    Args:
        rewards: (m, k) or (m, k, parts) float.

    Returns:
        Advantages of the same shape.

    Raises:
        ValueError: k is below 2.

    Example:
        >>> import torch
        >>> leave_one_out(torch.tensor([[1.0, 0.0, 0.5]]))
        tensor([[ 0.7500, -0.7500,  0.0000]])
    """
    k = rewards.shape[1]
    return over_mean(rewards) * (k / (k - 1))


def over_mean(rewards: Tensor) -> Tensor:
    """The advantage of each answer over the mean of its group, itself included.

    ``A_i = r_i - mean(r)`` (Shao et al., "DeepSeekMath", 2024, arXiv 2402.03300, without the division by the
    standard deviation). It is (k - 1) / k times ``leave_one_out``: the direction of the gradient is unbiased.

    Args:
        rewards: (m, k) or (m, k, parts) float.

    Returns:
        Advantages of the same shape.

    Raises:
        ValueError: k is below 2.

    Example:
        >>> import torch
        >>> over_mean(torch.tensor([[1.0, 0.0, 0.5]]))
        tensor([[ 0.5000, -0.5000,  0.0000]])
    """
    at_least("answers", rewards.shape[1], 2, "an advantage needs another answer to compare with")
    return rewards - rewards.mean(1, keepdim=True)


def against_baseline(reward: Tensor, baseline: Tensor) -> Tensor:
    """The advantage over a baseline that does not depend on the answer, without gradient.

    ``A = r - b`` (Williams, 1992). With the reward of the greedy answer as b it is self-critical training
    (Rennie et al., 2017, arXiv 1612.00563); with a learned value it is REINFORCE with a critic.

    Args:
        reward: (m, k) or (m, k, parts) float.
        baseline: Of the same number of dimensions, each of them that of ``reward`` or 1.

    Returns:
        Advantages of the shape of ``reward``.

    Raises:
        ValueError: The shapes do not fit: (m,) against (m, k) would compare with other contexts.

    Example:
        >>> import torch
        >>> against_baseline(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.25]]))
        tensor([[ 0.7500, -0.2500]])
    """
    given, fitting = tuple(baseline.shape), tuple(reward.shape)
    same = len(given) == len(fitting)
    if not same or any(one not in (1, size) for one, size in zip(given, fitting, strict=True)):
        raise ValueError(
            f"baseline of shape {given} does not fit rewards of shape {fitting}: use {fitting} or 1s"
        )
    return reward - baseline.detach()


GroupBaseline: TypeAlias = Literal["leave_one_out", "mean"]
GROUP_BASELINES: dict[GroupBaseline, Callable[[Tensor], Tensor]] = {
    "leave_one_out": leave_one_out,
    "mean": over_mean,
}


def _unscaled(rewards: Tensor) -> Tensor:
    return rewards.new_ones(len(rewards), 1)


def _by_std(rewards: Tensor) -> Tensor:
    return rewards.std(1, keepdim=True) + _GRPO_EPSILON


def _by_mean(rewards: Tensor) -> Tensor:
    # A mean below 0 counts as 0: the sign of an advantage never turns.
    return rewards.mean(1, keepdim=True).clamp(min=0) + 1 / rewards.shape[1]


NORMALISATIONS: dict[Normalisation, Callable[[Tensor], Tensor]] = {
    "none": _unscaled,
    "std": _by_std,
    "mean": _by_mean,
}


def normalise(advantages: Tensor, rewards: Tensor, how: Normalisation) -> Tensor:
    """Advantages divided by a number of their group.

    - "none": 1. The expected gradient is that of the expected reward.
    - "std": the standard deviation + 1e-4 (GRPO: Shao et al., 2024, arXiv 2402.03300), with k - 1 degrees of
      freedom as in TRL and verl. Contexts whose rewards differ little count as much as the others: the
      difficulty bias (Liu et al., "Understanding R1-Zero-like training", 2025, arXiv 2503.20783).
    - "mean": the mean + 1 / k, for rewards of at least 0. Contexts that are rarely answered well count more,
      which leads out of the plateaus of p (1 - p) with 0/1 rewards.

    The number is always that of the whole group, the answer itself included. The standard deviation of the
    *other* answers, which can be 0 where the advantage is not, cannot be chosen.

    Args:
        advantages: (m, k) or (m, k, parts) float.
        rewards: (m, k) float of whole answers; or of the shape of the advantages for dense credit, where
            every part is divided by a number of its own. The deviation of whole answers can be 0 where that
            of a part is not.
        how: "none", "std" or "mean".

    Returns:
        Advantages of the same shape.

    Raises:
        ValueError: ``how`` is not one of these, or the rewards are not one for each answer.

    Example:
        >>> import torch
        >>> rewards = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
        >>> normalise(over_mean(rewards), rewards, "std")
        tensor([[ 0.7070, -0.7070],
                [ 0.0000,  0.0000]])
    """
    check_one_of("normalisation", how, NORMALISATIONS)
    if rewards.shape not in (advantages.shape[:2], advantages.shape):
        raise ValueError(
            f"rewards of shape {tuple(rewards.shape)} do not fit advantages of shape "
            f"{tuple(advantages.shape)}: give one reward for each answer"
        )
    scale = NORMALISATIONS[how](rewards)
    return advantages / scale.view(*scale.shape, *[1] * (advantages.dim() - scale.dim()))


def share_without_signal(rewards: Tensor) -> Tensor:
    """The share of groups whose answers all have the same rewards: their advantages are 0.

    TRL logs it as ``frac_reward_zero_std``.

    Args:
        rewards: (m, k) or (m, k, parts) float.

    Returns:
        A number, () float32.

    Example:
        >>> import torch
        >>> share_without_signal(torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
        tensor(0.5000)
    """
    return (rewards == rewards[:, :1]).flatten(1).all(1).float().mean()
