"""Records as tensors: contexts from tickets, answers from words, labels that index rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from feedback.preferences import batches
from feedback.preferences import records as kinds
from feedback.preferences.batches import Answers, Labelled, Labels
from feedback.preferences.records import CHOICES, Record, in_force
from mm_envs.engine.ticket import Ticket
from mm_envs.tasks.play import turns_of
from mm_envs.tasks.task import Task

_BLOCK = 1024


def labelled(
    records: Iterable[Record],
    task: Task,
    *,
    environment: str | None = None,
    split: str | None = None,
    items: Mapping[str, int] | None = None,
    annotators: Sequence[str] | None = None,
    device: torch.device | str = "cpu",
) -> Labelled:
    """The tensors of records of one environment.

    An item of the dataset is one context, however many tickets name it, and an answer to it is one row,
    however many records are on it.

    Args:
        records: Of any kinds; those that were superseded or withdrawn do not count.
        task: The task of the environment, on the dataset that the tickets were made on.
        environment: Refuse tickets of another id; None: of more than one id.
        split: Leave out records on items of other splits.
        items: The index in the dataset of items that are named by their content (``sha256:...``).
        annotators: Their names, in the order of their numbers; None: all, sorted.
        device: Of the result.

    Raises:
        ValueError: There are no records, a ticket is invalid or of another dataset or environment, an item or
            annotator is unknown, or an answer does not fit the task.

    Example:
        >>> from feedback.collection import draw_prompts
        >>> prompts, tickets = draw_prompts("MMVQA-v0", 2)
        >>> records = [kinds.Pairwise(query=str(row), item=tickets[row], annotator="ann", choice="first",
        ...                        answers=("yes", "no")) for row in range(2)]
        >>> batch = labelled(records, tickets.task)
        >>> batch.answers.context.tolist(), batch.pairs.second.tolist()
        ([0, 0, 1, 1], [1, 3])
    """
    given, index_of = _located(in_force(records), task, environment, split, dict(items or {}))
    if not given:
        raise ValueError(
            f"there are no records{f' on items of split {split!r}' if split else ''}: collect some"
        )
    names = sorted({record.annotator for record in given}) if annotators is None else list(annotators)
    numbers = {name: number for number, name in enumerate(names)}
    order = {index: row for row, index in enumerate(dict.fromkeys(index_of[one.item] for one in given))}
    context_of = {item: order[index] for item, index in index_of.items() if index in order}
    table = _Table(task)
    labels = []
    for kind, read in _READERS.items():
        of_kind = [record for record in given if isinstance(record, kind)]
        if of_kind:
            who = torch.tensor([_number(record, numbers) for record in of_kind])
            rows = [_rows(table, context_of[record.item], record) for record in of_kind]
            labels.append(read(who, of_kind, rows).to(device))
    context, response, length = table.tensors()
    contexts = _contexts(task, list(order))
    turns = _heard(task, torch.tensor(list(order)), contexts, context, response)
    answers = Answers(contexts, context, response, length, turns)
    return Labelled(answers.to(device), tuple(names), tuple(labels))


# Items ----------------------------------------------------------------------------------------------------


def _located(
    records: list[Record], task: Task, environment: str | None, split: str | None, items: dict[str, int]
) -> tuple[list[Record], dict[str, int]]:
    """The records that count, and the index in the dataset of the items of all."""
    indices = task.dataset.range(split) if split else None
    compared: set[tuple[Any, ...]] = set()
    for name, index in items.items():
        if not any(index in one for one in task.dataset.splits.values()):
            raise ValueError(f"items[{name!r}]={index!r} is no item of dataset {task.dataset.name!r}")
    for record in records:
        if record.item not in items:
            ticket = _ticket(record)
            environment = environment or ticket.id
            if ticket.id != environment:
                raise ValueError(
                    f"record {record.query} is of {ticket.id}, others of {environment}: give one at a time"
                )
            dataset = (ticket.dataset, ticket.sizes, ticket.content)
            if dataset not in compared:
                ticket.compare(task)
                compared.add(dataset)
            if ticket.item not in task.dataset.range(ticket.split):
                raise ValueError(
                    f"record {record.query}: item {ticket.item} is not in split {ticket.split!r}"
                )
            items[record.item] = ticket.item
    if indices is not None:
        records = [record for record in records if items[record.item] in indices]
    return records, items


def _ticket(record: Record) -> Ticket:
    if not record.item.startswith("mm1:"):
        raise ValueError(
            f"record {record.query} speaks of {record.item}, which is unknown: "
            "say with items={...} which item of the dataset it is"
        )
    try:
        return Ticket.parse(record.item)
    except ValueError as error:
        raise ValueError(f"record {record.query}: {error}") from None


def _contexts(task: Task, indices: list[int]) -> dict[str, Tensor]:
    fields = list(dict.fromkeys(task.context.values()))
    blocks = [
        task.batch(torch.tensor(indices[first : first + _BLOCK]), fields)
        for first in range(0, len(indices), _BLOCK)
    ]
    found = {name: torch.cat([block[name] for block in blocks]) for name in fields}
    return {key: found[name] for key, name in task.context.items()}


def _heard(
    task: Task, items: Tensor, contexts: Mapping[str, Tensor], context: Tensor, response: Tensor
) -> dict[str, Tensor] | None:
    """What is heard between the turns of answers, which follows from the item and the answer."""
    if not task.turn_spaces:
        return None
    shown = {task.context[key]: value[context] for key, value in contexts.items()}
    reference = task.batch(items[context], task.reference)
    key = torch.zeros((len(context), 3), dtype=torch.int64)
    return turns_of(task, response, {**shown, **reference}, key)


# Answers -----------------------------------------------------------------------------------------------


class _Table:
    """Answers to contexts, each once, numbered in the order in which they were asked for."""

    def __init__(self, task: Task) -> None:
        self._answer = task.answer
        self._rows: dict[tuple[int, str], int] = {}
        self._parsed: dict[str, Tensor] = {}

    def row(self, context: int, words: str) -> int:
        """The row of an answer to a context."""
        words = self._answer.normalise(words)
        if words not in self._parsed:
            self._parsed[words] = self._answer.parse(words)
        return self._rows.setdefault((context, words), len(self._rows))

    def tensors(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Context (a,) int64, response (a, ...), and for words the length (a,) int64, else None."""
        response = torch.stack([self._parsed[words] for _, words in self._rows])
        response, length = self._answer.finish(response)
        return torch.tensor([context for context, _ in self._rows]), response, length


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Lists of different lengths as one matrix (n, longest) int64, -1 beyond the end of each."""
    lists = [torch.tensor(row, dtype=torch.int64) for row in rows]
    return pad_sequence(lists, batch_first=True, padding_value=-1)


# Labels ---------------------------------------------------------------------------------------------------


def _number(record: Record, numbers: Mapping[str, int]) -> int:
    if record.annotator not in numbers:
        raise ValueError(
            f"record {record.query} is of annotator {record.annotator!r}, who is not among those given"
        )
    return numbers[record.annotator]


def _rows(table: _Table, context: int, record: Record) -> list[int]:
    try:
        return [table.row(context, words) for words in _words(record)]
    except ValueError as error:
        raise ValueError(f"record {record.query} of {record.annotator}: {error}") from None


def _words(record: Record) -> tuple[str, ...]:
    """All answers that a record speaks of, in the order that its reader expects."""
    if isinstance(record, kinds.Correction):
        return *record.answers, record.corrected
    if isinstance(record, kinds.Critique):
        words = record.answers[0].split()
        return record.answers[0], " ".join(words[: record.start] + words[record.stop :])
    if isinstance(record, kinds.Demonstration):
        return record.demonstration, *(one for one in record.answers if one != record.demonstration)
    return record.answers


def _first(rows: list[list[int]]) -> Tensor:
    return torch.tensor([row[0] for row in rows])


def _two(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    first, second = torch.tensor(rows).unbind(1)
    return first, second


# Annotators, records of a kind and their rows of answers -> labels.
_READERS: dict[type[Record], Callable[[Tensor, Any, list[list[int]]], Labels]] = {
    kinds.Pairwise: lambda who, records, rows: batches.Pairs(
        who,
        *_two(rows),
        choice=torch.tensor([CHOICES.index(one.choice) for one in records]),
        shown_first=torch.tensor([one.displayed[:1] != (1,) for one in records]),
    ),
    kinds.Ranking: lambda who, records, rows: batches.Rankings(
        who, _padded([[row[i] for i in one.order] for one, row in zip(records, rows, strict=True)])
    ),
    kinds.Rating: lambda who, records, rows: batches.Ratings(
        who,
        _first(rows),
        torch.tensor([(one.rating - one.low) / (one.high - one.low) for one in records]),
    ),
    kinds.Approval: lambda who, records, rows: batches.Approvals(
        who, _first(rows), torch.tensor([one.approved for one in records])
    ),
    kinds.Correction: lambda who, _, rows: batches.Corrections(who, *_two(rows)),
    kinds.Demonstration: lambda who, _, rows: batches.Demonstrations(
        who, _first(rows), _padded([row[1:] for row in rows])
    ),
    kinds.Critique: lambda who, records, rows: batches.Critiques(
        who, *_two(rows), good=torch.tensor([one.verdict == "good" for one in records])
    ),
}
