"""A student has the size that is asked for, and learns to answer as its teacher does."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from agents.compression.distil import DistilSettings, distil, student_of
from agents.compression.int8 import parameters, quantise
from agents.compression.prune import kept, prune, zeros
from agents.examples import Examples
from agents.heads import GREEDY
from agents.policy import ResponsePolicy
from agents.sft import sft
from mm_envs.tasks import Task, make_task


def test_the_student_is_the_widest_that_fits() -> None:
    task = make_task("caption")
    teacher = ResponsePolicy(task, 64, 32)
    for share in (0.25, 0.5, 0.9):
        student = student_of(teacher, task, share)
        assert parameters(student) <= share * parameters(teacher)
        wider = ResponsePolicy(task, student.features + 4, max(student.hidden + 4, 4))
        assert parameters(wider) > share * parameters(teacher)


@pytest.mark.parametrize("name", ["vqa", "caption"])
def test_a_policy_of_the_default_size_has_a_student_of_a_quarter(name: str) -> None:
    task = make_task(name)
    assert student_of(ResponsePolicy(task), task).features >= 16


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    task = make_task("classify", dataset="digits")
    with pytest.raises(ValueError, match="is not between 0 and 1"):
        student_of(ResponsePolicy(task, 16, 16), task, share)


def test_a_share_below_the_encoders_is_refused() -> None:
    task = make_task("classify", dataset="digits")
    with pytest.raises(ValueError, match="give a share above"):
        student_of(ResponsePolicy(task, 16, 16), task, 0.01)


def agreement(task: Task, teacher: ResponsePolicy, student: ResponsePolicy) -> float:
    """The share of test items that are answered alike."""
    contexts = task.batch(torch.tensor(list(task.dataset.range("test"))), [*task.context.values()])
    contexts = {key: contexts[field] for key, field in task.context.items()}
    hashes = torch.arange(len(task.dataset.range("test")))
    answers = [one.sample(one.encode(contexts), hashes, GREEDY)[0] for one in (teacher, student)]
    return float((answers[0] == answers[1]).double().mean())


def test_a_student_learns_without_labels() -> None:
    """9 of 10 answers alike on held-out digits; a student that learned nothing agrees on 1 of 10."""
    task = make_task("classify", dataset="digits")
    teacher = sft(task, epochs=6, features=64)
    student = student_of(teacher, task, 0.5)
    before = {key: one.clone() for key, one in teacher.state_dict().items()}
    assert agreement(task, teacher, student) < 0.4
    losses: list[float] = []
    distil(teacher, student, task, DistilSettings(steps=6000), on_step=lambda _, loss: losses.append(loss))
    assert agreement(task, teacher, student) > 0.9
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    assert all(torch.equal(one, before[key]) for key, one in teacher.state_dict().items())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("caption", {"items": 64}),
        pytest.param("retrieve", {"items": 64}, marks=pytest.mark.slow),
        ("ground", {"items": 64}),
        ("classify", {"dataset": "digits"}),
    ],
)
@pytest.mark.parametrize("answers", ["sampled", "greedy"])
def test_the_divergence_falls_for_every_kind(name: str, arguments: dict[str, Any], answers: str) -> None:
    task = make_task(name, **arguments)
    teacher, student = ResponsePolicy(task, 16, 16, seed=1), ResponsePolicy(task, 16, 16, seed=2)
    losses: list[float] = []
    settings = DistilSettings(steps=640, batch=32, answers=answers)
    distil(teacher, student, task, settings, on_step=lambda _, loss: losses.append(loss))
    assert losses[-1] < 0.5 * losses[0]


def test_the_seed_decides() -> None:
    task = make_task("caption", items=64)
    teacher = ResponsePolicy(task, 16, 16)
    states = [
        distil(teacher, ResponsePolicy(task, 8, 8), task, DistilSettings(steps=128), seed=seed).state_dict()
        for seed in (0, 0, 1)
    ]
    assert all(torch.equal(one, states[1][key]) for key, one in states[0].items())
    assert not all(torch.equal(one, states[2][key]) for key, one in states[0].items())


def test_pruned_weights_stay_pruned() -> None:
    task = make_task("classify", dataset="digits")
    teacher = ResponsePolicy(task, 16, 16)
    student = prune(teacher, 0.8)
    masks, before = kept(student), zeros(student)
    distil(teacher, student, task, DistilSettings(steps=256), masks=masks)
    assert zeros(student)[0] >= before[0]
    assert all(
        bool((one[~masks[key]] == 0).all()) for key, one in student.state_dict().items() if key in masks
    )


def test_conversations_and_int8_are_refused() -> None:
    task = make_task("guess")
    policy = ResponsePolicy(task, 16, 16)
    with pytest.raises(ValueError, match="replies between turns are not distilled"):
        distil(policy, policy, task)
    task = make_task("classify", dataset="digits")
    with pytest.raises(ValueError, match="is not trained any more"):
        distil(ResponsePolicy(task, 16, 16), quantise(ResponsePolicy(task, 16, 16)), task)


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 0), ("batch", 0), ("temperature", 0.0), ("answers", "all"), ("steps", 1.5)]
)
def test_settings_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        DistilSettings(**{name: value})


def test_contexts_are_those_of_the_examples() -> None:
    examples = Examples(make_task("caption", items=70))
    for step in (0, 64, 70):
        expected, found = examples.batch(step, 32).context, examples.contexts(step, 32)
        assert all(torch.equal(found[key], one) for key, one in expected.items())
