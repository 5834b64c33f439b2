"""Policy gradients on whole answers: each against other answers to the same context."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agents.gradient import GradientTrainer
from agents.losses import leave_one_out, policy_gradient_loss
from agents.rollout import Rollout, draw_rollout, log_probs
from agents.state import State, copy_tensors
from mm_envs.names import at_least


@dataclass(frozen=True)
class PGSettings:
    """Settings of policy gradients.

    Attributes:
        answers: k, answers to each context, at least 2; neighbouring rows of the environment.
        learning_rate: Of Adam (Kingma and Ba, 2014, arXiv 1412.6980).
        kl: beta, the price of each nat away from the reference policy; 0 for none.

    Raises:
        ValueError: A value is out of its range.
    """

    answers: int = 4
    learning_rate: float = 3e-4
    kl: float = 0.05

    def __post_init__(self) -> None:
        for name, least in (("answers", 2), ("kl", 0)):
            at_least(name, getattr(self, name), least)


class PolicyGradient(GradientTrainer):
    """REINFORCE with a leave-one-out baseline; the reward is that of the environment's feedback.

    Kool et al., 2019; Ahmadian et al., 2024, arXiv 2402.14740. The loss is ``policy_gradient_loss`` with the
    advantage of ``leave_one_out`` on ``reward - kl * (log p(answer) - log p_reference(answer))``, where the
    reference is the policy before the training. An update takes one answer of every row, drawn at
    temperature 1.

    The ``group_size`` of its environment is ``settings.answers``, as ``environment_arguments`` says.
    """

    Settings = PGSettings
    settings: PGSettings

    def _set_up(self) -> None:
        self.reference = copy.deepcopy(self.model).requires_grad_(False)

    @classmethod
    def environment_arguments(cls, settings: PGSettings) -> dict[str, Any]:
        """The rows of an environment come in groups with the same item, one row an answer."""
        return {"group_size": settings.answers}

    def begin(self, steps: int) -> None:
        """Sets the end of the training, once the rows of the environment are in groups of answers."""
        if self.engine.group_size % self.settings.answers:
            raise ValueError(
                f"group_size={self.engine.group_size} of the environment does not fit answers="
                f"{self.settings.answers}: make it with group_size={self.settings.answers}"
            )
        super().begin(steps)

    def _optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.model.parameters(), self.settings.learning_rate, fused=True)

    def collect(self) -> Rollout:
        """One answer of every row of the environment."""
        return draw_rollout(self.model, self.engine, self.settings.answers)

    def loss(self, rollout: Rollout) -> tuple[Tensor, dict[str, float]]:
        """The loss whose gradient is that of the expected reward; ``kl`` is in nats an answer."""
        assert rollout.reward is not None
        log_prob = log_probs(self.model, rollout)
        with torch.no_grad():
            kl = log_prob - log_probs(self.reference, rollout)
            advantage = leave_one_out(rollout.reward.to(kl.device) - self.settings.kl * kl)
        return policy_gradient_loss(log_prob, advantage), {"kl": kl.mean().item()}

    def state_dict(self) -> State:
        """What every gradient trainer keeps, and the reference policy."""
        return State.join(trainer=super().state_dict(), reference=State(tensors=self.reference.state_dict()))

    def load_state_dict(self, state: State) -> None:
        """Goes on from a state."""
        super().load_state_dict(state.part("trainer"))
        copy_tensors(self.reference.state_dict(), state.part("reference").tensors, "reference policy")
