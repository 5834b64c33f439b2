"""What is asked about: an environment, from what a user typed or from the items of a store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.run_folder import Setting
from mm_envs.cli.arguments import key_values, known_id, with_data

if TYPE_CHECKING:
    from feedback.annotators import AnnotatorPool
    from feedback.preferences import Item, Record
    from feedback.rounds import CandidatePairs
    from feedback.store import PreferenceStore
    from mm_envs.tasks.task import Task

_JUDGE = ("feedback", "feedback_arguments", "reward")


def setting_of(name: str, given: Sequence[str], data: Path | None, layout: str | None) -> Setting:
    """The environment that a user asks about.

    Args:
        name: Its id.
        given: Arguments as ``key=value``.
        data: The folder that its items are made of.
        layout: How to read it.

    Raises:
        ValueError: There is no such id, or an argument is none.
    """
    from mm_envs.untrusted import OF_GYMNASIUM, OF_THE_CALLER

    arguments = key_values(given)
    for key in arguments:
        if key in (*OF_THE_CALLER, *OF_GYMNASIUM, *_JUDGE):
            raise ValueError(f"--set {key}={arguments[key]} is not for --set: it decides nothing here")
    return Setting(known_id(name), with_data(arguments, data, layout))


@dataclass(frozen=True)
class Collected:
    """The records of one environment in a store.

    Attributes:
        id: The environment.
        task: Its task, on the dataset that the items are of.
        records: What was said, in the order in which it came.
        places: The index in the dataset of each item.
        given: The arguments of the environment as ``--set`` takes them, but for those of ``--data``.
    """

    id: str
    task: Task
    records: list[Record]
    places: dict[str, int]
    given: list[str]


def collected(store: PreferenceStore, name: str | None = None, data: Path | None = None) -> Collected:
    """What a store holds on an environment, which is made from what the items say of it.

    Args:
        store: The store.
        name: The id of the environment; None for the only one.
        data: Where the folder of files lies now, if the items are made of one.

    Raises:
        ValueError: There are no records, or of several environments, or the data is another one.
    """
    from mm_envs.engine.ticket import Ticket

    records = list(store.records(environment=name))
    tickets = {one.item: Ticket.parse(one.item) for one in records if one.item.startswith("mm1:")}
    ids = sorted({ticket.id for ticket in tickets.values()})
    if not ids:
        about = f" on {name}" if name else " on items of an environment"
        raise ValueError(f"{store.where} holds no records{about}: collect or import some first")
    if len(ids) > 1:
        raise ValueError(f"{store.where} holds records on {', '.join(ids)}: say which with --id")
    first = next(iter(tickets.values()))
    arguments = {key: value for key, value in first.arguments.items() if key not in _JUDGE}
    for key in first.missing:
        if key not in _JUDGE and (key != "path" or data is None):
            cure = "give --data FOLDER" if key == "path" else "use the library in Python"
            raise ValueError(f"the items of {store.where} do not say their {key}: {cure}")
    given = [
        f"{key}={json.dumps(value)}"
        for key, value in arguments.items()
        if key != "path" and (key, value) != ("dataset", "folder")
    ]
    if data is not None:
        arguments["path"] = str(data.resolve())
    task = Setting(known_id(first.id), {**arguments, "feedback": "truth"}).make(1).task
    first.compare(task)
    kept = [one for one in records if one.item in tickets]
    places = {item: ticket.item for item, ticket in tickets.items()}
    return Collected(first.id, task, kept, places, given)


def items_of(task: Task, pairs: CandidatePairs) -> list[Item]:
    """The items of pairs, with what is asked in words."""
    from feedback.preferences import ticket_items

    return ticket_items(task, pairs.tickets, [asked_in_words(task, pairs, row) for row in range(len(pairs))])


def asked_in_words(task: Task, pairs: CandidatePairs, row: int) -> str:
    """What the words of a question say; empty where it has none."""
    from mm_envs.spaces import Tokens

    spaces: dict[str, Any] = {
        key: space for key, space in task.context_spaces.items() if isinstance(space, Tokens)
    }
    said = [space.vocabulary.decode(pairs.prompts.context[key][row]) for key, space in spaces.items()]
    return " | ".join(one for one in said if one)


def pool_of(spec: str, task: Task, votes: int | None, seed: int) -> AnnotatorPool:
    """The annotators of a specification; one name is one annotator.

    Args:
        spec: As ``feedback.annotators.make_pool`` takes it, or a name of ``ANNOTATORS``.
        task: The task whose answers are judged.
        votes: How many judge each pair; None: as specified.
        seed: Decides their draws.
    """
    from feedback.annotators import ANNOTATORS, make_pool

    return make_pool(f"1 {spec}" if spec in ANNOTATORS else spec, task, votes, seed)
