"""Several judges as one: a weighted sum with named parts."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import torch

from mm_envs.episodes import Episodes, Feedback, Judgement
from mm_envs.judges import judge, make_feedback

if TYPE_CHECKING:
    from mm_envs.tasks.task import Task


class WeightedSum:
    """The weighted sum of what several judges say; its parts are their rewards, before they are weighted.

    An episode is judged where all of them judge it. It is deterministic, or can score a prefix, where all of
    them are or can; each judge is handed no more than it may see.

    Args:
        task: The task whose episodes are judged.
        parts: Name of a feedback -> its weight.
        arguments: Name of a feedback -> its arguments.
        judges: Name -> a judge that is there already, for names of ``parts`` that are in no table.

    Raises:
        ValueError: There are no parts, a weight is no finite number, or a name stands for nothing.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> judge = WeightedSum(make_task("caption", items=64), {"bleu": 0.75, "rouge_l": 0.25})
        >>> judge.deterministic, list(judge.judges)
        (True, ['bleu', 'rouge_l'])
    """

    def __init__(
        self,
        task: Task,
        parts: Mapping[str, float],
        arguments: Mapping[str, Mapping[str, Any]] | None = None,
        judges: Mapping[str, Feedback] | None = None,
    ) -> None:
        arguments, judges = arguments or {}, judges or {}
        if not parts:
            raise ValueError("parts={} has no judge: give at least one name with its weight")
        for name in (*arguments, *judges):
            if name not in parts:
                raise ValueError(f"{name!r} has no weight: name it in parts, too")
        for name, weight in parts.items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not isfinite(weight):
                raise ValueError(f"parts[{name!r}]={weight!r} is no finite number: give its weight")
        self.weights = dict(parts)
        self.judges: dict[str, Feedback] = {
            name: make_feedback(judges.get(name, name), task, **arguments.get(name, {})) for name in parts
        }
        members = self.judges.values()
        self.sees_reference = any(member.sees_reference for member in members)
        self.deterministic = all(member.deterministic for member in members)
        self.scores_prefix = all(member.scores_prefix for member in members)

    def score(self, episodes: Episodes) -> Judgement:
        """The weighted sum for each episode."""
        said = {name: judge(member, episodes) for name, member in self.judges.items()}
        first = next(iter(said.values()))
        reward, judged = torch.zeros_like(first.reward), torch.ones_like(first.judged)
        for name, judgement in said.items():
            reward = reward + self.weights[name] * judgement.reward
            judged = judged & judgement.judged
        rewards = {name: judgement.reward for name, judgement in said.items()}
        return Judgement(torch.where(judged, reward, 0.0), rewards, judged)
