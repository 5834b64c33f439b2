"""Heads: the distribution of a policy over the answers of each kind. A new kind is one file and one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym

from agents.heads.choice import ChoiceHead, RankingHead
from agents.heads.gaussian import GaussianHead
from agents.heads.head import AnswerHead, Context, Hear, Pointer
from agents.heads.text import TextHead
from agents.heads.turns import TurnsHead
from mm_envs.answers import AnswerKind, Boxes, Choice, Ranking, Text, Turns, Vector
from mm_envs.names import one_of

HEADS: dict[type[AnswerKind], Callable[..., AnswerHead]] = {
    Choice: ChoiceHead,
    Text: TextHead,
    Vector: GaussianHead,
    Boxes: GaussianHead,
    Ranking: RankingHead,
    Turns: TurnsHead,
}


def make_head(
    kind: AnswerKind,
    features: int,
    hidden: int,
    turn_spaces: Mapping[str, gym.Space[Any]] | None = None,
) -> AnswerHead:
    """The head of a kind of answers; ``turn_spaces`` are those of what is heard between turns.

    Raises:
        ValueError: The kind has no head.
    """
    if type(kind) not in HEADS:
        raise ValueError(f"{one_of('answers of kind', kind.name, [one.name for one in HEADS])}: no head")
    heard = {"heard": turn_spaces} if turn_spaces else {}
    return HEADS[type(kind)](kind, features, hidden, **heard)


__all__ = ["HEADS", "AnswerHead", "Context", "Hear", "Pointer", "make_head"]
