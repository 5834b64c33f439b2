"""Deep Q-learning of answers: the logits of the head are the values of the options."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.context import Context
from agents.credit import part_rewards
from agents.encoders.encoded import Entry
from agents.gradient import GradientSettings, GradientTrainer, scores
from agents.heads import Sampling
from agents.heads.choice import ChoiceHead
from agents.heads.text import TextHead
from agents.policy import ResponsePolicy
from agents.replay_memory import Remembered, ReplayMemory
from agents.rollout import Rollout, can_score_prefixes, draw_rollout
from agents.state import State, copy_tensors
from agents.trainer import Update
from mm_envs.names import at_least, whole
from mm_envs.random import fold, integers, stream


@dataclass(frozen=True)
class QSettings(GradientSettings):
    """Settings of deep Q-learning; those of ``GradientSettings`` besides.

    Attributes:
        answers: Answers to each context.
        buffer: Answers that the replay memory holds.
        batch: Answers of a step of the optimizer.
        learning_starts: Answers before the first step.
        gradient_steps: Steps of the optimizer an update.
        target_interval: Steps of the optimizer between two copies to the target network.
        double: Whether the next word is chosen by the network that is trained (double Q-learning: van Hasselt
            et al., 2016, arXiv 1509.06461), else by the target network, which overestimates.
        gamma: The discount of a part.
        dense: Whether every part is paid the change of the score, where the feedback can score beginnings;
            else the last part is paid the reward.
        exploration: The share of the training in which epsilon falls to ``epsilon_end``.
        epsilon_start: The probability of a random part at the start.
        epsilon_end: The probability of a random part at the end.

    Raises:
        ValueError: A value is out of its range.
    """

    learning_rate: float = 1e-3
    schedule: str = "constant"
    weight_decay: float = 0.0
    answers: int = 1
    buffer: int = 50_000
    batch: int = 64
    learning_starts: int = 256
    gradient_steps: int = 4
    target_interval: int = 200
    double: bool = True
    gamma: float = 1.0
    dense: bool = True
    exploration: float = 0.5
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("answers", "buffer", "batch", "learning_starts", "gradient_steps", "target_interval"):
            whole(name, getattr(self, name))
            at_least(name, getattr(self, name), 1)
        for name in ("gamma", "exploration", "epsilon_start", "epsilon_end"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is not within 0 to 1")


class DQN(GradientTrainer):
    """Deep Q-learning (Mnih et al., 2015) with a replay memory and a target network; a step is one answer.

    The value of an option is its logit, so the policy that takes the likeliest answer is the greedy one. An
    answer of words is an episode with a word a step; choices have one step, where the value of an option is
    the regression of its reward.

    Raises:
        ValueError: The answers are neither choices nor words.
    """

    Settings = QSettings
    settings: QSettings

    def _set_up(self) -> None:
        head, wanted = self.model.head, self.settings
        if not isinstance(head, (ChoiceHead, TextHead)):
            raise ValueError(
                f"algo={self.algo!r} needs answers of kind choice or text, and those of this task are "
                f"{self.task.answer.name}: use rloo or ppo"
            )
        self.parts = self.task.answer.steps if isinstance(head, TextHead) else 1
        self.memory = ReplayMemory(self.engine, wanted.buffer, self.parts)
        self.target = copy.deepcopy(self.model).requires_grad_(False) if self.parts > 1 else None
        self.dense = wanted.dense and can_score_prefixes(self.engine)
        self.steps = 0

    @property
    def epsilon(self) -> float:
        """The probability of a random part."""
        wanted = self.settings
        done = min(self.share() / wanted.exploration, 1.0) if wanted.exploration else 1.0
        return wanted.epsilon_start + done * (wanted.epsilon_end - wanted.epsilon_start)

    def update(self) -> Update:
        """Answers every context once more, and learns from remembered answers."""
        self.set_rate()
        metrics = {"epsilon": self.epsilon, "learning_rate": self.rate}
        rollout = draw_rollout(
            self.model,
            self.engine,
            self.settings.answers,
            Sampling(temperature=0.0, epsilon=self.epsilon),
            dense=self.dense,
        )
        self.memory.add(self._remembered(rollout))
        self.advance(rollout.response.shape[:2].numel())
        if self.memory.count >= self.settings.learning_starts:
            several = [self.learn() for _ in range(self.settings.gradient_steps)]
            metrics |= {name: sum(one[name] for one in several) / len(several) for name in several[0]}
        return Update(*scores(rollout), metrics)

    def _remembered(self, rollout: Rollout) -> Remembered:
        """Answers as the memory keeps them."""
        m, k = rollout.response.shape[:2]
        assert rollout.item is not None
        assert rollout.reward is not None
        response, length = rollout.response.flatten(0, 1), _flat(rollout.length)
        written = self._written(response, length).view(m, k, self.parts)
        reward = part_rewards(rollout, written).flatten(0, 1)
        item = rollout.item.repeat_interleave(k)
        return Remembered(item, response, torch.zeros_like(item) if length is None else length, reward)

    def learn(self) -> dict[str, float]:
        """One step of the optimizer on remembered answers; returns numbers to log."""
        hashes = fold(stream(self.seed, "replay"), self.steps, torch.arange(self.settings.batch))
        answers = self.memory.take(integers(hashes, len(self.memory)))
        context = self.prepared(self.memory.contexts(answers.item), answers.item)
        answers = answers.to(self.device)
        encoded, auxiliary = self.encoded(context)
        values = option_values(self.model, encoded, answers.response)
        written = self._written(answers.response, answers.length)
        chosen = values.gather(2, answers.response.view(len(answers), -1, 1))[:, :, 0]
        goal = answers.reward + self._next(context, answers, values.detach(), written)
        # Huber, as in Mnih et al.: its gradient is limited to 1.
        each = torch.nn.functional.huber_loss(chosen, goal, reduction="none")
        loss = (each * written).sum() / written.sum()
        self.descend(loss if auxiliary is None else loss + auxiliary)
        self.steps += 1
        if self.target is not None and self.steps % self.settings.target_interval == 0:
            self.target.load_state_dict(self.model.state_dict())
        mean = (chosen.detach() * written).sum() / written.sum()
        return {"loss": loss.item(), "value": mean.item()}

    def _next(
        self, context: Mapping[str, Entry], answers: Remembered, values: Tensor, written: Tensor
    ) -> Tensor:
        """The discounted value of the part after each part, (n, parts); 0 after the last one."""
        nothing = torch.zeros_like(answers.reward)
        if self.target is None:
            return nothing
        with torch.no_grad():
            later = option_values(self.target, self.target.encode(context), answers.response)
        best = (values if self.settings.double else later).argmax(2, keepdim=True)
        after = later.gather(2, best)[:, :, 0] * written
        return self.settings.gamma * torch.cat([after[:, 1:], nothing[:, :1]], 1)

    def _written(self, response: Tensor, length: Tensor | None) -> Tensor:
        """Which parts were written, (n, parts) bool."""
        if isinstance(self.model.head, TextHead):
            return self.model.head.there(response, length)
        return torch.ones((len(response), 1), dtype=torch.bool, device=response.device)

    def state_dict(self) -> State:
        """What every gradient trainer keeps, the target network and the replay memory."""
        return State.join(
            trainer=super().state_dict(),
            counters=State({"steps": self.steps}),
            memory=self.memory.state_dict(),
            target=State(tensors={} if self.target is None else self.target.state_dict()),
        )

    def load_state_dict(self, state: State) -> None:
        """Goes on from a state."""
        super().load_state_dict(state.part("trainer"))
        self.steps = int(state.part("counters").values["steps"])
        self.memory.load_state_dict(state.part("memory"))
        if self.target is not None:
            copy_tensors(self.target.state_dict(), state.part("target").tensors, "target network")


def option_values(policy: ResponsePolicy, encoded: Context, response: Tensor) -> Tensor:
    """The values of all options of each part of answers, (n, parts, options).

    Args:
        policy: Its head is one of choices or of words.
        encoded: n contexts.
        response: (n, ...), for the words before each word.
    """
    head = policy.head
    if isinstance(head, TextHead):
        return head.logits(encoded, response)
    assert isinstance(head, ChoiceHead)
    return head.logits(encoded)[:, None]


def _flat(length: Tensor | None) -> Tensor | None:
    return None if length is None else length.flatten()
