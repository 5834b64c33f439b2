"""The spaces of a reward model: those of the context, and the kind of the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
from torch import Tensor

from feedback.preferences.batches import Answers
from mm_envs.answers import AnswerKind, from_config, kind_of, to_config
from mm_envs.spaces import Tokens, UniformBox, from_json, to_json
from mm_envs.tasks.task import Task


@dataclass(frozen=True, init=False)
class ModelSpaces:
    """The spaces of one context and of one answer, without leading dimension.

    A plain ``Box`` becomes the ``UniformBox`` of its least and its largest bound, which has a JSON form.

    Attributes:
        context: By observation key.
        answer: The kind of the answers, or the action space of another environment.
        turns: The spaces of what is heard between turns, by key; empty without a conversation.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> spaces = ModelSpaces.of(make_task("vqa"))
        >>> sorted(spaces.context), spaces.answer.name
        (['image', 'question', 'question_length'], 'choice')
        >>> ModelSpaces.from_json(spaces.to_json()) == spaces
        True
    """

    context: Mapping[str, gym.Space[Any]]
    answer: AnswerKind
    turns: Mapping[str, gym.Space[Any]] = field(default_factory=dict)

    def __init__(
        self,
        context: Mapping[str, gym.Space[Any]],
        answer: AnswerKind | gym.Space[Any],
        turns: Mapping[str, gym.Space[Any]] | None = None,
    ) -> None:
        kind = answer if isinstance(answer, AnswerKind) else kind_of(answer)
        object.__setattr__(self, "context", {key: _uniform(space) for key, space in context.items()})
        object.__setattr__(self, "answer", kind)
        object.__setattr__(self, "turns", dict(turns or {}))

    @classmethod
    def of(cls, task: Task | ModelSpaces) -> ModelSpaces:
        """Those of a task; spaces are taken as they are."""
        if isinstance(task, ModelSpaces):
            return task
        return cls(task.context_spaces, task.answer, task.turn_spaces)

    @property
    def named(self) -> dict[str, Any]:
        """Everything that two equal models agree on, by name."""
        turns = {f"turns/{key}": space for key, space in self.turns.items()}
        return {**self.context, "response": self.answer, **turns}

    @property
    def vocabularies(self) -> dict[str, str]:
        """The digests of the vocabularies, by observation key; that of the answers is ``response``."""
        found = {
            key: space.vocabulary.digest for key, space in self.context.items() if isinstance(space, Tokens)
        }
        return {**found, "response": self.answer.digest} if self.answer.digest else found

    def to_json(self) -> str:
        """The spaces as JSON text; ``from_json`` reads it back."""
        context, turns = (
            {key: json.loads(to_json(space)) for key, space in spaces.items()}
            for spaces in (self.context, self.turns)
        )
        return json.dumps({"context": context, "answer": to_config(self.answer), "turns": turns})

    @classmethod
    def from_json(cls, text: str) -> ModelSpaces:
        """The spaces that ``to_json`` wrote."""
        read = json.loads(text)
        context, turns = (
            {key: from_json(json.dumps(space)) for key, space in read[name].items()}
            for name in ("context", "turns")
        )
        return cls(context, from_config(read["answer"]), turns)

    def refuse_other(self, other: ModelSpaces) -> None:
        """Refuses spaces that are not these; the message names the one that differs."""
        mine, theirs = self.named, other.named
        for key in [*mine, *(key for key in theirs if key not in mine)]:
            was, now = mine.get(key), theirs.get(key)
            if was != now:
                raise ValueError(
                    f"space {key!r} is {now or 'missing'}, but the reward model was fitted with "
                    f"{was or 'none'}: use it with the task that it was fitted for, or fit another one"
                )

    def refuse_answers(self, answers: Answers) -> None:
        """Refuses answers, or contexts, that are not of these spaces."""
        for key, space in self.context.items():
            if key not in answers.contexts:
                raise ValueError(
                    f"contexts lack {key!r}: they have {', '.join(answers.contexts) or 'nothing'}"
                )
            _refuse_shape(f"contexts[{key!r}]", answers.contexts[key], space)
        for key in self.turns:
            if key not in (answers.turns or {}):
                raise ValueError(f"turns lack {key!r}: play answers with mm_envs.tasks.play.answered")
        space = self.answer.space
        _refuse_shape("response", answers.response, space)
        if not answers.response.is_floating_point() and answers.response.numel():
            least, most = (int(one) for one in answers.response.aminmax())
            high = int(space.n) - 1 if isinstance(space, gym.spaces.Discrete) else int(space.high.max())  # type: ignore[attr-defined]
            if least < 0 or most > high:
                wrong = least if least < 0 else most
                raise ValueError(f"response has the number {wrong}, but answers are numbers 0 to {high}")


def _refuse_shape(name: str, given: Tensor, space: gym.Space[Any]) -> None:
    if given.shape[1:] != (space.shape or ()):
        raise ValueError(f"each row of {name} is of shape {tuple(given.shape[1:])}, but the space is {space}")


def _uniform(space: gym.Space[Any]) -> gym.Space[Any]:
    """A plain Box as a ``UniformBox``, which has a JSON form."""
    if type(space) is not gym.spaces.Box:
        return space
    assert space.dtype is not None
    return UniformBox(float(space.low.min()), float(space.high.max()), space.shape, space.dtype)
