"""What a reward model reads: the spaces of the context and of the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
from torch import Tensor

from feedback.preferences.batches import Answers
from mm_envs.spaces import Tokens, UniformBox, from_json, to_json
from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class ModelSpaces:
    """The spaces of one context and of one answer, without leading dimension.

    A plain ``Box`` becomes the ``UniformBox`` of its least and its largest bound, which has a JSON form: so a
    model that was saved reads numbers on the same scale again.

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

    def __post_init__(self) -> None:
        context = {key: _uniform(space) for key, space in self.context.items()}
        object.__setattr__(self, "context", context)
        object.__setattr__(self, "response", _uniform(self.response))

    @classmethod
    def of(cls, task: Task | ModelSpaces) -> ModelSpaces:
        """Those of a task; spaces are taken as they are."""
        if isinstance(task, ModelSpaces):
            return task
        response = task.answer.space
        return cls(task.context_spaces, response)

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
        context = {key: json.loads(to_json(space)) for key, space in self.context.items()}
        return json.dumps({"context": context, "response": json.loads(to_json(self.response))})

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
            was, now = mine.get(key), theirs.get(key)
            if was != now:
                raise ValueError(
                    f"space {key!r} is {now or 'missing'}, but the reward model was fitted with "
                    f"{was or 'none'}: use it with the task that it was fitted for, or fit another one"
                )

    def refuse_answers(self, answers: Answers) -> None:
        """Refuses answers that are not of these spaces.

        Raises:
            ValueError: An entry of the contexts is missing or of another shape, or an answer is no answer.
        """
        for key, space in self.context.items():
            if key not in answers.contexts:
                raise ValueError(
                    f"contexts lack {key!r}: they have {', '.join(answers.contexts) or 'nothing'}"
                )
            _refuse_shape(f"contexts[{key!r}]", answers.contexts[key], space)
        _refuse_shape("response", answers.response, self.response)
        low, high = _whole_bounds(self.response)
        if high is not None and answers.response.numel():
            least, most = (int(one) for one in answers.response.aminmax())
            if least < low or most > high:
                wrong = least if least < low else most
                raise ValueError(f"response has the number {wrong}, but answers are numbers {low} to {high}")


def _refuse_shape(name: str, given: Tensor, space: gym.Space[Any]) -> None:
    if given.shape[1:] != (space.shape or ()):
        raise ValueError(f"each row of {name} is of shape {tuple(given.shape[1:])}, but the space is {space}")


def _whole_bounds(space: gym.Space[Any]) -> tuple[int, int | None]:
    """The least and the largest number of words or choices; (0, None) for answers of another kind."""
    if isinstance(space, gym.spaces.Discrete):
        return int(space.start), int(space.start + space.n - 1)
    return 0, len(space.vocabulary) - 1 if isinstance(space, Tokens) else None


def _uniform(space: gym.Space[Any]) -> gym.Space[Any]:
    """A plain Box as a ``UniformBox``, which has a JSON form."""
    if type(space) is not gym.spaces.Box:
        return space
    assert space.dtype is not None
    return UniformBox(float(space.low.min()), float(space.high.max()), space.shape, space.dtype)
