"""An agent and the baseline policies on the same held-out episodes, and policies on the same items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agents.acting import Policy
from agents.baselines import baseline_policy
from agents.evaluate import Evaluation, evaluate
from agents.run_folder import Setting
from mm_envs.engine.vector import MultimodalVectorEnv
from mm_envs.statistics import Interval

ORDER = ("blind", "random", "trained", "oracle")
AGENT_POLICY = "agent"
_FEEDBACK = ("feedback", "feedback_arguments", "reward")


@dataclass(frozen=True)
class Comparison:
    """Evaluations of several policies on items of one split of an environment, in the order of ``ORDER``."""

    id: str
    split: str
    evaluations: Mapping[str, Evaluation]

    @property
    def episodes(self) -> int:
        """How many episodes each policy played."""
        return len(next(iter(self.evaluations.values())))

    def to_dict(self) -> dict[str, Any]:
        """Means and intervals as JSON values."""
        policies = {
            name: {"utility": interval_record(one.mean_utility), "reward": interval_record(one.mean_reward)}
            for name, one in self.evaluations.items()
        }
        return {"id": self.id, "split": self.split, "episodes": self.episodes, "policies": policies}


def interval_record(interval: Interval) -> dict[str, float]:
    """A mean and the ends of its interval."""
    return {"mean": interval.value, "low": interval.low, "high": interval.high}


def make_policy(name: str, setting: Setting, envs: MultimodalVectorEnv) -> Policy:
    """The trained agent of a setting ("agent"), or the baseline policy of a name, for one environment of it.

    Raises:
        ValueError: There is no agent, or no baseline policy of this name.
    """
    return setting.policy() if name == AGENT_POLICY else baseline_policy(envs, name)


def compare(setting: Setting, episodes: int, split: str = "test", seed: int = 0) -> Comparison:
    """Evaluates the agent of a setting (if it has one) and the baseline policies.

    All of them get the same items, each once, and the same noise of the feedback.

    Args:
        setting: The environment and the agent.
        episodes: How many items of the split, at most; drawn without replacement.
        split: Which items.
        seed: Decides the items and the noise.
    """
    items = evaluation_items(setting, episodes, split, seed)
    evaluations = {}
    for name in ORDER:
        if name == "trained" and setting.agent is None:
            continue
        envs = setting.make(len(items), split=split)
        policy = make_policy(AGENT_POLICY if name == "trained" else name, setting, envs)
        evaluations[name] = evaluate(policy, envs, seed=seed, items=items)
    return Comparison(setting.id, split, evaluations)


def evaluation_items(setting: Setting, episodes: int, split: str, seed: int) -> Tensor:
    """The items that an evaluation shows: indices in the dataset, drawn without replacement."""
    whole = setting.make(1, split=split).task.dataset.range(split)
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
    return order[:episodes] + whole.start


def without_feedback(setting: Setting) -> Setting:
    """The same environment with the truth as feedback, for comparisons that need no reward."""
    kept = {name: value for name, value in setting.arguments.items() if name not in _FEEDBACK}
    return Setting(setting.id, {**kept, "feedback": "truth"}, setting.agent, setting.device)


def answers(
    sides: Sequence[tuple[str, Setting]], items: int, split: str, seed: int
) -> tuple[list[Tensor], Tensor]:
    """The answers of several policies to the same items.

    Args:
        sides: Each the name of a policy, see ``make_policy``, and its environment.
        items: How many items, at most; drawn without replacement.
        split: Which items.
        seed: Decides the items.

    Returns:
        The answers of each policy, as ``Episodes.response``, and the items.

    Raises:
        ValueError: The environments have other items, or take other answers.
    """
    settings = [without_feedback(setting) for _, setting in sides]
    _refuse_different([setting.make(1, split=split) for setting in settings], settings)
    about = evaluation_items(settings[0], items, split, seed)
    found = []
    for (name, _), setting in zip(sides, settings, strict=True):
        envs = setting.make(len(about), split=split)
        played = evaluate(make_policy(name, setting, envs), envs, seed=seed, items=about)
        found.append(played.response)
    return found, about


def _refuse_different(several: Sequence[MultimodalVectorEnv], settings: Sequence[Setting]) -> None:
    tasks = [envs.task for envs in several]
    kinds = {(task.fingerprint(), task.answer.digest, task.horizon) for task in tasks}
    names = list(dict.fromkeys(setting.id for setting in settings))
    if len(kinds) > 1 or len(names) > 1:
        ids = " and ".join(setting.id for setting in settings)
        raise ValueError(
            f"the agents answer different questions ({ids}, or other items or words): compare agents that "
            "were trained in the same environment"
        )
