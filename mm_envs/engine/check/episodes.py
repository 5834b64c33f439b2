"""Rules about episode statistics, rendering, wrong actions and closing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from mm_envs.engine.check import trees
from mm_envs.engine.check.report import Departure, Fault, Skip
from mm_envs.engine.check.run import Call, Run

_NAMES = {"return": ("r", "return"), "length": ("l", "length")}


def statistics(run: Run) -> str:
    """The return and the length in info["episode"] are the sum and the number of the rewards."""
    run.need_ends()
    totals, lengths, count = np.zeros(run.n), np.zeros(run.n), 0
    resting = np.zeros(run.n, dtype=np.bool_)
    for call in run.recorded:
        if call.kind != "step":
            continue
        totals, lengths = totals + np.where(resting, 0, call.reward), lengths + ~resting
        if call.mask.any() and (episode := _episode(call)) is not None:
            _compare(episode, totals, lengths, call.mask)
            count += int(call.mask.sum())
        totals, lengths = np.where(call.mask, 0, totals), np.where(call.mask, 0, lengths)
        resting = call.mask if run.mode is AutoresetMode.NEXT_STEP else resting
    if not count:
        raise Skip('there is no "episode" in final_info or info')
    return f"{count} episodes"


def _episode(call: Call) -> Mapping[str, Any] | None:
    for info in (call.info.get("final_info"), call.info):
        if isinstance(info, Mapping) and isinstance(info.get("episode"), Mapping):
            found: Mapping[str, Any] = info["episode"]
            return found
    return None


def _compare(episode: Mapping[str, Any], totals: Any, lengths: Any, mask: Any) -> None:
    for name, wanted in (("return", totals), ("length", lengths)):
        key = next((key for key in _NAMES[name] if key in episode), None)
        if key is None:
            raise Fault(f'info["episode"] lacks the {name}: put it under {_NAMES[name][0]!r}')
        got = np.asarray(episode[key])[mask].astype(np.float64)
        tolerance = 1e-5 * (1 + np.abs(wanted[mask])) if name == "return" else 0
        if not np.all(np.abs(got - wanted[mask]) <= tolerance):
            raise Fault(
                f'info["episode"][{key!r}] is {got}, and the steps give {wanted[mask]}: '
                "count each step once, the last included, and start anew with every episode"
            )


def render(run: Run) -> str:
    """With a render mode, render returns something after a reset."""
    if run.envs.render_mode in (None, "human"):
        raise Skip(f"render_mode is {run.envs.render_mode}")
    run.envs.reset(seed=run.seed)
    if run.envs.render() is None:
        raise Fault(f"render returned None with render_mode={run.envs.render_mode!r}: return the frames")
    return str(run.envs.render_mode)


def action_shape(run: Run) -> str:
    """Actions for another number of rows are refused, not broadcast."""
    actions, envs = run.actions(), run.envs
    row = actions.single(0, 0)
    envs.reset(seed=run.seed)
    column = trees.map_leaves(lambda leaf: leaf[:, None], actions.batch([row] * run.n))
    column_taken = run.n > 1 and _accepts(run, column)
    for count in {run.n + 1, 1} - {run.n}:
        if _accepts(run, actions.batch([row] * count)):
            raise Fault(f"actions for {count} rows are accepted by {run.n} rows: compare the shape and raise")
    if column_taken:
        raise Departure("actions of shape (num_envs, 1, ...) are accepted: compare the whole shape and raise")
    return "other numbers of rows are refused"


def _accepts(run: Run, actions: Any) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # workers say at length what went wrong
            run.envs.step(actions)
    except Exception:
        return False
    return True


def close(run: Run) -> str:
    """The environment can be closed twice."""
    run.envs.close()
    run.envs.close()
    return "closed twice"
