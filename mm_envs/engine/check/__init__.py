"""A conformance suite for any Gymnasium vector environment.

``gymnasium.utils.env_checker`` checks single environments only. This suite drives a vector environment with
known actions and tests the rules that training code relies on.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import NamedTuple

from gymnasium.vector import VectorEnv

from mm_envs.engine.check import autoreset, episodes, layout, memory, seeding
from mm_envs.engine.check.report import Check, Departure, Fault, Report, Skip, Status
from mm_envs.engine.check.run import Envs, Run

__all__ = ["RULES", "Check", "Report", "check_vector_env"]


class Rule(NamedTuple):
    """A rule, and the rules that it needs."""

    name: str
    try_on: Callable[[Run], str]
    needs: tuple[str, ...]


_FORM = ("attributes", "spaces", "return types", "observation layout", "reward and flags", "device")
_REPEATABLE = (*_FORM, "same seed")

RULES: tuple[Rule, ...] = (
    Rule("attributes", layout.attributes, ()),
    Rule("spaces", layout.spaces, ("attributes",)),
    Rule("return types", layout.return_types, _FORM[:2]),
    Rule("observation layout", layout.observation_layout, _FORM[:3]),
    Rule("reward and flags", layout.reward_and_flags, _FORM[:3]),
    Rule("device", layout.device, _FORM[:3]),
    Rule("info masks", layout.info_masks, _FORM),
    Rule("in space", layout.in_space, _FORM),
    Rule("final in space", layout.final_in_space, _FORM),
    Rule("end in info", autoreset.end_in_info, _FORM),
    Rule("values stay", memory.values_stay, _FORM),
    Rule("final_obs apart", memory.final_apart, _FORM),
    Rule("actions unchanged", memory.actions_unchanged, _FORM),
    Rule("same seed", seeding.same_seed, _FORM),
    Rule("different seeds", seeding.different_seeds, _REPEATABLE),
    Rule("reset without seed", seeding.reset_without_seed, _REPEATABLE),
    Rule("rows differ", seeding.rows_differ, _REPEATABLE),
    Rule("adjacent seeds", seeding.adjacent_seeds, _REPEATABLE),
    Rule("batch invariance", seeding.batch_invariance, _REPEATABLE),
    Rule("in-place change", memory.inplace_change, (*_REPEATABLE, "info masks")),
    Rule("final observation", autoreset.final_observation, _REPEATABLE),
    Rule("first observation", autoreset.first_observation, _REPEATABLE),
    Rule("reset step", autoreset.reset_step, _FORM),
    Rule("reset step action", autoreset.reset_step_action, _REPEATABLE),
    Rule("reset mask", autoreset.reset_mask, _REPEATABLE),
    Rule("options unchanged", autoreset.options_unchanged, _FORM),
    Rule("episode statistics", episodes.statistics, _FORM),
    Rule("render", episodes.render, _FORM),
    Rule("action shape", episodes.action_shape, _FORM),
    Rule("close", episodes.close, ()),
)


def check_vector_env(
    envs: Envs | Callable[[], Envs],
    *,
    seed: int = 0,
    steps: int = 64,
    make: Callable[..., Envs] | None = None,
    strict: bool = False,
    raise_on_failure: bool = True,
) -> Report:
    """Tests every rule on a vector environment.

    Args:
        envs: The environment, or a function that builds it. It is closed at the end. 4 to 16 rows are
            enough, as everything that it returns is kept.
        seed: Seed of the resets and of the random actions.
        steps: Steps of each of about ten drives; some episodes have to end within them.
        make: ``make(num_envs)`` builds another copy, for the rules that need one. It may take the keywords
            ``autoreset_mode`` (to compare modes) and ``first_row`` (for batch invariance).
        strict: Whether to fail departures that Gymnasium's own vector environments share: seeds that are
            ``seed + row``, options that are changed, an additional dimension of the actions, statistics that
            change with a returned info.
        raise_on_failure: Whether to raise if a rule fails, rather than only to report it.

    Returns:
        One entry per rule. ``print(report)`` shows a table.

    Raises:
        AssertionError: A rule fails; the message names each with its cure.
        TypeError: ``envs`` is no vector environment.

    Example:
        >>> import gymnasium as gym
        >>> report = check_vector_env(gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="sync"))
        >>> report.ok
        True
    """
    built = envs() if not isinstance(envs, VectorEnv) and callable(envs) else envs
    if not isinstance(built, VectorEnv):
        raise TypeError(f"envs={built!r} is no gymnasium.vector.VectorEnv: single ones have check_env")
    run = Run(built, make, seed, steps)
    checks: list[Check] = []
    try:
        for rule in RULES:
            checks.append(_try(rule, run, strict, checks))
    finally:
        run.close()
    report = Report(f"check_vector_env: {built!r}, {steps} steps, seed {seed}", tuple(checks))
    if raise_on_failure and not report.ok:
        raise AssertionError(report.message())
    return report


def _try(rule: Rule, run: Run, strict: bool, done: list[Check]) -> Check:
    text = (inspect.getdoc(rule.try_on) or "").splitlines()[0]
    failed = [check.name for check in done if check.name in rule.needs and check.status == "fails"]
    if failed:
        return Check(rule.name, "skipped", f'needs "{failed[0]}" to hold', text)
    status: Status = "holds"
    try:
        detail = rule.try_on(run)
    except Skip as reason:
        status, detail = "skipped", str(reason)
    except Departure as fault:
        note = "does not hold, as in Gymnasium's own (strict=True fails it): "
        status, detail = ("fails", str(fault)) if strict else ("skipped", f"{note}{fault}")
    except Fault as fault:
        status, detail = "fails", str(fault)
    except Exception as error:
        status, detail = "fails", f"raised {type(error).__name__}: {error}"
    return Check(rule.name, status, detail, text)
