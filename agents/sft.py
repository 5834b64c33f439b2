"""Supervised fine-tuning: a policy learns to answer as the references do."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from agents.examples import Examples
from agents.gradient import GradientSettings, GradientTrainer, scores
from agents.heads import GREEDY
from agents.learning import learn
from agents.policy import ResponsePolicy
from agents.rollout import Rollout, draw_rollout
from agents.trainer import Update
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.names import at_least, whole
from mm_envs.tasks.task import Task


@dataclass(frozen=True)
class SFTSettings(GradientSettings):
    """Settings of supervised fine-tuning; those of ``GradientSettings`` besides.

    Attributes:
        items: How many of the training items are used; None for all.
        batch: Items an update.
        probes: How often answers of the policy are scored for the learning curve; 0 for never.

    Raises:
        ValueError: A value is out of its range.
    """

    learning_rate: float = 3e-3
    schedule: str = "one_cycle"
    items: int | None = None
    batch: int = 64
    probes: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("batch", self.batch), ("items", 1 if self.items is None else self.items)):
            whole(name, value)
            at_least(name, value, 1)
        at_least("probes", self.probes, 0)


class SFT(GradientTrainer):
    """Cross-entropy on good answers to the training items; a step is one item.

    The loss is ``imitation_loss``, all parts of an answer summed. Of items with several references each epoch
    takes one at random, so the policy learns all of them. The feedback decides nothing: it scores answers of
    the policy for the learning curve.
    """

    Settings = SFTSettings
    settings: SFTSettings

    def _set_up(self) -> None:
        self.examples = Examples(self.task, self.settings.items, self.engine.device, self.seed)

    def collect(self) -> Rollout:
        """The next items of the epoch with one good answer each."""
        batch = self.examples.batch(self._step, self.settings.batch)
        return batch.take(torch.arange(min(len(batch), self.total - self._step)))

    def update(self) -> Update:
        """One update; sometimes answers of the policy are scored, too."""
        self.set_rate()
        rollout = self.collect()
        loss, metrics = self.imitation(rollout)
        self.descend(loss)
        before, probes = self._step, self.settings.probes
        self.advance(len(rollout))
        metrics = {"loss": loss.item(), "learning_rate": self.rate, **metrics}
        if probes and self._step * probes // self.total > before * probes // self.total:
            probe = draw_rollout(self.model, self.engine, sampling=GREEDY)
            return Update(*scores(probe), metrics)
        return Update(metrics=metrics)


def sft(
    task: Task,
    policy: ResponsePolicy | None = None,
    *,
    epochs: int = 10,
    items: int | None = None,
    features: int = 128,
    batch: int = 64,
    learning_rate: float = 3e-3,
    weight_decay: float = 1e-2,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> ResponsePolicy:
    """Trains a policy on a task with ``SFT``, without an environment.

    Args:
        task: The task whose references or right answers are learned.
        policy: A policy to train in place; None makes a new one.
        epochs: How often each item is seen.
        items: How many of the training items; None for all.
        features: Numbers per context and per hidden state of a new policy.
        batch: Items an update.
        learning_rate: The highest of the schedule.
        weight_decay: Of AdamW.
        seed: Decides the weights of a new policy, and the order.
        device: Where it is trained.

    Returns:
        The policy that was trained: the one given, or a new one.

    Raises:
        ValueError: The kind of answers has no head, or a number is out of its range.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> policy = sft(make_task("classify", dataset="digits"), epochs=1, items=64, features=16)
        >>> policy.features
        16
    """
    whole("epochs", epochs)
    at_least("epochs", epochs, 1)
    settings = SFTSettings(
        items=items, batch=batch, learning_rate=learning_rate, weight_decay=weight_decay, probes=0
    )
    sizes = {"features": features, "hidden": features}
    envs = MultimodalVectorEnv(1, task, feedback="truth", device=device)
    trainer = SFT("sft", envs, settings, sizes, seed, model=policy)
    learn(trainer, epochs * len(trainer.examples))
    return trainer.model
