"""Distillation: a smaller policy learns the distributions of a larger one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agents.compression.int8 import is_quantised, parameters
from agents.compression.prune import keep
from agents.encoders.choice import NAMES
from agents.encoders.encoded import batch_statistics
from agents.examples import Examples
from agents.heads import GREEDY, Sampling
from agents.losses import one_cycle
from agents.policy import ResponsePolicy
from mm_envs.names import at_least, check_one_of, whole
from mm_envs.random import fold, stream
from mm_envs.tasks.task import Task

STUDENT_SHARE = 0.25
_MULTIPLE = 4  # of widths, for heads of attention
_ANSWERS = ("sampled", "greedy")


@dataclass(frozen=True)
class DistilSettings:
    """Settings of distillation.

    Attributes:
        steps: Contexts that are learned from; each training item counts once an epoch.
        batch: Contexts an update.
        learning_rate: The highest of the schedule, "one_cycle" (Smith, 2018, arXiv 1803.09820), of AdamW.
        weight_decay: Of AdamW, for matrices.
        temperature: Both distributions are softened by it (Hinton et al., 2015, arXiv 1503.02531).
        answers: Which answers of the teacher the parts are compared in: "sampled" or "greedy".
        max_grad_norm: Gradients are scaled down to this norm.

    Raises:
        ValueError: A value is out of its range.
    """

    steps: int = 50_000
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    temperature: float = 2.0
    answers: str = "sampled"
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            whole(name, getattr(self, name))
            at_least(name, getattr(self, name), 1)
        for name in ("learning_rate", "weight_decay", "max_grad_norm"):
            at_least(name, getattr(self, name), 0)
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature={self.temperature} is not above 0: 2 is customary")
        check_one_of("answers", self.answers, _ANSWERS)


def student_of(
    teacher: ResponsePolicy, task: Task, share: float = STUDENT_SHARE, seed: int = 0
) -> ResponsePolicy:
    """An untrained policy with at most a share of the parameters of another one.

    Features and hidden states are scaled by one factor to multiples of 4; encoders and vocabularies keep
    their size, and encoders that were chosen keep their weights.

    Args:
        teacher: The larger policy.
        task: The task that it answers.
        share: Of the parameters, above 0 and below 1.
        seed: Of the weights.

    Raises:
        ValueError: The share is out of its range or below what is not scaled, or answers are conversations.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("classify", dataset="digits")
        >>> student_of(ResponsePolicy(task, features=256, hidden=256), task).features
        44
    """
    _refuse(teacher, task)
    if not 0 < share < 1:
        raise ValueError(f"share={share} is not between 0 and 1: 0.25 is a quarter of the parameters")
    allowed = share * parameters(teacher)
    largest = max(teacher.features, teacher.hidden)
    low, high = 0, largest // _MULTIPLE
    # The count grows with the width: bisection keeps low fitting and high too wide.
    while high - low > 1:
        middle = (low + high) // 2
        fits = _count(teacher, task, middle * _MULTIPLE) <= allowed
        low, high = (middle, high) if fits else (low, middle)
    if not low:
        least = _count(teacher, task, _MULTIPLE)
        raise ValueError(
            f"share={share} of {parameters(teacher):,} parameters is less than the {least:,} of the smallest "
            f"student, whose encoders are as large: give a share above {least / parameters(teacher):.2f}"
        )
    student = ResponsePolicy(task, **_scaled(teacher, low * _MULTIPLE), seed=seed)
    if any(name in teacher.arguments for name in NAMES):
        # Chosen encoders may be pretrained, or frozen, so that nothing would teach them.
        ours, theirs = (one.context_encoder.fused.encoders for one in (student, teacher))
        ours.load_state_dict(theirs.state_dict())
    return student


def distil(
    teacher: ResponsePolicy,
    student: ResponsePolicy,
    task: Task,
    settings: DistilSettings | None = None,
    seed: int = 0,
    masks: Mapping[str, Tensor] | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> ResponsePolicy:
    """Trains a student, in place, to answer as its teacher does; no label is needed.

    The loss is ``T^2 sum_parts KL(teacher || student)`` at temperature T on answers of the teacher to
    training items (Hinton et al., 2015, arXiv 1503.02531); for words that is word-level distillation on
    generated answers (Kim and Rush, 2016, arXiv 1606.07947).

    Args:
        teacher: Answers; it is not changed.
        student: Of the same kind of answers.
        task: Its training items are used, without their references.
        settings: None for the defaults.
        seed: Decides the order and the answers.
        masks: Weights of the student that stay 0, see ``agents.compression.prune.kept``.
        on_step: Called after each update with the contexts so far and the loss.

    Raises:
        ValueError: Answers are conversations, whose replies need a partner, or the student is int8.

    Example:
        >>> from mm_envs.tasks import make_task
        >>> task = make_task("classify", dataset="digits")
        >>> teacher, student = ResponsePolicy(task, 64, 64), ResponsePolicy(task, 16, 16)
        >>> distil(teacher, student, task, DistilSettings(steps=64)) is student
        True
    """
    settings = settings or DistilSettings()
    _refuse(student, task)
    examples, optimizer = Examples(task, seed=seed), _optimizer(student, settings)
    sampling = Sampling(temperature=settings.temperature)
    step = 0
    while step < settings.steps:
        rate, momentum = one_cycle(step / settings.steps)
        for group in optimizer.param_groups:
            group["lr"], group["betas"] = rate * settings.learning_rate, (momentum, 0.999)
        contexts = examples.contexts(step, settings.batch)
        count = len(next(iter(contexts.values())))
        hashes = fold(stream(seed, "answers of a teacher"), step, torch.arange(count))
        with torch.no_grad():
            known = teacher.encode(contexts)
            drawn = teacher.sample(known, hashes, GREEDY if settings.answers == "greedy" else Sampling())
            wanted = teacher.distribution(known, *drawn, sampling=sampling)
        with batch_statistics(student), batch_statistics(student):
            encoded = student.encode(contexts)
        found = student.distribution(encoded, *drawn, sampling=sampling)
        loss = settings.temperature**2 * wanted.kl(found).sum(1).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(student.parameters(), settings.max_grad_norm)
        optimizer.step()
        if masks:
            keep(student, masks)
        step += count
        if on_step is not None:
            on_step(step, loss.item())
    return student


def _refuse(student: ResponsePolicy, task: Task) -> None:
    if task.turn_spaces:
        raise ValueError(
            f"answers of kind {task.answer.name!r} with replies between turns are not distilled: use int8 or "
            "prune"
        )
    if is_quantised(student):
        raise ValueError("an int8 policy is not trained any more: distil first, then quantise")


def _scaled(teacher: ResponsePolicy, width: int) -> dict[str, Any]:
    """The arguments of a policy whose wider one of features and hidden is this width."""
    factor = width / max(teacher.features, teacher.hidden)
    sizes = {"features": teacher.features, "hidden": teacher.hidden}
    scaled = {key: max(1, round(factor * one / _MULTIPLE)) * _MULTIPLE for key, one in sizes.items()}
    return {**teacher.arguments, **scaled}


def _count(teacher: ResponsePolicy, task: Task, width: int) -> int:
    with torch.device("meta"):
        return parameters(ResponsePolicy(task, **_scaled(teacher, width)))


def _optimizer(student: nn.Module, settings: DistilSettings) -> torch.optim.Optimizer:
    # Decay is for matrices, as in GradientTrainer.
    weights = [one for one in student.parameters() if one.requires_grad]
    groups = [
        {"params": [one for one in weights if one.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [one for one in weights if one.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, settings.learning_rate)
