"""The base class of tasks: fields made of facts, one answer kind, a transition and the true utility.

A task holds no state of an episode: the engine keeps it as a dict of tensors and passes it to pure functions.
The simplest task has a context, a reference, an answer kind and a utility.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Mapping
from typing import Any, TypeAlias

import gymnasium as gym
import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.answers import AnswerKind, State
from mm_envs.data.dataset import Dataset
from mm_envs.episodes import Judgement
from mm_envs.random import integers
from mm_envs.tasks.fields import FieldSource

Fields: TypeAlias = Mapping[str, Tensor]


class Task(ABC):
    """The recipe of an environment. Everything is batched: each method treats n rows at once.

    Attributes:
        dataset: The source of the facts of items.
        answer: The kind of the answers.
        context: Observation key -> field, for entries that are constant during an episode.
        reference: Names of the fields that are the hidden truth.
        facts: Names of the dataset fields from which ``fields`` makes others.
        made: Names of the fields that ``fields`` makes -> their space if they are shown, else None.
        links: Made field of item indices (n, k) -> the dataset field of those items that it refers to: the
            observation shows (n, k, ...) of it, and the pool keeps indices.
        part_modalities: Part of the utility -> the modalities that carry it.
        item_kind: The field with the kind of each item, int64, an index of ``item_kinds``; None where items
            have no kinds. Curricula draw by it.
        item_kinds: The names of the kinds of items.
        utility_deviation: The standard deviation of utility by which simulated annotators scale their
            rationality; pinned, so that an annotator does not depend on the policy.
        blind_items: The largest number of training items for the blind policy; None for no limit.
    """

    dataset: Dataset
    answer: AnswerKind
    context: Mapping[str, str]
    reference: tuple[str, ...]
    facts: tuple[str, ...] = ()
    made: Mapping[str, gym.Space[Any] | None] = {}
    links: Mapping[str, str] = {}
    part_modalities: Mapping[str, tuple[str, ...]]
    item_kind: str | None = None
    item_kinds: tuple[str, ...] = ()
    utility_deviation: float = 0.5
    blind_items: int | None = None
    source: FieldSource | None = None

    # Fields -----------------------------------------------------------------------------------------------

    def fields(self, facts: Fields, hashes: Tensor) -> dict[str, Tensor]:
        """The made fields of some items, a pure function of facts and hash (n,) int64, row by row.

        The facts are those named by ``self.facts``, and ``item``: the index of each item, (n,) int64.
        """
        return {} if self.source is None else self.source.make(facts, hashes)

    @property
    def fields_key(self) -> Hashable:
        """Everything besides the dataset that decides the made fields; tasks with equal keys share items.

        By default every public attribute of the task that is text, a number or a tuple.
        """
        if not self.made or self.source is not None:
            return self.source
        public = ((name, one) for name, one in vars(self).items() if not name.startswith("_"))
        plain = sorted((name, one) for name, one in public if isinstance(one, (str, int, float, tuple)))
        return type(self).__qualname__, repr(plain)

    def fingerprint(self) -> str:
        """A digest of everything that decides the items: the dataset and the made fields."""
        digest = self.dataset.fingerprint()
        if not self.made or self.source is not None:
            return digest
        return hashlib.sha256(f"{digest} {self.fields_key}".encode()).hexdigest()

    def batch(self, indices: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Fields of some items (n,) int64, made ones included, with links followed; leading dimension n."""
        found = self.unlinked(indices, names)
        for name, field in self.links.items():
            if name in found:
                items, where = torch.unique(found[name], return_inverse=True)
                found[name] = self.dataset.batch(items, (field,))[field][where]
        return found

    def unlinked(self, indices: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """As ``batch``, with item indices for links."""
        own = [name for name in names if name in self.made]
        stored = [name for name in names if name not in self.made]
        if not own:
            return self.dataset.batch(indices, stored)
        found = self.dataset.batch(indices, tuple(dict.fromkeys([*stored, *self.facts])))
        made = self.fields({"item": indices, **found}, self.dataset.hashes(indices))
        return {name: made[name] if name in self.made else found[name] for name in names}

    # Transition -------------------------------------------------------------------------------------------

    @property
    def state_spaces(self) -> Mapping[str, gym.Space[Any]]:
        """Spaces of ``observe``, by observation key."""
        return self.answer.state_spaces

    @property
    def horizon(self) -> int:
        """The number of steps after which every episode has ended by termination."""
        return self.answer.steps

    def start(self, fields: Fields, key: Tensor) -> State:
        """The state of n new episodes: observed entries and possibly hidden ones.

        Args:
            fields: Fields of context and reference, gathered when they are looked up.
            key: Seed, row and episode, (n, 3) int64: the source of all randomness.
        """
        return self.answer.start(len(key), key.device)

    def advance(self, state: State, actions: Tensor, fields: Fields, key: Tensor) -> tuple[State, Tensor]:
        """The state after one action in every row, and which rows have ended, (n,) bool. Pure."""
        return self.answer.write(state, actions)

    def valid(self, state: State, fields: Fields, key: Tensor) -> Tensor:
        """Which actions are valid as the next one, (n, actions) bool, at least one a row.

        Raises:
            ValueError: Actions are numbers.
        """
        return self.answer.valid(state, len(key), key.device)

    def observe(self, state: State, fields: Fields) -> dict[str, Tensor]:
        """The observed part of the state, by the keys of ``state_spaces``."""
        return {name: state[name] for name in self.state_spaces}

    def respond(self, state: State, actions: Tensor) -> tuple[Tensor, Tensor | None]:
        """The response and its length (None if it has none), from the last state and the last action."""
        return self.answer.response(state, actions)

    def turns(self, state: State) -> dict[str, Tensor] | None:
        """The replies between the turns of a conversation, by the keys of ``turn_spaces``; else None."""
        return None

    @property
    def turn_spaces(self) -> Mapping[str, gym.Space[Any]]:
        """Spaces of ``turns``; empty without a conversation."""
        return {}

    # The truth --------------------------------------------------------------------------------------------

    @abstractmethod
    def utility(self, response: Tensor, length: Tensor | None, reference: Fields) -> Judgement:
        """The true utility of answers, in [0, 1], with named parts.

        Row i depends on row i of the arguments alone, bit for bit.

        Args:
            response: As ``respond`` returns it, leading dimension n.
            length: As ``respond`` returns it.
            reference: The fields named by ``self.reference``, leading dimension n.
        """

    def utility_one(
        self, response: NDArray[Any], length: int | None, reference: Mapping[str, NDArray[Any]]
    ) -> tuple[float, dict[str, float]] | None:
        """``utility`` of one answer as Python's own numbers, equal bit for bit; None: ask ``utility``.

        A batch of one takes a hundred microseconds. A task may have this method for ``gym.make``.
        """
        return None

    # Baseline policies: known responses --------------------------------------------------------------------

    @abstractmethod
    def oracle(self, reference: Fields) -> Tensor:
        """The response that maximises utility, for each row."""

    @abstractmethod
    def blind(self, context: Fields, reference: Fields, seen: Fields) -> Tensor:
        """For each row of ``seen`` the best response that ignores every picture and sound.

        Args:
            context: Observations of many training items.
            reference: The truth of these training items.
            seen: The observations of the items to answer; an entry ``row`` where nothing else is visible.
        """

    def random(self, hashes: Tensor) -> Tensor:
        """A random response for each hash, (n,) int64."""
        return self.answer.random(hashes)

    def references(self, reference: Fields) -> tuple[Tensor, Tensor]:
        """Good responses to each item, (n, R, ...), and which exist, (n, R) bool: the oracle's alone."""
        best = self.oracle(reference)[:, None]
        return best, torch.ones(best.shape[:2], dtype=torch.bool, device=best.device)

    def good(self, reference: Fields, hashes: Tensor) -> Tensor:
        """One of the references of each item, by hash (n,) int64; an empty one if it has none."""
        several, there = self.references(reference)
        wanted = integers(hashes, there.sum(1).clamp(min=1))
        one = (there & (there.cumsum(1) == wanted[:, None] + 1)).to(torch.int64).argmax(1)
        return several[torch.arange(len(one), device=one.device), one]

    # For people -------------------------------------------------------------------------------------------

    def words(self, response: Tensor) -> str:
        """One response (a single row) as text for people."""
        return self.answer.describe(response)

    def reference_words(self, reference: Fields) -> list[str]:
        """Good answers to one item (fields of a single row) as text for people."""
        rows = {name: value[None] for name, value in reference.items()}
        several, there = self.references(rows)
        return [self.words(one) for one in several[0][there[0]]]

    # Derived ----------------------------------------------------------------------------------------------

    def _use(self, source: FieldSource) -> None:
        """Adopts the fields that a source makes."""
        self.source, self.facts, self.made = source, source.facts, source.made

    def _show(self, *names: str) -> None:
        """Sets the context to the existing ones of some fields, with their lengths and presence."""
        entries = [name + ending for name in names for ending in ("", "_length", "_present")]
        self.context = {name: name for name in entries if name in self._spaces}

    @property
    def _spaces(self) -> dict[str, gym.Space[Any]]:
        shown = {name: space for name, space in self.made.items() if space is not None}
        return {**self.dataset.spaces, **shown}

    @property
    def modalities(self) -> tuple[str, ...]:
        """The entries of the context without lengths and presence."""
        return tuple(key for key in self.context if not key.endswith(("_length", "_present")))

    @property
    def context_spaces(self) -> dict[str, gym.Space[Any]]:
        """The spaces of the context, by observation key."""
        spaces = self._spaces
        return {key: spaces[name] for key, name in self.context.items()}

    @property
    def action_space(self) -> gym.Space[Any]:
        """The space of one action."""
        return self.answer.action_space

    @property
    def observation_space(self) -> gym.spaces.Dict:
        """The flat Dict of one observation: context first, then state."""
        return gym.spaces.Dict({**self.context_spaces, **self.state_spaces})
