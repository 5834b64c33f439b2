"""What a reward model reads: the spaces of the context and of the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from mm_envs.data.text import Vocabulary
from mm_envs.engine.response import in_words
from mm_envs.spaces import Tokens, UniformBox, from_json, to_json
from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class ModelSpaces:
    """The spaces of one context and of one answer, without leading dimension.

    Attributes:
        context: By observation key.
        response: ``Tokens`` for words, ``Discrete`` for a choice, a ``Box`` for a vector.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> spaces = ModelSpaces.of(make_task("vqa"))
        >>> sorted(spaces.context), type(spaces.response).__name__
        (['image', 'question', 'question_length'], 'Discrete')
        >>> ModelSpaces.from_json(spaces.to_json()) == spaces
        True
    """

    context: Mapping[str, gym.Space[Any]]
    response: gym.Space[Any]

    @classmethod
    def of(cls, task: Task | ModelSpaces) -> ModelSpaces:
        """Those of a task; spaces are taken as they are."""
        if isinstance(task, ModelSpaces):
            return task
        response = task.state_spaces["tokens"] if in_words(task) else task.action_space
        return cls(dict(task.context_spaces), _uniform(response))

    @property
    def vocabularies(self) -> dict[str, str]:
        """The digests of the vocabularies, by observation key; that of the answers is ``response``."""
        spaces = {**self.context, "response": self.response}
        return {key: space.vocabulary.digest for key, space in spaces.items() if isinstance(space, Tokens)}

    def to_json(self) -> str:
        """The spaces as JSON text; ``from_json`` reads it back.

        Raises:
            ValueError: A space has no JSON form.
        """
        context = {key: json.loads(to_json(_uniform(space))) for key, space in self.context.items()}
        return json.dumps({"context": context, "response": json.loads(to_json(_uniform(self.response)))})

    @classmethod
    def from_json(cls, text: str) -> ModelSpaces:
        """The spaces that ``to_json`` wrote."""
        said = json.loads(text)
        context = {key: from_json(json.dumps(space)) for key, space in said["context"].items()}
        return cls(context, from_json(json.dumps(said["response"])))

    def refuse_other(self, other: ModelSpaces) -> None:
        """Refuses spaces that are not these.

        Raises:
            ValueError: A space differs; the sentence names it and says what it was and what it is.
        """
        mine, theirs = ({**one.context, "response": one.response} for one in (self, other))
        for key in [*mine, *(key for key in theirs if key not in mine)]:
            was, now = (None if one.get(key) is None else _uniform(one[key]) for one in (mine, theirs))
            if was != now:
                raise ValueError(
                    f"space {key!r} is {now or 'missing'}, but the reward model was fitted with "
                    f"{was or 'none'}: use it with the task that it was fitted for, or fit another one"
                )


def _uniform(space: gym.Space[Any]) -> gym.Space[Any]:
    """A plain Box whose bounds are the same everywhere as a ``UniformBox``, which has a JSON form."""
    if type(space) is not gym.spaces.Box:
        return space
    low, high = np.unique(space.low), np.unique(space.high)
    if len(low) != 1 or len(high) != 1:
        return space
    assert space.dtype is not None
    return UniformBox(float(low[0]), float(high[0]), space.shape, space.dtype)


def vocabulary_of(space: gym.Space[Any]) -> Vocabulary | None:
    """The vocabulary of a space of words, else None."""
    return space.vocabulary if isinstance(space, Tokens) else None
