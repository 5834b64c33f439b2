"""The protocol of samplers of responses."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from mm_envs.episodes import Prompts


class Sampler(Protocol):
    """Samples several answers to each question.

    Attributes:
        name: What it does, with its arguments, as records and reports have it.
    """

    name: str

    def sample(self, prompts: Prompts, answers: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Some answers to each of n questions.

        Row i depends on row i of the prompts and on the seed alone: draws are made from ``prompts.key``.

        Returns:
            Responses (n, answers, ...), as ``Episodes.response``, and for words their lengths (n, answers)
            int64, else None.
        """
        ...
