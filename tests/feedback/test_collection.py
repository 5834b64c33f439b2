"""Prompts that people are asked about, and their tickets."""

from __future__ import annotations

import pytest
import torch

import mm_envs
from feedback import collection
from feedback.collection import draw_prompts
from mm_envs.tasks import make_task


def test_a_prompt_depends_on_seed_and_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    few, _ = draw_prompts("MMVQA-v0", 3, "test", seed=9)
    monkeypatch.setattr(collection, "_BLOCK", 4)
    many, tickets = draw_prompts("MMVQA-v0", 10, "test", seed=9)
    first = many.take(torch.arange(3))
    for name in ("context", "reference"):
        mine, theirs = getattr(few, name), getattr(first, name)
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert torch.equal(few.key, first.key)
    assert many.key[:, 1].tolist() == list(range(10))
    assert len(tickets) == len(set(tickets)) == 10


def test_a_ticket_with_an_answer_replays_the_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "_BLOCK", 2)
    prompts, tickets = draw_prompts("MMVQA-sound-v0", 5, seed=2**64 - 3, kinds=("colour",))
    for row in (0, 3, 4):
        right = prompts.reference["answer"][row]
        for answer, utility in ((right, 1), ((right + 1) % 9, 0)):
            outcome = mm_envs.replay(tickets[row], answer).outcome
            assert outcome is not None
            assert outcome.utility == utility


def test_given_items_are_asked_about() -> None:
    items = torch.tensor([5, 3, 3])
    prompts, _ = draw_prompts("MMCaption-v0", 3, about=items)
    assert torch.equal(prompts.item, items)
    assert torch.equal(prompts.context["image"][1], prompts.context["image"][2])


def test_a_task_has_prompts_but_no_tickets() -> None:
    task = make_task("classify", dataset="digits")
    prompts, tickets = draw_prompts(task, 4, "validation")
    assert tickets.task is task
    assert len(prompts) == len(tickets) == 4
    with pytest.raises(ValueError, match="a ticket names the id of an environment"):
        tickets[0]


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="n=0 is below 1"):
        draw_prompts("MMVQA-v0", 0)
    with pytest.raises(ValueError, match=r"n=2\.5 is not a whole number"):
        draw_prompts("MMVQA-v0", 2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seed=-1 is below 0"):
        draw_prompts("MMVQA-v0", 1, seed=-1)
    with pytest.raises(ValueError, match="split='trian'"):
        draw_prompts("MMVQA-v0", 1, "trian")
    with pytest.raises(ValueError, match="id='CartPole-v1' is not one of MMClassify-v0"):
        draw_prompts("CartPole-v1", 1)
