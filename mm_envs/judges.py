"""Judges that need nothing above this layer: the truth, and the table of all names that stand for a judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from mm_envs.episodes import Episodes, Feedback, Judgement
from mm_envs.names import resolve

if TYPE_CHECKING:
    from mm_envs.tasks.task import Task

FEEDBACKS: dict[str, str] = {
    "truth": "mm_envs.judges:Truth",
    "accuracy": "mm_envs.metrics.accuracy:Accuracy",
    "token_f1": "mm_envs.metrics.accuracy:TokenF1",
    "rater": "feedback.annotators:SimulatedRater",
}


class Truth:
    """The true utility as reward; its parts are the parts of the utility.

    Args:
        task: The task whose utility it is.
    """

    sees_reference = True
    deterministic = True
    scores_prefix = True

    def __init__(self, task: Task) -> None:
        self._task = task

    def score(self, episodes: Episodes) -> Judgement:
        """The utility of each episode."""
        return true_utility(self._task, episodes)


def true_utility(task: Task, episodes: Episodes) -> Judgement:
    """The utility of episodes: as they carry it, or computed.

    Raises:
        ValueError: The episodes carry no reference.
    """
    if episodes.truth is not None:
        return episodes.truth
    if episodes.reference is None:
        raise ValueError("these episodes carry no reference: a judge that needs it says sees_reference=True")
    return task.utility(episodes.response, episodes.response_length, episodes.reference)


def make_feedback(feedback: str | Feedback, task: Task, **arguments: Any) -> Feedback:
    """The judge of a name of the table, of a ``module:attribute`` string, or the judge itself.

    A named judge is built with the task as its first argument.

    Raises:
        ValueError: The name is unknown, or the object cannot judge.
    """
    if isinstance(feedback, str):
        feedback = resolve("feedback", feedback, FEEDBACKS)(task, **arguments)
    if not isinstance(feedback, Feedback):
        raise ValueError(
            f"feedback={feedback!r} cannot judge: it needs score(episodes), sees_reference, deterministic "
            "and scores_prefix (see mm_envs.Feedback)"
        )
    return feedback


def judge(feedback: Feedback, episodes: Episodes) -> Judgement:
    """The judgement of a judge who is handed no more than it may see."""
    judgement = feedback.score(episodes if feedback.sees_reference else episodes.blind())
    if judgement.reward.shape != (len(episodes),) or judgement.reward.dtype != torch.float32:
        raise ValueError(
            f"{type(feedback).__name__}.score returned a reward of shape {tuple(judgement.reward.shape)} and "
            f"{judgement.reward.dtype} for {len(episodes)} episodes: return (n,) float32"
        )
    return judgement
