"""Policy gradients on answers: credit, prices, schedules, and what no setting may do."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from every_task import KIND_TASKS, task_of
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agents.credit import Known, credit_of
from agents.encoders.encoded import batch_statistics
from agents.heads.choice import ChoiceHead
from agents.learning import learn
from agents.losses import leave_one_out
from agents.on_policy import OnPolicy
from agents.on_policy_settings import OnPolicySettings
from agents.policy import ResponsePolicy
from agents.policy_gradient import PPO
from agents.rollout import Rollout, all_answers, draw_rollout, parts_of
from agents.sft import sft
from agents.trainers import trainer_class
from mm_envs.answers import Turns
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.episodes import Episodes, Judgement
from mm_envs.tasks import Task, make_task

PRESETS = ("reinforce", "self-critical", "rloo", "grpo", "ppo", "expert-iteration")


class Given:
    """Feedback that is a function of the episodes."""

    sees_reference = deterministic = True
    scores_prefix = False

    def __init__(self, function: Callable[[Episodes], Tensor]) -> None:
        self._function = function

    def score(self, episodes: Episodes) -> Judgement:
        assert not torch.is_grad_enabled()
        return Judgement(self._function(episodes))


def trainer_of(
    task: Task, feedback: Any = "truth", *, algo: str = "rloo", contexts: int = 8, **settings: Any
) -> OnPolicy:
    """A small trainer."""
    envs = MultimodalVectorEnv(contexts, task, feedback=feedback)
    kind: Any = trainer_class(algo)
    trainer: OnPolicy = kind(algo, envs, kind.Settings(**settings), {"features": 16, "hidden": 16})
    return trainer


def trained(trainer: OnPolicy, updates: int) -> OnPolicy:
    """Trains for so many updates."""
    learn(trainer, updates * trainer.engine.num_envs * trainer.settings.answers)
    return trainer


def weights(network: torch.nn.Module) -> Tensor:
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach().clone()


# Credit -------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3), min_size=1, max_size=5))
def test_each_answer_is_compared_with_the_mean_of_the_others(rewards: list[list[float]]) -> None:
    given = torch.tensor(rewards, dtype=torch.float64)
    others = torch.stack([given[:, [j for j in range(3) if j != i]].mean(1) for i in range(3)], 1)
    assert torch.allclose(leave_one_out(given), given - others)
    assert torch.allclose(leave_one_out(given), leave_one_out(given + 5))


def test_one_answer_has_no_advantage() -> None:
    for refused in (lambda: leave_one_out(torch.zeros(3, 1)), lambda: OnPolicySettings(answers=1)):
        with pytest.raises(ValueError, match="answers=1 is below 2"):
            refused()


@pytest.mark.parametrize("name", ["text", "caption", "ranking"])
def test_scores_of_beginnings_are_those_of_dense_stepping(name: str) -> None:
    """The rewards of an environment with reward='dense' that steps through the answers, part by part."""
    task = task_of(name)
    envs, stepped = (
        MultimodalVectorEnv(12, task, feedback="truth", reward=reward) for reward in ("terminal", "dense")
    )
    envs.reset(seed=4)
    stepped.reset(seed=4)
    rollout = draw_rollout(ResponsePolicy(task, 16, 16), envs, dense=True)
    assert rollout.prefix_scores is not None
    response, running, before = rollout.response[:, 0], torch.ones(12, dtype=torch.bool), torch.zeros(12)
    for part in range(rollout.prefix_scores.shape[2]):
        _, reward, terminated, _, _ = stepped.step(task.answer.action(response, part))
        score = rollout.prefix_scores[:, 0, part]
        assert torch.allclose((score - before)[running], reward[running], atol=1e-6)
        running, before = running & ~terminated, score
        if not running.any():
            break
    assert not running.any()


def rollout_of(reward: Tensor, prefix: Tensor | None = None) -> Rollout:
    m, k = reward.shape
    return Rollout({}, torch.zeros((m, k), dtype=torch.int64), reward=reward, prefix_scores=prefix)


def test_no_credit_explodes_where_whole_answers_are_alike() -> None:
    """Both answers score 1, and the second one scored it a part earlier: the deviation is that of parts."""
    prefix = torch.tensor([[[0.0, 1.0], [1.0, 1.0]]])
    known = Known(torch.ones((1, 2, 2), dtype=torch.bool), torch.zeros((1, 2, 2)))
    settings = OnPolicySettings(answers=2, baseline="mean", normalisation="std")
    credit = credit_of(rollout_of(torch.ones((1, 2)), prefix), known, settings, 0.0)
    assert credit.advantage.abs().max() <= 1
    assert credit.advantage[0, :, 0].tolist() == [0, 0]


def test_the_greedy_answer_is_a_baseline_and_nothing_else() -> None:
    """It is asked for, and neither learned from nor part of the learning curve or the divergence."""
    trainer = trainer_of(task_of("text"), algo="self-critical", answers=2, kl=0.1, contexts=4)
    trainer.begin(100)
    drawn = trainer.draw()
    assert drawn.rollout.response.shape[:2] == drawn.log_prob.shape[:2] == (4, 2)
    update = trainer.update()
    assert len(update.rewards) == 4 * 2
    assert trainer.step == 4 * 3


def test_the_expected_gradient_of_the_exact_divergence_is_that_of_whole_answers() -> None:
    """Two words: that of the second one depends on the first one, which the loss of each part does not see.

    Draws are replaced by all answers, weighted by their probabilities.
    """
    first, second = torch.randn(3, requires_grad=True), torch.randn(3, 3, requires_grad=True)
    reference = torch.randn(3).log_softmax(0), torch.randn(3, 3).log_softmax(1)
    pairs = torch.cartesian_prod(torch.arange(3), torch.arange(3))

    def both(one: Tensor, two: Tensor) -> Tensor:
        return torch.stack([one[pairs[:, 0]], two[pairs[:, 0], pairs[:, 1]]], 1)

    log_p = first.log_softmax(0), second.log_softmax(1)
    log_prob, theirs = both(*log_p), both(*reference)
    p = log_prob.sum(1).exp()
    wanted = torch.autograd.grad((p * (log_prob - theirs).sum(1)).sum(), (first, second), retain_graph=True)
    kl = [(one.exp() * (one - other)).sum(-1) for one, other in zip(log_p, reference, strict=True)]
    exact = torch.stack([kl[0].expand(9), kl[1][pairs[:, 0]]], 1)
    known = Known(torch.ones(1, 9, 2) > 0, log_prob[None].detach(), theirs[None], exact[None].detach())
    settings = OnPolicySettings(kl=1.0, kl_in="loss", kl_estimator="exact", baseline="none")
    credit = credit_of(rollout_of(torch.zeros(1, 9)), known, settings, 1.0)
    each = exact - credit.advantage[0] * log_prob
    found = torch.autograd.grad((p.detach() * each.sum(1)).sum(), (first, second))
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize("how", ["token_mean", "sequence_mean", "sequence_sum", "max_length"])
def test_every_aggregation_weights_the_divergence_as_the_reward(how: str) -> None:
    """With k2 in the loss the gradient is that of k1 in the reward, without a baseline."""
    task = task_of("text")
    gradients = []
    biased = how == "sequence_mean"
    expected = pytest.warns(UserWarning, match="divides by the length") if biased else nullcontext()
    for about in ({"kl_in": "reward"}, {"kl_in": "loss", "kl_estimator": "k2"}):
        given: dict[str, Any] = {"kl": 0.7, "entropy": 0.0, "baseline": "none", "dense": False, **about}
        with expected:
            trainer = trainer_of(
                task, Given(lambda episodes: torch.zeros(len(episodes))), aggregation=how, **given
            )
        with torch.no_grad():
            for weight in trainer.model.head.parameters():
                weight.add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
        trainer.begin(100)
        drawn = trainer.draw()
        # Every part pays for the whole answer here, as it does in the loss.
        advantage = drawn.credit.advantage[:, :, :1].expand_as(drawn.credit.advantage)
        each = -advantage * drawn.log_prob
        if trainer.settings.kl_in == "loss":
            each = trainer.price.value * trainer._kl_loss(
                drawn.rollout, drawn.parts, drawn.log_prob, drawn.credit.written
            )
        loss = trainer._total(each, drawn.credit.written)
        found = torch.autograd.grad(loss, list(trainer.model.head.parameters()))
        gradients.append(torch.cat([one.flatten() for one in found]))
    assert gradients[0].norm() > 0
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-5)


# Learning -----------------------------------------------------------------------------------------------


def test_the_reward_is_learned_and_the_reference_stays() -> None:
    task = make_task("vqa", answer="tokens", items=256)

    def short(episodes: Episodes) -> Tensor:
        assert episodes.response_length is not None
        return -episodes.response_length.float()

    trainer = trained(trainer_of(task, Given(short), learning_rate=1e-2, kl=1e-3, contexts=16), 40)
    assert trainer.reference is not None
    assert trainer.curve.points[0].reward < -2
    assert trainer.curve.points[-1].metrics["kl"] > 0.1
    assert sum(trainer.curve.rewards) / len(trainer.curve.rewards) > trainer.curve.points[0].reward + 1
    fresh = ResponsePolicy(task, features=16, hidden=16).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in trainer.reference.state_dict().items())


def test_all_choices_at_once_have_the_gradient_of_the_expected_reward() -> None:
    """The learning curve is that of the policy, not of choices drawn alike."""
    table = torch.rand(10, generator=torch.Generator().manual_seed(0))
    trainer = trainer_of(task_of("choice"), Given(lambda episodes: table[episodes.response]), enumerate=True)
    trainer.begin(100)
    drawn = trainer.draw()
    assert isinstance(trainer.model.head, ChoiceHead)
    with torch.no_grad(), batch_statistics(trainer.model):
        encoded = trainer.model.encode(drawn.rollout.context)
        expected = (trainer.model.head.all_log_probs(encoded).exp() * table).sum(1)
    assert trainer._scores(drawn)[0] == pytest.approx(expected.tolist(), abs=1e-5)
    lost = trainer._expected(drawn)[:, 0, 0]
    assert torch.allclose(lost, table.mean() - expected, atol=1e-5)


def test_all_conversations_at_once_have_the_gradient_of_the_expected_reward() -> None:
    """Whatever is asked, and whatever is named after the reply to it."""
    table = torch.rand((5, 32), generator=torch.Generator().manual_seed(0))
    rewards = Given(lambda episodes: table[episodes.response[:, 0], episodes.response[:, 1]])
    trainer = trainer_of(task_of("turns"), rewards, enumerate=True, learning_rate=1e-2)
    trainer.begin(8 * 160)
    drawn = trainer.draw()
    expected = (drawn.log_prob.sum(2).exp() * table.flatten()).sum(1)
    assert trainer._scores(drawn)[0] == pytest.approx(expected.tolist(), abs=1e-5)
    lost = trainer._expected(drawn)[:, 0, 0]
    assert torch.allclose(lost, table.mean() - expected, atol=1e-5)
    learn(trainer, 40 * 8 * 160)
    assert sum(list(trainer.curve.rewards)[-8:]) / 8 > table.mean() + 0.2


def test_conversations_that_are_too_many_are_not_enumerated() -> None:
    options = [[f"{turn} {i}" for i in range(11)] for turn in range(3)]
    envs = SimpleNamespace(task=SimpleNamespace(answer=Turns(options)))
    with pytest.raises(ValueError, match="enumerate takes 1,024 answers, and there are 1,331: leave it out"):
        all_answers(envs)


def test_what_does_not_fit_is_refused_before_the_first_update() -> None:
    trainer = trainer_of(task_of("caption"), enumerate=True, demonstrations=8, demonstration_steps=32)
    with pytest.raises(
        ValueError, match="enumerate needs a task of choices or turns, and its answers are text"
    ):
        trainer.begin(64)
    trainer = trainer_of(task_of("caption"), demonstrations=8, demonstration_steps=64)
    with pytest.raises(ValueError, match="demonstration_steps=64 leave nothing of steps=64 for rewards"):
        trainer.begin(64)


@pytest.mark.parametrize("name", KIND_TASKS)
def test_answers_of_every_kind_are_rewarded(name: str) -> None:
    """The first update is made where policy and reference agree; conversations are heard."""

    def score(episodes: Episodes) -> Tensor:
        # The truth, and a little for the form of the answer: an untrained policy rarely hits the truth.
        assert episodes.truth is not None
        form = episodes.response.reshape(len(episodes), -1).to(torch.float32).mean(1)
        return episodes.truth.reward + 0.1 * form

    trainer = trainer_of(task_of(name), Given(score), answers=3, kl=0.05, contexts=4)
    before = copy.deepcopy(trainer.model.state_dict())
    points = trained(trainer, 2).curve.points
    assert points[0].metrics["kl"] == pytest.approx(0, abs=1e-4)
    numbers = [value for point in points for value in (point.reward, *point.metrics.values())]
    assert torch.tensor(numbers).isfinite().all()
    after = trainer.model.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before if key.startswith("head."))


def test_while_the_value_warms_up_the_policy_stays_bit_for_bit() -> None:
    trainer = trainer_of(
        task_of("text"), algo="ppo", contexts=4, answers=2, value_warmup=2, kl=0.1, demonstrations=0
    )
    assert trainer.value is not None
    policy, value = weights(trainer.model), weights(trainer.value)
    trained(trainer, 2)
    assert torch.equal(weights(trainer.model), policy)
    assert not torch.equal(weights(trainer.value), value)
    assert not trainer.optimizer.state
    trainer.begin(100)
    trainer.update()
    assert not torch.equal(weights(trainer.model), policy)


def test_the_value_has_a_rate_of_its_own() -> None:
    trainer = trainer_of(task_of("choice"), algo="reinforce", value_rate=0.0)
    assert trainer.value is not None
    before = weights(trainer.value)
    trained(trainer, 4)
    assert torch.equal(weights(trainer.value), before)


def test_after_demonstrations_the_policy_is_the_reference() -> None:
    trainer = trainer_of(task_of("choice"), demonstrations=16, demonstration_steps=48, kl=0.1)
    assert trainer.reference is not None
    trainer.begin(48 + 128)
    before = weights(trainer.model)
    while trainer.step < 48:
        trainer.update()
    assert torch.equal(weights(trainer.model), weights(trainer.reference))
    assert not torch.equal(weights(trainer.model), before)
    assert not trainer.optimizer.state
    assert trainer.share() == 0
    metrics = trainer.update().metrics
    assert metrics["kl"] == pytest.approx(0, abs=1e-5)


# What adapts --------------------------------------------------------------------------------------------


def test_the_rate_follows_how_far_an_update_moves_the_policy() -> None:
    found = []
    for target in (1e-9, 10.0):
        trainer = trainer_of(task_of("choice"), schedule="adaptive", target_kl=target, learning_rate=1e-3)
        trained(trainer, 3)
        found.append(trainer._rate)
        assert trainer.curve.points[-1].metrics["approximate_kl"] > 0
    assert found[0] == 1e-3 / 8
    assert found[1] == 1e-3 * 8


def test_the_weight_of_the_entropy_holds_a_target() -> None:
    low, high = (
        trained(trainer_of(task_of("choice"), entropy_target=target, entropy=0.1), 3)._entropy
        for target in (0.5, 5.0)
    )
    assert low < 0.1 < high


def test_an_update_that_goes_too_far_ends() -> None:
    about: dict[str, Any] = {
        "algo": "ppo",
        "epochs": 6,
        "value_warmup": 0,
        "learning_rate": 0.05,
        "warm": 0.0,
    }
    steps = []
    for target in (None, 1e-3):
        trainer = trainer_of(task_of("choice"), target_kl=target, **about)
        trainer.begin(1000)
        update = trainer.update()
        steps.append(trainer.optimizer.state[next(iter(trainer.trained()))]["step"].item())
        assert (update.metrics["early_stop"] > 0) == (target is not None)
    assert steps[0] == 24
    assert 1 <= steps[1] < 24


def test_without_a_price_there_is_no_reference_and_no_controller() -> None:
    trainer = trained(trainer_of(task_of("choice")), 1)
    assert trainer.reference is None
    assert "kl" not in trainer.curve.points[-1].metrics
    adaptive = trained(trainer_of(task_of("choice"), kl=0.1, kl_controller="rl4lms"), 2)
    assert adaptive.price.value == pytest.approx(0.1 * 0.98**2, rel=1e-2)


# Refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"answers": 2.5}, "answers=2.5 is not a whole number"),
        ({"kl": 0.1, "kl_in": "los"}, "kl_in='los' is not one of reward, loss"),
        ({"kl": 0.1, "kl_in": "loss"}, "estimator='k1' of the KL in the loss: its expected gradient is zero"),
        ({"kl": 0.1, "top_k": 3}, "kl with top_k or top_p is infinite"),
        ({"kl_controller": "ziegler"}, "adapts the price kl=0, which stays 0"),
        ({"schedule": "adaptive"}, "schedule='adaptive' holds target_kl, which is missing"),
        ({"target_kl": 0.0}, "target_kl=0.0 is not above 0"),
        ({"temperature": 0.0}, "temperature=0 explores nothing"),
        ({"temperature": -1.0}, "temperature=-1.0 is below 0"),
        ({"top_p": 0.0}, "top_p=0.0 is not within 0 to 1"),
        ({"gae_lambda": 1.5}, "gae_lambda=1.5 is not within 0 to 1"),
        ({"enumerate": True, "epochs": 2}, "enumerate=True takes one step"),
        ({"enumerate": True, "baseline": "greedy"}, "enumerate=True compares no draws"),
        (
            {"normalisation": "std", "baseline": "value"},
            "normalisation='std' divides by a deviation that can",
        ),
        ({"normalisation": "mean", "baseline": "none", "answers": 1}, "answers=1 is below 2"),
        ({"normalisation": "mean", "baseline": "best"}, "baseline='best' have their scale"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OnPolicySettings(**given)


def test_a_choice_is_needed_to_enumerate() -> None:
    with pytest.raises(ValueError, match="enumerate needs a task of choices or turns"):
        trained(trainer_of(task_of("text"), enumerate=True), 1)


@pytest.mark.parametrize("algo", PRESETS)
def test_presets_are_settings_of_one_trainer(algo: str) -> None:
    settings = trainer_class(algo).Settings()
    assert isinstance(settings, OnPolicySettings)
    assert replace(settings) == settings


def test_the_ratio_is_one_before_the_first_step() -> None:
    """Draws and losses are of one distribution, whatever the sampling."""
    for about in ({"temperature": 0.7}, {"top_k": 5}, {"top_p": 0.8}):
        trainer = trainer_of(task_of("text"), algo="ppo", **about)
        trainer.begin(100)
        drawn = trainer.draw()
        with torch.no_grad():
            encoded = trainer.model.encode(drawn.rollout.context)
            again = parts_of(trainer.model, encoded, drawn.rollout, trainer.settings.sampling)[1]
        assert torch.allclose(again, drawn.log_prob, atol=1e-5)
        assert again.isfinite().all()


@pytest.mark.slow
def test_ppo_does_not_unlearn_a_warm_start() -> None:
    """Captions after a short warm start: the true utility in the first 20 updates of the policy.

    The mean over 256 draws by the same hashes never falls by more than 0.03, the noise of such a mean, and is
    higher at the end: seed 0 went from 0.17 to 0.22 and fell by 0.006 at most.
    """
    task = make_task("caption")
    policy = sft(task, epochs=6, items=2000, features=64)
    envs = MultimodalVectorEnv(64, task, feedback="truth")
    probe = MultimodalVectorEnv(256, task, feedback="truth")
    settings = PPO.Settings(answers=2, value_warmup=5)
    trainer = PPO("ppo", envs, settings, model=policy)
    trainer.begin(100_000)

    def utility() -> float:
        probe.reset(seed=7)
        found = draw_rollout(trainer.model, probe).utility
        assert found is not None
        return float(found.mean())

    first, found = utility(), list[float]()
    for _ in range(settings.value_warmup + 20):
        trainer.update()
        found.append(utility())
    assert found[: settings.value_warmup] == [first] * settings.value_warmup
    assert min(found) > first - 0.03
    assert found[-1] > first
