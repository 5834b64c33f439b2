"""A person is asked about pairs of answers, one at a time; every answer is stored at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mm_envs.cli.output import console
from mm_envs.cli.person import HELP, LEFT, QUIT, RIGHT, TIE, Person, Question

if TYPE_CHECKING:
    from feedback.preferences import Pairwise
    from feedback.rounds import CandidatePairs
    from feedback.store import PreferenceStore
    from mm_envs.tasks.task import Task


@contextmanager
def person_at_terminal(pictures: Path | None, json: bool) -> Iterator[Person]:
    """Somebody at the terminal, who is told the keys first.

    Args:
        pictures: Where pictures and sounds are written; None for pictures in the terminal.
        json: Whether standard output belongs to JSON.
    """
    from mm_envs.cli.keys import single_keys

    out = console(json)
    out.print(HELP, style="dim")
    with single_keys() as key:
        yield Person(out, key, pictures)


def ask(
    person: Person, name: str, task: Task, pairs: CandidatePairs, store: PreferenceStore | None = None
) -> tuple[list[Pairwise], int]:
    """Asks about pairs until there are no more, or until the person leaves.

    Which answer is displayed first is drawn from the key of the question and the name of the person. A pair
    that the person has answered before is passed over.

    Args:
        person: Who is asked.
        name: The name of the person in records.
        task: Says answers in words.
        pairs: What to ask, with tickets.
        store: Where answers are kept, each before the next question; None for nowhere.

    Returns:
        The answers in the order of the pairs, earlier ones included, and how many of them are new.
    """
    from feedback.preferences import Pairwise, query_id
    from mm_envs.random import chance, key_hashes, purpose

    known = {} if store is None else {one.query: one for one in store.records("pairwise", name)}
    first = chance(key_hashes(pairs.prompts.key, purpose(f"answer that {name} sees first")), 0.5).tolist()
    words = [task.answer.formats(pairs.response[:, side]) for side in (0, 1)]
    said: list[Pairwise] = []
    new = 0
    for row, answers in enumerate(zip(*words, strict=True)):
        before = known.get(query_id(pairs.tickets[row], answers, pairs.sampler))
        if isinstance(before, Pairwise):
            said.append(before)
            continue
        shown = answers if first[row] else answers[::-1]
        choice, seconds = person.compare(_question(task, pairs, row, shown))
        if choice == QUIT:
            break
        said.append(_kept(task, pairs, row, name, _choice(choice, first[row]), first[row], seconds, store))
        person.confirm(choice)
        new += 1
    return said, new


def _question(task: Task, pairs: CandidatePairs, row: int, shown: tuple[str, ...]) -> Question:
    context = {key: value[row].cpu() for key, value in pairs.prompts.context.items()}
    title = f"{row + 1} of {len(pairs)}"
    return Question(task.context_spaces, context, shown[0], shown[1], title)


def _choice(said: str, shown_first: bool) -> int:
    from feedback.preferences import FIRST, SECOND, SKIP
    from feedback.preferences import TIE as EQUAL

    if said in (LEFT, RIGHT):
        return FIRST if (said == LEFT) == shown_first else SECOND
    return EQUAL if said == TIE else SKIP


def _kept(
    task: Task,
    pairs: CandidatePairs,
    row: int,
    name: str,
    choice: int,
    shown_first: bool,
    seconds: float,
    store: PreferenceStore | None,
) -> Pairwise:
    """The record of an answer, once it is stored."""
    import torch

    from feedback.preferences import pairwise_records
    from mm_envs.cli.feedback.source import items_of

    one = pairs.take(torch.tensor([row]))
    (record,) = pairwise_records(
        task,
        list(one.tickets),
        one.response[:, 0],
        one.response[:, 1],
        torch.tensor([choice]),
        annotators=[name],
        shown_first=torch.tensor([shown_first]),
        latency=torch.tensor([seconds], dtype=torch.float64),
        sampler=one.sampler,
    )
    if store is not None:
        store.submit([record], items_of(task, one))
    return record
