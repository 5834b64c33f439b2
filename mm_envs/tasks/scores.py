"""Baseline policies of a task (blind, random, oracle) and their mean utility."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from mm_envs.random import fold, stream
from mm_envs.spaces import Audio, Candidates, Image, Video
from mm_envs.tasks.task import Fields, Task

BASELINES = ("blind", "random", "oracle")


@dataclass(frozen=True)
class Score:
    """A mean over items with its 95 % interval (normal approximation, within 0 to 1)."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Tensor) -> Score:
        """The score from one value an item."""
        values = values.double()
        mean = float(values.mean())
        half = 1.96 * float(values.std(correction=0)) / sqrt(len(values))
        return cls(mean, max(0.0, mean - half), min(1.0, mean + half))


class Baselines:
    """The answers of the blind policy, fitted on ``fit`` training items, the random and the oracle policy.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("classify", dataset="digits")
        >>> Baselines(task).oracle({"label": torch.tensor([3, 7])})
        tensor([3, 7])
    """

    def __init__(self, task: Task, fit: int = 4000) -> None:
        self.task = task
        spaces = task.context_spaces
        # How long a sound is, and whether there is one, is not seen either.
        unseen = {key for key, space in spaces.items() if _is_sensed(space)}
        unseen |= {f"{key}{ending}" for key in unseen for ending in ("_length", "_present")}
        self.visible = {key: name for key, name in task.context.items() if key not in unseen}
        self._fit = fit if task.blind_items is None else min(fit, task.blind_items)

    def blind(self, seen: Fields, n: int) -> Tensor:
        """The best answers that ignore every picture and sound, for n rows.

        ``seen`` holds the entries of ``visible`` of their observations; others are ignored.
        """
        if not self.visible:
            return self._constant.to(_device(seen)).expand(n, *self._constant.shape[1:])
        context, reference = self._training
        shown = {key: seen[key].cpu() for key in self.visible}
        return self.task.blind(context, reference, shown).to(_device(seen))

    def random(self, hashes: Tensor) -> Tensor:
        """A uniformly random answer for each hash (n,)."""
        return self.task.random(hashes)

    def oracle(self, reference: Fields) -> Tensor:
        """The answers that maximise utility."""
        return self.task.oracle(reference)

    def utility(self, response: Tensor, reference: Fields) -> Tensor:
        """The utility of answers as written in an episode, (n,) float32."""
        return self.task.utility(*self.task.answer.finish(response), reference).reward

    @cached_property
    def _training(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        indices = self.task.dataset.range("train")[: self._fit]
        return self.fields(torch.arange(indices.start, indices.stop))

    @cached_property
    def _constant(self) -> Tensor:
        context, reference = self._training
        return self.task.blind(context, reference, {"row": torch.zeros(1)})

    def fields(self, indices: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The visible entries and the truth of some items; no picture is rendered."""
        names = {*self.visible.values(), *self.task.reference}
        batch = self.task.batch(indices, names)
        seen = {key: batch[name] for key, name in self.visible.items()}
        return seen, {name: batch[name] for name in self.task.reference}


def baseline_scores(
    task: Task, items: int = 1000, seed: int = 0, split: str | None = None, fit: int = 4000
) -> dict[str, Score]:
    """The mean utility of the blind, the random and the oracle policy on held-out items.

    Args:
        task: The task.
        items: The largest number of items; drawn without replacement.
        seed: Decides the items and the answers of the random policy.
        split: The split; None for the validation split, or the test split where that is empty.
        fit: The number of training items for the blind policy.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> scores = baseline_scores(make_task("classify", dataset="digits"), items=100)
        >>> scores["oracle"].mean, scores["blind"].mean < 0.3
        (1.0, True)
    """
    indices = task.dataset.range(split or _held_out(task))
    if not indices:
        raise ValueError(f"split={split!r} of dataset {task.dataset.name!r} is empty: choose another one")
    order = torch.randperm(len(indices), generator=torch.Generator().manual_seed(seed))[:items]
    baselines, n = Baselines(task, fit), len(order)
    seen, reference = baselines.fields(order + indices.start)
    hashes = fold(stream(seed, "random policy"), torch.arange(n))
    responses = {
        "blind": baselines.blind(seen, n),
        "random": baselines.random(hashes),
        "oracle": baselines.oracle(reference),
    }
    return {name: Score.of(baselines.utility(response, reference)) for name, response in responses.items()}


def _is_sensed(space: gym.Space[Any]) -> bool:
    """Whether an entry is a picture, a video or a sound."""
    return isinstance(space.single if isinstance(space, Candidates) else space, (Image, Video, Audio))


def _held_out(task: Task) -> str:
    """The first split of validation, test and train that has items: folders may lack some."""
    return next(name for name in ("validation", "test", "train") if task.dataset.splits.get(name))


def _device(fields: Fields) -> torch.device:
    return next((value.device for value in fields.values()), torch.device("cpu"))
