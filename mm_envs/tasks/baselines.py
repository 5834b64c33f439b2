"""The best answers that depend only on the entries that a blind policy sees."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mm_envs.random import fold
from mm_envs.tokenizers import lengths, pad_to


def conditional_majority(condition: Tensor, answer: Tensor, seen: Tensor) -> Tensor:
    """The most frequent answer among the items whose condition equals the seen one, (m,) int64.

    Args:
        condition: What the answer may depend on, one row an item, (n, k) int64.
        answer: The right answers, (n,) int64.
        seen: Conditions to answer for, (m, k) int64; one that never occurred gets the overall majority.

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


def best_constant_words(
    mean_utility: Callable[[Tensor], Tensor], candidates: Tensor, vocabulary_size: int, sweeps: int = 4
) -> Tensor:
    """The best answer in words that is the same for every item, (length,) int64, by local search.

    Starts at the best of ``candidates`` (c, length) int64. At each position the word is replaced or left out
    if that improves ``mean_utility`` of answers (m, length), until a whole sweep improves nothing.
    """
    scores = mean_utility(candidates)
    best, score = candidates[scores.argmax()], scores.max()
    for _ in range(sweeps):
        before = score
        for index in range(len(best)):
            near = _neighbours(best, index, vocabulary_size)
            scores = mean_utility(near)
            if scores.max() > score:
                best, score = near[scores.argmax()], scores.max()
            if lengths(best) <= index:
                break
        if score <= before:
            break
    return best


def _neighbours(words: Tensor, index: int, vocabulary_size: int) -> Tensor:
    """All answers with another word at an index, and the one without a word there."""
    changed = words.repeat(vocabulary_size, 1)
    changed[:, index] = torch.arange(vocabulary_size, device=words.device)
    shorter = pad_to(torch.cat([words[:index], words[index + 1 :]]), len(words))
    return torch.cat([changed, shorter[None]])
