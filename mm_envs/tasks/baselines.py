"""Answers that depend only on the entries that a blind policy sees."""

from __future__ import annotations

import torch
from torch import Tensor

from mm_envs.random import fold


def conditional_majority(condition: Tensor, answer: Tensor, seen: Tensor) -> Tensor:
    """The most frequent answer among the items whose condition equals the seen one.

    Args:
        condition: What the answer may depend on, one row an item, (n, k) int64.
        answer: The right answers, (n,) int64.
        seen: Conditions to answer for, (m, k) int64.

    Returns:
        Answers, (m,) int64; the overall majority where a condition never occurred.

    Example:
        >>> condition, answer = torch.tensor([[0], [0], [1]]), torch.tensor([3, 3, 5])
        >>> conditional_majority(condition, answer, torch.tensor([[1], [0]]))
        tensor([5, 3])
    """
    keys, group = torch.unique(_keys(condition), return_inverse=True)
    classes = int(answer.max()) + 1
    votes = torch.zeros(len(keys), classes, dtype=torch.int64, device=answer.device)
    votes.index_put_((group, answer), torch.ones_like(answer), accumulate=True)
    wanted = _keys(seen)
    index = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    known = keys[index] == wanted
    return torch.where(known, votes.argmax(1)[index], votes.sum(0).argmax())


def _keys(rows: Tensor) -> Tensor:
    state = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
    for column in rows.unbind(1):
        state = fold(state, column)
    return state
