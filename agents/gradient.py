"""What trainers of answering policies share: one gradient step on each batch of whole answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from agents.acting import AnsweringPolicy, Policy
from agents.policy import ResponsePolicy
from agents.policy_folder import load_policy, spaces_of
from agents.rollout import Rollout
from agents.state import State, copy_tensors, load_optimizer_state, optimizer_state
from agents.trainer import Trainer, Update, vector_environment
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.names import refuse_unknown

_POLICY = ("features", "hidden", "fusion", "decoder")


class GradientTrainer(Trainer):
    """Trains a ``ResponsePolicy``; a step is one answer.

    The policy is new, of ``features`` and ``hidden`` in ``policy_arguments``; or that of ``start``, the
    folder of a saved policy or of a training; or ``model``, which is trained in place.

    Attributes:
        model: The policy.
    """

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
        self.engine, self.task, self._step = engine, engine.task, 0
        self.model = self._made() if model is None else model
        self.policy_arguments = dict(self.model.arguments)
        self.model.to(device or engine.device)
        self.optimizer = self._optimizer()
        self._set_up()

    def _set_up(self) -> None:
        """Makes what a subclass needs besides."""

    def _made(self) -> ResponsePolicy:
        given = dict(self.policy_arguments)
        refuse_unknown("the policy", given, [*_POLICY, "start"])
        start = given.pop("start", None)
        if start is None:
            return ResponsePolicy(self.task, **given, seed=self.seed)
        if given:
            raise ValueError(f"start={start} has the sizes of its policy: leave {', '.join(given)} out")
        return load_policy(str(start), self.task)

    @property
    def step(self) -> int:
        """Answers learned from so far."""
        return self._step

    @property
    def device(self) -> torch.device:
        """Where the policy lives."""
        return next(self.model.parameters()).device

    @property
    def network(self) -> torch.nn.Module:
        """The policy."""
        return self.model

    def begin(self, steps: int) -> None:
        """Sets the end of the training, and resets an environment that was not reset yet."""
        self.total = self._step + steps
        if not self.engine.started:
            self.engine.reset(seed=self.seed)

    @abstractmethod
    def _optimizer(self) -> torch.optim.Optimizer: ...

    @abstractmethod
    def collect(self) -> Rollout:
        """The answers to learn from."""

    @abstractmethod
    def loss(self, rollout: Rollout) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and numbers to log."""

    def schedule(self) -> None:
        """Sets the learning rate of the next update; constant by default."""

    def update(self) -> Update:
        """One step of the optimizer on one batch; gradients are scaled down to norm 1."""
        self.schedule()
        rollout = self.collect()
        loss, metrics = self.loss(rollout)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self._step += rollout.response.shape[:2].numel()
        metrics = {"loss": loss.item(), "learning_rate": self.optimizer.param_groups[0]["lr"], **metrics}
        return Update(*scores(rollout), metrics)

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
        load_optimizer_state(self.optimizer, state.part("optimizer"))
        self.engine.load_state_dict(state.part("engine").tensors)
        self._step = int(state.values["counters"]["step"])


def scores(rollout: Rollout) -> tuple[list[float], list[float]]:
    """Rewards and utilities of a batch, as ``Update`` holds them."""
    if rollout.reward is None or rollout.utility is None:
        return [], []
    return rollout.reward.flatten().tolist(), rollout.utility.flatten().tolist()
