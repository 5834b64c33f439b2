"""A warm start: good answers to some training items are imitated before anything is learned from rewards."""

from __future__ import annotations

import torch

from agents.examples import Examples
from agents.gradient import GradientTrainer
from agents.losses import schedule
from agents.trainer import Update

_BATCH, _RATE, _WARM = 32, 2e-3, 0.05


class Demonstrations:
    """Imitates good answers to the first training items; a step is one answer.

    Args:
        trainer: Whose policy imitates, with its optimizer.
        items: How many training items.
        steps: How many answers are imitated.
    """

    def __init__(self, trainer: GradientTrainer, items: int, steps: int) -> None:
        self.trainer, self.steps = trainer, steps
        self.examples = Examples(trainer.task, items, trainer.engine.device, trainer.seed)

    def check(self, total: int) -> None:
        """Refuses a training of so many steps in all that ends before the demonstrations do.

        Raises:
            ValueError: Nothing is left to learn from rewards.
        """
        if self.trainer.step < self.steps >= total:
            raise ValueError(
                f"demonstration_steps={self.steps} leave nothing of steps={total} for rewards: "
                "give more steps, fewer demonstration_steps, or demonstrations=0"
            )

    def update(self) -> Update:
        """One step of the optimizer."""
        trainer = self.trainer
        factor = schedule("cosine", trainer.step / self.steps, _WARM, last=0.01)
        for group in trainer.optimizer.param_groups:
            group["lr"] = _RATE * factor
        batch = self.examples.batch(trainer.step, _BATCH)
        batch = batch.take(torch.arange(min(len(batch), self.steps - trainer.step)))
        loss, metrics = trainer.imitation(batch)
        trainer.descend(loss)
        trainer.advance(len(batch))
        return Update(metrics={"imitation_loss": loss.item(), "learning_rate": trainer.rate, **metrics})
