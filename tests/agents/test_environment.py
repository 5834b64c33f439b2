"""What the file of an agent says is data: nothing that it names is run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import gymnasium as gym
import pytest
import torch

from agents.agent_folder import load, read_config, save
from agents.environment import stored_environment
from agents.sb3.settings import PPOSettings
from agents.trainers import make_trainer
from mm_envs import Episodes, Judgement
from mm_envs.__main__ import main

MakeEnvs: TypeAlias = Callable[..., gym.vector.VectorEnv]
TRAP = "a_trap:spring"


class Halves:
    """A feedback that is an object."""

    sees_reference = deterministic = scores_prefix = False

    def score(self, episodes: Episodes) -> Judgement:
        return Judgement(torch.full((len(episodes),), 0.5), {})


@pytest.fixture
def sprung(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was called or looked up in a module that must not be imported."""
    found: list[Any] = []

    class Trap(ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            found.append(name)
            return lambda *arguments, **named: found.append(arguments)

    monkeypatch.setitem(sys.modules, "a_trap", Trap("a_trap"))
    return found


def saved(folder: Path, **arguments: Any) -> Path:
    envs = gym.make_vec("MMClassify-digits-v0", 2, **{"feedback": "truth", **arguments})
    return save(make_trainer("sb3-ppo", envs, features=8, hidden=0, settings=PPOSettings(n_steps=4)), folder)


def tampered(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def test_the_trap_springs_where_a_user_names_it(sprung: list[Any]) -> None:
    with pytest.raises(ValueError, match="is no feedback"):
        gym.make_vec("MMClassify-digits-v0", 2, feedback=TRAP)
    assert "spring" in sprung


def _kwargs(**given: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["environment"]["kwargs"].update(given)


STRANGE = [
    (
        {"task": TRAP},
        "task='a_trap:spring' is not one of classify, caption, vqa, retrieve, ground, guess: make the "
        "environment yourself",
    ),
    (
        {"dataset": TRAP},
        "dataset='a_trap:spring' is not one of scenes, digits",
    ),
    ({"feedback": TRAP}, "feedback='a_trap:spring' is not one of truth, "),
    ({"feedback": ["truth", TRAP]}, "is not one of truth, "),
    ({"task": {"classify": TRAP}}, "is not one of classify, "),
    ({"feedback_arguments": {"judge": TRAP}}, "'a_trap:spring' in feedback_arguments, which could run code"),
    ({"feedback_arguments": {"a": [{"b": [TRAP]}]}}, "'a_trap:spring' in feedback_arguments"),
    ({"feedback_arguments": {TRAP: 1}}, "'a_trap:spring' in feedback_arguments"),
    ({"anything": f" {TRAP}\n"}, "in anything, which could run code"),
    ({"wrappers": ["a_trap"]}, "wrappers=['a_trap'], which is not stored"),
    ({"vectorization_mode": "async"}, "vectorization_mode='async', which is not stored"),
]


@pytest.mark.parametrize(("given", "message"), STRANGE)
def test_names_of_a_file_are_never_called(
    given: dict[str, Any], message: str, tmp_path: Path, sprung: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    tampered(saved(tmp_path / "agent"), _kwargs(**given))
    for command in (["evaluate", "--episodes", "4"], ["play", "--episodes", "2"]):
        assert main([command[0], str(tmp_path), *command[1:]]) == 1
        assert message in " ".join(capsys.readouterr().err.split())
    # The agent itself can still be loaded into an environment of one's own.
    assert load(tmp_path / "agent", gym.make_vec("MMClassify-digits-v0", 2)).algo == "sb3-ppo"
    assert sprung == []


@pytest.mark.parametrize("name", ["a_trap:MMClassify-v0", "CartPole-v1", ["MMVQA-v0"], None])
def test_only_registered_ids_are_made(name: Any, sprung: list[Any]) -> None:
    with pytest.raises(
        ValueError, match=r"id=.* is not one of MMClassify-v0, .*: make the environment yourself"
    ):
        stored_environment({"environment": {"id": name, "kwargs": {}}})
    assert sprung == []


def test_the_user_may_name_what_the_file_may_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "my_judges", sys.modules[__name__])
    monkeypatch.setattr(sys.modules[__name__], "judge", lambda task, **_: Halves(), raising=False)
    folder = saved(tmp_path / "agent", feedback="my_judges:judge", feedback_arguments={"strictness": 2})
    with pytest.raises(ValueError, match=r"'my_judges:judge' is not one of .*give --feedback NAME"):
        stored_environment(read_config(folder))
    name, arguments = stored_environment(read_config(folder), "my_judges:judge")
    # Those of the old feedback do not go with a new one.
    assert "feedback_arguments" not in arguments
    assert isinstance(gym.make_vec(name, 2, **arguments).unwrapped.feedback, Halves)  # type: ignore[attr-defined]
    assert main(["evaluate", str(folder), "--episodes", "4", "--feedback", "my_judges:judge"]) == 0


def test_what_json_cannot_hold_is_listed_and_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = saved(tmp_path / "agent", feedback=Halves(), scale=6)
    made = read_config(folder)["environment"]
    assert made["not_stored"] == ["feedback"]
    assert made["kwargs"] == {"task": "classify", "dataset": "digits", "scale": 6}
    assert main(["evaluate", str(folder), "--episodes", "4"]) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert "trained with an object as feedback, which a file cannot hold: give --feedback NAME" in message
    assert main(["evaluate", str(folder), "--episodes", "4", "--feedback", "truth", "--json"]) == 0
    policies = json.loads(capsys.readouterr().out)["policies"]
    assert policies["oracle"]["reward"]["mean"] == 1.0


def test_objects_of_other_kinds_need_python(tmp_path: Path) -> None:
    from mm_envs.data.digits import Digits

    folder = saved(tmp_path, dataset=Digits())
    with pytest.raises(ValueError, match=r"an object as dataset, which .*: make the environment yourself"):
        stored_environment(read_config(folder), "truth")


def test_what_is_chosen_anew_is_not_stored(tmp_path: Path) -> None:
    folder = saved(tmp_path, group_size=2, autoreset_mode="SameStep", split="validation")
    name, arguments = stored_environment(read_config(folder))
    assert sorted(arguments) == ["dataset", "feedback", "task"]
    assert gym.make_vec(name, 1, **arguments).num_envs == 1


@pytest.mark.parametrize(
    ("part", "given", "message"),
    [
        ("policy", {"tensorboard": "/somewhere"}, "has no argument 'tensorboard'"),
        ("policy", {"features_extractor_class": TRAP}, "has no argument 'features_extractor_class'"),
        ("policy", {"fusion": TRAP}, "fusion='a_trap:spring' is not one of concat"),
        ("settings", {"policy_class": TRAP}, "PPOSettings has no argument 'policy_class'"),
        ("settings", {"learning_rate": TRAP}, "learning_rate='a_trap:spring' is not a number"),
    ],
)
def test_loading_takes_numbers_and_known_names_only(
    part: str, given: dict[str, Any], message: str, tmp_path: Path, sprung: list[Any]
) -> None:
    tampered(saved(tmp_path), lambda config: config[part].update(given))
    with pytest.raises(ValueError, match=message):
        load(tmp_path, gym.make_vec("MMClassify-digits-v0", 2))
    assert sprung == []


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"format": 0}'])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config.json is not .*: save the agent again"):
        read_config(tmp_path)
