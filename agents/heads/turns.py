"""One choice a turn, each after what was heard before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from agents.encoders import PooledEncoder
from agents.heads.head import AnswerHead, Context, Hear, draw
from agents.heads.head import Turns as Heard
from mm_envs.answers import Answered, Turns
from mm_envs.random import fold


class TurnsHead(AnswerHead):
    """A softmax over the options of each turn, of the context, the choices before and what was heard.

    ``heard`` are the spaces of what is heard after each turn but the last, by key.
    """

    def __init__(
        self, kind: Turns, features: int, hidden: int, heard: Mapping[str, gym.Space[Any]] | None = None
    ) -> None:
        super().__init__()
        self.counts = tuple(map(len, kind.options))
        self.choices = nn.ModuleList(nn.Embedding(count, hidden) for count in self.counts[:-1])
        self.heard = nn.ModuleDict(
            {key: PooledEncoder(space, hidden) for key, space in (heard or {}).items()}
        )
        width = features + hidden * (len(self.counts) - 1) * (1 + len(self.heard))
        self.out = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, count))
            for count in self.counts
        )

    def logits(self, context: Context, response: Tensor, turns: Heard | None, turn: int) -> Tensor:
        """Unnormalised log-probabilities of the options of a turn, (n, options).

        Only choices and replies of turns before it count.
        """
        parts, nothing = [context.pooled], None
        for earlier, embedding in enumerate(self.choices):
            made = [embedding(response[:, earlier])]
            made += [encode((turns or {})[key][:, earlier]) for key, encode in self.heard.items()]
            nothing = torch.zeros_like(made[0])
            parts += made if earlier < turn else [nothing] * len(made)
        scores: Tensor = self.out[turn](torch.cat(parts, 1))
        return scores

    def log_probs(
        self, context: Context, response: Tensor, length: Tensor | None, turns: Heard | None
    ) -> Tensor:
        """The log-probability of the choice of each turn, (n, turns).

        Raises:
            ValueError: Something is heard between turns, and ``turns`` is missing.
        """
        if self.heard and turns is None:
            raise ValueError("a conversation has replies: give turns=, see mm_envs.tasks.play.answered")
        each = [
            self.logits(context, response, turns, turn).log_softmax(1).gather(1, response[:, turn, None])
            for turn in range(len(self.counts))
        ]
        return torch.cat(each, 1)

    def sample(self, context: Context, hashes: Tensor, temperature: float, hear: Hear | None) -> Answered:
        """Draws turn after turn.

        Raises:
            ValueError: Something is heard between turns, and ``hear`` is missing.
        """
        if self.heard and hear is None:
            raise ValueError("a conversation has replies: give hear=, see mm_envs.tasks.play.hearing")
        response = torch.zeros((len(hashes), len(self.counts)), dtype=torch.int64, device=hashes.device)
        turns = None if hear is None else hear(response)
        for turn in range(len(self.counts)):
            logits = self.logits(context, response, turns, turn)
            response[:, turn] = draw(logits, fold(hashes, turn), temperature)
            # Replies follow from the choices so far.
            turns = None if hear is None else hear(response)
        return response, None
