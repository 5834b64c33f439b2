"""The protocol of samplers of responses."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from mm_envs.episodes import Prompts


class Sampler(Protocol):
    """Samples several answers to each question; ``name`` tells how, with its arguments."""

    name: str

    def sample(self, prompts: Prompts, answers: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Responses (n, answers, ...) to n questions and, for words, lengths (n, answers) int64, else None.

        Row i depends on row i of the prompts and on the seed alone: draws are made from ``prompts.key``.
        """
        ...
