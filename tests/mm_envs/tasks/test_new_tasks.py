"""Retrieval, grounding and guessing: what their utility counts, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mm_envs.tasks import make_task
from mm_envs.tasks.guess import QUESTIONS, Guess
from mm_envs.tasks.play import turns_of


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("retrieve", {"candidates": 1}, "candidates=1 is below 2"),
        ("retrieve", {"candidates": "many"}, "candidates='many' is not a whole number"),
        ("retrieve", {"answer": "rank"}, "answer='rank' is not one of choice, ranking"),
        ("retrieve", {"dataset": "digits"}, "dataset 'digits' has no captions"),
        ("ground", {"dataset": "digits"}, "names no objects with boxes: use 'scenes'"),
        ("guess", {"dataset": "digits"}, "has no objects to guess: use 'scenes'"),
    ],
)
def test_what_does_not_fit_is_refused(task: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(task, **arguments)


def test_the_reciprocal_rank_is_that_of_the_right_picture() -> None:
    task = make_task("retrieve", items=16, candidates=3, answer="ranking")
    orders = torch.tensor([[2, 0, 1], [0, 2, 1], [0, 1, 2]])
    reward = task.utility(orders, None, {"target": torch.tensor([2, 2, 2])}).reward
    assert torch.allclose(reward, torch.tensor([1, 1 / 2, 1 / 3]))


def test_a_box_counts_by_its_overlap_with_any_object_that_fits() -> None:
    task = make_task("ground", items=16)
    boxes = torch.tensor([[[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]]]).expand(3, 2, 4)
    fits = torch.tensor([[True, False], [False, True], [True, True]])
    answer = torch.tensor([0.5, 0.5, 1.0, 1.0]).expand(3, 1, 4)
    reward = task.utility(answer, None, {"boxes": boxes, "fits": fits}).reward
    assert reward.tolist() == [0.0, 1.0, 1.0]


def test_phrases_name_the_objects_that_fit() -> None:
    task = make_task("ground", items=256)
    items = torch.arange(256)
    fields = task.batch(items, ("phrase", "fits", "shape", "colour", "present"))
    phrases = [task.vocabulary.decode(row).split() for row in fields["phrase"]]
    assert all(len(words) == 3 for words in phrases)
    assert bool(fields["fits"].any(1).all())
    assert not bool((fields["fits"] & ~fields["present"]).any())


def test_replies_are_true_of_the_object_that_is_meant() -> None:
    task = make_task("guess", objects=(3, 3), items=128)
    assert isinstance(task, Guess)
    items = torch.arange(128)
    fields = task.batch(items, task.reference)
    key = torch.zeros((128, 3), dtype=torch.int64)
    names = [task.answer.options[1][index].split() for index in fields["name"].tolist()]
    for question, part in ((0, 0), (1, 1)):
        answer = torch.stack([torch.full((128,), question), fields["name"]], 1)
        heard = turns_of(task, answer, fields, key)
        assert heard is not None
        replies = [task.vocabulary.decode(row) for row in heard["reply"][:, 0]]
        assert replies == [name[part] for name in names]
    assert fields["replies"].shape == (128, len(QUESTIONS))
    # Every reply to a question is a word that this question can have.
    sides = {task.vocabulary.decode([int(word)]) for word in fields["replies"][:, 3]}
    assert sides == {"left", "right"}
