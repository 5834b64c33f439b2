"""Losses of rankings and of choices among several: Plackett-Luce and Boltzmann, (n,) float each."""

from __future__ import annotations

import torch
from torch import Tensor


def plackett_luce(scores: Tensor, order: Tensor) -> Tensor:
    """-sum_i [r_i - log sum_{j >= i} e^(r_j)], best first (Luce, 1959; Plackett, 1975).

    The best is chosen among all, the second among the rest, and so on. Of two it is Bradley-Terry.

    Args:
        scores: The scores of all answers, (a,) float.
        order: Rows of the answers, best first, (n, K) int64; -1 beyond the end of a shorter ranking.

    Example:
        >>> scores = torch.tensor([0.0, 1.0, 5.0])
        >>> plackett_luce(scores, torch.tensor([[1, 0, -1], [2, 1, 0]]))
        tensor([0.3133, 0.3380])
    """
    there = order >= 0
    ranked = torch.where(there, scores[order.clamp(min=0)], 0.0)
    index = torch.arange(order.shape[1], device=order.device)
    # Beyond the end a place chooses among itself alone, at no cost.
    rest = (index[:, None] < index) & there[:, None, :] | (index[:, None] == index)
    pools = ranked[:, None, :].masked_fill(~rest, -torch.inf).logsumexp(-1)
    return (pools - ranked).sum(-1)


def boltzmann(chosen: Tensor, others: Tensor, there: Tensor, rationality: Tensor | float = 1.0) -> Tensor:
    """-log [e^(b r(chosen)) / sum over what could be chosen of e^(b r)] (Luce, 1959).

    A demonstration is such a choice among the answers that could have been given (Jeon, Milli and Dragan,
    2020, arXiv:2002.04833). Among nothing else it costs 0.

    Args:
        chosen: The scores of what was chosen, (n,) float.
        others: The scores of what could have been, (n, K) float.
        there: Which of the others exist, (n, K) bool.
        rationality: b > 0.

    Example:
        >>> boltzmann(torch.tensor([1.0]), torch.tensor([[1.0, 9.0]]), torch.tensor([[True, False]]))
        tensor([0.6931])
    """
    lead = torch.where(there, others - chosen[:, None], 0.0) * rationality
    lead = torch.cat([torch.zeros_like(chosen)[:, None], lead.masked_fill(~there, -torch.inf)], -1)
    return lead.logsumexp(-1)
