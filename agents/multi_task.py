"""One training on several environments: a trainer for each, and policies that share encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from agents.acting import Policy
from agents.curriculum import GroupSampler
from agents.on_policy import OnPolicy
from agents.policy import ResponsePolicy
from agents.state import State
from agents.trainer import Trainer, Update
from agents.union import Union
from mm_envs.names import refuse_unknown
from mm_envs.random import fold, stream
from mm_envs.tasks.task import Task


class MultiTask(Trainer):
    """Trains on several environments in turn: an update is one of the trainer of one environment.

    Entries that have the same key and equal spaces in several environments have one encoder. Fusion and head
    are those of each environment, so that answers may be of different kinds. Every trainer has its own
    optimizer, also for shared weights; its schedules follow the steps of the whole training.

    Args:
        kind: The class of the trainer of each environment.
        algo: Its name in the table of trainers.
        envs: The environments and how often each has its turn.
        settings: Of every trainer; None for the defaults.
        policy_arguments: Arguments of every policy.
        seed: Decides initial weights, turns, episodes and draws.
        device: Where the policies live; None for the device of the environments.

    Attributes:
        sampler: How often each environment has its turn, and its average reward.
        turns: Updates so far.

    Raises:
        ValueError: The trainer is none of policy gradients, or environments or settings do not fit it.

    Example:
        >>> from agents.learning import learn
        >>> from mm_envs.engine.vector import MultimodalVectorEnv
        >>> from agents.trainers import make_trainer
        >>> from agents.union import union
        >>> envs = {name: MultimodalVectorEnv(4, name, feedback="truth") for name in ("vqa", "classify")}
        >>> trainer = make_trainer("rloo", union(envs), features=16, hidden=16)
        >>> learn(trainer, 96)
        >>> trainer.step, sum(one.step for one in trainer.members.values())
        (96, 96)
    """

    def __init__(
        self,
        kind: type[Trainer],
        algo: str,
        envs: Union,
        settings: Any = None,
        policy_arguments: Mapping[str, Any] | None = None,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> None:
        if not issubclass(kind, OnPolicy):
            raise ValueError(f"algo={algo!r} does not take a union: use rloo, grpo, ppo or reinforce")
        self.Settings = kind.Settings  # type: ignore[misc]
        super().__init__(algo, envs, settings, policy_arguments or {}, seed)
        refuse_unknown("the policies of a union", self.policy_arguments, self.stored_policy_arguments())
        tasks = [engine.task for engine in envs.envs.values()]
        models = [ResponsePolicy(task, **self.policy_arguments, seed=seed) for task in tasks]
        share_encoders(models, tasks)
        about = {"settings": self.settings, "seed": seed, "device": device}
        self.members = {
            name: kind(algo, engine, model=model, **about)
            for (name, engine), model in zip(envs.envs.items(), models, strict=True)
        }
        for member in self.members.values():
            member.clock = self
        sizes = [len(engine.task.dataset.range(engine.split)) for engine in envs.envs.values()]
        self.sampler = GroupSampler(envs.sampling, list(self.members), sizes, envs.threshold)
        self.turns, self._network = 0, nn.ModuleList(models)

    members: dict[str, OnPolicy]

    @property
    def step(self) -> int:
        """Answers learned from so far, of all environments."""
        return sum(member.step for member in self.members.values())

    @property
    def device(self) -> torch.device:
        """Where the policies live."""
        return next(iter(self.members.values())).device

    @property
    def network(self) -> nn.Module:
        """The policies, in order."""
        return self._network

    def check(self, steps: int) -> None:
        """Refuses what the trainer of an environment refuses."""
        for member in self.members.values():
            member.check(steps)

    def begin(self, steps: int) -> None:
        """Sets the end of the training, and resets environments that were not reset yet."""
        self.total = self.step + steps
        for member in self.members.values():
            member.begin(steps)

    def update(self) -> Update:
        """An update on the environment whose turn it is; its numbers to log are named after it."""
        index = int(self.sampler.draw(fold(stream(self.seed, "tasks"), self.turns).reshape(1)))
        name = self.sampler.names[index]
        update = self.members[name].update()
        self.turns += 1
        # Demonstrations have no rewards.
        if update.rewards:
            reward = torch.tensor(update.rewards).mean().reshape(1)
            self.sampler.observe(torch.tensor([index]), reward)
        named = {f"{name}/{key}": value for key, value in update.metrics.items()}
        return replace(update, metrics={**named, **self.sampler.metrics()})

    def policy(self) -> Policy:
        """Refused: there is one for each environment.

        Raises:
            ValueError: Always.
        """
        names = ", ".join(map(repr, self.members))
        raise ValueError(f"a union has several policies: take trainer.members[NAME].policy() of {names}")

    def state_dict(self) -> State:
        """The state of every trainer, the averages of the rewards, and the number of turns."""
        # Files hold no memory that two tensors share, as shared weights do.
        members = {
            str(index): State(state.values, {name: one.clone() for name, one in state.tensors.items()})
            for index, state in enumerate(member.state_dict() for member in self.members.values())
        }
        counters = State({"turns": self.turns})
        return State.join(counters=counters, sampler=self.sampler.state_dict(), **members)

    def load_state_dict(self, state: State) -> None:
        """Goes on from a state."""
        for index, member in enumerate(self.members.values()):
            member.load_state_dict(state.part(str(index)))
        self.sampler.load_state_dict(state.part("sampler"))
        self.turns = int(state.part("counters").values["turns"])


def share_encoders(models: Sequence[ResponsePolicy], tasks: Sequence[Task]) -> None:
    """Gives entries with the same key and equal spaces the encoder of the first policy that has them."""
    for index, (model, task) in enumerate(zip(models, tasks, strict=True)):
        for key in _encoders(model):
            for other, its in zip(models[:index], tasks[:index], strict=True):
                if its.context_spaces.get(key) == task.context_spaces[key]:
                    _encoders(model)[key] = _encoders(other)[key]
                    break


def _encoders(model: ResponsePolicy) -> nn.ModuleDict:
    return model.context_encoder.fused.encoders
