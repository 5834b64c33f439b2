"""Given answers played through the transition of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from mm_envs.batch import Lazily
from mm_envs.episodes import Episodes, Prompts
from mm_envs.tasks.task import Task


def answered(task: Task, prompts: Prompts, response: Tensor, length: Tensor | None = None) -> Episodes:
    """The episodes in which each of n prompts gets one answer (n, ...), replies of conversations included.

    Example:
        >>> import torch
        >>> from mm_envs.engine.vector import MultimodalVectorEnv
        >>> envs = MultimodalVectorEnv(2, "classify", dataset="digits")
        >>> _ = envs.reset(seed=1)
        >>> episodes = answered(envs.task, envs.prompts(), torch.tensor([3, 4]))
        >>> episodes.response.tolist(), episodes.turns
        ([3, 4], None)
    """
    heard = turns_of(task, response, _fields(task, prompts), prompts.key)
    return prompts.answered(response, length, heard)


def hearing(task: Task, prompts: Prompts) -> Callable[[Tensor], dict[str, Tensor]] | None:
    """A function from answers to the replies between their turns; None without a conversation."""
    if not task.turn_spaces:
        return None
    fields = _fields(task, prompts)

    def hear(response: Tensor) -> dict[str, Tensor]:
        heard = turns_of(task, response, fields, prompts.key)
        assert heard is not None
        return heard

    return hear


def turns_of(
    task: Task, response: Tensor, fields: Mapping[str, Tensor], key: Tensor
) -> dict[str, Tensor] | None:
    """The replies between the turns of given answers (n, ...); None without a conversation.

    ``fields`` are those of context and reference by name, ``key`` is seed, row and episode, (n, 3) int64.
    """
    if not task.turn_spaces:
        return None
    state = task.start(fields, key)
    for step in range(task.horizon):
        state, _ = task.advance(state, task.answer.action(response, step), fields, key)
    return task.turns(state)


def _fields(task: Task, prompts: Prompts) -> Mapping[str, Tensor]:
    """Context and reference by the names of fields; what may be lazy, such as pictures, stays so."""
    shown = {task.context[key]: (prompts.context, key) for key in prompts.context}
    known = {name: (prompts.reference, name) for name in prompts.reference}
    return Lazily({**shown, **known}, lambda where: where[0][where[1]])
