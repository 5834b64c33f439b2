"""Samplers: each row by itself, and answers of the kind that the name says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from agents.policy import ResponsePolicy
from feedback.collection import draw_prompts
from feedback.responses import (
    Edits,
    MismatchedReferences,
    Mixture,
    PolicySamples,
    RightAndWrong,
    Sampler,
)
from mm_envs.tasks import Task, make_task

N = 12


def policy(task: Task) -> ResponsePolicy:
    return ResponsePolicy(task, features=16, hidden=16)


SAMPLERS: dict[str, tuple[str, Callable[[Task], Sampler]]] = {
    "edits": ("MMCaption-v0", Edits),
    "edited choices": ("MMVQA-v0", Edits),
    "policy": ("MMCaption-v0", lambda task: PolicySamples(policy(task))),
    "policy of choices": ("MMVQA-v0", lambda task: PolicySamples(policy(task), 0.5)),
    "other pictures": ("MMCaption-v0", MismatchedReferences),
    "answers to other pictures": ("MMVQA-v0", MismatchedReferences),
    "right and wrong": ("MMVQA-v0", RightAndWrong),
    "mixture": ("MMCaption-v0", lambda task: Mixture([Edits(task), MismatchedReferences(task)], [1, 3])),
}


@pytest.fixture(params=SAMPLERS)
def case(request: pytest.FixtureRequest) -> tuple[str, Callable[[Task], Sampler]]:
    return SAMPLERS[request.param]


def test_a_row_depends_on_its_prompt_and_the_seed_alone(case: tuple[str, Callable[[Task], Sampler]]) -> None:
    prompts, tickets = draw_prompts(case[0], N, seed=3)
    sampler = case[1](tickets.task)
    response, length = sampler.sample(prompts, 4, seed=5)
    assert response.shape[:2] == (N, 4)
    rows = torch.tensor([7, 2, 2])
    alone, size = sampler.sample(prompts.take(rows), 4, seed=5)
    assert torch.equal(alone, response[rows])
    assert (length is None) == (size is None) == (response.ndim == 2)
    if length is not None and size is not None:
        assert torch.equal(size, length[rows])
        assert length.shape == (N, 4)
    other, _ = sampler.sample(prompts, 4, seed=6)
    assert not torch.equal(other, response)
    assert sampler.name.strip()


def test_answers_have_utility_and_reward(case: tuple[str, Callable[[Task], Sampler]]) -> None:
    prompts, tickets = draw_prompts(case[0], N)
    response, length = case[1](tickets.task).sample(prompts, 2)
    for side in range(2):
        size = None if length is None else length[:, side]
        episodes = prompts.answered(response[:, side], size)
        assert episodes.reference is not None
        utility = tickets.task.utility(episodes.response, size, episodes.reference).reward
        assert ((utility >= 0) & (utility <= 1)).all()


def test_policy_samples_are_drawn_at_their_temperature() -> None:
    prompts, tickets = draw_prompts("MMCaption-v0", N)
    one = policy(tickets.task)
    greedy, _ = PolicySamples(one, 0).sample(prompts, 3)
    assert torch.equal(greedy[:, 0], greedy[:, 2])
    warm, _ = PolicySamples(one).sample(prompts, 3)
    assert not torch.equal(warm[:, 0], warm[:, 2])
    assert PolicySamples(one, 0.7, "the policy of run 3").name == (
        "samples of the policy of run 3 at temperature 0.7"
    )


def test_other_pictures_are_others_of_the_same_split() -> None:
    task = make_task("caption", items=8)
    items = torch.arange(12).repeat(200)
    hashes = torch.arange(len(items)) * 7919
    other = task.dataset.others(items, hashes, 1)[:, 0]
    for split in task.dataset.splits.values():
        mine = torch.isin(items, torch.tensor(list(split)))
        assert set(other[mine].tolist()) == set(split)
    assert (other != items).all()


def test_a_split_of_one_item_has_no_other_picture() -> None:
    task = make_task("caption", items=4)
    prompts, _ = draw_prompts(task, 2, "validation")
    with pytest.raises(ValueError, match="split='validation' has one item"):
        MismatchedReferences(task).sample(prompts, 1)


def test_exactly_one_answer_is_right_and_its_position_is_a_coin() -> None:
    """2,000 throws lie within 5 standard deviations of half: fails by chance once in a million."""
    n = 2000
    prompts, tickets = draw_prompts("MMVQA-v0", n)
    choices = RightAndWrong(tickets.task).sample(prompts, 2)[0]
    right = choices == prompts.reference["answer"][:, None]
    assert (right.sum(1) == 1).all()
    assert abs(int(right[:, 0].sum()) - n / 2) < 5 * (n / 4) ** 0.5


def test_a_choice_that_is_like_no_other_can_be_wrong_as_well() -> None:
    """With one shape nothing of its class can replace "circle"."""
    task = make_task("vqa", shapes=1, items=64)
    prompts = draw_prompts(task, 3)[0]
    for answer in range(len(task.answer.names)):
        prompts.reference["answer"][:] = answer
        assert ((RightAndWrong(task).sample(prompts, 2)[0] == answer).sum(1) == 1).all()


def test_a_mixture_draws_as_often_as_its_weights_say() -> None:
    """Within 5 standard deviations of a share of one quarter."""
    prompts, tickets = draw_prompts("MMVQA-v0", 1000)
    right, wrong = Edits(tickets.task, (0, 0)), Edits(tickets.task, (1, 1))
    choices, length = Mixture([right, wrong], [1, 3]).sample(prompts, 4)
    count = int((choices == prompts.reference["answer"][:, None]).sum())
    assert length is None
    assert abs(count - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5
    for samplers, weights in (([], None), ([right], [1, 2]), ([right], [0])):
        with pytest.raises(ValueError, match="give each one number above 0"):
            Mixture(samplers, weights)
