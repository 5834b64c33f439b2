"""``mm-envs bench label-efficiency``: what labels are worth if it is learnt who to trust.

A crowd of 7 good annotators, 4 who flip coins and an adversary gives one vote a pair of captions. The joint
model of reward and reliability, plain Bradley-Terry and the noise mix are fitted to the same votes. Beside it
stand Dawid-Skene and the majority, for several votes a pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agents.sft import sft
from benchmarks.label_efficiency.crowds import aggregate
from benchmarks.label_efficiency.report import report
from benchmarks.label_efficiency.runs import Plan, measure
from benchmarks.reports import Options, Report
from feedback.candidates import Edits, Mixture, PolicySamples
from feedback.reward_models import FitConfig
from mm_envs.tasks import CONFIGURATIONS, make_task

ID = "MMCaption-v0"


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        plan: The fits.
        epochs: Of the policy that models start from.
        items: Training items of the policy; None for all.
        features: Numbers per context of the policy.
        crowds: Seeds of the crowds that vote several times a pair.
        pairs: Questions of each.
        votes: Votes on each pair.
    """

    plan: Plan = field(default_factory=Plan)
    epochs: int = 32
    items: int | None = None
    features: int = 128
    crowds: int = 20
    pairs: int = 600
    votes: int = 5


QUICK = Size(
    Plan(2, few=40, many=80, held_out=40, parts=2, fit=FitConfig(freeze="trunk", epochs=1)),
    epochs=1,
    items=64,
    features=16,
    crowds=2,
    pairs=60,
)


def bench(options: Options, progress: Callable[[str], None]) -> Report:
    """Measures label efficiency.

    Args:
        options: With ``quick``, a few dozen labels.
        progress: Told what is being done.
    """
    size = QUICK if options.quick else Size()
    task = make_task(**CONFIGURATIONS[ID])
    progress("fine-tuning a policy of captions")
    policy = sft(task, epochs=size.epochs, items=size.items, features=size.features)
    policy.eval().requires_grad_(False)
    samples = PolicySamples(policy, 1.0, "the fine-tuned policy")
    sampler = Mixture([Edits(task, (0, 4)), samples])
    seeds = range(size.plan.first_seed, size.plan.first_seed + size.plan.seeds)
    runs = [measure(task, policy, sampler, size.plan, seed, progress) for seed in seeds]
    progress(f"{size.votes} votes a pair")
    crowds = [aggregate(task, sampler, size.pairs, size.votes, seed) for seed in range(size.crowds)]
    return report(size.plan, runs, crowds, size.votes)
