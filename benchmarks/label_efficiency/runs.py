"""Reward models from single votes of a crowd: what each loss makes of the same labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from agents.policy import ResponsePolicy
from feedback.aggregation import Reliability
from feedback.annotators import AnnotatorPool, make_pool
from feedback.candidates import PairAccuracy, Sampler, pair_accuracy
from feedback.losses import PairLikelihood
from feedback.preferences import Labelled, Pairs
from feedback.reward_models import FitConfig, Fitted, ModelConfig, fit
from feedback.reward_models.model import ENCODED
from feedback.rounds import CandidatePairs, ask, draw_pairs, labelled, seed_of
from mm_envs.feedback_sources import true_utility
from mm_envs.tasks import Task

CROWD = "7 good, 4 coin, 1 adversary"
PLAIN, MIX, JOINT = "Bradley-Terry", "noise mix", "joint model"
_CHUNK = 512


@dataclass(frozen=True)
class Plan:
    """What is measured, once a seed.

    Attributes:
        seeds: How many seeds; each has its own questions, answers, crowd, weights and held-out pairs.
        first_seed: The first of them: how models are fitted was chosen on those below 20.
        few: The small number of labels.
        many: The large one; the few are the first of them.
        held_out: Questions of the test split.
        parts: How many models are fitted with each loss; their scores are averaged. Each holds out labels of
            its own to decide when to stop: with few labels this decision is the noisiest part of a fit.
        fit: How models are fitted, whatever the loss.
    """

    seeds: int = 10
    first_seed: int = 20
    few: int = 1000
    many: int = 5000
    held_out: int = 2000
    parts: int = 3
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            model=ModelConfig(width=16),
            freeze="trunk",
            batch=32,
            learning_rate=3e-4,
            likelihood_learning_rate=3e-2,
            epochs=40,
            patience=5,
        )
    )


@dataclass(frozen=True)
class Run:
    """What was found with one seed.

    Attributes:
        accuracy: Loss and number of labels -> accuracy on held-out pairs.
        untaught: The accuracy of the log-probability of the policy, which saw no labels.
        correlation: Number of labels -> how the skill that the joint model found correlates with the truth.
        skill: The true chance of each annotator to be right.
        found: Number of labels -> the skill that the joint model found.
    """

    accuracy: Mapping[tuple[str, int], PairAccuracy]
    untaught: PairAccuracy
    correlation: Mapping[int, float]
    skill: tuple[float, ...]
    found: Mapping[int, tuple[float, ...]]


@dataclass(frozen=True)
class HeldOut:
    """Pairs that nobody labels, with the truth.

    Attributes:
        pairs: The pairs, their contexts encoded.
        utility: Of both answers, (n, 2).
    """

    pairs: CandidatePairs
    utility: Tensor

    def accuracy(self, scores: Tensor) -> PairAccuracy:
        """That of the scores (2n,) of all answers."""
        first, second = scores.view(-1, 2).unbind(1)
        return pair_accuracy(first, second, self.utility[:, 0], self.utility[:, 1], self.pairs.sampler)


def measure(
    task: Task,
    policy: ResponsePolicy,
    sampler: Sampler,
    plan: Plan,
    seed: int,
    progress: Callable[[str], None],
) -> Run:
    """One seed.

    Args:
        task: The task.
        policy: What models start from; it encodes every context once, for all fits.
        sampler: Where the answers come from.
        plan: What is measured.
        seed: The seed.
        progress: Told every fit.
    """
    held_out = held_out_pairs(task, policy, sampler, plan, seed)
    # A few of the pairs have equal answers and are left out.
    drawn = draw_pairs(task, sampler, plan.many + plan.many // 4, "train", seed_of(seed, "train"))
    drawn = drawn.take(torch.arange(plan.many))
    pool = make_pool(CROWD, task, votes=1, seed=seed)
    skill = tuple(pool.skill(task, drawn.episodes(0), drawn.episodes(1)).tolist())
    data = votes_of(pool, policy, drawn)
    accuracy: dict[tuple[str, int], PairAccuracy] = {}
    found: dict[int, tuple[float, ...]] = {}
    for labels in (plan.few, plan.many):
        some = first_labels(data, labels)
        for name, likelihood in losses(skill, labels, plan).items():
            progress(f"seed {seed - plan.first_seed + 1} of {plan.seeds}: {name}, {labels:,} labels")
            fits = fits_of(some, task, policy, plan, seed, likelihood)
            scores = torch.cat([one.model.predict(held_out.pairs.answers) for one in fits]).mean(0)
            accuracy[name, labels] = held_out.accuracy(scores)
            if name == JOINT:
                found[labels] = _skill([one.likelihoods[0] for one in fits])
    return Run(
        accuracy,
        held_out.accuracy(_log_probability(policy, held_out.pairs)),
        {labels: correlation(one, skill) for labels, one in found.items()},
        skill,
        found,
    )


def held_out_pairs(task: Task, policy: ResponsePolicy, sampler: Sampler, plan: Plan, seed: int) -> HeldOut:
    """Pairs of the test split with their utilities."""
    test = draw_pairs(task, sampler, plan.held_out, "test", seed_of(seed, "held out"))
    utility = torch.stack([true_utility(task, test.episodes(side)).reward for side in (0, 1)], 1)
    return HeldOut(encoded(policy, test), utility)


def fits_of(
    data: Labelled, task: Task, policy: ResponsePolicy, plan: Plan, seed: int, likelihood: nn.Module
) -> list[Fitted]:
    """The parts of one loss, which differ in weights, minibatches and in the labels that they hold out."""
    configs = [replace(plan.fit, seed=seed_of(seed, f"part {part}")) for part in range(plan.parts)]
    return [_fitted(data, task, policy, config, likelihood) for config in configs]


def _fitted(
    data: Labelled, task: Task, policy: ResponsePolicy, config: FitConfig, likelihood: nn.Module
) -> Fitted:
    """One fit; of the joint model the second, which knows from its first step whom to trust."""
    fitted = fit(data, task, config, initial=policy, likelihood=likelihood)
    if not isinstance(likelihood, Reliability):
        return fitted
    return fit(data, task, config, initial=policy, likelihood=fitted.likelihoods[0])


def _skill(learnt: Sequence[nn.Module]) -> tuple[float, ...]:
    """The mean over parts of the skill of every annotator."""
    skills = [one.skill for one in learnt if isinstance(one, Reliability)]
    return tuple(torch.stack(skills).mean(0).tolist())


def losses(skill: Sequence[float], labels: int, plan: Plan) -> dict[str, nn.Module]:
    """What is compared; the noise mix, where labels are few, is told the true share of wrong labels.

    Args:
        skill: The chance of each annotator to be right: a coin that decides with chance eta is wrong in half
            of cases. The joint model is told how many there are, and no more.
        labels: How many labels.
        plan: What is measured.
    """
    wrong = 1 - sum(skill) / len(skill)
    few: dict[str, nn.Module] = {MIX: PairLikelihood("noise_mix", 2 * wrong)} if labels == plan.few else {}
    return {PLAIN: PairLikelihood(), **few, JOINT: Reliability(len(skill), labels=labels)}


def first_labels(data: Labelled, labels: int) -> Labelled:
    """The first labels, with the answers that they speak of and no others."""
    pairs = data.pairs.take(torch.arange(labels))
    assert isinstance(pairs, Pairs)
    rows, place = torch.unique(torch.cat([pairs.first, pairs.second]), return_inverse=True)
    first, second = place.view(2, -1)
    return Labelled(data.answers.take(rows), data.annotators, (replace(pairs, first=first, second=second),))


def votes_of(pool: AnnotatorPool, policy: ResponsePolicy, pairs: CandidatePairs) -> Labelled:
    """One vote on each pair."""
    asked = ask(pool, pairs, 0, torch.arange(len(pairs)))
    return labelled(encoded(policy, pairs), asked, pool.names)


@torch.no_grad()
def encoded(policy: ResponsePolicy, pairs: CandidatePairs) -> CandidatePairs:
    """The same pairs with encoded contexts; those of one item are the same bits."""
    _, place = torch.unique(pairs.prompts.item, return_inverse=True)
    first = torch.full((int(place.max()) + 1,), len(place)).scatter_reduce(
        0, place, torch.arange(len(place)), "amin"
    )
    parts = [
        policy.encode({key: value[rows] for key, value in pairs.prompts.context.items()})
        for rows in torch.split(first, _CHUNK)
    ]
    return replace(pairs, prompts=replace(pairs.prompts, context={ENCODED: torch.cat(parts)[place]}))


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Pearson's, of two rows of numbers.

    Example:
        >>> round(correlation([0.5, 0.7, 0.9], [1.0, 2.0, 3.0]), 6)
        1.0
    """
    both = torch.tensor([[*one], [*other]], dtype=torch.float64)
    return float(torch.corrcoef(both)[0, 1])


@torch.no_grad()
def _log_probability(policy: ResponsePolicy, pairs: CandidatePairs) -> Tensor:
    answers = pairs.answers
    context = answers.contexts[ENCODED][answers.context]
    return policy.log_prob(context, answers.response, answers.length)
