"""Supervised fine-tuning: a policy learns to answer as the references do."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import torch
from torch import Tensor

from agents.policy import ResponsePolicy
from mm_envs.engine.pool import shared_pool
from mm_envs.names import at_least, whole
from mm_envs.tasks.play import turns_of
from mm_envs.tasks.task import Task

_log = logging.getLogger(__name__)


def fine_tune(
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
    """Trains a policy by cross-entropy on good answers to the training items.

    The loss is the mean over items of ``-log p(answer | context)``, all words of the answer summed. Of items
    with several references each epoch takes one at random, so that the policy learns all ways of saying it.
    AdamW (Loshchilov and Hutter, 2017, arXiv 1711.05101) under the one-cycle schedule (Smith, 2018, arXiv
    1803.09820).

    Args:
        task: Whose references or right answers are learned.
        policy: What to train further; None makes a new one.
        epochs: How often each item is seen.
        items: How many of the training items; None for all.
        features: Numbers per context and per hidden state of a new policy.
        batch: Items a step.
        learning_rate: The highest of the schedule.
        weight_decay: Of AdamW.
        seed: Seeds the weights of a new policy, and the order.
        device: Where it is trained.

    Returns:
        The policy that was trained: the one given, or a new one.

    Raises:
        ValueError: The answers are neither words nor choices, or a number is out of its range.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("classify", dataset="digits")
        >>> policy = fine_tune(task, epochs=1, items=64, features=16)
        >>> policy.features
        16
    """
    for name, value in (("epochs", epochs), ("batch", batch), ("items", 1 if items is None else items)):
        whole(name, value)
        at_least(name, value, 1)
    policy = ResponsePolicy(task, features, features, seed) if policy is None else policy
    policy.to(device)
    taught = TrainingItems(task, items, torch.device(device))
    optimizer = torch.optim.AdamW(policy.parameters(), learning_rate, weight_decay=weight_decay, fused=True)
    steps = epochs * -(-len(taught) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps + 1)
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        losses = []
        for context, answer, turns in taught.batches(batch, generator):
            loss = -policy.log_prob(policy.encode(context), answer, None, turns).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        _log.info("epoch %d of %d: loss %.3f", epoch + 1, epochs, torch.stack(losses).mean().item())
    return policy


class TrainingItems:
    """Training items of a task with good answers to them.

    Args:
        task: The task.
        items: How many items, at most; None for all of the train split.
        device: Where they live.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> taught = TrainingItems(make_task("vqa", answer="tokens"), items=5)
        >>> context, answer, turns = next(taught.batches(4, torch.Generator().manual_seed(0)))
        >>> len(taught), tuple(answer.shape)
        (5, (4, 3))
    """

    def __init__(self, task: Task, items: int | None = None, device: torch.device | None = None) -> None:
        self._task, self._device = task, device or torch.device("cpu")
        self._pool = shared_pool(task, "train", self._device)
        self._size = self._pool.size if items is None else min(items, self._pool.size)

    def __len__(self) -> int:
        return self._size

    def batches(
        self, size: int, generator: torch.Generator
    ) -> Iterator[tuple[dict[str, Tensor], Tensor, dict[str, Tensor] | None]]:
        """All items once, in a random order: contexts, one good answer each, and what is heard meanwhile.

        Args:
            size: Items a batch; the last may be smaller.
            generator: Decides the order and, of several references, which one.
        """
        for chosen in torch.split(torch.randperm(self._size, generator=generator), size):
            rows = chosen.to(self._device)
            if self._device.type == "cpu":
                self._pool.ensure(rows)
            context = {key: self._pool.rows(field, rows) for key, field in self._task.context.items()}
            reference = {field: self._pool.rows(field, rows) for field in self._task.reference}
            hashes = torch.randint(2**62, (len(rows),), generator=generator).to(self._device)
            answer = self._task.good(reference, hashes)
            shown = {self._task.context[key]: value for key, value in context.items()}
            key = torch.stack([torch.zeros_like(rows), rows, torch.zeros_like(rows)], 1)
            yield context, answer, turns_of(self._task, answer, {**shown, **reference}, key)
