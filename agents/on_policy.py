"""Policy gradients on whole answers: one trainer whose settings are REINFORCE, RLOO, GRPO, PPO and others."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from agents.context import Context
from agents.credit import Credit, Known, credit_of
from agents.curriculum import Curriculum
from agents.demonstrations import Demonstrations
from agents.encoders.encoded import Entry
from agents.gradient import GradientTrainer, scores
from agents.heads import Parts
from agents.losses import (
    KL_ESTIMATORS,
    adaptive_entropy,
    adaptive_rate,
    aggregate,
    approximate_kl,
    clip_fraction,
    clipped_loss,
    expected_reward_loss,
    make_kl_controller,
    share_without_signal,
    value_loss,
)
from agents.on_policy_settings import OnPolicySettings
from agents.rollout import Rollout, all_answers, can_score_prefixes, draw_rollout, parts_of
from agents.state import State, copy_tensors, load_optimizer_state, optimizer_state
from agents.trainer import Update
from agents.value import ValueHead
from mm_envs.random import fold, stream

_PATIENCE = 1.5  # Stable-Baselines3 ends an update beyond 1.5 times the target, too.


@dataclass(frozen=True)
class Drawn:
    """A rollout with what is known of it before the policy changes.

    Attributes:
        rollout: The answers and their scores.
        auxiliary: The auxiliary loss of the contexts; None where there is none.
        parts: The distributions of the parts of answers; with gradients if there is one step of the
            optimizer.
        log_prob: Of the parts, (m, k, parts); with gradients as ``parts``.
        credit: What each part is credited with.
    """

    rollout: Rollout
    auxiliary: Tensor | None
    parts: Parts
    log_prob: Tensor
    credit: Credit


class OnPolicy(GradientTrainer):
    """Policy gradients on whole answers; the reward is that of the environment's feedback.

    An update takes ``answers`` answers to the context of every row of the environment, which share one
    encoding of it. A step is an answer that the feedback scored: with baseline "greedy" the greedy answers
    are steps, too.

    Attributes:
        reference: The policy before the training or after the demonstrations; None where kl is 0.
        value: Predicts returns; None without baseline "value". It has an optimizer of its own.
        price: The controller of the price of the divergence.
        curriculum: Chooses items by their kinds; None where the environment draws them.
    """

    Settings = OnPolicySettings
    settings: OnPolicySettings

    def _set_up(self) -> None:
        wanted = self.settings
        self.value = None
        if wanted.baseline == "value":
            self.value = ValueHead(self.model.head.width, seed=self.seed).to(self.device)
            self.value_optimizer = self._optimizer_of(self.value.parameters())
        self.reference = copy.deepcopy(self.model).requires_grad_(False) if wanted.kl else None
        about: dict[str, Any] = {} if wanted.kl_controller == "fixed" else {"target": wanted.kl_target}
        self.price = make_kl_controller(wanted.kl_controller, wanted.kl, **about)
        self.demonstrations = None
        if wanted.demonstrations:
            self.demonstrations = Demonstrations(self, wanted.demonstrations, wanted.demonstration_steps)
        credited = wanted.baseline != "best" and not wanted.enumerate
        self.curriculum = None
        if wanted.curriculum != "none":
            about = {"seed": self.seed, "threshold": wanted.curriculum_threshold}
            self.curriculum = Curriculum(self.task, self.engine.split, wanted.curriculum, **about)
        self.dense = wanted.dense and credited and can_score_prefixes(self.engine)
        self.updates, self._rate, self._entropy = 0, wanted.learning_rate, wanted.entropy

    def check(self, steps: int) -> None:
        """Refuses answers that cannot be enumerated, and demonstrations that take all steps."""
        if self.settings.enumerate:
            all_answers(self.engine)
        if self.demonstrations is not None:
            self.demonstrations.check(self.step + steps)

    def _next_options(self) -> dict[str, Any] | None:
        if self.curriculum is None:
            return None
        return {"items": self.curriculum.items(self.engine.num_envs // self.engine.group_size)}

    @property
    def warming(self) -> bool:
        """Whether the value alone is trained."""
        return self.value is not None and self.updates < self.settings.value_warmup

    def share(self) -> float:
        """The share of the training that is done after the demonstrations."""
        before = 0 if self.demonstrations is None else self.demonstrations.steps
        return max(self.clock.step - before, 0) / max(self.clock.total - before, 1)

    def set_rate(self) -> None:
        """Sets the learning rates of policy and value for the next update."""
        if self.settings.schedule == "adaptive":
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate
        else:
            super().set_rate()
        if self.value is not None:
            for group in self.value_optimizer.param_groups:
                group["lr"] = self.rate * self.settings.value_rate

    def update(self) -> Update:
        """Learns from demonstrations at first, then from answers of the policy."""
        if self.demonstrations is not None and self._step < self.demonstrations.steps:
            return self._imitate()
        self.set_rate()
        drawn = self.draw()
        metrics = {"learning_rate": self.rate, **self.learn_from(drawn)}
        greedy = self.settings.baseline == "greedy"
        contexts, answers = drawn.rollout.response.shape[:2]
        self.advance(contexts * (answers + greedy))
        metrics |= self._adapt(drawn, metrics)
        self.updates += 1
        assert drawn.rollout.reward is not None
        if answers > 1:
            metrics["frac_reward_zero_std"] = share_without_signal(drawn.rollout.reward).item()
        rewards, utilities = self._scores(drawn)
        if self.curriculum is not None:
            assert drawn.rollout.item is not None
            self.curriculum.observe(drawn.rollout.item, torch.tensor(rewards).view(contexts, -1).mean(1))
            metrics |= self.curriculum.sampler.metrics()
        return Update(rewards, utilities, metrics)

    def _imitate(self) -> Update:
        assert self.demonstrations is not None
        update = self.demonstrations.update()
        if self._step >= self.demonstrations.steps:
            # The reference is the policy after the demonstrations, and nothing of their optimizer stays.
            self.optimizer = self._optimizer()
            if self.reference is not None:
                self.reference.load_state_dict(self.model.state_dict())
        return update

    def _scores(self, drawn: Drawn) -> tuple[list[float], list[float]]:
        """Rewards and utilities of the policy; expected ones of each context where choices are enumerated."""
        if not self.settings.enumerate:
            return scores(drawn.rollout)
        reward, utility = drawn.rollout.reward, drawn.rollout.utility
        assert reward is not None
        assert utility is not None
        p = drawn.log_prob.detach().sum(2).exp()
        return (p * reward).sum(1).tolist(), (p * utility).sum(1).tolist()

    def _adapt(self, drawn: Drawn, metrics: Mapping[str, float]) -> dict[str, float]:
        """Adapts learning rate, weight of the entropy and price to the update; returns numbers to log."""
        wanted, found = self.settings, dict[str, float]()
        if wanted.schedule == "adaptive" and not self.warming:
            assert wanted.target_kl is not None
            found["approximate_kl"] = self._moved(drawn)
            self._rate = adaptive_rate(self._rate, found["approximate_kl"], wanted.target_kl)
        if wanted.entropy_target is not None and not self.warming:
            found["entropy_weight"] = self._entropy_weight()
            self._entropy = adaptive_entropy(self._entropy, metrics["entropy"], wanted.entropy_target)
        if wanted.kl:
            found |= {"kl": drawn.credit.kl, "kl_price": self.price.value}
            self.price.update(drawn.credit.kl, drawn.rollout.response.shape[:2].numel())
        return found

    @torch.no_grad()
    def _moved(self, drawn: Drawn) -> float:
        """How far an update moved the policy, in nats a part."""
        encoded = self.model.encode(drawn.rollout.context)
        now = parts_of(self.model, encoded, drawn.rollout, self.settings.sampling)[1]
        return approximate_kl(now, drawn.log_prob.detach(), drawn.credit.written).item()

    def draw(self) -> Drawn:
        """The answers to learn from, and their credit. Every context is encoded once."""
        with torch.set_grad_enabled(not self.settings.several_steps):
            return self._drawn()

    def _drawn(self) -> Drawn:
        wanted, greedy = self.settings, self.settings.baseline == "greedy"
        kept: list[tuple[Mapping[str, Entry], Context, Tensor | None]] = []

        def encode(context: Mapping[str, Tensor], item: Tensor) -> Context:
            changed = self.prepared(context, item)
            kept.append((changed, *self._encoded_to_draw(changed)))
            return kept[0][1].detach()

        answers, sampling = wanted.answers + greedy, wanted.sampling
        about: dict[str, Any] = {"dense": self.dense, "greedy": greedy, "enumerated": wanted.enumerate}
        about |= {"encode": encode, "options": self._next_options()}
        rollout = draw_rollout(self.model, self.engine, answers, sampling, **about)
        context, encoded, auxiliary = kept[0]
        rollout, likeliest = replace(rollout, context=context).to(self.device), None
        if greedy:
            # The greedy answers are the last ones; nothing is learned from them.
            rollout, likeliest = rollout.answers(slice(0, -1)), rollout.answers(slice(-1, None))
        parts, log_prob = parts_of(self.model, encoded, rollout, sampling)
        known = self._known(rollout, parts, log_prob)
        credit = credit_of(rollout, known, wanted, self.price.value, likeliest)
        return Drawn(rollout, auxiliary, parts, log_prob, credit)

    def _encoded_to_draw(self, context: Mapping[str, Entry]) -> tuple[Context, Tensor | None]:
        """Encoded contexts and the auxiliary loss.

        With running statistics before several steps, since minibatches have other statistics than the whole:
        the ratio to the old policy would not begin at 1. And with a reference, which has these statistics,
        too: two equal policies have no divergence.
        """
        # While the value alone is trained, the policy stays as it is, its statistics included.
        if self.reference is not None or self.warming:
            return self.encoded(context, statistics=False)
        encoded = self.encoded(context)
        return self.encoded(context, statistics=False) if self.settings.several_steps else encoded

    @torch.no_grad()
    def _known(self, rollout: Rollout, parts: Parts, log_prob: Tensor) -> Known:
        """What the credit follows from."""
        reference = exact = values = None
        if self.reference is not None:
            theirs, reference = self._by_reference(rollout)
            if self.settings.kl_in == "loss" and self.settings.kl_estimator == "exact":
                exact = parts.kl(theirs).view_as(log_prob)
        if self.value is not None:
            values = self.value(parts.states).view_as(log_prob)
        return Known(_written(parts, log_prob), log_prob.detach(), reference, exact, values)

    def learn_from(self, drawn: Drawn) -> dict[str, float]:
        """Steps of the optimizer on drawn answers; returns numbers to log, means over the steps."""
        wanted = self.settings
        if not wanted.several_steps:
            each = self._expected(drawn) if wanted.enumerate else -drawn.credit.advantage * drawn.log_prob
            about = (drawn.parts, drawn.log_prob, drawn.credit, drawn.auxiliary)
            return self._step_on(each, drawn.rollout, *about)
        steps: list[dict[str, float]] = []
        for epoch in range(wanted.epochs):
            for rows in self._minibatches(epoch, len(drawn.rollout)):
                metrics, far = self._clipped_step(drawn, rows)
                steps.append(metrics)
                if far:
                    return _means(steps)
        return _means(steps)

    def _clipped_step(self, drawn: Drawn, rows: Tensor) -> tuple[dict[str, float], bool]:
        """A step on some contexts; too far from the policy that drew them, none, and True."""
        wanted, rollout, credit = self.settings, drawn.rollout.take(rows), drawn.credit.take(rows)
        before = drawn.log_prob.detach()[rows]
        encoded, auxiliary = self.encoded(rollout.context, statistics=False)
        parts, log_prob = parts_of(self.model, encoded, rollout, wanted.sampling)
        away = approximate_kl(log_prob, before, credit.written).item()
        metrics = {"approximate_kl": away, "early_stop": 0.0}
        stops = wanted.target_kl is not None and wanted.schedule != "adaptive"
        if stops and away > _PATIENCE * (wanted.target_kl or 0):
            return {**metrics, "early_stop": 1.0}, True
        each = clipped_loss(log_prob, before, credit.advantage, wanted.clip)
        clipped = clip_fraction(log_prob, before, credit.advantage, credit.written, wanted.clip)
        metrics["clip_fraction"] = clipped.item()
        return {**self._step_on(each, rollout, parts, log_prob, credit, auxiliary), **metrics}, False

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
        mask = credit.written
        entropy = parts.entropy().view_as(log_prob)
        each = each - self._entropy_weight() * entropy
        if self.settings.kl and self.settings.kl_in == "loss":
            each = each + self.price.value * self._kl_loss(rollout, parts, log_prob, mask)
        loss = self._total(each, mask)
        metrics = {"loss": loss.item(), "entropy": _mean(entropy.detach(), mask)}
        if self.value is not None:
            metrics["value_loss"] = self._fit_value(parts.states, credit)
        auxiliary = self.with_heard(auxiliary, parts)
        if auxiliary is not None:
            loss, metrics["word_loss"] = loss + auxiliary, auxiliary.item()
        if not self.warming:
            self.descend(loss)
        return metrics

    def _fit_value(self, states: Tensor, credit: Credit) -> float:
        """One step of the optimizer of the value; returns its loss."""
        assert self.value is not None
        values = self.value(states).view_as(credit.returns)
        loss = self._total(value_loss(values, credit.returns), credit.written)
        self._descend(loss, self.value_optimizer, self.value.parameters())
        return loss.item()

    def _by_reference(self, rollout: Rollout) -> tuple[Parts, Tensor]:
        assert self.reference is not None
        encoded = self.reference.encode(rollout.context)
        return parts_of(self.reference, encoded, rollout, self.settings.sampling)

    def _expected(self, drawn: Drawn) -> Tensor:
        """The loss of all choices without the noise of draws, spread over them, (m, choices, 1)."""
        reward = drawn.rollout.reward
        assert reward is not None
        relative = self.settings.normalisation == "mean"
        lost = expected_reward_loss(drawn.log_prob.sum(2), reward, relative)
        return lost[:, None, None].expand_as(drawn.log_prob)

    def _kl_loss(self, rollout: Rollout, parts: Parts, log_prob: Tensor, mask: Tensor) -> Tensor:
        """The divergence from the reference, (m, k, parts).

        The estimate of a whole answer is spread over its parts, so that every aggregation weights it as it
        weights the reward.
        """
        with torch.no_grad():
            theirs, reference = self._by_reference(rollout)
        if self.settings.kl_estimator == "exact":
            return parts.kl(theirs).view_as(log_prob)
        estimate = KL_ESTIMATORS[self.settings.kl_estimator]  # type: ignore[index]
        whole = estimate(log_prob.sum(2, keepdim=True), reference.sum(2, keepdim=True))
        return (whole / mask.sum(2, keepdim=True).clamp(min=1)).expand_as(log_prob)

    def _total(self, each: Tensor, mask: Tensor) -> Tensor:
        how: Any = self.settings.aggregation
        return aggregate(each.flatten(0, 1), mask.flatten(0, 1), how)

    def _entropy_weight(self) -> float:
        if self.settings.entropy_target is not None:
            return self._entropy
        return self.settings.entropy * (1 - min(self.share(), 1.0))

    def _minibatches(self, epoch: int, contexts: int) -> Iterable[Tensor]:
        """The contexts of each step of an epoch; the seed, the step and the epoch decide the order."""
        if self.settings.minibatches == 1:
            return [torch.arange(contexts, device=self.device)]
        hashes = fold(stream(self.seed, "minibatches"), self._step, epoch, torch.arange(contexts))
        return hashes.argsort().to(self.device).chunk(self.settings.minibatches)

    def state_dict(self) -> State:
        """What every gradient trainer keeps, the reference, the value, and what adapts."""
        adapted = {"rate": self._rate, "entropy": self._entropy, "price": self.price.state_dict()}
        parts = {"reference": State(), "value": State(), "value_optimizer": State()}
        if self.reference is not None:
            parts["reference"] = State(tensors=self.reference.state_dict())
        if self.value is not None:
            parts["value"] = State(tensors=self.value.state_dict())
            parts["value_optimizer"] = optimizer_state(self.value_optimizer)
        if self.curriculum is not None:
            parts["curriculum"] = self.curriculum.state_dict()
        counters = State({"updates": self.updates, **adapted})
        return State.join(trainer=super().state_dict(), counters=counters, **parts)

    def load_state_dict(self, state: State) -> None:
        """Goes on from a state."""
        super().load_state_dict(state.part("trainer"))
        counters = state.part("counters").values
        self.updates = int(counters["updates"])
        self._rate, self._entropy = float(counters["rate"]), float(counters["entropy"])
        self.price.load_state_dict(counters["price"])
        if self.curriculum is not None:
            self.curriculum.load_state_dict(state.part("curriculum"))
        for name, network in (("reference", self.reference), ("value", self.value)):
            if network is not None:
                copy_tensors(network.state_dict(), state.part(name).tensors, f"{name} network")
        if self.value is not None:
            load_optimizer_state(self.value_optimizer, state.part("value_optimizer"))


def _written(parts: Parts, like: Tensor) -> Tensor:
    written = parts.written
    return torch.ones_like(like, dtype=torch.bool) if written is None else written.view(like.shape)


def _mean(values: Tensor, mask: Tensor) -> float:
    return float((values * mask).sum() / mask.sum().clamp(min=1))


def _means(steps: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each number over the steps that have it."""
    names = dict.fromkeys(name for step in steps for name in step)
    found = {name: [step[name] for step in steps if name in step] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items()}
