"""The terminal as a client of the labelling service: shows pairs, reads keys, submits labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mm_envs.cli.output import console
from mm_envs.cli.person import HELP, LEFT, QUIT, RIGHT, UNDO, Person, Question

if TYPE_CHECKING:
    from feedback.active_learning import CandidatePairs
    from feedback.labelling import Assignment, Labelling
    from feedback.preferences import Pairwise
    from feedback.store import PreferenceStore
    from mm_envs.tasks.task import Task


@contextmanager
def person_at_terminal(pictures: Path | None, json: bool) -> Iterator[Person]:
    """A person at the terminal, after the keys were printed.

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
    person: Person, name: str, task: Task, pairs: CandidatePairs, store: PreferenceStore, overlap: int = 0
) -> tuple[list[Pairwise], int]:
    """Asks about pairs until there are no more, or until the person leaves. Answered pairs are passed over.

    Args:
        person: Shows questions and returns keys.
        name: The name of the annotator in records.
        task: The task of the pairs.
        pairs: The pairs to ask about, with tickets.
        store: Where labels are kept, each before the next question.
        overlap: How many annotators shall answer each pair; 0 for all.

    Returns:
        The labels of the annotator in the order of the pairs, earlier ones included, and how many are new.
    """
    from feedback.active_learning import items_of, queries_of
    from feedback.labelling import Labelling

    queries = queries_of(task, pairs)
    service = Labelling(store, queries, items_of(task, pairs), overlap=overlap)
    rows = {query.id: row for row, query in enumerate(queries)}
    before = _labels(service, name, rows)
    assignment = service.next(name)
    while assignment is not None:
        choice, seconds = person.compare(_question(task, pairs, rows[assignment.query.id], assignment))
        if choice == QUIT:
            service.release(name, assignment.query.id)
            break
        if choice == UNDO:
            assignment = service.undo(name) or assignment
            continue
        label = assignment.choice(choice == RIGHT) if choice in (LEFT, RIGHT) else choice
        service.submit(name, assignment.query.id, choice=label, latency=seconds)
        person.confirm(choice)
        assignment = service.next(name)
    after = _labels(service, name, rows)
    return list(after.values()), len(after.keys() - before.keys())


def _labels(service: Labelling, name: str, rows: dict[str, int]) -> dict[str, Pairwise]:
    """The pairwise labels of an annotator by query, in the order of the rows."""
    from feedback.preferences import Pairwise

    labels = [one for one in service.records() if one.annotator == name and isinstance(one, Pairwise)]
    return {one.query: one for one in sorted(labels, key=lambda one: rows[one.query])}


def _question(task: Task, pairs: CandidatePairs, row: int, assignment: Assignment) -> Question:
    context = {key: value[row].cpu() for key, value in pairs.prompts.context.items()}
    left, right = (assignment.query.answers[index] for index in assignment.displayed)
    return Question(task.context_spaces, context, left, right, f"{row + 1} of {len(pairs)}")
