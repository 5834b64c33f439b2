"""A small correct vector environment, and copies of it that are each broken in one way.

Every broken class names the rule that has to notice it (``broken``), other rules that cannot but notice it
too (``also``), and the autoreset modes in which the fault exists.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

SAME, NEXT, DISABLED = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED
MODES = (SAME, NEXT, DISABLED)
LIMIT = 4


class Counting(VectorEnv[Any, Any, Any]):
    """Each action is added to a count that starts at random; episodes end at a random step.

    ``pixels`` is a random picture of the episode. An episode terminates after 1 to 6 steps; at 4 steps it is
    truncated. Row r of the environment draws from (seed, first_row + r, episode), and from nothing else.

    Args:
        num_envs: The number of rows.
        autoreset_mode: Any of the three.
        output: "numpy" or "torch".
        first_row: The number of the first row.
    """

    strict: ClassVar[bool] = False

    def __init__(
        self,
        num_envs: int = 4,
        autoreset_mode: AutoresetMode = SAME,
        output: str = "numpy",
        first_row: int = 0,
    ) -> None:
        self.num_envs, self.mode, self.output, self.first_row = num_envs, autoreset_mode, output, first_row
        self.metadata = {"autoreset_mode": autoreset_mode}
        if output == "torch":
            self.device = torch.device("cpu")
        self.single_observation_space = gym.spaces.Dict(
            pixels=gym.spaces.Box(0, 255, (1, 2, 3), np.uint8), count=gym.spaces.Box(0, 99, (1,), np.int64)
        )
        self.single_action_space = gym.spaces.Discrete(3)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.base = int(np.random.SeedSequence().generate_state(1)[0])
        self.pixels = np.zeros((num_envs, 1, 2, 3), np.uint8)
        self.count = np.zeros((num_envs, 1), np.int64)
        self.length, self.steps, self.episode = (np.zeros(num_envs, np.int64) for _ in range(3))
        self.total = np.zeros(num_envs, np.float32)
        self.ended = np.zeros(num_envs, np.bool_)

    # What a row draws, and how it starts ------------------------------------------------------------------

    def generator(self, row: int) -> np.random.Generator:
        return np.random.default_rng([self.base, self.first_row + row, int(self.episode[row])])

    def begin(self, mask: np.ndarray) -> None:
        for row in np.flatnonzero(mask):
            rng = self.generator(row)
            self.pixels[row] = rng.integers(0, 256, self.pixels[row].shape)
            self.count[row] = rng.integers(0, 50)
            self.length[row] = rng.integers(1, 7)
        self.episode[mask] += 1
        self.steps[mask], self.total[mask], self.ended[mask] = 0, 0, False

    # What is returned -------------------------------------------------------------------------------------

    def give(self, array: np.ndarray) -> Any:
        return array.copy() if self.output == "numpy" else torch.from_numpy(array.copy())

    def observe(self) -> dict[str, Any]:
        return {"pixels": self.give(self.pixels), "count": self.give(self.count)}

    def final_observation(self) -> Any:
        final = self.observe()
        if self.output == "torch":
            return final
        singles = np.empty(self.num_envs, dtype=object)
        for row in np.flatnonzero(self.ended):
            singles[row] = {key: value[row] for key, value in final.items()}
        return singles

    def episodes(self) -> dict[str, Any]:
        statistics = {"r": self.give(self.total), "l": self.give(self.steps)}
        return {"episode": statistics, "_episode": self.give(self.ended)}

    def what_ended(self) -> dict[str, Any]:
        if not self.ended.any():
            return {}
        if self.mode is not SAME:
            return self.episodes()
        info = {"final_obs": self.final_observation(), "final_info": self.episodes()}
        return info | {f"_{key}": self.give(self.ended) for key in info}

    # The protocol -----------------------------------------------------------------------------------------

    def chosen(self, options: dict[str, Any] | None) -> np.ndarray:
        mask = (options or {}).get("reset_mask")
        return np.ones(self.num_envs, np.bool_) if mask is None else np.asarray(mask).astype(np.bool_)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self.base = seed
            self.episode[:] = 0
        self.begin(self.chosen(options))
        return self.observe(), {}

    def check_actions(self, actions: np.ndarray) -> None:
        if actions.shape != (self.num_envs,):
            raise ValueError(f"actions have shape {actions.shape} instead of ({self.num_envs},)")

    def advance(self, actions: np.ndarray, resting: np.ndarray) -> np.ndarray:
        self.steps += ~resting
        self.count[:, 0] += np.where(resting, 0, actions)
        reward = np.where(resting, 0, 0.5 * actions).astype(np.float32)
        self.total += reward
        return reward

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        actions = np.asarray(actions)
        self.check_actions(actions)
        resting = self.ended.copy()
        if self.mode is NEXT:
            self.begin(resting)
        reward = self.advance(actions, resting)
        terminated = ~resting & (self.steps >= self.length)
        truncated = ~resting & ~terminated & (self.steps >= LIMIT)
        self.ended = terminated | truncated
        return self.finish(reward, terminated, truncated)

    def finish(
        self, reward: np.ndarray, terminated: np.ndarray, truncated: np.ndarray
    ) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        info = self.what_ended()
        if self.mode is SAME:
            self.begin(self.ended)
        return self.observe(), self.give(reward), self.give(terminated), self.give(truncated), info


class Broken(Counting):
    """The base of the broken ones."""

    broken: ClassVar[str]
    also: ClassVar[tuple[str, ...]] = ()
    modes: ClassVar[tuple[AutoresetMode, ...]] = MODES
    outputs: ClassVar[tuple[str, ...]] = ("numpy", "torch")


# Form -----------------------------------------------------------------------------------------------------


class ModeIsText(Broken):
    broken = "attributes"

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.metadata = {"autoreset_mode": self.mode.value}


class SpacesDisagree(Broken):
    broken = "spaces"

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs + 1)


class FourResults(Broken):
    broken = "return types"

    def step(self, actions: Any) -> Any:
        obs, reward, terminated, truncated, info = super().step(actions)
        return obs, reward, terminated | truncated, info


class WrongDtype(Broken):
    broken = "observation layout"

    def observe(self) -> dict[str, Any]:
        obs = super().observe()
        return obs | {"count": obs["count"] + 0.0}


class RewardIsAColumn(Broken):
    broken = "reward and flags"

    def step(self, actions: Any) -> Any:
        obs, reward, *rest = super().step(actions)
        return obs, reward[:, None], *rest


class FlagsAreNumbers(Broken):
    broken = "reward and flags"

    def step(self, actions: Any) -> Any:
        obs, reward, terminated, truncated, info = super().step(actions)
        return obs, reward, terminated * 1, truncated, info


class TwoDevices(Broken):
    broken = "device"
    outputs = ("torch",)

    def observe(self) -> dict[str, Any]:
        obs = super().observe()
        return obs | {"count": obs["count"].to("meta")}


class OutsideTheSpace(Broken):
    broken = "in space"
    also = ("final in space",)

    def observe(self) -> dict[str, Any]:
        obs = super().observe()
        return obs | {"count": obs["count"] + 90}


class FinalOutsideTheSpace(Broken):
    broken = "final in space"
    also = ("final observation",)
    modes = (SAME,)

    def final_observation(self) -> Any:
        self.count[self.ended] -= 100
        return super().final_observation()


class MaskIsOneNumber(Broken):
    broken = "info masks"
    modes = (SAME,)

    def episodes(self) -> dict[str, Any]:
        return super().episodes() | {"_episode": self.give(np.array(True))}


# The end of an episode ------------------------------------------------------------------------------------


class NoFinalObservation(Broken):
    broken = "end in info"
    modes = (SAME,)

    def what_ended(self) -> dict[str, Any]:
        return {key: value for key, value in super().what_ended().items() if key != "final_obs"}


class MaskForgetsTruncation(Broken):
    broken = "end in info"
    modes = (SAME,)

    def finish(self, reward: Any, terminated: Any, truncated: Any) -> Any:
        *results, info = super().finish(reward, terminated, truncated)
        return *results, info | ({"_final_obs": self.give(terminated)} if info else {})


class FinalIsAView(Broken):
    """As two published adapters did: ``terminal_observation = obs[row]``, then the reset writes into obs."""

    broken = "final_obs apart"
    also = ("final observation",)
    modes = (SAME,)

    def finish(self, reward: Any, terminated: Any, truncated: Any) -> Any:
        obs, *results, info = super().finish(reward, terminated, truncated)
        if info:
            info["final_obs"] = obs
        return obs, *results, info


class FinalIsTheNextFirst(Broken):
    broken = "final observation"
    modes = (SAME,)

    def finish(self, reward: Any, terminated: Any, truncated: Any) -> Any:
        obs, *results, info = super().finish(reward, terminated, truncated)
        return obs, *results, info | ({"final_obs": {k: v + 0 for k, v in obs.items()}} if info else {})


class NotReset(Broken):
    broken = "first observation"
    modes = (SAME,)

    def finish(self, reward: Any, terminated: Any, truncated: Any) -> Any:
        last = self.observe()
        _, *results = super().finish(reward, terminated, truncated)
        return last, *results


class ResetsTooEarly(Broken):
    """Resets in the step that ends the episode, whatever the mode says."""

    broken = "final observation"
    also = ("reset mask",)
    modes = (NEXT, DISABLED)

    def finish(self, reward: Any, terminated: Any, truncated: Any) -> Any:
        ended, info = self.ended.copy(), self.what_ended()
        self.begin(ended)
        self.episode[ended] -= 1
        self.ended = ended
        return self.observe(), self.give(reward), self.give(terminated), self.give(truncated), info


class ResetStepActs(Broken):
    broken = "reset step action"
    also = ("first observation",)
    modes = (NEXT,)

    def advance(self, actions: np.ndarray, resting: np.ndarray) -> np.ndarray:
        self.count[resting, 0] += actions[resting]
        return super().advance(actions, resting)


class ResetStepPays(Broken):
    broken = "reset step"
    modes = (NEXT,)

    def advance(self, actions: np.ndarray, resting: np.ndarray) -> np.ndarray:
        return super().advance(actions, resting) + resting.astype(np.float32)


class ResetsEveryRow(Broken):
    broken = "reset mask"
    also = ("batch invariance", "episode statistics")
    modes = (DISABLED,)

    def chosen(self, options: dict[str, Any] | None) -> np.ndarray:
        return np.ones(self.num_envs, np.bool_)


class ResetsNoRow(Broken):
    broken = "reset mask"
    also = ("first observation", "episode statistics")
    modes = (DISABLED,)

    def chosen(self, options: dict[str, Any] | None) -> np.ndarray:
        mask = super().chosen(options)
        self.ended[mask] = False
        return mask if mask.all() and not options else np.zeros_like(mask)


class PopsTheMask(Broken):
    broken = "options unchanged"
    modes = (DISABLED,)
    strict = True

    def chosen(self, options: dict[str, Any] | None) -> np.ndarray:
        mask = super().chosen(options)
        if options:
            options.pop("reset_mask")
        return mask


class ClearsTheMask(Broken):
    broken = "options unchanged"
    modes = (DISABLED,)

    def chosen(self, options: dict[str, Any] | None) -> np.ndarray:
        mask = super().chosen(options)
        if options:
            options["reset_mask"][:] = False
        return mask


# Memory ---------------------------------------------------------------------------------------------------


class ReusesTheBuffer(Broken):
    broken = "values stay"

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.buffer = super().observe()

    def observe(self) -> dict[str, Any]:
        for key, value in super().observe().items():
            self.buffer[key][:] = value
        return dict(self.buffer)

    def final_observation(self) -> Any:
        final = super().final_observation()
        if self.output == "torch":
            return {key: value.clone() for key, value in final.items()}
        for row in np.flatnonzero(self.ended):
            final[row] = {key: value.copy() for key, value in final[row].items()}
        return final


class ReusesTheReward(Broken):
    broken = "values stay"

    def finish(self, reward: Any, terminated: Any, truncated: Any) -> Any:
        obs, fresh, *results = super().finish(reward, terminated, truncated)
        if not hasattr(self, "buffer"):
            self.buffer = fresh
        self.buffer[:] = fresh
        return obs, self.buffer, *results


class LeaksItsState(Broken):
    """The observation is the state itself; it is replaced, not changed, so that nothing returned changes."""

    broken = "in-place change"

    def begin(self, mask: np.ndarray) -> None:
        self.pixels = self.pixels.copy()
        super().begin(mask)

    def observe(self) -> dict[str, Any]:
        live = self.pixels if self.output == "numpy" else torch.from_numpy(self.pixels)
        return super().observe() | {"pixels": live}

    def final_observation(self) -> Any:
        self.pixels = self.pixels.copy()
        return super().final_observation()


class ChangesTheActions(Broken):
    broken = "actions unchanged"

    def advance(self, actions: np.ndarray, resting: np.ndarray) -> np.ndarray:
        actions[resting if self.mode is NEXT else self.steps > 1] = 0
        return super().advance(actions, resting)


# Seeds ----------------------------------------------------------------------------------------------------


class GlobalGenerator(Broken):
    broken = "same seed"

    def generator(self, row: int) -> Any:
        return np.random.default_rng(np.random.randint(2**31))


class RemembersItsPast(Broken):
    """The seed restarts the generators, but some state survives the reset."""

    broken = "same seed"

    def begin(self, mask: np.ndarray) -> None:
        super().begin(mask)
        self.begun = getattr(self, "begun", 0) + 1
        self.count[mask] += self.begun % 13


class IgnoresTheSeed(Broken):
    broken = "different seeds"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return super().reset(seed=None if seed is None else 7, options=options)


class RepeatsItself(Broken):
    broken = "reset without seed"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        if seed is None and not options:
            self.episode[:] = 0
        return super().reset(seed=seed, options=options)


class RowsAreTheSame(Broken):
    broken = "rows differ"

    def generator(self, row: int) -> np.random.Generator:
        return np.random.default_rng([self.base, int(self.episode[row])])


class SeedPlusRow(Broken):
    broken = "adjacent seeds"
    strict = True

    def generator(self, row: int) -> np.random.Generator:
        return np.random.default_rng([self.base + self.first_row + row, int(self.episode[row])])


class DependsOnTheBatch(Broken):
    broken = "batch invariance"

    def generator(self, row: int) -> np.random.Generator:
        return np.random.default_rng([self.base, self.num_envs, row, int(self.episode[row])])


class DependsOnItsPlace(Broken):
    """The first row alone is right; a later one, built alone, is not."""

    broken = "batch invariance"

    def generator(self, row: int) -> np.random.Generator:
        return np.random.default_rng([self.base, row, int(self.episode[row])])


# The rest -------------------------------------------------------------------------------------------------


class LengthIsOneShort(Broken):
    broken = "episode statistics"

    def episodes(self) -> dict[str, Any]:
        info = super().episodes()
        return info | {"episode": info["episode"] | {"l": info["episode"]["l"] - 1}}


class ReturnLacksTheEnd(Broken):
    broken = "episode statistics"

    def episodes(self) -> dict[str, Any]:
        info = super().episodes()
        return info | {"episode": info["episode"] | {"r": info["episode"]["r"] - 0.5}}


class BroadcastsActions(Broken):
    broken = "action shape"

    def check_actions(self, actions: np.ndarray) -> None:
        if actions.shape != (1,):
            super().check_actions(actions)


class CutsActions(Broken):
    broken = "action shape"

    def step(self, actions: Any) -> Any:
        return super().step(actions[: self.num_envs])


class TakesAColumn(Broken):
    broken = "action shape"
    strict = True

    def step(self, actions: Any) -> Any:
        if actions.ndim == 2:
            actions = actions[:, 0]
        return super().step(actions)


class ClosesOnce(Broken):
    broken = "close"

    def close(self, **keywords: Any) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


class DrawsNothing(Broken):
    broken = "render"

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.render_mode = "rgb_array"

    def render(self) -> Any:
        return None


BROKEN: tuple[type[Broken], ...] = tuple(Broken.__subclasses__())
