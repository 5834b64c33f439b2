"""Rules about seeds: which trajectories are equal, and which differ."""

from __future__ import annotations

from typing import Any

from mm_envs.engine.check import trees
from mm_envs.engine.check.report import Departure, Fault, Skip
from mm_envs.engine.check.run import Recording, Run, first_difference


def same_seed(run: Run) -> str:
    """The same seed and actions give the same trajectory, again and in another copy."""
    if (where := first_difference(run.recorded, run.record())) is not None:
        raise Fault(
            f"a second reset(seed={run.seed}) differs in {where}: "
            "clear all state in reset, and draw from generators that the seed sets"
        )
    if run.make is None:
        return "repeated in one environment"
    if (where := first_difference(run.recorded, run.record(run.build(run.n)))) is not None:
        raise Fault(f"a second copy differs in {where}: draw only from generators that the seed sets")
    return "repeated in one environment and in a second copy"


def different_seeds(run: Run) -> str:
    """Different seeds give different trajectories."""
    _need_chance(run)
    if first_difference(run.alike, _alike(run, run.seed + 1000)) is None:
        raise Fault(f"seeds {run.seed} and {run.seed + 1000} give the same: use the seed of reset")
    return "two seeds differ"


def reset_without_seed(run: Run) -> str:
    """A reset without a seed continues with new episodes; it does not repeat the seeded ones."""
    _need_chance(run)
    run.envs.reset(seed=run.seed)
    if first_difference(run.alike, _alike(run, None)) is None:
        raise Fault("reset() repeats the first episodes: seed the generators only if a seed is given")
    return "new episodes"


def rows_differ(run: Run) -> str:
    """The rows of one environment are not all the same."""
    if run.n < 2:
        raise Skip("needs at least 2 rows")
    _need_chance(run)
    streams = [_stream(run, run.alike, row) for row in range(run.n)]
    if all(trees.same(stream, streams[0]) for stream in streams[1:]):
        raise Fault("all rows do the same under the same actions: draw for each row on its own")
    return f"{run.n} rows"


def adjacent_seeds(run: Run) -> str:
    """Row i of seed s + 1 is not row i + 1 of seed s."""
    if run.n < 2:
        raise Skip("needs at least 2 rows")
    _need_chance(run)
    later = _alike(run, run.seed + 1)
    shifted = ((_stream(run, later, i), _stream(run, run.alike, i + 1)) for i in range(run.n - 1))
    if all(trees.same(one, other) for one, other in shifted):
        raise Departure(
            "the rows are seeded seed + row, so that runs with adjacent seeds share most of their data: "
            "hash (seed, row), or give a list of seeds from numpy.random.SeedSequence"
        )
    return "nothing shared"


def batch_invariance(run: Run) -> str:
    """A row does not depend on how many rows there are, bit for bit."""
    _same_row(run, run.build(1), 0)
    try:
        _same_row(run, run.build(1, first_row=run.n - 1), run.n - 1)
    except Skip:
        return f"row 0 of 1 and of {run.n}"
    return f"rows 0 and {run.n - 1} of {run.n}, each also alone"


def _same_row(run: Run, alone: Any, row: int) -> None:
    single = Run(alone, None, run.seed, run.steps)
    one = _stream(single, single.record(actions=run.actions([row])), 0)
    if (path := trees.difference(_stream(run, run.recorded, row), one)) is not None:
        raise Fault(
            f"row {row} of {run.n} differs from the same row alone in {path}: "
            "draw from streams of (seed, row), and compute every row on its own"
        )


def _stream(run: Run, recording: Recording, row: int) -> list[Any]:
    """Everything that happened to one row, whatever happened to the others."""
    seen: list[Any] = []
    for call in recording:
        if call.kind == "masked reset" and not call.mask[row]:
            continue
        here = {name: part[row] for name, part in call.core.items() if name not in ("obs", "final_obs")}
        if call.kind == "step" and call.mask[row] and "final_obs" in call.info:
            here["final_obs"] = run.rows(call.info["final_obs"])[row]
        seen.append({"obs": run.rows(call.obs)[row], **here})
    return seen


def _alike(run: Run, seed: int | None) -> Recording:
    return run.record(actions=run.actions([0] * run.n), seed=seed)


def _need_chance(run: Run) -> None:
    """Skips if nothing is ever drawn: seeds, resets and rows are all the same."""
    first = _stream(run, run.alike, 0)
    if not all(trees.same(_stream(run, run.alike, row), first) for row in range(1, run.n)):
        return
    run.envs.reset(seed=run.seed)
    others = (_alike(run, seed) for seed in (None, run.seed + 1000))
    if not any(first_difference(run.alike, other) for other in others):
        raise Skip("nothing is random: seeds, resets and rows never differ")
