"""The records of one environment in a store, with the task that they are about."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from feedback.collection import task_of
from feedback.preferences import Labelled, Pairwise, Record, labelled
from feedback.store import PreferenceStore
from mm_envs.engine.ticket import Ticket
from mm_envs.tasks.task import Task

_OF_FEEDBACK = ("feedback", "feedback_arguments", "reward")


@dataclass(frozen=True)
class Collected:
    """Records of one environment.

    Attributes:
        id: The environment.
        task: Its task, on the dataset that the items are of.
        records: The records, in the order in which they came.
        index: The index in the dataset of each item.
        arguments: The arguments of the environment as ``key=value``, but for those that locate its data.
    """

    id: str
    task: Task
    records: Sequence[Record]
    index: Mapping[str, int]
    arguments: Sequence[str]

    @cached_property
    def pairs(self) -> list[Pairwise]:
        """The comparisons that were not skipped."""
        return [one for one in self.records if isinstance(one, Pairwise) and one.choice != "skip"]

    @property
    def items(self) -> list[int]:
        """The items of the dataset, in their order."""
        return sorted(set(self.index.values()))

    def labelled(self, annotators: Sequence[str] | None = None) -> Labelled:
        """All records as tensors."""
        return labelled(self.records, self.task, annotators=annotators)

    def on(self, items: Collection[int], inside: bool = True) -> Collected:
        """The records on some items of the dataset, or those on all others."""
        index = {name: item for name, item in self.index.items() if (item in items) == inside}
        return replace(self, records=[one for one in self.records if one.item in index], index=index)

    def split(self, share: float, seed: int) -> tuple[Collected, Collected]:
        """Records to learn from, and those on a share of the items to test on."""
        items = self.items
        order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed)).tolist()
        count = min(round(share * len(items)), len(items) - 1)
        held_out = {items[position] for position in order[:count]}
        return self.on(held_out, inside=False), self.on(held_out)


def collected(store: PreferenceStore, name: str | None = None, data: Path | None = None) -> Collected:
    """The records of an environment, which is made from the tickets of its items.

    Args:
        store: The store.
        name: The id of the environment; None for the only one.
        data: The folder of files that the items are made of, if they are.

    Raises:
        ValueError: There are no records, or of several environments, or the data is another one.
    """
    records = list(store.records(environment=name))
    tickets = {one.item: Ticket.parse(one.item) for one in records if one.item.startswith("mm1:")}
    ids = sorted({ticket.id for ticket in tickets.values()})
    if not ids:
        about = f" on {name}" if name else " on items of an environment"
        raise ValueError(f"{store.where} holds no records{about}: collect or import some first")
    if len(ids) > 1:
        raise ValueError(f"{store.where} holds records on {', '.join(ids)}: say which with --id")
    first = next(iter(tickets.values()))
    arguments = {key: value for key, value in first.arguments.items() if key not in _OF_FEEDBACK}
    for key in first.missing:
        if key not in _OF_FEEDBACK and (key != "path" or data is None):
            cure = "give --data FOLDER" if key == "path" else "use the library in Python"
            raise ValueError(f"the items of {store.where} do not say their {key}: {cure}")
    given = [
        f"{key}={json.dumps(value)}"
        for key, value in arguments.items()
        if key != "path" and (key, value) != ("dataset", "folder")
    ]
    where: dict[str, Any] = {} if data is None else {"path": str(data.resolve())}
    task = task_of(first.id, **{**arguments, **where})
    first.compare(task)
    kept = [one for one in records if one.item in tickets]
    return Collected(first.id, task, kept, {item: ticket.item for item, ticket in tickets.items()}, given)
