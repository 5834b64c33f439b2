"""Samplers from the words of a command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agents.policy import ResponsePolicy
from agents.policy_folder import save_policy
from feedback.collection import draw_prompts
from feedback.responses import Edits, MismatchedReferences, RightAndWrong, make_sampler
from mm_envs.tasks import make_task
from mm_envs.tasks.task import Task


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task("caption", items=64)


def test_names_are_those_of_the_samplers(task: Task) -> None:
    assert make_sampler("edits", task).name == Edits(task).name
    assert make_sampler("edits:1-3", task).name == Edits(task, (1, 3)).name
    assert make_sampler(" mismatched_references ", task).name == MismatchedReferences.name
    assert make_sampler("right_and_wrong", make_task("vqa")).name == RightAndWrong.name


def test_a_policy_comes_from_its_folder(tmp_path: Path, task: Task) -> None:
    policy = ResponsePolicy(task, 16, 16)
    save_policy(policy, task, tmp_path / "first@home")
    prompts, _ = draw_prompts(task, 4)
    sampler = make_sampler(f"policy:{tmp_path}/first@home@0.5", task)
    assert sampler.name == "samples of first@home at temperature 0.5"
    assert make_sampler(f"policy:{tmp_path}/first@home", task).name.endswith("first@home at temperature 1")
    greedy = make_sampler(f"policy:{tmp_path}/first@home@0", task)
    one, other = (greedy.sample(prompts, 1, seed)[0] for seed in (0, 1))
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "edit",
            "sampler='edit' is not one of edits, right_and_wrong, mismatched_references, policy,",
        ),
        ("edits:4", "no range of numbers of edits: write edits:0-4"),
        ("edits:4-1", "is below 4"),
        ("edits+", "sampler='' is not one of"),
        ("mismatched_references:3", "'3' is an argument that it does not take"),
        ("policy", "names no folder"),
    ],
)
def test_what_is_not_understood_is_refused(spec: str, message: str, task: Task) -> None:
    with pytest.raises(ValueError, match=message):
        make_sampler(spec, task)


def test_a_folder_without_policy_is_named(tmp_path: Path, task: Task) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.json does not exist"):
        make_sampler(f"policy:{tmp_path}", task)
