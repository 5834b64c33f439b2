"""Every vector wrapper of Gymnasium works around an environment or is refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import wrappers as single
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import vector
from wrapper_tables import wrapper_table

from mm_envs.engine.wrappers import refuse_wrappers, wrappers_around

MODES = ("SameStep", "NextStep", "Disabled")
JAX = {"JaxToNumpy", "JaxToTorch"}
TABLE = wrapper_table("Gymnasium")
NEEDED = {"RecordVideo": "moviepy", "HumanRendering": "pygame"}
NEEDED |= dict.fromkeys(("ArrayConversion", "NumpyToTorch"), "array_api_compat")
SENTENCE = r"output='numpy'|observation|space, got|autoreset_mode"


def same(values: Any) -> Any:
    return values


def twice(rewards: Any) -> Any:
    return 2 * rewards


def wrap(name: str, envs: Any, folder: Path) -> Any:
    """The environment in a wrapper with the arguments that it needs."""
    spaces = {"observation_space": envs.single_observation_space}
    arguments: dict[str, Callable[[], tuple[Any, ...] | dict[str, Any]]] = {
        "VectorizeTransformObservation": lambda: {
            "wrapper": single.TransformObservation,
            "func": same,
            **spaces,
        },
        "VectorizeTransformAction": lambda: {
            "wrapper": single.TransformAction,
            "func": same,
            "action_space": envs.single_action_space,
        },
        "VectorizeTransformReward": lambda: {"wrapper": single.TransformReward, "func": twice},
        "TransformObservation": lambda: (same,),
        "TransformAction": lambda: (same,),
        "TransformReward": lambda: (twice,),
        "FilterObservation": lambda: (list(envs.single_observation_space),),
        "ResizeObservation": lambda: ((8, 8),),
        "ReshapeObservation": lambda: ((8,),),
        "RescaleObservation": lambda: (0, 1),
        "DtypeObservation": lambda: (np.float32,),
        "RescaleAction": lambda: (0.0, 1.0),
        "ClipReward": lambda: (0.0, 0.5),
        "RecordVideo": lambda: (str(folder),),
        "ArrayConversion": lambda: (torch if envs.output == "torch" else np, np),
    }
    given = arguments.get(name, tuple)()
    cls = getattr(vector, name)
    return cls(envs, **given) if isinstance(given, dict) else cls(envs, *given)


def rewards(name: str, folder: Path, output: str, mode: str) -> list[list[float]]:
    """The rewards of 30 random steps."""
    # These two take continuous actions only.
    continuous = name in ("ClipAction", "RescaleAction")
    envs = gym.make_vec(
        "MMClassify-distribution-v0" if continuous else "MMClassify-digits-v0",
        num_envs=3,
        output=output,
        autoreset_mode=mode,
        render_mode="rgb_array" if name in ("RecordVideo", "HumanRendering") else None,
    )
    envs.metadata["render_fps"] = 1000  # HumanRendering waits between frames.
    wrapped = wrap(name, envs, folder)
    wrapped.reset(seed=1)
    wrapped.action_space.seed(0)
    taken = []
    for _ in range(30):
        _, reward, terminated, truncated, _ = wrapped.step(wrapped.action_space.sample())
        taken.append(np.asarray(reward).tolist())
        if mode == "Disabled":
            wrapped.reset(options={"reset_mask": np.asarray(terminated | truncated)})
    wrapped.close()
    return taken


def test_the_table_has_every_wrapper() -> None:
    assert set(TABLE) == set(vector.__all__) - JAX


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("mode", MODES)
def test_it_works_or_one_sentence_names_the_cure(
    name: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in NEEDED:
        pytest.importorskip(NEEDED[name])
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    taken = {}
    for output, cell in zip(("torch", "numpy"), TABLE[name], strict=True):
        modes = [known for known in MODES if known in cell] or MODES
        if cell.startswith("works") and mode in modes:
            taken[output] = rewards(name, tmp_path, output, mode)
        else:
            with pytest.raises((ValueError, TypeError), match=SENTENCE):
                rewards(name, tmp_path, output, mode)
    if len(taken) == 2:
        assert np.allclose(taken["torch"], taken["numpy"])


def test_a_refused_reset_changes_nothing_and_the_environment_can_be_used() -> None:
    envs, twin = (gym.make_vec("MMCaption-v0", num_envs=2) for _ in range(2))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"NormalizeReward computes .* output='numpy'"):
            vector.ClipReward(vector.NormalizeReward(vector.TransformReward(envs, same)), 0, 1).reset(seed=0)
    assert torch.equal(envs.reset(seed=3)[0]["image"], twin.reset(seed=3)[0]["image"])


def test_what_a_wrapper_from_elsewhere_hands_on_is_not_judged() -> None:
    class ToNumpy(gym.vector.VectorWrapper):
        """Converts what the statistics read."""

        def step(self, actions: Any) -> Any:
            observations, *arrays, info = super().step(actions)
            return (observations, *(array.numpy() for array in arrays), info)

    envs = vector.RecordEpisodeStatistics(ToNumpy(gym.make_vec("MMClassify-digits-v0", num_envs=2)))
    envs.reset(seed=0)
    assert envs.step([0, 1])[-1]["episode"]["l"].tolist() == [1, 1]


def test_rewards_on_an_accelerator_are_not_clipped_by_numpy() -> None:
    class Envs(gym.vector.VectorEnv):
        metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 - Gymnasium's own attribute
        num_envs, device = 1, torch.device("cpu")

        def reset(self, **_: Any) -> Any:
            refuse_wrappers(self, "torch", self.device)

    envs = Envs()
    vector.ClipReward(envs, 0, 1).reset()
    envs.device = torch.device("cuda")
    with pytest.raises(ValueError, match="ClipReward computes with NumPy"):
        vector.ClipReward(envs, 0, 1).reset()


def test_only_wrappers_that_the_call_came_through_are_found() -> None:
    class Envs(gym.vector.VectorEnv):
        num_envs = 1

        def reset(self, **_: Any) -> Any:
            self.found = wrappers_around(self, gym.vector.VectorWrapper, "env")
            return {}, {}

    envs, other = Envs(), Envs()
    inner = vector.DictInfoToList(envs)
    outer = vector.TransformReward(inner, same)
    vector.DictInfoToList(other)
    outer.reset()
    assert envs.found == [inner, outer]
    envs.reset()
    assert envs.found == []
