"""One row whose episodes are prepared in batches: what a single environment does between two resets.

An episode is a function of (seed, row, number). So the items and states of many coming episodes are made at
once, and for a choice the judgements of all answers, too. A step then only writes an action, and an answer in
several steps is scored at its end by the same batched code as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mm_envs.answers import AnswerKind
from mm_envs.arrays import as_tensor
from mm_envs.engine.pool import PoolFields
from mm_envs.episodes import Judgement, OneScore, follows, scores_by_row
from mm_envs.random import fold, integers
from mm_envs.tasks.task import Task

if TYPE_CHECKING:
    from mm_envs.engine.vector import MultimodalVectorEnv

# Episodes prepared together: few at first, so that the first reset is quick.
_MIN_EPISODES, _MAX_EPISODES = 4, 64
_MAX_SCORED = 2048
_CHOICE = ("start", "write", "response")
_OWN = ("start", "advance", "valid", "observe", "respond", "turns")


@dataclass
class _Block:
    """Prepared episodes of one seed, the first of them number ``first``.

    Attributes:
        items: The item of each.
        states: The state of each, by key.
        scores: For a choice the scores of all answers, (episodes * answers) each.
        score: The feedback, prepared for these episodes, if it can score them one by one.
    """

    seed: int
    first: int
    items: list[int]
    states: dict[str, NDArray[Any]]
    scores: _Scores | None
    score: OneScore | None


class _Scores:
    """Truth and judgement of several answers as Python's own numbers."""

    def __init__(self, judgement: Judgement, truth: Judgement) -> None:
        self.judged = judgement.judged.tolist()
        self.reward, self.utility = judgement.reward.tolist(), truth.reward.tolist()
        self.reward_parts = {name: part.tolist() for name, part in judgement.parts.items()}
        self.utility_parts = {name: part.tolist() for name, part in truth.parts.items()}

    def of(self, index: int) -> tuple[float, dict[str, Any]]:
        """Reward and info of one answer; one that was not judged gets zeros."""
        judged = self.judged[index]
        reward_parts = {name: part[index] if judged else 0.0 for name, part in self.reward_parts.items()}
        return self.reward[index] if judged else 0.0, {
            "utility": self.utility[index],
            "utility_parts": {name: part[index] for name, part in self.utility_parts.items()},
            "judged": judged,
            "reward_parts": reward_parts,
        }


class PreparedRow:
    """The only row of an engine, one action at a time; equal bit for bit to what the engine does."""

    def __init__(self, engine: MultimodalVectorEnv) -> None:
        task = engine.task
        self._engine, self._task, self._pool = engine, task, engine._pool
        self._choices = engine._choices or 0
        self._tables = {
            key: None if name in self._pool.links else self._pool.tables[name].numpy()
            for key, name in task.context.items()
        }
        self._reference = {name: self._pool.tables[name].numpy() for name in task.reference}
        self._state_keys = tuple(task.state_spaces)
        self._write, self._respond = _for_one(task.answer, "write"), _for_one(task.answer, "response")
        self._utility = task.utility_one if follows(task, "utility_one", "utility") else None
        # A plain choice: the action is the response.
        plain = all(getattr(task.answer, name).__func__ is getattr(AnswerKind, name) for name in _CHOICE)
        few = plain and task.horizon == 1 and self._choices <= _MAX_SCORED
        self._scores_all = few and scores_by_row(engine.feedback)
        self._most = min(_MAX_EPISODES, _MAX_SCORED // self._choices) if self._scores_all else _MAX_EPISODES
        self._count, self._block = _MIN_EPISODES, _Block(0, 0, [], {}, None, None)
        self.current = False

    @classmethod
    def of(cls, engine: MultimodalVectorEnv) -> PreparedRow | None:
        """The row of an engine; None where its task or its reward needs the engine with every step."""
        task = engine.task
        usual = all(getattr(type(task), name) is getattr(Task, name) for name in _OWN)
        usual = usual and not vars(task).keys() & set(_OWN)
        plain = engine.reward == "terminal" and engine._max_steps is None and engine.render_mode is None
        return cls(engine) if usual and plain and engine._choices and engine._compact else None

    # The engine's state -----------------------------------------------------------------------------------

    def load(self) -> None:
        """Continues where the engine is."""
        engine = self._engine
        self._seed, self._row, self._episode = engine._rows.key[0].tolist()
        self._item, self.finished = int(engine._rows.item[0]), bool(engine._finished[0])
        self._length, self._returned = int(engine._length[0]), float(engine._return[0])
        self._state = {key: np.array(value[0].numpy()) for key, value in engine._state.items()}
        # The item may have been given: then it is not that of the prepared episode.
        self._known: _Scores | None = None
        self._at, self._score = 0, self._scores(self._key())
        self.current = True

    @torch.inference_mode(False)
    def save(self) -> None:
        """Sets the engine to the same step."""
        engine = self._engine
        engine._rows.key, engine._rows.item = self._key(), np.array([self._item])
        engine._length, engine._finished = np.array([self._length]), np.array([self.finished])
        engine._return = np.array([self._returned], dtype=np.float32)
        engine._state = {key: torch.from_numpy(value[None].copy()) for key, value in self._state.items()}
        engine._buffers.note_all()
        self.current = False

    # Gymnasium's calls ------------------------------------------------------------------------------------

    def reset(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Starts the next episode."""
        self._episode += 1
        at = self._episode - self._block.first
        if self._seed != self._block.seed or not 0 <= at < len(self._block.items):
            self._prepare()
            at = 0
        block = self._block
        self._item, self._known, self._score, self._at = block.items[at], block.scores, block.score, at
        self._state = {key: np.array(values[at]) for key, values in block.states.items()}
        self._length, self._returned, self.finished = 0, 0.0, False
        return self._observation(), self._info()

    def takes(self, action: Any) -> bool:
        """Whether ``step`` can take an action; the engine knows what is wrong with others."""
        if type(action) is np.ndarray and not action.ndim:
            action = action[()]
        whole = isinstance(action, (int, np.integer)) and not isinstance(action, bool)
        return whole and 0 <= int(action) < self._choices

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Takes an action that ``takes`` accepts, in an episode that has not ended."""
        ended = self._write(self._state, action)
        self._length += 1
        if not ended:
            return self._observation(), 0.0, False, False, self._info()
        self.finished = True
        if self._known is not None:
            reward, info = self._known.of(self._at * self._choices + action)
            info["response"] = action
        else:
            reward, info = self._score_answer(action)
        self._returned, info["row"] = reward, self._row
        info |= self._info()
        return self._observation(), reward, True, False, info

    def masks(self) -> Tensor:
        """Which actions are valid, (1, actions) bool."""
        state = {key: torch.from_numpy(value)[None] for key, value in self._state.items()}
        return self._task.answer.valid(state, 1, torch.device("cpu"))

    def _score_answer(self, action: int) -> tuple[float, dict[str, Any]]:
        response, length = self._respond(self._state, action)
        truth = None
        if self._score is not None and self._utility is not None:
            rows = {name: table[self._item] for name, table in self._reference.items()}
            truth = self._utility(response, length, rows)
        if truth is None or self._score is None:
            lengths = None if length is None else torch.tensor([length])
            answer = torch.from_numpy(np.array([response]))
            reward, info = self._scores_of(answer, lengths, np.array([self._item]), self._key()).of(0)
        else:
            reward, reward_parts = self._score(self._at, *truth)
            info = {"utility": truth[0], "utility_parts": truth[1], "judged": True}
            info["reward_parts"] = reward_parts
        info["response"] = response.copy() if response.ndim else response.item()
        if length is not None:
            info["response_length"] = length
        return reward, info

    def _scores(self, keys: NDArray[np.int64]) -> OneScore | None:
        """The feedback, prepared for the episodes of some keys, if it can score them one by one."""
        feedback: Any = self._engine.feedback
        return feedback.one_by_one(keys) if follows(feedback, "one_by_one", "score") else None

    def _observation(self) -> dict[str, Any]:
        item = self._item
        seen = {
            key: self._linked(key) if table is None else table[item].copy()
            for key, table in self._tables.items()
        }
        for key in self._state_keys:
            seen[key] = self._state[key].copy()
        return seen

    def _linked(self, key: str) -> NDArray[Any]:
        return self._pool.rows(self._task.context[key], np.array([self._item]))[0].numpy()

    def _info(self) -> dict[str, Any]:
        return {"item": self._pool.first + self._item, "episode_index": self._episode}

    def _key(self) -> NDArray[np.int64]:
        return np.array([[self._seed, self._row, self._episode]])

    # Many episodes at once --------------------------------------------------------------------------------

    @torch.inference_mode(False)  # what is made here is shared by all environments
    def _prepare(self) -> None:
        """Prepares the current episode and those that follow."""
        block = self._block
        if self._seed != block.seed or self._episode != block.first + len(block.items):
            self._count = _MIN_EPISODES
        # Items that are not made yet would be made for all of them at once.
        most = self._most if self._pool.complete else _MIN_EPISODES
        count, self._count = min(self._count, most), 2 * self._count
        episodes = np.arange(self._episode, self._episode + count)
        items = integers(fold(self._engine._rows._stream.repeat(count), episodes), self._pool.size)
        self._pool.ensure(items)
        keys = np.stack([np.full(count, self._seed), np.full(count, self._row), episodes], axis=1)
        fields = PoolFields(self._pool, self._engine._field_names, items)
        states = {key: value.numpy() for key, value in self._task.start(fields, as_tensor(keys)).items()}
        scores = None
        if self._scores_all:
            answers = torch.arange(self._choices).repeat(count)
            each = np.arange(count).repeat(self._choices)
            scores = self._scores_of(answers, None, items[each], keys[each])
        score = None if self._scores_all else self._scores(keys)
        self._block = _Block(self._seed, self._episode, items.tolist(), states, scores, score)

    @torch.inference_mode(False)
    def _scores_of(
        self, response: Tensor, length: Tensor | None, items: NDArray[np.int64], keys: NDArray[np.int64]
    ) -> _Scores:
        return _Scores(*self._engine.score(response, length, items, keys, None))


def _for_one(answer: AnswerKind, name: str) -> Callable[..., Any]:
    """The method of an answer kind for a single answer, or the one that asks the method for batches."""
    kind = type(answer) if follows(answer, f"{name}_one", name) else AnswerKind
    return partial(getattr(kind, f"{name}_one"), answer)
