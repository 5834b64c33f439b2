"""Learning from preferences without a reward model: answers of the policy are compared by the feedback."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from agents.context import Context
from agents.demonstrations import Demonstrations
from agents.encoders.encoded import Entry
from agents.gradient import GradientSettings, GradientTrainer, scores
from agents.heads import Sampling
from agents.pair_loss import PairLoss, log_ratios, mismatched_ratios
from agents.rollout import Rollout, draw_rollout, parts_of
from agents.state import State, copy_tensors
from agents.trainer import Update
from mm_envs.names import at_least, check_one_of, whole


@dataclass(frozen=True)
class PreferenceSettings(GradientSettings):
    """Settings of learning from preferences; those of ``GradientSettings`` besides.

    Attributes:
        loss: "dpo", "cdpo", "robust_dpo", "ipo", "hinge" or "kto"; see ``agents.losses.preferences``.
        beta: The price of a nat away from the reference.
        smoothing: The share of wrong labels that "cdpo" and "robust_dpo" expect.
        answers: k, answers to each context; all k (k - 1) / 2 pairs of them are compared.
        rationality: None: the answer with the higher reward is better for certain. Else the first of two is
            better with the probability ``s(rationality (r_1 - r_2))`` of Bradley and Terry, which is learned
            as it is.
        ties: Pairs with equal rewards: "drop" leaves them out, "half" learns that neither is better. A
            rationality makes them even anyway.
        sample_from: Whose answers are compared: those of the "policy" as it is, or of the "reference".
        refresh: After so many updates the policy becomes the reference; 0 for never.
        temperature: Of the draws, and of the log-probabilities that are learned from.
        demonstrations: How many training items with good answers are imitated first; 0 for none.
        demonstration_steps: How many answers that takes.

    Raises:
        ValueError: A value is out of its range.
    """

    learning_rate: float = 1e-3
    loss: str = "dpo"
    beta: float = 0.1
    smoothing: float = 0.1
    answers: int = 2
    rationality: float | None = None
    ties: str = "drop"
    sample_from: str = "policy"
    refresh: int = 0
    temperature: float = 1.0
    demonstrations: int = 0
    demonstration_steps: int = 64_000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (
            ("answers", 2),
            ("refresh", 0),
            ("demonstrations", 0),
            ("demonstration_steps", 1),
        ):
            whole(name, getattr(self, name))
            at_least(name, getattr(self, name), least)
        check_one_of("ties", self.ties, ("drop", "half"))
        check_one_of("sample_from", self.sample_from, ("policy", "reference"))
        if self.rationality is not None and not self.rationality > 0:
            raise ValueError(
                f"rationality={self.rationality} is not above 0: leave it out for certain labels"
            )
        if self.sampling.temperature == 0:
            raise ValueError("temperature=0 draws equal answers: give a number above 0")
        PairLoss(self.loss, self.beta, self.smoothing)

    @property
    def sampling(self) -> Sampling:
        """How answers are drawn."""
        return Sampling(self.temperature)

    @property
    def pair_loss(self) -> PairLoss:
        """The loss of pairs."""
        return PairLoss(self.loss, self.beta, self.smoothing)


class DPO(GradientTrainer):
    """Online preference learning (Guo et al., "Direct language model alignment from online AI feedback",
    2024, arXiv 2402.04792) with the loss of DPO (Rafailov et al., 2023, arXiv 2305.18290) or a relative.

    An update draws k answers to the context of every row of the environment, asks its feedback for their
    rewards, and learns from all pairs of answers to one context. Log-ratios are those of whole answers,
    against a reference: the policy before the training or after the demonstrations.
    """

    Settings = PreferenceSettings
    settings: PreferenceSettings

    def _set_up(self) -> None:
        wanted = self.settings
        self.reference = copy.deepcopy(self.model).requires_grad_(False)
        self.demonstrations = None
        if wanted.demonstrations:
            self.demonstrations = Demonstrations(self, wanted.demonstrations, wanted.demonstration_steps)
        self.updates = 0

    def check(self, steps: int) -> None:
        """Refuses demonstrations that take all steps."""
        if self.demonstrations is not None:
            self.demonstrations.check(self.step + steps)

    def share(self) -> float:
        """The share of the training that is done after the demonstrations."""
        before = 0 if self.demonstrations is None else self.demonstrations.steps
        return max(self._step - before, 0) / max(self.total - before, 1)

    def update(self) -> Update:
        """Learns from demonstrations at first, then from pairs of drawn answers."""
        if self.demonstrations is not None and self._step < self.demonstrations.steps:
            return self._imitate(self.demonstrations)
        self.set_rate()
        rollout, log_prob, auxiliary = self.draw()
        loss, metrics = self.loss_of(rollout, log_prob)
        self.descend(loss if auxiliary is None else loss + auxiliary)
        self.advance(rollout.response.shape[:2].numel())
        self.updates += 1
        if self.settings.refresh and self.updates % self.settings.refresh == 0:
            self._refresh()
        return Update(*scores(rollout), {"loss": loss.item(), "learning_rate": self.rate, **metrics})

    def _imitate(self, demonstrations: Demonstrations) -> Update:
        update = demonstrations.update()
        if self._step >= demonstrations.steps:
            self.optimizer = self._optimizer()
            self._refresh()
        return update

    def _refresh(self) -> None:
        self.reference.load_state_dict(self.model.state_dict())

    def draw(self) -> tuple[Rollout, Tensor, Tensor | None]:
        """Answers with rewards, their log-probabilities (m, k) with gradient, and the auxiliary loss."""
        wanted = self.settings
        kept: list[tuple[Mapping[str, Entry], Context, Tensor | None]] = []

        def encode(context: Mapping[str, Tensor], item: Tensor) -> Context:
            changed = self.prepared(context, item)
            # The running statistics are those of the reference: equal policies have no divergence.
            kept.append((changed, *self.encoded(changed, statistics=False)))
            if wanted.sample_from == "policy":
                return kept[0][1].detach()
            with torch.no_grad():
                return self.reference.encode(changed)

        drawer = self.model if wanted.sample_from == "policy" else self.reference
        rollout = draw_rollout(drawer, self.engine, wanted.answers, wanted.sampling, encode=encode)
        context, encoded, auxiliary = kept[0]
        rollout = replace(rollout, context=context).to(self.device)
        return rollout, parts_of(self.model, encoded, rollout, wanted.sampling)[1].sum(2), auxiliary

    def loss_of(self, rollout: Rollout, log_prob: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The mean loss of all pairs of answers to one context, and numbers to log.

        Args:
            rollout: Answers with rewards.
            log_prob: Of whole answers under the policy, (m, k).
        """
        wanted = self.settings
        assert rollout.reward is not None
        ratio = log_ratios(log_prob, self.reference, rollout, wanted.sampling)
        other = None
        if wanted.loss == "kto":
            other = mismatched_ratios(self.model, self.reference, rollout, wanted.sampling)
        target, weight = labels(rollout.reward, wanted.rationality, wanted.ties)
        pairs = all_pairs(wanted.answers).to(self.device)
        difference = ratio[:, pairs]
        each = wanted.pair_loss(difference.flatten(0, 1), target.flatten(), other).view(target.shape)
        loss = (each * weight).sum() / weight.sum().clamp(min=1)
        margin = (difference[:, :, 0] - difference[:, :, 1]).detach() * (target - 0.5).sign()
        untied = (target != 0.5).sum().clamp(min=1)
        # Draws of the reference estimate KL(reference || policy) instead of KL(policy || reference).
        name, sign = ("kl", 1) if wanted.sample_from == "policy" else ("forward_kl", -1)
        return loss, {
            "accuracy": float((margin > 0).sum() / untied),
            "margin": float(margin.sum() / untied),
            "ties": float((target == 0.5).float().mean()),
            name: sign * ratio.detach().mean().item(),
        }

    def state_dict(self) -> State:
        """What every gradient trainer keeps, and the reference."""
        return State.join(
            trainer=super().state_dict(),
            counters=State({"updates": self.updates}),
            reference=State(tensors=self.reference.state_dict()),
        )

    def load_state_dict(self, state: State) -> None:
        """Goes on from a state."""
        super().load_state_dict(state.part("trainer"))
        self.updates = int(state.part("counters").values["updates"])
        copy_tensors(self.reference.state_dict(), state.part("reference").tensors, "reference network")


def all_pairs(answers: int) -> Tensor:
    """All pairs of k answers by index, (k (k - 1) / 2, 2) int64.

    Example:
        >>> all_pairs(3).tolist()
        [[0, 1], [0, 2], [1, 2]]
    """
    return torch.combinations(torch.arange(answers))


def labels(reward: Tensor, rationality: float | None, ties: str) -> tuple[Tensor, Tensor]:
    """The certainty that the first answer of each pair is better, and the weight of each pair.

    Args:
        reward: Of k answers to each of m contexts, (m, k) float.
        rationality: See ``PreferenceSettings``.
        ties: See ``PreferenceSettings``.

    Returns:
        Two tensors (m, pairs) float, in the order of ``all_pairs``.

    Example:
        >>> labels(torch.tensor([[1.0, 0.0, 1.0]]), None, "drop")
        (tensor([[1.0000, 0.5000, 0.0000]]), tensor([[1., 0., 1.]]))
    """
    pairs = all_pairs(reward.shape[1]).to(reward.device)
    difference = reward[:, pairs[:, 0]] - reward[:, pairs[:, 1]]
    certain = (difference.sign() + 1) / 2
    target = certain if rationality is None else torch.sigmoid(rationality * difference)
    keeps = ties == "half" or rationality is not None
    return target, torch.ones_like(target) if keeps else (difference != 0).to(target.dtype)
