"""Good answers: one of the references, or the right answer."""

from __future__ import annotations

import torch
from torch import Tensor

from mm_envs.engine.response import in_words
from mm_envs.random import integers
from mm_envs.tasks.scores import Baselines
from mm_envs.tasks.task import Fields, Task
from mm_envs.tokenizers import PAD


def reference_answer(task: Task, reference: Fields, bits: Tensor) -> Tensor:
    """A good answer to each of n items: of captions one of the references, otherwise the right answer.

    Args:
        task: The task.
        reference: Its hidden truth, leading dimension n.
        bits: A hash for each item, (n,) int64: decides which reference.

    Returns:
        The answers as an agent would write them, as ``Episodes.response``; silence for an item without any.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> reference_answer(make_task("vqa"), {"answer": torch.tensor([5, 0])}, torch.tensor([1, 2]))
        tensor([5, 0])
    """
    baselines = Baselines(task)
    if "captions" not in reference or not in_words(task):
        return baselines.oracle(reference)
    captions = reference["captions"]
    # Folders pad where an item has fewer references than others.
    there = (captions != PAD).any(2)
    wanted = integers(bits, there.sum(1).clamp(min=1))
    one = (there & (there.cumsum(1) == wanted[:, None] + 1)).to(torch.int64).argmax(1)
    chosen = captions[torch.arange(len(one), device=one.device), one]
    fitted = torch.nn.functional.pad(chosen, (0, max(0, task.horizon - chosen.shape[1])), value=PAD)
    return baselines.written(fitted[:, : task.horizon])
