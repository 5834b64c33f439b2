"""Rules about memory: returned values never change later and share no memory with the environment."""

from __future__ import annotations

import numpy as np

from mm_envs.engine.check import trees
from mm_envs.engine.check.report import Departure, Fault, Skip
from mm_envs.engine.check.run import Call, Mask, Recording, Run, drive, first_difference


def values_stay(run: Run) -> str:
    """What reset and step returned is not changed by later calls."""
    _need_copies(run)
    for index, (raw, taken) in enumerate(run.kept):
        if (path := trees.difference(trees.snapshot(raw.returned), taken.returned)) is not None:
            raise Fault(f"{path} of call {index} ({raw.kind}) was changed by a later call: return a copy")
    return f"{len(run.kept)} results kept"


def final_apart(run: Run) -> str:
    """The final observation and the observation of the same step have no memory in common."""
    found = [call for call in run.raw if "final_obs" in call.info]
    if not found:
        raise Skip("there is no final_obs in info")
    for call in found:
        if (path := trees.shared(call.info["final_obs"], call.obs)) is not None:
            raise Fault(f"final_obs{path} is a view of the observation that the reset writes: copy it first")
    return f"{len(found)} steps"


def inplace_change(run: Run) -> str:
    """Changing what was returned in place does not change what the environment does."""
    _need_copies(run)

    def overwritten(call: Call) -> Call:
        taken = call.snapshot()
        trees.overwrite(call.returned)
        return taken

    changed = [overwritten(call) for call in drive(run.envs, run.actions(), run.steps, run.seed)]
    if (where := first_difference(run.recorded, changed)) is not None:
        raise Fault(f"it changes {where}: the state of the environment leaks out, return a copy")
    if (where := _info_difference(run, changed)) is not None:
        raise Departure(f"it changes {where}: what the info is made from leaks out, return a copy")
    return "the trajectory stays the same"


def _info_difference(run: Run, changed: Recording) -> str | None:
    """The first entry of an info that differs, out of those that a mere repetition leaves the same."""
    all_rows = np.ones(run.n, dtype=np.bool_)
    for index, calls in enumerate(zip(run.recorded, run.record(), changed, strict=True)):
        infos = [trees.leaves(trees.masked(call.info, all_rows), "info") for call in calls]
        for (path, first), (_, again), (_, now) in zip(*infos, strict=False):
            if trees.same(first, again) and not trees.same(first, now):
                return f"{path} of call {index} ({calls[0].kind})"
    return None


def actions_unchanged(run: Run) -> str:
    """The actions given to step are not changed."""
    actions = run.actions()
    given = []

    def choose(step: int, ended: Mask) -> object:
        batch = actions(step, ended)
        given.append((batch, trees.snapshot(batch)))
        return batch

    for _ in drive(run.envs, choose, run.steps, run.seed):
        pass
    for batch, taken in given:
        if (path := trees.difference(trees.snapshot(batch), taken)) is not None:
            raise Fault(f"step changed {path} of the actions in place: copy them first")
    return f"{len(given)} batches of actions"


def _need_copies(run: Run) -> None:
    if getattr(run.envs, "copy", True) is False:
        raise Skip("the environment says copy=False: its buffers are live")
