"""Rules about the end of an episode, by autoreset mode (https://farama.org/Vector-Autoreset-Mode).

SAME_STEP: the step that ends an episode returns the first observation of the next one, and ``info`` holds the
end. NEXT_STEP: the following step ignores the action and returns that first observation. DISABLED: the
caller resets finished rows by ``reset(options={"reset_mask": mask})``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from mm_envs.engine.check import trees
from mm_envs.engine.check.report import Departure, Fault, Skip
from mm_envs.engine.check.run import Call, Mask, Recording, Run, first_difference

_FINAL = ("final_obs", "final_info")


def end_in_info(run: Run) -> str:
    """With SAME_STEP, info holds what ended, masked by terminated | truncated."""
    _only(run, AutoresetMode.SAME_STEP)
    ends = run.need_ends()
    for call in run.recorded:
        for key in _FINAL:
            _final_entry(call, key)
    return f"{len(ends)} steps with an end"


def _final_entry(call: Call, key: str) -> None:
    mask = call.info.get(f"_{key}")
    if call.kind == "step" and call.mask.any():
        missing = [name for name in (key, f"_{key}") if name not in call.info]
        if missing:
            raise Fault(f"info lacks {missing[0]!r} when a row ended: put what ended there")
        if not trees.same(np.asarray(mask), call.mask):
            raise Fault(
                f'info["_{key}"] is {mask}, and terminated | truncated is {call.mask}: make them equal'
            )
    elif mask is not None and np.any(mask):
        raise Fault(f'info["_{key}"] is {mask} when no row ended: leave it out, or all False')


def final_observation(run: Run) -> str:
    """The final observation is the last one of the episode that ended, from before the reset."""
    _need_final(run)
    twin = run.twin
    if twin is not None:
        step, ended = _first_end(run.recorded)
        for row in np.flatnonzero(ended).tolist():
            path = trees.difference(_last(run, run.recorded, step, row), _last(run, twin, step, row))
            if path is not None:
                raise Fault(_stale(run, f"{path} differs from what the other autoreset mode returns"))
        return "equal to that of another autoreset mode"
    if run.constant:
        raise Skip("every observation is the same")
    pairs = list(_pairs(run))
    if pairs and all(trees.same(last, fresh) for last, fresh in pairs):
        raise Fault(_stale(run, "it always equals the first observation of the next episode"))
    return f"{len(pairs)} differ from the next first observation"


def _stale(run: Run, fault: str) -> str:
    if run.mode is AutoresetMode.SAME_STEP:
        return f"{fault}: copy the observation into final_obs before the row is reset, and do reset the row"
    return f"{fault}: the step that ends an episode returns its last observation, and the reset comes later"


def first_observation(run: Run) -> str:
    """After an end the row is reset: its next observation is the first of a new episode."""
    _need_final(run)
    twin = run.twin
    if twin is None:
        raise Skip("needs make(num_envs, autoreset_mode=...) to compare with another mode")
    step, ended = _first_end(run.recorded)
    for row in np.flatnonzero(ended).tolist():
        one, other = _first(run, run.recorded, step, row), _first(run, twin, step, row)
        if one is None or other is None:
            raise Skip("the first episodes ended with the last step: raise steps")
        if (path := trees.difference(one, other)) is not None:
            raise Fault(
                f"{path} differs from what the other autoreset mode returns: reset the row completely, "
                "and let no action reach it before its first observation"
            )
    return "equal to that of another autoreset mode"


def reset_step(run: Run) -> str:
    """With NEXT_STEP, the step after an end has reward 0 and ends nothing."""
    _only(run, AutoresetMode.NEXT_STEP)
    run.need_ends()
    steps, count = run.recorded[1:], 0
    for before, after in pairwise(steps):
        for row in np.flatnonzero(before.mask).tolist():
            count += 1
            if after.reward[row] != 0:
                raise Fault(
                    f"the step after an end has reward {after.reward[row]}: set it to 0, it is no move"
                )
            if after.mask[row]:
                raise Fault("the step after an end is itself an end: clear terminated and truncated there")
    return f"{count} reset steps"


def reset_step_action(run: Run) -> str:
    """With NEXT_STEP, the step after an end ignores the action of the row that ended."""
    _only(run, AutoresetMode.NEXT_STEP)
    run.need_ends()
    if (where := first_difference(run.recorded, run.record(actions=run.actions(obey=False)))) is not None:
        raise Fault(f"another action there changes {where}: reset the row instead of stepping it")
    return "other actions there change nothing"


def reset_mask(run: Run) -> str:
    """With DISABLED, reset(options={"reset_mask": mask}) resets the rows of the mask and no others."""
    _only(run, AutoresetMode.DISABLED)
    if run.n < 2:
        raise Skip("needs at least 2 rows")
    mask = np.arange(run.n) % 2 == 0
    before, after = _masked_reset(run, {"reset_mask": mask.copy()})
    kept = [row for row in np.flatnonzero(~mask).tolist() if not trees.same(before[row], after[row])]
    if kept:
        raise Fault(f"row {kept[0]} changed though its mask is False: leave the other rows as they are")
    # A row may have been at the start all the time, if there is only one start.
    starts = [*run.rows(run.recorded[0].obs), *after]
    fixed = all(trees.same(starts[0], start) for start in starts[: run.n] + starts[run.n :: 2])
    if not fixed and all(trees.same(before[row], after[row]) for row in np.flatnonzero(mask).tolist()):
        raise Fault("no row of the mask changed: give these rows a new episode")
    if run.device is not None:
        tensor = torch.as_tensor(mask, device=run.device)
        if not trees.same(after, _masked_reset(run, {"reset_mask": tensor})[1]):
            raise Fault("a tensor as the mask gives another result than NumPy: accept both")
    return f"{mask.sum()} rows reset, {(~mask).sum()} left alone"


def options_unchanged(run: Run) -> str:
    """The options given to reset are not changed."""
    _only(run, AutoresetMode.DISABLED)
    mask = np.arange(run.n) % 2 == 0
    options: dict[str, Any] = {"reset_mask": mask.copy()}
    _masked_reset(run, options)
    if options.keys() != {"reset_mask"}:
        raise Departure("reset removed or added an entry of options: read it with get instead of pop")
    if not trees.same(options["reset_mask"], mask):
        raise Fault("reset changed the mask in place: copy it first")
    return "the mask is still there"


def _only(run: Run, mode: AutoresetMode) -> None:
    if run.mode is not mode:
        raise Skip(f"is about {mode.name}, and the mode is {run.mode.name}")


def _need_final(run: Run) -> None:
    ends = run.need_ends()
    if run.mode is AutoresetMode.SAME_STEP and not all("final_obs" in call.info for call in ends):
        raise Skip("there is no final_obs in info")


def _masked_reset(run: Run, options: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """The rows before and after a masked reset that follows one step."""
    run.envs.reset(seed=run.seed)
    obs = trees.snapshot(run.envs.step(run.actions()(0, np.zeros(run.n, dtype=np.bool_)))[0])
    return run.rows(obs), run.rows(trees.snapshot(run.envs.reset(options=options)[0]))


def _first_end(recording: Recording) -> tuple[int, Mask]:
    # Later ends are not compared: rows that share a generator draw in another order in another mode.
    index = next(i for i, call in enumerate(recording) if call.kind == "step" and call.mask.any())
    return index, recording[index].mask


def _last(run: Run, recording: Recording, index: int, row: int) -> Any:
    """The last observation of the episode that ended with a call."""
    call = recording[index]
    if "final_obs" in call.info:
        return run.rows(call.info["final_obs"])[row]
    return run.rows(call.obs)[row]


def _first(run: Run, recording: Recording, index: int, row: int) -> Any:
    """The observation that follows the end: in the same call or in the next one."""
    after = recording[index if "final_obs" in recording[index].info else index + 1 :][:1]
    return run.rows(after[0].obs)[row] if after else None


def _pairs(run: Run) -> list[tuple[Any, Any]]:
    """The last observation of every episode that ended, and the first of the one that follows."""
    steps = [(index, call.mask) for index, call in enumerate(run.recorded) if call.kind == "step"]
    ends = [(index, row) for index, mask in steps for row in np.flatnonzero(mask).tolist()]
    pairs = [(_last(run, run.recorded, *end), _first(run, run.recorded, *end)) for end in ends]
    return [(last, fresh) for last, fresh in pairs if fresh is not None]
