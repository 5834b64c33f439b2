"""Samplers by the text of a command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from feedback.responses.edited import Edits, RightAndWrong
from feedback.responses.sampler import Sampler
from feedback.responses.samples import MismatchedReferences, Mixture, PolicySamples
from mm_envs.names import one_of
from mm_envs.tasks.task import Task

_RANGE = re.compile(r"(\d{1,3})-(\d{1,3})")


def make_sampler(spec: str, task: Task) -> Sampler:
    """The sampler that a text describes.

    - ``edits``, or ``edits:1-3`` for 1 to 3 edits: ``Edits``;
    - ``right_and_wrong``: ``RightAndWrong``;
    - ``mismatched_references``: ``MismatchedReferences``;
    - ``policy:FOLDER``, or ``policy:FOLDER@0.7`` for temperature 0.7: ``PolicySamples`` of a saved policy;
    - several of them joined by ``+``: ``Mixture``, equally often.

    Raises:
        ValueError: The text is not understood, or the sampler does not fit the task.
        FileNotFoundError: There is no policy in the folder.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> make_sampler("edits:1-2+mismatched_references", make_task("caption")).name
        'mixture of reference with 1 to 2 edits (50%), good answers to another picture (50%)'
    """
    made = [_one(part.strip(), task) for part in spec.split("+")]
    return made[0] if len(made) == 1 else Mixture(made)


def _one(part: str, task: Task) -> Sampler:
    name, _, argument = part.partition(":")
    if name not in _SAMPLERS:
        raise ValueError(f"{one_of('sampler', name, _SAMPLERS)}, joined by +")
    return _SAMPLERS[name](argument, task)


def _edits(argument: str, task: Task) -> Sampler:
    found = _RANGE.fullmatch(argument or "0-4")
    if found is None:
        raise ValueError(f"sampler 'edits:{argument}' is no range of numbers of edits: write edits:0-4")
    return Edits(task, (int(found[1]), int(found[2])))


def _policy(argument: str, task: Task) -> Sampler:
    from agents.policy_folder import load_policy

    folder, at, written = argument.rpartition("@")
    if not at:
        folder, written = argument, "1"
    try:
        temperature = float(written)
    except ValueError:
        folder, temperature = argument, 1.0
    if not folder:
        raise ValueError("sampler 'policy:' names no folder: write policy:FOLDER, or policy:FOLDER@0.7")
    return PolicySamples(load_policy(folder, task), temperature, Path(folder).name, task)


def _without(maker: Callable[[Task], Sampler]) -> Callable[[str, Task], Sampler]:
    def make(argument: str, task: Task) -> Sampler:
        if argument:
            raise ValueError(f"sampler {argument!r:.40} is an argument that it does not take: leave it out")
        return maker(task)

    return make


_SAMPLERS: dict[str, Callable[[str, Task], Sampler]] = {
    "edits": _edits,
    "right_and_wrong": _without(RightAndWrong),
    "mismatched_references": _without(MismatchedReferences),
    "policy": _policy,
}
