"""One choice a turn, each from its own options: a short conversation."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from mm_envs.answers.kind import (
    Answered,
    AnswerKind,
    Editor,
    State,
    as_tensor,
    numbers_in,
    unknown,
)
from mm_envs.names import check_one_of
from mm_envs.random import fold, integers
from mm_envs.spaces import UniformBox

_EDITS = ("replace",)
_BETWEEN = " / "


class Turns(AnswerKind):
    """One choice a turn: indices (n, turns) int64, entry t an option of turn t.

    All turns share one action space, that of the turn with most options; larger actions count modulo the
    number of ``options``. Replies between turns are part of the task, not of the answer.

    Example:
        >>> kind = Turns([("colour?", "shape?"), ("red circle", "green circle", "red cross")])
        >>> kind.parse("shape? / red cross"), kind.format(torch.tensor([0, 1]))
        (tensor([1, 2]), 'colour? / green circle')
    """

    name: ClassVar[str] = "turns"
    sequential = True

    def __init__(self, options: Sequence[Sequence[str]]) -> None:
        self.options = tuple(tuple(names) for names in options)
        if not self.options or any(not one or len(set(one)) != len(one) for one in self.options):
            raise ValueError(f"options={self.options!r:.80} lack a name or repeat one: name each option once")
        self.steps = len(self.options)
        self._counts = tuple(map(len, self.options))
        self.action_space = gym.spaces.Discrete(max(self._counts))
        self.space = UniformBox(0, max(self._counts) - 1, (self.steps,), np.int64)
        # 0: nothing chosen yet; otherwise one more than the index of the option.
        self.state_spaces = {"chosen": UniformBox(0, max(self._counts), (self.steps,), np.int64)}

    def start(self, n: int, device: torch.device) -> State:
        """Nothing chosen: 0 for each turn."""
        return {"chosen": torch.zeros((n, self.steps), dtype=torch.int64, device=device)}

    def write(self, state: State, actions: Tensor) -> tuple[State, Tensor]:
        """Makes the choice of the turn: the entry becomes one more than the index of the option."""
        turn = self._turn(state)
        option = actions[:, None] % self._count(actions.device)[turn]
        return {"chosen": state["chosen"].scatter(1, turn, option + 1)}, turn[:, 0] == self.steps - 1

    def valid(self, state: State, n: int, device: torch.device) -> Tensor:
        """The options of the turn."""
        return torch.arange(max(self._counts), device=device) < self._count(device)[self._turn(state)]

    def response(self, state: State, actions: Tensor) -> Answered:
        """The options chosen; turns that have not come yet have the first option."""
        return (state["chosen"] - 1).clamp(min=0), None

    def beginning(self, response: Tensor, length: Tensor | None, steps: int) -> Answered:
        """The first choices; the others the first options."""
        return response.masked_fill(torch.arange(self.steps, device=response.device) >= steps, 0), None

    def random(self, hashes: Tensor) -> Tensor:
        """Every choice uniform."""
        turns = torch.arange(self.steps, device=hashes.device)
        return integers(fold(hashes[:, None], turns), self._count(hashes.device))

    def editor(self, names: Collection[str] | None = None, similar: Sequence[Sequence[str]] = ()) -> Editor:
        """Exchanges the choice of a turn; a turn with one option is never drawn."""
        for name in names or ():
            check_one_of("kinds", name, _EDITS)
        if max(self._counts) < 2:
            raise ValueError("no turn has a second option, so that no answer is wrong: give more options")
        return Editor(self._edited, self._other)

    def _edited(self, response: Tensor, length: Tensor | None, count: Tensor, hashes: Tensor) -> Answered:
        counts = self._count(response.device)
        several = (counts > 1).nonzero()[:, 0]
        for step in range(int(count.max()) if len(count) else 0):
            draws = fold(hashes, step)
            turn = several[integers(draws, len(several))][:, None]
            old, options = response.gather(1, turn), counts[turn]
            new = (old + 1 + integers(fold(draws, 1)[:, None], options - 1)) % options
            response = torch.where((step < count)[:, None], response.scatter(1, turn, new), response)
        return response, None

    def _other(self, response: Tensor, length: Tensor | None, hashes: Tensor) -> Answered:
        # The last turn with another option is exchanged: it decides the utility.
        counts = self._count(response.device)
        turn = int((counts > 1).nonzero()[-1])
        options = int(counts[turn])
        changed = response.clone()
        changed[:, turn] = (response[:, turn] + 1 + integers(hashes, options - 1)) % options
        return changed, None

    def holds(self, word: str, response: Tensor, length: Tensor | None) -> Tensor:
        """Which answers hold a word in any turn."""
        held, known = torch.zeros(len(response), dtype=torch.bool, device=response.device), False
        for turn, names in enumerate(self.options):
            having = torch.tensor([word in name.split() for name in names])
            held, known = held | having.to(response.device)[response[:, turn]], known or bool(having.any())
        if not known:
            raise ValueError(f"word {word!r} is in no answer: name one of {', '.join(self.options[-1][:8])}")
        return held

    def parse(self, given: Any) -> Tensor:
        """The options of all turns, by name with " / " between turns, or as numbers."""
        read = numbers_in(given)
        if isinstance(read, str):
            names = self.normalise(read).split(_BETWEEN)
            if len(names) != self.steps:
                raise ValueError(f"response={given!r:.80} is no answer: give {self.steps} turns, as 'a / b'")
            for name, known in zip(names, self.options, strict=True):
                if name not in known:
                    raise unknown(name, known, "option")
            read = [known.index(name) for name, known in zip(names, self.options, strict=True)]
        choices = as_tensor(read)
        fits = tuple(choices.shape) == (self.steps,) and not choices.is_floating_point()
        if not fits or not bool(((choices >= 0) & (choices < torch.tensor(self._counts))).all()):
            raise ValueError(
                f"response={given!r:.80} is no answer: give one option for each of {self.steps} turns"
            )
        return choices.to(torch.int64)

    def format(self, response: Tensor) -> str:
        """The names of the options."""
        return _BETWEEN.join(names[int(i)] for names, i in zip(self.options, response, strict=True))

    def normalise(self, text: str) -> str:
        """Turns with " / " between them, words with one space."""
        return _BETWEEN.join(" ".join(turn.split()) for turn in text.split(_BETWEEN.strip()))

    @property
    def digest(self) -> str:
        """The digest of the names."""
        text = "\n\n".join("\n".join(names) for names in self.options)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def config(self) -> dict[str, Any]:
        """The names of all options."""
        return {"options": [list(names) for names in self.options]}

    def _turn(self, state: State) -> Tensor:
        """The index of the turn of each row, (n, 1); the last one where all choices are made."""
        return (state["chosen"] > 0).sum(1, keepdim=True).clamp(max=self.steps - 1)

    def _count(self, device: torch.device) -> Tensor:
        # Made on the device: a step copies nothing to it.
        count = torch.empty(self.steps, dtype=torch.int64, device=device)
        for turn, number in enumerate(self._counts):
            count[turn] = number
        return count
