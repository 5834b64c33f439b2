"""What trainers of answering policies share: the policy, the optimizer, its schedule and auxiliary losses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from agents.acting import AnsweringPolicy, Policy
from agents.augment import check_rate, drop_modalities, random_shift
from agents.compression.int8 import is_quantised
from agents.context import Context
from agents.encoders.encoded import Entry, batch_statistics
from agents.encoders.features import FrozenFeatures
from agents.heads import Parts
from agents.losses import SCHEDULES, imitation_loss, one_cycle, schedule
from agents.policy import ResponsePolicy
from agents.policy_folder import load_policy, spaces_of
from agents.rollout import Rollout, parts_of
from agents.state import State, copy_tensors, load_optimizer_state, optimizer_state
from agents.trainer import Trainer, vector_environment
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.names import at_least, check_one_of, refuse_unknown
from mm_envs.random import fold, stream
from mm_envs.spaces import Image

RATES = (*SCHEDULES, "one_cycle")
"""Schedules of the learning rate."""


@dataclass(frozen=True)
class GradientSettings:
    """Settings of every trainer of answering policies.

    Attributes:
        learning_rate: The highest of the schedule, of AdamW (Loshchilov and Hutter, 2017, arXiv 1711.05101).
        schedule: "cosine", "linear", "constant", or "one_cycle" (Smith, 2018, arXiv 1803.09820).
        warm: The share of the training in which the learning rate rises; "one_cycle" has its own.
        weight_decay: Of AdamW.
        max_grad_norm: Gradients are scaled down to this norm.
        word_loss: The weight of the word loss of fusions that have one, see ``Fusion.word_loss``.
        shift: Pictures are moved by up to so many pixels, at random.
        modality_dropout: The probability of each entry of a context to be missing while it is learned from,
            see ``agents.augment.drop_modalities``. Candidates that answers refer to stay.

    Raises:
        ValueError: A value is out of its range.
    """

    schedules: ClassVar[tuple[str, ...]] = RATES

    learning_rate: float = 2e-3
    schedule: str = "cosine"
    warm: float = 0.05
    weight_decay: float = 1e-2
    max_grad_norm: float = 1.0
    word_loss: float = 0.3
    shift: int = 0
    modality_dropout: float = 0.0

    def __post_init__(self) -> None:
        check_one_of("schedule", self.schedule, self.schedules)
        for name in ("weight_decay", "max_grad_norm", "word_loss", "shift"):
            at_least(name, getattr(self, name), 0)
        check_rate("modality_dropout", self.modality_dropout)
        if not 0 <= self.warm < 1:
            raise ValueError(f"warm={self.warm} is not within 0 to 1: 0.05 is customary")


class GradientTrainer(Trainer):
    """Trains a ``ResponsePolicy``; a step is one answer.

    The policy is new, of the names and sizes in ``policy_arguments``; or that of ``start``, the folder of a
    saved policy or of a training; or ``model``, which is trained in place.

    Attributes:
        model: The policy.
        clock: The trainer whose steps schedules follow: this one, or that of which it is a member.
        features: The encoded entries of frozen encoders, by item; no part of the state.
    """

    clock: Trainer

    def __init__(
        self,
        algo: str,
        envs: Any,
        settings: Any = None,
        policy_arguments: Mapping[str, Any] | None = None,
        seed: int = 0,
        device: torch.device | str | None = None,
        model: ResponsePolicy | None = None,
    ) -> None:
        engine = vector_environment(envs).unwrapped
        if not isinstance(engine, MultimodalVectorEnv) or engine.output != "torch":
            raise ValueError(f"algo={algo!r} needs what gym.make_vec makes with output='torch'")
        super().__init__(algo, engine, settings, policy_arguments or {}, seed)
        self.engine, self.task, self._step, self.clock = engine, engine.task, 0, self
        self.model = self._made() if model is None else model
        self.policy_arguments = dict(self.model.arguments)
        self.model.to(device or engine.device)
        items = max(one.stop for one in self.task.dataset.splits.values())
        self.features = FrozenFeatures(self.model.context_encoder.fused.encoders, items)
        self._set_up()
        self.optimizer = self._optimizer()

    def _set_up(self) -> None:
        """Makes what a subclass needs besides, before the optimizer."""

    def _made(self) -> ResponsePolicy:
        given = dict(self.policy_arguments)
        refuse_unknown("the policy", given, [*self.stored_policy_arguments(), "start"])
        start = given.pop("start", None)
        if start is None:
            return ResponsePolicy(self.task, **given, seed=self.seed)
        if given:
            raise ValueError(f"start={start} has the sizes of its policy: leave {', '.join(given)} out")
        policy = load_policy(str(start), self.task)
        if is_quantised(policy):
            raise ValueError(
                f"start={start} holds int8 weights, which are not trained: give the policy before"
            )
        return policy

    @property
    def step(self) -> int:
        """Answers learned from so far."""
        return self._step

    @property
    def device(self) -> torch.device:
        """Where the policy lives."""
        return next(self.model.parameters()).device

    @property
    def network(self) -> nn.Module:
        """The policy."""
        return self.model

    def begin(self, steps: int) -> None:
        """Sets the end of the training, and resets an environment that was not reset yet."""
        self.check(steps)
        self.total = self._step + steps
        if not self.engine.started:
            self.engine.reset(seed=self.seed, options=self._next_options())

    def _next_options(self) -> dict[str, Any] | None:
        """Options of the reset that begins the next episodes."""
        return None

    def trained(self) -> Iterable[nn.Parameter]:
        """Every weight that ``optimizer`` changes."""
        return self.model.parameters()

    def share(self) -> float:
        """The share of the training that is done, 0 to 1, as schedules take it."""
        return self.clock.step / max(self.clock.total, 1)

    def set_rate(self) -> None:
        """Sets the learning rate of the next update."""
        wanted = self.settings
        if wanted.schedule == "one_cycle":
            factor, momentum = one_cycle(self.share())
        else:
            factor, momentum = schedule(wanted.schedule, self.share(), wanted.warm, last=0.01), 0.9
        for group in self.optimizer.param_groups:
            group["lr"], group["betas"] = factor * wanted.learning_rate, (momentum, 0.999)

    @property
    def rate(self) -> float:
        """The learning rate of the last update."""
        return float(self.optimizer.param_groups[0]["lr"])

    def descend(self, loss: Tensor) -> None:
        """One step of the optimizer."""
        self._descend(loss, self.optimizer, self.trained())

    def _descend(
        self, loss: Tensor, optimizer: torch.optim.Optimizer, weights: Iterable[nn.Parameter]
    ) -> None:
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(weights, self.settings.max_grad_norm)
        optimizer.step()

    def advance(self, answers: int) -> None:
        """Counts answers that were learned from."""
        self._step += answers

    def encoded(self, context: Mapping[str, Entry], statistics: bool = True) -> tuple[Context, Tensor | None]:
        """Encoded contexts, and the weighted auxiliary loss; None where there is none.

        Batch norms use the ``statistics`` of the batch, or the running ones.
        """
        with batch_statistics(self.model, statistics):
            if not self.settings.word_loss:
                return self.model.encode(context), None
            encoded, each = self.model.context_encoder.with_word_loss(context)
        return encoded, None if each is None else self.settings.word_loss * each.mean()

    def with_heard(self, auxiliary: Tensor | None, parts: Parts) -> Tensor | None:
        """The weighted auxiliary loss with that of what was heard in conversations."""
        if parts.auxiliary is None or not self.settings.word_loss:
            return auxiliary
        heard: Tensor = self.settings.word_loss * parts.auxiliary.mean()
        return heard if auxiliary is None else auxiliary + heard

    def imitation(self, rollout: Rollout) -> tuple[Tensor, dict[str, float]]:
        """The cross-entropy of answers (m, 1, ...) with the auxiliary loss, and numbers to log."""
        rollout = rollout.to(self.device)
        # Examples are not encoded yet.
        context = cast("Mapping[str, Tensor]", rollout.context)
        encoded, auxiliary = self.encoded(self.prepared(context, rollout.item))
        parts, log_prob = parts_of(self.model, encoded, rollout)
        loss, auxiliary = imitation_loss(log_prob.sum(2)), self.with_heard(auxiliary, parts)
        if auxiliary is None:
            return loss, {}
        return loss + auxiliary, {"word_loss": auxiliary.item()}

    def prepared(self, context: Mapping[str, Tensor], item: Tensor | None) -> Mapping[str, Entry]:
        """Augmented contexts; what frozen encoders make of entries that stay is computed once an item.

        Args:
            context: Entries (n, ...).
            item: The index of each context in the dataset, (n,) int64; None where it is not known.
        """
        given = {key: one.to(self.device) for key, one in context.items()}
        changed = self.augmented(given)
        if item is None:
            return changed
        same = [key for key, one in given.items() if changed[key] is one]
        return self.features(changed, item.to(self.device), same)

    def augmented(self, context: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Contexts with shifted pictures and missing entries; the seed and the step decide how."""
        wanted, rows = self.settings, torch.arange(len(next(iter(context.values()))), device=self.device)
        if wanted.shift:
            hashes = fold(stream(self.seed, "augmentation", self.device), self._step, rows)
            pictures = [key for key, one in self.task.context_spaces.items() if isinstance(one, Image)]
            moved = {key: random_shift(context[key], hashes, wanted.shift) for key in pictures}
            context = {**context, **moved}
        if wanted.modality_dropout:
            hashes = fold(stream(self.seed, "modality dropout", self.device), self._step, rows)
            encoder = self.model.context_encoder
            keys = [key for key in encoder.fused.encoders if key != encoder.among]
            context = drop_modalities(context, keys, hashes, wanted.modality_dropout)
        return context

    def _optimizer(self) -> torch.optim.Optimizer:
        return self._optimizer_of(self.trained())

    def _optimizer_of(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """AdamW; decay is for matrices: of biases, norms and temperatures 0 is no natural value."""
        decay = self.settings.weight_decay
        several = [one for one in weights if one.requires_grad]
        groups = [
            {"params": [one for one in several if one.ndim > 1], "weight_decay": decay},
            {"params": [one for one in several if one.ndim <= 1], "weight_decay": 0.0},
        ]
        rate = self.settings.learning_rate
        return torch.optim.AdamW([one for one in groups if one["params"]], rate, fused=True)

    def config(self) -> dict[str, Any]:
        """The spaces of contexts and answers, for ``agents.policy_folder.load_policy``."""
        return {"spaces": spaces_of(self.task)}

    def policy(self) -> Policy:
        """The policy; it takes the likeliest answer."""
        return AnsweringPolicy(self.model, self.task)

    def state_dict(self) -> State:
        """Weights, optimizer, the environment and the number of steps."""
        return State.join(
            counters=State({"step": self._step}),
            policy=State(tensors=self.weights()),
            optimizer=optimizer_state(self.optimizer),
            engine=State(tensors=self.engine.state_dict()),
        )

    def load_state_dict(self, state: State) -> None:
        """Goes on from a state."""
        copy_tensors(self.weights(), state.part("policy").tensors, "policy")
        self.features.clear()
        load_optimizer_state(self.optimizer, state.part("optimizer"))
        self.engine.load_state_dict(state.part("engine").tensors)
        self._step = int(state.values["counters"]["step"])


def scores(rollout: Rollout) -> tuple[list[float], list[float]]:
    """Rewards and utilities of a batch, as ``Update`` holds them."""
    if rollout.reward is None or rollout.utility is None:
        return [], []
    return rollout.reward.flatten().tolist(), rollout.utility.flatten().tolist()
