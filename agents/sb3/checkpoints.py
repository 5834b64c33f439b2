"""Checkpoints of a running training: when they are written, and how one goes on from them.

A checkpoint holds everything that decides what comes next: networks, optimiser, counters and schedules, all
generators, the replay buffer, where each row of the environment stands. A training that goes on from one does
bit for bit what it would have done (on the CPU, with the same packages and number of threads).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback

from agents.sb3.description import describe_training, engine_of, refuse_other_training
from agents.sb3.dqn import RowwiseDQN
from agents.sb3.replay import read_all, write_new
from agents.sb3.state import Logged, put_logged, put_state, take_state
from agents.sb3.store import Stored, StoredFile, forget_newer, newest, write_checkpoint, write_tensors
from mm_envs.names import at_least

if TYPE_CHECKING:
    from agents.sb3.train import Agent


@dataclass
class Checkpoints:
    """Where and when a training writes checkpoints; the two newest are kept.

    The first is written before the first step and the last at the end, both between two rollouts, as all are.

    Attributes:
        folder: Where; made if need be.
        seconds: A checkpoint after every rollout that ends this long after the last one; 0 for every rollout.
        rollouts: A checkpoint after every so many rollouts, too.
        notes: JSON values of the caller, kept with every checkpoint.
        stopped: Whether the training was stopped by ``stop``.
    """

    folder: Path
    seconds: float = 60.0
    rollouts: int | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    stopped: bool = field(default=False, init=False)
    _stop: bool = field(default=False, init=False)
    _last: Stored | None = field(default=None, init=False)
    _training: dict[str, Any] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        at_least("seconds", self.seconds, 0.0, "give the time between two checkpoints")
        if self.rollouts is not None:
            at_least("rollouts", self.rollouts, 1, "leave it out for checkpoints by time alone")

    def stop(self) -> None:
        """Ends the training after this rollout, with a checkpoint; a signal handler may call it."""
        self._stop = True

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called, perhaps too late to end anything."""
        return self._stop

    @property
    def last(self) -> Stored | None:
        """The last checkpoint that was written or gone on from."""
        return self._last

    def save(self, agent: Agent) -> Stored:
        """Writes a checkpoint, if there is none of this step.

        Args:
            agent: The agent, between two rollouts, its generators in place.
        """
        step = agent.model.num_timesteps
        if self._last is not None and self._last.step == step:
            return self._last
        self.folder.mkdir(parents=True, exist_ok=True)
        values, tensors = take_state(agent)
        replay: list[StoredFile] = []
        if isinstance(agent.model, RowwiseDQN):
            before = self._last.replay if self._last is not None else ()
            replay = write_new(self.folder, _buffer(agent.model), agent.model._n_calls, before)
        stored = write_tensors(self.folder / f"step-{step:012}.safetensors", tensors)
        self._training = self._training or describe_training(agent)
        whole = {"training": self._training, "notes": dict(self.notes), "state": values}
        self._last = Stored(self.folder, step, whole, stored, replay)
        write_checkpoint(self._last)
        return self._last

    def restore(self, agent: Agent) -> Resumed:
        """Puts an agent where the newest checkpoint was taken.

        Args:
            agent: Made as the one of the checkpoint was.

        Raises:
            FileNotFoundError: There is no checkpoint.
            ValueError: None is whole, or the agent is another one: the sentence says what differs.
        """
        checkpoint = newest(self.folder)
        state = checkpoint.values.get("state")
        if not isinstance(state, dict) or not isinstance(checkpoint.values.get("training"), dict):
            raise ValueError(
                f"the checkpoint of step {checkpoint.step} in {self.folder} is damaged: train again"
            )
        refuse_other_training(checkpoint.values["training"], describe_training(agent))
        tensors = checkpoint.load()
        pending = put_state(agent, state, tensors)
        if isinstance(agent.model, RowwiseDQN):
            read_all(self.folder, _buffer(agent.model), agent.model._n_calls, checkpoint.replay)
        forget_newer(checkpoint)
        self._last = checkpoint
        return Resumed(agent, pending)


@dataclass(frozen=True)
class Resumed:
    """A training that was put back.

    Attributes:
        agent: Its agent.
        pending: What was logged and not yet written.
    """

    agent: Agent
    pending: Sequence[Logged]

    @property
    def steps_left(self) -> int:
        """Environment steps until its end."""
        model = self.agent.model
        return max(0, model._total_timesteps - model.num_timesteps)


class Stopped(Exception):
    """A training ends before its time, between two rollouts, after its checkpoint was written."""


class CheckpointCallback(BaseCallback):
    """Writes checkpoints between rollouts.

    Args:
        agent: The agent that is trained.
        checkpoints: Where and when.
        resumed: What the training goes on from, if it does.
    """

    def __init__(self, agent: Agent, checkpoints: Checkpoints, resumed: Resumed | None = None) -> None:
        super().__init__()
        engine_of(agent)  # refuses what cannot be kept
        self._agent, self._checkpoints, self._resumed = agent, checkpoints, resumed
        self._rollouts, self._written = 0, -float("inf")

    def _on_training_start(self) -> None:
        if self._resumed is not None:
            put_logged(self.model, self._resumed.pending)

    def _on_rollout_start(self) -> None:
        # Here a rollout is finished, the agent has learnt from it, and nothing of the next one is drawn.
        when, self._rollouts = self._checkpoints, self._rollouts + 1
        by_count = when.rollouts is not None and (self._rollouts - 1) % when.rollouts == 0
        if when._stop or by_count or time.monotonic() - self._written >= when.seconds:
            when.save(self._agent)
            self._written = time.monotonic()
        if when._stop:
            when.stopped = True
            raise Stopped

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._checkpoints.save(self._agent)


def _buffer(model: RowwiseDQN) -> DictReplayBuffer:
    assert isinstance(model.replay_buffer, DictReplayBuffer)
    return model.replay_buffer
