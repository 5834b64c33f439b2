"""The table of feedback sources by name, and how one is built and asked for a judgement."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.episodes import Episodes, Feedback, Judgement, OneScore
from mm_envs.names import resolve

if TYPE_CHECKING:
    from mm_envs.tasks.task import Task

FEEDBACKS: dict[str, str] = {
    "truth": "mm_envs.feedback_sources:Truth",
    "accuracy": "mm_envs.metrics.accuracy:Accuracy",
    "token_f1": "mm_envs.metrics.accuracy:TokenF1",
    "exact_match": "mm_envs.metrics.feedback:ExactMatch",
    "bleu": "mm_envs.metrics.feedback:Bleu",
    "rouge_l": "mm_envs.metrics.feedback:RougeLGoogle",
    "rouge_l_coco": "mm_envs.metrics.feedback:RougeLCoco",
    "cider": "mm_envs.metrics.feedback:Cider",
    "cider_d": "mm_envs.metrics.feedback:CiderD",
    "weighted_sum": "mm_envs.metrics.weighted:WeightedSum",
    "annotator": "feedback.annotators:AnnotatorFeedback",
    "reward_model": "feedback.reward_models:LearnedReward",
    "simulated_annotator": "feedback.annotators:SimulatedAnnotator",
}


class TaskFeedback:
    """Base class of deterministic feedback that compares answers with the reference of a task."""

    sees_reference = True
    deterministic = True
    scores_prefix = True

    def __init__(self, task: Task) -> None:
        self._task = task


class Truth(TaskFeedback):
    """The true utility as reward, with its parts."""

    by_row = True

    def score(self, episodes: Episodes) -> Judgement:
        """The utility of each episode."""
        return true_utility(self._task, episodes)

    def one_by_one(self, keys: NDArray[np.int64]) -> OneScore:
        """The utility and its parts as they are."""
        return lambda index, utility, parts: (utility, dict(parts))


def true_utility(task: Task, episodes: Episodes) -> Judgement:
    """The utility of episodes: the one they carry, or computed.

    Raises:
        ValueError: The episodes carry no reference.
    """
    if episodes.truth is not None:
        return episodes.truth
    if episodes.reference is None:
        raise ValueError("these episodes carry no reference: feedback that needs it has sees_reference=True")
    return task.utility(episodes.response, episodes.response_length, episodes.reference)


def make_feedback(feedback: str | Feedback, task: Task, **arguments: Any) -> Feedback:
    """The feedback source of a name of ``FEEDBACKS`` or ``module:attribute``; an object is returned as it is.

    Raises:
        ValueError: The name is unknown, the source does not take the arguments, or the object is no source.
    """
    if isinstance(feedback, str):
        maker = resolve("feedback", feedback, FEEDBACKS)
        try:
            inspect.signature(maker).bind(task, **arguments)
        except TypeError as error:
            raise ValueError(f"feedback={feedback!r} does not take {arguments}: {error}") from error
        try:
            feedback = maker(task, **arguments)
        except TypeError as error:
            raise ValueError(f"feedback={feedback!r} cannot be made for a task: {error}") from error
    if not isinstance(feedback, Feedback):
        raise ValueError(
            f"feedback={feedback!r} is no feedback: it needs score(episodes), sees_reference, deterministic "
            "and scores_prefix (see mm_envs.Feedback)"
        )
    return feedback


def judgement(feedback: Feedback, episodes: Episodes) -> Judgement:
    """The checked judgement of a feedback source, which gets no more than it may see.

    Raises:
        ValueError: The source returned something else, or tensors of a wrong shape or dtype.
    """
    result = feedback.score(episodes if feedback.sees_reference else episodes.blind())
    name, n = f"{type(feedback).__name__}.score", len(episodes)
    if not isinstance(result, Judgement):
        raise ValueError(f"{name} returned a {type(result).__name__}: return mm_envs.Judgement(reward)")
    tensors = {"reward": result.reward, "judged": result.judged, **result.parts}
    for part, values in tensors.items():
        dtype = torch.bool if values is result.judged else torch.float32
        if not isinstance(values, Tensor) or tuple(values.shape) != (n,) or values.dtype != dtype:
            kind = type(values).__name__
            shape = f"{tuple(values.shape)} {values.dtype}" if isinstance(values, Tensor) else kind
            raise ValueError(f"{name} returned {part} as {shape} for {n} episodes: return ({n},) {dtype}")
    if any(values.requires_grad for values in tensors.values()):
        parts = {part: values.detach() for part, values in result.parts.items()}
        return Judgement(result.reward.detach(), parts, result.judged)
    return result
