"""What a policy is, and answering policies that act step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from agents.context import Context
from agents.policy import ResponsePolicy
from mm_envs.names import at_least
from mm_envs.random import fold, stream
from mm_envs.tasks.task import Task


class Policy(Protocol):
    """Acts in the rows of a vector environment, without gradients.

    Everything that acts is one: trained agents of every trainer, baseline policies, plain functions. The
    action of a row depends on what was observed in its episode and on its hash alone.
    """

    def __call__(self, observation: Mapping[str, Tensor], hashes: Tensor) -> Tensor:
        """One action for each of n rows.

        Args:
            observation: Entries of shape (n, ...).
            hashes: One for each episode, (n,) int64, the same at all its steps; see ``EpisodeHashes``. A row
                whose hash has changed is at the first step of another episode.
        """
        ...


class EpisodeHashes:
    """The hashes that policies draw from: one for each (seed, row, episode)."""

    def __init__(self, seed: int, rows: int, device: torch.device | str = "cpu") -> None:
        self._rows = fold(stream(seed, "policy", device), torch.arange(rows, device=device))

    def __call__(self, info: Mapping[str, Any]) -> Tensor:
        """The hashes of the episodes that ``reset`` or ``step`` gave this info for, (rows,) int64."""
        return fold(self._rows, info["episode_index"])


def ticket_hash(seed: int, row: int, episode: int) -> Tensor:
    """The hash of one episode, (1,) int64, as ``EpisodeHashes`` gives it."""
    return fold(stream(seed, "policy"), torch.tensor([row]), torch.tensor([episode]))


class StepCounter:
    """Counts the steps of episodes, each known by its hash."""

    def __init__(self) -> None:
        self._hashes: Tensor | None = None
        self._step = torch.zeros(0, dtype=torch.int64)

    def __call__(self, hashes: Tensor) -> tuple[Tensor, Tensor]:
        """Which rows are at the first step of an episode, (n,) bool, and the step of each row, (n,) int64."""
        if self._hashes is None or self._hashes.shape != hashes.shape:
            fresh = torch.ones_like(hashes, dtype=torch.bool)
            self._step = torch.zeros_like(hashes)
        else:
            fresh = hashes != self._hashes
            self._step = (self._step + 1).masked_fill(fresh, 0)
        self._hashes = hashes
        return fresh, self._step


class AnsweringPolicy:
    """A ``ResponsePolicy`` as a policy: encodes a context once an episode, then writes the answer.

    A ``temperature`` of 0 takes the likeliest part each time.

    Example:
        >>> from mm_envs.engine.vector import MultimodalVectorEnv
        >>> envs = MultimodalVectorEnv(2, "vqa", answer="tokens")
        >>> policy = AnsweringPolicy(ResponsePolicy(envs.task, features=16, hidden=16), envs.task)
        >>> observation, info = envs.reset(seed=1)
        >>> policy(observation, EpisodeHashes(1, 2)(info)).shape
        torch.Size([2])
    """

    def __init__(self, model: ResponsePolicy, task: Task, temperature: float = 0.0) -> None:
        at_least("temperature", temperature, 0)
        self.model, self.task, self.temperature = model, task, temperature
        self._count = StepCounter()
        self._encoded: Context | None = None
        self._response: Tensor | None = None

    @torch.no_grad()
    def __call__(self, observation: Mapping[str, Tensor], hashes: Tensor) -> Tensor:
        """The next actions, on the device of the observation."""
        fresh, step = self._count(hashes)
        device = next(self.model.parameters()).device
        rows = fresh.nonzero()[:, 0]
        if len(rows):
            context = {key: observation[key][rows].to(device) for key in self.task.context}
            encoded = self.model.encode(context)
            self._encoded = _contexts_with(self._encoded, rows.to(device), encoded, len(hashes))
            if not self.task.turn_spaces:
                drawn = self._draw(context, encoded, hashes[rows].to(device))
                self._response = _with_rows(self._response, rows.to(device), drawn, len(hashes))
        response = self._answer_so_far(observation, hashes.to(device))
        return self.task.answer.action(response.to(step.device), step)

    def _draw(self, context: Mapping[str, Tensor], encoded: Context, hashes: Tensor) -> Tensor:
        """Whole answers to n contexts, (n, ...)."""
        return self.model.sample(encoded, hashes, self.temperature)[0]

    def _answer_so_far(self, observation: Mapping[str, Tensor], hashes: Tensor) -> Tensor:
        """Whole answers, of which the part that is written now is right."""
        if not self.task.turn_spaces:
            assert self._response is not None
            return self._response
        # The choice of a turn depends on choices and replies before it, which have been observed. So drawing
        # all turns by the same hashes repeats the earlier choices and makes the next one.
        heard = {
            key: value.to(hashes.device) for key, value in (self.task.turns(dict(observation)) or {}).items()
        }
        assert self._encoded is not None
        return self.model.sample(self._encoded, hashes, self.temperature, hear=lambda _: heard)[0]


def _contexts_with(old: Context | None, rows: Tensor, new: Context, n: int) -> Context:
    """Contexts of n rows, some of them replaced."""
    if len(new) == n:
        return new
    known = {} if old is None else old.to_entries("")
    made = {key: _with_rows(known.get(key), rows, one, n) for key, one in new.to_entries("").items()}
    return Context(**made)


def _with_rows(old: Tensor | None, rows: Tensor, new: Tensor, n: int) -> Tensor:
    """A tensor of n rows, some of them replaced."""
    if old is None or len(old) != n:
        old = new.new_zeros((n, *new.shape[1:]))
    return old.index_copy(0, rows, new)
