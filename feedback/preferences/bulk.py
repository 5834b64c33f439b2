"""Records of labels that are tensors."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from feedback.preferences.items import Item
from feedback.preferences.query import query_id
from feedback.preferences.records import CHOICES, Pairwise
from mm_envs.tasks.task import Task


def ticket_items(task: Task, tickets: Iterable[str], texts: Iterable[str] | None = None) -> list[Item]:
    """The items of tickets, each once, with what is asked in words, for a store."""
    digest = task.answer.digest
    asked = dict(zip(tickets, texts, strict=True)) if texts is not None else dict.fromkeys(tickets, "")
    return [Item.of_ticket(ticket, digest, text) for ticket, text in asked.items()]


def pairwise_records(
    task: Task,
    items: Sequence[str],
    first: Tensor,
    second: Tensor,
    choice: Tensor,
    *,
    annotators: Sequence[str],
    annotator: Tensor | None = None,
    shown_first: Tensor | None = None,
    latency: Tensor | None = None,
    sampler: str = "",
    reward_model: str = "",
    at: float | None = None,
) -> list[Pairwise]:
    """One record a vote; the same question has the same query on every machine.

    Args:
        task: Formats the answers.
        items: n tickets or digests.
        first: (n, ...) answers, as ``Episodes.response``.
        second: (n, ...) other answers.
        choice: FIRST, SECOND, TIE or SKIP of one vote (n,) or several (n, votes), int64.
        annotators: Names of annotators.
        annotator: Who gave each vote, a position in ``annotators``, shaped as ``choice``; None: the first.
        shown_first: Whether ``first`` was displayed first, shaped as ``choice``, bool; None: it was.
        latency: Seconds until the answer came, shaped as ``choice``; None: not measured.
        sampler: Where the answers come from.
        reward_model: The version of the reward model that chose the queries.
        at: When, in seconds since 1970; None: now.

    Raises:
        ValueError: A shape does not fit, or a choice or annotator is out of range.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> one, = pairwise_records(make_task("vqa"), ["mm1:..."], torch.tensor([0]), torch.tensor([1]),
        ...                         torch.tensor([1]), annotators=["ann"])
        >>> one.answers, one.choice
        (('yes', 'no'), 'second')
    """
    given = {"annotator": annotator, "shown_first": shown_first, "latency": latency}
    _check_shapes(len(items), {"first": first, "second": second, "choice": choice}, given)
    _check_range("choice", choice, len(CHOICES))
    if annotator is not None:
        _check_range("annotator", annotator, len(annotators))
    votes = choice[:, None] if choice.ndim == 1 else choice
    who, shown, seconds = (
        [None] * votes.numel() if value is None else value.flatten().tolist() for value in given.values()
    )
    answers = list(zip(task.answer.formats(first), task.answer.formats(second), strict=True))
    queries = [query_id(item, pair, sampler) for item, pair in zip(items, answers, strict=True)]
    moment = time.time() if at is None else at
    row_of_vote = torch.arange(len(items)).repeat_interleave(votes.shape[1]).tolist()
    choices = votes.flatten().tolist()
    return [
        Pairwise(
            query=queries[row],
            item=items[row],
            annotator=annotators[who[vote] or 0],
            answers=answers[row],
            displayed=(1, 0) if shown[vote] is False else (0, 1),
            sampler=sampler,
            latency=seconds[vote],
            time=moment,
            reward_model=reward_model,
            choice=CHOICES[choices[vote]],
        )
        for vote, row in enumerate(row_of_vote)
    ]


def _check_shapes(n: int, each: Mapping[str, Tensor], votes: Mapping[str, Tensor | None]) -> None:
    for name, value in each.items():
        if len(value) != n:
            raise ValueError(f"{name} has {len(value)} rows: give one for each of {n} items")
    choice = each["choice"]
    if choice.ndim > 2:
        raise ValueError(f"choice has shape {tuple(choice.shape)}: give one vote (n,) or several (n, votes)")
    for name, vote in votes.items():
        if vote is not None and vote.shape != choice.shape:
            raise ValueError(
                f"{name} has shape {tuple(vote.shape)}: give {tuple(choice.shape)}, as choice has"
            )


def _check_range(name: str, value: Tensor, count: int) -> None:
    if ((value < 0) | (value >= count)).any():
        raise ValueError(f"{name} goes from {int(value.min())} to {int(value.max())}: give 0 to {count - 1}")
