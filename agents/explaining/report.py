"""The explanation of a policy: all methods on the same items, and some items to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from agents.explaining.attention import AttentionMap, attention_of
from agents.explaining.attribution import Attribution, attribute
from agents.explaining.counterfactual import Swaps, changed_context, counterfactuals, scenes_of
from agents.explaining.errors import NotApplicableError
from agents.explaining.grounding import Grounding, grounding
from agents.explaining.values import greedy, probability_of, utility_of
from agents.policy import ResponsePolicy
from mm_envs.data.scenes.changes import FACTS, Changes, changes
from mm_envs.data.scenes.layout import COLOURS, SHAPES, SceneGraph
from mm_envs.names import at_least
from mm_envs.tasks.task import Task

PROBABILITIES = {
    "choice": "probability of the answer",
    "ranking": "probability of the answer",
    "text": "probability of a word of the answer",
}
"""What is valued besides the utility, by kind of answers; densities of numbers have no scale."""

_SWAPPED = 100  # items whose facts are changed, at most: each gives a dozen of contexts or more
_QUADRANTS = ("top left", "top right", "bottom left", "bottom right")
_STAYS = 2  # swaps of an example where the truth stays


@dataclass(frozen=True)
class ShownSwap:
    """One changed context of an example: what was changed, and answers before and after."""

    context: Mapping[str, Tensor]
    change: str
    answer: str
    truth_changes: bool
    answer_changes: bool
    kl: float
    utility: float


@dataclass(frozen=True)
class Example:
    """One item to look at.

    Attributes:
        item: Its index in the dataset.
        context: Without leading dimension.
        answer: The answer as text; for a reward model the answer that is scored.
        good: Good answers as text.
        score: The name of a number, and the number.
        valued: What its Shapley values share out.
        shapley: The Shapley values of its modalities, by key.
        maps: Attention maps of this row alone (n = 1).
        swaps: Some changed contexts.
    """

    item: int
    context: Mapping[str, Tensor]
    answer: str
    good: tuple[str, ...]
    score: tuple[str, float]
    valued: str = ""
    shapley: Mapping[str, float] = field(default_factory=dict)
    maps: tuple[AttentionMap, ...] = ()
    swaps: tuple[ShownSwap, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """What explains a policy or a reward model.

    Attributes:
        spaces: The spaces of contexts.
        items: How many items there are.
        attributions: Shapley values of modalities, by what is valued.
        absent: How modalities were taken away.
        swaps: Counterfactual swaps; None where no facts can be changed.
        grounding: Attention on objects; None without attention to pictures from questions about scenes.
        examples: Some items to look at.
    """

    spaces: Mapping[str, gym.Space[Any]]
    items: int
    attributions: Mapping[str, Attribution]
    absent: str = "mask"
    swaps: Swaps | None = None
    grounding: Grounding | None = None
    examples: Sequence[Example] = ()

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON values."""
        facts = None
        if self.swaps is not None:
            facts = {fact: self.swaps.of(fact).to_dict() for fact in FACTS}
            facts = {"all": self.swaps.to_dict(), **facts}
        return {
            "items": self.items,
            "absent": self.absent,
            "shapley": {name: one.to_dict() for name, one in self.attributions.items()},
            "counterfactuals": facts,
            "grounding": None if self.grounding is None else self.grounding.to_dict(),
        }


def explain(
    policy: ResponsePolicy, task: Task, items: Tensor, examples: int = 6, absent: str = "mask"
) -> Explanation:
    """The explanation of a policy on some items of its task.

    Shapley values of true utility and, by ``PROBABILITIES``, of the probability of the answer that is given
    with every modality. Methods that do not fit the task or the policy are left out.

    Args:
        policy: The policy.
        task: Its task.
        items: Indices of items in random order, (n,) int64.
        examples: How many of the first items are to be looked at.
        absent: How a modality is taken away, see ``attribute``.

    Raises:
        ValueError: There are too few items, or the policy holds conversations.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("vqa", items=64)
        >>> policy = ResponsePolicy(task, features=16, hidden=16)
        >>> sorted(explain(policy, task, torch.arange(8), examples=1).attributions)
        ['probability of the answer', 'utility']
    """
    at_least("items", len(items), 1, "explain at least one")
    fields = task.batch(items, (*task.context.values(), *task.reference))
    context = {key: fields[name] for key, name in task.context.items()}
    reference = {name: fields[name] for name in task.reference}
    response, length = greedy(policy, context)
    games = {"utility": utility_of(policy, task, reference)}
    if task.answer.name in PROBABILITIES:
        words = task.answer.name == "text"
        games[PROBABILITIES[task.answer.name]] = probability_of(policy, response, length, per_part=words)
    attributions = {name: attribute(game, context, task.modalities, absent) for name, game in games.items()}
    swaps = _if_possible(counterfactuals, policy, task, items[:_SWAPPED])
    utility = task.utility(response, length, reference).reward
    valued = list(games)[-1]
    shown = []
    for row in range(min(examples, len(items))):
        one = {key: value[row : row + 1] for key, value in context.items()}
        truth = {name: value[row] for name, value in reference.items()}
        example = make_example(
            task, int(items[row]), one, response[row], truth, ("utility", float(utility[row]))
        )
        maps = attention_of(policy, one, response[row : row + 1], task.context_spaces)
        selected = () if swaps is None else _shown_swaps(task, items, one, row, swaps)
        shapley = attributions[valued].of_row(row)
        shown.append(replace(example, valued=valued, shapley=shapley, maps=tuple(maps), swaps=selected))
    found = _if_possible(grounding, policy, task, items)
    return Explanation(task.context_spaces, len(items), attributions, absent, swaps, found, shown)


def make_example(
    task: Task,
    item: int,
    context: Mapping[str, Tensor],
    response: Tensor,
    reference: Mapping[str, Tensor],
    score: tuple[str, float],
) -> Example:
    """An example of one item; ``context`` has one row, ``response`` and ``reference`` none."""
    return Example(
        item,
        {key: value[0].cpu() for key, value in context.items()},
        task.words(response.cpu()),
        tuple(task.reference_words({name: value.cpu() for name, value in reference.items()})),
        score,
    )


def _if_possible(method: Any, *arguments: Any) -> Any:
    """What a method gives; None where it does not fit the task or the policy."""
    try:
        return method(*arguments)
    except NotApplicableError:
        return None


def _shown_swaps(
    task: Task, items: Tensor, context: Mapping[str, Tensor], row: int, swaps: Swaps
) -> tuple[ShownSwap, ...]:
    """Some changed contexts of one item: one of each fact that changes the truth, and some that do not."""
    mine = (swaps.source == row).nonzero()[:, 0]
    changes_truth = swaps.truth_changes[mine]
    facts = [mine[changes_truth & (swaps.fact[mine] == fact)][:1] for fact in range(len(FACTS))]
    rows = torch.cat([*facts, mine[~changes_truth][:_STAYS]])
    graph = scenes_of(task).graph(items[row : row + 1])
    every = changes(graph, scenes_of(task).config)
    shown = []
    for index in rows.tolist():
        fact, moved, value = (int(part[index]) for part in (swaps.fact, swaps.object, swaps.value))
        one = (every.fact == fact) & (every.object == moved) & (every.value == value)
        drawn = changed_context(task, items[row : row + 1], context, every.select(one))
        shown.append(
            ShownSwap(
                {key: part[0] for key, part in drawn.items()},
                describe_change(graph, every.select(one)),
                task.words(swaps.response[index].cpu()),
                bool(swaps.truth_changes[index]),
                bool(swaps.answer_changes[index]),
                float(swaps.kl[index]),
                float(swaps.utility_after[index]),
            )
        )
    return tuple(shown)


def describe_change(graph: SceneGraph, changed: Changes) -> str:
    """One change of one scene in words, such as "red circle becomes blue"."""
    index, value = int(changed.object[0]), int(changed.value[0])
    name = f"{COLOURS[int(graph.colour[0, index])]} {SHAPES[int(graph.shape[0, index])]}"
    fact = FACTS[int(changed.fact[0])]
    if fact == "position":
        other = (changed.graph.quadrant[0] != graph.quadrant[0]) & graph.present[0]
        moved = "is swapped to" if int(other.sum()) > 1 else "moves"
        return f"{name} {moved} {_QUADRANTS[value]}"
    return f"{name} becomes {COLOURS[value] if fact == 'colour' else f'a {SHAPES[value]}'}"
