"""How much of the attention of the words that name an object falls on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.explaining.attention import AttentionMap, attention_of
from agents.explaining.counterfactual import scenes_of
from agents.explaining.errors import NotApplicableError
from agents.policy import ResponsePolicy
from mm_envs.data.scenes.answering import mentioned
from mm_envs.data.scenes.layout import boxes
from mm_envs.statistics import Interval, mean_interval
from mm_envs.tasks.fields import SceneQuestions
from mm_envs.tasks.task import Task

LAYER = "word"


@dataclass(frozen=True)
class Grounding:
    """The attention of w words on the object that each names.

    Attributes:
        share: The share of the attention of each word to the picture that falls on the object, (w,).
        chance: The share of the cells that the object covers, (w,): that of uniform attention.
        item: The row of the item of each word, (w,) int64.
    """

    share: Tensor
    chance: Tensor
    item: Tensor

    @property
    def interval(self) -> Interval:
        """The mean share with its interval, words of one item as a cluster."""
        return mean_interval(self.share.double().cpu().numpy(), self.item.tolist())

    @property
    def times_chance(self) -> float:
        """The mean share over the mean of chance."""
        return float(self.share.double().mean() / self.chance.double().mean())

    def to_dict(self) -> dict[str, float | int]:
        """Numbers as JSON values."""
        one = self.interval
        return {
            "words": len(self.share),
            "share": one.value,
            "low": one.low,
            "high": one.high,
            "chance": float(self.chance.double().mean()),
            "times_chance": self.times_chance,
        }


def grounding(
    policy: ResponsePolicy, task: Task, items: Tensor, layer: str = LAYER, entry: str = "image"
) -> Grounding:
    """The grounding of the words of questions about scenes in the objects that they name.

    Args:
        policy: A policy whose fusion lets words attend to positions, such as ``word_patch``.
        task: Questions about ``scenes``.
        items: Indices of items, (n,) int64.
        layer: The layer whose attention it is.
        entry: The picture.

    Raises:
        NotApplicableError: The task has no questions about scenes, the policy no such layer, or no word of
            these items names an object.
    """
    dataset = scenes_of(task)
    if not isinstance(task.source, SceneQuestions):
        raise NotApplicableError(f"task {type(task).__name__} has no questions: give one of vqa on scenes")
    context = task.batch(items, tuple(task.context.values()))
    maps = attention_of(policy, {key: context[name] for key, name in task.context.items()})
    found = [one for one in maps if (one.layer, one.queries, one.entry) == (layer, "question", entry)]
    if not found:
        known = ", ".join(sorted({one.layer for one in maps})) or "none"
        raise NotApplicableError(
            f"the policy has no layer {layer!r} of attention from question to {entry} (it has {known}): "
            "train one with fusion='word_patch'"
        )
    graph = dataset.graph(items)
    named = mentioned(context["question"], graph, dataset.config)
    return attention_on_objects(found[0], named, boxes(graph, dataset.config))


def attention_on_objects(attention: AttentionMap, named: Tensor, around: Tensor) -> Grounding:
    """The attention of words on the objects that they name.

    Args:
        attention: Of words over the cells of a picture.
        named: Which object each word names, (n, words, K) bool, at most one.
        around: The boxes of the objects, (n, K, 4) in 0 to 1.

    Raises:
        NotApplicableError: No word names an object, or the tokens are no grid.
    """
    if attention.shape is None or len(attention.shape) != 2:
        raise NotApplicableError(f"entry {attention.entry!r} is no grid of rows and columns: give a picture")
    row, word, index = named.nonzero().T
    if not len(row):
        raise NotApplicableError(
            "no word of these items names an object: give more items, or other kinds of questions"
        )
    covered = covered_cells(around, attention.shape)[row, index]
    weights = attention.weights[row, word]
    mass = weights.sum(1).clamp(min=torch.finfo(weights.dtype).tiny)
    return Grounding((weights * covered).sum(1) / mass, covered.float().mean(1), row)


def covered_cells(around: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Which cells of a grid boxes (..., 4) cover, (..., rows * columns) bool.

    They are the cells whose middle is inside, and the one that holds the middle of the box. Cells are taken
    as equal parts of the picture, although convolutions make each see its neighbours, too.

    Example:
        >>> covered_cells(torch.tensor([0.0, 0.0, 0.5, 1.0]), (1, 4)).tolist()
        [True, True, False, False]
    """
    left, top, right, bottom = around[..., None].unbind(-2)
    down, across = _covered(top, bottom, shape[0]), _covered(left, right, shape[1])
    return (down[..., :, None] & across[..., None, :]).flatten(-2)


def _covered(first: Tensor, last: Tensor, side: int) -> Tensor:
    """Which of so many parts of an axis intervals (..., 1) cover, (..., side) bool."""
    index = torch.arange(side, device=first.device)
    middle = (index + 0.5) / side
    holds = ((first + last) / 2 * side).long().clamp(max=side - 1) == index
    return ((middle >= first) & (middle < last)) | holds
