"""One choice a turn, each after what was heard before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import gymnasium as gym
import torch
from torch import Tensor, nn

from agents.context import Context
from agents.decoders.decoder import TokenAttention
from agents.encoders import PooledEncoder
from agents.heads.head import AnswerHead, Hear, draw
from agents.heads.head import Turns as Heard
from agents.heads.parts import Categorical
from agents.heads.sampling import PLAIN, Sampling
from mm_envs.answers import Answered, Turns
from mm_envs.random import fold

Memory: TypeAlias = tuple[Tensor, Tensor, Tensor | None]
"""Keys, values and mask of the tokens of contexts, see ``TokenAttention.remember``."""


class TurnsHead(AnswerHead):
    """A softmax over the options of each turn, of the context, the choices before and what was heard.

    The state of a turn attends to the tokens of the context, ``h = ReLU(s + W attention(s, tokens))``, so
    that a reply selects the positions that it is about.

    ``heard`` are the spaces of what is heard after each turn but the last, by key; ``attended`` are the
    numbers per token of a context, 0 if there are no tokens.
    """

    attends = True

    def __init__(
        self,
        kind: Turns,
        features: int,
        hidden: int,
        heard: Mapping[str, gym.Space[Any]] | None = None,
        attended: int = 0,
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
        self.look = TokenAttention(hidden, attended) if attended else None
        self.out = nn.ModuleList(nn.Linear(hidden, count) for count in self.counts)

    def state(
        self,
        context: Context,
        response: Tensor,
        turns: Heard | None,
        turn: int,
        memory: Memory | None = None,
    ) -> Tensor:
        """What the options of a turn are predicted from, (n, hidden).

        Only choices and replies of turns before it count. ``memory`` is what ``remember`` gave, so that
        several turns share it.
        """
        each = context.answers_each(len(response))
        parts, nothing = [context.pooled.repeat_interleave(each, 0)], None
        for earlier, embedding in enumerate(self.choices):
            made = [embedding(response[:, earlier])]
            made += [encode((turns or {})[key][:, earlier]) for key, encode in self.heard.items()]
            nothing = torch.zeros_like(made[0])
            parts += made if earlier < turn else [nothing] * len(made)
        state: Tensor = self.turn[turn](torch.cat(parts, 1))
        if self.look is not None:
            memory = self.look.remember(context) if memory is None else memory
            found = self.look(state[:, None], memory)
            state = torch.relu(state + found[:, 0])
        return state

    def remember(self, context: Context) -> Memory | None:
        """What every turn attends to; None without tokens."""
        return None if self.look is None else self.look.remember(context)

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
        memory, most = self.remember(context), max(self.counts)
        states, each = [], []
        for turn, count in enumerate(self.counts):
            alike = self._alike(context, response, turns, turn)
            some = None if turns is None else {key: value[::alike] for key, value in turns.items()}
            state = self.state(context, response[::alike], some, turn, memory)
            log_probs = sampling.adjusted(self.out[turn](state)).log_softmax(1)
            log_probs = nn.functional.pad(log_probs, (0, most - count), value=-torch.inf)
            states.append(state.repeat_interleave(alike, 0))
            each.append(log_probs.repeat_interleave(alike, 0))
        return Categorical(torch.stack(each, 1), torch.stack(states, 1))

    def _alike(self, context: Context, response: Tensor, turns: Heard | None, turn: int) -> int:
        """How many neighbouring rows share all that a turn depends on, so that one of them is enough.

        The first turn depends on the context alone; where answers are enumerated, so do others.
        """
        each = context.answers_each(len(response))
        if turn == 0:
            return each
        block = math.prod(self.counts[turn:])
        if each % block:
            return 1
        before = [response, *(turns or {}).values()]
        shared = (one.view(-1, block, *one.shape[1:])[:, :, :turn] for one in before)
        return block if all(bool((one == one[:, :1]).all()) for one in shared) else 1

    def sample(
        self, context: Context, hashes: Tensor, sampling: Sampling = PLAIN, hear: Hear | None = None
    ) -> Answered:
        """Draws turn after turn.

        Raises:
            ValueError: Something is heard between turns, and ``hear`` is missing.
        """
        if self.heard and hear is None:
            raise ValueError("a conversation has replies: give hear=, see mm_envs.tasks.play.hearing")
        memory = self.remember(context)
        response = torch.zeros((len(hashes), len(self.counts)), dtype=torch.int64, device=hashes.device)
        turns = None if hear is None else hear(response)
        for turn in range(len(self.counts)):
            alike = len(response) // max(len(context), 1) if turn == 0 else 1
            some = None if turns is None else {key: value[::alike] for key, value in turns.items()}
            state = self.state(context, response[::alike], some, turn, memory)
            logits = self.out[turn](state).repeat_interleave(alike, 0)
            response[:, turn] = draw(logits, fold(hashes, turn), sampling)
            # Replies follow from the choices so far.
            turns = None if hear is None else hear(response)
        return response, None
