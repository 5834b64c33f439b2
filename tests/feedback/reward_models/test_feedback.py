"""A reward model as the feedback of environments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from reward_answers import SMALL, answers, asked
from stable_baselines3.common.env_util import make_vec_env
from torch._subclasses.fake_tensor import FakeTensorMode
from trajectories import scripted_actions

import mm_envs
from feedback.preferences import Answers
from feedback.reward_models import Ensemble, LearnedReward, ModelSpaces, RewardModel, save
from feedback.transitions import context_spaces
from feedback.vec_env import RewardVecEnv
from mm_envs.episodes import Episodes
from mm_envs.tasks import CONFIGURATIONS

TOLERANCE = 1e-4
DEVICE = "cuda:7"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A saved reward model for every id."""
    made = {}
    for name in CONFIGURATIONS:
        task, table = answers(name)
        model = Ensemble([RewardModel(task, SMALL, seed=i) for i in range(3)], "uwo")
        model.normalise_on(table)
        made[name] = save(model, tmp_path_factory.mktemp("models") / name)
    return made


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_rewards_are_the_same_in_batches_and_one_by_one(name: str, folders: dict[str, Path]) -> None:
    chosen = {"feedback": "reward_model", "feedback_arguments": {"path": str(folders[name]), "members": True}}
    envs: Any = gym.make_vec(name, num_envs=4, **chosen)
    envs.reset(seed=2)
    few: Any = gym.make_vec(name, num_envs=2, **chosen)
    few.reset(seed=2)
    seen = 0
    for step in range(2 * envs.unwrapped.task.horizon):
        actions = scripted_actions(envs.unwrapped, step)
        _, reward, ended, _, info = envs.step(actions)
        _, less, *_ = few.step(actions[:2])
        torch.testing.assert_close(reward[:2], less, atol=TOLERANCE, rtol=0)
        if bool(ended.any()):
            seen += int(ended.sum())
            parts = info["final_info"]["reward_parts"]
            assert set(parts) == {"mean", "disagreement", "member_0", "member_1", "member_2"}
            expected = parts["mean"] - 0.5 * parts["disagreement"].square()
            torch.testing.assert_close(reward[ended], expected[ended], atol=TOLERANCE, rtol=0)
    assert seen


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_on_an_accelerator_it_waits_for_nothing(name: str) -> None:
    task, table = answers(name)
    try:
        with FakeTensorMode():
            torch.zeros(1, device=DEVICE)
    except RuntimeError:
        pytest.skip("the fake tensors of this torch need a driver; newer ones do not")
    with FakeTensorMode(), torch.device(DEVICE):
        # Fake tensors have no values: asking for one is refused.
        # Recurrent layers have no fake form on an accelerator.
        config = replace(SMALL, reader="encoder")
        model = LearnedReward(task, model=Ensemble([RewardModel(task, config) for _ in range(2)]))
        shapes = [*table.contexts.items(), ("response", table.response)]
        fake = {key: torch.zeros(one.shape, dtype=one.dtype, device=DEVICE) for key, one in shapes}
        heard = {
            key: torch.zeros(one.shape, dtype=one.dtype, device=DEVICE)
            for key, one in (table.turns or {}).items()
        }
        response = fake.pop("response")
        length = (
            None if table.length is None else torch.zeros(len(response), dtype=torch.int64, device=DEVICE)
        )
        context = {key: one.repeat_interleave(3, 0) for key, one in fake.items()}
        result = model.score(Episodes(context, response, length, turns=heard))
    assert result.reward.device.type == "cuda"
    assert result.reward.shape == (len(table),)


@pytest.mark.parametrize("name", ["MMVQA-v0", "MMCaption-v0"])
def test_gym_make_takes_it(name: str, folders: dict[str, Path]) -> None:
    env = gym.make(name, feedback="reward_model", feedback_arguments={"path": folders[name]})
    env.reset(seed=0)
    ended, reward = False, 0.0
    while not ended:
        _, reward, ended, _, _ = env.step(env.action_space.sample())
    assert reward != 0


def test_the_aggregation_can_be_chosen() -> None:
    task, table = answers("MMVQA-v0", k=1)
    model = Ensemble([RewardModel(task, SMALL, seed=i) for i in range(3)])
    model.normalise_on(table)
    episodes = Episodes(table.contexts, table.response)
    scores = model.predict(table)
    for how, expected in (("mean", scores.mean(0)), ("min", scores.amin(0)), (None, scores.mean(0))):
        result = LearnedReward(task, model=model, aggregation=how).score(episodes)
        torch.testing.assert_close(result.reward, expected)
        torch.testing.assert_close(result.parts["disagreement"], scores.std(0, correction=0))


def test_it_takes_one_model_of_the_right_task(folders: dict[str, Path]) -> None:
    task, _ = asked("MMVQA-v0")
    with pytest.raises(ValueError, match="feedback='reward_model' needs a model"):
        LearnedReward(task)
    with pytest.raises(ValueError, match="aggregation='best' is not one of"):
        LearnedReward(task, folders["MMVQA-v0"], aggregation="best")
    with pytest.raises(ValueError, match="space 'response'"):
        LearnedReward(task, folders["MMVQA-tokens-v0"])
    with pytest.raises(ValueError, match="space 'response'"):
        LearnedReward(task, model=Ensemble([RewardModel(asked("MMVQA-tokens-v0")[0], SMALL)]))


def test_dense_rewards_are_refused(folders: dict[str, Path]) -> None:
    arguments = {"feedback_arguments": {"path": folders["MMCaption-v0"]}, "reward": "dense"}
    with pytest.raises(ValueError, match="dense"):
        gym.make_vec("MMCaption-v0", feedback="reward_model", **arguments)


def test_the_name_is_in_the_table() -> None:
    assert mm_envs.feedback_sources.FEEDBACKS["reward_model"] == "feedback.reward_models:LearnedReward"


def test_an_environment_that_is_not_ours_is_scored_by_its_spaces(tmp_path: Path) -> None:
    venv = make_vec_env("CartPole-v1", n_envs=3)
    spaces = ModelSpaces(context_spaces(venv.observation_space), venv.action_space)
    model = Ensemble([RewardModel(spaces, SMALL)])
    save(model, tmp_path)
    with pytest.raises(ValueError, match="space 'observation' is missing"):
        LearnedReward(asked("MMVQA-v0")[0], tmp_path)
    wrapped = RewardVecEnv(venv, LearnedReward(spaces, tmp_path))
    wrapped.seed(1)
    seen, action = torch.as_tensor(wrapped.reset()), torch.tensor([0, 1, 1])
    _, reward, _, _ = wrapped.step(action.numpy())
    expected = model(Answers({"observation": seen}, torch.arange(3), action))
    torch.testing.assert_close(torch.as_tensor(reward), expected.detach(), atol=TOLERANCE, rtol=0)
