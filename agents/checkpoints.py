"""Checkpoints of a running training: when they are written, and how one is resumed.

A checkpoint holds everything that decides what comes next: networks, optimizer, counters and schedules, all
generators, the replay buffer, the state of each row of the environment, the learning curve.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.description import describe_training, refuse_other_training
from agents.state import State
from agents.store import Stored, forget_newer, newest, write_checkpoint, write_tensors
from agents.trainer import Trainer
from mm_envs.names import at_least


@dataclass
class Checkpoints:
    """Where and when a training writes checkpoints; the two newest are kept.

    The first is written before the first update and the last at the end, all between two updates.

    Attributes:
        folder: Where; made if need be.
        seconds: A checkpoint after every update that ends this long after the last one; 0 for every update.
        updates: A checkpoint after every so many updates, too.
        stopping: Whether ``stop`` was called, perhaps too late to end anything.
        stopped: Whether the training was stopped by ``stop``.
        last: The last checkpoint that was written or resumed from.
    """

    folder: Path
    seconds: float = 60.0
    updates: int | None = None
    stopping: bool = field(default=False, init=False)
    stopped: bool = field(default=False, init=False)
    last: Stored | None = field(default=None, init=False)
    _training: dict[str, Any] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        at_least("seconds", self.seconds, 0.0, "give the time between two checkpoints")
        if self.updates is not None:
            at_least("updates", self.updates, 1, "leave it out for checkpoints by time alone")

    def stop(self) -> None:
        """Ends the training after this update, with a checkpoint; a signal handler may call it."""
        self.stopping = True

    def save(self, trainer: Trainer) -> Stored:
        """Writes a checkpoint of a trainer between two updates, if there is none of this step."""
        step = trainer.step
        if self.last is not None and self.last.step == step:
            return self.last
        self.folder.mkdir(parents=True, exist_ok=True)
        state = State.join(trainer=trainer.state_dict(), curve=trainer.curve.state_dict())
        files = trainer.write_files(self.folder, self.last.files if self.last is not None else ())
        stored = write_tensors(self.folder / f"step-{step:012}.safetensors", state.tensors)
        self._training = self._training or describe_training(trainer)
        values = {"training": self._training, "total": trainer.total, "state": state.values}
        self.last = Stored(self.folder, step, values, stored, files)
        write_checkpoint(self.last)
        return self.last

    def restore(self, trainer: Trainer) -> int:
        """Puts a trainer where the newest checkpoint was taken.

        Returns:
            The step at which the training ends.

        Raises:
            FileNotFoundError: There is no checkpoint.
            ValueError: None is whole, or the trainer is another one: the message names what differs.
        """
        checkpoint = newest(self.folder)
        try:
            values, training = checkpoint.values["state"], checkpoint.values["training"]
            total = int(checkpoint.values["total"])
            if not isinstance(values, dict) or not isinstance(training, dict):
                raise TypeError("no object")
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"the checkpoint of step {checkpoint.step} in {self.folder} is damaged: train again"
            ) from None
        self._training = describe_training(trainer)
        refuse_other_training(training, self._training)
        state = State(values, checkpoint.load())
        try:
            trainer.load_state_dict(state.part("trainer"))
            trainer.curve.load_state_dict(state.part("curve"))
        except (AttributeError, IndexError, KeyError, TypeError, RuntimeError, OverflowError) as error:
            raise ValueError(
                f"the state of the training is damaged ({type(error).__name__}: {error})"
            ) from None
        trainer.read_files(self.folder, checkpoint.files)
        forget_newer(checkpoint)
        self.last = checkpoint
        return total
