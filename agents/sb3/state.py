"""Everything that decides how a training goes on, as JSON values and tensors, and put back.

All of it is taken between two rollouts, where the rollout buffer holds nothing that is still needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.generators import GlobalGenerators
from agents.sb3.dqn import RowwiseDQN
from agents.sb3.progress import Progress

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

    from agents.sb3.train import Agent

_COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates", "_episode_num", "_current_progress_remaining")
_DQN_COUNTERS = ("_n_calls", "exploration_rate")


class Logged(NamedTuple):
    """A number that was logged and not yet written: how often, and for which outputs it is not meant."""

    name: str
    value: float
    times: int
    excluded: tuple[str, ...]


def take_state(agent: Agent) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """JSON values and tensors, but for the replay buffer.

    Args:
        agent: The agent, between two rollouts; the process-wide generators are taken for its own.
    """
    model, generators = agent.model, GlobalGenerators.capture()
    optimiser = model.policy.optimizer.state_dict()
    values = {
        "counters": {name: getattr(model, name) for name in _counters(model)},
        "learning_rates": [group["lr"] for group in optimiser["param_groups"]],
        "generators": generators.numbers(),
        "action_space": model.action_space.np_random.bit_generator.state,
        "episodes": [[one["r"], one["l"], one["t"]] for one in model.ep_info_buffer or ()],
        "window": agent.curve.rewards.maxlen,
        "seconds": agent.curve.seconds,
    }
    if isinstance(model, RowwiseDQN):
        values["exploration"] = model.exploration.bit_generator.state
    names, logged = _pending(model)
    values["logged"] = names
    parts: dict[str, Mapping[str, Tensor]] = {
        "policy": _weights(model),
        "optimiser": {f"{i}/{k}": v for i, entry in optimiser["state"].items() for k, v in entry.items()},
        "generators": generators.tensors(),
        "engine": model.env.state_dict(),  # type: ignore[union-attr]
        "curve": {
            "points": torch.tensor([astuple(point) for point in agent.curve.points], dtype=torch.float64),
            "rewards": torch.tensor(agent.curve.rewards, dtype=torch.float64),
            "utilities": torch.tensor(agent.curve.utilities, dtype=torch.float64),
        },
        "rest": {"episode_starts": torch.from_numpy(np.array(model._last_episode_starts)), "logged": logged},
    }
    return values, {f"{part}/{name}": v for part, named in parts.items() for name, v in named.items()}


def put_state(agent: Agent, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> list[Logged]:
    """Puts back what ``take_state`` took, into an agent that was made in the same way.

    Args:
        agent: The agent.
        values: JSON values, perhaps of a stranger: only numbers are taken from them.
        tensors: By name.

    Returns:
        What was logged and not yet written, for ``put_logged``.

    Raises:
        ValueError: Something is missing or does not fit.
    """
    try:
        _put(agent, values, tensors)
        numbers = tensors["rest/logged"].tolist()
        return [
            Logged(str(name), float(number), int(count), tuple(str(one) for one in excluded))
            for (name, count, excluded), number in zip(values["logged"], numbers, strict=True)
        ]
    except (AttributeError, IndexError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"the state of the training is damaged ({type(error).__name__}: {error})") from None


def put_logged(model: BaseAlgorithm, pending: Iterable[Logged]) -> None:
    """Puts back what was logged and not yet written, and tells TensorBoard that later points do not count.

    Args:
        model: The model, once its logger is there.
        pending: What ``put_state`` returned.
    """
    for one in pending:
        model.logger.name_to_value[one.name] = one.value
        model.logger.name_to_count[one.name] = one.times
        model.logger.name_to_excluded[one.name] = one.excluded
    writers = [getattr(output, "writer", None) for output in model.logger.output_formats]
    for writer in (writer for writer in writers if writer is not None):
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        start = SessionLog(status=SessionLog.START)
        writer.file_writer.add_event(Event(step=model.num_timesteps + 1, session_log=start))


def _put(agent: Agent, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    model, part = agent.model, _parts(tensors)
    _copy(_weights(model), part["policy"], "policy")
    _put_optimiser(model.policy.optimizer, part["optimiser"], values["learning_rates"])
    for name in _counters(model):
        kind = type(getattr(model, name))
        setattr(model, name, kind(values["counters"][name]))
    model.action_space.np_random.bit_generator.state = values["action_space"]
    if isinstance(model, RowwiseDQN):
        model.exploration.bit_generator.state = values["exploration"]
    model._last_obs = model.env.load_state_dict(part["engine"])  # type: ignore[union-attr]
    model._last_episode_starts = part["rest"]["episode_starts"].numpy().astype(bool)
    model.ep_info_buffer = deque(
        ({"r": float(r), "l": int(length), "t": float(t)} for r, length, t in values["episodes"]),
        maxlen=model._stats_window_size,
    )
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    curve = agent.curve
    curve.keep(int(values["window"]))
    curve.points = [
        Progress(int(step), int(total), *rest) for step, total, *rest in part["curve"]["points"].tolist()
    ]
    curve.seconds = float(values["seconds"])
    curve.rewards.extend(part["curve"]["rewards"].tolist())
    curve.utilities.extend(part["curve"]["utilities"].tolist())
    agent.generators = GlobalGenerators.of(values["generators"], part["generators"])


def _put_optimiser(
    optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], learning_rates: Iterable[float]
) -> None:
    whole = optimiser.state_dict()
    whole["state"] = {}
    for name, tensor in tensors.items():
        index, _, entry = name.partition("/")
        whole["state"].setdefault(int(index), {})[entry] = tensor.clone()
    for group, rate in zip(whole["param_groups"], learning_rates, strict=True):
        group["lr"] = float(rate)
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    for index, entries in whole["state"].items():
        for entry, tensor in entries.items():
            if entry != "step" and tensor.shape != weights[index].shape:
                raise ValueError(f"entry {entry!r} of the optimiser does not fit weight {index}")
    optimiser.load_state_dict(whole)


def _weights(model: BaseAlgorithm) -> dict[str, Tensor]:
    """Weights and buffers of all networks, the target included, shared ones once."""
    return {**dict(model.policy.named_parameters()), **dict(model.policy.named_buffers())}


def _copy(into: Mapping[str, Tensor], tensors: Mapping[str, Tensor], owner: str) -> None:
    for name in (*into, *tensors):
        if name not in into or name not in tensors or into[name].shape != tensors[name].shape:
            raise ValueError(f"entry {name!r} of the {owner} is missing or does not fit")
    with torch.no_grad():
        for name, tensor in into.items():
            tensor.copy_(tensors[name])


def _pending(model: BaseAlgorithm) -> tuple[list[Any], Tensor]:
    """What is logged and not yet written: names with counts and exclusions, and the numbers."""
    logger = model.logger
    numbers = {k: float(v) for k, v in logger.name_to_value.items() if isinstance(v, (int, float, np.number))}
    names = [
        [name, logger.name_to_count.get(name, 0), list(logger.name_to_excluded.get(name) or ())]
        for name in numbers
    ]
    return names, torch.tensor(list(numbers.values()), dtype=torch.float64)


def _counters(model: BaseAlgorithm) -> tuple[str, ...]:
    return (*_COUNTERS, *(_DQN_COUNTERS if isinstance(model, RowwiseDQN) else ()))


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The tensors by the first word of their names."""
    parts: dict[str, dict[str, Tensor]] = {
        part: {} for part in ("policy", "optimiser", "generators", "engine", "curve", "rest")
    }
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = tensor
    return parts
