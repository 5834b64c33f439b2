"""Tasks, and the table of configurations that are registered as environment ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from mm_envs.names import keywords, refuse_unknown, resolve
from mm_envs.optional import lazy_attributes

if TYPE_CHECKING:
    from mm_envs.tasks.task import Task

TASKS: dict[str, str] = {
    "classify": "mm_envs.tasks.classify:Classify",
    "caption": "mm_envs.tasks.caption:Caption",
    "vqa": "mm_envs.tasks.vqa:VQA",
    "retrieve": "mm_envs.tasks.retrieve:Retrieve",
    "ground": "mm_envs.tasks.ground:Ground",
    "guess": "mm_envs.tasks.guess:Guess",
}

# Registered ids with the arguments of their environments. A line is frozen once released: another difficulty,
# vocabulary or length is another id or version.
CONFIGURATIONS: dict[str, Mapping[str, Any]] = {
    "MMClassify-v0": {"task": "classify"},
    "MMClassify-digits-v0": {"task": "classify", "dataset": "digits"},
    "MMClassify-distribution-v0": {"task": "classify", "dataset": "digits", "answer": "distribution"},
    "MMClassify-sound-v0": {"task": "classify", "sound": "complement"},
    "MMCaption-v0": {"task": "caption"},
    "MMCaption-sound-v0": {"task": "caption", "sound": "complement"},
    "MMCaption-many-v0": {"task": "caption", "objects": (1, 4), "textures": 3},
    "MMVQA-v0": {"task": "vqa"},
    "MMVQA-sound-v0": {"task": "vqa", "sound": "complement"},
    "MMVQA-tokens-v0": {"task": "vqa", "answer": "tokens"},
    "MMRetrieve-v0": {"task": "retrieve"},
    "MMGround-v0": {"task": "ground"},
    "MMGuess-v0": {"task": "guess", "objects": (3, 3)},
}


# The base class needs torch.
__getattr__ = lazy_attributes(__name__, {"mm_envs.tasks.task": ["Task"]})


def make_task(task: str | Task, **arguments: Any) -> Task:
    """The task of a name (or the task itself), built with its arguments.

    Raises:
        ValueError: The name is not that of a task, or neither the task nor its dataset takes such arguments.
    """
    from mm_envs.tasks.task import Task

    if isinstance(task, Task):
        if arguments:
            raise ValueError(f"arguments {sorted(arguments)} have no effect on a task that is built already")
        return task
    factory = resolve("task", task, TASKS)
    if not callable(factory):
        raise ValueError(f"task={task!r} cannot be called: name a class, or a function that builds a task")
    known = _arguments_of(factory, arguments)
    if known is not None:
        refuse_unknown(f"task {task!r}", arguments, known)
    built = factory(**arguments)
    if not isinstance(built, Task):
        raise ValueError(f"task={task!r} gives {type(built).__name__}: it has to give a Task")
    return built


def _arguments_of(factory: Callable[..., Any], arguments: Mapping[str, Any]) -> list[str] | None:
    """The arguments of a task and of its dataset; None if they cannot be known."""
    from mm_envs.data.dataset import Dataset, arguments_of

    named, others = keywords(factory)
    if not others:
        return named
    dataset = arguments.get("dataset", signature(factory).parameters.get("dataset"))
    dataset = dataset.default if isinstance(dataset, Parameter) else dataset
    # A dataset that is built already says by itself that arguments have no effect on it.
    if "dataset" not in named or isinstance(dataset, Dataset):
        return None
    further = arguments_of(dataset)
    return None if further is None else list(dict.fromkeys([*named, *further]))


__all__ = ["CONFIGURATIONS", "TASKS", "Task", "make_task"]
