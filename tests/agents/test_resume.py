"""A training that was stopped or killed goes on as if it had not been."""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stable_baselines3.common.buffers import DictReplayBuffer

from agents import store
from agents.checkpoints import Checkpoints
from agents.gradient import GradientTrainer
from agents.learning import learn, resume
from agents.on_policy_settings import OnPolicySettings
from agents.policy_gradient import PPO
from agents.preference_trainer import PreferenceSettings
from agents.q_learning import QSettings
from agents.run_folder import METRICS, TENSORBOARD, MetricsCallback
from agents.sb3 import replay
from agents.sb3.settings import A2CSettings, DQNSettings, PPOSettings
from agents.sft import SFTSettings
from agents.trainer import Trainer
from agents.trainers import make_trainer, trainer_class

MakeEnvs: TypeAlias = Callable[..., gym.vector.VectorEnv]
DEMONSTRATED = {"demonstrations": 24, "demonstration_steps": 96}
SETTINGS: dict[str, Any] = {
    "sb3-ppo": PPOSettings(n_steps=4, n_epochs=2, n_minibatches=2),
    "sb3-a2c": A2CSettings(n_steps=4),
    # Crashes hit the random start, too; the ring of the buffer goes round; the target is often copied.
    "sb3-dqn": DQNSettings(buffer_size=128, learning_starts=100, batch_size=8, target_update_interval=40),
    # Crashes hit the demonstrations, too; everything that adapts does.
    "rloo": OnPolicySettings(
        answers=2,
        kl=0.1,
        kl_controller="rl4lms",
        entropy_target=1.0,
        learning_rate=1e-2,
        curriculum="progress",
        **DEMONSTRATED,
    ),
    "ppo": PPO.Settings(epochs=1, minibatches=2, value_warmup=4, schedule="adaptive", target_kl=0.01, kl=0.1),
    "dpo": PreferenceSettings(loss="kto", refresh=5, **DEMONSTRATED),
    "dqn": QSettings(buffer=100, batch=8, learning_starts=48, target_interval=6, gradient_steps=1),
    "sft": SFTSettings(items=96, batch=20, probes=10),
}
WHOLE = ("rloo", "ppo", "dpo", "dqn", "sft")
STEPS = 320


class Killed(BaseException):
    """What nothing on the way catches."""


@pytest.fixture
def made(make: MakeEnvs) -> Callable[..., Trainer]:
    """Makes a small agent."""

    def make_one(algo: str, *, rows: int = 8, words: bool = True, **arguments: Any) -> Trainer:
        settings = arguments.pop("settings", SETTINGS[algo])
        given = {**trainer_class(algo).environment_arguments(settings), **arguments.pop("envs", {})}
        envs = make(rows, words, **{"feedback": "annotator", **given})
        arguments = {"features": 16, "hidden": 8, **arguments}
        return make_trainer(algo, envs, seed=5, settings=settings, **arguments)

    return make_one


def everything(trainer: Trainer) -> dict[str, Any]:
    """The whole state of a trainer, in a form that can be compared, but for times."""
    state, curve = trainer.state_dict(), trainer.curve.state_dict()
    values = {name: value for name, value in curve.values.items() if name != "seconds"}
    tensors = {**state.tensors, **curve.tensors}
    return {
        "values": json.dumps([state.values, values]),
        **{name: (str(one.dtype), one.detach().numpy().tobytes()) for name, one in tensors.items()},
        **{name: array.tobytes() for name, array in replay_arrays(trainer).items()},
    }


def replay_arrays(trainer: Trainer) -> dict[str, Any]:
    buffer = getattr(getattr(trainer, "model", None), "replay_buffer", None)
    return {} if buffer is None else replay._arrays(buffer)


def kill_after(trainer: Trainer, steps: int) -> None:
    """Has a trainer killed in the middle of an update, after some steps of its environment or updates."""
    envs: Any = trainer.envs
    left = [steps]

    def killed(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return call(*arguments, **named)

        return counted

    envs.step = killed(envs.step)
    if isinstance(trainer, GradientTrainer):
        # Between the step of the optimizer and the end of the update.
        trainer.advance = killed(trainer.advance)  # type: ignore[method-assign]


@pytest.mark.parametrize("limit", [None, 2])
@pytest.mark.parametrize("algo", SETTINGS)
def test_a_killed_training_goes_on_bit_for_bit(
    made: Callable[..., Trainer], tmp_path: Path, algo: str, limit: int | None
) -> None:
    """Killed in the middle of rollouts at seeded moments, several times; checkpoints every second rollout."""
    envs = {} if limit is None else {"max_episode_steps": limit}
    if algo in WHOLE and limit:
        pytest.skip("whole answers have no steps")
    steps = (0, 4) if algo in WHOLE else (2, 14)
    whole = made(algo, envs=envs)
    learn(whole, STEPS)
    rng = np.random.default_rng([*algo.encode(), limit or 0])
    crashes, agent = 0, made(algo, envs=envs)
    while True:
        kill_after(agent, int(rng.integers(*steps)) if crashes < 5 else STEPS)
        checkpoints = Checkpoints(tmp_path, seconds=math.inf, updates=2)
        try:
            if crashes == 0:
                learn(agent, STEPS, checkpoints=checkpoints)
            else:
                resume(agent, checkpoints)
            break
        except Killed:
            crashes, agent = crashes + 1, made(algo, envs=envs)
            torch.rand(3)  # what else draws from the process-wide generators does not matter
    assert crashes == 5
    assert everything(agent) == everything(whole)


@pytest.mark.parametrize("algo", WHOLE)
def test_frozen_encoders_go_on_bit_for_bit(made: Callable[..., Trainer], tmp_path: Path, algo: str) -> None:
    """Which tokens were cached before is no part of the state."""
    whole, agent = (made(algo, trainable="none") for _ in range(2))
    learn(whole, STEPS)
    kill_after(agent, 4)
    with pytest.raises(Killed):
        learn(agent, STEPS, checkpoints=Checkpoints(tmp_path, seconds=0))
    again = made(algo, trainable="none")
    resume(again, Checkpoints(tmp_path, seconds=0))
    assert everything(again) == everything(whole)


def interrupted(made: Callable[..., Trainer], folder: Path, algo: str = "sb3-a2c", **arguments: Any) -> None:
    """Trains for a while, with a checkpoint after every rollout, and is killed."""
    agent = made(algo, **arguments)
    kill_after(agent, 12 if algo in WHOLE else 18)
    with pytest.raises(Killed):
        learn(agent, STEPS, checkpoints=Checkpoints(folder, seconds=0))


@pytest.mark.parametrize("algo", SETTINGS)
def test_a_stopped_training_ends_with_a_checkpoint(
    made: Callable[..., Trainer], tmp_path: Path, algo: str
) -> None:
    whole, agent, points = made(algo), made(algo), []
    learn(whole, STEPS)
    checkpoints = Checkpoints(tmp_path, seconds=math.inf)
    learn(
        agent, STEPS, lambda point: checkpoints.stop() if point.step > 100 else None, checkpoints=checkpoints
    )
    assert checkpoints.stopped
    step = agent.step
    assert 100 < step < STEPS
    assert checkpoints.last is not None
    assert checkpoints.last.step == step
    again = made(algo)
    resume(again, Checkpoints(tmp_path), points.append)
    assert everything(again) == everything(whole)
    assert [point.step for point in points] == [p.step for p in whole.curve.points if p.step > step]
    # Its end is a checkpoint, too: nothing is left to be done.
    done = made(algo)
    resume(done, Checkpoints(tmp_path))
    assert everything(done) == everything(whole)


@pytest.mark.parametrize("algo", ["sb3-ppo", "ppo"])
def test_metrics_go_on_in_the_same_folder(made: Callable[..., Trainer], tmp_path: Path, algo: str) -> None:
    """What was logged after the checkpoint is dropped, and what was logged before it is kept."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    metrics = MetricsCallback(tmp_path / "whole")
    learn(made(algo), STEPS, callbacks=[metrics])
    metrics.close()
    trainer, metrics = made(algo), MetricsCallback(tmp_path / "killed")
    kill_after(trainer, 22)
    checkpoints = Checkpoints(tmp_path / "c", seconds=math.inf, updates=3)
    with pytest.raises(Killed):
        learn(trainer, STEPS, checkpoints=checkpoints, callbacks=[metrics])
    metrics.close()
    metrics = MetricsCallback(tmp_path / "killed")
    resume(made(algo), Checkpoints(tmp_path / "c"), callbacks=[metrics])
    metrics.close()
    logs = []
    for name in ("whole", "killed"):
        log = EventAccumulator(str(tmp_path / name / TENSORBOARD)).Reload()
        tags = sorted(log.Tags()["scalars"])
        logs.append({tag: [(event.step, event.value) for event in log.Scalars(tag)] for tag in tags})
    assert logs[0] == logs[1]
    assert len(logs[0]["train/loss"]) > 5
    first, second = ((tmp_path / name / METRICS).read_text() for name in ("whole", "killed"))
    assert first == second
    assert json.loads(first.splitlines()[-1])["step"] == STEPS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": 4}, "num_envs of the environment was 8 and is now 4"),
        ({"settings": A2CSettings(n_steps=4, gamma=0.5)}, "gamma of the algorithm was 1.0 and is now 0.5"),
        ({"hidden": 4}, "hidden of the policy was 8 and is now 4"),
        ({"fusion": "concat"}, "fusion of the policy was not given and is now concat"),
        ({"words": False}, "id of the environment was MMVQA-tokens-v0 and is now MMClassify-digits-v0"),
        ({"envs": {"feedback": "truth"}}, "feedback of the environment was annotator and is now truth"),
        ({"envs": {"split": "test"}}, "split of the environment was train and is now test"),
    ],
)
def test_another_training_is_refused_by_name(
    make: MakeEnvs, made: Callable[..., Trainer], tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    interrupted(made, tmp_path)
    if "envs" in arguments:
        envs = make(8, True, **{"feedback": "annotator", **arguments["envs"]})
        agent = make_trainer("sb3-a2c", envs, seed=5, settings=SETTINGS["sb3-a2c"], features=16, hidden=8)
    else:
        agent = made("sb3-a2c", **arguments)
    before = everything_but_the_past(agent)
    with pytest.raises(ValueError, match=message):
        resume(agent, Checkpoints(tmp_path))
    assert everything_but_the_past(agent) == before


def everything_but_the_past(agent: Trainer) -> Any:
    return {name: value.tolist() for name, value in agent.weights().items()}


def test_another_vocabulary_dataset_or_package_is_reported(
    made: Callable[..., Trainer], tmp_path: Path
) -> None:
    interrupted(made, tmp_path)
    change(tmp_path, lambda whole: whole["training"]["vocabularies"].update(question="another"))
    with pytest.raises(ValueError, match="vocabulary 'question' of the observations was another and is now"):
        resume(made("sb3-a2c"), Checkpoints(tmp_path))
    interrupted(made, tmp_path / "b")
    change(
        tmp_path / "b", lambda whole: whole["training"]["engine"].update({"dataset fingerprint": "another"})
    )
    with pytest.raises(ValueError, match="dataset fingerprint of the environment was another and is now"):
        resume(made("sb3-a2c"), Checkpoints(tmp_path / "b"))
    interrupted(made, tmp_path / "c")
    change(tmp_path / "c", lambda whole: whole["training"]["versions"].update(torch="0.1"))
    with pytest.warns(UserWarning, match=r"torch: 0.1 when the training began and .* now"):
        resume(made("sb3-a2c"), Checkpoints(tmp_path / "c"))
    with pytest.raises(ValueError, match="algo of the training was sb3-a2c and is now sb3-ppo"):
        resume(made("sb3-ppo"), Checkpoints(tmp_path / "c"))


def change(folder: Path, how: Callable[[Any], Any]) -> None:
    """Rewrites the JSON files of all checkpoints."""
    for path in folder.glob("step-*.json"):
        whole = json.loads(path.read_text())
        how(whole)
        path.write_text(json.dumps(whole))


def test_a_wrapped_environment_is_refused_before_it_trains(make: MakeEnvs, tmp_path: Path) -> None:
    from gymnasium.wrappers.vector import RecordEpisodeStatistics

    wrapped = RecordEpisodeStatistics(make(2))
    agent = make_trainer("sb3-a2c", wrapped, features=16)
    with pytest.raises(ValueError, match="without wrappers, or train without checkpoints"):
        learn(agent, 8, checkpoints=Checkpoints(tmp_path))


def test_wrong_times_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"seconds=-1 is below 0.0"):
        Checkpoints(tmp_path, seconds=-1)
    with pytest.raises(ValueError, match="updates=0 is below 1"):
        Checkpoints(tmp_path, updates=0)


# Files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algo", ["sb3-a2c", "sb3-dqn", "dqn"])
def test_a_kill_at_any_moment_of_writing_leaves_a_whole_checkpoint(
    made: Callable[..., Trainer], tmp_path: Path, algo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call that changes the disk is the last one, in turn."""
    calls = {"left": 10**9, "done": 0}

    def dying(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            calls["left"] -= 1
            calls["done"] += 1
            if calls["left"] < 0:
                raise Killed
            return function(*arguments, **named)

        return call

    agent = made(algo)
    checkpoints = Checkpoints(tmp_path, seconds=0)
    for owner, name in ((os, "fsync"), (os, "replace"), (Path, "unlink"), (Path, "write_text")):
        monkeypatch.setattr(owner, name, dying(getattr(owner, name)))
    learn(agent, 128, checkpoints=checkpoints)  # several checkpoints, so that old ones are removed
    assert calls["done"] > 30
    reached, wholes = agent.step, []
    for last in range(40):
        before = checkpoints.last
        assert before is not None
        calls["left"] = last
        try:
            learn(agent, 1, checkpoints=checkpoints)
            calls["left"] = 10**9
            break
        except Killed:
            calls["left"] = 10**9
            whole = store.newest(tmp_path)
            assert whole.step >= before.step
            assert whole.load().keys() == before.load().keys()
            wholes.append(whole.step)
        # Another process goes on from there.
        agent = made(algo)
        checkpoints = Checkpoints(tmp_path, seconds=0)
        checkpoints.restore(agent)
        assert agent.step == whole.step
    assert min(wholes) >= reached
    assert len(set(wholes)) > 1


def test_a_damaged_checkpoint_is_passed_over(made: Callable[..., Trainer], tmp_path: Path) -> None:
    whole = made("sb3-dqn")
    learn(whole, STEPS)
    interrupted(made, tmp_path, "sb3-dqn")
    older, newer = sorted(tmp_path.glob("step-*.safetensors"))
    newer.write_bytes(newer.read_bytes()[:-5])
    agent = made("sb3-dqn")
    with pytest.warns(UserWarning, match=f"{newer.name} is not the file .* goes on from step"):
        resume(agent, Checkpoints(tmp_path, seconds=0))
    assert everything(agent) == everything(whole)

    interrupted(made, tmp_path / "b", "sb3-dqn")
    older, newer = sorted((tmp_path / "b").glob("step-*.json"))
    newer.write_text(newer.read_text()[:-40])
    with pytest.warns(UserWarning, match=f"{newer.name} is damaged"):
        store.newest(tmp_path / "b")
    older.write_text("[]")
    with pytest.raises(ValueError, match=r"no checkpoint in .* is whole: .*; train again"):
        store.newest(tmp_path / "b")
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        resume(agent, Checkpoints(tmp_path / "nothing"))


def test_a_bit_that_has_turned_over_is_found(made: Callable[..., Trainer], tmp_path: Path) -> None:
    interrupted(made, tmp_path)
    for path in tmp_path.glob("step-*.safetensors"):
        content = bytearray(path.read_bytes())
        content[-100] ^= 1
        path.write_bytes(content)
    with pytest.raises(ValueError, match="is whole"):
        resume(made("sb3-a2c"), Checkpoints(tmp_path))


@pytest.mark.parametrize("algo", ["rloo", "ppo", "dqn", "sb3-dqn"])
def test_whatever_a_file_lacks_is_reported_in_a_sentence(
    made: Callable[..., Trainer], tmp_path: Path, algo: str
) -> None:
    """Every entry of the state is replaced in turn, as an untrusted file could have it."""
    interrupted(made, tmp_path, algo)
    path = sorted(tmp_path.glob("step-*.json"))[-1]
    good = path.read_text()
    agent, tried = made(algo), 0
    for names in entries(json.loads(good)["state"]):
        for wrong in (None, "os:system", {"a": "b"}, [[1, 2]]):
            whole = json.loads(good)
            owner = whole["state"]
            for name in names[:-1]:
                owner = owner[name]
            if owner[names[-1]] == wrong or (names[-1] == "window" and wrong is None):
                continue
            owner[names[-1]] = wrong
            path.write_text(json.dumps(whole))
            tried += 1
            try:
                Checkpoints(tmp_path).restore(agent)
            except ValueError as error:
                assert "\n" not in str(error)  # noqa: PT017
            else:
                raise AssertionError((names, wrong))
    assert tried > 30


def entries(state: dict[str, Any], before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths to all entries of nested dicts that a trainer reads, the states of generators whole."""
    found = []
    for name, value in state.items():
        if value == {}:
            continue  # a part that has tensors only
        found.append((*before, name))
        if isinstance(value, dict) and name not in ("exploration", "generators", "action_space"):
            found += entries(value, (*before, name))
    return found


def test_files_of_a_checkpoint_stay_in_its_folder(made: Callable[..., Trainer], tmp_path: Path) -> None:
    interrupted(made, tmp_path)
    change(tmp_path, lambda whole: whole["files"]["tensors"].update(name="../step-1.safetensors"))
    with pytest.raises(ValueError, match=r"'../step-1.safetensors' is no file of a checkpoint"):
        resume(made("sb3-a2c"), Checkpoints(tmp_path))


def test_nothing_of_a_checkpoint_is_unpickled(
    made: Callable[..., Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(made, tmp_path, "sb3-dqn")

    def refused(*arguments: Any, **named: Any) -> Any:
        raise AssertionError("a file is unpickled")

    agent = made("sb3-dqn")
    for owner, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(owner, name, refused)
    resume(agent, Checkpoints(tmp_path))
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pieces=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    size=st.integers(2, 9),
    most=st.integers(1, 4),
)
def test_a_replay_buffer_comes_back_from_its_files(
    pieces: list[int], size: int, most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Written in pieces of any length, with or without the ring going round, with few or many files."""
    folder = tmp_path_factory.mktemp("replay")
    space = gym.spaces.Dict({"image": gym.spaces.Box(0, 255, (2, 3), np.uint8)})
    buffer, again = (DictReplayBuffer(size * 2, space, gym.spaces.Discrete(4), n_envs=2) for _ in range(2))
    rng, steps, files = np.random.default_rng(0), 0, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "MAX_FILES", most)
        for piece in pieces:
            for _ in range(piece):
                seen = [{"image": rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)} for _ in range(2)]
                action = rng.integers(0, 4, (2, 1))
                buffer.add(*seen, action, rng.random(2), rng.random(2) < 0.5, [{}, {}])
            steps += piece
            files = replay.write_new(folder, buffer, steps, files)
            assert len(files) <= most + 1
    replay.read_all(folder, again, steps, files)
    assert (again.pos, again.full) == (buffer.pos, buffer.full)
    for name, array in replay._arrays(buffer).items():
        assert array.tobytes() == replay._arrays(again)[name].tobytes(), name
