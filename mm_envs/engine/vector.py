"""The engine: a Gymnasium vector environment that steps all rows in tensors on one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from torch import Tensor

from mm_envs.answers import State
from mm_envs.arrays import Array, as_tensor, cast, copied, library, native, put, where
from mm_envs.engine.buffers import ContextBuffers, FinalObservation
from mm_envs.engine.graph import StepGraph, check_graph
from mm_envs.engine.output import numpy_info, numpy_observation, to_numpy
from mm_envs.engine.pool import PoolFields, shared_pool
from mm_envs.engine.rows import Rows, some
from mm_envs.engine.snapshot import pack, unpack
from mm_envs.engine.wrappers import refuse_wrappers
from mm_envs.episodes import Episodes, Feedback, Judgement, Prompts
from mm_envs.feedback_sources import judgement, make_feedback
from mm_envs.names import check_one_of, one_of
from mm_envs.tasks import Task, make_task

REWARDS = ("terminal", "dense")
OUTPUTS = ("torch", "numpy")
OPTIONS = ("items", "reset_mask", "episode_index")


@dataclass
class _Turn:
    """One step of all rows on its way through the engine; masks are native arrays.

    Attributes:
        terminated: Rows that ended by themselves, (num_envs,) bool.
        truncated: Rows that were cut off.
        ended: Rows that did either.
        rows: Indices of the rows that ended; None: treat all rows under the mask.
        any: Whether any row may have ended.
        resting: Rows that ended before and take no part; None where there can be none.
        past: The counters during the step.
    """

    actions: Tensor
    state: State
    terminated: Array
    truncated: Array
    ended: Array
    rows: Array | None
    any: bool
    resting: Array | None
    past: Rows
    response: Tensor = field(init=False)
    response_length: Tensor | None = None


class MultimodalVectorEnv(gym.vector.VectorEnv):
    """A multimodal task as a Gymnasium vector environment that steps all rows in tensors.

    Row r of episode e draws everything from a hash of (seed, purpose, r, e): nothing depends on the number
    of rows. ``info`` describes the running episodes. ``final_obs`` and ``final_info`` describe those that
    ended, with the masks ``_final_obs`` and ``_final_info``; they are there when some row ended, on an
    accelerator always, since looking would wait for the device. ``final_obs`` is a Mapping whose context is
    gathered when an entry is read, at any time: ``dict(final_obs)`` reads all. ``final_info`` holds
    ``utility``, ``utility_parts``, ``reward_parts``, ``judged``, ``response``, ``response_length``,
    ``episode`` (``r`` and ``l``), ``row``, ``episode_index`` and ``item``. Rows outside a mask are
    unspecified.

    Args:
        num_envs: Number of rows.
        task: Name of a task, or a Task.
        feedback: The source of the reward: a name (``"annotator"``, ``"truth"``, ...), a ``module:attribute``
            string or an object with ``score``.
        feedback_arguments: Arguments of a named feedback.
        reward: ``"terminal"``, or ``"dense"``: the change of the score with every step (deterministic
            feedback that scores prefixes only).
        split: ``"train"``, ``"validation"`` or ``"test"``.
        group_size: Neighbouring rows that get the same item; divides ``num_envs``.
        autoreset_mode: ``"SameStep"`` (default), ``"NextStep"`` or ``"Disabled"``, or Gymnasium's enum.
        output: ``"torch"``: dicts of tensors on the device. ``"numpy"``: as Gymnasium's own vector envs.
        device: Where everything is kept and computed.
        copy: Whether returned tensors are never changed afterwards; False returns live buffers. Change
            returned tensors through torch, which is noticed, not through ``.numpy()`` or ``.data``: their
            memory is used again. On an accelerator ``final_obs`` shares it with the observation before.
        max_episode_steps: Truncate episodes after this many steps; truncated episodes are not judged.
        first_row: The number of the first row; rows of several environments can form one sequence.
        render_mode: ``"rgb_array"`` or ``"ansi"``.
        graph: Capture the step as a CUDA graph with the first step and replay it afterwards, with equal
            results. For ``device="cuda"``, ``"SameStep"``, tensors as output, and feedback that is a fixed
            function of each row; not for learned feedback.
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
        feedback: str | Feedback = "annotator",
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
        graph: bool = False,
        **task_arguments: Any,
    ) -> None:
        for name, number in (("num_envs", num_envs), ("first_row", first_row), ("group_size", group_size)):
            least = int(name != "first_row")
            if not isinstance(number, (int, np.integer)) or number < least:
                raise ValueError(f"{name}={number!r} is not a whole number of at least {least}")
        if num_envs % group_size or first_row % group_size:
            raise ValueError(
                f"group_size={group_size} does not divide num_envs={num_envs} and first_row={first_row}: "
                "every group must be whole"
            )
        if max_episode_steps is not None and max_episode_steps < 1:
            raise ValueError(f"max_episode_steps={max_episode_steps} is below 1: leave it out for no limit")
        for name, value, known in (("reward", reward, REWARDS), ("output", output, OUTPUTS)):
            check_one_of(name, value, known)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(one_of("render_mode", render_mode, self.metadata["render_modes"]))
        self.num_envs, self.render_mode, self.device = num_envs, render_mode, _device(device)
        self.autoreset_mode = _mode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.task = make_task(task, **task_arguments)
        self.feedback = make_feedback(feedback, self.task, **(feedback_arguments or {}))
        self.split, self.group_size, self.first_row, self.copy = split, group_size, first_row, copy
        self.output, self.reward, self._max_steps = output, reward, max_episode_steps
        if reward == "dense" and not (self.feedback.deterministic and self.feedback.scores_prefix):
            raise ValueError(
                f"reward='dense' needs feedback that is deterministic and scores prefixes, and "
                f"{type(self.feedback).__name__} is not: use feedback='truth' or reward='terminal'"
            )
        self._graph: StepGraph | None = None
        if graph:
            check_graph(self)
            self._graph = StepGraph(self)
        self._set_spaces()
        self._set_state()

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium's own attribute
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 4,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def _set_spaces(self) -> None:
        self.single_observation_space: gym.spaces.Dict = self.task.observation_space
        self.single_action_space = self.task.action_space
        discrete = isinstance(self.single_action_space, gym.spaces.Discrete)
        self._choices = int(self.single_action_space.n) if discrete else None  # type: ignore[attr-defined]
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.context_keys = tuple(self.task.context)
        self.state_keys = tuple(self.task.state_spaces)

    @torch.inference_mode(False)
    def _set_state(self) -> None:
        n, device, task = self.num_envs, self.device, self.task
        self._pool = shared_pool(task, self.split, device)
        # The fields of transitions: context and reference, by field name.
        self._field_names = {name: name for name in (*task.context.values(), *task.reference)}
        self._reference_names = {name: name for name in task.reference}
        self._buffers = ContextBuffers(self._pool, task.context, n, self.copy, self.output == "numpy")
        # On the CPU the bookkeeping is in NumPy arrays, and the rows that ended are picked out. On a device
        # the same code runs on tensors of all rows under a mask: picking would wait for the device.
        self._no_rows = native(torch.zeros(0, dtype=torch.int64, device=device))
        self._no_row = native(torch.zeros(n, dtype=torch.bool, device=device))
        self._zeros = native(torch.zeros(n, dtype=torch.float32, device=device))
        self._compact = isinstance(self._no_row, np.ndarray)
        # All rows end with every step: nothing to pick out or to mask.
        self._all_end = task.horizon == 1 and self.autoreset_mode is AutoresetMode.SAME_STEP
        self._finished = self._no_row
        self._rows = Rows(n, self.first_row, self.group_size, self._pool, device)
        self.started = False
        self._results: dict[int, Any] = {}
        self._begin()

    def _begin(self) -> None:
        """Starts an episode in all rows."""
        fields = self._fields_of(self._field_names, self._rows.item)
        self._state = self.task.start(fields, as_tensor(self._rows.key))
        self._length = self._rows.row * 0
        self._return = self._score = self._zeros

    # Gymnasium's interface ------------------------------------------------------------------------------

    # Results must be usable outside of an inference mode that the caller may be in.
    @torch.inference_mode(False)
    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts a new episode in all rows, or in those of ``options["reset_mask"]``.

        Args:
            seed: One seed for all rows, or one a row; episodes count from 0 again. None: episodes go on
                being counted.
            options: ``"items"``: item indices of the new episodes, one a row or one a group.
                ``"reset_mask"``: the rows to reset, (num_envs,) bool. ``"episode_index"``: with a seed, the
                number of the first episode of each row, (num_envs,) int64. Never changed.

        Returns:
            Observations and info.
        """
        if not self.started:
            refuse_wrappers(self, self.output, self.device)
        options = options or {}
        unknown = set(options) - set(OPTIONS)
        if unknown:
            raise ValueError(f"options {sorted(unknown)} are unknown: use {', '.join(OPTIONS)}")
        mask, rows = self._reset_mask(options.get("reset_mask")), self._rows
        if not self.started and mask is not None:
            raise ValueError("options['reset_mask'] before the first reset: reset all rows once")
        # Everything that can be refused is checked before anything changes.
        given = options.get("items")
        chosen = None if given is None else rows.given(given, self.split, mask)
        first = options.get("episode_index")
        if first is not None and seed is None:
            raise ValueError(
                "options['episode_index'] without a seed: give the seed whose episodes it counts"
            )
        first = None if first is None else rows.counted(first)
        all_rows = ~self._no_row if mask is None else native(mask)
        if seed is not None or not self.started:
            rows.reseed(self._seeds(seed), mask, first)
        else:
            rows.next(all_rows, None)
        items = rows.draw() if chosen is None else chosen
        changed = None if mask is None or not self._compact else all_rows.nonzero()[0]
        if mask is None:
            rows.item, self.started = items, True
            self._begin()
        else:
            rows.item = where(all_rows, items, rows.item)
            self._clear(all_rows, changed)
        self._finished = self._finished & ~all_rows
        observation, info = self._observe(changed), self._info()
        if self.output == "numpy":
            return numpy_observation(observation), numpy_info(info, self.num_envs)
        return observation, info

    @torch.inference_mode(False)
    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Steps all rows with one action each, NumPy or torch.

        Returns:
            Observations, rewards (num_envs,) float32, terminated and truncated (num_envs,) bool, info.

        Raises:
            ValueError: Wrong shape or dtype of the actions, or (on the CPU) an action out of range.
        """
        if not self.started:
            raise gym.error.ResetNeeded("Cannot call env.step() before calling env.reset()")
        given = self._checked(actions)
        if self._graph is not None:
            return self._graph.step(given)
        turn = self._advance(given)
        info = self._final_observation(turn)
        reward, final = self._scored(turn)
        info |= final
        observation = self._observe(self._restart(turn))
        if turn.resting is not None:
            info["_active"] = as_tensor(~turn.resting)
        info.update(self._info())
        terminated, truncated = as_tensor(turn.terminated), as_tensor(turn.truncated)
        if self.output == "numpy":
            results = (to_numpy(reward.double()), to_numpy(terminated), to_numpy(truncated))
            return (numpy_observation(observation), *results, numpy_info(info, self.num_envs))
        return observation, reward, terminated, truncated, info

    @torch.inference_mode(False)
    def action_masks(self) -> Any:
        """Which actions are valid in each row, (num_envs, actions); the engine takes others, too.

        Returns:
            A bool tensor; with ``output="numpy"`` int8 zeros and ones, as ``Discrete.sample(mask)`` takes a
            row of them. MaskablePPO of sb3-contrib looks for this method.

        Raises:
            ValueError: Actions are numbers.
            gymnasium.error.ResetNeeded: There was no reset.

        Example:
            >>> envs = MultimodalVectorEnv(2, "retrieve", answer="ranking", candidates=3)
            >>> _ = envs.reset(seed=1), envs.step([0, 2])
            >>> envs.action_masks().tolist()
            [[False, True, True], [True, True, False]]
        """
        if not self.started:
            raise gym.error.ResetNeeded("Cannot call env.action_masks() before calling env.reset()")
        fields = self._fields_of(self._field_names, self._rows.item)
        masks = self.task.valid(self._state, fields, as_tensor(self._rows.key))
        return masks.cpu().numpy().astype(np.int8) if self.output == "numpy" else masks

    def render(self) -> tuple[Any, ...] | None:
        """One (height, width, 3) uint8 array or one string a row; None without ``render_mode``."""
        if self.render_mode is None:
            return None
        if not self.started:
            raise gym.error.ResetNeeded("Cannot call env.render() before calling env.reset()")
        from mm_envs.engine.render import frames

        context = self._fields_of(self.task.context, self._rows.item)
        batch = {**context, **self._observed(self._state, self._rows)}
        ended = [bool(one) for one in self._finished]
        return frames(self.task, batch, self._results, ended, self.render_mode)

    def action_at(self, response: Tensor) -> Tensor:
        """The actions that write responses, one a row, at the current step of each row."""
        return self.task.answer.action(response, as_tensor(self._length))

    def reference(self) -> PoolFields:
        """The hidden truth of the running episodes: for baseline policies and tests, not for agents."""
        return self._fields_of(self._reference_names, self._rows.item)

    def prompts(self) -> Prompts:
        """Context, reference, key and item of the running episodes as new tensors: for collecting labels."""
        if not self.started:
            raise gym.error.ResetNeeded("Cannot call envs.prompts() before calling envs.reset()")
        item = self._rows.item
        context = dict(self._fields_of(self.task.context, item))
        reference = dict(self._fields_of(self._reference_names, item))
        key, index = as_tensor(copied(self._rows.key)), as_tensor(self._rows.item_index())
        return Prompts(context, reference, key, index)

    # Snapshots ------------------------------------------------------------------------------------------

    @property
    def configuration(self) -> dict[str, Any]:
        """What two environments must have in common to do the same from one snapshot, as JSON values."""
        return {
            "task": type(self.task).__name__,
            "dataset": self.task.dataset.name,
            "dataset fingerprint": self.task.fingerprint(),
            "feedback": type(self.feedback).__name__,
            "split": self.split,
            "num_envs": self.num_envs,
            "first_row": self.first_row,
            "group_size": self.group_size,
            "autoreset_mode": self.autoreset_mode.value,
            "reward": self.reward,
            "max_episode_steps": self._max_steps,
        }

    def state_dict(self) -> dict[str, Tensor]:
        """A snapshot as named tensors, independent of the environment, for safetensors files.

        Example:
            >>> envs, twin = (MultimodalVectorEnv(2, "classify", dataset="digits") for _ in range(2))
            >>> observation, _ = envs.reset(seed=7)
            >>> again = twin.load_state_dict(envs.state_dict())
            >>> torch.equal(again["image"], observation["image"])
            True
        """
        if not self.started:
            raise gym.error.ResetNeeded("Cannot call envs.state_dict() before calling envs.reset()")
        return pack(self._deciding_tensors(), self._results, self.configuration)

    @torch.inference_mode(False)
    def load_state_dict(self, state: Mapping[str, Tensor]) -> Any:
        """Continues from a snapshot, bit for bit, and returns the observations of all rows.

        Raises:
            ValueError: The snapshot is from another configuration, or is none. Nothing is changed then.
        """
        tensors, results = unpack(state, self._deciding_tensors(), self.configuration)
        states = {key: tensors[f"state/{key}"] for key in self._state}
        spaces = self.observation_space
        assert isinstance(spaces, gym.spaces.Dict)
        for key, value in states.items():
            # Hidden entries have no space.
            if key in spaces.spaces and not spaces[key].contains(value.cpu().numpy()):
                raise ValueError(f"entry 'state/{key}' of the snapshot is out of range: take it anew")
        self._rows.restore(tensors["key"], tensors["item"])
        self._state, self._results, self.started = states, results, True
        self._length, self._finished = native(tensors["length"]), native(tensors["finished"])
        self._return, self._score = native(tensors["return"]), native(tensors["score"])
        observation = self._observe(None)
        return numpy_observation(observation) if self.output == "numpy" else observation

    def _deciding_tensors(self) -> dict[str, Tensor]:
        """All tensors that decide what comes next."""
        numbers = {"length": self._length, "return": self._return, "score": self._score}
        counters = {"key": self._rows.key, "item": self._rows.item, "finished": self._finished}
        deciding = {name: as_tensor(value) for name, value in {**counters, **numbers}.items()}
        return {**deciding, **{f"state/{key}": value for key, value in self._state.items()}}

    # One step -------------------------------------------------------------------------------------------

    def _advance(self, actions: Tensor) -> _Turn:
        resting = None if self.autoreset_mode is AutoresetMode.SAME_STEP else self._finished
        fields = PoolFields(self._pool, self._field_names, self._rows.item)
        state, done = self.task.advance(self._state, actions, fields, as_tensor(self._rows.key))
        terminated = native(done)
        if resting is not None:
            resting_rows = as_tensor(resting)
            state = {key: where(resting_rows, self._state[key], value) for key, value in state.items()}
            terminated = terminated & ~resting
        self._length = self._length + (1 if resting is None else ~resting)
        truncated, ended = copied(self._no_row), terminated
        if self._max_steps is not None:
            truncated = (self._length >= self._max_steps) & ~terminated
            truncated = truncated if resting is None else truncated & ~resting
            ended = terminated | truncated
        rows, found = self._picked(ended)
        return _Turn(actions, state, terminated, truncated, ended, rows, found, resting, copy(self._rows))

    def _picked(self, mask: Array) -> tuple[Array | None, bool]:
        """Indices of the rows of a mask (None: treat all rows under it), and whether there may be any."""
        if self._all_end or not self._compact:
            return None, True
        rows = mask.nonzero()[0]
        return rows, len(rows) > 0

    def _final_observation(self, turn: _Turn) -> dict[str, Any]:
        """The last observation of episodes that end, where rows are reset in the same step."""
        if self.autoreset_mode is not AutoresetMode.SAME_STEP or not turn.any:
            return {}
        # On a device the context that was returned last, if it was not changed since.
        context = None if self._compact else self._buffers.last()
        seen = {**(context or {}), **self._observed(turn.state, turn.past)}
        gather = partial(self._buffers.gather, items=some(turn.past.item, turn.rows), rows=turn.rows)
        final = FinalObservation(seen, gather, tuple(self.single_observation_space.spaces))
        return {"final_obs": final, "_final_obs": as_tensor(copied(turn.ended))}

    def _observed(self, state: State, rows: Rows) -> dict[str, Tensor]:
        """The observed part of the state of all rows."""
        return self.task.observe(state, PoolFields(self._pool, self._field_names, rows.item))

    def _restart(self, turn: _Turn) -> Array | None:
        """Starts an episode in the rows that are due; returns the rows with a new item (None: any)."""
        self._state = turn.state
        if self.autoreset_mode is AutoresetMode.DISABLED:
            self._finished = self._finished | turn.ended
            return self._no_rows
        mask, rows, found = turn.ended, turn.rows, turn.any
        if turn.resting is not None:
            mask, self._finished = turn.resting, copied(turn.ended)
            rows, found = self._picked(mask)
        if found:
            self._rows.next(mask, rows)
            self._clear(mask, rows)
        return rows

    def _clear(self, mask: Array, rows: Array | None) -> None:
        """Starts the episode of the rows of a mask; ``rows`` are their indices where known."""
        if self._state:
            fields = self._fields_of(self._field_names, some(self._rows.item, rows))
            fresh = self.task.start(fields, as_tensor(some(self._rows.key, rows)))
            self._state = {key: put(old, mask, rows, fresh[key]) for key, old in self._state.items()}
        self._length = put(self._length, mask, rows, 0)
        self._return = put(self._return, mask, rows, 0.0)
        if self.reward == "dense":
            self._score = put(self._score, mask, rows, 0.0)

    # Reward and truth -----------------------------------------------------------------------------------

    def _scored(self, turn: _Turn) -> tuple[Tensor, dict[str, Any]]:
        """The reward of the step, and the info of the episodes that ended."""
        named = self._verdict(turn) if turn.any else {}
        if self.reward == "terminal":
            reward = named.pop("reward") if named else as_tensor(copied(self._zeros))
        else:
            reward = self._change_of_score(turn)
            named.pop("reward", None)
        self._return = self._return + native(reward)
        if not named:
            return reward, {}
        numbers = {
            "row": copied(self._rows.row),
            "episode_index": copied(turn.past.episode),
            "item": turn.past.item_index(),
        }
        episode = {"r": as_tensor(copied(self._return)), "l": as_tensor(copied(self._length))}
        final = {**named, "response": turn.response.clone(), "episode": episode}
        final |= {name: as_tensor(values) for name, values in numbers.items()}
        if turn.response_length is not None:
            final["response_length"] = turn.response_length.clone()
        if self.render_mode is not None:
            from mm_envs.engine.render import results_of

            reference = self._fields_of(self._reference_names, turn.past.item)
            self._results |= results_of(self.task, final, as_tensor(turn.ended), reference)
        return reward, {"final_info": final, "_final_info": as_tensor(copied(turn.ended))}

    def _verdict(self, turn: _Turn) -> dict[str, Any]:
        """Utility, reward and their parts of the rows that ended, spread over all rows."""
        turn.response, turn.response_length = self.task.respond(turn.state, turn.actions)
        judgement, truth = self._judgement(turn, turn.rows)
        judged = some(turn.terminated, turn.rows) & native(judgement.judged)
        # One matrix for all numbers, so that they are spread over all rows by one operation.
        true = torch.stack([truth.reward, *truth.parts.values()])
        given = torch.stack([judgement.reward, *judgement.parts.values()])
        first, counted = len(true), cast(judged, torch.float32)[None]
        table = library(counted).concatenate((native(true), counted, where(judged[None], native(given), 0.0)))
        lines = self._spread(table, turn).unbind(0)
        return {
            "utility": lines[0],
            "utility_parts": dict(zip(truth.parts, lines[1:first], strict=True)),
            "judged": lines[first].to(torch.bool),
            "reward": lines[first + 1],
            "reward_parts": dict(zip(judgement.parts, lines[first + 2 :], strict=True)),
        }

    def _judgement(self, turn: _Turn, rows: Array | None) -> tuple[Judgement, Judgement]:
        """The judgement of the answers of some rows, and the truth."""
        response, length = turn.response, turn.response_length
        response, length = some(response, rows), None if length is None else some(length, rows)
        heard = self.task.turns(turn.state)
        turns = None if heard is None else {name: some(value, rows) for name, value in heard.items()}
        return self.score(response, length, some(turn.past.item, rows), some(turn.past.key, rows), turns)

    def score(
        self,
        response: Tensor,
        length: Tensor | None,
        item: Array,
        key: Array,
        turns: Mapping[str, Tensor] | None,
    ) -> tuple[Judgement, Judgement]:
        """The judgement of answers to items (positions in the split) with their keys, and the truth."""
        reference = self._fields_of(self._reference_names, item)
        truth = self.task.utility(response, length, reference)
        context = PoolFields(self._pool, self.task.context, item)
        episodes = Episodes(context, response, length, reference, as_tensor(key), truth, turns)
        return judgement(self.feedback, episodes), truth

    def _change_of_score(self, turn: _Turn) -> Tensor:
        turn.response, turn.response_length = self.task.respond(turn.state, turn.actions)
        score = native(self._judgement(turn, None)[0].reward)
        if turn.resting is not None:
            score = where(turn.resting, self._score, score)
        change, self._score = score - self._score, score
        return as_tensor(where(turn.truncated, 0.0, change))  # an answer that was cut off is not judged

    def _spread(self, values: Array, turn: _Turn) -> Tensor:
        """Values (k, m) of the rows that ended, spread over all rows (k, num_envs); zero elsewhere."""
        if turn.rows is None:
            return as_tensor(values if self._all_end else where(turn.ended[None], values, 0.0))
        everywhere = np.zeros((len(values), self.num_envs), dtype=values.dtype)
        everywhere[:, turn.rows] = values
        return torch.from_numpy(everywhere)

    # In and out -----------------------------------------------------------------------------------------

    def _fields_of(self, names: Mapping[str, str], items: Array) -> PoolFields:
        if self._compact:
            self._pool.ensure(items)
        return PoolFields(self._pool, names, items)

    def _observe(self, changed: Array | None) -> dict[str, Tensor]:
        if self._compact:
            self._pool.ensure(some(self._rows.item, changed))
        context = self._buffers.current(self._rows.item, changed)
        seen = self._observed(self._state, self._rows)
        entries = {**context, **{key: value.clone() for key, value in seen.items()}}
        return {key: entries[key] for key in self.single_observation_space.spaces}

    def _info(self) -> dict[str, Any]:
        rows = self._rows
        return {"item": as_tensor(rows.item_index()), "episode_index": as_tensor(copied(rows.episode))}

    def _checked(self, actions: Any) -> Tensor:
        try:
            given: Tensor = torch.as_tensor(actions, device=self.device)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"actions of type {type(actions).__name__} are no array: {error}") from error
        expected = (self.num_envs, *(self.single_action_space.shape or ()))
        discrete = self._choices is not None
        if tuple(given.shape) != expected or discrete == given.is_floating_point():
            kind = "integers" if discrete else "floats"
            raise ValueError(
                f"actions have shape {tuple(given.shape)} and {given.dtype}: give {expected} {kind}"
            )
        if self._choices is None:
            return given.to(torch.float32)
        given = given.to(torch.int64)
        # As unsigned numbers those below 0 are too large, too.
        if self._compact and not (native(given).view(np.uint64) < self._choices).all():
            low, high = (int(bound) for bound in given.aminmax())
            raise ValueError(f"actions run from {low} to {high}: they must lie in 0 to {self._choices - 1}")
        return given

    def _seeds(self, seed: int | Sequence[int] | None) -> int | Sequence[int]:
        """The seed, or a random one; Gymnasium's own generator follows a single number."""
        if seed is None or isinstance(seed, (int, np.integer)):
            super().reset(seed=None if seed is None else int(seed))
        return int(self.np_random.integers(2**63 - 1)) if seed is None else seed

    def _reset_mask(self, mask: Any) -> Tensor | None:
        if mask is None:
            return None
        given: Tensor = torch.as_tensor(mask, device=self.device)
        if given.dtype is not torch.bool or tuple(given.shape) != (self.num_envs,):
            raise ValueError(
                f"options['reset_mask'] has shape {tuple(given.shape)} and {given.dtype}: "
                f"give ({self.num_envs},) bool"
            )
        return given


def _device(device: str | torch.device) -> torch.device:
    try:
        return torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(f"device={device!r} is no device of torch: use 'cpu' or 'cuda'") from None


def _mode(mode: str | AutoresetMode) -> AutoresetMode:
    if isinstance(mode, AutoresetMode):
        return mode
    for known in AutoresetMode:
        if mode.replace("_", "").lower() == known.value.lower():
            return known
    raise ValueError(one_of("autoreset_mode", mode, (known.value for known in AutoresetMode)))
