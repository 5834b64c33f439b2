"""Two policies that answer the same questions, and who of them wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from agents.evaluate import Estimate
from feedback.active_learning import CandidatePairs, records
from feedback.active_learning.pairs import heard
from feedback.annotators import AnnotatorPool
from feedback.collection import draw_prompts
from feedback.preferences import Pairwise
from mm_envs.cli.policies import yardstick
from mm_envs.cli.runs import Setting
from mm_envs.statistics import wilson_interval
from mm_envs.tasks.task import Task

_WORTH = {"first": 1.0, "second": 0.0, "tie": 0.5}
_JUDGE = ("feedback", "feedback_arguments", "reward")
# So many rows are played at a time, as questions are drawn: then both are asked the same.
_MOST = 1024


@dataclass(frozen=True)
class Duel:
    """What came out.

    Attributes:
        items: How many items both answered.
        same: On how many of them they gave the same answer, which counts as a tie; nobody is asked.
        wins: Votes for the first policy.
        losses: Votes for the second.
        ties: Votes for neither.
        skips: Votes that were not given.
        rate: The win rate, a tie counting half, and both ends of its 95 % interval; None if nobody judged.
        utility_a: The true utility of the first policy.
        utility_b: That of the second.
        gap: The difference, item by item.
    """

    items: int
    same: int
    wins: int
    losses: int
    ties: int
    skips: int
    rate: tuple[float, float, float] | None
    utility_a: Estimate
    utility_b: Estimate
    gap: Estimate

    @classmethod
    def of(cls, task: Task, pairs: CandidatePairs, records: Sequence[Pairwise]) -> Duel:
        """Counts votes, item by item.

        Args:
            task: Says what is true.
            pairs: All answers, those of the first policy first.
            records: What was said of those that differ.
        """
        said = [one.choice for one in records]
        same = int((~pairs.differ).sum())
        utility = [
            task.utility(one.response, one.response_length, pairs.prompts.reference).reward.double().numpy()
            for one in map(pairs.episodes, (0, 1))
        ]
        return cls(
            len(pairs),
            same,
            said.count("first"),
            said.count("second"),
            said.count("tie"),
            said.count("skip"),
            win_rate(records, same),
            Estimate.of(utility[0]),
            Estimate.of(utility[1]),
            Estimate.of(utility[0] - utility[1]),
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def win_rate(records: Sequence[Pairwise], same: int = 0) -> tuple[float, float, float] | None:
    """How often the first answers win, a tie counting half, and its 95 % interval.

    Votes on one item are averaged first, so that an item counts once. The interval is that of Wilson (1927)
    for so many items: shares between 0 and 1 vary less than the coins it is made for, so it is wide enough.

    Args:
        records: What was said; skipped ones do not count.
        same: How many further items are ties.

    Example:
        >>> [round(one, 3) for one in win_rate([], same=10)]
        [0.5, 0.237, 0.763]
    """
    votes: dict[str, list[float]] = {}
    for one in records:
        if one.choice in _WORTH:
            votes.setdefault(one.item, []).append(_WORTH[one.choice])
    n = len(votes) + same
    if not n:
        return None
    share = (sum(sum(some) / len(some) for some in votes.values()) + same / 2) / n
    found = wilson_interval(share, n)
    return share, found.low, found.high


def played(
    sides: Sequence[tuple[str, Setting]], items: int, split: str, seed: int
) -> tuple[CandidatePairs, Task]:
    """The answers of two policies to the same items.

    Args:
        sides: Each the name of the policy ("agent": that of the setting), and its environment.
        items: How many items, at most; drawn without replacement.
        split: Which items.
        seed: Decides the items.

    Returns:
        The answers, and the task.

    Raises:
        ValueError: The environments ask other questions, or take other answers.
    """
    settings = [_unjudged(setting) for _, setting in sides]
    tasks = [setting.make(1, split=split).task for setting in settings]
    _check_same(tasks, settings)
    whole = tasks[0].dataset.range(split)
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
    about = order[: min(items, _MOST)] + whole.start
    kind = tasks[0].answer
    answers = [
        _answers(policy, setting, about, split, seed)
        for (policy, _), setting in zip(sides, settings, strict=True)
    ]
    response = torch.stack(answers, 1)
    prompts, tickets = draw_prompts(
        settings[0].id, len(about), split, seed, about=about, **settings[0].arguments
    )
    lengths = [one for _, one in map(kind.finish, answers) if one is not None]
    length = torch.stack(lengths, 1) if lengths else None
    names = " against ".join(
        policy if setting.agent is None else f"agent {setting.agent.parent.name}" for policy, setting in sides
    )
    pairs = CandidatePairs(prompts, response, length, names, list(tickets))
    return heard(tasks[0], pairs), tasks[0]


def judged(pool: AnnotatorPool, task: Task, pairs: CandidatePairs) -> list[Pairwise]:
    """What annotators say of pairs."""
    said = pool.compare(pairs.episodes(0), pairs.episodes(1))
    return records(task, pairs, said, pool.names)


def _unjudged(setting: Setting) -> Setting:
    """The environment without its judge, who is not asked."""
    kept = {name: value for name, value in setting.arguments.items() if name not in _JUDGE}
    return Setting(setting.id, {**kept, "feedback": "truth"}, setting.agent, setting.device)


def _check_same(tasks: Sequence[Task], settings: Sequence[Setting]) -> None:
    one, other = ((task.fingerprint(), task.answer.digest, task.horizon) for task in tasks)
    if one != other or settings[0].id != settings[1].id:
        raise ValueError(
            f"the agents answer different questions ({settings[0].id} and {settings[1].id}, or other items "
            "or words): compare agents that were trained in the same environment"
        )


@torch.no_grad()
def _answers(policy: str, setting: Setting, about: Tensor, split: str, seed: int) -> Tensor:
    """The answers of a policy to some items, (n, ...), as ``Episodes.response``."""
    envs = setting.make(len(about), split=split, autoreset_mode="Disabled")
    observation, _ = envs.reset(seed=seed, options={"items": about})
    act = setting.policy() if policy == "agent" else yardstick(envs, policy, seed)
    found: Tensor | None = None
    ended = torch.zeros(len(about), dtype=torch.bool)
    while not bool(ended.all()):
        observation, _, _, _, info = envs.step(act(observation))
        if "final_info" in info:
            mask, said = info["_final_info"], info["final_info"]["response"]
            found = torch.zeros_like(said) if found is None else found
            found = torch.where((mask & ~ended).view(-1, *[1] * (said.ndim - 1)), said, found)
            ended = ended | mask
    assert found is not None
    return found
