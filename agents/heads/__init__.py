"""Heads: the distribution of a policy over the answers of each kind. A new kind is one file and one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from agents.context import Context
from agents.heads.choice import ChoiceHead, RankingHead
from agents.heads.gaussian import GaussianHead
from agents.heads.head import AnswerHead, Hear, Pointer
from agents.heads.parts import Categorical, Gaussian, Parts
from agents.heads.sampling import GREEDY, PLAIN, Sampling
from agents.heads.text import TextHead
from agents.heads.turns import TurnsHead
from mm_envs.answers import AnswerKind, Boxes, Choice, Ranking, Text, Turns, Vector
from mm_envs.names import one_of

HEADS: dict[type[AnswerKind], type[AnswerHead]] = {
    Choice: ChoiceHead,
    Text: TextHead,
    Vector: GaussianHead,
    Boxes: GaussianHead,
    Ranking: RankingHead,
    Turns: TurnsHead,
}


def head_class(kind: AnswerKind) -> type[AnswerHead]:
    """The class of the head of a kind of answers.

    Raises:
        ValueError: The kind has no head.
    """
    if type(kind) not in HEADS:
        raise ValueError(f"{one_of('answers of kind', kind.name, [one.name for one in HEADS])}: no head")
    return HEADS[type(kind)]


def make_head(
    kind: AnswerKind,
    features: int,
    hidden: int,
    turn_spaces: Mapping[str, gym.Space[Any]] | None = None,
    decoder: str = "gru",
    attended: int = 0,
) -> AnswerHead:
    """The head of a kind of answers.

    Args:
        kind: The kind.
        features: Numbers per fused vector of a context.
        hidden: Numbers per hidden state.
        turn_spaces: The spaces of what is heard between turns.
        decoder: Of heads that write words.
        attended: Numbers per token of a context, for heads that attend to tokens; 0 for no tokens.

    Raises:
        ValueError: The kind has no head, or there is no such decoder.
    """
    made = head_class(kind)
    further: dict[str, Any] = {"heard": turn_spaces} if turn_spaces else {}
    if made.attends:
        further["attended"] = attended
    if made is TextHead:
        further["decoder"] = decoder
    return made(kind, features, hidden, **further)


__all__ = [
    "GREEDY",
    "HEADS",
    "PLAIN",
    "AnswerHead",
    "Categorical",
    "Context",
    "Gaussian",
    "Hear",
    "Parts",
    "Pointer",
    "Sampling",
    "head_class",
    "make_head",
]
