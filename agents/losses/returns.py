"""Credit of the parts of an answer: reward-to-go, generalised advantage estimation, standardised advantages.

``written`` is (n, T) bool: the parts that the policy wrote. What tensors hold at other parts never matters.
"""

from __future__ import annotations

import torch
from torch import Tensor


def dense_returns(scores_of_prefixes: Tensor, written: Tensor) -> Tensor:
    """The reward-to-go of each part, where a part is rewarded with the change of the score.

    ``G_t = sum over s >= t of (score_s - score_{s-1}) = score_T - score_{t-1}`` with ``score_{-1} = 0``: the
    potential-based shaping of Ng, Harada and Russell (1999), undiscounted. The first is the score of the
    whole answer.

    Args:
        scores_of_prefixes: (..., L) float, the score of the answer up to each part.
        written: (..., L) bool, the parts of the answer, which are its first ones.

    Returns:
        (..., L) float; 0 after the end.

    Example:
        >>> scores = torch.tensor([[0.25, 0.0, 1.0, 9.0]])
        >>> dense_returns(scores, torch.tensor([[True, True, True, False]]))
        tensor([[1.0000, 0.7500, 1.0000, 0.0000]])
    """
    scores = torch.where(written, scores_of_prefixes, 0)
    before = torch.cat([torch.zeros_like(scores[..., :1]), scores[..., :-1]], -1)
    change = torch.where(written, scores - before, 0)
    return torch.where(written, change.flip(-1).cumsum(-1).flip(-1), 0)


def gae(
    rewards: Tensor,
    values: Tensor,
    written: Tensor,
    truncated: Tensor | None = None,
    bootstrap: Tensor | None = None,
    gamma: float = 1.0,
    lam: float = 0.95,
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al., 2015, arXiv 1506.02438) over the parts of answers.

    ``delta_t = r_t + gamma V_{t+1} - V_t``, ``A_t = delta_t + gamma lam A_{t+1}``, returns ``A_t + V_t``.
    After the last written part the value is 0 where the episode ended by itself, and ``bootstrap`` where a
    time limit cut it off (Pardo et al., 2018, arXiv 1712.00378). Parts in between that the policy did not
    write, such as what it heard in a conversation, are passed over.

    Args:
        rewards: (n, T) float.
        values: (n, T) float, of the state before each part; without gradient here.
        written: (n, T) bool.
        truncated: (n,) bool, rows that were cut off; None for no row.
        bootstrap: (n,) float, the value of the state after the last part; used where ``truncated``.
        gamma: The discount, 0 to 1.
        lam: The lambda of the estimator: 0 is one step (little variance), 1 is Monte Carlo (no bias).

    Returns:
        Advantages and returns, (n, T) float each; 0 where nothing was written.

    Raises:
        ValueError: ``truncated`` without ``bootstrap``, or the other way round.

    Example:
        >>> rewards, written = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[True, True, False]])
        >>> advantages, returns = gae(rewards, torch.tensor([[0.5, 0.5, 7.0]]), written, lam=1.0)
        >>> advantages, returns
        (tensor([[0.5000, 0.5000, 0.0000]]), tensor([[1., 1., 0.]]))
    """
    if (truncated is None) != (bootstrap is None):
        given, missing = ("truncated", "bootstrap") if bootstrap is None else ("bootstrap", "truncated")
        raise ValueError(f"{given} is given without {missing}: give both or none")
    values = values.detach()
    after = torch.zeros_like(values[:, 0])
    if truncated is not None and bootstrap is not None:
        after = torch.where(truncated, bootstrap.detach(), after)
    advantage, found = torch.zeros_like(after), []
    for step in reversed(range(values.shape[1])):
        here = written[:, step]
        delta = rewards[:, step] + gamma * after - values[:, step]
        advantage = torch.where(here, delta + gamma * lam * advantage, advantage)
        after = torch.where(here, values[:, step], after)
        found.append(advantage)
    advantages = torch.where(written, torch.stack(found[::-1], 1), 0)
    return advantages, torch.where(written, advantages + values, 0)


def batch_standardise(advantages: Tensor, mask: Tensor | None = None) -> Tensor:
    """Advantages less their mean, over their standard deviation, over all parts of the batch.

    ``(A - mean) / sqrt(var + 1e-8)`` with n - 1 degrees of freedom, as in PPO (Schulman et al., 2017, arXiv
    1707.06347) and the ``masked_whiten`` of TRL. It depends on the batch: 8 answers at once are not 8
    batches.

    Args:
        advantages: Any shape, float.
        mask: The same shape, bool: the parts that count; None for all.

    Returns:
        The same shape; 0 where the mask is False.

    Example:
        >>> batch_standardise(torch.tensor([1.0, 3.0, 99.0]), torch.tensor([True, True, False]))
        tensor([-0.7071,  0.7071,  0.0000])
    """
    mask = torch.ones_like(advantages, dtype=torch.bool) if mask is None else mask
    count = mask.sum()
    mean = torch.where(mask, advantages, 0).sum() / count.clamp(min=1)
    centred = torch.where(mask, advantages - mean, 0)
    variance = centred.square().sum() / (count - 1).clamp(min=1)
    return centred * torch.rsqrt(variance + 1e-8)
