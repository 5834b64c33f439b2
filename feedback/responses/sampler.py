"""The protocol of samplers of responses."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from mm_envs.episodes import Prompts
from mm_envs.random import fold, key_hashes, purpose, signed


class Sampler(Protocol):
    """Samples several answers to each question; ``name`` tells how, with its arguments."""

    name: str

    def sample(self, prompts: Prompts, answers: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Responses (n, answers, ...) to n questions and, for words, lengths (n, answers) int64, else None.

        Row i depends on row i of the prompts and on the seed alone: draws are made from ``prompts.key``.
        """
        ...


def answer_hashes(prompts: Prompts, answers: int, seed: int, name: str) -> Tensor:
    """A hash for each of some answers to n prompts, (n, answers) int64, of key, seed and name alone."""
    row = fold(key_hashes(prompts.key, purpose(f"candidates {name}")), signed(seed))
    return fold(row[:, None], torch.arange(answers, device=row.device))


def grouped(response: Tensor, length: Tensor | None, answers: int) -> tuple[Tensor, Tensor | None]:
    """Responses of (n * answers) rows as (n, answers, ...), and their lengths as (n, answers) or None."""
    shape = (-1, answers)
    return response.view(*shape, *response.shape[1:]), None if length is None else length.view(shape)
