"""An agent beside the policies that need no learning, on the same held-out episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mm_envs.cli.output import with_interval
from mm_envs.cli.policies import yardstick

if TYPE_CHECKING:
    from rich.table import Table

    from agents.evaluate import Evaluation
    from mm_envs.cli.runs import Setting

ORDER = ("blind", "random", "trained", "oracle")


@dataclass(frozen=True)
class Comparison:
    """Evaluations of several policies in one environment.

    Attributes:
        id: The environment.
        split: Which items.
        evaluations: One a policy, in the order of ``ORDER``.
    """

    id: str
    split: str
    evaluations: Mapping[str, Evaluation]

    def to_dict(self) -> dict[str, Any]:
        """Means and intervals as JSON values."""
        policies = {
            name: {"utility": asdict(one.mean_utility), "reward": asdict(one.mean_reward)}
            for name, one in self.evaluations.items()
        }
        episodes = len(next(iter(self.evaluations.values())))
        return {"id": self.id, "split": self.split, "episodes": episodes, "policies": policies}

    def table(self) -> Table:
        """One line a policy."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        episodes = len(next(iter(self.evaluations.values())))
        title = f"{self.id}: {episodes:,} episodes of the {self.split} split"
        table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
        table.add_column("policy")
        table.add_column("utility [95 %]", justify="right")
        table.add_column("reward [95 %]", justify="right")
        for name, one in self.evaluations.items():
            numbers = (with_interval(e.mean, e.low, e.high) for e in (one.mean_utility, one.mean_reward))
            table.add_row(name, *numbers, style="bold" if name == "trained" else None)
        return table


def compare(setting: Setting, episodes: int, split: str = "test", seed: int = 0) -> Comparison:
    """Evaluates the agent of a setting (if it has one) and the policies that need no learning.

    All see the same items, each once, and their answers are judged with the same noise.

    Args:
        setting: The environment and the agent.
        episodes: How many items of the split, at most; drawn without replacement.
        split: Which items.
        seed: Decides the items and the noise of the feedback.
    """
    import torch

    from agents.evaluate import evaluate

    evaluations = {}
    for name in ORDER:
        if name == "trained" and setting.agent is None:
            continue
        whole = setting.make(1, split=split).task.dataset.range(split)
        order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
        items = order[:episodes] + whole.start
        envs = setting.make(len(items), split=split)
        policy = setting.policy() if name == "trained" else yardstick(envs, name, seed)
        evaluations[name] = evaluate(policy, envs, seed=seed, items=items)
    return Comparison(setting.id, split, evaluations)
