"""One of several named answers."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.answers.kind import Answered, AnswerKind, Editor, as_tensor, numbers_in, unknown
from mm_envs.answers.word_classes import WordClasses
from mm_envs.random import integers


class Choice(AnswerKind):
    """One of several answers, by its index: (n,) int64.

    Args:
        names: The names of the answers, each once.
        among: The observation key of the ``Candidates`` entry whose entries the answers are, if they are.

    Example:
        >>> colours = Choice(("red", "green"))
        >>> colours.parse("green"), colours.format(torch.tensor(0))
        (tensor(1), 'red')
    """

    name: ClassVar[str] = "choice"
    max_edits = 1

    def __init__(self, names: Sequence[str], among: str | None = None) -> None:
        self.names, self.among = tuple(names), among
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"names={list(self.names)[:8]} are empty or not distinct: give each answer once")
        self.space = self.action_space = gym.spaces.Discrete(len(self.names))

    def write_one(self, state: dict[str, NDArray[Any]], action: Any) -> bool:
        """A choice is written in one step."""
        return True

    def random(self, hashes: Tensor) -> Tensor:
        """A uniform choice."""
        return integers(hashes, len(self.names))

    def editor(self, names: Collection[str] | None = None, similar: Sequence[Sequence[str]] = ()) -> Editor:
        """Exchanges a choice for another of its class; those without a class for each other."""
        if len(self.names) < 2:
            raise ValueError(f"{self.names[0]!r} is the only choice and never wrong: give a task of several")
        known = [[name for name in one if name in self.names] for one in similar]
        known = [one for one in known if len(one) > 1]
        rest = [name for name in self.names if not any(name in one for one in known)]
        if len(rest) == 1 and known:
            known[0] += rest
        classes = WordClasses.among(self.names, [*known, rest])

        def edit(response: Tensor, length: Tensor | None, count: Tensor, hashes: Tensor) -> Answered:
            return torch.where(count > 0, classes.others(response, hashes), response), None

        return Editor(edit, lambda response, length, hashes: (classes.others(response, hashes), None))

    def parse(self, given: Any) -> Tensor:
        """The index of a name or a number."""
        given = numbers_in(given)
        if isinstance(given, str):
            name = given.strip()
            if name not in self.names:
                raise unknown(name, self.names, "answer")
            return torch.tensor(self.names.index(name))
        answer = as_tensor(given)
        if answer.numel() != 1 or answer.is_floating_point():
            raise ValueError(f"response={given!r} is no answer: give one of {len(self.names)} classes")
        return answer.flatten()[0].to(torch.int64)

    def format(self, response: Tensor) -> str:
        """The name of an answer."""
        return self.names[int(response)]

    @property
    def digest(self) -> str:
        """The digest of the names."""
        return hashlib.sha256("\n".join(self.names).encode()).hexdigest()[:16]

    def config(self) -> dict[str, Any]:
        """Names and observation key."""
        return {"names": list(self.names), "among": self.among}
