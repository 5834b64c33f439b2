"""The engine: thousands of episodes at once, in tensors, on one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from torch import Tensor

from mm_envs.engine.buffers import ContextBuffers
from mm_envs.engine.output import numpy_info, numpy_observation, to_numpy
from mm_envs.engine.pool import PoolFields, shared_pool
from mm_envs.episodes import Episodes, Feedback, Judgement
from mm_envs.judges import judge, make_feedback
from mm_envs.names import one_of
from mm_envs.random import fold, integers, stream
from mm_envs.tasks import Task, make_task
from mm_envs.tasks.task import State

REWARDS = ("terminal", "dense")
OUTPUTS = ("torch", "numpy")


@dataclass
class _Outcome:
    """What the judges said of the rows that ended, written over all rows (zero where none ended)."""

    reward: Tensor
    final_info: dict[str, Any]


class MultimodalVectorEnv(gym.vector.VectorEnv):
    """A multimodal task as a Gymnasium vector environment that steps all rows in tensors.

    Row r of episode e draws everything from a hash of (seed, purpose, r, e): nothing depends on the number of
    rows. ``info`` speaks of the episodes now running; what ended is in ``final_obs`` and ``final_info`` with
    the masks ``_final_obs`` and ``_final_info``, there when some row ended. (On an accelerator they are always
    there, since asking whether a row ended would wait for the device.) ``final_info`` holds ``utility``,
    ``utility_parts``, ``reward_parts``, ``judged``, ``response``, ``response_length``, ``episode`` (``r`` and
    ``l``), ``row``, ``episode_index`` and ``item``.

    Args:
        num_envs: Number of rows.
        task: Name of a task, or a Task.
        feedback: Who gives the reward: a name (``"rater"``, ``"truth"``, ...), a ``module:attribute`` string
            or an object with ``score``.
        feedback_arguments: Arguments of a named feedback.
        reward: ``"terminal"``, or ``"dense"``: the change of the score with every step (deterministic
            judges that can score a prefix only).
        split: Which items: ``"train"``, ``"validation"`` or ``"test"``.
        group_size: Neighbouring rows that get the same item; divides ``num_envs``.
        autoreset_mode: ``"SameStep"`` (default), ``"NextStep"`` or ``"Disabled"``, or Gymnasium's enum.
        output: ``"torch"``: dicts of tensors on the device. ``"numpy"``: as Gymnasium's own vector envs.
        device: Where everything lives and is computed.
        copy: Whether what is returned is never changed afterwards. False hands out live buffers.
        max_episode_steps: Cut episodes off after this many steps: truncation, not judged.
        first_row: The number of the first row; rows of several environments can be one sequence.
        render_mode: ``"rgb_array"`` or ``"ansi"``.
        task_arguments: Arguments of a named task.

    Raises:
        ValueError: An argument is not one of its choices, or arguments do not fit each other.

    Example:
        >>> envs = MultimodalVectorEnv(3, "classify", dataset="digits")
        >>> observations, info = envs.reset(seed=7)
        >>> tuple(observations["image"].shape)
        (3, 1, 40, 40)
        >>> observations, rewards, terminated, truncated, info = envs.step(torch.tensor([1, 2, 3]))
        >>> terminated.tolist(), info["final_info"]["utility"].shape
        ([True, True, True], torch.Size([3]))
    """

    def __init__(
        self,
        num_envs: int = 1,
        task: str | Task = "caption",
        *,
        feedback: str | Feedback = "rater",
        feedback_arguments: Mapping[str, Any] | None = None,
        reward: str = "terminal",
        split: str = "train",
        group_size: int = 1,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
        output: str = "torch",
        device: str | torch.device = "cpu",
        copy: bool = True,
        max_episode_steps: int | None = None,
        first_row: int = 0,
        render_mode: str | None = None,
        **task_arguments: Any,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs={num_envs} is below 1: ask for at least one row")
        if group_size < 1 or num_envs % group_size or first_row % group_size:
            raise ValueError(
                f"group_size={group_size} does not divide num_envs={num_envs} and first_row={first_row}: "
                "every group must be whole"
            )
        if max_episode_steps is not None and max_episode_steps < 1:
            raise ValueError(f"max_episode_steps={max_episode_steps} is below 1: leave it out for no limit")
        for name, value, known in (("reward", reward, REWARDS), ("output", output, OUTPUTS)):
            if value not in known:
                raise ValueError(one_of(name, value, known))
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(one_of("render_mode", render_mode, self.metadata["render_modes"]))
        self.num_envs, self.render_mode, self.device = num_envs, render_mode, torch.device(device)
        self.autoreset_mode = _mode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.task = make_task(task, **task_arguments)
        self.feedback = make_feedback(feedback, self.task, **(feedback_arguments or {}))
        self.split, self.group_size, self.first_row, self.copy = split, group_size, first_row, copy
        self.output, self.reward, self._max_steps = output, reward, max_episode_steps
        if reward == "dense" and not (self.feedback.deterministic and self.feedback.scores_prefix):
            raise ValueError(
                f"reward='dense' needs a judge that is deterministic and scores prefixes, and "
                f"{type(self.feedback).__name__} is not: use feedback='truth' or reward='terminal'"
            )
        self._set_spaces()
        self._set_rows()

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium's own attribute
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 4,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def _set_spaces(self) -> None:
        self.single_observation_space = self.task.observation_space
        self.single_action_space = self.task.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.context_keys = tuple(self.task.context)
        self.state_keys = tuple(self.task.state_spaces)

    def _set_rows(self) -> None:
        n, device, task = self.num_envs, self.device, self.task
        fields = {*task.context.values(), *task.reference}
        self._pool = shared_pool(task.dataset, self.split, fields, device)
        self._buffers = ContextBuffers(self._pool, task.context, n, self.copy, self.output == "numpy")
        # On the CPU the rows that ended are picked out, since looking costs nothing there. Anywhere else the
        # same code runs on all rows under a mask: picking would wait for the device.
        self._compact = device.type == "cpu"
        self._row = torch.arange(self.first_row, self.first_row + n, device=device)
        self._group = self._row // self.group_size
        self._seed: Tensor | None = None
        self._fresh = task.start(n, device)
        self._nobody = torch.zeros(n, dtype=torch.bool, device=device)

    # Gymnasium's interface ------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts a new episode in all rows, or in those of ``options["reset_mask"]``.

        Args:
            seed: Seeds all streams and starts counting episodes at 0; one number for all rows, or one a row.
                Without it episodes go on being counted.
            options: ``"items"``: item indices for the episodes that start now, one a row or one a group.
                ``"reset_mask"``: which rows to reset, (num_envs,) bool, NumPy or torch. Never changed.

        Returns:
            Observations and info.
        """
        options = options or {}
        unknown = set(options) - {"items", "reset_mask"}
        if unknown:
            raise ValueError(f"options {sorted(unknown)} are unknown: use 'items' and 'reset_mask'")
        mask = self._reset_mask(options.get("reset_mask"))
        first = self._seed is None
        if first and mask is not None:
            raise ValueError("options['reset_mask'] before the first reset: reset all rows once")
        if seed is not None or first:
            self._reseed(seed, mask)
        else:
            self._episode = self._episode + (1 if mask is None else mask.to(torch.int64))
        items = self._draw()
        if options.get("items") is not None:
            items = self._given_items(options["items"])
        if mask is None:
            self._items, self._state, self._finished = items, dict(self._fresh), self._nobody
            self._length = torch.zeros_like(self._row)
            self._return = torch.zeros(self.num_envs, device=self.device)
            self._score = torch.zeros(self.num_envs, device=self.device)
        else:
            self._items = torch.where(mask, items, self._items)
            self._clear(mask)
            self._finished = self._finished & ~mask
        return self._emit(self._observe(None), self._info())

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Steps all rows with one action each.

        Args:
            actions: One action a row, NumPy or torch.

        Returns:
            Observations, rewards (num_envs,) float32, terminated and truncated (num_envs,) bool, info.

        Raises:
            ValueError: Wrong shape or dtype of the actions, or (on the CPU) an action out of range.
        """
        if self._seed is None:
            raise gym.error.ResetNeeded("Cannot call env.step() before calling env.reset()")
        actions = self._checked(actions)
        resting = None if self.autoreset_mode is AutoresetMode.SAME_STEP else self._finished
        state, terminated = self.task.advance(self._state, actions)
        if resting is not None:
            state = {key: _where(resting, self._state[key], value) for key, value in state.items()}
            terminated = terminated & ~resting
        self._length = self._length + (1 if resting is None else (~resting).to(torch.int64))
        truncated = self._nobody.clone()
        if self._max_steps is not None:
            truncated = (self._length >= self._max_steps) & ~terminated
            truncated = truncated if resting is None else truncated & ~resting
        ended = terminated | truncated if self._max_steps is not None else terminated
        rows, any_ended = self._rows(ended)
        outcome = self._judge_ended(rows, ended, terminated, state, actions) if any_ended else None
        reward = self._reward(outcome, resting, state, actions)
        info = self._final(outcome, ended, reward)
        observation = self._next(state, ended, rows, any_ended, resting, info)
        if resting is not None:
            info["_active"] = ~resting
        info.update(self._info())
        return self._emit(observation, info, reward, terminated, truncated)

    def render(self) -> tuple[Any, ...] | None:
        """A picture or a text of every row, for a person.

        Returns:
            One (height, width, 3) uint8 array or one string a row, or None without ``render_mode``.
        """
        if self.render_mode is None:
            return None
        from mm_envs.engine.render import render_row

        return tuple(render_row(self, row) for row in range(self.num_envs))

    def action_at(self, response: Tensor) -> Tensor:
        """The actions that write given responses, at the step where each row stands.

        Args:
            response: One response a row, as the task's oracle gives it.
        """
        if not self.state_keys:
            return response
        place = self._length.clamp(max=response.shape[1] - 1)
        return response.gather(1, place[:, None])[:, 0]

    def reference(self) -> PoolFields:
        """The hidden truth of the episodes now running: for yardsticks and tests, not for agents."""
        return self._fields(self.task.reference, self._items)

    # One step -------------------------------------------------------------------------------------------

    def _rows(self, ended: Tensor) -> tuple[Tensor | None, bool]:
        """The rows that ended (None: treat all rows under the mask), and whether there may be any."""
        if not self._compact:
            return None, True
        if self.task.horizon == 1 and self.autoreset_mode is AutoresetMode.SAME_STEP:
            return None, True
        rows = ended.nonzero()[:, 0]
        return rows, len(rows) > 0

    def _judge_ended(
        self, rows: Tensor | None, ended: Tensor, terminated: Tensor, state: State, actions: Tensor
    ) -> _Outcome:
        response, length = self.task.respond(state, actions)
        judged = terminated if rows is None else terminated.index_select(0, rows)
        episodes, truth = self._episodes(rows, response, length)
        judgement = judge(self.feedback, replace(episodes, truth=truth))
        judged = judged & judgement.judged
        columns = {"utility": truth.reward, "reward": judgement.reward * judged}
        parts = {f"utility_parts/{name}": value for name, value in truth.parts.items()}
        parts |= {f"reward_parts/{name}": value * judged for name, value in judgement.parts.items()}
        # One matrix for all numbers, so that they are spread over all rows by one operation.
        table = self._spread(torch.stack([*columns.values(), *parts.values()], dim=1), rows, ended)
        named = dict(zip([*columns, *parts], table.unbind(1), strict=True))
        final = {
            "utility": named["utility"],
            "utility_parts": _under("utility_parts/", named),
            "reward_parts": _under("reward_parts/", named),
            "judged": self._spread(judged, rows, ended),
            "response": response.clone(),
        }
        if length is not None:
            final["response_length"] = length
        return _Outcome(named["reward"].contiguous(), final)

    def _episodes(
        self, rows: Tensor | None, response: Tensor, length: Tensor | None
    ) -> tuple[Episodes, Judgement]:
        key = torch.stack([self._seed, self._row, self._episode], dim=1)  # type: ignore[list-item]
        items = _take(self._items, rows)
        response, key = _take(response, rows), _take(key, rows)
        length = None if length is None else _take(length, rows)
        reference = self._fields(self.task.reference, items)
        episodes = Episodes(PoolFields(self._pool, self.task.context, items), response, length, reference, key)
        return episodes, self.task.utility(response, length, reference)

    def _reward(
        self, outcome: _Outcome | None, resting: Tensor | None, state: State, actions: Tensor
    ) -> Tensor:
        if self.reward == "terminal":
            reward = outcome.reward if outcome else torch.zeros(self.num_envs, device=self.device)
        else:
            episodes, truth = self._episodes(None, *self.task.respond(state, actions))
            score = judge(self.feedback, replace(episodes, truth=truth)).reward
            if resting is not None:
                score = torch.where(resting, self._score, score)
            reward, self._score = score - self._score, score
        self._return = self._return + reward
        return reward

    def _final(self, outcome: _Outcome | None, ended: Tensor, reward: Tensor) -> dict[str, Any]:
        if outcome is None:
            return {}
        final = outcome.final_info
        final["episode"] = {"r": self._return, "l": self._length}
        final |= {"row": self._row.clone(), "episode_index": self._episode.clone(), "item": self._item_index()}
        return {"final_info": final, "_final_info": ended.clone()}

    def _next(
        self,
        state: State,
        ended: Tensor,
        rows: Tensor | None,
        any_ended: bool,
        resting: Tensor | None,
        info: dict[str, Any],
    ) -> dict[str, Tensor]:
        """Resets the rows whose turn it is, and observes."""
        self._state = state
        if self.autoreset_mode is AutoresetMode.DISABLED:
            self._finished = self._finished | ended
            return self._observe(ended.new_zeros(0, dtype=torch.int64))
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            assert resting is not None
            again, self._finished = resting, ended
            rows, any_ended = self._rows(again)
        else:
            again = ended
            if any_ended:
                info["final_obs"] = {**self._final_context(rows), **state}
                info["_final_obs"] = ended.clone()
        if any_ended:
            self._restart(again, rows)
        return self._observe(rows if self._compact else None)

    def _final_context(self, rows: Tensor | None) -> dict[str, Tensor]:
        """The context of the episodes that end: what was handed out last, if its holder left it as it was."""
        last = self._buffers.last()
        return self._buffers.final(self._items, rows) if last is None else last

    def _restart(self, mask: Tensor, rows: Tensor | None) -> None:
        if rows is None:
            self._episode = self._episode + mask.to(torch.int64)
            self._items = torch.where(mask, self._draw(), self._items)
        else:
            # In place, but on tensors that nobody else holds.
            episode = self._episode.index_select(0, rows) + 1
            self._episode = self._episode.index_copy(0, rows, episode)
            drawn = self._draw(rows)
            self._items = self._items.index_copy(0, rows, drawn)
        self._clear(mask)

    def _clear(self, mask: Tensor) -> None:
        self._state = {key: _where(mask, self._fresh[key], value) for key, value in self._state.items()}
        self._length = self._length.masked_fill(mask, 0)
        self._return = self._return.masked_fill(mask, 0.0)
        if self.reward == "dense":
            self._score = self._score.masked_fill(mask, 0.0)

    # Items ----------------------------------------------------------------------------------------------

    def _reseed(self, seed: int | Sequence[int] | None, mask: Tensor | None) -> None:
        if seed is None or isinstance(seed, (int, np.integer)):
            super().reset(seed=None if seed is None else int(seed))
            if seed is None:
                seed = int(self.np_random.integers(2**63 - 1))
            seeds = torch.full_like(self._row, _signed(int(seed)))
        else:
            if len(seed) != self.num_envs or any(one is None for one in seed):
                raise ValueError(f"seed has {len(seed)} entries for {self.num_envs} rows: give one number a row")
            seeds = torch.tensor([_signed(int(one)) for one in seed], device=self.device)
        self._seed = seeds if mask is None else torch.where(mask, seeds, self._seed)  # type: ignore[arg-type]
        zeros = torch.zeros_like(self._row)
        self._episode = zeros if mask is None else self._episode.masked_fill(mask, 0)
        self._item_stream = fold(stream(self._seed, "item"), self._group)

    def _draw(self, rows: Tensor | None = None) -> Tensor:
        """The items of the episodes that the counters stand at."""
        bits = fold(_take(self._item_stream, rows), _take(self._episode, rows))
        return integers(bits, self._pool.size)

    def _given_items(self, items: Any) -> Tensor:
        given = torch.as_tensor(items, device=self.device)
        if given.dtype not in (torch.int64, torch.int32) or given.ndim != 1:
            raise ValueError(f"options['items'] has shape {tuple(given.shape)} and {given.dtype}: give (n,) int64")
        if len(given) * self.group_size == self.num_envs:
            given = given.repeat_interleave(self.group_size)
        if len(given) != self.num_envs:
            raise ValueError(
                f"options['items'] has {len(given)} entries for {self.num_envs} rows: give one a row or one a group"
            )
        place = given.to(torch.int64) - self._pool.first
        wrong = (place < 0) | (place >= self._pool.size)
        if bool(wrong.any()):
            raise ValueError(
                f"item {int(given[wrong][0])} is not in split {self.split!r}, which holds "
                f"{self._pool.first} to {self._pool.first + self._pool.size - 1}"
            )
        return place

    def _item_index(self) -> Tensor:
        return self._items + self._pool.first

    def _fields(self, names: Sequence[str], items: Tensor) -> PoolFields:
        if self._compact:
            self._pool.ensure(items)
        return PoolFields(self._pool, {name: name for name in names}, items)

    # In and out -----------------------------------------------------------------------------------------

    def _observe(self, changed: Tensor | None) -> dict[str, Tensor]:
        if self._compact:
            self._pool.ensure(self._items if changed is None else self._items.index_select(0, changed))
        context = self._buffers.current(self._items, changed)
        return {**context, **{key: value.clone() for key, value in self._state.items()}}

    def _info(self) -> dict[str, Any]:
        return {"item": self._item_index(), "episode_index": self._episode.clone()}

    def _emit(self, observation: dict[str, Tensor], info: dict[str, Any], *results: Tensor) -> Any:
        observation = {key: observation[key] for key in self.single_observation_space.spaces}
        if self.output == "torch":
            return (observation, *results, info)
        rest = [to_numpy(result) for result in results]
        return (numpy_observation(observation), *rest, numpy_info(info, self.num_envs))

    def _checked(self, actions: Any) -> Tensor:
        actions = torch.as_tensor(actions, device=self.device)
        space = self.single_action_space
        expected = (self.num_envs, *(space.shape or ()))
        discrete = isinstance(space, gym.spaces.Discrete)
        if tuple(actions.shape) != expected or discrete == actions.is_floating_point():
            kind = "integers" if discrete else "floats"
            raise ValueError(
                f"actions have shape {tuple(actions.shape)} and {actions.dtype}: give {expected} {kind}"
            )
        if not discrete:
            return actions.to(torch.float32)
        actions = actions.to(torch.int64)
        if self._compact:
            low, high = (int(bound) for bound in actions.aminmax())
            if low < 0 or high >= int(space.n):  # type: ignore[attr-defined]
                raise ValueError(f"actions run from {low} to {high}: they must lie in 0 to {int(space.n) - 1}")  # type: ignore[attr-defined]
        return actions

    def _reset_mask(self, mask: Any) -> Tensor | None:
        if mask is None:
            return None
        mask = torch.as_tensor(mask, device=self.device)
        if mask.dtype is not torch.bool or tuple(mask.shape) != (self.num_envs,):
            raise ValueError(
                f"options['reset_mask'] has shape {tuple(mask.shape)} and {mask.dtype}: give ({self.num_envs},) bool"
            )
        return mask

    def _spread(self, values: Tensor, rows: Tensor | None, ended: Tensor) -> Tensor:
        """Values of the rows that ended, over all rows; zero elsewhere."""
        if rows is None:
            whole = self.task.horizon == 1 and self.autoreset_mode is AutoresetMode.SAME_STEP
            return values if whole else _where(ended, values, torch.zeros_like(values))
        everywhere = torch.zeros((self.num_envs, *values.shape[1:]), dtype=values.dtype, device=self.device)
        return everywhere.index_copy_(0, rows, values)


def _take(values: Tensor, rows: Tensor | None) -> Tensor:
    return values if rows is None else values.index_select(0, rows)


def _where(mask: Tensor, chosen: Tensor, other: Tensor) -> Tensor:
    return torch.where(mask.view(-1, *[1] * (other.ndim - 1)), chosen, other)


def _under(prefix: str, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in named.items() if name.startswith(prefix)}


def _signed(seed: int) -> int:
    return (seed + 2**63) % 2**64 - 2**63


def _mode(mode: str | AutoresetMode) -> AutoresetMode:
    if isinstance(mode, AutoresetMode):
        return mode
    for known in AutoresetMode:
        if mode.replace("_", "").lower() == known.value.lower():
            return known
    raise ValueError(one_of("autoreset_mode", mode, (known.value for known in AutoresetMode)))
