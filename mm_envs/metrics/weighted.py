"""Weighted sum of several feedback sources, with named parts."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import torch

from mm_envs.episodes import Episodes, Feedback, Judgement, scores_by_row
from mm_envs.feedback_sources import judgement, make_feedback

if TYPE_CHECKING:
    from mm_envs.tasks.task import Task


class WeightedSum:
    """Weighted sum of several feedback sources; its parts are their rewards before weighting.

    An episode is judged where all sources judge it. The sum is deterministic, or scores prefixes, where all
    sources do. Each source gets no more than it may see.

    Args:
        task: The task whose episodes are judged.
        parts: Name of a feedback -> its weight.
        arguments: Name of a feedback -> its arguments.
        sources: Name -> a feedback source, for names of ``parts`` that are in no table.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> feedback = WeightedSum(make_task("caption", items=64), {"bleu": 0.75, "rouge_l": 0.25})
        >>> feedback.deterministic, list(feedback.sources)
        (True, ['bleu', 'rouge_l'])
    """

    def __init__(
        self,
        task: Task,
        parts: Mapping[str, float],
        arguments: Mapping[str, Mapping[str, Any]] | None = None,
        sources: Mapping[str, Feedback] | None = None,
    ) -> None:
        arguments, sources = arguments or {}, sources or {}
        if not parts:
            raise ValueError("parts={} has no feedback: give at least one name with its weight")
        for name in (*arguments, *sources):
            if name not in parts:
                raise ValueError(f"{name!r} has no weight: name it in parts, too")
        for name, weight in parts.items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not isfinite(weight):
                raise ValueError(f"parts[{name!r}]={weight!r} is no finite number: give its weight")
        self.weights = dict(parts)
        self.sources: dict[str, Feedback] = {
            name: make_feedback(sources.get(name, name), task, **arguments.get(name, {})) for name in parts
        }
        members = self.sources.values()
        self.sees_reference = any(member.sees_reference for member in members)
        self.deterministic = all(member.deterministic for member in members)
        self.scores_prefix = all(member.scores_prefix for member in members)

    @property
    def by_row(self) -> bool:
        """Whether all sources score by row."""
        return all(map(scores_by_row, self.sources.values()))

    def score(self, episodes: Episodes) -> Judgement:
        """The weighted sum for each episode."""
        judgements = {name: judgement(source, episodes) for name, source in self.sources.items()}
        first = next(iter(judgements.values()))
        reward, judged = torch.zeros_like(first.reward), torch.ones_like(first.judged)
        for name, one in judgements.items():
            reward = reward + self.weights[name] * one.reward
            judged = judged & one.judged
        rewards = {name: one.reward for name, one in judgements.items()}
        return Judgement(torch.where(judged, reward, 0.0), rewards, judged)
