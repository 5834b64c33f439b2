"""Explaining reward models: the modalities that the score of an answer is made of, and attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from agents.explaining.attention import Answer, AttentionMap, attention_in
from agents.explaining.attribution import Value, attribute
from agents.explaining.report import Explanation, make_example
from feedback.preferences.batches import Answers
from feedback.reward_models.answer_encoders import TokenLevelEncoder
from feedback.reward_models.ensemble import Ensemble
from feedback.reward_models.model import RewardModel
from mm_envs.names import at_least
from mm_envs.random import fold, stream
from mm_envs.tasks.task import Task

SCORE, MARGIN = "score of a good answer", "margin of a good answer over a random one"


def score_of(model: Ensemble, response: Tensor, length: Tensor | None = None) -> Value:
    """The aggregated score of given answers (n, ...), one to each context."""

    @torch.no_grad()
    def value(context: Mapping[str, Tensor]) -> Tensor:
        each = torch.arange(len(response), device=response.device)
        return model.aggregate(model.predict(Answers(context, each, response, length)))

    return value


def attention_of_model(
    model: Ensemble,
    context: Mapping[str, Tensor],
    response: Tensor,
    length: Tensor | None = None,
    spaces: Mapping[str, Any] | None = None,
) -> list[AttentionMap]:
    """The attention maps of a reward model that scores answers (n, ...), one to each context.

    Members have the same layers; the weights are means over members.

    Args:
        model: The reward model.
        context: Entries (n, ...).
        response: The answers; those in words attend to the tokens of the context, if the model decodes them.
        length: Of the answers, (n,) int64; None for kinds without length.
        spaces: Of the context, for the names of words.

    Example:
        >>> from feedback.reward_models import ModelConfig
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("vqa", items=64)
        >>> config = ModelConfig(features=16, width=8, fusion="word_patch")
        >>> model = Ensemble([RewardModel(task, config, seed=seed) for seed in range(2)])
        >>> context = task.batch(torch.arange(2), task.context)
        >>> maps = attention_of_model(model, context, torch.tensor([0, 1]))
        >>> [(one.layer, one.queries, one.entry, tuple(one.weights.shape)) for one in maps]
        [('word', 'question', 'image', (2, 10, 64))]
    """
    several = [_attention_of(one, context, response, length, spaces) for one in model.members]
    return [
        replace(maps[0], weights=torch.stack([one.weights for one in maps]).mean(0))
        for maps in zip(*several, strict=True)
    ]


def _attention_of(
    member: nn.Module,
    context: Mapping[str, Tensor],
    response: Tensor,
    length: Tensor | None,
    spaces: Mapping[str, Any] | None,
) -> list[AttentionMap]:
    assert isinstance(member, RewardModel)
    answer, reader = None, member.reader
    if isinstance(reader, TokenLevelEncoder):
        words, there = reader.kind.trimmed(response, length)
        answer = Answer(reader.decoder, words, there, reader.kind.vocabulary.words)
    return attention_in(member.context_encoder, context, spaces, answer)


def explain_reward_model(
    model: Ensemble, task: Task, items: Tensor, examples: int = 6, absent: str = "mask", seed: int = 0
) -> Explanation:
    """The Shapley values of modalities for the score of a good answer, and for its margin.

    What a score has in common for all answers to a context trains no policy, so the margin over a random
    answer to the same context tells more. Attention maps are those of the good answer.

    Args:
        model: The reward model.
        task: Its task.
        items: Indices of items in random order, (n,) int64.
        examples: How many of the first items are to be looked at.
        absent: How a modality is taken away, see ``agents.explaining.attribute``.
        seed: Decides the random answers.

    Raises:
        ValueError: There are too few items, or the answers are conversations.
    """
    at_least("items", len(items), 1, "explain at least one")
    if task.answer.name == "turns":
        raise ValueError("answers of kind 'turns' depend on replies: explain a model of answers at once")
    fields = task.batch(items, (*task.context.values(), *task.reference))
    context = {key: fields[name] for key, name in task.context.items()}
    reference = {name: fields[name] for name in task.reference}
    good = task.answer.finish(task.oracle(reference))
    other = task.answer.finish(task.random(fold(stream(seed, "answers to explain"), items)))
    score, against = score_of(model, *good), score_of(model, *other)
    games: dict[str, Value] = {SCORE: score, MARGIN: lambda shown: score(shown) - against(shown)}
    found = {name: attribute(game, context, task.modalities, absent) for name, game in games.items()}
    shown = []
    for row in range(min(examples, len(items))):
        one = {key: value[row : row + 1] for key, value in context.items()}
        truth = {name: value[row] for name, value in reference.items()}
        number = ("score", float(found[SCORE].values[-1, row]))
        example = make_example(task, int(items[row]), one, good[0][row], truth, number)
        answer = [None if part is None else part[row : row + 1] for part in good]
        assert answer[0] is not None
        maps = attention_of_model(model, one, answer[0], answer[1], task.context_spaces)
        shapley = found[MARGIN].of_row(row)
        shown.append(replace(example, valued=MARGIN, shapley=shapley, maps=tuple(maps)))
    return Explanation(task.context_spaces, len(items), found, absent, examples=shown)
