"""The base class of answer kinds: how an answer is written step by step, where it ends, and its text form."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.random import fold

State: TypeAlias = dict[str, Tensor]
Answered: TypeAlias = "tuple[Tensor, Tensor | None]"
"""Answers (n, ...) and their lengths (n,) int64, or None for kinds without length."""


@dataclass(frozen=True)
class Editor:
    """Makes small changes to answers; see ``AnswerKind.editor``.

    Attributes:
        edit: ``edit(response, length, count, hashes)``: answers with ``count`` (n,) edits each; an edit that
            an answer has no room for changes nothing.
        other: ``other(response, length, hashes)``: for each answer one that differs from it.
    """

    edit: Callable[[Tensor, Tensor | None, Tensor, Tensor], Answered]
    other: Callable[[Tensor, Tensor | None, Tensor], Answered]


class AnswerKind(ABC):
    """A kind of answer. Everything is batched: methods take and return n rows at once.

    An answer has two equivalent forms. As *actions* it is written into a ``state``, one action a step, which
    is how an agent gives it; as a *response* it is one tensor with a length, which is what feedback scores:
    ``write`` with ``action(response, step)`` for each step gives ``finish(response)`` back.

    Attributes:
        name: The name of the kind in the table of kinds.
        space: The space of one whole response, without leading dimension.
        action_space: The space of one action.
        state_spaces: Spaces of the observed part of the state, by observation key.
        steps: The number of actions after which every answer has ended.
        sequential: Whether a response has one entry a step, (n, steps).
        max_edits: The largest useful number of edits; None for any number.
        names: The names of the answers to choose from; empty where they have none.
        among: The observation key whose entries the answers refer to by index; None where they do not.
    """

    name: ClassVar[str]
    space: gym.Space[Any]
    action_space: gym.Space[Any]
    state_spaces: Mapping[str, gym.Space[Any]] = {}
    steps: int = 1
    sequential: ClassVar[bool] = False
    max_edits: int | None = None
    names: tuple[str, ...] = ()
    among: str | None = None

    # Writing ----------------------------------------------------------------------------------------------

    def start(self, n: int, device: torch.device) -> State:
        """The state of n empty answers."""
        return {}

    def write(self, state: State, actions: Tensor) -> tuple[State, Tensor]:
        """The state after one more action in every row, and which answers have ended, (n,) bool. Pure."""
        return {}, torch.ones(len(actions), dtype=torch.bool, device=actions.device)

    def write_one(self, state: dict[str, NDArray[Any]], action: Any) -> bool:
        """``write`` for a single answer: changes its state in place; returns whether the answer has ended."""
        rows = {key: torch.from_numpy(value)[None] for key, value in state.items()}
        changed, ended = self.write(rows, torch.as_tensor(action)[None])
        for key, value in changed.items():
            state[key][...] = value[0].numpy()
        return bool(ended[0])

    def valid(self, state: State, n: int, device: torch.device) -> Tensor:
        """Which actions are valid as the next one of n answers, (n, actions) bool; at least one a row.

        ``write`` takes invalid actions, too, but none of them leads to an answer that no valid one leads to.

        Raises:
            ValueError: Actions are numbers.
        """
        if not isinstance(self.action_space, gym.spaces.Discrete):
            raise ValueError(f"answers of kind {self.name!r} are numbers, and all are valid: use no masks")
        return torch.ones((n, int(self.action_space.n)), dtype=torch.bool, device=device)

    def response(self, state: State, actions: Tensor) -> Answered:
        """The response so far, from the last state and the last action."""
        return actions, None

    def response_one(self, state: Mapping[str, NDArray[Any]], action: Any) -> tuple[NDArray[Any], int | None]:
        """``response`` of a single answer."""
        rows = {key: torch.from_numpy(value)[None] for key, value in state.items()}
        response, length = self.response(rows, torch.as_tensor(action)[None])
        return response[0].numpy(), None if length is None else int(length[0])

    def action(self, response: Tensor, step: int | Tensor) -> Tensor:
        """The action that writes a response, at a step: one number, or one a row (n,) int64."""
        return entry_at(response, step) if self.sequential else response

    # Ends -------------------------------------------------------------------------------------------------

    def finish(self, response: Tensor) -> Answered:
        """Responses as an episode holds them, with their lengths: everything after the end is removed."""
        return response, None

    def close(self, response: Tensor) -> Answered:
        """Responses whose end is not written, such as references, with the end written."""
        return response, None

    def steps_of(self, response: Tensor) -> int:
        """The number of steps that the longest of some responses takes."""
        return self.steps

    def beginning(self, response: Tensor, length: Tensor | None, steps: int) -> Answered:
        """Responses as if only the first ``steps`` steps had been taken; ValueError for kinds of one step."""
        raise ValueError(f"answers of kind {self.name!r} have one step: there is no beginning of one")

    def without(self, response: Tensor, length: Tensor | None, part: Tensor) -> Answered:
        """Responses without one part each, (n,) int64; ValueError for kinds without parts.

        A part that does not exist removes nothing.
        """
        raise ValueError(
            f"answers of kind {self.name!r} have no parts: ask for corrections, or use a task of words"
        )

    # Draws and changes ------------------------------------------------------------------------------------

    @abstractmethod
    def random(self, hashes: Tensor) -> Tensor:
        """One random response for each hash, (n,) int64, as from a uniform policy."""

    @abstractmethod
    def editor(self, names: Collection[str] | None = None, similar: Sequence[Sequence[str]] = ()) -> Editor:
        """The small changes from which samplers make preference pairs.

        Args:
            names: The kinds of edits to draw from; None for all.
            similar: Words or names that can replace each other (``Dataset.word_classes``).

        Raises:
            ValueError: There is no such kind of edit, or all answers are equal.
        """

    def slip(self, response: Tensor, length: Tensor | None, hashes: Tensor) -> Answered:
        """Responses with one mistake each."""
        return self.editor().other(response, length, hashes)

    def distance(
        self, response: Tensor, length: Tensor | None, other: Tensor, other_length: Tensor | None
    ) -> Tensor:
        """How many changes turn one response into the other, (n,) int64; 0 if they are equal."""
        differs = (response != other).reshape(len(response), -1)
        return differs.sum(1) if self.sequential else differs.any(1).to(torch.int64)

    def same(self, response: Tensor, other: Tensor) -> Tensor:
        """Which responses are the same answer, (n,) bool."""
        return (response == other).reshape(len(response), -1).all(1)

    def holds(self, word: str, response: Tensor, length: Tensor | None) -> Tensor:
        """Which responses hold a word, (n,) bool; ValueError where no answer of this kind can."""
        having = torch.tensor([word in name.split() for name in self.names], dtype=torch.bool)
        if not self.names:
            raise ValueError(f"word {word!r} is in no answer: the answers to this task are numbers")
        if not bool(having.any()):
            raise ValueError(f"word {word!r} is in no answer: name one of {', '.join(self.names[:8])}")
        held: Tensor = having.to(response.device)[response].reshape(len(response), -1).any(1)
        return held

    # Text and JSON ----------------------------------------------------------------------------------------

    @abstractmethod
    def parse(self, given: Any) -> Tensor:
        """One response (no leading dimension), ended, from text or from numbers.

        Takes the result of ``format``, numbers, or numbers as text (``"[5, 3, 1]"``).

        Raises:
            ValueError: It is no answer of this kind.
        """

    def format(self, response: Tensor) -> str:
        """One response (no leading dimension) as text that ``parse`` reads back."""
        return json.dumps(response.tolist())

    def describe(self, response: Tensor) -> str:
        """One response as text for people."""
        return self.format(response)

    def formats(self, response: Tensor) -> list[str]:
        """Many responses (n, ...) as text."""
        return [self.format(row) for row in response]

    def normalise(self, text: str) -> str:
        """The normal form of a text: equal for texts that ``parse`` reads as the same answer."""
        return text

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of the words or names of the answers; empty for numbers."""
        return ""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The arguments of the kind as JSON values, for ``mm_envs.answers.from_config``."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnswerKind) and self.name == other.name and self.config() == other.config()

    def __hash__(self) -> int:
        return hash((self.name, json.dumps(self.config(), sort_keys=True)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.space})"


def entry_at(response: Tensor, step: int | Tensor) -> Tensor:
    """The entry of each row of responses (n, steps, ...) at a step: one number, or one a row (n,) int64."""
    if isinstance(step, int):
        return response[:, step]
    return response.gather(1, step.clamp(max=response.shape[1] - 1)[:, None])[:, 0]


def response_hashes(response: Tensor, length: Tensor | None = None) -> Tensor:
    """One hash for each response of any kind, (n,) int64; entries beyond ``length`` (n,) do not matter.

    Example:
        >>> words = torch.tensor([[5, 6, 1], [5, 6, 0]])
        >>> bool(response_hashes(words, torch.tensor([2, 2])).unique().numel() == 1)
        True
    """
    if response.is_floating_point():
        response = response.to(torch.float32).contiguous().view(torch.int32).to(torch.int64)
    if response.ndim == 1:
        return fold(response, 0)
    entries = response.flatten(1)
    index = torch.arange(entries.shape[1], device=entries.device)
    hashes = fold(entries, index)
    if length is not None:
        # Entries of several numbers, such as boxes, count whole.
        each = entries.shape[1] // response.shape[1]
        hashes = hashes.masked_fill(index >= each * length[:, None], 0)
    return fold(hashes.sum(1), 0)


def numbers_in(given: Any) -> Any:
    """The list of numbers in a text such as "[1, 2]"; anything else as it is."""
    if not isinstance(given, str) or not given.strip().startswith("["):
        return given
    try:
        return json.loads(given)
    except (ValueError, RecursionError):
        return given


def as_tensor(given: Any) -> Tensor:
    """Numbers of one shape as a tensor; ValueError for anything else."""
    if isinstance(given, Tensor):
        return given.cpu()
    try:
        return torch.as_tensor(np.asarray(given))
    except (TypeError, ValueError):
        raise ValueError(
            f"response={given!r:.60} holds something else than numbers of one shape: give words, or "
            "numbers as [5, 3, 1]"
        ) from None


def unknown(word: str, known: Collection[str], kind: str) -> ValueError:
    """The error for an unknown word or name, with the nearest known ones."""
    from difflib import get_close_matches

    near = get_close_matches(word[:60], known, n=3) or list(known)[:8]
    return ValueError(f"response: {kind} {word!r:.60} is unknown: did you mean {', '.join(near)}?")
