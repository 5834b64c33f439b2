"""Q-learning: targets, exploration, the replay memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from every_task import task_of

from agents.evaluate import evaluate
from agents.heads import Sampling
from agents.learning import learn
from agents.policy import ResponsePolicy
from agents.q_learning import DQN, QSettings, option_values
from agents.replay_memory import Remembered, ReplayMemory
from agents.rollout import draw_rollout
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.tasks import Task, make_task

SMALL: dict[str, Any] = {"buffer": 64, "batch": 16, "learning_starts": 8}


def trainer_of(task: Task, rows: int = 8, features: int = 16, **settings: Any) -> DQN:
    """A small trainer."""
    envs = MultimodalVectorEnv(rows, task, feedback="truth")
    return DQN("dqn", envs, QSettings(**{**SMALL, **settings}), {"features": features, "hidden": 16})


def test_exploration_has_the_probabilities_it_says() -> None:
    """A random part with probability epsilon, of all options alike; else the likeliest."""
    logits = torch.tensor([2.0, 0.0, 1.0, 1.5])
    p = Sampling(temperature=0.0, epsilon=0.2).adjusted(logits).softmax(0)
    assert p.tolist() == pytest.approx([0.85, 0.05, 0.05, 0.05])
    task = task_of("choice")
    policy = ResponsePolicy(task, 16, 16)
    envs = MultimodalVectorEnv(2000, task, feedback="truth")
    envs.reset(seed=0)
    rollout = draw_rollout(policy, envs, 1, Sampling(temperature=0.0, epsilon=0.3))
    with torch.no_grad():
        greedy = option_values(policy, policy.encode(rollout.context), rollout.response)[:, 0].argmax(1)
    share = float((rollout.response[:, 0] == greedy).float().mean())
    # Five standard deviations of 2,000 draws of 0.7 + 0.3 / 10.
    assert abs(share - 0.73) < 5 * (0.73 * 0.27 / 2000) ** 0.5


def test_epsilon_falls_and_stays() -> None:
    trainer = trainer_of(task_of("choice"), exploration=0.5)
    trainer.total, found = 100, []
    for trainer._step in (0, 25, 50, 100):
        found.append(trainer.epsilon)
    assert found == pytest.approx([1.0, 0.525, 0.05, 0.05])


@pytest.mark.parametrize("double", [True, False])
def test_the_goal_of_a_word_is_the_value_of_the_next(double: bool) -> None:
    trainer = trainer_of(task_of("text"), double=double, gamma=0.5)
    trainer.target = ResponsePolicy(trainer.task, 16, 16, seed=9)
    trainer.begin(100)
    trainer.update()
    answers = trainer.memory.take(torch.arange(8))
    context = trainer.memory.contexts(answers.item)
    written = trainer._written(answers.response, answers.length)
    with torch.no_grad():
        values = option_values(trainer.model, trainer.model.encode(context), answers.response)
        theirs = option_values(trainer.target, trainer.target.encode(context), answers.response)
        found = trainer._next(context, answers, values, written)
    for row in range(8):
        words = int(written[row].sum())
        for word in range(written.shape[1]):
            if word + 1 >= words:
                assert found[row, word] == 0
                continue
            chooser = values if double else theirs
            best = int(chooser[row, word + 1].argmax())
            assert found[row, word].item() == pytest.approx(0.5 * theirs[row, word + 1, best].item())


def test_the_memory_is_a_ring_that_gathers_contexts_anew() -> None:
    task = task_of("choice")
    envs = MultimodalVectorEnv(6, task, feedback="truth")
    envs.reset(seed=1)
    memory, seen = ReplayMemory(envs, 10, 1), []
    for _ in range(3):
        rollout = draw_rollout(ResponsePolicy(task, 16, 16), envs)
        assert rollout.item is not None
        assert rollout.reward is not None
        nothing = torch.zeros_like(rollout.item)
        memory.add(Remembered(rollout.item, rollout.response[:, 0], nothing, rollout.reward))
        seen.append(rollout)
    assert (len(memory), memory.count) == (10, 18)
    last = memory.take(torch.arange(12, 18) % 10)
    assert seen[-1].item is not None
    assert torch.equal(last.item, seen[-1].item)
    assert torch.equal(memory.contexts(last.item)["image"], seen[-1].context["image"])
    again = ReplayMemory(envs, 10, 1)
    again.load_state_dict(memory.state_dict())
    assert again.count == 18
    assert torch.equal(again.take(torch.arange(10)).reward, memory.take(torch.arange(10)).reward)
    wrong = memory.state_dict()
    wrong.tensors["item"] = wrong.tensors["item"] + 10**6
    with pytest.raises(ValueError, match="the replay memory has items outside"):
        again.load_state_dict(wrong)
    large = Remembered(*(torch.arange(25) for _ in range(3)), torch.arange(25.0)[:, None])
    memory.add(large)
    assert sorted(memory.take(torch.arange(10)).item.tolist()) == list(range(15, 25))


def test_the_target_network_follows_in_steps() -> None:
    trainer = trainer_of(task_of("text"), gradient_steps=1, target_interval=3, warm=0.0)
    trainer.begin(1000)
    assert trainer.target is not None

    def same() -> bool:
        assert trainer.target is not None
        pairs = zip(trainer.model.parameters(), trainer.target.parameters(), strict=True)
        return all(torch.equal(one, other) for one, other in pairs)

    found = []
    for _ in range(4):
        trainer.update()
        found.append(same())
    assert found == [False, False, True, False]


@pytest.mark.parametrize("name", ["vector", "boxes", "ranking", "turns"])
def test_other_kinds_are_refused(name: str) -> None:
    with pytest.raises(
        ValueError, match="algo='dqn' needs answers of kind choice or text, and those of this"
    ):
        trainer_of(task_of(name))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gamma": 1.5}, "gamma=1.5 is not within 0 to 1"),
        ({"buffer": 0}, "buffer=0 is below 1"),
        ({"batch": 1.5}, "batch=1.5 is not a whole number"),
    ],
)
def test_wrong_settings_are_refused(given: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QSettings(**given)


@pytest.mark.slow
def test_digits_are_learned_from_the_truth() -> None:
    """0.8 on held-out digits, at 95 percent confidence."""
    envs = MultimodalVectorEnv(64, task_of("choice"), feedback="truth")
    trainer = DQN("dqn", envs, QSettings(), {"features": 64, "hidden": 32})
    learn(trainer, 12_000)
    held_out = MultimodalVectorEnv(64, task_of("choice"), feedback="truth", split="test")
    assert evaluate(trainer.policy(), held_out, episodes=256).mean_utility.low > 0.8


@pytest.mark.slow
def test_words_are_learned_word_by_word() -> None:
    """Answers of up to three words: 0.89 with seed 0, far above a random policy."""
    task = make_task("vqa", answer="tokens", items=32)
    envs = MultimodalVectorEnv(64, task, feedback="truth")
    trainer = DQN("dqn", envs, QSettings(batch=32), {"features": 32, "hidden": 32})
    learn(trainer, 9000)
    assert evaluate(trainer.policy(), envs, episodes=64).mean_utility.value > 0.5
