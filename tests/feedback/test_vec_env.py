"""Learned rewards for foreign environments: what the feedback sees, what the agent gets and learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize, VecTransposeImage
from stable_baselines3.common.vec_env.base_vec_env import VecEnvWrapper

from agents.sb3.vec_env import DeviceVecEnv
from feedback.preferences import FIRST, SECOND
from feedback.preferences.batches import Answers, Labelled, Pairs
from feedback.reward_models import FitConfig, LearnedReward, ModelConfig, ModelSpaces, fit
from feedback.transitions import Adapter, context_spaces, observation_action_and_next, observation_and_action
from feedback.vec_env import RewardVecEnv
from mm_envs.episodes import Episodes, Judgement

ROWS = 3


class Source:
    """Judges by a function, and remembers what it was shown."""

    sees_reference = False
    deterministic = True
    scores_prefix = False

    def __init__(self, feedback: Callable[[Episodes], torch.Tensor]) -> None:
        self.feedback = feedback
        self.seen: list[Episodes] = []

    def score(self, episodes: Episodes) -> Judgement:
        self.seen.append(episodes)
        return Judgement(self.feedback(episodes).float())


class Counting(gym.Env):
    """Shows how many steps were made; ends after ``last`` of them, or is cut off there."""

    observation_space = gym.spaces.Box(0, np.inf, (1,), np.float32)
    action_space = gym.spaces.Discrete(3)

    def __init__(self, last: int, cut: bool) -> None:
        self.last, self.cut, self.steps = last, cut, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        ended = self.steps == self.last
        observation = np.full(1, self.steps, np.float32)
        return observation, 10.0 * float(action), ended and not self.cut, ended and self.cut, {}


class Colours(gym.Env):
    """One step: a picture of one of three colours (height x width x channels), and which to name."""

    observation_space = gym.spaces.Dict(
        image=gym.spaces.Box(0, 255, (40, 48, 3), np.uint8), extra=gym.spaces.Discrete(2)
    )
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.colour = int(self.np_random.integers(3))
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        return self._seen(), float(action == self.colour), True, False, {}

    def _seen(self) -> Any:
        image = np.zeros((40, 48, 3), np.uint8)
        image[..., self.colour] = 200
        return {"image": image, "extra": int(self.np_random.integers(2))}


class Overwriting(VecEnvWrapper):
    """Hands out views of arrays that the next step overwrites."""

    def reset(self) -> Any:
        self.buffer = self.venv.reset()
        return self.buffer

    def step_wait(self) -> Any:
        observation, self.reward, self.done, infos = self.venv.step_wait()
        for key in self.buffer:
            self.buffer[key][:] = observation[key]
        return self.buffer, self.reward, self.done, infos


class SharingInfos(VecEnvWrapper):
    """Gives all rows that go on one and the same info."""

    nothing: dict[str, Any] = {}  # noqa: RUF012

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        observation, reward, done, infos = self.venv.step_wait()
        shared = [info if over else self.nothing for info, over in zip(infos, done, strict=True)]
        return observation, reward, done, shared


def colours(rows: int = ROWS) -> DummyVecEnv:
    return DummyVecEnv([lambda: Monitor(Colours())] * rows)


def counting(adapter: Adapter, cut: bool = False) -> tuple[RewardVecEnv, Source]:
    """Three environments with episodes of 1, 2 and 3 steps, judged by the last number of the context."""
    venv = DummyVecEnv([lambda last=last: Monitor(Counting(last, cut)) for last in (1, 2, 3)])
    feedback = Source(lambda episodes: list(episodes.context.values())[-1][:, 0])
    return RewardVecEnv(venv, feedback, adapter), feedback


def play(venv: RewardVecEnv, steps: int, seed: int = 0) -> list[Any]:
    """What every step gave, with the observation before it and the actions."""
    generator = np.random.default_rng(seed)
    venv.seed(seed)
    observation, text = venv.reset(), []
    for _ in range(steps):
        actions = generator.integers(venv.action_space.n, size=venv.num_envs)
        after, reward, done, infos = venv.step(actions)
        text.append((observation, actions, after, reward, done, infos))
        observation = after
    return text


def test_feedback_replaces_the_reward_in_one_call_and_the_truth_stays() -> None:
    feedback = Source(lambda episodes: episodes.context["observation"][:, 2] * episodes.response)
    venv = RewardVecEnv(make_vec_env("CartPole-v1", n_envs=ROWS), feedback)
    text = play(venv, 200)
    assert len(feedback.seen) == 200
    assert all(one.reference is None and one.key is None and one.truth is None for one in feedback.seen)
    learned, true, ended = np.zeros(ROWS), np.zeros(ROWS), 0
    for before, actions, _, reward, done, infos in text:
        np.testing.assert_array_equal(reward, before[:, 2] * actions.astype(np.float32))
        assert reward.dtype == np.float32
        assert [info["original_reward"] for info in infos] == [1.0] * ROWS
        learned, true = learned + reward, true + 1
        for row, info in enumerate(infos):
            assert ("learned_return" in info) == ("episode" in info) == done[row]
            if done[row]:
                assert info["learned_return"] == pytest.approx(learned[row], abs=1e-6)
                assert info["episode"]["r"] == true[row]
                learned[row], true[row], ended = 0, 0, ended + 1
    assert ended > ROWS


def test_before_the_step_is_what_is_scored_unless_asked_otherwise() -> None:
    venv, _ = counting(observation_and_action)
    rewards = [step[3].tolist() for step in play(venv, 4)]
    assert rewards == [[0, 0, 0], [0, 1, 1], [0, 0, 2], [0, 1, 0]]


@pytest.mark.parametrize("cut", [False, True])
def test_the_last_observation_of_an_episode_is_scored_not_the_first_of_the_next(cut: bool) -> None:
    venv, feedback = counting(observation_action_and_next, cut)
    text = play(venv, 4)
    assert [step[3].tolist() for step in text] == [[1, 1, 1], [1, 2, 2], [1, 1, 3], [1, 2, 1]]
    # The agent is given the first observation of the next episode, as ever.
    assert text[0][2][0].tolist() == [0]
    assert text[0][5][0]["TimeLimit.truncated"] == cut
    assert text[0][5][0]["terminal_observation"].tolist() == [1]
    assert list(feedback.seen[0].context) == ["observation", "next_observation"]


def test_a_row_that_ended_without_its_last_observation_is_refused() -> None:
    class Forgetful(VecEnvWrapper):
        def reset(self) -> Any:
            return self.venv.reset()

        def step_wait(self) -> Any:
            observation, reward, done, _ = self.venv.step_wait()
            return observation, reward, done, [{} for _ in done]

    inner = Forgetful(DummyVecEnv([lambda: Counting(1, False)]))
    venv = RewardVecEnv(inner, Source(lambda e: e.response), observation_action_and_next)
    venv.reset()
    with pytest.raises(ValueError, match="row 0 ended, but its info has no 'terminal_observation'"):
        venv.step(np.zeros(1, int))
    # Who does not need it does not miss it.
    play(RewardVecEnv(inner, Source(lambda e: e.response)), 2)


def test_environments_that_overwrite_what_they_gave_do_no_harm() -> None:
    def bright(episodes: Episodes) -> torch.Tensor:
        image = episodes.context["image"].float().mean((2, 3))
        return image[torch.arange(len(image)), episodes.response]

    clean, dirty = (
        RewardVecEnv(colours(), Source(bright)),
        RewardVecEnv(Overwriting(colours()), Source(bright)),
    )
    for one, other in zip(play(clean, 20), play(dirty, 20), strict=True):
        for before, after in ((one[0], other[0]), (one[2], other[2])):
            assert {key: value.tolist() for key, value in before.items()} == {
                key: value.tolist() for key, value in after.items()
            }
        assert one[3].tolist() == other[3].tolist()
        assert [info["original_reward"] for info in one[5]] == [info["original_reward"] for info in other[5]]


def test_rows_that_share_an_info_get_their_own_rewards() -> None:
    inner = SharingInfos(DummyVecEnv([lambda: Counting(9, False)] * ROWS))
    venv = RewardVecEnv(inner, Source(lambda episodes: episodes.response))
    venv.reset()
    infos = venv.step(np.array([0, 1, 2]))[3]
    assert [info["original_reward"] for info in infos] == [0.0, 10.0, 20.0]
    assert not SharingInfos.nothing


def test_tensors_are_taken_and_given() -> None:
    """Our own environment as a foreign one: dicts of tensors, and last observations that are cut out."""
    envs: Any = gym.make_vec("MMClassify-digits-v0", num_envs=4).unwrapped
    feedback = Source(lambda episodes: episodes.response)
    venv = RewardVecEnv(DeviceVecEnv(envs), feedback, observation_action_and_next)
    before = venv.reset()
    after, reward, done, infos = venv.step(torch.arange(4))
    assert reward.tolist() == [0, 1, 2, 3]
    assert done.all()
    for key, value in feedback.seen[0].context.items():
        if key.startswith("next_"):
            last = torch.stack([info["terminal_observation"][key.removeprefix("next_")] for info in infos])
            assert torch.equal(value, last)
        else:
            assert torch.equal(value, before[key])
    assert all(isinstance(value, torch.Tensor) for value in after.values())


def test_actions_that_are_overwritten_do_no_harm() -> None:
    venv, _ = counting(observation_and_action)
    venv.feedback = Source(lambda episodes: episodes.response)
    venv.reset()
    actions = np.array([1, 2, 0])
    venv.step_async(actions)
    actions[:] = 0
    assert venv.step_wait()[1].tolist() == [1, 2, 0]


@pytest.mark.parametrize("wrap", [lambda venv: venv, VecTransposeImage])
def test_pictures_are_channels_first_for_feedback_wherever_they_are_transposed(wrap: Any) -> None:
    def named(episodes: Episodes) -> torch.Tensor:
        assert episodes.context["image"].shape[1:] == episodes.context["next_image"].shape[1:] == (3, 40, 48)
        return (episodes.context["image"][:, :, 0, 0].argmax(1) == episodes.response).float()

    venv = RewardVecEnv(wrap(colours()), Source(named), observation_action_and_next)
    for step in play(venv, 20):
        assert step[3].tolist() == [info["original_reward"] for info in step[5]]


def test_ppo_puts_its_transposition_on_top_and_feedback_sees_pictures_as_ever() -> None:
    feedback = Source(lambda episodes: episodes.context["image"][:, :, 0, 0].argmax(1) == episodes.response)
    venv = RewardVecEnv(colours(), feedback, observation_action_and_next)
    agent = PPO("MultiInputPolicy", venv, n_steps=8, batch_size=12, n_epochs=1, device="cpu")
    assert isinstance(agent.get_env(), VecTransposeImage)
    agent.learn(24)
    assert len(feedback.seen) == 8
    for episodes in feedback.seen:
        assert episodes.context["image"].shape == (ROWS, 3, 40, 48)
        assert episodes.context["extra"].shape == episodes.response.shape == (ROWS,)
    returns = [info["r"] for info in agent.ep_info_buffer or ()]
    assert returns
    assert set(returns) <= {0.0, 1.0}


def test_spaces_of_contexts_are_those_that_feedback_gets() -> None:
    feedback = Source(lambda episodes: episodes.response)
    venv = RewardVecEnv(colours(), feedback, observation_action_and_next)
    play(venv, 1)
    spaces = context_spaces(venv.observation_space, following=True)
    (episodes,) = feedback.seen
    assert list(spaces) == list(episodes.context)
    for key, space in spaces.items():
        assert space.contains(episodes.context[key][0].numpy())
    bounds = gym.make("CartPole-v1").observation_space
    assert context_spaces(bounds)["observation"].shape == (4,)


def test_normalisation_lies_above_and_changes_nothing_below(tmp_path: Any) -> None:
    feedback = Source(lambda episodes: episodes.context["observation"][:, 0])
    below = RewardVecEnv(make_vec_env("CartPole-v1", n_envs=ROWS, seed=0), feedback)
    venv = VecNormalize(below)
    venv.reset()
    _, reward, _, infos = venv.step(np.zeros(ROWS, int))
    assert venv.get_original_reward().tolist() == feedback.seen[0].context["observation"][:, 0].tolist()
    assert reward.tolist() != venv.get_original_reward().tolist()
    assert [info["original_reward"] for info in infos] == [1.0] * ROWS
    venv.save(str(tmp_path / "normalisation.pkl"))
    again = VecNormalize.load(str(tmp_path / "normalisation.pkl"), below)
    assert again.obs_rms.count == venv.obs_rms.count
    venv.close()


@pytest.mark.parametrize("algorithm", [PPO, DQN])
def test_agents_are_trained_saved_and_loaded(algorithm: Any, tmp_path: Any) -> None:
    feedback = Source(lambda episodes: -episodes.context["observation"][:, 2].abs())
    venv = VecNormalize(RewardVecEnv(make_vec_env("CartPole-v1", n_envs=ROWS, seed=0), feedback))
    few = {"n_steps": 16, "batch_size": 16} if algorithm is PPO else {"learning_starts": 8, "train_freq": 4}
    agent = algorithm("MlpPolicy", venv, device="cpu", **few).learn(96)
    agent.save(tmp_path / "agent.zip")
    again = algorithm.load(tmp_path / "agent.zip", env=venv, device="cpu").learn(48)
    seen = venv.reset()
    assert again.predict(seen, deterministic=True)[0].shape == (ROWS,)


def test_what_is_no_environment_and_no_feedback_is_refused() -> None:
    feedback: Any = Source(lambda episodes: torch.zeros(len(episodes)))
    alone: Any = gym.make("CartPole-v1")
    with pytest.raises(ValueError, match=r"is no VecEnv of Stable-Baselines3"):
        RewardVecEnv(alone, feedback)
    with pytest.raises(ValueError, match=r"^Linear is no feedback source: give one"):
        RewardVecEnv(make_vec_env("CartPole-v1"), torch.nn.Linear(1, 1))  # type: ignore[arg-type]


def test_what_cannot_work_is_refused() -> None:
    feedback = Source(lambda episodes: episodes.response)
    seeing = Source(lambda episodes: episodes.response)
    seeing.sees_reference = True
    with pytest.raises(ValueError, match="Source scores by the reference"):
        RewardVecEnv(colours(), seeing)
    with pytest.raises(ValueError, match="replaced already"):
        RewardVecEnv(VecNormalize(RewardVecEnv(make_vec_env("CartPole-v1"), feedback)), feedback)
    with pytest.raises(RuntimeError, match="step before reset"):
        RewardVecEnv(colours(), feedback).step(np.zeros(ROWS, int))
    venv = RewardVecEnv(colours(), Source(lambda episodes: episodes.response / 0))
    venv.reset()
    with pytest.raises(ValueError, match="Source gave 3 of 3 rewards that are not finite"):
        venv.step(np.zeros(ROWS, int))
    venv = RewardVecEnv(colours(), feedback, lambda steps: Episodes({}, steps.action[:1]))
    venv.reset()
    with pytest.raises(ValueError, match="made 1 episodes of 3 steps"):
        venv.step(np.zeros(ROWS, int))


def test_an_agent_learns_the_task_from_a_reward_model_alone() -> None:
    """From 150 pairs a reward model learns which colour is named right, and PPO learns it from the model.

    A policy that guesses is right in a third of 300 episodes: 0.8 is more than 15 standard errors away.
    """
    venv = colours(64)
    venv.seed(0)
    image = torch.as_tensor(venv.reset()["image"])[:50].movedim(-1, 1)
    # Every picture with all three answers and all three pairs of them.
    contexts = {"image": image, "extra": torch.zeros(50, dtype=torch.int64)}
    answers = Answers.of(contexts, torch.arange(3).expand(50, 3))
    right = (image[:, :, 0, 0].long().argmax(1)[:, None] == torch.arange(3)).flatten()
    rows = torch.tensor([[0, 1], [0, 2], [1, 2]]) + 3 * torch.arange(50)[:, None, None]
    first, second = rows.flatten(0, 1).unbind(1)
    text = right[first] != right[second]
    first, second = first[text], second[text]
    choice = torch.where(right[first], FIRST, SECOND)
    labels = Pairs(torch.zeros_like(first), first, second, choice, torch.ones_like(text[text]))
    spaces = ModelSpaces(context_spaces(venv.observation_space), venv.action_space)
    config = FitConfig(
        ModelConfig(features=64, width=16), held_out=0, epochs=40, batch=16, learning_rate=3e-3
    )
    model = fit(Labelled(answers, ("one",), (labels,)), spaces, config).model
    learning = RewardVecEnv(venv, LearnedReward(spaces, model=model))
    agent = PPO(
        "MultiInputPolicy",
        learning,
        n_steps=4,
        batch_size=64,
        n_epochs=4,
        learning_rate=1e-3,
        ent_coef=0.01,
        seed=0,
        device="cpu",
        policy_kwargs={"features_extractor_kwargs": {"cnn_output_dim": 16}},
    ).learn(4096)
    venv.seed(1)
    env, true = agent.get_env(), []
    assert env is not None
    seen: Any = env.reset()
    for _ in range(5):
        seen, _, _, infos = env.step(agent.predict(seen, deterministic=True)[0])
        true += [info["original_reward"] for info in infos]
    assert np.mean(true) > 0.8
