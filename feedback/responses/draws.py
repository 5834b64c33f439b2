"""The hashes that samplers draw from."""

from __future__ import annotations

import torch
from torch import Tensor

from mm_envs.episodes import Prompts
from mm_envs.random import fold, key_hashes, purpose, signed


def answer_hashes(prompts: Prompts, answers: int, seed: int, name: str) -> Tensor:
    """A hash for each of some answers to n prompts, (n, answers) int64, of key, seed and name alone."""
    row = fold(key_hashes(prompts.key, purpose(f"candidates {name}")), signed(seed))
    return fold(row[:, None], torch.arange(answers, device=row.device))


def grouped(response: Tensor, length: Tensor | None, answers: int) -> tuple[Tensor, Tensor | None]:
    """Responses of (n * answers) rows as (n, answers, ...), and their lengths as (n, answers) or None."""
    shape = (-1, answers)
    return response.view(*shape, *response.shape[1:]), None if length is None else length.view(shape)
