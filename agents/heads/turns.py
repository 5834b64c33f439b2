"""One choice a turn, each after what was heard before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from agents.context import Context
from agents.encoders import PooledEncoder
from agents.heads.head import AnswerHead, Hear, draw
from agents.heads.head import Turns as Heard
from agents.heads.parts import Categorical
from agents.heads.sampling import PLAIN, Sampling
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
        self.counts, self.width = tuple(map(len, kind.options)), hidden
        self.choices = nn.ModuleList(nn.Embedding(count, hidden) for count in self.counts[:-1])
        self.heard = nn.ModuleDict(
            {key: PooledEncoder(space, hidden) for key, space in (heard or {}).items()}
        )
        inputs = features + hidden * (len(self.counts) - 1) * (1 + len(self.heard))
        self.turn = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU()) for count in self.counts
        )
        self.out = nn.ModuleList(nn.Linear(hidden, count) for count in self.counts)

    def state(self, context: Context, response: Tensor, turns: Heard | None, turn: int) -> Tensor:
        """What the options of a turn are predicted from, (n, hidden), of as many contexts.

        Only choices and replies of turns before it count.
        """
        parts, nothing = [context.pooled], None
        for earlier, embedding in enumerate(self.choices):
            made = [embedding(response[:, earlier])]
            made += [encode((turns or {})[key][:, earlier]) for key, encode in self.heard.items()]
            nothing = torch.zeros_like(made[0])
            parts += made if earlier < turn else [nothing] * len(made)
        state: Tensor = self.turn[turn](torch.cat(parts, 1))
        return state

    def logits(self, context: Context, response: Tensor, turns: Heard | None, turn: int) -> Tensor:
        """Unnormalised log-probabilities of the options of a turn, (n, options)."""
        scores: Tensor = self.out[turn](self.state(context, response, turns, turn))
        return scores

    def distribution(
        self,
        context: Context,
        response: Tensor,
        length: Tensor | None = None,
        turns: Heard | None = None,
        sampling: Sampling = PLAIN,
    ) -> Categorical:
        """The options of each turn; turns with fewer options than others have impossible ones.

        Raises:
            ValueError: Something is heard between turns, and ``turns`` is missing.
        """
        if self.heard and turns is None:
            raise ValueError("a conversation has replies: give turns=, see mm_envs.tasks.play.answered")
        context = context.repeat(context.answers_each(len(response)))
        states = [self.state(context, response, turns, turn) for turn in range(len(self.counts))]
        most, each = max(self.counts), []
        for turn, state in enumerate(states):
            log_probs = sampling.adjusted(self.out[turn](state)).log_softmax(1)
            left = most - self.counts[turn]
            each.append(nn.functional.pad(log_probs, (0, left), value=-torch.inf))
        return Categorical(torch.stack(each, 1), torch.stack(states, 1))

    def sample(
        self, context: Context, hashes: Tensor, sampling: Sampling = PLAIN, hear: Hear | None = None
    ) -> Answered:
        """Draws turn after turn.

        Raises:
            ValueError: Something is heard between turns, and ``hear`` is missing.
        """
        if self.heard and hear is None:
            raise ValueError("a conversation has replies: give hear=, see mm_envs.tasks.play.hearing")
        context = context.repeat(context.answers_each(len(hashes)))
        response = torch.zeros((len(hashes), len(self.counts)), dtype=torch.int64, device=hashes.device)
        turns = None if hear is None else hear(response)
        for turn in range(len(self.counts)):
            logits = self.logits(context, response, turns, turn)
            response[:, turn] = draw(logits, fold(hashes, turn), sampling)
            # Replies follow from the choices so far.
            turns = None if hear is None else hear(response)
        return response, None
