"""A reward model as the feedback of an environment."""

from __future__ import annotations

from pathlib import Path

import torch

from feedback.preferences.batches import Answers
from feedback.reward_models.config import AGGREGATIONS
from feedback.reward_models.ensemble import Ensemble, aggregate
from feedback.reward_models.spaces import ModelSpaces
from feedback.reward_models.store import load
from mm_envs.episodes import Episodes, Judgement
from mm_envs.names import one_of
from mm_envs.tasks import Task


class LearnedReward:
    """The score of a reward model: of the context and the answer, and of nothing else.

    The reward is the aggregated score, of mean 0 and standard deviation 1 on the reference set of the model.
    Its parts are the ``mean`` of the members, their ``disagreement`` (standard deviation), and with
    ``members=True`` the score of each. It depends on the size of a batch by less than 1e-4 (rounding of
    matrix products). Unfinished answers are not scored.

    Args:
        task: The task whose answers are scored, or its spaces.
        path: The folder of a saved reward model.
        model: The model instead; it is used as it is, not copied.
        aggregation: "mean", "min" or "uwo"; None for that of the model.
        members: Whether the score of each member is a part.

    Raises:
        FileNotFoundError: There is no reward model at the path.
        ValueError: Neither or both of ``path`` and ``model`` are given, or the model is for another task.
    """

    sees_reference = False
    deterministic = True
    scores_prefix = False

    def __init__(
        self,
        task: Task | ModelSpaces,
        path: str | Path | None = None,
        *,
        model: Ensemble | None = None,
        aggregation: str | None = None,
        members: bool = False,
    ) -> None:
        if (path is None) == (model is None):
            raise ValueError(
                "feedback='reward_model' needs a model: give feedback_arguments={'path': the folder of one}"
            )
        if aggregation is not None and aggregation not in AGGREGATIONS:
            raise ValueError(one_of("aggregation", aggregation, AGGREGATIONS))
        if model is None:
            assert path is not None
            model = load(path, task)
        else:
            model.spaces.refuse_other(ModelSpaces.of(task))
        self.model, self.members = model, members
        self.aggregation = aggregation or model.aggregation

    def score(self, episodes: Episodes) -> Judgement:
        """The score of each episode; nothing but its context and its answer is looked at."""
        response = episodes.response
        if self.model.mean.device != response.device:
            self.model.to(response.device)
        each = torch.arange(len(response), device=response.device)
        answers = Answers(episodes.context, each, response, episodes.response_length, episodes.turns)
        scores = self.model.predict(answers)
        parts = {"mean": scores.mean(0), "disagreement": scores.std(0, correction=0)}
        if self.members:
            parts |= {f"member_{number}": score for number, score in enumerate(scores)}
        return Judgement(aggregate(scores, self.aggregation, self.model.penalty), parts)
