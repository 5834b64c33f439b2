"""Finished episodes, and the protocol of the feedback that scores them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from mm_envs.batch import Batch

_NOTHING = torch.empty(0, dtype=torch.bool)


def _nothing() -> Tensor:
    return _NOTHING


@dataclass(frozen=True)
class Judgement(Batch):
    """The scores of n episodes.

    Attributes:
        reward: The reward of each episode, (n,) float32.
        parts: Named parts of the reward, each (n,) float32; they need not add up to the reward.
        judged: Which episodes were judged, (n,) bool, by default all; others have reward 0.
    """

    reward: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    judged: Tensor = field(default_factory=_nothing)

    def __post_init__(self) -> None:
        if self.judged is _NOTHING:
            object.__setattr__(self, "judged", torch.ones_like(self.reward, dtype=torch.bool))


@dataclass(frozen=True)
class Episodes(Batch):
    """A batch of n finished episodes; every tensor has leading dimension n.

    Attributes:
        context: The constant part of the observations, by observation key.
        response: The answer, in the form of its kind: (n,) int64 for a choice, (n, length) for words, ...
        response_length: The number of words of the answer, (n,) int64, without ``<eos>``; None for kinds
            without length.
        reference: The hidden truth, by field name. It, ``key`` and ``truth`` are None for feedback that must
            not see the reference.
        key: Seed, row and episode number, (n, 3) int64.
        truth: The true utility where known.
        turns: The replies between the turns of a conversation, by observation key; None without one.
    """

    context: Mapping[str, Tensor]
    response: Tensor
    response_length: Tensor | None = None
    reference: Mapping[str, Tensor] | None = None
    key: Tensor | None = None
    truth: Judgement | None = None
    turns: Mapping[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.response)

    def where(self, mask: Tensor, other: Episodes) -> Episodes:
        """These answers where the mask (n,) bool is True, else the others to the same prompts."""

        def chosen(one: Tensor, two: Tensor) -> Tensor:
            return torch.where(mask.view(-1, *[1] * (one.ndim - 1)), one, two)

        length = turns = None
        if self.response_length is not None and other.response_length is not None:
            length = chosen(self.response_length, other.response_length)
        if self.turns is not None and other.turns is not None:
            turns = {name: chosen(value, other.turns[name]) for name, value in self.turns.items()}
        response = chosen(self.response, other.response)
        return replace(self, response=response, response_length=length, truth=None, turns=turns)

    def blind(self) -> Episodes:
        """The same episodes without reference, key and truth, for learned feedback.

        The context is gathered: a lazy one refers to the items.
        """
        return replace(self, context=dict(self.context), reference=None, key=None, truth=None)


@dataclass(frozen=True)
class Prompts(Batch):
    """The unanswered part of n episodes; every tensor has leading dimension n.

    Attributes:
        context: The constant part of the observations, by observation key.
        reference: The hidden truth, by field name.
        key: Seed, row and episode number, (n, 3) int64.
        item: The index of the item in the dataset, (n,) int64.
    """

    context: Mapping[str, Tensor]
    reference: Mapping[str, Tensor]
    key: Tensor
    item: Tensor

    def __len__(self) -> int:
        return len(self.key)

    def answered(
        self, response: Tensor, length: Tensor | None = None, turns: Mapping[str, Tensor] | None = None
    ) -> Episodes:
        """The episodes in which each of the n rows gets one answer; arguments as in ``Episodes``."""
        return Episodes(self.context, response, length, self.reference, self.key, turns=turns)


@dataclass(frozen=True)
class Segments(Batch):
    """n segments of up to T transitions of any environment.

    Attributes:
        observations: The observation before each action, by observation key, (n, T, ...).
        actions: (n, T, ...).
        mask: Which transitions exist, (n, T) bool: shorter segments are padded.
        rewards: The reward of each transition, (n, T) float32; None where unknown.
    """

    observations: Mapping[str, Tensor]
    actions: Tensor
    mask: Tensor
    rewards: Tensor | None = None

    def __len__(self) -> int:
        return len(self.mask)

    def flat(self) -> tuple[dict[str, Tensor], Tensor]:
        """Observations and actions of the existing transitions, concatenated, (m, ...)."""
        observations = {key: value[self.mask] for key, value in self.observations.items()}
        return observations, self.actions[self.mask]

    def total(self, scores: Tensor) -> Tensor:
        """The scores of segments, (n,): sums of those of transitions (m,), in the order of ``flat``."""
        each = torch.zeros(self.mask.shape, dtype=scores.dtype, device=scores.device)
        return each.masked_scatter(self.mask, scores).sum(1)


def derived(
    fields: Mapping[str, Tensor],
    name: Hashable,
    make: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]],
) -> Mapping[str, Tensor]:
    """Fields that follow from those of each item alone; the fields of the engine keep them, once an item.

    Args:
        fields: Fields of n items, such as ``Episodes.reference``.
        name: What is made, with everything that it depends on besides the item.
        make: Makes it from the fields of some items, row by row; tensors with the same leading dimension.
    """
    keep = getattr(fields, "derived", None)
    made: Mapping[str, Tensor] = make(fields) if keep is None else keep(name, make)
    return made


OneScore: TypeAlias = "Callable[[int, float, Mapping[str, float]], tuple[float, dict[str, float]]]"
"""Reward and parts of one prepared episode, from its index, its utility and the parts of it."""


@runtime_checkable
class Feedback(Protocol):
    """A source of reward: scores episodes.

    Attributes:
        sees_reference: Whether it gets ``reference``, ``key`` and ``truth``.
        deterministic: Whether the reward is a function of context, response and reference alone.
        scores_prefix: Whether it can score an unfinished answer, as dense reward requires.
        by_row: Optional, False where it is missing: whether row i of a judgement depends on row i of the
            episodes alone, bit for bit, and scoring does nothing else. ``gym.make`` then scores the possible
            choices of many coming episodes at once, also those that are never made: attributes of the
            feedback must not change in between. A subclass that replaces ``score`` sets it again.

    Feedback that knows the truth may have ``one_by_one(keys) -> OneScore``, too: it prepares many episodes by
    their keys (n, 3) int64, of which ``gym.make`` then scores one at a time.
    """

    sees_reference: bool
    deterministic: bool
    scores_prefix: bool

    def score(self, episodes: Episodes) -> Judgement:
        """The judgement of the episodes; keeps no hidden state."""
        ...


def follows(value: object, special: str, general: str) -> bool:
    """Whether an object has ``special``, and it belongs to the ``general`` method that is in use.

    A subclass or an object that replaces the general method alone must not be bypassed.
    """
    own = getattr(value, "__dict__", {})
    if special in own or general in own:
        return special in own
    owners = {name: _owner(type(value), name) for name in (special, general)}
    owner = owners[special]
    return owner is not None and issubclass(owner, owners[general] or object)


def scores_by_row(feedback: Feedback) -> bool:
    """Whether feedback may be asked about answers that are never given."""
    marked = bool(getattr(feedback, "by_row", False))
    return marked and all(follows(feedback, "by_row", name) for name in ("score", "_score"))


def _owner(kind: type[Any], name: str) -> type[Any] | None:
    """The class that defines an attribute."""
    return next((one for one in kind.__mro__ if name in vars(one)), None)
