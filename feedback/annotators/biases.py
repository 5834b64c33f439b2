"""Biases: what lies between the true utility of an answer and its perceived utility."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import Any, ClassVar, Protocol, TypeAlias

import torch
from torch import Tensor

from feedback.annotators.blindness import blind_perception
from mm_envs.episodes import Episodes
from mm_envs.feedback_sources import true_utility
from mm_envs.names import check_one_of, one_of, refuse_unknown
from mm_envs.tasks.task import Task

Perception: TypeAlias = Callable[[Episodes], Tensor]
"""Perceives the utility of n episodes, (n,) float32."""


class Bias(Protocol):
    """Turns one perception of utility into another."""

    def bind(self, task: Task, perceive: Perception) -> Perception:
        """The perception through this bias; a ValueError if it does not fit the task."""
        ...


@dataclass(frozen=True)
class Blind:
    """Lacks one modality: parts of the utility that only it carries are not perceived.

    On scenes, words about such parts are left out before the answer is judged, so that they show in no other
    part. It has to be the first bias.

    Args:
        modalities: The observation key, or keys, that are not perceived.
    """

    kind: ClassVar[str] = "blind"
    modalities: str | tuple[str, ...]

    def __post_init__(self) -> None:
        if not all(isinstance(name, str) for name in self.missing):
            raise TypeError(f"modalities={self.modalities!r:.60} are no names")

    @property
    def missing(self) -> tuple[str, ...]:
        """The observation keys, one or several."""
        return (self.modalities,) if isinstance(self.modalities, str) else self.modalities

    def bind(self, task: Task, perceive: Perception) -> Perception:
        """What is perceived without these modalities."""
        for name in self.missing:
            check_one_of("blind modality", name, task.modalities)
        return blind_perception(task, self.missing) or perceive


@dataclass(frozen=True)
class Myopic:
    """Forgets the beginning: the latest words count most.

    The perceived utility is the sum of the changes by each step, step t of H weighted by gamma^(H-1-t)
    (Lee et al., "B-Pref", 2021):

        p = gamma^H u_0 + sum_t gamma^(H-1-t) (u_(t+1) - u_t)  =  u_H - (1 - gamma) sum_t gamma^(H-1-t) u_t,

    where u_t is the perceived utility of the first t words and H the number of words of the answer. Answers
    without length are perceived whole.

    Args:
        gamma: In (0, 1]; 1 forgets nothing.
    """

    kind: ClassVar[str] = "myopic"
    gamma: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma={self.gamma} is not within 0 (not included) to 1: 1 forgets nothing")

    def bind(self, task: Task, perceive: Perception) -> Perception:
        """Perceived utility with later steps weighed more."""

        def seen(episodes: Episodes) -> Tensor:
            length = episodes.response_length
            if length is None:
                return perceive(episodes)
            powers = self.gamma ** torch.arange(episodes.response.shape[1], dtype=torch.float64)
            powers = powers.to(length.device, torch.float32)
            past = torch.zeros(len(episodes), device=length.device)
            for step in range(len(powers)):
                left = length - 1 - step
                weight = powers[left.clamp(min=0)].masked_fill(left < 0, 0)
                past = past + weight * perceive(beginning(task, episodes, step))
            return perceive(episodes) - (1 - self.gamma) * past

        return seen


@dataclass(frozen=True)
class Length:
    """Takes length for quality: an answer of the task's full length seems better by ``strength``.

    Args:
        strength: In standard deviations of utility; shorter answers get their share of it, negative values
            prefer them.
    """

    kind: ClassVar[str] = "length"
    strength: float = 1.0

    def __post_init__(self) -> None:
        _finite("strength", self.strength)

    def bind(self, task: Task, perceive: Perception) -> Perception:
        """Perceived utility with a bonus for length."""
        step = self.strength * task.utility_deviation / task.horizon

        def seen(episodes: Episodes) -> Tensor:
            length = episodes.response_length
            return (
                perceive(episodes) if length is None else perceive(episodes) + step * length.to(torch.float32)
            )

        return seen


@dataclass(frozen=True)
class Favourite:
    """Likes answers that hold a certain word: they seem better by ``strength`` deviations of utility."""

    kind: ClassVar[str] = "favourite"
    word: str
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.word, str):
            raise TypeError(f"word={self.word!r:.60} is no text")
        _finite("strength", self.strength)

    def bind(self, task: Task, perceive: Perception) -> Perception:
        """Perceived utility with a bonus for the word."""
        kind, worth = task.answer, self.strength * task.utility_deviation
        example = kind.finish(kind.random(torch.zeros(1, dtype=torch.int64)))
        kind.holds(self.word, *example)  # refuses a word that no answer can hold

        def seen(episodes: Episodes) -> Tensor:
            held = kind.holds(self.word, episodes.response, episodes.response_length)
            return perceive(episodes) + worth * held.to(torch.float32)

        return seen


BIASES: dict[str, type[Any]] = {bias.kind: bias for bias in (Blind, Myopic, Length, Favourite)}


def make_bias(bias: Bias | Mapping[str, Any]) -> Bias:
    """The bias that ``{"kind": ..., argument: value, ...}`` describes, or the bias itself.

    Example:
        >>> make_bias({"kind": "blind", "modalities": ["audio"]})
        Blind(modalities=('audio',))
    """
    if not isinstance(bias, Mapping):
        return bias
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in bias.items()}
    kind = arguments.pop("kind", None)
    if not isinstance(kind, str) or kind not in BIASES:
        raise ValueError(one_of("bias kind", kind, BIASES))
    made = BIASES[kind]
    refuse_unknown(f"bias {kind!r}", arguments, [one.name for one in fields(made)])
    try:
        built: Bias = made(**arguments)
    except TypeError as error:
        raise ValueError(f"bias {kind!r} does not take {arguments}: {error}") from error
    return built


def perceived_through(task: Task, biases: tuple[Bias, ...]) -> Perception:
    """What is perceived of answers to a task through some biases, the first one nearest to the truth."""

    def truth(episodes: Episodes) -> Tensor:
        return true_utility(task, episodes).reward

    perceive: Perception = truth
    for index, bias in enumerate(biases):
        if isinstance(bias, Blind) and index:
            raise ValueError(f"{bias} comes behind {biases[0]}: name it first, with all its modalities")
        perceive = bias.bind(task, perceive)
    return perceive


def beginning(task: Task, episodes: Episodes, steps: int) -> Episodes:
    """The episodes as if only the first steps of the answers had been written."""
    response, length = task.answer.beginning(episodes.response, episodes.response_length, steps)
    return replace(episodes, response=response, response_length=length, truth=None, turns=None)


def _finite(name: str, value: float) -> None:
    if not isfinite(value):
        raise ValueError(f"{name}={value} is no finite number")
