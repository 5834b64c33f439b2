"""Supervised fine-tuning: what is taught, and that it is learned."""

from __future__ import annotations

import pytest
import torch

from agents.examples import Examples
from agents.losses import one_cycle
from agents.policy import ResponsePolicy
from agents.sft import sft
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.random import fold, stream
from mm_envs.tasks import Task, make_task
from mm_envs.tokenizers import EOS, PAD


def utility(policy: ResponsePolicy, task: Task, n: int, temperature: float = 0) -> float:
    """The mean utility on held-out items."""
    envs = MultimodalVectorEnv(n, task, feedback="truth", split="test")
    envs.reset(seed=1)
    prompts = envs.prompts()
    hashes = fold(stream(0, "test"), torch.arange(n))
    response, length = policy.sample(policy.encode(prompts.context), hashes, temperature)
    return float(task.utility(response, length, prompts.reference).reward.mean())


def test_digits_are_learned() -> None:
    task = make_task("classify", dataset="digits")
    untrained = ResponsePolicy(task, 64, 64)
    assert utility(untrained, task, 300) < 0.3
    policy = sft(task, epochs=4, items=700, features=64)
    assert utility(policy, task, 300) > 0.6


@pytest.mark.slow
def test_captions_are_learned() -> None:
    """A constant caption reaches 0.16 on these scenes, references of five of seven facts 0.71."""
    task = make_task("caption")
    policy = sft(task)
    assert utility(policy, task, 1000) > 0.55
    assert utility(policy, task, 1000, temperature=1) > 0.42


@pytest.mark.parametrize("name", ["caption", "vqa"])
def test_every_item_is_taught_once_an_epoch(name: str) -> None:
    task = make_task(name, items=70)
    examples = Examples(task)
    batches = [examples.batch(step, 32) for step in (0, 32, 64)]
    pictures = torch.cat([batch.context["image"] for batch in batches]).flatten(1)
    whole = task.batch(torch.arange(70), ["image"])["image"].flatten(1)
    assert [len(batch) for batch in batches] == [32, 32, 6]
    assert torch.equal(pictures.unique(dim=0), whole.unique(dim=0))
    assert not torch.equal(examples.batch(70, 32).context["image"], batches[0].context["image"])


def test_the_schedule_is_that_of_torch() -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], 1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=1001)
    for step in range(1000):
        group, expected = optimizer.param_groups[0], one_cycle(step / 1000)
        assert (group["lr"], group["betas"][0]) == pytest.approx(expected, abs=0.01)
        optimizer.step()
        schedule.step()


def test_what_is_taught_is_a_good_answer_to_that_item() -> None:
    task = make_task("caption", items=200)
    envs = MultimodalVectorEnv(200, task, feedback="truth")
    envs.reset(seed=0)
    reference = envs.prompts().reference
    answers = [task.good(reference, fold(stream(seed, "x"), torch.arange(200))) for seed in (0, 1)]
    for answer in answers:
        known = torch.nn.functional.pad(reference["captions"], (0, task.horizon - answer.shape[1]))
        assert (known == answer[:, None]).all(2).any(1).all()
    assert 0.6 < (answers[0] != answers[1]).any(1).float().mean() < 0.9  # of four references another one


def test_absent_references_are_passed_over_and_none_at_all_is_silence() -> None:
    task = make_task("caption")
    captions = torch.zeros((3, 4, task.horizon), dtype=torch.int64)
    captions[0, 2, :2], captions[0, 3, :1] = torch.tensor([4, EOS]), 5
    captions[1] = 6
    answers = torch.stack([task.good({"captions": captions}, torch.full((3,), seed)) for seed in range(64)])
    assert set(answers[:, 0, 0].tolist()) == {4, 5}
    assert (answers[:, 0, 1] == EOS).all()
    assert (answers[:, 1] == 6).all()
    assert (answers[:, 2] == torch.tensor([EOS] + [PAD] * (task.horizon - 1))).all()


def test_the_same_seed_learns_the_same_and_a_given_policy_learns_on() -> None:
    task = make_task("vqa", answer="tokens", items=64)
    first, second = (sft(task, epochs=1, features=16, seed=2).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    policy = ResponsePolicy(task, 16, 16)
    assert sft(task, policy, epochs=1) is policy
    assert any(not torch.equal(policy.state_dict()[name], first[name]) for name in first)


@pytest.mark.parametrize("arguments", [{"epochs": 0}, {"batch": 0}, {"items": 0}])
def test_numbers_that_teach_nothing_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(arguments))}=0 is below 1"):
        sft(make_task("vqa"), **arguments)
