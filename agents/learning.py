"""The training loop, which is the same for every trainer, and its callbacks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from agents.checkpoints import Checkpoints
from agents.curve import Progress, mean
from agents.description import engine_of
from agents.trainer import Trainer, Update
from mm_envs.names import at_least

POINTS = 500


class Stopped(Exception):
    """A training ends before its time, between two updates."""


class Callback:
    """What is done on the way; subclasses override what they need. None of it changes what is learned."""

    def on_start(self, trainer: Trainer) -> None:
        """Before the first update of this process."""

    def before_update(self, trainer: Trainer) -> None:
        """Between two updates: nothing of the next one is drawn. May raise ``Stopped``."""

    def after_update(self, trainer: Trainer, update: Update) -> None:
        """After an update."""

    def on_end(self, trainer: Trainer) -> None:
        """At the end of a training that was not stopped."""


class ProgressCallback(Callback):
    """Keeps the learning curve: running means over finished episodes; ``on_progress`` gets each point.

    The steps of its about ``POINTS`` points depend on the number of steps alone, so that learning curves can
    be compared.
    """

    def __init__(self, on_progress: Callable[[Progress], None] | None = None) -> None:
        self._on_progress = on_progress
        self._metrics: dict[str, float] = {}

    def on_start(self, trainer: Trainer) -> None:
        """Starts the clock."""
        self._begin, self._first_step = time.monotonic(), trainer.step
        self._before = trainer.curve.seconds

    def after_update(self, trainer: Trainer, update: Update) -> None:
        """Takes in the episodes, and adds a point if it is time."""
        curve = trainer.curve
        curve.rewards.extend(update.rewards)
        curve.utilities.extend(update.utilities)
        curve.seconds = self._before + time.monotonic() - self._begin
        self._metrics = dict(update.metrics)
        if trainer.step * POINTS // trainer.total > curve.last_step * POINTS // trainer.total:
            self._add(trainer)

    def on_end(self, trainer: Trainer) -> None:
        """Adds the last point, if there is none at this step."""
        if trainer.step > trainer.curve.last_step:
            self._add(trainer)

    def _add(self, trainer: Trainer) -> None:
        passed, step, total = max(time.monotonic() - self._begin, 1e-9), trainer.step, trainer.total
        speed = (step - self._first_step) / passed
        point = Progress(
            step=step,
            total=total,
            reward=mean(trainer.curve.rewards),
            utility=mean(trainer.curve.utilities),
            metrics=self._metrics,
            steps_per_second=speed,
            seconds_left=max(0, total - step) / speed if speed else math.inf,
        )
        trainer.curve.points.append(point)
        if self._on_progress is not None:
            self._on_progress(point)


class CheckpointCallback(Callback):
    """Writes checkpoints between updates, and stops the training when it is asked to."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints
        self._updates, self._written = 0, -math.inf

    def before_update(self, trainer: Trainer) -> None:
        """Writes a checkpoint if it is time."""
        when, self._updates = self._checkpoints, self._updates + 1
        by_count = when.updates is not None and (self._updates - 1) % when.updates == 0
        if when.stopping or by_count or time.monotonic() - self._written >= when.seconds:
            when.save(trainer)
            self._written = time.monotonic()
        if when.stopping:
            when.stopped = True
            raise Stopped

    def on_end(self, trainer: Trainer) -> None:
        """Writes the last checkpoint."""
        self._checkpoints.save(trainer)


def learn(
    trainer: Trainer,
    steps: int,
    on_progress: Callable[[Progress], None] | None = None,
    *,
    window: int = 1000,
    checkpoints: Checkpoints | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Trains for a number of steps; called again, the training goes on.

    Args:
        trainer: What is trained.
        steps: Steps, see ``Trainer.step``; completed to whole updates.
        on_progress: Called with every new point of the learning curve.
        window: How many finished episodes the means of the curve run over.
        checkpoints: Where to keep what ``resume`` needs. Its ``stop`` ends the training.
        callbacks: Further callbacks.

    Raises:
        ValueError: ``steps`` or ``window`` is below 1, or the trainer does not fit its environment.

    Example:
        >>> from agents.trainers import make_trainer
        >>> from mm_envs.engine.vector import MultimodalVectorEnv
        >>> envs = MultimodalVectorEnv(8, "classify", dataset="digits", feedback="truth")
        >>> trainer = make_trainer("rloo", envs, features=16)
        >>> learn(trainer, 128)
        >>> trainer.step, [point.step for point in trainer.curve.points]
        (128, [64, 128])
    """
    at_least("steps", steps, 1, "train for at least one step")
    at_least("window", window, 1)
    trainer.curve.keep(window)
    if checkpoints is not None:
        for one in trainer.members.values() or [trainer]:
            engine_of(one)
    trainer.begin(steps)
    _run(trainer, on_progress, checkpoints, callbacks)


def resume(
    trainer: Trainer,
    checkpoints: Checkpoints,
    on_progress: Callable[[Progress], None] | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Goes on with a training that was stopped or killed, from its newest checkpoint to its end.

    On the CPU, with the same packages and the same number of threads, the result is bit for bit that of a
    training which was never stopped. ``trainer.curve`` holds the whole learning curve.

    Args:
        trainer: Made as that of the training was: same algorithm, settings, policy, seed, environment.
        checkpoints: Where its checkpoints are, and when further ones are written.
        on_progress: As for ``learn``, for the points that are still to come.
        callbacks: Further callbacks.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: No checkpoint is whole, or the trainer is not that of the training (another vocabulary,
            dataset, environment, setting, ...): the message names both values.
    """
    total = checkpoints.restore(trainer)
    trainer.begin(max(0, total - trainer.step))
    _run(trainer, on_progress, checkpoints, callbacks)


def _run(
    trainer: Trainer,
    on_progress: Callable[[Progress], None] | None,
    checkpoints: Checkpoints | None,
    callbacks: Sequence[Callback],
) -> None:
    # Checkpoints come last: they hold what the others did.
    several: list[Callback] = [ProgressCallback(on_progress), *callbacks]
    several += [] if checkpoints is None else [CheckpointCallback(checkpoints)]
    for callback in several:
        callback.on_start(trainer)
    try:
        while trainer.step < trainer.total:
            for callback in several:
                callback.before_update(trainer)
            update = trainer.update()
            for callback in several:
                callback.after_update(trainer, update)
    except Stopped:
        return
    for callback in several:
        callback.on_end(trainer)
