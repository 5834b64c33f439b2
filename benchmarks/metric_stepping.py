"""Stepping MMCaption-v0 with CIDEr-D as feedback, beside plain environments that do the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.baselines.plain_cider_env import (
    PlainCiderEnv,
    Scorer,
    cached_scorer,
    plain_references,
    public_scorer,
)
from benchmarks.baselines.plain_env import PlainItems, plain_items
from benchmarks.metric_sides import TOLERANCE, Contest, Duel
from benchmarks.sides import Peer, Side, engine_side, peers
from benchmarks.throughput import take_turns
from mm_envs.engine.vector import MultimodalVectorEnv


@dataclass(frozen=True)
class Setting:
    """How the environments are stepped.

    Attributes:
        rows: Rows of ours.
        peer_rows: The numbers of rows at which every vector environment of plain ones is tried.
        most_processes: The one that runs a process a row is not tried with more rows than this.
        seconds: The length of a turn.
        references: How many references captions are held against, from the first; None: all.
        task_arguments: Arguments of the task.
    """

    rows: int
    peer_rows: Sequence[int]
    most_processes: int
    seconds: float
    references: int | None
    task_arguments: dict[str, Any]


def stepping_contest(
    setting: Setting, generator: np.random.Generator, progress: Callable[[str], None]
) -> Contest:
    """Ours, and the best vector environment of each plain one at its best number of rows.

    All hand out fresh observations; actions are uniformly random words.
    """
    progress("making the items")
    items = plain_items(**setting.task_arguments)
    references = plain_references(items)
    scorers = {
        "pycocoevalcap": public_scorer(references, items.vocabulary.words, setting.references),
        "plain CIDEr-D": cached_scorer(references, setting.references),
    }
    arguments: dict[str, Any] = {
        "feedback": "cider_d",
        "feedback_arguments": {"references": setting.references},
    }
    ours = engine_side(setting.rows, True, generator, **arguments, **setting.task_arguments)
    ours.name = "mm-envs, feedback='cider_d'"
    sides = [ours]
    for name, scorer in scorers.items():
        verify(items, scorer, {**arguments, **setting.task_arguments})
        progress(f"plain environments with {name}")
        sides.append(_best(name, items, scorer, setting, generator))
    # The bars are those of CIDEr-D as it is meant: the consensus of all references.
    duels = [Duel(0, 1, 15, 20), Duel(0, 2, 4)] if setting.references is None else [Duel(0, 1), Duel(0, 2)]
    seen = "all references" if setting.references is None else f"{setting.references} of the references"
    return Contest(f"stepping MMCaption-v0, {seen}", sides, duels)


def verify(items: PlainItems, scorer: Scorer, arguments: dict[str, Any], rows: int = 64) -> float:
    """Has ours and plain environments write the same captions of the same items.

    In the first row all words are random, in the last one they are those of the best caption.

    Args:
        items: The items of the plain environments.
        scorer: Their CIDEr-D.
        arguments: Of our environment.
        rows: How many captions at a time.

    Returns:
        The largest reward that was seen.

    Raises:
        RuntimeError: A reward, a utility or the end of an episode differs.
    """
    envs = MultimodalVectorEnv(rows, "caption", **arguments)
    plain = [PlainCiderEnv(items, scorer) for _ in range(rows)]
    _, info = envs.reset(seed=1)
    for env, item in zip(plain, info["item"].tolist(), strict=True):
        env.reset(options={"items": item})
    generator, most = torch.Generator().manual_seed(2), 0.0
    for _ in range(3 * envs.task.horizon):
        best = envs.action_at(envs.task.oracle(envs.reference()))
        drawn = torch.randint(len(items.vocabulary), (rows,), generator=generator)
        right = torch.rand(rows, generator=generator) < torch.linspace(0, 1, rows)
        actions = torch.where(right, best, drawn)
        _, rewards, terminated, _, info = envs.step(actions)
        for row, env in enumerate(plain):
            _, reward, ended, _, said = env.step(int(actions[row]))
            theirs, mine = [float(ended), reward], [float(terminated[row]), float(rewards[row])]
            if ended:
                theirs.append(said["utility"])
                mine.append(float(info["final_info"]["utility"][row]))
                env.reset(options={"items": int(info["item"][row])})
            if not np.allclose(mine, theirs, rtol=0, atol=TOLERANCE):
                raise RuntimeError(
                    f"row {row}: end, reward and utility are {mine} and {theirs} of plain Python"
                )
            most = max(most, reward)
    return most


def _best(
    name: str, items: PlainItems, scorer: Scorer, setting: Setting, generator: np.random.Generator
) -> Side:
    """The quickest of all vector environments that hand out fresh observations, in a short first pass."""
    make = partial(PlainCiderEnv, scorer=scorer)
    found: list[tuple[float, Peer, int]] = []
    for peer in peers():
        if not peer.fresh:
            continue
        for rows in setting.peer_rows:
            if peer.per_process and rows > setting.most_processes:
                continue
            side = peer.side(rows, items, generator, make=make)
            speed = float(np.median(take_turns([side], 2, setting.seconds / 2, lambda: None)[0]))
            side.close()
            found.append((speed, peer, rows))
    _, peer, rows = max(found, key=lambda one: one[0])
    side = peer.side(rows, items, generator, make=make)
    side.name = f"{name}, {peer.name}, {rows} rows"
    return side
