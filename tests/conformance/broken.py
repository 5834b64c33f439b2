"""Copies of a correct vector environment that are each broken in one way.

Every class names the rule that has to notice it (``broken``), other rules that cannot but notice it too
(``also``), the autoreset modes in which the fault exists, and whether only a strict run fails it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from counting import DISABLED, MODES, NEXT, SAME, Counting
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space


class Broken(Counting):
    """The base of the broken ones."""

    broken: ClassVar[str]
    also: ClassVar[tuple[str, ...]] = ()
    strict: ClassVar[bool] = False
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


class LeaksItsReturn(Broken):
    """Only the statistics of later episodes notice it."""

    broken = "in-place change"
    strict = True
    modes = (NEXT, DISABLED)

    def begin(self, mask: np.ndarray) -> None:
        self.total = self.total.copy()
        super().begin(mask)

    def advance(self, actions: np.ndarray, resting: np.ndarray) -> np.ndarray:
        self.total = self.total.copy()
        return super().advance(actions, resting)

    def episodes(self) -> dict[str, Any]:
        info = super().episodes()
        live = self.total if self.output == "numpy" else torch.from_numpy(self.total)
        return info | {"episode": info["episode"] | {"r": live}}


class LeaksItsFlags(Broken):
    """The end flags that are returned say which rows to reset with the next step."""

    broken = "in-place change"
    modes = (NEXT,)

    def begin(self, mask: np.ndarray) -> None:
        self.ended = self.ended.copy()
        super().begin(mask)

    def finish(self, reward: Any, terminated: Any, truncated: Any) -> Any:
        obs, reward, _, *results = super().finish(reward, terminated, truncated & False)
        live = self.ended if self.output == "numpy" else torch.from_numpy(self.ended)
        return obs, reward, live, *results


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
