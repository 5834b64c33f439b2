"""Answer kinds: how an answer is written, where it ends, and its text form.

A new kind is one file and one line in ``KINDS``. Higher layers keep one table from kind to what they need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from mm_envs.answers.boxes import Boxes
from mm_envs.answers.choice import Choice
from mm_envs.answers.kind import Answered, AnswerKind, Editor, State, response_hashes
from mm_envs.answers.ranking import Ranking
from mm_envs.answers.text import Text
from mm_envs.answers.turns import Turns
from mm_envs.answers.vector import Vector
from mm_envs.names import check_one_of
from mm_envs.spaces import Tokens
from mm_envs.tokenizers.table import from_plain

KINDS: dict[str, type[AnswerKind]] = {
    kind.name: kind for kind in (Choice, Text, Vector, Boxes, Ranking, Turns)
}


def to_config(kind: AnswerKind) -> dict[str, Any]:
    """A kind as JSON values; ``from_config`` reads it back."""
    return {"kind": kind.name, **kind.config()}


def from_config(config: Mapping[str, Any]) -> AnswerKind:
    """The kind that ``to_config`` wrote.

    Raises:
        ValueError: There is no such kind, or its arguments are wrong.
    """
    arguments = dict(config)
    name = arguments.pop("kind", None)
    check_one_of("kind", name, tuple(KINDS))
    if name == Text.name:
        arguments["vocabulary"] = from_plain(arguments.get("vocabulary"))
    try:
        return KINDS[name](**arguments)
    except TypeError as error:
        raise ValueError(f"answers of kind {name!r} do not take {sorted(arguments)}: {error}") from None


def kind_of(space: gym.Space[Any]) -> AnswerKind:
    """The kind of the actions of a foreign environment, by its action space.

    Raises:
        ValueError: No kind has such actions.
    """
    if isinstance(space, gym.spaces.Discrete) and int(space.start) == 0:
        return Choice([str(i) for i in range(int(space.n))])
    if isinstance(space, Tokens):
        return Text(space.vocabulary, int(space.shape[0]))
    if isinstance(space, gym.spaces.Box):
        return Vector(space.shape, float(space.low.min()), float(space.high.max()))
    raise ValueError(f"actions of {space} are answers of no kind: use Discrete or Box")


__all__ = [
    "KINDS", "AnswerKind", "Answered", "Boxes", "Choice", "Editor", "Ranking", "State", "Text", "Turns",
    "Vector", "from_config", "kind_of", "response_hashes", "to_config",
]  # fmt: skip
