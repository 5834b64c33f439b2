"""The conformance suite: correct environments pass, and each fault is noticed by the rule meant for it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import broken
import gymnasium as gym
import numpy as np
import pytest
import torch
from counting import MODES, Counting
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from mm_envs.engine.check import RULES, Check, Report, check_vector_env

# Every fault in every mode, and with both outputs where there are several modes by turns.
CASES = [
    (kind, mode, output)
    for kind in broken.BROKEN
    for turn, mode in enumerate(kind.modes)
    for output in kind.outputs
    if len(kind.modes) == 1 or output == kind.outputs[turn % len(kind.outputs)]
]


def check(
    kind: type[VectorEnv], mode: AutoresetMode, output: str, twin: bool = True, **keywords: Any
) -> Report:
    def make(num_envs: int, autoreset_mode: AutoresetMode = mode, first_row: int = 0) -> VectorEnv:
        # A fault of some modes is judged by comparison with a mode that is right.
        everywhere = getattr(kind, "modes", MODES) == MODES
        base = kind if everywhere or autoreset_mode is mode else Counting
        return base(num_envs, autoreset_mode, output, first_row)

    maker = make if twin else lambda num_envs: make(num_envs)
    return check_vector_env(make(3), make=maker, raise_on_failure=False, steps=16, **keywords)


@pytest.mark.parametrize("output", ["numpy", "torch"])
@pytest.mark.parametrize("mode", MODES)
def test_the_correct_environment_holds_every_rule(mode: AutoresetMode, output: str) -> None:
    report = check(Counting, mode, output, strict=True)
    assert report.ok, report.message()
    skipped = {c.name for c in report.of("skipped")}
    only = {
        AutoresetMode.SAME_STEP: {"final in space", "end in info", "final_obs apart"},
        AutoresetMode.NEXT_STEP: {"reset step", "reset step action"},
        AutoresetMode.DISABLED: {"reset mask", "options unchanged"},
    }
    elsewhere = set().union(*(names for other, names in only.items() if other is not mode))
    assert skipped == elsewhere | {"render"} | ({"device"} if output == "numpy" else set())


@pytest.mark.parametrize(("kind", "mode", "output"), CASES)
def test_each_fault_is_noticed_by_its_rule(kind: Any, mode: AutoresetMode, output: str) -> None:
    report = check(kind, mode, output, strict=kind.strict)
    failed = {c.name for c in report.failures}
    assert kind.broken in failed, str(report)
    assert failed <= {kind.broken, *kind.also}, str(report)
    assert not any(c.detail.startswith("raised") for c in report.failures if kind.broken != "close"), str(
        report
    )


@pytest.mark.parametrize("kind", [kind for kind in broken.BROKEN if kind.strict])
def test_departures_of_gymnasium_itself_fail_only_if_strict(kind: Any) -> None:
    report = check(kind, kind.modes[0], "numpy")
    assert report.ok
    noted = next(c for c in report.checks if c.name == kind.broken)
    assert noted.status == "skipped"
    assert "strict=True" in noted.detail


def test_every_rule_is_proved_on_a_broken_environment() -> None:
    assert {kind.broken for kind in broken.BROKEN} == {rule.name for rule in RULES}


@pytest.mark.parametrize("name", ["FinalIsTheNextFirst", "FinalIsAView", "NotReset"])
def test_a_lost_final_observation_is_noticed_without_another_mode(name: str) -> None:
    report = check(getattr(broken, name), AutoresetMode.SAME_STEP, "numpy", twin=False)
    assert "final observation" in {c.name for c in report.failures}


class Walk(gym.Env[Any, Any]):
    """Dict, Tuple, Discrete and MultiDiscrete observations; a Dict action; ends at random."""

    observation_space = gym.spaces.Dict(
        position=gym.spaces.Box(-9, 9, (2,), np.float64),
        pair=gym.spaces.Tuple([gym.spaces.Discrete(50), gym.spaces.MultiDiscrete([3, 4])]),
    )
    action_space = gym.spaces.Dict(turn=gym.spaces.Discrete(2), push=gym.spaces.Box(-1, 1, (2,), np.float32))

    def _observe(self) -> dict[str, Any]:
        return {
            "position": self.position.copy(),
            "pair": (np.int64(self.time), self.np_random.integers(0, [3, 4])),
        }

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.time, self.position = 0, self.np_random.uniform(-1, 1, 2)
        return self._observe(), {"start": self.position.copy()}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action)
        self.time += 1
        self.position = np.clip(self.position + action["push"] * (1 + action["turn"]), -9, 9)
        done = bool(self.np_random.random() < 0.2)
        return self._observe(), float(self.position[0]), done, self.time > 40, {"note": "text"}


@pytest.mark.parametrize("entry", ["CartPole-v1", Walk])
@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_gymnasiums_own_vector_environments_pass(kind: Any, mode: AutoresetMode, entry: Any) -> None:
    build = partial(gym.make, entry) if isinstance(entry, str) else entry

    def make(num_envs: int, autoreset_mode: AutoresetMode = mode) -> VectorEnv:
        return kind([build] * num_envs, autoreset_mode=autoreset_mode)

    report = check_vector_env(partial(make, 2), make=make, steps=40)
    assert {"final observation", "first observation", "batch invariance"} <= {
        c.name for c in report.of("holds")
    }


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_gymnasiums_episode_statistics_agree_with_ours(mode: AutoresetMode) -> None:
    envs = SyncVectorEnv([Walk] * 3, autoreset_mode=mode)
    report = check_vector_env(RecordEpisodeStatistics(envs))
    assert "episode statistics" in {c.name for c in report.of("holds")}


def test_live_buffers_are_not_asked_to_stay() -> None:
    report = check_vector_env(SyncVectorEnv([Walk] * 2, copy=False))
    details = {c.name: c.detail for c in report.of("skipped")}
    assert "copy=False" in details["values stay"]


def test_rules_that_cannot_be_tested_are_reported() -> None:
    envs = Counting(1)
    details = {c.name: c.detail for c in check_vector_env(envs, steps=1, seed=3).of("skipped")}
    assert details["rows differ"] == "needs at least 2 rows"
    assert details["batch invariance"] == "needs make(num_envs) to build other copies"
    assert envs.closed

    class Endless(Counting):
        def begin(self, mask: Any) -> None:
            super().begin(mask)
            self.steps[mask] = -(10**9)

    details = {c.name: c.detail for c in check_vector_env(Endless(2), steps=5).of("skipped")}
    assert details["end in info"] == "no episode ended in 5 steps: raise steps"


def test_an_environment_without_chance_is_not_asked_for_it() -> None:
    class Fixed(Counting):
        def generator(self, row: int) -> Any:
            return np.random.default_rng(5)

    skipped = {c.name: c.detail for c in check_vector_env(Fixed(3), strict=True).of("skipped")}
    for name in ("different seeds", "reset without seed", "rows differ", "adjacent seeds"):
        assert skipped[name].startswith("nothing is random")


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_fixed_start_to_which_a_row_may_return_is_no_fault(mode: AutoresetMode) -> None:
    report = check_vector_env(gym.make_vec("CliffWalking-v1", 3, "sync", {"autoreset_mode": mode}))
    assert "same seed" in {c.name for c in report.of("holds")}


def test_a_failure_names_the_rule_and_the_cure() -> None:
    with pytest.raises(
        AssertionError, match=r"reward and flags: reward has shape \(4, 1\) instead of \(4,\)"
    ):
        check_vector_env(broken.RewardIsAColumn(4))
    with pytest.raises(TypeError, match=r"no gymnasium\.vector\.VectorEnv"):
        check_vector_env(gym.make("CartPole-v1"))  # type: ignore[arg-type]


def test_what_needs_a_broken_rule_is_skipped() -> None:
    report = check_vector_env(broken.FourResults(4), raise_on_failure=False)
    assert [c.name for c in report.failures] == ["return types"]
    assert next(c for c in report.checks if c.name == "in space").detail == 'needs "return types" to hold'


def test_the_report_is_a_table_and_json() -> None:
    checks = (Check("spaces", "holds", "batched"), Check("close", "fails", "raised", "twice"))
    report = Report("envs", checks)
    lines = str(report).splitlines()
    assert lines[0] == "envs"
    assert lines[2].split() == ["FAILS", "close", "raised"]
    assert lines[-1] == "1 hold, 1 fail, 0 skipped"
    values = json.loads(json.dumps(report.to_dict()))
    assert values["ok"] is False
    assert values["checks"][1] == {"name": "close", "status": "fails", "detail": "raised", "rule": "twice"}


def test_it_leaves_the_generators_of_the_process_alone() -> None:
    before = (np.random.get_state()[1].copy(), torch.get_rng_state())
    check_vector_env(Counting(3, output="torch"))
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.get_rng_state())
