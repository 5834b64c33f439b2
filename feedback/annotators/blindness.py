"""Utility as perceived without a modality."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor

from mm_envs.data.scenes.captions import RELATIONS, CaptionGrader, attribute_words
from mm_envs.episodes import Episodes
from mm_envs.feedback_sources import true_utility
from mm_envs.tasks.caption import Caption
from mm_envs.tasks.task import Task
from mm_envs.tokenizers import blank, compact, sizes


def unseen_parts(task: Task, missing: Collection[str]) -> tuple[str, ...]:
    """The parts of the utility that only missing modalities carry.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> unseen_parts(make_task("caption", sound="complement"), ["audio"])
        ('colour',)
    """
    carried = task.part_modalities.items()
    return tuple(part for part, carriers in carried if carriers and set(carriers) <= set(missing))


def blind_perception(task: Task, missing: Collection[str]) -> Callable[[Episodes], Tensor] | None:
    """Perceives utility without some modalities; None where they carry nothing by themselves.

    The perceived utility is the sum of the parts that are left, within 0 to 1.
    """
    unseen = unseen_parts(task, missing)
    if not unseen:
        return None
    left = [part for part in task.part_modalities if part not in unseen]
    strip = _stripping(task, unseen)

    def perceive(episodes: Episodes) -> Tensor:
        whole = true_utility(task, episodes)
        parts = dict(whole.parts)
        if strip is not None:
            assert episodes.reference is not None
            assert episodes.response_length is not None
            stripped = strip(episodes.response, episodes.response_length)
            parts = dict(task.utility(*stripped, episodes.reference).parts)
            # Grammar concerns the answer alone, and has to be that of the answer as it was given.
            parts["grammar"] = whole.parts["grammar"]
        total = torch.zeros_like(whole.reward)
        for part in left:
            total = total + parts[part]
        return total.clamp(0, 1)

    return perceive


def _stripping(
    task: Task, unseen: Collection[str]
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None:
    """Leaves out the words about parts that are not perceived; None if the words are not known."""
    if not isinstance(task, Caption) or not isinstance(task.grader, CaptionGrader):
        return None
    grader = task.grader
    spoken = {**attribute_words(grader.config), "relation": (*RELATIONS, "of")}
    dropped = [grader.vocabulary.ids[word] for part in unseen for word in spoken.get(part, ())]

    def strip(words: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        index = torch.arange(words.shape[1], device=words.device)
        gone = (index >= length[:, None]) | torch.isin(words, torch.tensor(dropped, device=words.device))
        kept = compact(torch.where(gone, blank(words.shape, words.device), words), words.shape[1])
        return kept, sizes(kept)

    return strip


def guessing(task: Task, missing: Collection[str]) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Maps true answers, with a hash for each, (n,) int64, to those given without some modalities.

    None where nothing is missed. On scenes the words of what is not perceived are left out. Without nouns, or
    without anything else to answer from, the answer is random.
    """
    unseen = unseen_parts(task, missing)
    if not unseen:
        return None
    strip = None if "shape" in unseen else _stripping(task, unseen)

    def guessed(answers: Tensor, hashes: Tensor) -> Tensor:
        if strip is None:
            return task.random(hashes)
        closed, length = task.answer.close(answers)
        assert length is not None
        return strip(closed, length)[0]

    return guessed
