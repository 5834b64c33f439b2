"""One choice a turn, each after what was heard before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from agents.context import Context
from agents.encoders import PooledEncoder
from agents.heads.head import AnswerHead, Hear, draw
from agents.heads.head import Turns as Heard
from agents.heads.listening import Listening, Memory
from agents.heads.parts import Categorical
from agents.heads.sampling import PLAIN, Sampling
from mm_envs.answers import Answered, Turns
from mm_envs.random import fold


class TurnsHead(AnswerHead):
    """A softmax over the options of each turn, of the context, the choices before and what was heard.

    Words that were heard look at the tokens of the context, see ``Listening``: a reply selects what it is
    about.

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
        encoders = {key: PooledEncoder(space, hidden) for key, space in (heard or {}).items()}
        words = {key: one.encoder for key, one in encoders.items() if attended and one.encoder.vocabulary}
        listening = {key: Listening(one, attended) for key, one in words.items()}
        self.heard, self.listening = nn.ModuleDict(encoders), nn.ModuleDict(listening)
        found = sum(one.found for one in listening.values())
        self._inputs = inputs = features + (hidden * (1 + len(self.heard)) + found) * (len(self.counts) - 1)
        self.turn = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU()) for count in self.counts
        )
        self.out = nn.ModuleList(nn.Linear(hidden, count) for count in self.counts)

    def state(
        self,
        context: Context,
        response: Tensor,
        turns: Heard | None,
        turn: int,
        memory: Mapping[str, Memory] | None = None,
    ) -> Tensor:
        """What the options of a turn are predicted from, (n, hidden).

        Only choices and replies of turns before it count. ``memory`` is what ``remember`` gave, so that
        several turns share it.
        """
        memory = self.remember(context) if memory is None else memory
        parts, each = [], context.answers_each(len(response))
        for earlier, embedding in enumerate(self.choices[:turn]):
            parts.append(embedding(response[:, earlier]))
            for key in self.heard:
                heard = self._heard(key)
                reply = heard.encoder((turns or {})[key][:, earlier])
                parts.append(heard.pool(reply))
                if key in memory:
                    parts.append(self.listening[key](reply, memory[key]))
        known = torch.cat([context.pooled.repeat_interleave(each, 0), *parts], 1)
        # What is not known yet is 0.
        state: Tensor = self.turn[turn](nn.functional.pad(known, (0, self._inputs - known.shape[1])))
        return state

    def logits(
        self,
        context: Context,
        response: Tensor,
        turns: Heard | None,
        turn: int,
        memory: Mapping[str, Memory] | None = None,
    ) -> Tensor:
        """Unnormalised log-probabilities of the options of a turn, (n, options); see ``state``."""
        scores: Tensor = self.out[turn](self.state(context, response, turns, turn, memory))
        return scores

    def remember(self, context: Context) -> dict[str, Memory]:
        """What words of replies look at, by key."""
        found = {}
        for key, one in self.listening.items():
            assert isinstance(one, Listening)
            found[key] = one.remember(context)
        return found

    def _heard(self, key: str) -> PooledEncoder:
        found = self.heard[key]
        assert isinstance(found, PooledEncoder)
        return found

    def word_loss(self, turns: Heard | None, memory: Mapping[str, Memory]) -> Tensor | None:
        """The word loss of what was heard, (m,); None where no words are heard."""
        losses = []
        for key, one in self.listening.items():
            assert isinstance(one, Listening)
            reply = self._heard(key).encoder((turns or {})[key].flatten(0, 1))
            losses.append(one.heard_loss(reply, memory[key]))
        return torch.stack(losses).sum(0) if losses else None

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
        loss = self.word_loss(turns, memory)
        return Categorical(torch.stack(each, 1), torch.stack(states, 1), auxiliary=loss)

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
            logits = self.logits(context, response, turns, turn, memory)
            response[:, turn] = draw(logits, fold(hashes, turn), sampling)
            # Replies follow from the choices so far.
            turns = None if hear is None else hear(response)
        return response, None
