"""Every trainer through the command line: trained, killed, resumed, evaluated, played, compared, replayed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from every_task import KIND_TASKS, task_of
from safetensors.torch import load_file

from agents.acting import AnsweringPolicy, EpisodeHashes
from agents.agent_folder import load, save
from agents.baselines import baseline_policy
from agents.evaluate import evaluate
from agents.learning import learn
from agents.playing import play_once
from agents.policy import ResponsePolicy
from agents.policy_folder import load_policy
from agents.trainer import Trainer
from agents.trainers import TRAINERS, make_settings, make_trainer, trainer_class
from mm_envs.__main__ import main
from mm_envs.cli.progress import Watch
from mm_envs.engine.vector import MultimodalVectorEnv

TOKENS = ("rloo", "ppo", "dqn", "sb3-ppo")
IDS = {"sft": "MMGuess-v0", "dpo": "MMGuess-v0", **dict.fromkeys(TOKENS, "MMVQA-tokens-v0")}
SETTINGS: dict[str, dict[str, Any]] = {
    "sft": {"items": 256, "batch": 16, "probes": 8},
    "reinforce": {"value_warmup": 1},
    "self-critical": {},
    # Demonstrations end before the training is killed.
    "rloo": {"answers": 2, "kl": 0.1, "demonstrations": 16, "demonstration_steps": 16},
    "grpo": {"answers": 2, "kl": 0.1, "kl_controller": "rl4lms", "entropy_target": 1.0},
    "ppo": {"minibatches": 2, "value_warmup": 2, "schedule": "adaptive", "target_kl": 0.01},
    "expert-iteration": {"answers": 2},
    "dpo": {"answers": 2, "refresh": 3},
    "dqn": {"buffer": 48, "batch": 8, "learning_starts": 24, "target_interval": 4, "gradient_steps": 1},
    "sb3-ppo": {"n_steps": 4, "n_epochs": 1},
    "sb3-a2c": {"n_steps": 4},
    "sb3-dqn": {"buffer_size": 128, "learning_starts": 32, "batch_size": 8},
}
ROWS = 8


def words(algo: str, out: Path) -> list[str]:
    """A short training on the command line."""
    rows = [
        "--num-envs",
        str(ROWS),
        "--steps",
        "128",
        "--seed",
        "3",
        "--threads",
        "1",
        "--eval-episodes",
        "16",
    ]
    given = [f"--settings={name}={value}" for name, value in SETTINGS[algo].items()]
    sizes = ["--policy", "features=16", "--policy", "hidden=8", "--checkpoint-seconds", "0"]
    return [
        "train",
        IDS.get(algo, "MMClassify-digits-v0"),
        "--algo",
        algo,
        "--out",
        str(out),
        *rows,
        *given,
        *sizes,
    ]


def results(out: Path) -> dict[str, Any]:
    """Everything that a training leaves, but for times and paths."""
    own = {"out", "seconds", "files"}
    run = json.loads((out / "run.json").read_text())
    weights = load_file(str(out / "agent/policy.safetensors"))
    return {
        "weights": {name: value.tolist() for name, value in weights.items()},
        "run": {name: value for name, value in run.items() if name not in own},
        **{name: (out / name).read_text() for name in ("curve.csv", "metrics.jsonl", "episodes.jsonl")},
    }


class Killed(BaseException):
    """Ends a training in the middle of an update, as nothing on the way catches it."""


def killed_in_this_process(algo: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains until half of the points of the learning curve are there."""

    def watched(self: Watch, point: Any) -> None:
        if point.step >= 64:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "__call__", watched)
        with pytest.raises(Killed):
            main(words(algo, out))


def killed_by_the_system(algo: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains in a process of its own until a checkpoint is there, and sends SIGKILL."""
    command = [sys.executable, "-m", "mm_envs", *words(algo, out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None and not list((out / "checkpoints").glob("step-*[1-9]*.json")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "the training ended before it was killed"


@pytest.mark.parametrize(
    "killed", [killed_in_this_process, pytest.param(killed_by_the_system, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("algo", TRAINERS)
def test_every_trainer_through_the_command_line(
    algo: str,
    killed: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert main(words(algo, whole)) == 0
    killed(algo, out, monkeypatch)
    assert main(["train", "--resume", str(out)]) == 0
    assert results(out) == results(whole)
    assert not (out / "checkpoints").exists()
    if killed is killed_in_this_process:
        use(out, whole, capsys)


def use(out: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Evaluates, plays, compares and replays what a training left."""
    capsys.readouterr()
    assert main(["evaluate", str(out), "--episodes", "16", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["policies"] == json.loads((out / "run.json").read_text())["evaluation"]["policies"]

    assert main(["play", str(out), "--episodes", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["episodes"]) == 2

    assert main(["compare", str(out), str(whole), "--items", "8", "--json"]) == 0
    duel = json.loads(capsys.readouterr().out)
    assert (duel["items"], duel["same"]) == (8, 8)

    episode = json.loads((out / "episodes.jsonl").read_text().splitlines()[-1])
    for answer in (["--policy", str(out)], ["--response", episode["answer"]]):
        assert main(["replay", episode["ticket"], *answer, "--json"]) == 0
        outcome = json.loads(capsys.readouterr().out)["outcome"]
        assert (outcome["reward"], outcome["utility"]) == (episode["reward"], episode["utility"])


def made(algo: str, rows: int = 8, seed: int = 3) -> Trainer:
    """A small trainer."""
    settings = make_settings(algo, SETTINGS[algo])
    arguments = trainer_class(algo).environment_arguments(settings)
    envs = gym.make_vec("MMClassify-digits-v0", rows, feedback="truth", **arguments)
    return make_trainer(algo, envs, seed=seed, settings=settings, features=16, hidden=8)


@pytest.mark.parametrize("algo", TRAINERS)
def test_a_saved_agent_acts_as_before(algo: str, tmp_path: Path) -> None:
    trainer = made(algo)
    learn(trainer, 64)
    save(trainer, tmp_path)
    again = load(tmp_path, gym.make_vec("MMClassify-digits-v0", 2))
    assert all(torch.equal(value, again.weights()[name]) for name, value in trainer.weights().items())
    envs = gym.make_vec("MMClassify-digits-v0", 5, split="test")
    first, second = (evaluate(one.policy(), envs, 10).response for one in (trainer, again))
    assert torch.equal(first, second)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["config.json", "policy.safetensors"]


@pytest.mark.parametrize("algo", TRAINERS)
def test_the_seed_decides_what_is_learned(algo: str) -> None:
    weights = []
    for seed in (3, 3, 4):
        trainer = made(algo, seed=seed)
        learn(trainer, 32)
        weights.append(torch.cat([value.flatten().double() for value in trainer.weights().values()]))
        torch.rand(1)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("algo", TRAINERS)
def test_wrong_settings_are_refused(algo: str) -> None:
    with pytest.raises(ValueError, match="has no argument 'featurs'"):
        make_trainer(algo, gym.make_vec("MMClassify-digits-v0", 2), featurs=3)
    with pytest.raises(ValueError, match="has no argument 'learnin_rate'"):
        make_settings(algo, {"learnin_rate": 1})
    with pytest.raises(ValueError, match="learning_rate='os:system' is not a number"):
        make_settings(algo, {"learning_rate": "os:system"})
    with pytest.raises(ValueError, match="learning_rate=None is not a number"):
        make_settings(algo, {"learning_rate": None})
    with pytest.raises(ValueError, match="settings=3 are not for"):
        make_trainer(algo, gym.make_vec("MMClassify-digits-v0", 2), settings=3)


def test_a_policy_of_fine_tuning_is_a_start(tmp_path: Path) -> None:
    """It is trained further by policy gradients; a policy that acts step by step is refused."""
    trainer = made("sft")
    learn(trainer, 64)
    save(trainer, tmp_path / "sft")
    envs = gym.make_vec("MMClassify-digits-v0", 8, feedback="truth")
    later: Any = make_trainer("rloo", envs, start=str(tmp_path / "sft"))
    assert {"features": 16, "hidden": 8}.items() <= later.policy_arguments.items()
    assert all(torch.equal(value, later.weights()[name]) for name, value in trainer.weights().items())
    save(made("sb3-a2c"), tmp_path / "a2c")
    with pytest.raises(ValueError, match="whose policy acts step by step"):
        load_policy(tmp_path / "a2c", later.task)


@pytest.mark.parametrize("name", KIND_TASKS)
def test_answers_are_written_step_by_step(name: str) -> None:
    """In episodes a policy gives the answer that it draws as a whole, in any number of rows."""
    task = task_of(name)
    model = ResponsePolicy(task, features=16, hidden=16)
    envs = MultimodalVectorEnv(6, task, feedback="truth")
    for temperature in (0.0, 1.0):
        first, final = play_once(AnsweringPolicy(model, task, temperature), envs, seed=5)
        _, info = envs.reset(seed=5)
        hashes = EpisodeHashes(5, 6)(info)
        context = {key: first[key] for key in task.context}
        turns = final.get("turns")
        assert turns is None
        if not task.turn_spaces:
            whole, _ = model.sample(model.encode(context), hashes, temperature)
            assert torch.equal(final["response"], whole)
        again = play_once(AnsweringPolicy(model, task, temperature), envs, seed=5)[1]
        assert torch.equal(final["response"], again["response"])
    result = evaluate(AnsweringPolicy(model, task), envs, episodes=12)
    assert len(result) == len(result.response) == 12


@pytest.mark.parametrize("name", KIND_TASKS)
def test_the_oracle_is_perfect_in_every_kind_of_episode(name: str) -> None:
    envs = MultimodalVectorEnv(4, task_of(name), feedback="truth")
    oracle, random = (evaluate(baseline_policy(envs, one), envs, 16).utility for one in ("oracle", "random"))
    assert oracle.mean() >= random.mean()
