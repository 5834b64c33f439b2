"""Policy gradients on whole answers: one trainer whose settings are REINFORCE, RLOO, GRPO, PPO and others."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from agents.context import Context
from agents.credit import Credit, credit_of
from agents.demonstrations import Demonstrations
from agents.gradient import GradientSettings, GradientTrainer, scores
from agents.heads import Parts, Sampling
from agents.losses import (
    AGGREGATIONS,
    KL_CONTROLLERS,
    KL_ESTIMATORS,
    NORMALISATIONS,
    aggregate,
    approximate_kl,
    check_kl,
    clip_fraction,
    clipped_loss,
    make_kl_controller,
    share_without_signal,
    value_loss,
    warn_about,
)
from agents.rollout import Rollout, can_score_prefixes, draw_rollout, parts_of
from agents.state import State, copy_tensors
from agents.trainer import Update
from agents.value import ValueHead
from mm_envs.names import at_least, check_one_of
from mm_envs.random import fold, stream

BASELINES = ("leave_one_out", "mean", "softmax", "value", "greedy", "none", "best")


@dataclass(frozen=True)
class OnPolicySettings(GradientSettings):
    """Settings of policy gradients; those of ``GradientSettings`` besides.

    Attributes:
        answers: k, answers to each context.
        enumerate: Whether the answers are all choices instead of draws, so that the gradient is that of the
            expected reward without the noise of draws.
        baseline: "leave_one_out", "mean", "greedy" (self-critical), "value", "none"; "best": the best of the
            answers is imitated; or "softmax": answers are weighted by the softmax of their rewards, and the
            advantage is ``k softmax(r / t)_i - 1`` (Peters and Schaal, "Reinforcement learning by
            reward-weighted regression", 2007), whatever the offset of the rewards.
        softmax_temperature: t of the baseline "softmax".
        normalisation: Of advantages by their group: "none", "std" or "mean".
        standardise: Whether advantages are standardised over the batch.
        aggregation: Of the losses of parts, see ``agents.losses.aggregate``.
        dense: Whether every part is credited with the change of the score, where the feedback can score
            beginnings; else the whole answer is credited.
        epochs: How often the answers of an update are learned from.
        minibatches: Steps of the optimizer in an epoch.
        clip: Of the probability ratio, with several steps of the optimizer.
        value_warmup: Updates that train the value alone.
        value_rate: The learning rate of the value as a multiple of that of the policy.
        gae_lambda: Of generalised advantage estimation, with baseline "value".
        entropy: The weight of the entropy at the start; it falls in a straight line to 0.
        kl: beta, the price of a nat away from the policy before the training; 0 for none.
        kl_in: Where the price is paid: "reward" or "loss".
        kl_estimator: "k1" in the reward; "exact", "k2" or "k3+" in the loss.
        kl_controller: "fixed", "ziegler" or "rl4lms".
        kl_target: Nats an answer that adaptive controllers hold.
        temperature: Of the draws, and of the log-probabilities that are learned from.
        top_k: As in ``Sampling``.
        top_p: As in ``Sampling``.
        demonstrations: How many training items with good answers are imitated first; 0 for none.
        demonstration_steps: How many answers that takes.

    Raises:
        ValueError: A value is out of its range, or an estimator is wrong at its place.
    """

    answers: int = 8
    enumerate: bool = False
    baseline: str = "leave_one_out"
    softmax_temperature: float = 0.15
    normalisation: str = "none"
    standardise: bool = False
    aggregation: str = "token_mean"
    dense: bool = True
    epochs: int = 1
    minibatches: int = 1
    clip: float = 0.2
    value_warmup: int = 0
    value_rate: float = 1.0
    gae_lambda: float = 0.95
    entropy: float = 0.02
    kl: float = 0.0
    kl_in: str = "reward"
    kl_estimator: str = "k1"
    kl_controller: str = "fixed"
    kl_target: float = 1.0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    demonstrations: int = 0
    demonstration_steps: int = 64_000

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ("epochs", "minibatches", "answers", "demonstration_steps")
        for name, least in (*((name, 1) for name in names), *((name, 0) for name in _NOT_NEGATIVE)):
            at_least(name, getattr(self, name), least)
        check_one_of("baseline", self.baseline, BASELINES)
        check_one_of("normalisation", self.normalisation, NORMALISATIONS)
        check_one_of("aggregation", self.aggregation, AGGREGATIONS)
        check_one_of("kl_estimator", self.kl_estimator, [*KL_ESTIMATORS, "exact"])
        check_one_of("kl_controller", self.kl_controller, KL_CONTROLLERS)
        if self.baseline in ("leave_one_out", "mean", "best") and not self.enumerate:
            at_least("answers", self.answers, 2, "an advantage needs another answer to compare with")
        if self.kl:
            check_kl(self.kl_in, self.kl_estimator)  # type: ignore[arg-type]
        if self.enumerate and (self.epochs > 1 or self.minibatches > 1 or self.kl):
            raise ValueError("enumerate=True takes one step of the optimizer and no kl: leave them out")
        if self.temperature == 0:
            raise ValueError("temperature=0 explores nothing: give a number above 0")
        placement: Any = self.kl_in if self.kl else None
        about: Any = {"normalisation": self.normalisation, "aggregation": self.aggregation}
        warn_about(kl_placement=placement, **about)

    @property
    def sampling(self) -> Sampling:
        """How answers are drawn."""
        return Sampling(self.temperature, self.top_k, self.top_p)


_NOT_NEGATIVE = ("clip", "value_warmup", "value_rate", "entropy", "kl", "demonstrations")


@dataclass(frozen=True)
class Drawn:
    """A rollout with what is known of it before the policy changes.

    Attributes:
        rollout: The answers and their scores.
        encoded: The encoded contexts, with gradients; of use until the first step of the optimizer.
        auxiliary: The auxiliary loss of the contexts; None where there is none.
        parts: The distributions of the parts of answers, with gradients.
        log_prob: Of the parts, (m, k, parts), with gradients.
        credit: What each part is credited with.
    """

    rollout: Rollout
    encoded: Context
    auxiliary: Tensor | None
    parts: Parts
    log_prob: Tensor
    credit: Credit


class OnPolicy(GradientTrainer):
    """Policy gradients on whole answers; the reward is that of the environment's feedback.

    An update takes ``answers`` answers to the context of every row of the environment, which share one
    encoding of it.
    """

    Settings = OnPolicySettings
    settings: OnPolicySettings

    def _set_up(self) -> None:
        wanted = self.settings
        self.value = None
        if wanted.baseline == "value":
            self.value = ValueHead(self.model.head.width, seed=self.seed).to(self.device)
        self.reference = copy.deepcopy(self.model).requires_grad_(False) if wanted.kl else None
        about = {} if wanted.kl_controller == "fixed" else {"target": wanted.kl_target}
        self.price = make_kl_controller(wanted.kl_controller, wanted.kl, **about)
        self.demonstrations = None
        if wanted.demonstrations:
            self.demonstrations = Demonstrations(self, wanted.demonstrations, wanted.demonstration_steps)
        self.dense = wanted.dense and can_score_prefixes(self.engine)
        self.updates = 0

    def trained(self) -> Iterable[nn.Parameter]:
        """The policy and the value."""
        return [*self.model.parameters(), *([] if self.value is None else self.value.parameters())]

    def share(self) -> float:
        """The share of the training that is done after the demonstrations."""
        before = 0 if self.demonstrations is None else self.demonstrations.steps
        return max(self._step - before, 0) / max(self.total - before, 1)

    def update(self) -> Update:
        """Learns from demonstrations at first, then from answers of the policy."""
        if self.demonstrations is not None and self._step < self.demonstrations.steps:
            return self._imitate()
        self.set_rate()
        drawn = self.draw()
        metrics = self.learn_from(drawn)
        self.updates += 1
        self._step += drawn.rollout.response.shape[:2].numel()
        self.price.update(drawn.credit.kl, drawn.rollout.response.shape[:2].numel())
        assert drawn.rollout.reward is not None
        without = share_without_signal(drawn.rollout.reward).item()
        about = {"learning_rate": self.rate, "frac_reward_zero_std": without}
        if self.settings.kl:
            about |= {"kl": drawn.credit.kl, "kl_price": self.price.value}
        return Update(*self._scores(drawn), {**metrics, **about})

    def _scores(self, drawn: Drawn) -> tuple[list[float], list[float]]:
        """Rewards and utilities of the answers; of all choices those that the policy expects."""
        rollout = drawn.rollout
        if not self.settings.enumerate:
            return scores(rollout)
        assert rollout.reward is not None
        assert rollout.utility is not None
        p = drawn.log_prob[:, :, 0].detach().exp()
        return (p * rollout.reward).sum(1).tolist(), (p * rollout.utility).sum(1).tolist()

    def _imitate(self) -> Update:
        assert self.demonstrations is not None
        update = self.demonstrations.update()
        if self._step >= self.demonstrations.steps:
            # The reference is the policy after the demonstrations, and nothing of their optimizer stays.
            self.optimizer = self._optimizer()
            if self.reference is not None:
                self.reference.load_state_dict(self.model.state_dict())
        return update

    def draw(self) -> Drawn:
        """The answers to learn from, and their credit. Every context is encoded once."""
        wanted, greedy = self.settings, self.settings.baseline == "greedy"
        kept: list[tuple[Mapping[str, Tensor], Context, Tensor | None]] = []

        def encode(context: Mapping[str, Tensor]) -> Context:
            changed = self.augmented({key: one.to(self.device) for key, one in context.items()})
            kept.append((changed, *self._encoded_to_draw(changed)))
            return kept[0][1].detach()

        answers, sampling = wanted.answers + greedy, wanted.sampling
        about: dict[str, Any] = {"dense": self.dense, "greedy": greedy, "enumerated": wanted.enumerate}
        rollout = draw_rollout(self.model, self.engine, answers, sampling, encode=encode, **about)
        context, encoded, auxiliary = kept[0]
        rollout = replace(rollout, context=context).to(self.device)
        parts, log_prob = parts_of(self.model, encoded, rollout, sampling)
        with torch.no_grad():
            reference = None if self.reference is None else self._by_reference(rollout)[1]
            values = None if self.value is None else self.value(parts.states).view_as(log_prob)
            known = (_written(parts, log_prob), log_prob.detach(), reference, values)
            credit = credit_of(rollout, *known, wanted, self.price.value)
        return Drawn(rollout, encoded, auxiliary, parts, log_prob, credit)

    def _encoded_to_draw(self, context: Mapping[str, Tensor]) -> tuple[Context, Tensor | None]:
        if self._single_step:
            return self.encoded(context)
        # Minibatches have other statistics than the whole: the ratio to the old policy would not begin at 1.
        with torch.no_grad():
            self.encoded(context)
        return self.encoded(context, statistics=False)

    @property
    def _single_step(self) -> bool:
        return self.settings.epochs * self.settings.minibatches == 1

    def learn_from(self, drawn: Drawn) -> dict[str, float]:
        """Steps of the optimizer on drawn answers; returns numbers to log."""
        wanted, metrics = self.settings, dict[str, float]()
        if self._single_step:
            each = self._expected(drawn) if wanted.enumerate else -drawn.credit.advantage * drawn.log_prob
            about = (drawn.parts, drawn.log_prob, drawn.credit, drawn.auxiliary)
            return self._step_on(each, drawn.rollout, *about)
        old = drawn.log_prob.detach()
        for epoch in range(wanted.epochs):
            for rows in self._minibatches(epoch, len(drawn.rollout)):
                rollout, credit, before = drawn.rollout.take(rows), drawn.credit.take(rows), old[rows]
                encoded, auxiliary = self.encoded(rollout.context, statistics=False)
                parts, log_prob = parts_of(self.model, encoded, rollout, wanted.sampling)
                each = clipped_loss(log_prob, before, credit.advantage, wanted.clip)
                metrics = self._step_on(each, rollout, parts, log_prob, credit, auxiliary)
                clipped = clip_fraction(log_prob, before, credit.advantage, credit.written, wanted.clip)
                metrics["clip_fraction"] = clipped.item()
                metrics["approximate_kl"] = approximate_kl(log_prob, before, credit.written).item()
        return metrics

    def _step_on(
        self,
        each: Tensor,
        rollout: Rollout,
        parts: Parts,
        log_prob: Tensor,
        credit: Credit,
        auxiliary: Tensor | None,
    ) -> dict[str, float]:
        """One step of the optimizer, of the loss of each part (m, k, parts)."""
        wanted, mask = self.settings, credit.written
        entropy = parts.entropy().view_as(log_prob)
        loss = self._total(each - self._entropy_price() * entropy, mask)
        metrics = {"entropy": _mean(entropy.detach(), mask)}
        if wanted.kl and wanted.kl_in == "loss":
            loss = loss + self.price.value * self._kl_loss(rollout, parts, log_prob)
        if self.value is not None:
            loss = loss * float(self.updates >= wanted.value_warmup)
            values = self.value(parts.states).view_as(log_prob)
            missed = self._total(value_loss(values, credit.returns), mask)
            loss, metrics["value_loss"] = loss + missed, missed.item()
        self.descend(loss if auxiliary is None else loss + auxiliary)
        return {"loss": loss.item(), **metrics}

    def _by_reference(self, rollout: Rollout) -> tuple[Parts, Tensor]:
        assert self.reference is not None
        encoded = self.reference.encode(rollout.context)
        return parts_of(self.reference, encoded, rollout, self.settings.sampling)

    def _expected(self, drawn: Drawn) -> Tensor:
        """The loss of all choices without the noise of draws, spread over them, (m, choices, 1).

        The expected reward above that of the uniform policy, ``J = sum over a of p_a (r_a - mean r)``. With
        normalisation "mean" it is divided by ``max(J, 0) + 1 / choices``: for 0/1 rewards nearly the gradient
        of ``log J``, the cross-entropy.
        """
        reward = drawn.rollout.reward
        assert reward is not None
        gained = (drawn.log_prob[:, :, 0].exp() * (reward - reward.mean(1, keepdim=True))).sum(1)
        if self.settings.normalisation == "mean":
            gained = gained / (gained.detach().clamp(min=0) + 1 / reward.shape[1])
        return -gained[:, None, None].expand_as(drawn.log_prob)

    def _kl_loss(self, rollout: Rollout, parts: Parts, log_prob: Tensor) -> Tensor:
        """The divergence from the reference of each answer, the mean over answers."""
        with torch.no_grad():
            theirs, reference = self._by_reference(rollout)
        if self.settings.kl_estimator == "exact":
            return parts.kl(theirs).view_as(log_prob).sum(2).mean()
        estimate = KL_ESTIMATORS[self.settings.kl_estimator]  # type: ignore[index]
        return estimate(log_prob.sum(2), reference.sum(2)).mean()

    def _total(self, each: Tensor, mask: Tensor) -> Tensor:
        how: Any = self.settings.aggregation
        return aggregate(each.flatten(0, 1), mask.flatten(0, 1), how)

    def _entropy_price(self) -> float:
        return self.settings.entropy * (1 - min(self.share(), 1.0))

    def _minibatches(self, epoch: int, contexts: int) -> Iterable[Tensor]:
        if self.settings.minibatches == 1:
            return [torch.arange(contexts, device=self.device)]
        hashes = fold(stream(self.seed, "minibatches"), self._step, epoch, torch.arange(contexts))
        return hashes.argsort().to(self.device).chunk(self.settings.minibatches)

    def state_dict(self) -> State:
        """What every gradient trainer keeps, the reference, the value and the price of the divergence."""
        counters = {"updates": self.updates, "price": self.price.state_dict()}
        return State.join(
            trainer=super().state_dict(),
            counters=State(counters),
            reference=State(tensors={} if self.reference is None else self.reference.state_dict()),
            value=State(tensors={} if self.value is None else self.value.state_dict()),
        )

    def load_state_dict(self, state: State) -> None:
        """Goes on from a state."""
        super().load_state_dict(state.part("trainer"))
        counters = state.part("counters").values
        self.updates = int(counters["updates"])
        self.price.load_state_dict(counters["price"])
        for name, network in (("reference", self.reference), ("value", self.value)):
            if network is not None:
                copy_tensors(network.state_dict(), state.part(name).tensors, f"{name} network")


def _written(parts: Parts, like: Tensor) -> Tensor:
    written = parts.written
    return torch.ones_like(like, dtype=torch.bool) if written is None else written.view(like.shape)


def _mean(values: Tensor, mask: Tensor) -> float:
    return float((values * mask).sum() / mask.sum().clamp(min=1))
