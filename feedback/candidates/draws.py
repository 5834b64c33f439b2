"""The hashes that samplers draw from."""

from __future__ import annotations

import torch
from torch import Tensor

from mm_envs.episodes import Prompts
from mm_envs.random import fold, key_bits, purpose, signed


def answer_bits(prompts: Prompts, answers: int, seed: int, name: str) -> Tensor:
    """A hash for each answer to each prompt, (n, answers) int64, that depends on key, seed and name alone.

    Args:
        prompts: n prompts.
        answers: How many answers each.
        seed: Of the sampler.
        name: What is drawn: different names share nothing.
    """
    row = fold(key_bits(prompts.key, purpose(f"candidates {name}")), signed(seed))
    return fold(row[:, None], torch.arange(answers, device=row.device))


def pick(allowed: Tensor, bits: Tensor) -> tuple[Tensor, Tensor]:
    """One of the allowed places of each row, uniformly: (n,) int64, and whether there is any, (n,) bool.

    Args:
        allowed: (n, L) bool.
        bits: (n,) int64.

    Example:
        >>> pick(torch.tensor([[False, True], [False, False]]), torch.tensor([1, 2]))
        (tensor([1, 0]), tensor([ True, False]))
    """
    places = torch.arange(allowed.shape[1], device=allowed.device)
    # 62 bits: a draw between equal hashes does not happen.
    luck = (fold(bits[:, None], places) >> 2).masked_fill(~allowed, torch.iinfo(torch.int64).min)
    return luck.argmax(1), allowed.any(1)
