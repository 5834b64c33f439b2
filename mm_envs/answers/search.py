"""Local search for the best constant answer in words."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mm_envs.tokenizers import EOS, PAD


def best_constant_words(
    mean_utility: Callable[[Tensor], Tensor], candidates: Tensor, vocabulary_size: int, sweeps: int = 4
) -> Tensor:
    """The best answer in words that is the same for every item, by local search.

    Starts at the best candidate. At each position the word is replaced or left out if that improves the mean
    utility, until a whole sweep improves nothing.

    Args:
        mean_utility: The mean utility of each of (m, length) answers.
        candidates: Answers to start from, (c, length) int64.
        vocabulary_size: The number of words.
        sweeps: The largest number of sweeps.

    Returns:
        One answer, (length,) int64.
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
            if best[index] == EOS:
                break
        if score <= before:
            break
    return best


def _neighbours(words: Tensor, index: int, vocabulary_size: int) -> Tensor:
    """All answers with another word at an index, and the one without a word there."""
    changed = words.repeat(vocabulary_size, 1)
    changed[:, index] = torch.arange(vocabulary_size, device=words.device)
    shorter = torch.cat([words[:index], words[index + 1 :], words.new_full((1,), PAD)])
    return torch.cat([changed, shorter[None]])
