"""Retrieval: recall among the first k candidates."""

from __future__ import annotations

import torch
from torch import Tensor

from mm_envs.names import at_least, check_one_of

HITS = ("any", "fraction")


def recall_at_k(scores: Tensor, positives: Tensor, k: int, hit: str = "any") -> Tensor:
    """Recall among the k candidates with the highest scores, (n,) float32; 0 for a query without positives.

    Of candidates with equal scores negatives come first: a tie is never luck. A score of NaN is the lowest.

    Args:
        scores: The score of each candidate for each query, (n, m).
        positives: Which candidates belong to a query, (n, m) bool; there may be several.
        k: The number of candidates, at least 1.
        hit: "any": 1 where at least one positive is among them (the R@k of image-text retrieval);
            "fraction": the share of the positives that is among them.

    Example:
        >>> scores = torch.tensor([[0.9, 0.5, 0.5, 0.1]])
        >>> positives = torch.tensor([[True, True, False, False]])
        >>> [recall_at_k(scores, positives, k, "fraction").item() for k in (1, 2, 3)]
        [0.5, 0.5, 1.0]
    """
    check_one_of("hit", hit, HITS)
    at_least("k", k, 1)
    if scores.shape != positives.shape or scores.ndim != 2 or positives.dtype is not torch.bool:
        raise ValueError(
            f"scores have shape {tuple(scores.shape)} and positives {tuple(positives.shape)} "
            f"{positives.dtype}: give (queries, candidates) for both, positives bool"
        )
    scores = torch.where(scores.isnan(), -torch.inf, scores)
    # Sorted twice, and the second time stably: by scores and, where they are equal, positives last.
    last = positives.to(torch.int8).argsort(dim=1, stable=True)
    order = last.gather(1, scores.gather(1, last).argsort(dim=1, descending=True, stable=True))
    found = positives.gather(1, order)[:, :k].sum(1)
    if hit == "any":
        return (found > 0).to(torch.float32)
    return found.to(torch.float32) / positives.sum(1).clamp(min=1)
