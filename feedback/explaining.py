"""Explaining reward models: the modalities that the score of an answer is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from agents.explaining.attribution import Value, attribute
from agents.explaining.report import Explanation, make_example
from feedback.preferences.batches import Answers
from feedback.reward_models.ensemble import Ensemble
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


def explain_reward_model(
    model: Ensemble, task: Task, items: Tensor, examples: int = 6, absent: str = "mask", seed: int = 0
) -> Explanation:
    """The Shapley values of modalities for the score of a good answer, and for its margin.

    What a score has in common for all answers to a context trains no policy, so the margin over a random
    answer to the same context tells more.

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
        shown.append(replace(example, valued=MARGIN, shapley=found[MARGIN].of_row(row)))
    return Explanation(task.context_spaces, len(items), found, absent, examples=shown)
