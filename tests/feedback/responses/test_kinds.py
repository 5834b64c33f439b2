"""Every sampler on every registered id: answers that the task accepts, worth what the name says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from every_task import EVERY_TASK, prompts_of, task_of
from torch import Tensor

from agents.policy import ResponsePolicy
from feedback.active_learning import draw_pairs
from feedback.preferences import (
    FIRST,
    SECOND,
    TIE,
    Correction,
    Demonstration,
    Pairwise,
    Rating,
    labelled,
    pairwise_records,
    read_jsonl,
    read_trl,
    write_jsonl,
    write_trl,
)
from feedback.responses import Edits, MismatchedReferences, Mixture, PolicySamples, RightAndWrong, Sampler
from mm_envs.episodes import Prompts
from mm_envs.tasks import CONFIGURATIONS, Task
from mm_envs.tasks.play import answered

N, K = 6, 3

SAMPLERS: dict[str, Callable[[Task], Sampler]] = {
    "edits": Edits,
    "right and wrong": RightAndWrong,
    "other pictures": MismatchedReferences,
    "policy": lambda task: PolicySamples(ResponsePolicy(task, 16, 16), task=task),
    "mixture": lambda task: Mixture([RightAndWrong(task), Edits(task), MismatchedReferences(task)]),
}


def utility(task: Task, prompts: Prompts, response: Tensor, length: Tensor | None) -> Tensor:
    """The utility of several answers each, (n, k)."""
    n, k = response.shape[:2]
    several = prompts.take(torch.arange(n).repeat_interleave(k))
    sizes = None if length is None else length.flatten()
    return task.utility(response.flatten(0, 1), sizes, several.reference).reward.view(n, k)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", EVERY_TASK)
def test_answers_are_accepted_and_rows_depend_on_nothing_else(name: str, sampler: str) -> None:
    task, prompts = task_of(name), prompts_of(name, N)
    kind, one = task.answer, SAMPLERS[sampler](task)
    response, length = one.sample(prompts, K, seed=5)
    assert response.shape == (N, K, *(kind.space.shape or ()))
    assert (length is None) == (kind.finish(response[0])[1] is None)
    for row in response.flatten(0, 1):
        assert kind.space.contains(row.numpy() if row.ndim else row.item())
        again = kind.parse(kind.format(row))
        # A policy that is not trained may write padding between words, which text does not show.
        assert torch.equal(again, row.to(again.dtype)) or (kind.name == "text" and sampler == "policy")
        assert kind.format(again) == kind.format(row)
    flat, sizes = response.flatten(0, 1), None if length is None else length.flatten()
    clean, size = kind.finish(flat)
    assert torch.equal(clean, flat)
    if size is not None:
        assert sizes is not None
        assert torch.equal(size, sizes)
    worth = utility(task, prompts, response, length)
    assert ((worth >= 0) & (worth <= 1)).all()
    rows = torch.tensor([4, 1, 1])
    some, fewer = one.sample(prompts.take(rows), K, seed=5)
    assert torch.allclose(some.double(), response[rows].double(), atol=1e-5)
    assert (fewer is None) == (length is None)
    if fewer is not None and length is not None:
        assert torch.equal(fewer, length[rows])
    other, _ = one.sample(prompts, K, seed=6)
    assert not torch.equal(other, response)


# Here every answer but the best is worth less, so that "wrong" can be counted.
GRADED = ("MMClassify-v0", "MMVQA-v0", "MMRetrieve-v0", "MMGround-v0", "MMGuess-v0", "classify distribution")


@pytest.mark.parametrize("answers", [2, 4])
@pytest.mark.parametrize("name", [*GRADED, "retrieve ranking"])
def test_exactly_one_answer_is_right(name: str, answers: int) -> None:
    task, prompts = task_of(name), prompts_of(name, 200)
    response, length = RightAndWrong(task).sample(prompts, answers)
    worth = utility(task, prompts, response, length)
    best = worth.amax(1, keepdim=True)
    assert ((best - 1).abs() < 1e-3).all()
    assert ((worth > best - 0.1 * task.utility_deviation).sum(1) == 1).all()
    # The right one is first as often as any: within 5 standard deviations.
    first, share = float((worth[:, 0] > worth[:, 1:].amax(1)).sum()), 1 / answers
    assert abs(first - 200 * share) < 5 * (200 * share * (1 - share)) ** 0.5


@pytest.mark.parametrize("name", EVERY_TASK)
def test_more_edits_are_worth_less(name: str) -> None:
    task, prompts = task_of(name), prompts_of(name, 100)
    drawn = [Edits(task, (n, n)).sample(prompts, 2) for n in (0, 1, 4)]
    worth = [float(utility(task, prompts, *one).mean()) for one in drawn]
    # A distribution over classes is hardly changed by a little noise in its logits.
    assert worth[0] > worth[1] + (0 if task.answer.name == "vector" else 0.01)
    assert worth[1] >= worth[2] - 0.02
    good = (
        task.references(prompts.reference)[0].shape[1] > 1
    )  # one of several may be worth less than the best
    assert good or worth[0] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", EVERY_TASK)
def test_answers_to_other_pictures_are_worth_less(name: str) -> None:
    task, prompts = task_of(name), prompts_of(name, 100)
    other = utility(task, prompts, *MismatchedReferences(task).sample(prompts, 1)).mean()
    good = utility(task, prompts, *Edits(task, (0, 0)).sample(prompts, 1)).mean()
    assert other < good - 0.2


def test_a_policy_that_hears_replies_needs_the_task() -> None:
    task = task_of("MMGuess-v0")
    with pytest.raises(ValueError, match="a conversation has replies: give hear="):
        PolicySamples(ResponsePolicy(task, 16, 16)).sample(prompts_of("MMGuess-v0", N), 2)


# Records ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_records_become_the_same_answers_again(name: str) -> None:
    task = task_of(name)
    pairs = draw_pairs(name, Mixture([RightAndWrong(task), Edits(task)]), 8, seed=3)
    choice = torch.arange(len(pairs)) % 3  # FIRST, SECOND, TIE
    assert {FIRST, SECOND, TIE} == set(choice.tolist())
    rated = pairwise_records(
        task,
        list(pairs.tickets),
        pairs.response[:, 0],
        pairs.response[:, 1],
        choice,
        annotators=["ann"],
        at=0.0,
    )
    again = labelled(rated, task, environment=name)
    assert torch.equal(again.pairs.choice, choice)
    for side, rows in enumerate((again.pairs.first, again.pairs.second)):
        mine, theirs = pairs.episodes(side), again.answers.take(rows)
        # Text holds numbers as Python writes them, which is exact.
        assert torch.equal(again.answers.response[rows], mine.response)
        if mine.response_length is not None:
            assert again.answers.length is not None
            assert torch.equal(again.answers.length[rows], mine.response_length)
        for key, value in pairs.prompts.context.items():
            assert torch.equal(again.answers.contexts[key][again.answers.context[rows]], value)
        assert (theirs.turns is None) == (not task.turn_spaces)
        if mine.turns is not None:
            assert again.answers.turns is not None
            for key, value in mine.turns.items():
                assert torch.equal(again.answers.turns[key][rows], value)
                played = answered(task, pairs.prompts, mine.response).turns
                assert played is not None
                assert torch.equal(played[key], value)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_files_hold_the_answers_of_every_kind(name: str, tmp_path: Path) -> None:
    task = task_of(name)
    pairs = draw_pairs(name, RightAndWrong(task), 4, seed=3)
    rated = pairwise_records(
        task,
        list(pairs.tickets),
        pairs.response[:, 0],
        pairs.response[:, 1],
        torch.arange(len(pairs)) % 2,
        annotators=["ann"],
        at=0.0,
    )
    first, words = rated[0], task.answer.format(task.oracle(pairs.prompts.reference)[0])
    info: dict[str, Any] = {"query": "q", "item": first.item, "annotator": "ann"}
    others = [
        Correction(**info, answers=first.answers[:1], corrected=words),
        Demonstration(**info, demonstration=words),
        Rating(**info, answers=first.answers[1:], rating=4.0),
    ]
    write_jsonl(tmp_path / "rated.jsonl", [*rated, *others])
    assert read_jsonl(tmp_path / "rated.jsonl").records == (*rated, *others)
    rows, left_out = write_trl(tmp_path / "rated.trl", rated, {one.item: "what?" for one in rated})
    assert (rows, left_out) == (len(rated), 0)
    assert read_trl(tmp_path / "rated.trl").records == tuple(rated)
    batch = labelled([*rated, *others], task, environment=name)
    assert len(batch.labels) == 4
    assert all(isinstance(one, Pairwise) for one in rated)
