"""Settings of policy gradients, checked together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from agents.curriculum import MODES
from agents.gradient import RATES, GradientSettings
from agents.heads import Sampling
from agents.losses import (
    AGGREGATIONS,
    KL_CONTROLLERS,
    KL_ESTIMATORS,
    KL_PLACEMENTS,
    NORMALISATIONS,
    check_kl,
    warn_about,
)
from mm_envs.names import at_least, check_one_of, whole

BASELINES = ("leave_one_out", "mean", "softmax", "value", "greedy", "none", "best")
_COUNTS = ("answers", "epochs", "minibatches", "demonstration_steps")
_NOT_NEGATIVE = ("clip", "value_warmup", "value_rate", "entropy", "kl", "demonstrations")
_GROUPED = ("leave_one_out", "mean", "softmax", "best")


@dataclass(frozen=True)
class OnPolicySettings(GradientSettings):
    """Settings of policy gradients; those of ``GradientSettings`` besides.

    ``schedule`` may be "adaptive", too: the learning rate holds ``target_kl``, see
    ``agents.losses.adaptive_rate``.

    Attributes:
        answers: k, answers to each context.
        enumerate: Whether the answers are all choices, or all conversations, instead of draws, so that the
            gradient is that of the expected reward without the noise of draws.
        baseline: "leave_one_out", "mean", "greedy" (self-critical), "value", "none"; "best": the best of the
            answers is imitated; or "softmax": answers are weighted by the softmax of their rewards, with the
            advantage ``k softmax(r / t)_i - 1`` (Peters and Schaal, "Reinforcement learning by
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
        target_kl: Nats a part that an update may move the policy, by ``agents.losses.approximate_kl``. With
            schedule "adaptive" the learning rate holds it. With other schedules the steps of an update end
            when a minibatch is more than 1.5 times as far. None for no target.
        value_warmup: Updates that train the value alone; the policy stays as it is.
        value_rate: The learning rate of the value as a multiple of that of the policy.
        gae_lambda: Of generalised advantage estimation, with baseline "value".
        entropy: The weight of the entropy at the start.
        entropy_target: The entropy to hold, in nats a part, by ``agents.losses.adaptive_entropy``; None: the
            weight falls in a straight line to 0.
        kl: beta, the price of a nat away from the policy before the training; 0 for none.
        kl_in: Where the price is paid: "reward" or "loss".
        kl_estimator: "k1" in the reward; "exact", "k2" or "k3+" in the loss.
        kl_controller: "fixed", "ziegler" or "rl4lms".
        kl_target: Nats an answer that adaptive controllers hold.
        temperature: Of the draws, and of the log-probabilities that are learned from.
        top_k: As in ``Sampling``.
        top_p: As in ``Sampling``.
        curriculum: "none": the environment draws items; else how often kinds of items are drawn, a mode
            of ``agents.curriculum.GroupSampler``: "uniform", "proportional", "progress" or "ordered".
        curriculum_threshold: The reward from which "ordered" adds the next kind.
        demonstrations: How many training items with good answers are imitated first; 0 for none.
        demonstration_steps: How many answers that takes.

    Raises:
        ValueError: A value is out of its range, an estimator is wrong at its place, or settings contradict
            each other.
    """

    schedules: ClassVar[tuple[str, ...]] = (*RATES, "adaptive")

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
    target_kl: float | None = None
    value_warmup: int = 0
    value_rate: float = 1.0
    gae_lambda: float = 0.95
    entropy: float = 0.02
    entropy_target: float | None = None
    kl: float = 0.0
    kl_in: str = "reward"
    kl_estimator: str = "k1"
    kl_controller: str = "fixed"
    kl_target: float = 1.0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    curriculum: str = "none"
    curriculum_threshold: float = 0.8
    demonstrations: int = 0
    demonstration_steps: int = 64_000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in _COUNTS:
            whole(name, getattr(self, name))
            at_least(name, getattr(self, name), 1)
        for name in _NOT_NEGATIVE:
            at_least(name, getattr(self, name), 0)
        check_one_of("baseline", self.baseline, BASELINES)
        check_one_of("normalisation", self.normalisation, NORMALISATIONS)
        check_one_of("aggregation", self.aggregation, AGGREGATIONS)
        check_one_of("curriculum", self.curriculum, ("none", *MODES))
        if not self.softmax_temperature > 0:
            raise ValueError(f"softmax_temperature={self.softmax_temperature} is not above 0: 0.15 is usual")
        if not 0 <= self.gae_lambda <= 1:
            raise ValueError(f"gae_lambda={self.gae_lambda} is not within 0 to 1: 0.95 is customary")
        if self.sampling.temperature == 0:
            raise ValueError("temperature=0 explores nothing: give a number above 0")
        self._check_groups()
        self._check_targets()
        self._check_price()
        if self.enumerate:
            self._check_enumeration()
        placement: Any = self.kl_in if self.kl else None
        about: Any = {"normalisation": self.normalisation, "aggregation": self.aggregation}
        warn_about(kl_placement=placement, **about)

    def _check_groups(self) -> None:
        if self.enumerate:
            return
        if self.baseline in _GROUPED:
            at_least("answers", self.answers, 2, "an advantage needs another answer to compare with")
        if self.normalisation != "none":
            cure = f"normalisation={self.normalisation!r} needs a group; or take 'none'"
            at_least("answers", self.answers, 2, cure)
            if self.normalisation == "std" and self.baseline not in ("leave_one_out", "mean"):
                raise ValueError(
                    f"normalisation='std' divides by a deviation that can be 0 where baseline="
                    f"{self.baseline!r} leaves an advantage: take baseline 'mean' or 'leave_one_out'"
                )
            if self.baseline in ("best", "softmax"):
                raise ValueError(
                    f"normalisation={self.normalisation!r} scales advantages, and those of baseline="
                    f"{self.baseline!r} have their scale: take normalisation='none'"
                )

    def _check_targets(self) -> None:
        for name in ("target_kl", "entropy_target"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value} is not above 0: leave it out for none")
        if self.schedule == "adaptive" and self.target_kl is None:
            raise ValueError("schedule='adaptive' holds target_kl, which is missing: give one, such as 0.01")

    def _check_price(self) -> None:
        check_one_of("kl_in", self.kl_in, KL_PLACEMENTS)
        check_one_of("kl_estimator", self.kl_estimator, [*KL_ESTIMATORS, "exact"])
        check_one_of("kl_controller", self.kl_controller, KL_CONTROLLERS)
        if not self.kl:
            if self.kl_controller != "fixed":
                raise ValueError(
                    f"kl_controller={self.kl_controller!r} adapts the price kl=0, which stays 0: give a "
                    "first one, such as kl=0.05"
                )
            return
        check_kl(self.kl_in, self.kl_estimator)  # type: ignore[arg-type]
        if self.top_k or self.top_p < 1:
            raise ValueError(
                "kl with top_k or top_p is infinite where the reference drops what was drawn: leave them out"
            )

    def _check_enumeration(self) -> None:
        if self.epochs > 1 or self.minibatches > 1 or self.kl:
            raise ValueError("enumerate=True takes one step of the optimizer and no kl: leave them out")
        if self.baseline not in ("leave_one_out", "mean", "none"):
            raise ValueError(
                f"enumerate=True compares no draws, so baseline={self.baseline!r} has no use: leave it at "
                "'leave_one_out'"
            )

    @property
    def sampling(self) -> Sampling:
        """How answers are drawn."""
        return Sampling(self.temperature, self.top_k, self.top_p)

    @property
    def several_steps(self) -> bool:
        """Whether an update has several steps of the optimizer, so that probability ratios are clipped."""
        return self.epochs * self.minibatches > 1
