"""What is left of the truth for somebody who lacks a sense."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor

from mm_envs.data.scenes.captions import RELATIONS, CaptionGrader, attribute_words, compact
from mm_envs.data.text import PAD
from mm_envs.episodes import Episodes
from mm_envs.judges import true_utility
from mm_envs.tasks.task import Task


def unseen_parts(task: Task, missing: Collection[str]) -> tuple[str, ...]:
    """The parts of the utility that only missing modalities carry.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> unseen_parts(make_task("caption", sound="complement"), ["audio"])
        ('colour',)
    """
    carried = task.part_modalities.items()
    return tuple(part for part, carriers in carried if carriers and set(carriers) <= set(missing))


def blind_sight(task: Task, missing: Collection[str]) -> Callable[[Episodes], Tensor] | None:
    """Perceives utility without some modalities; None where they carry nothing by themselves.

    The perceived utility is the sum of the parts that are left, within 0 to 1.
    """
    unseen = unseen_parts(task, missing)
    if not unseen:
        return None
    left = [part for part in task.part_modalities if part not in unseen]
    strip = _stripping(task, unseen)

    def sight(episodes: Episodes) -> Tensor:
        whole = true_utility(task, episodes)
        parts = dict(whole.parts)
        if strip is not None:
            assert episodes.reference is not None
            parts = dict(task.utility(*strip(episodes), episodes.reference).parts)
            # Grammar concerns the answer alone, and has to be that of the answer as it was given.
            parts["grammar"] = whole.parts["grammar"]
        total = torch.zeros_like(whole.reward)
        for part in left:
            total = total + parts[part]
        return total.clamp(0, 1)

    return sight


def _stripping(task: Task, unseen: Collection[str]) -> Callable[[Episodes], tuple[Tensor, Tensor]] | None:
    """Leaves out the words that nobody can check who lacks some parts; None if the words are not known.

    Only so is an invented fact that is not seen no fault, and does not decide which object is meant.
    """
    grader = getattr(task, "grader", None)
    if not isinstance(grader, CaptionGrader):
        return None
    spoken = {**attribute_words(grader.config), "relation": RELATIONS}
    dropped = [grader.vocabulary.ids[word] for part in unseen for word in spoken.get(part, ())]

    def strip(episodes: Episodes) -> tuple[Tensor, Tensor]:
        words, length = episodes.response, episodes.response_length
        assert length is not None
        places = torch.arange(words.shape[1], device=words.device)
        gone = (places >= length[:, None]) | torch.isin(words, torch.tensor(dropped, device=words.device))
        return compact(words.masked_fill(gone, PAD), words.shape[1]), (~gone & (words != PAD)).sum(1)

    return strip
