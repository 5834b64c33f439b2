"""Tickets of the episodes of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from mm_envs.engine.single import MultimodalEnv
from mm_envs.engine.ticket import NEVER, Ticket, dataset_of, of_one_machine
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.names import one_of
from mm_envs.untrusted import objection
from mm_envs.values import plain, tuples

ENTRY_POINT = f"{MultimodalVectorEnv.__module__}:{MultimodalVectorEnv.__qualname__}"
# Argument of an engine -> its default.
ENGINE_ARGUMENTS = {name: one.default for name, one in signature(MultimodalVectorEnv).parameters.items()}
_NAMED = ("row", "episode_index", "item")


def ticket(envs: Any, row: int = 0, final_info: Mapping[str, Any] | None = None) -> str:
    """The ticket of one episode; ``mm_envs.replay`` and ``mm-envs replay`` reproduce the episode from it.

    Args:
        envs: An environment made by its id with ``gym.make`` or ``gym.make_vec``, wrapped or not.
        row: Which of its rows.
        final_info: None for the running episode. For one that has just ended, the ``info`` of that step or
            its ``info["final_info"]``, before the row is seeded again.

    Raises:
        ValueError: The environment was not made by an id of mm-envs, was not reset yet, has no such row, or
            no episode ended in it.

    Example:
        >>> import gymnasium as gym, torch
        >>> envs = gym.make_vec("MMVQA-v0", num_envs=2)
        >>> observations, info = envs.reset(seed=1)
        >>> before = ticket(envs, 1)
        >>> *_, info = envs.step(torch.tensor([0, 0]))
        >>> ticket(envs, 1, info) == before, ticket(envs, 1) == before
        (True, False)
    """
    engine, at, spec = _engine(envs, row)
    if spec is None:
        raise ValueError("a ticket names the id of an environment: make it with gym.make or gym.make_vec")
    registered = registered_spec(spec.id)
    if not engine.started:
        raise gym.error.ResetNeeded("Cannot make a ticket before calling env.reset()")
    seed, number, episode = engine._rows.key[at].tolist()
    item = int(engine._rows.item_index()[at])
    if final_info is not None:
        number, episode, item = _ended(final_info, at, row, number)
    arguments, missing = _differing(spec, registered, engine)
    name, sizes, content = dataset_of(engine.task)
    # Seeds are 64 bits with a sign inside the engine; without it reset takes them again.
    key = (seed % 2**64, number, episode)
    return str(Ticket(spec.id, name, sizes, content, engine.split, item, *key, arguments, missing))


def registered_spec(name: str) -> EnvSpec:
    """The registered spec of an id; ValueError for one that is not of mm-envs."""
    # Not gym.spec: it imports the module of an id that names one.
    spec = gym.registry.get(name)
    if spec is None or spec.vector_entry_point != ENTRY_POINT:
        ours = [known for known, one in gym.registry.items() if one.vector_entry_point == ENTRY_POINT]
        raise ValueError(f"{one_of('id', name, ours)}: use the version of mm-envs that has it")
    return spec


def _engine(envs: Any, row: int) -> tuple[MultimodalVectorEnv, int, Any]:
    """The engine in an environment, the index of the row in it, and the spec it was made from."""
    inner = getattr(envs, "unwrapped", envs)
    if isinstance(inner, MultimodalEnv):
        engine, count = inner.synchronized(), 1
    elif isinstance(inner, MultimodalVectorEnv):
        engine, count = inner, inner.num_envs
    elif isinstance(several := getattr(inner, "envs", None), (list, tuple)):
        # Single environments side by side: SyncVectorEnv, or DummyVecEnv of Stable-Baselines3.
        _check_row(row, len(several))
        return _engine(several[row], 0)
    elif several is not None:
        return _engine(several, row)
    else:
        raise ValueError(f"envs={envs!r} holds no environment of mm-envs in this process: there is no ticket")
    _check_row(row, count)
    return engine, row, inner.spec


def _check_row(row: int, count: int) -> None:
    if not isinstance(row, (int, np.integer)) or not 0 <= row < count:
        raise ValueError(f"row={row!r} is not one of the rows 0 to {count - 1}")


def _ended(info: Mapping[str, Any], at: int, row: int, number: int) -> tuple[int, int, int]:
    """Row, episode and item of the episode that ended, from the info of a step."""
    final: Mapping[str, Any] = info.get("final_info", info)
    mask = info.get("_final_info")
    if not {"utility", *_NAMED} <= set(final) or (mask is not None and not mask[at]):
        raise ValueError(
            f"no episode ended in row {row} with that step: leave final_info out for the running one"
        )
    # The infos of single environments have plain numbers.
    own, episode, item = (int(final[key][at] if np.ndim(final[key]) else final[key]) for key in _NAMED)
    if own != number:
        raise ValueError(f"final_info is that of row {own}, and row {row} is number {number}: give its own")
    return own, episode, item


def _differing(
    spec: EnvSpec, registered: EnvSpec, engine: MultimodalVectorEnv
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The arguments that differ from the registered ones, and the names of those a ticket cannot hold."""
    usual = {**ENGINE_ARGUMENTS, **registered.kwargs}
    # Gymnasium may apply the limit itself: only that of the engine belongs to the episode.
    made = {**spec.kwargs, "max_episode_steps": engine._max_steps}
    given: dict[str, Any] = {}
    missing = []
    for name, value in made.items():
        if name in NEVER or (name in usual and _same(usual[name], value)):
            continue
        try:
            held = tuples(plain(value))
        except TypeError:
            missing.append(name)
            continue
        if of_one_machine(name, held) or objection(name, held):
            missing.append(name)
        else:
            given[name] = held
    return given, tuple(sorted(missing))


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(plain(one) == plain(other))
    except TypeError:
        return one is other
