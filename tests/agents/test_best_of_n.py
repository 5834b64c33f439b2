"""Best-of-n: the policy that acts and the exact curve agree."""

from __future__ import annotations

import math

import pytest
import torch
from every_task import task_of
from torch import Tensor

from agents.acting import EpisodeHashes
from agents.best_of_n import BestOfN, best_of_n_curve
from agents.evaluate import evaluate
from agents.heads.choice import ChoiceHead
from agents.policy import ResponsePolicy
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Episodes, Judgement
from mm_envs.feedback_sources import make_feedback


def score(episodes: Episodes) -> Tensor:
    """The same score for several choices, or first words: ties."""
    return (episodes.response.reshape(len(episodes), -1)[:, 0] % 4).float()


class Blind:
    """The same as feedback that does not see the reference."""

    sees_reference, deterministic, scores_prefix = False, True, False

    def score(self, episodes: Episodes) -> Judgement:
        return Judgement(score(episodes))


def test_the_policy_has_the_chances_of_the_curve() -> None:
    task = task_of("choice")
    policy = ResponsePolicy(task, 16, 16)
    with torch.no_grad():
        policy.head.out.bias.copy_(torch.linspace(-1, 1, 10))  # type: ignore[union-attr, operator]
    envs = MultimodalVectorEnv(4000, task, feedback=Blind())
    observation, info = envs.reset(seed=0)
    hashes = EpisodeHashes(0, 4000)(info)
    means = {
        n: float((BestOfN(policy, task, score, n)(observation, hashes) % 4).float().mean()) for n in (1, 4)
    }
    curve = best_of_n_curve(policy, envs, (1, 4))
    for one in curve:
        # Five standard errors of 4,000 draws from 0 to 3.
        assert means[one.n] == pytest.approx(one.reward, abs=5 * 1.2 / math.sqrt(4000))
    assert curve[0].kl == pytest.approx(0, abs=1e-9)
    assert 0 < curve[1].kl <= curve[1].kl_bound


def test_the_curve_rises_and_ends_at_the_best_choice() -> None:
    task = task_of("choice")
    envs = MultimodalVectorEnv(64, task, feedback="truth")
    envs.reset(seed=0)
    policy = ResponsePolicy(task, 16, 16)
    context = envs.prompts().context
    curve = best_of_n_curve(policy, envs, (1, 2, 4, 64, 4096))
    for quantity in ("kl", "reward", "utility"):
        values = [getattr(one, quantity) for one in curve]
        assert values == sorted(values)
    assert curve[-1].utility == pytest.approx(1.0, abs=1e-3)
    assert all(one.kl <= one.kl_bound + 1e-9 for one in curve)
    assert isinstance(policy.head, ChoiceHead)
    with torch.no_grad():
        p = policy.head.all_log_probs(policy.encode(context)).exp()
    # In the limit the right choice alone is given: KL = -log p(right), here near log 10.
    assert curve[-1].kl == pytest.approx(math.log(10), abs=0.5)
    assert p.shape == (64, 10)


def test_it_acts_in_episodes_of_words() -> None:
    task = task_of("text")
    policy = ResponsePolicy(task, 16, 16)

    def short(episodes: Episodes) -> Tensor:
        assert episodes.response_length is not None
        assert episodes.context["image"].shape[0] == len(episodes)
        return -episodes.response_length.float()

    envs = MultimodalVectorEnv(16, task, feedback="truth")
    lengths = [evaluate(BestOfN(policy, task, short, n), envs, 64).length.mean() for n in (1, 8)]
    assert lengths[1] < lengths[0]
    one, again = (evaluate(BestOfN(policy, task, Blind(), 3), envs, 16).response for _ in range(2))
    assert torch.equal(one, again)


def test_what_it_cannot_do_is_refused() -> None:
    task = task_of("choice")
    policy = ResponsePolicy(task, 16, 16)
    with pytest.raises(ValueError, match="feedback Truth needs the reference, which a policy does not see"):
        BestOfN(policy, task, make_feedback("truth", task))
    with pytest.raises(ValueError, match="n=0 is below 1"):
        BestOfN(policy, task, score, n=0)
    talk = task_of("turns")
    with pytest.raises(ValueError, match="replies of a conversation are not known before"):
        BestOfN(ResponsePolicy(talk, 16, 16), talk, score)
    words = MultimodalVectorEnv(2, task_of("text"), feedback="truth")
    words.reset(seed=0)
    with pytest.raises(ValueError, match="enumerate needs a task of choices or turns"):
        best_of_n_curve(ResponsePolicy(words.task, 16, 16), words)
